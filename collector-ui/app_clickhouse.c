/* Records from ingest's log into ClickHouse, and flow records that are older than the history out
 * of it. */
#include <stdio.h>

#include "collector-ui/app_private.h"

/* What a stream is called where its feed is told of. Flows came first: theirs have no ending. */
static const char *const streams[RECORD_STREAM_COUNT] = {
    [RECORD_FLOWS] = "flows",
    [RECORD_ALERTS] = "alerts",
    [RECORD_STATS] = "stats",
    [RECORD_DNS] = "dns",
};

int app_open_clickhouse(struct app *app, struct error *err)
{
    const struct clickhouse_settings *settings = &app->settings->clickhouse;

    for (enum record_stream stream = 0; stream < RECORD_STREAM_COUNT; stream++) {
        char path[PATH_BYTES];

        if (!clickhouse_is_on(settings) || clickhouse_table_of(settings, stream)[0] == '\0') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/clickhouse%s%s", app->directory,
                       stream == RECORD_FLOWS ? "" : "-",
                       stream == RECORD_FLOWS ? "" : streams[stream]);
        app->clickhouse[stream] = clickhouse_new(settings, stream, path, err);
        if (app->clickhouse[stream] == NULL) {
            return -err->code;
        }
    }
    return 0;
}

void app_close_clickhouse(struct app *app)
{
    for (enum record_stream stream = 0; stream < RECORD_STREAM_COUNT; stream++) {
        clickhouse_stop(app->clickhouse[stream]); /* all at once */
    }
    for (enum record_stream stream = 0; stream < RECORD_STREAM_COUNT; stream++) {
        clickhouse_free(app->clickhouse[stream]);
        app->clickhouse[stream] = NULL;
    }
}

uint64_t app_clickhouse_position(const struct app *app, uint64_t position)
{
    for (enum record_stream stream = 0; stream < RECORD_STREAM_COUNT; stream++) {
        if (app->clickhouse[stream] != NULL) {
            const uint64_t sent = clickhouse_position(app->clickhouse[stream]);

            position = sent < position ? sent : position;
        }
    }
    return position;
}

/* ---- the log, as it is read ---- */

static void *open_reader(void *context, uint64_t position, struct error *err)
{
    return ingest_reader_new(context, position, err);
}

static void close_reader(void *reader)
{
    ingest_reader_free(reader);
}

static int next_batch(void *reader, uint64_t until, struct clickhouse_batch *out, struct error *err)
{
    struct ingest_batch batch;
    const int result = ingest_reader_next(reader, until, &batch, err);

    if (result > 0) {
        *out = (struct clickhouse_batch){.stream = batch.stream,
                                         .sensor_id = batch.sensor_id,
                                         .boot_id = batch.boot_id,
                                         .first_seq = batch.first_seq,
                                         .record_count = batch.record_count,
                                         .records = batch.records};
    }
    return result;
}

static uint64_t position_of(void *reader)
{
    return ingest_reader_position(reader);
}

static uint64_t missing_of(void *reader)
{
    return ingest_reader_missing(reader);
}

static uint64_t end_of_log(void *context)
{
    return ingest_log_end(context);
}

int app_start_clickhouse(struct app *app, struct error *err)
{
    const struct clickhouse_log log = {.context = app->ingest,
                                       .open = open_reader,
                                       .close = close_reader,
                                       .next = next_batch,
                                       .position = position_of,
                                       .missing = missing_of,
                                       .end = end_of_log};

    for (enum record_stream stream = 0; stream < RECORD_STREAM_COUNT; stream++) {
        if (app->clickhouse[stream] != NULL &&
            clickhouse_start(app->clickhouse[stream], &log, err) != 0) {
            return -err->code;
        }
    }
    return 0;
}

/* ---- what is older than the history ---- */

int app_open_past(struct app *app, struct error *err)
{
    if (!clickhouse_is_asked(&app->settings->clickhouse)) {
        return 0;
    }
    app->past = clickhouse_past_new(&app->settings->clickhouse, err);
    return app->past == NULL ? -err->code : 0;
}

static bool take_record(void *context, const struct clickhouse_record *record)
{
    const struct history_past_question *question = context;
    const struct history_past_record one = {.sensor_id = record->sensor_id,
                                            .boot_id = record->boot_id,
                                            .seq = record->seq,
                                            .bytes = record->bytes,
                                            .length = record->length};

    return question->take(question->context, &one);
}

static bool is_wanted(void *context)
{
    const struct history_past_question *question = context;

    return question->is_wanted(question->context);
}

static int ask_past(void *context, const struct history_past_question *question,
                    struct history_past_answer *answer, struct error *err)
{
    struct history_past_question mine = *question;
    struct clickhouse_found found;
    const int result =
        clickhouse_past_ask(context,
                            &(struct clickhouse_question){.from_ns = question->from_ns,
                                                          .until_ns = question->until_ns,
                                                          .before_ns = question->before_ns,
                                                          .condition = question->condition,
                                                          .is_wanted = is_wanted,
                                                          .take = take_record,
                                                          .context = &mine},
                            &found, err);

    *answer = (struct history_past_answer){
        .from_ns = found.from_ns, .bound = found.bound, .unreadable = found.unreadable};
    return result;
}

struct history_past app_past(const struct app *app)
{
    return app->past == NULL ? (struct history_past){0}
                             : (struct history_past){.context = app->past, .ask = ask_past};
}

/* ---- what is told ---- */

void app_note_clickhouse(struct app *app, const struct ingest_batch *batch)
{
    if (app->clickhouse[batch->stream] != NULL) {
        clickhouse_note(app->clickhouse[batch->stream], batch->record_count, batch->log_position);
    }
}

static void count_questions(const struct app *app, struct api_clickhouse_counts *out)
{
    struct clickhouse_past_counts counts;

    if (app->past == NULL) {
        return;
    }
    clickhouse_past_counts_read(app->past, &counts);
    out->is_asked = true;
    out->is_question_failing = counts.is_failing;
    out->questions = counts.questions;
    out->questions_failed = counts.failed;
    out->questions_bounded = counts.bounded;
    out->records_read = counts.records;
    (void)snprintf(out->question_reason, sizeof(out->question_reason), "%s", counts.reason);
    out->question_failed_ns = counts.failed_ns;
}

uint32_t app_count_clickhouse(void *context, struct api_clickhouse_counts out[API_CLICKHOUSE_MAX])
{
    const struct app *app = context;
    uint32_t count = 0;

    for (enum record_stream stream = 0; stream < RECORD_STREAM_COUNT; stream++) {
        struct clickhouse_counts counts;

        if (app->clickhouse[stream] == NULL) {
            continue;
        }
        clickhouse_counts_read(app->clickhouse[stream], &counts);
        struct api_clickhouse_counts *one = &out[count++];

        *one = (struct api_clickhouse_counts){.stream = streams[stream],
                                              .taken = counts.taken,
                                              .inserted = counts.inserted,
                                              .refused = counts.refused,
                                              .undecodable = counts.undecodable,
                                              .dropped = counts.dropped,
                                              .waiting = counts.waiting,
                                              .inserts = counts.inserts,
                                              .retries = counts.retries,
                                              .backlog_bytes = counts.backlog_bytes,
                                              .missing_bytes = counts.missing_bytes,
                                              .is_waiting_known = counts.is_waiting_known,
                                              .is_failing = counts.is_failing};
        (void)snprintf(one->reason, sizeof(one->reason), "%s", counts.reason);
        if (stream == RECORD_FLOWS) {
            count_questions(app, one);
        }
    }
    return count;
}
