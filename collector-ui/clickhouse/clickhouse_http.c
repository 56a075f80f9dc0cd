/* Requests to ClickHouse's HTTP interface, one at a time over a connection that is kept. */
#include "collector-ui/clickhouse/clickhouse_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endpoint.h"
#include "base/service/secret_file.h"

#define ANSWER_BYTES   ((size_t)256 << 10) /* of a table's columns */
#define WORDS_BYTES    300                 /* of an error, for the log */
#define PASSWORD_BYTES 4096
#define CODE_HEADER    "X-ClickHouse-Exception-Code"

struct clickhouse_http {
    const struct clickhouse_settings *settings;
    const char *table;
    struct transfer_limits limits;
    CURL *curl;
    struct curl_slist *headers, *packed_headers;
    char reason[CURL_ERROR_SIZE];
    char *answer; /* ANSWER_BYTES and a NUL */
    size_t answer_length;
    const struct clickhouse_sink *sink; /* of a question; NULL: the answer is kept */
    long code;                          /* ClickHouse's own, of the last answer */
};

static size_t take_answer(char *bytes, size_t size, size_t count, void *context)
{
    struct clickhouse_http *http = context;
    const size_t length = size * count;
    long status = 0;

    if (http->sink != NULL) {
        (void)curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    }
    if (status == 200) {
        return http->sink->take(http->sink->context, (const uint8_t *)bytes, length) ? length : 0;
    }
    const size_t room = ANSWER_BYTES - http->answer_length;
    const size_t kept = length < room ? length : room;

    memcpy(http->answer + http->answer_length, bytes, kept);
    http->answer_length += kept;
    return length;
}

/* "Expect:" is for one without the pause of "100 Continue" before a body. */
static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);

    *list = more != NULL ? more : *list;
    return more != NULL;
}

static bool set_up(struct clickhouse_http *http)
{
    struct clickhouse_peer peer;
    const bool is_loopback =
        clickhouse_peer_of(http->settings, &peer) && endpoint_is_local(peer.address);

    return add_header(&http->headers, "Expect:") &&
           add_header(&http->headers, "Content-Type: application/octet-stream") &&
           add_header(&http->packed_headers, "Expect:") &&
           add_header(&http->packed_headers, "Content-Type: application/octet-stream") &&
           add_header(&http->packed_headers, "Content-Encoding: zstd") &&
           transfer_speak_http(http->curl, is_loopback) &&
           curl_easy_setopt(http->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK &&
           curl_easy_setopt(http->curl, CURLOPT_USERNAME, http->settings->user) == CURLE_OK &&
           curl_easy_setopt(http->curl, CURLOPT_WRITEFUNCTION, take_answer) == CURLE_OK &&
           curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, http) == CURLE_OK;
}

struct clickhouse_http *clickhouse_http_new(const struct clickhouse_settings *settings,
                                            const char *table,
                                            const atomic_uint_fast64_t *deadline_ns,
                                            struct error *err)
{
    struct clickhouse_http *http = calloc(1, sizeof(*http));

    if (http != NULL) {
        http->settings = settings;
        http->table = table;
        http->limits = (struct transfer_limits){settings->timeout_ns, deadline_ns};
        http->answer = malloc(ANSWER_BYTES + 1);
        http->curl = transfer_new(&http->limits, settings->ca_file, http->reason);
    }
    if (http == NULL || http->answer == NULL || http->curl == NULL || !set_up(http)) {
        clickhouse_http_free(http);
        (void)error_set(err, ENOMEM, "clickhouse: libcurl does not start");
        return NULL;
    }
    return http;
}

void clickhouse_http_free(struct clickhouse_http *http)
{
    if (http != NULL) {
        curl_easy_cleanup(http->curl);
        curl_slist_free_all(http->headers);
        curl_slist_free_all(http->packed_headers);
        free(http->answer);
        free(http);
    }
}

/* ---- what an answer means ---- */

/* Codes that speak of the rows themselves (src/Common/ErrorCodes.cpp): they cannot be read, or the
 * table does not allow them. */
static bool is_of_rows(long code, const char *words)
{
    static const short codes[] = {6,  26, 27,  32,  33,  34,  38,  41,  53,  69,
                                  70, 72, 117, 128, 131, 321, 349, 407, 441, 469};

    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        if (code == codes[i]) {
            return true;
        }
    }
    /* One statement for more days than the server lets one have; else too many parts, which pass.
     */
    return code == 252 && strstr(words, "artitions for single INSERT") != NULL;
}

enum clickhouse_outcome clickhouse_judge(long status, long code, const char *words)
{
    if (status == 200 && code == 0) {
        return CLICKHOUSE_DONE;
    }
    if (status == 413 || is_of_rows(code, words)) {
        return CLICKHOUSE_REFUSED;
    }
    return status >= 400 && status <= 499 ? CLICKHOUSE_MISFIT : CLICKHOUSE_RETRY;
}

static long code_of(struct clickhouse_http *http)
{
    struct curl_header *header = NULL;
    const char *text = http->answer;

    if (curl_easy_header(http->curl, CODE_HEADER, 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
        return strtol(header->value, NULL, 10);
    }
    return strncmp(text, "Code: ", 6) == 0 ? strtol(text + 6, NULL, 10) : 0;
}

static enum clickhouse_outcome judge(struct clickhouse_http *http, struct error *err)
{
    long status = 0;
    char words[WORDS_BYTES + 1];

    http->answer[http->answer_length] = '\0';
    (void)curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    const long code = code_of(http);
    const enum clickhouse_outcome outcome = clickhouse_judge(status, code, http->answer);

    http->code = code;

    if (outcome != CLICKHOUSE_DONE) {
        const size_t length = http->answer_length < WORDS_BYTES ? http->answer_length : WORDS_BYTES;

        memcpy(words, http->answer, length);
        (void)transfer_line(words, length);
        (void)error_set(err, EPROTO, "it answers %ld%s%s", status, words[0] != '\0' ? ": " : "",
                        words);
    }
    return outcome;
}

/* ---- requests ---- */

/* Read for each request: who replaces the file need not restart anything. */
static int set_password(struct clickhouse_http *http, struct error *err)
{
    char password[PASSWORD_BYTES];
    size_t length = 0;
    int result = 0;

    if (http->settings->password_file[0] == '\0') {
        return 0;
    }
    result = secret_file_read("password_file", http->settings->password_file, password,
                              sizeof(password), &length, err);
    if (result == 0 && curl_easy_setopt(http->curl, CURLOPT_PASSWORD, password) != CURLE_OK) {
        result = error_set(err, ENOMEM, "password_file: no memory");
    }
    explicit_bzero(password, sizeof(password));
    return result;
}

/* The settings' URL with a statement; `token` NULL: it changes nothing. NULL: no memory. */
static char *url_of(const struct clickhouse_http *http, const char *statement, const char *token)
{
    char *text = curl_easy_escape(http->curl, statement, 0);
    char *url = NULL;

    if (text != NULL &&
        asprintf(&url, "%s%s?query=%s%s%s", http->settings->url,
                 strchr(strstr(http->settings->url, "://") + 3, '/') ? "" : "/", text,
                 token == NULL ? ""
                               : "&async_insert=0&wait_end_of_query=1"
                                 "&deduplicate_blocks_in_dependent_materialized_views=1"
                                 "&insert_deduplication_token=",
                 token == NULL ? "" : token) < 0) {
        url = NULL;
    }
    curl_free(text);
    return url;
}

static bool set_body(struct clickhouse_http *http, const struct clickhouse_rows *rows)
{
    struct curl_slist *headers = rows->is_packed ? http->packed_headers : http->headers;
    const size_t length = rows->length;

    return curl_easy_setopt(http->curl, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length) ==
               CURLE_OK &&
           curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS,
                            length > 0 ? (const void *)rows->bytes : (const void *)"") == CURLE_OK;
}

/* Frees `url`; NULL: there was no memory for it. */
static enum clickhouse_outcome perform(struct clickhouse_http *http, char *url,
                                       const struct clickhouse_rows *rows, struct error *err)
{
    const bool is_set = url != NULL && curl_easy_setopt(http->curl, CURLOPT_URL, url) == CURLE_OK &&
                        set_body(http, rows);

    free(url);
    http->reason[0] = '\0';
    http->answer_length = 0;
    http->code = 0;
    if (!is_set) {
        (void)error_set(err, ENOMEM, "no memory");
        return CLICKHOUSE_RETRY;
    }
    if (set_password(http, err) != 0) {
        return CLICKHOUSE_RETRY;
    }
    const CURLcode code = curl_easy_perform(http->curl);

    if (code != CURLE_OK) {
        (void)error_set(err, EIO, "%s",
                        http->reason[0] != '\0' ? http->reason : curl_easy_strerror(code));
        return CLICKHOUSE_RETRY;
    }
    return judge(http, err);
}

static enum clickhouse_outcome ask(struct clickhouse_http *http, const char *statement,
                                   const char *token, const struct clickhouse_rows *rows,
                                   struct error *err)
{
    return perform(http, url_of(http, statement, token), rows, err);
}

/* ---- questions ---- */

/* Not 0 ends the transfer: nobody waits any more, or the program stops. */
static int watch_question(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct clickhouse_http *http = context;

    (void)a, (void)b, (void)c, (void)d;
    return transfer_is_past_deadline(http->limits.deadline_ns) ||
           (http->sink != NULL && !http->sink->is_wanted(http->sink->context));
}

static char *question_url(const struct clickhouse_http *http, uint64_t seconds)
{
    const char *const own = http->settings->url;
    char *url = NULL;

    return asprintf(
               &url, "%s%s?max_execution_time=%llu&cancel_http_readonly_queries_on_client_close=1",
               own, strchr(strstr(own, "://") + 3, '/') ? "" : "/", (unsigned long long)seconds) < 0
               ? NULL
               : url;
}

enum clickhouse_outcome clickhouse_http_select(struct clickhouse_http *http, const char *statement,
                                               uint64_t seconds, const struct clickhouse_sink *sink,
                                               long *code, struct error *err)
{
    const struct clickhouse_rows body = {(const uint8_t *)statement, strlen(statement), false};
    const bool is_set =
        curl_easy_setopt(http->curl, CURLOPT_XFERINFOFUNCTION, watch_question) == CURLE_OK &&
        curl_easy_setopt(http->curl, CURLOPT_XFERINFODATA, http) == CURLE_OK;

    http->sink = sink;
    const enum clickhouse_outcome outcome =
        perform(http, is_set ? question_url(http, seconds) : NULL, &body, err);

    http->sink = NULL;
    *code = http->code;
    return outcome;
}

enum clickhouse_outcome clickhouse_http_describe(struct clickhouse_http *http, const char **text,
                                                 size_t *length, struct error *err)
{
    char statement[256];

    (void)snprintf(statement, sizeof(statement),
                   "DESCRIBE TABLE `%.64s`.`%.64s` FORMAT TabSeparated", http->settings->database,
                   http->table);
    const struct clickhouse_rows none = {0};
    const enum clickhouse_outcome outcome = ask(http, statement, NULL, &none, err);

    *text = http->answer;
    *length = http->answer_length;
    return outcome == CLICKHOUSE_REFUSED ? CLICKHOUSE_MISFIT : outcome;
}

enum clickhouse_outcome clickhouse_http_insert(struct clickhouse_http *http, const char *columns,
                                               const char *token,
                                               const struct clickhouse_rows *rows,
                                               struct error *err)
{
    char *statement = NULL;

    if (asprintf(&statement, "INSERT INTO `%s`.`%s` (%s) FORMAT RowBinary",
                 http->settings->database, http->table, columns) < 0) {
        (void)error_set(err, ENOMEM, "no memory");
        return CLICKHOUSE_RETRY;
    }
    const enum clickhouse_outcome outcome = ask(http, statement, token, rows, err);

    free(statement);
    return outcome;
}
