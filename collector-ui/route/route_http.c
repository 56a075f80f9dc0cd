/* Webhooks: one POST each alert, by libcurl. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/service/secret_file.h"
#include "base/transfer/transfer.h"
#include "collector-ui/route/route_internal.h"

#define ANSWER_BYTES          160 /* of what the receiver answers, for the log */
#define SECRET_WORD_BYTES_MIN 4

struct route_http {
    CURL *curl;
    struct curl_slist *headers;
    const char *token_file;
    const char *secret_path;       /* of a URL that is a secret itself; "": none */
    char token[ROUTE_TOKEN_BYTES]; /* during a request; "": none */
    char reason[CURL_ERROR_SIZE];
    char answer[ANSWER_BYTES + 1];
    size_t answer_length;
};

/* What is kept of the answer is what a person may need of it; the rest is taken and dropped. */
static size_t take_answer(char *bytes, size_t size, size_t count, void *context)
{
    struct route_http *http = context;
    const size_t length = size * count;
    const size_t room = ANSWER_BYTES - http->answer_length;
    const size_t kept = length < room ? length : room;

    memcpy(http->answer + http->answer_length, bytes, kept);
    http->answer_length += kept;
    http->answer[http->answer_length] = '\0';
    return length;
}

static bool set_up(struct route_http *http, const struct route_target *target)
{
    CURL *curl = http->curl;
    bool ok = curl_easy_setopt(curl, CURLOPT_URL, target->url) == CURLE_OK;

    ok &= transfer_speak_http(curl, target->is_loopback);
    ok &= curl_easy_setopt(curl, CURLOPT_HTTPHEADER, http->headers) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_WRITEDATA, http) == CURLE_OK;
    return ok;
}

static const char *path_of(const char *url)
{
    const char *host = strstr(url, "://");
    const char *path = strpbrk(host != NULL ? host + 3 : url, "/?");

    return path != NULL ? path : "";
}

struct route_http *route_http_new(const struct route_target *target,
                                  const struct route_receiver_settings *settings,
                                  const struct transfer_limits *limits, struct error *err)
{
    struct route_http *http = calloc(1, sizeof(*http));

    if (http != NULL) {
        http->curl = transfer_new(limits, settings->ca_file, http->reason);
        /* Without the pause of "100 Continue" before larger bodies. */
        http->headers = curl_slist_append(NULL, "Content-Type: application/json");
        struct curl_slist *more = curl_slist_append(http->headers, "Expect:");

        http->headers = more != NULL ? more : http->headers;
        http->token_file = settings->token_file;
        http->secret_path = settings->url_file[0] != '\0' ? path_of(target->url) : "";
    }
    if (http == NULL || http->curl == NULL || http->headers == NULL || !set_up(http, target)) {
        route_http_free(http);
        (void)error_set(err, ENOMEM, "libcurl does not start");
        return NULL;
    }
    return http;
}

void route_http_free(struct route_http *http)
{
    if (http != NULL) {
        curl_easy_cleanup(http->curl);
        curl_slist_free_all(http->headers);
        free(http);
    }
}

/* Read for each request: who replaces the file need not restart anything. */
static int set_token(struct route_http *http, struct error *err)
{
    size_t length;
    int result = 0;

    if (http->token_file[0] == '\0') {
        return 0;
    }
    result = secret_file_read("token_file", http->token_file, http->token, sizeof(http->token),
                              &length, err);
    if (result == 0 &&
        (curl_easy_setopt(http->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER) != CURLE_OK ||
         curl_easy_setopt(http->curl, CURLOPT_XOAUTH2_BEARER, http->token) != CURLE_OK)) {
        result = error_set(err, ENOMEM, "token_file: no memory");
    }
    return result;
}

static bool is_word_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || byte == '_' || byte == '-';
}

/* Servers like to repeat what they were asked for: words of the secrets become asterisks, also
 * where the answer was cut off in one. */
static void mask_secrets(struct route_http *http)
{
    char *at = http->answer;

    while (*at != '\0') {
        char word[ANSWER_BYTES + 1];
        size_t length = 0;

        while (is_word_byte(at[length])) {
            length++;
        }
        memcpy(word, at, length);
        word[length] = '\0';
        if (length >= SECRET_WORD_BYTES_MIN &&
            (strstr(http->secret_path, word) != NULL || strstr(http->token, word) != NULL)) {
            memset(at, '*', length);
        }
        at += length > 0 ? length : 1;
    }
}

/* The answer's first bytes as one line of printable text, without secrets. */
static const char *answer_text(struct route_http *http)
{
    http->answer_length = transfer_line(http->answer, http->answer_length);
    mask_secrets(http);
    return http->answer;
}

/* Final is what an answer says of this one message. What it says of the receiver (a login that is
 * refused, a hook that is not there, a redirection) is mended by its owner, who should not have
 * lost alerts meanwhile. */
static bool is_final(long status)
{
    static const short final[] = {400, 406, 411, 413, 414, 415, 416, 417, 422, 431};

    for (size_t i = 0; i < ARRAY_COUNT(final); i++) {
        if (status == final[i]) {
            return true;
        }
    }
    return false;
}

static enum route_outcome judge(struct route_http *http, uint64_t *wait_ns, struct error *err)
{
    long status = 0;
    curl_off_t wait_s = 0;

    (void)curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status <= 299) {
        return ROUTE_DELIVERED;
    }
    (void)curl_easy_getinfo(http->curl, CURLINFO_RETRY_AFTER, &wait_s);
    *wait_ns = wait_s > 0 ? (uint64_t)wait_s * NS_PER_SEC : 0;
    const char *text = answer_text(http);

    (void)error_set(err, EPROTO, "it answers %ld%s%s", status, text[0] != '\0' ? ": " : "", text);
    return is_final(status) ? ROUTE_REFUSED : ROUTE_RETRY;
}

static enum route_outcome post(struct route_http *http, const char *body, size_t length,
                               uint64_t *wait_ns, struct error *err)
{
    if (set_token(http, err) != 0) {
        return ROUTE_RETRY;
    }
    if (curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE, (long)length) != CURLE_OK ||
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, body) != CURLE_OK) {
        (void)error_set(err, ENOMEM, "no memory");
        return ROUTE_RETRY;
    }
    const CURLcode code = curl_easy_perform(http->curl);

    if (code != CURLE_OK) {
        (void)error_set(err, EIO, "%s",
                        http->reason[0] != '\0' ? http->reason : curl_easy_strerror(code));
        return ROUTE_RETRY;
    }
    return judge(http, wait_ns, err);
}

enum route_outcome route_http_send(struct route_http *http, const char *body, size_t length,
                                   uint64_t *wait_ns, struct error *err)
{
    *wait_ns = 0;
    http->reason[0] = '\0';
    http->answer[0] = '\0';
    http->answer_length = 0;
    const enum route_outcome outcome = post(http, body, length, wait_ns, err);

    explicit_bzero(http->token, sizeof(http->token));
    return outcome;
}
