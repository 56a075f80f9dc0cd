/* Flow records from ingest's log into ClickHouse. */
#include <stdio.h>

#include "collector-ui/app_private.h"

int app_open_clickhouse(struct app *app, struct error *err)
{
    char path[PATH_BYTES];

    if (!clickhouse_is_on(&app->settings->clickhouse)) {
        return 0;
    }
    (void)snprintf(path, sizeof(path), "%s/clickhouse", app->directory);
    app->clickhouse = clickhouse_new(&app->settings->clickhouse, path, err);
    return app->clickhouse == NULL ? -err->code : 0;
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
        *out = (struct clickhouse_batch){.is_flows = batch.stream == RECORD_FLOWS,
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

    return app->clickhouse == NULL ? 0 : clickhouse_start(app->clickhouse, &log, err);
}

/* ---- what is told ---- */

void app_note_clickhouse(struct app *app, const struct ingest_batch *batch)
{
    if (app->clickhouse != NULL && batch->stream == RECORD_FLOWS) {
        clickhouse_note(app->clickhouse, batch->record_count, batch->log_position);
    }
}

bool app_count_clickhouse(void *context, struct api_clickhouse_counts *out)
{
    const struct app *app = context;
    struct clickhouse_counts counts;

    if (app->clickhouse == NULL) {
        return false;
    }
    clickhouse_counts_read(app->clickhouse, &counts);
    *out = (struct api_clickhouse_counts){.taken = counts.taken,
                                          .inserted = counts.inserted,
                                          .refused = counts.refused,
                                          .undecodable = counts.undecodable,
                                          .dropped = counts.dropped,
                                          .waiting = counts.waiting,
                                          .inserts = counts.inserts,
                                          .retries = counts.retries,
                                          .backlog_bytes = counts.backlog_bytes,
                                          .missing_bytes = counts.missing_bytes,
                                          .is_failing = counts.is_failing};
    return true;
}
