/* What the thread does: fills a batch from the log, sends it until the server has it, moves its
 * place. */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/clickhouse/clickhouse_private.h"

#define RETRY_FIRST_NS   NS_PER_SEC
#define RETRY_LONGEST_NS (10 * NS_PER_SEC)
#define DOUBLINGS_MAX    4
#define SHED_SHARE       16 /* of the bound: so much more is given up at once */

/* ---- waiting and telling ---- */

/* Until the time or the end, or until another number of batches was noted (NULL: whatever is). */
static void wait_until(struct clickhouse *ch, const uint64_t *noted, uint64_t until_ns)
{
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};

    (void)pthread_mutex_lock(&ch->lock);
    while ((noted == NULL || ch->noted == *noted) && !clickhouse_is_stopping(ch) &&
           clock_monotonic_ns() < until_ns) {
        (void)pthread_cond_timedwait(&ch->wake, &ch->lock, &until);
    }
    (void)pthread_mutex_unlock(&ch->lock);
}

static uint64_t noted_now(struct clickhouse *ch)
{
    (void)pthread_mutex_lock(&ch->lock);
    const uint64_t noted = ch->noted;

    (void)pthread_mutex_unlock(&ch->lock);
    return noted;
}

static void tell_failure(struct clickhouse *ch, const struct error *err)
{
    char quoted[700];

    ch->failures++;
    (void)pthread_mutex_lock(&ch->lock);
    ch->counts.retries++;
    ch->counts.is_failing = true;
    (void)snprintf(ch->counts.reason, sizeof(ch->counts.reason), "%.299s", err->message);
    (void)pthread_mutex_unlock(&ch->lock);
    if (ch->failures == 1) {
        log_warn(ch->part, "ClickHouse takes no rows; they wait in the log", "reason=%s",
                 log_quote(err->message, quoted, sizeof(quoted)));
    } else {
        log_debug(ch->part, "ClickHouse still takes no rows", "tries=%u reason=%s", ch->failures,
                  log_quote(err->message, quoted, sizeof(quoted)));
    }
}

static void tell_success(struct clickhouse *ch)
{
    if (ch->failures > 0) {
        log_info(ch->part, "ClickHouse takes rows again", "tries=%u", ch->failures);
    }
    ch->failures = 0;
    (void)pthread_mutex_lock(&ch->lock);
    ch->counts.is_failing = false;
    (void)pthread_mutex_unlock(&ch->lock);
}

/* ---- the place in the log ---- */

static void close_reader(struct clickhouse *ch)
{
    if (ch->reader != NULL) {
        ch->log.close(ch->reader);
        ch->reader = NULL;
    }
}

/* The batch is made anew from the log. */
static void forget_batch(struct clickhouse *ch)
{
    clickhouse_body_clear(&ch->body);
    ch->is_filled = false;
    close_reader(ch);
}

static bool open_reader(struct clickhouse *ch, struct error *err)
{
    if (ch->reader == NULL) {
        ch->reader = ch->log.open(ch->log.context, ch->state.from, err);
        ch->missing = 0;
    }
    return ch->reader != NULL;
}

static void note_missing(struct clickhouse *ch)
{
    const uint64_t missing = ch->log.missing(ch->reader);

    if (missing > ch->missing) {
        (void)pthread_mutex_lock(&ch->lock);
        ch->counts.missing_bytes += missing - ch->missing;
        (void)pthread_mutex_unlock(&ch->lock);
        log_warn(ch->part, "a piece of the log is not there: its rows are not written",
                 "bytes=%llu", (unsigned long long)(missing - ch->missing));
        ch->missing = missing;
    }
}

static bool save(struct clickhouse *ch)
{
    struct error err = {0};

    if (clickhouse_state_save(ch->path, &ch->state, &err) != 0) {
        tell_failure(ch, &err);
        return false;
    }
    atomic_store(&ch->position, ch->state.from);
    return true;
}

/* All before `position` is done with. Where that cannot be saved, a restart sends it once more, by
 * the same token. */
static void advance(struct clickhouse *ch, uint64_t position)
{
    const bool has_moved = position != ch->state.from || ch->state.to != 0;

    ch->state.from = position;
    ch->state.to = 0;
    ch->is_suspect = false;
    clickhouse_body_clear(&ch->body);
    ch->is_filled = false;
    if (has_moved) {
        (void)save(ch);
    }
}

/* ---- a batch ---- */

static bool is_full(const struct clickhouse *ch)
{
    return ch->body.rows >= ch->settings->batch_rows ||
           ch->body.length >= ch->settings->batch_bytes || ch->body.frames >= ch->frames_max;
}

/* 1: read on; 0: no more now; -errno. */
static int fill_one(struct clickhouse *ch, uint64_t until, struct error *err)
{
    struct clickhouse_batch batch;
    const int result = ch->log.next(ch->reader, until, &batch, err);

    note_missing(ch);
    if (result == -EBADMSG) {
        log_error(ch->part, err->message, NULL);
        error_clear(err);
        return 1;
    }
    if (result <= 0 || batch.stream != ch->stream ||
        clickhouse_body_add(&ch->body, &ch->table, &batch)) {
        return result;
    }
    return error_set(err, ENOMEM, "no memory for a batch of %u rows", ch->body.rows);
}

/* Rows until the batch is full or its time is over; the very same ones where it may have been sent
 * before. 0 or -errno. */
static int fill(struct clickhouse *ch, struct error *err)
{
    const uint64_t planned = ch->state.to;
    uint64_t until_ns = clock_monotonic_ns() + ch->settings->batch_ns;

    if (!open_reader(ch, err)) {
        return -err->code;
    }
    for (;;) {
        const uint64_t noted = noted_now(ch);
        const bool was_empty = ch->body.frames == 0;
        const int result = fill_one(ch, planned, err);

        if (result < 0) {
            forget_batch(ch);
            return result;
        }
        if (planned == 0 && was_empty && ch->body.frames > 0) {
            until_ns = clock_monotonic_ns() + ch->settings->batch_ns;
        }
        const bool is_over = clickhouse_is_stopping(ch) || clock_monotonic_ns() >= until_ns;

        if (planned == 0 ? is_full(ch) || clickhouse_is_stopping(ch) ||
                               (is_over && (result == 0 || ch->body.frames > 0))
                         : result == 0) {
            break;
        }
        if (result == 0) {
            wait_until(ch, &noted, until_ns);
        }
    }
    const uint64_t position = ch->log.position(ch->reader);

    ch->body_end = position > planned ? position : planned;
    ch->is_filled = true;
    return 0;
}

/* ---- sending ---- */

static void count_batch(struct clickhouse *ch, bool is_inserted)
{
    (void)pthread_mutex_lock(&ch->lock);
    *(is_inserted ? &ch->counts.inserted : &ch->counts.refused) += ch->body.rows;
    ch->counts.undecodable += ch->body.undecodable;
    ch->counts.inserts += is_inserted && ch->body.rows > 0;
    (void)pthread_mutex_unlock(&ch->lock);
}

static void take_inserted(struct clickhouse *ch)
{
    count_batch(ch, true);
    ch->frames_max = ch->frames_max > UINT32_MAX / 2 ? UINT32_MAX : ch->frames_max * 2;
    tell_success(ch);
    advance(ch, ch->body_end);
}

/* The server says that it will never take these rows: half of them is tried, with the columns asked
 * for anew, until one batch of the log is found that is the reason. */
static void take_refused(struct clickhouse *ch, const struct error *err)
{
    char quoted[700];

    if (ch->body.frames > 1 || !ch->is_suspect) {
        ch->frames_max = ch->body.frames > 1 ? ch->body.frames / 2 : 1;
        ch->is_suspect = true;
        ch->state.to = 0;
        clickhouse_table_fini(&ch->table);
        forget_batch(ch);
        return;
    }
    log_warn(ch->part, "ClickHouse refuses rows; they are given up", "rows=%u reason=%s",
             ch->body.rows, log_quote(err->message, quoted, sizeof(quoted)));
    count_batch(ch, false);
    advance(ch, ch->body_end);
}

static enum clickhouse_outcome look_at_table(struct clickhouse *ch, struct error *err)
{
    const char *text = NULL;
    const char *name = NULL;
    size_t length = 0;
    const enum clickhouse_outcome outcome = clickhouse_http_describe(ch->http, &text, &length, err);

    if (outcome != CLICKHOUSE_DONE) {
        return outcome;
    }
    if (clickhouse_table_read(ch->stream, text, length, &ch->table, err) != 0) {
        error_prefix(err, "table %s.%s", ch->settings->database, ch->table_name);
        return CLICKHOUSE_MISFIT;
    }
    const uint32_t left_out = clickhouse_table_left_out(&ch->table, &name);

    if (left_out > 0) {
        log_warn(ch->part, "columns of the table stay empty: their types hold no such value",
                 "columns=%u first=%s", left_out, name);
    }
    return CLICKHOUSE_DONE;
}

/* The batch with its end on disk before it is sent, so that one that is sent again is the same. */
static enum clickhouse_outcome send_batch(struct clickhouse *ch, struct error *err)
{
    char token[CLICKHOUSE_TOKEN_BYTES];

    if (ch->body.rows == 0) {
        return CLICKHOUSE_DONE;
    }
    if (ch->state.to != ch->body_end) {
        ch->state.to = ch->body_end;
        if (clickhouse_state_save(ch->path, &ch->state, err) != 0) {
            ch->state.to = 0;
            return CLICKHOUSE_RETRY;
        }
    }
    const struct clickhouse_rows rows = clickhouse_body_rows(&ch->body);

    clickhouse_state_token(&ch->state, token);
    return clickhouse_http_insert(ch->http, clickhouse_table_columns(&ch->table), token, &rows,
                                  err);
}

/* One step. False: it failed, and `err` says why. */
static bool step(struct clickhouse *ch, struct error *err)
{
    enum clickhouse_outcome outcome =
        clickhouse_table_is_known(&ch->table) ? CLICKHOUSE_DONE : look_at_table(ch, err);

    if (outcome == CLICKHOUSE_DONE) {
        if (!ch->is_filled && fill(ch, err) != 0) {
            return false;
        }
        outcome = send_batch(ch, err);
    }
    switch (outcome) {
    case CLICKHOUSE_DONE:
        take_inserted(ch);
        return true;
    case CLICKHOUSE_REFUSED:
        take_refused(ch, err);
        return true;
    case CLICKHOUSE_MISFIT: /* whoever mends it may change the columns */
        clickhouse_table_fini(&ch->table);
        forget_batch(ch);
        return false;
    default:
        return false;
    }
}

/* ---- the log's bound ---- */

/* Records of the stream from the reader on, until it is at `until`. */
static uint64_t pass_over(struct clickhouse *ch, uint64_t until)
{
    uint64_t records = 0;
    int result = 1;

    while (result != 0 && ch->log.position(ch->reader) < until && !clickhouse_is_stopping(ch)) {
        struct clickhouse_batch batch;
        struct error err = {0};

        result = ch->log.next(ch->reader, until, &batch, &err);
        records += result > 0 && batch.stream == ch->stream ? batch.record_count : 0;
        if (result < 0 && result != -EBADMSG) {
            break;
        }
    }
    note_missing(ch);
    return records;
}

/* More of the log than may be kept: the oldest is given up. */
static void shed(struct clickhouse *ch)
{
    const uint64_t end = ch->log.end(ch->log.context);
    const uint64_t bound = ch->settings->queue_bytes;
    struct error err = {0};

    if (end <= ch->state.from || end - ch->state.from <= bound) {
        return;
    }
    forget_batch(ch);
    if (!open_reader(ch, &err)) {
        return; /* the next step tells it */
    }
    const uint64_t records = pass_over(ch, end - bound + bound / SHED_SHARE);

    (void)pthread_mutex_lock(&ch->lock);
    ch->counts.dropped += records;
    (void)pthread_mutex_unlock(&ch->lock);
    if (records > 0) {
        log_warn(ch->part,
                 "rows are given up: the log is not kept longer than clickhouse.queue_size",
                 "rows=%llu", (unsigned long long)records);
    }
    advance(ch, ch->log.position(ch->reader));
}

static void pause_before_retry(struct clickhouse *ch)
{
    const unsigned doublings = ch->failures > DOUBLINGS_MAX ? DOUBLINGS_MAX
                               : ch->failures > 0           ? ch->failures - 1
                                                            : 0;
    const uint64_t wanted_ns = RETRY_FIRST_NS << doublings;
    const uint64_t until_ns =
        clock_monotonic_ns() + (wanted_ns > RETRY_LONGEST_NS ? RETRY_LONGEST_NS : wanted_ns);

    for (uint64_t now_ns = clock_monotonic_ns(); now_ns < until_ns && !clickhouse_is_stopping(ch);
         now_ns = clock_monotonic_ns()) {
        const uint64_t next_ns = now_ns + NS_PER_SEC;

        wait_until(ch, NULL, next_ns < until_ns ? next_ns : until_ns);
        shed(ch);
    }
}

/* ---- the thread ---- */

/* What waits in the log from an earlier life. */
static void count_waiting(struct clickhouse *ch)
{
    struct error err = {0};

    if (!open_reader(ch, &err)) {
        tell_failure(ch, &err);
        return;
    }
    (void)pthread_mutex_lock(&ch->lock);
    const uint64_t end = ch->start_end;

    (void)pthread_mutex_unlock(&ch->lock);
    const uint64_t records = pass_over(ch, end);

    (void)pthread_mutex_lock(&ch->lock);
    ch->counts.taken += records;
    ch->counts.is_waiting_known = !clickhouse_is_stopping(ch);
    (void)pthread_mutex_unlock(&ch->lock);
    close_reader(ch);
    if (records > 0) {
        log_info(ch->part, "rows wait in the log", "rows=%llu", (unsigned long long)records);
    }
}

/* After the signal to end: what is there goes out, in one batch after the other, while it can. */
static bool is_done(const struct clickhouse *ch, uint64_t before)
{
    return clickhouse_is_stopping(ch) &&
           (ch->state.from == before || transfer_is_past_deadline(&ch->deadline_ns));
}

void *clickhouse_feed(void *clickhouse)
{
    struct clickhouse *ch = clickhouse;

    count_waiting(ch);
    for (;;) {
        const uint64_t before = ch->state.from;
        struct error err = {0};

        shed(ch);
        if (!step(ch, &err)) {
            tell_failure(ch, &err);
            if (clickhouse_is_stopping(ch)) {
                break;
            }
            pause_before_retry(ch);
        } else if (is_done(ch, before)) {
            break;
        }
    }
    return NULL;
}
