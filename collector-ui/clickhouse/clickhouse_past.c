/* Questions about what is in the table: first how much there is, by time, so that what is read fits
 * the bounds and is whole from a moment on; then the records. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/clickhouse/clickhouse_private.h"

#define PARTS            512U /* of the range, which are counted */
#define COUNTS_BYTES     ((size_t)64 << 10)
#define CLIENT_MORE_NS   (2 * NS_PER_SEC) /* the server ends by itself before */
#define PAUSE_FIRST_NS   (2 * NS_PER_SEC)
#define PAUSE_LONGEST_NS (60 * NS_PER_SEC)
#define PAUSE_DOUBLINGS  5U
#define CODE_UNKNOWN     47  /* UNKNOWN_IDENTIFIER */
#define CODE_TOO_SLOW    159 /* TIMEOUT_EXCEEDED */
#define CODE_READONLY    164
#define CODE_MEMORY      241 /* MEMORY_LIMIT_EXCEEDED */
#define CODE_DENIED      497

struct clickhouse_past {
    struct clickhouse_settings settings; /* of who asks */
    atomic_uint_fast64_t never;
    struct clickhouse_http *http;
    unsigned failures; /* in a row, of the way there */
    uint64_t pause_until_ns;

    pthread_mutex_t lock;
    struct clickhouse_past_counts counts;
};

struct clickhouse_past *clickhouse_past_new(const struct clickhouse_settings *settings,
                                            struct error *err)
{
    struct clickhouse_past *past = calloc(1, sizeof(*past));

    if (past == NULL) {
        (void)error_set(err, ENOMEM, "clickhouse: no memory");
        return NULL;
    }
    (void)pthread_mutex_init(&past->lock, NULL);
    past->settings = *settings;
    past->settings.timeout_ns = settings->query_timeout_ns + CLIENT_MORE_NS;
    if (settings->query_user[0] != '\0') {
        past->settings.user = settings->query_user;
        past->settings.password_file = settings->query_password_file;
    }
    past->http = clickhouse_http_new(&past->settings, past->settings.table, &past->never, err);
    if (past->http == NULL) {
        clickhouse_past_free(past);
        return NULL;
    }
    return past;
}

void clickhouse_past_free(struct clickhouse_past *past)
{
    if (past != NULL) {
        clickhouse_http_free(past->http);
        (void)pthread_mutex_destroy(&past->lock);
        free(past);
    }
}

void clickhouse_past_counts_read(struct clickhouse_past *past, struct clickhouse_past_counts *out)
{
    (void)pthread_mutex_lock(&past->lock);
    *out = past->counts;
    (void)pthread_mutex_unlock(&past->lock);
}

/* ---- statements ---- */

static int64_t signed_of(uint64_t ns)
{
    return ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

/* NULL: no memory. */
static char *where(const struct clickhouse_past *past, const struct clickhouse_question *question,
                   uint64_t from_ns)
{
    char *text = NULL;

    return asprintf(&text,
                    " FROM `%s`.`%s` WHERE end_time >= fromUnixTimestamp64Nano(%" PRId64
                    ", 'UTC') AND end_time < fromUnixTimestamp64Nano(%" PRId64
                    ", 'UTC') AND start_time < fromUnixTimestamp64Nano(%" PRId64
                    ", 'UTC') AND (%s)",
                    past->settings.database, past->settings.table, signed_of(from_ns),
                    signed_of(question->until_ns), signed_of(question->before_ns),
                    question->condition) < 0
               ? NULL
               : text;
}

/* The width of a part; what ends behind `before_ns` is one part more. */
static uint64_t part_ns(const struct clickhouse_question *question)
{
    const uint64_t last_ns =
        question->before_ns < question->until_ns ? question->before_ns : question->until_ns;
    const uint64_t range_ns = last_ns > question->from_ns ? last_ns - question->from_ns : 1;

    return range_ns / PARTS + 1;
}

/* ---- one statement ---- */

struct asking {
    struct clickhouse_past *past;
    const struct clickhouse_question *question;
    struct clickhouse_found *found;
    uint64_t until_ns; /* monotonic: the end of the question's time */
    bool is_cancelled;
    char counts[COUNTS_BYTES + 1];
    size_t counts_length;
    struct clickhouse_row_reader reader;
};

static bool is_wanted(void *context)
{
    struct asking *asking = context;

    if (!asking->question->is_wanted(asking->question->context)) {
        asking->is_cancelled = true;
    }
    return !asking->is_cancelled;
}

static void pause_asking(struct clickhouse_past *past)
{
    const unsigned doublings = past->failures < PAUSE_DOUBLINGS ? past->failures : PAUSE_DOUBLINGS;
    const uint64_t pause_ns = PAUSE_FIRST_NS << doublings;

    past->failures++;
    past->pause_until_ns =
        clock_monotonic_ns() + (pause_ns < PAUSE_LONGEST_NS ? pause_ns : PAUSE_LONGEST_NS);
}

/* What to do about it. */
static void advise(const struct clickhouse_past *past, long code, struct error *err)
{
    const struct clickhouse_settings *s = &past->settings;
    char more[300] = "";
    struct error told = *err;

    if (code == CODE_DENIED) {
        (void)snprintf(more, sizeof(more), " (GRANT SELECT ON %s.%s TO %s)", s->database, s->table,
                       s->user);
    } else if (code == CODE_UNKNOWN && strstr(err->message, "record") != NULL) {
        (void)snprintf(more, sizeof(more),
                       " (%s.%s needs the column record: run deploy/clickhouse/01_flows.sql)",
                       s->database, s->table);
    } else if (code == CODE_READONLY) {
        (void)snprintf(more, sizeof(more), " (its profile must let settings be: readonly = 2)");
    } else if (code == CODE_TOO_SLOW || code == CODE_MEMORY) {
        (void)snprintf(more, sizeof(more), " (ask for a shorter range or a narrower filter)");
    }
    if (more[0] != '\0') {
        (void)error_set(err, told.code, "%.140s%s", told.message, more);
    }
}

static int ask(struct asking *asking, char *statement,
               bool (*take)(void *context, const uint8_t *bytes, size_t length), struct error *err)
{
    struct clickhouse_past *past = asking->past;
    const uint64_t now_ns = clock_monotonic_ns();
    const uint64_t left_ns = asking->until_ns > now_ns ? asking->until_ns - now_ns : 0;
    const struct clickhouse_sink sink = {take, is_wanted, asking};
    long code = 0;

    if (statement == NULL) {
        return error_set(err, ENOMEM, "no memory");
    }
    const enum clickhouse_outcome outcome =
        clickhouse_http_select(past->http, statement, left_ns / NS_PER_SEC + 1, &sink, &code, err);

    free(statement);
    if (asking->is_cancelled) {
        return -ECANCELED;
    }
    if (outcome == CLICKHOUSE_DONE) {
        past->failures = 0;
        return 0;
    }
    if (asking->reader.is_malformed) {
        return error_set(err, EBADMSG, "its answer is no list of records");
    }
    if (outcome == CLICKHOUSE_RETRY && code != CODE_TOO_SLOW && code != CODE_MEMORY) {
        pause_asking(past);
    }
    advise(past, code, err);
    return -err->code;
}

/* ---- how much there is ---- */

static bool take_counts(void *context, const uint8_t *bytes, size_t length)
{
    struct asking *asking = context;

    if (length > COUNTS_BYTES - asking->counts_length) {
        asking->reader.is_malformed = true;
        return false;
    }
    memcpy(asking->counts + asking->counts_length, bytes, length);
    asking->counts_length += length;
    return true;
}

/* Numbers with a tab between them, and a line's end. */
static bool take_line(const char **at, uint64_t *numbers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char *end = NULL;

        numbers[i] = strtoull(*at, &end, 10);
        if (end == *at || *end != (i + 1 < count ? '\t' : '\n')) {
            return false;
        }
        *at = end + 1;
    }
    return true;
}

/* From the newest part back, as long as what they hold fits the bounds. */
static int choose(struct asking *asking, struct error *err)
{
    enum { AT_PART, AT_ROWS, AT_BYTES, AT_UNREADABLE, NUMBERS };
    const struct clickhouse_settings *s = &asking->past->settings;
    const struct clickhouse_question *question = asking->question;
    struct clickhouse_found *found = asking->found;
    const char *at = asking->counts;
    uint64_t rows = 0, bytes = 0, numbers[NUMBERS];

    asking->counts[asking->counts_length] = '\0';
    found->from_ns = question->from_ns;
    while (*at != '\0') {
        if (!take_line(&at, numbers, NUMBERS) || numbers[AT_PART] > PARTS) {
            return error_set(err, EBADMSG, "its answer is no list of counts");
        }
        const bool has_rows = numbers[AT_ROWS] > s->query_rows - rows;

        if (has_rows || numbers[AT_BYTES] > s->query_bytes - bytes) {
            found->bound = has_rows ? "clickhouse.query_rows" : "clickhouse.query_size";
            found->from_ns = numbers[AT_PART] < PARTS
                                 ? question->from_ns + (numbers[AT_PART] + 1) * part_ns(question)
                                 : question->until_ns;
            return 0;
        }
        rows += numbers[AT_ROWS];
        bytes += numbers[AT_BYTES];
        found->unreadable += numbers[AT_UNREADABLE];
    }
    return 0;
}

static int count_rows(struct asking *asking, struct error *err)
{
    const struct clickhouse_question *question = asking->question;
    char *conditions = where(asking->past, question, question->from_ns);
    char *statement = NULL;

    if (conditions == NULL ||
        asprintf(&statement,
                 "SELECT toUInt64(least(intDiv(toUnixTimestamp64Nano(toDateTime64(end_time, 9, "
                 "'UTC')) - %" PRId64 ", %" PRIu64 "), %u)) AS part, count(), "
                 "sum(length(record)), countIf(empty(record))%s GROUP BY part ORDER BY part DESC "
                 "FORMAT TabSeparated",
                 signed_of(question->from_ns), part_ns(question), PARTS, conditions) < 0) {
        statement = NULL;
    }
    free(conditions);
    const int result = ask(asking, statement, take_counts, err);

    return result == 0 ? choose(asking, err) : result;
}

/* ---- the records ---- */

static bool take_record(void *context, const struct clickhouse_record *record)
{
    struct asking *asking = context;

    asking->found->records++;
    if (!asking->question->take(asking->question->context, record)) {
        asking->is_cancelled = true;
    }
    return !asking->is_cancelled;
}

static bool take_rows(void *context, const uint8_t *bytes, size_t length)
{
    struct asking *asking = context;

    return clickhouse_row_reader_take(&asking->reader, bytes, length);
}

static int read_rows(struct asking *asking, struct error *err)
{
    char *conditions = where(asking->past, asking->question, asking->found->from_ns);
    char *statement = NULL;

    if (asking->found->from_ns >= asking->question->until_ns) {
        free(conditions);
        return 0;
    }
    if (conditions == NULL ||
        asprintf(&statement,
                 "SELECT " CLICKHOUSE_ROW_COLUMNS "%s AND notEmpty(record) "
                 "ORDER BY end_time, sensor_id, boot_id, record_seq FORMAT RowBinary",
                 conditions) < 0) {
        statement = NULL;
    }
    free(conditions);
    asking->reader.take = take_record;
    asking->reader.context = asking;
    const int result = ask(asking, statement, take_rows, err);

    if (result == 0 && asking->reader.length > 0) {
        return error_set(err, EBADMSG, "its answer ends within a record");
    }
    return result;
}

static void count_question(struct clickhouse_past *past, const struct clickhouse_found *found,
                           int result, const struct error *err)
{
    struct clickhouse_past_counts *counts = &past->counts;

    (void)pthread_mutex_lock(&past->lock);
    counts->questions++;
    counts->records += found->records;
    counts->bounded += found->bound != NULL;
    if (result != -ECANCELED) {
        counts->is_failing = result != 0;
        counts->failed += result != 0;
    }
    if (result != 0 && result != -ECANCELED) {
        (void)snprintf(counts->reason, sizeof(counts->reason), "%.299s", err->message);
        counts->failed_ns = clock_wall_ns();
    }
    (void)pthread_mutex_unlock(&past->lock);
}

int clickhouse_past_ask(struct clickhouse_past *past, const struct clickhouse_question *question,
                        struct clickhouse_found *found, struct error *err)
{
    const uint64_t now_ns = clock_monotonic_ns();

    *found = (struct clickhouse_found){.from_ns = question->until_ns};
    if (now_ns < past->pause_until_ns) {
        return error_set(err, EAGAIN, "%.200s (asked again in %" PRIu64 " s)", past->counts.reason,
                         (past->pause_until_ns - now_ns) / NS_PER_SEC + 1);
    }
    struct asking *asking = calloc(1, sizeof(*asking));

    if (asking == NULL) {
        return error_set(err, ENOMEM, "no memory");
    }
    asking->past = past;
    asking->question = question;
    asking->found = found;
    asking->until_ns = now_ns + past->settings.query_timeout_ns;
    int result = count_rows(asking, err);

    result = result != 0 ? result : read_rows(asking, err);
    clickhouse_row_reader_fini(&asking->reader);
    free(asking);
    count_question(past, found, result, err);
    return result;
}
