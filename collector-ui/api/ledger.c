#include "collector-ui/api/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static void hold_rest(struct stats_ledger_row *row)
{
    const uint64_t gone = row->out + stats_ledger_lost(row);

    row->held = row->in > gone ? row->in - gone : 0;
}

uint32_t ledger_receivers(struct api *api, struct api_receiver_counts out[API_RECEIVERS_MAX])
{
    uint32_t (*const ask)(void *context, struct api_receiver_counts out[API_RECEIVERS_MAX]) =
        atomic_load(&api->receiver_counts);

    return ask == NULL ? 0 : ask(api->context, out);
}

uint32_t ledger_clickhouse(struct api *api, struct api_clickhouse_counts out[API_CLICKHOUSE_MAX])
{
    uint32_t (*const ask)(void *context, struct api_clickhouse_counts out[API_CLICKHOUSE_MAX]) =
        atomic_load(&api->clickhouse_counts);

    return ask == NULL ? 0 : ask(api->context, out);
}

static uint32_t add_clickhouse(struct api *api, struct stats_ledger_row *rows)
{
    struct api_clickhouse_counts counts[API_CLICKHOUSE_MAX];
    const uint32_t count = ledger_clickhouse(api, counts);

    for (uint32_t i = 0; i < count; i++) {
        const struct api_clickhouse_counts *c = &counts[i];
        const bool is_flows = strcmp(c->stream, "flows") == 0;

        rows[i] = (struct stats_ledger_row){.stage = LEDGER_SINK,
                                            .unit = "records",
                                            .in = c->taken,
                                            .out = c->inserted,
                                            .held = c->waiting};
        (void)snprintf(rows[i].name, sizeof(rows[i].name), "clickhouse%s%s", is_flows ? "" : " ",
                       is_flows ? "" : c->stream);
        stats_ledger_add(&rows[i], "refused", c->refused);
        stats_ledger_add(&rows[i], "undecodable", c->undecodable);
        stats_ledger_add(&rows[i], "queue_full", c->dropped);
    }
    return count;
}

/* What a receiver did not choose is none of its business. */
static uint32_t add_receivers(struct api *api, struct stats_ledger_row *rows)
{
    struct api_receiver_counts counts[API_RECEIVERS_MAX];
    const uint32_t count = ledger_receivers(api, counts);

    for (uint32_t i = 0; i < count; i++) {
        const struct api_receiver_counts *c = &counts[i];

        rows[i] = (struct stats_ledger_row){.stage = LEDGER_SINK,
                                            .unit = "alerts",
                                            .in = c->taken - c->passed_over,
                                            .out = c->sent,
                                            .held = c->waiting};
        (void)snprintf(rows[i].name, sizeof(rows[i].name), "receiver %s", c->name);
        stats_ledger_add(&rows[i], "silenced", c->silenced);
        stats_ledger_add(&rows[i], "refused", c->refused);
        stats_ledger_add(&rows[i], "expired", c->expired);
        stats_ledger_add(&rows[i], "queue_full", c->dropped);
    }
    return count;
}

uint32_t ledger_dials(struct api *api, struct api_dial_counts out[API_DIALS_MAX])
{
    uint32_t (*const ask)(void *context, struct api_dial_counts out[API_DIALS_MAX]) =
        atomic_load(&api->dial_counts);

    return ask == NULL ? 0 : ask(api->context, out);
}

static uint32_t add_dials(struct api *api, struct stats_ledger_row *rows)
{
    struct api_dial_counts counts[API_DIALS_MAX];
    const uint32_t count = ledger_dials(api, counts);

    for (uint32_t i = 0; i < count; i++) {
        const struct api_dial_counts *c = &counts[i];

        rows[i] =
            (struct stats_ledger_row){.stage = LEDGER_WIRE,
                                      .unit = "records",
                                      .in = c->taken + c->known + c->lost + c->passed + c->refused,
                                      .out = c->taken};
        (void)snprintf(rows[i].name, sizeof(rows[i].name), "dial %s", c->name);
        stats_ledger_add(&rows[i], "duplicate", c->known);
        stats_ledger_add(&rows[i], "told_lost", c->lost);
        stats_ledger_add(&rows[i], "by_stream", c->passed);
        stats_ledger_add(&rows[i], "refused", c->refused);
    }
    return count;
}

uint32_t collector_ledger(struct api *api, struct stats_ledger_row rows[COLLECTOR_LEDGER_ROWS_MAX])
{
    struct stats_ledger_row *ingest = &rows[0];
    struct stats_ledger_row *store = &rows[1];
    struct stats_ledger_row *feed = &rows[2];
    struct api_ingest_counts received = {0};
    struct history_counts stored;

    /* Downstream first: what is counted behind was counted before. */
    *feed = (struct stats_ledger_row){
        .stage = LEDGER_FEED, .unit = "frames", .out = atomic_load(&api->live_frames)};
    stats_ledger_add(feed, "slow_client", atomic_load(&api->live_lost));
    feed->in = feed->out + stats_ledger_lost(feed);
    history_counts_read(api->history, &stored);
    if (api->ingest_counts != NULL) {
        api->ingest_counts(api->context, &received);
    }
    *store = (struct stats_ledger_row){
        .stage = LEDGER_STORE, .unit = "records", .out = stored.records_stored};
    stats_ledger_add(store, "duplicate", stored.records_duplicate);
    stats_ledger_add(store, "undecodable", stored.records_undecodable);
    stats_ledger_add(store, "not_kept", stored.records_not_kept);
    const uint64_t kept = received.records - received.returned;
    store->in = kept > stored.records_in ? kept : stored.records_in;
    hold_rest(store);
    *ingest = (struct stats_ledger_row){.stage = LEDGER_INGEST,
                                        .unit = "records",
                                        .in = received.records + received.duplicates +
                                              received.gap_records,
                                        .out = kept};
    stats_ledger_add(ingest, "duplicate", received.duplicates);
    stats_ledger_add(ingest, "told_lost", received.gap_records);
    stats_ledger_add(ingest, "returned", received.returned);
    uint32_t count = 3 + add_clickhouse(api, rows + 3);

    count += add_receivers(api, rows + count);
    return count + add_dials(api, rows + count);
}

/* ---- /v1/ledger ---- */

static void write_row(struct json_writer *out, const struct sensor_ledger_row *row)
{
    char stage[48];
    size_t length =
        (size_t)snprintf(stage, sizeof(stage), "LEDGER_STAGE_%s", ledger_stage_name(row->stage));

    while (length-- > 0) {
        stage[length] =
            (char)(stage[length] >= 'a' && stage[length] <= 'z' ? stage[length] - ('a' - 'A')
                                                                : stage[length]);
    }
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"in", row->in},
                   {"out", row->out},
                   {"held", row->held},
                   {"packets_in", row->packets_in},
                   {"packets_out", row->packets_out}};

    json_object_begin(out);
    json_key(out, "stage");
    json_text(out, stage);
    json_key(out, "name");
    json_text(out, row->name);
    json_key(out, "unit");
    json_text(out, row->unit);
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        json_key(out, numbers[i].key);
        json_u64_text(out, numbers[i].value);
    }
    json_key(out, "lost");
    json_array_begin(out);
    for (uint32_t i = 0; i < row->lost_count; i++) {
        json_object_begin(out);
        json_key(out, "reason");
        json_text(out, row->lost[i].reason);
        json_key(out, "count");
        json_u64_text(out, row->lost[i].count);
        json_object_end(out);
    }
    json_array_end(out);
    json_object_end(out);
}

static void write_rows(struct json_writer *out, const struct sensor_ledger_row *rows,
                       uint32_t count)
{
    json_key(out, "rows");
    json_array_begin(out);
    for (uint32_t i = 0; i < count; i++) {
        write_row(out, &rows[i]);
    }
    json_array_end(out);
}

static void write_sensors(struct api *api, struct json_writer *out)
{
    uint32_t known;
    struct sensor_info *list = sensor_registry_all(api->registry, clock_wall_ns(), &known);
    struct sensor_ledger_row *rows = calloc(STATS_ROWS_MAX, sizeof(*rows));

    json_key(out, "sensors");
    json_array_begin(out);
    for (uint32_t i = 0; i < known && rows != NULL; i++) {
        json_object_begin(out);
        json_key(out, "sensor_id");
        json_text(out, list[i].sensor_id);
        json_key(out, "time");
        rest_time(out, list[i].stats_time_ns);
        write_rows(out, rows,
                   sensor_registry_ledger(api->registry, list[i].sensor_id, rows, STATS_ROWS_MAX));
        json_object_end(out);
    }
    json_array_end(out);
    free(rows);
    free(list);
}

static void write_ledger(struct api *api, struct http_request *request, struct json_writer *out)
{
    struct stats_ledger_row own[COLLECTOR_LEDGER_ROWS_MAX];
    struct sensor_ledger_row rows[COLLECTOR_LEDGER_ROWS_MAX];
    bool is_balanced = true;

    (void)request;
    const uint32_t count = collector_ledger(api, own);

    for (uint32_t i = 0; i < count; i++) {
        sensor_ledger_row_from(&rows[i], &own[i]);
        is_balanced =
            is_balanced && own[i].in == own[i].out + stats_ledger_lost(&own[i]) + own[i].held;
    }
    json_object_begin(out);
    write_rows(out, rows, count);
    json_key(out, "balanced");
    json_bool(out, is_balanced);
    write_sensors(api, out);
    json_object_end(out);
}

void route_ledger(struct http_request *request)
{
    rest_answer(request, write_ledger);
}
