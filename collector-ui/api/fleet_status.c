/* CollectorService.GetCollectorStatus: how the collector itself fares. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/collector_status.h"
#include "collector-ui/api/fleet_private.h"

enum {
    STATUS_VERSION = 1,
    STATUS_BOOT_ID = 2,
    STATUS_HOST_NAME = 3,
    STATUS_START_TIME = 4,
    STATUS_TIME = 5,
    STATUS_PROCESS = 6,
    STATUS_INGEST = 7,
    STATUS_STORE = 8,
    STATUS_QUERIES = 9,
    STATUS_LIVE = 10,
    STATUS_RECEIVERS = 11,
    STATUS_API = 12,
    STATUS_CLICKHOUSE = 13,
    STATUS_CLICKHOUSE_OTHERS = 14
};
enum {
    CLICKHOUSE_FAILING = 1,
    CLICKHOUSE_REASON = 2,
    CLICKHOUSE_WAITING = 3,
    CLICKHOUSE_WAITING_KNOWN = 4,
    CLICKHOUSE_ASKED = 11,
    CLICKHOUSE_QUESTIONS_FAILING = 12,
    CLICKHOUSE_QUESTIONS_REASON = 13,
    CLICKHOUSE_QUESTIONS_FAILED_TIME = 14,
    CLICKHOUSE_STREAM = 19
};
enum { PROCESS_RESIDENT = 1, PROCESS_LIMIT = 2, PROCESS_CPU_TIME = 3, PROCESS_CPUS = 4 };
enum {
    STORE_BYTES = 1,
    STORE_DAYS = 2,
    STORE_RETENTION = 3,
    STORE_RETENTION_BYTES = 4,
    STORE_QUEUE = 5,
    STORE_STREAMS = 6,
    STORE_RECORDS = 7,
    STORE_DUPLICATES = 8,
    STORE_UNDECODABLE = 9,
    STORE_NOT_KEPT = 10,
    STORE_SET_ASIDE = 11,
    STORE_FAILURE = 12,
    STORE_SUMS = 13
};
enum { DAY_DATE = 1, DAY_BYTES = 2, DAY_OLDEST = 3, DAY_NEWEST = 4 };
enum { STREAM_NAME = 1, STREAM_ROWS = 2 };
enum { SUMS_STEP_WIDTH = 1, SUMS_KEEP = 2 };
enum {
    QUERIES_TOTAL = 1,
    QUERIES_PARTIAL = 2,
    QUERIES_CANCELLED = 3,
    QUERIES_REFUSED = 4,
    QUERIES_RUNNING = 5,
    QUERIES_RUNNING_MAX = 6,
    QUERIES_WAITING = 7,
    QUERIES_WAITING_MAX = 8,
    QUERIES_MEASURED = 9,
    QUERIES_P50 = 10,
    QUERIES_P95 = 11,
    QUERIES_P99 = 12,
    QUERIES_LONGEST = 13
};
enum {
    LIVE_CLIENTS = 1,
    LIVE_TOTAL = 2,
    LIVE_MAX = 3,
    LIVE_FRAMES = 4,
    LIVE_MERGED = 5,
    LIVE_LOST = 6,
    LIVE_RESYNCS = 7,
    LIVE_REFUSED = 8
};
enum {
    CLIENT_USER = 1,
    CLIENT_CONNECTED = 2,
    CLIENT_INTERVAL = 3,
    CLIENT_FRAMES = 4,
    CLIENT_UNACKED = 5,
    CLIENT_LAG = 6,
    CLIENT_QUEUED = 7,
    CLIENT_BEHIND = 8
};
enum { RECEIVER_NAME = 1, RECEIVER_FAILING = 2 };

#define STATUS_BYTES                                                                               \
    (5120 + STATUS_DAYS_MAX * 96 + STATUS_CLIENTS_MAX * 256 + API_RECEIVERS_MAX * 256)
#define DATE_BYTES 32
#define DAY_S      86400

/* A number of a struct as a field of a message. */
struct number {
    uint32_t field;
    size_t offset;
};

static void write_numbers(struct wire_writer *w, const struct number *numbers, size_t count,
                          const void *of)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value;

        memcpy(&value, (const char *)of + numbers[i].offset, sizeof(value));
        wire_write_varint(w, numbers[i].field, value);
    }
}

static void write_process(struct wire_writer *w, const struct collector_status *s)
{
    const struct wire_mark mark = wire_begin(w, STATUS_PROCESS, 1);

    wire_write_varint(w, PROCESS_RESIDENT, s->resident_bytes);
    wire_write_varint(w, PROCESS_LIMIT, s->memory_limit);
    fleet_write_duration(w, PROCESS_CPU_TIME, s->cpu_ns);
    wire_write_varint(w, PROCESS_CPUS, s->cpus);
    wire_end(w, mark);
}

static void write_ingest(struct wire_writer *w, const struct api_ingest_counts *ingest)
{
#define OF(field, member)                                                                          \
    {                                                                                              \
        field, offsetof(struct api_ingest_counts, member)                                          \
    }
    static const struct number numbers[] = {
        OF(1, connections),   OF(2, batches),    OF(3, records),     OF(4, duplicates),
        OF(5, gap_records),   OF(6, returned),   OF(7, refused),     OF(8, elsewhere_records),
        OF(9, backlog_bytes), OF(10, log_bytes), OF(11, log_errors), OF(13, throttled)};
#undef OF
    enum { INGEST_LOG_FAILING = 12, INGEST_DRAINING = 14 };
    const struct wire_mark mark = wire_begin(w, STATUS_INGEST, 1);

    write_numbers(w, numbers, ARRAY_COUNT(numbers), ingest);
    wire_write_bool(w, INGEST_LOG_FAILING, ingest->has_log_trouble);
    wire_write_bool(w, INGEST_DRAINING, ingest->is_draining);
    wire_end(w, mark);
}

static void write_day(struct wire_writer *w, const struct history_day *day)
{
    const struct wire_mark mark = wire_begin(w, STORE_DAYS, 1);
    const time_t at = (time_t)day->day * DAY_S;
    struct tm parts;
    char date[DATE_BYTES] = "";

    if (gmtime_r(&at, &parts) != NULL) {
        (void)strftime(date, sizeof(date), "%Y-%m-%d", &parts);
    }
    wire_write_text(w, DAY_DATE, date);
    wire_write_varint(w, DAY_BYTES, day->bytes);
    if (day->to_ns != 0) {
        grpc_write_time(w, DAY_OLDEST, day->from_ns);
        grpc_write_time(w, DAY_NEWEST, day->to_ns);
    }
    wire_end(w, mark);
}

static void write_streams(struct wire_writer *w, const struct history_counts *store)
{
    const struct {
        const char *name;
        uint64_t rows;
    } streams[] = {{"flows", store->rows_flows},
                   {"alerts", store->rows_alerts},
                   {"stats", store->rows_stats},
                   {"packets", store->rows_packets}};

    for (size_t i = 0; i < ARRAY_COUNT(streams); i++) {
        const struct wire_mark mark = wire_begin(w, STORE_STREAMS, 1);

        wire_write_text(w, STREAM_NAME, streams[i].name);
        wire_write_varint(w, STREAM_ROWS, streams[i].rows);
        wire_end(w, mark);
    }
}

static void write_sums(struct wire_writer *w)
{
    for (size_t i = 0; i < LIVE_STEPS; i++) {
        const struct wire_mark mark = wire_begin(w, STORE_SUMS, 1);

        fleet_write_duration(w, SUMS_STEP_WIDTH, live_steps[i].step_ms * NS_PER_MS);
        fleet_write_duration(w, SUMS_KEEP, live_steps[i].span_s * NS_PER_SEC);
        wire_end(w, mark);
    }
}

static void write_store(struct wire_writer *w, const struct collector_status *s)
{
#define OF(field, member)                                                                          \
    {                                                                                              \
        field, offsetof(struct history_counts, member)                                             \
    }
    static const struct number numbers[] = {OF(STORE_QUEUE, queue_used),
                                            OF(STORE_RECORDS, records_in),
                                            OF(STORE_DUPLICATES, records_duplicate),
                                            OF(STORE_UNDECODABLE, records_undecodable),
                                            OF(STORE_NOT_KEPT, records_not_kept),
                                            OF(STORE_SET_ASIDE, files_set_aside)};
#undef OF
    const struct wire_mark mark = wire_begin(w, STATUS_STORE, 2);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < s->days_count; i++) {
        bytes += s->days[i].bytes;
        write_day(w, &s->days[i]);
    }
    wire_write_varint(w, STORE_BYTES, bytes);
    fleet_write_duration(w, STORE_RETENTION, s->retention_ns);
    wire_write_varint(w, STORE_RETENTION_BYTES, s->retention_bytes);
    write_numbers(w, numbers, ARRAY_COUNT(numbers), &s->store);
    write_streams(w, &s->store);
    wire_write_text(w, STORE_FAILURE, s->failure == NULL ? "" : s->failure);
    write_sums(w);
    wire_end(w, mark);
}

static void write_queries(struct wire_writer *w, const struct collector_status *s)
{
    const struct history_query_times *const t = &s->times;
    const struct wire_mark mark = wire_begin(w, STATUS_QUERIES, 1);

    wire_write_varint(w, QUERIES_TOTAL, s->store.queries);
    wire_write_varint(w, QUERIES_PARTIAL, s->store.queries_partial);
    wire_write_varint(w, QUERIES_CANCELLED, s->store.queries_cancelled);
    wire_write_varint(w, QUERIES_REFUSED, s->store.queries_refused);
    wire_write_varint(w, QUERIES_RUNNING, t->running);
    wire_write_varint(w, QUERIES_RUNNING_MAX, t->running_max);
    wire_write_varint(w, QUERIES_WAITING, t->waiting);
    wire_write_varint(w, QUERIES_WAITING_MAX, t->waiting_max);
    wire_write_varint(w, QUERIES_MEASURED, t->measured);
    if (t->measured > 0) {
        fleet_write_duration(w, QUERIES_P50, t->p50_ns);
        fleet_write_duration(w, QUERIES_P95, t->p95_ns);
        fleet_write_duration(w, QUERIES_P99, t->p99_ns);
        fleet_write_duration(w, QUERIES_LONGEST, t->longest_ns);
    }
    wire_end(w, mark);
}

static void write_client(struct wire_writer *w, const struct live_client_state *client)
{
    const struct wire_mark mark = wire_begin(w, LIVE_CLIENTS, 1);

    wire_write_text(w, CLIENT_USER, client->user);
    grpc_write_time(w, CLIENT_CONNECTED, client->connected_ns);
    fleet_write_duration(w, CLIENT_INTERVAL, client->interval_ns);
    wire_write_varint(w, CLIENT_FRAMES, client->frames);
    wire_write_varint(w, CLIENT_UNACKED, client->unacked);
    fleet_write_duration(w, CLIENT_LAG, client->lag_ns);
    wire_write_varint(w, CLIENT_QUEUED, client->queued_bytes);
    wire_write_bool(w, CLIENT_BEHIND, client->is_behind);
    wire_end(w, mark);
}

static void write_live(struct wire_writer *w, const struct collector_status *s)
{
    const struct wire_mark mark = wire_begin(w, STATUS_LIVE, 2);

    for (uint32_t i = 0; i < s->clients_count; i++) {
        write_client(w, &s->clients[i]);
    }
    wire_write_varint(w, LIVE_TOTAL, s->clients_total);
    wire_write_varint(w, LIVE_MAX, s->clients_max);
    wire_write_varint(w, LIVE_FRAMES, s->live_frames);
    wire_write_varint(w, LIVE_MERGED, s->live_merged);
    wire_write_varint(w, LIVE_LOST, s->live_lost);
    wire_write_varint(w, LIVE_RESYNCS, s->live_resyncs);
    wire_write_varint(w, LIVE_REFUSED, s->live_refused);
    wire_end(w, mark);
}

static void write_receiver(struct wire_writer *w, const struct api_receiver_counts *receiver)
{
#define OF(field, member)                                                                          \
    {                                                                                              \
        field, offsetof(struct api_receiver_counts, member)                                        \
    }
    static const struct number numbers[] = {OF(3, waiting), OF(4, sent),    OF(5, silenced),
                                            OF(6, refused), OF(7, expired), OF(8, dropped),
                                            OF(9, retries)};
#undef OF
    const struct wire_mark mark = wire_begin(w, STATUS_RECEIVERS, 1);

    wire_write_text(w, RECEIVER_NAME, receiver->name);
    wire_write_bool(w, RECEIVER_FAILING, receiver->is_failing);
    write_numbers(w, numbers, ARRAY_COUNT(numbers), receiver);
    wire_end(w, mark);
}

static void write_clickhouse(struct wire_writer *w, uint32_t field,
                             const struct api_clickhouse_counts *c)
{
#define OF(field, member)                                                                          \
    {                                                                                              \
        field, offsetof(struct api_clickhouse_counts, member)                                      \
    }
    static const struct number numbers[] = {
        OF(5, inserted),     OF(6, refused),           OF(7, undecodable),
        OF(8, dropped),      OF(9, retries),           OF(10, backlog_bytes),
        OF(15, questions),   OF(16, questions_failed), OF(17, questions_bounded),
        OF(18, records_read)};
#undef OF
    const struct wire_mark mark = wire_begin(w, field, 2);

    wire_write_bool(w, CLICKHOUSE_FAILING, c->is_failing);
    wire_write_text(w, CLICKHOUSE_REASON, c->reason);
    wire_write_varint(w, CLICKHOUSE_WAITING, c->waiting);
    wire_write_bool(w, CLICKHOUSE_WAITING_KNOWN, c->is_waiting_known);
    wire_write_bool(w, CLICKHOUSE_ASKED, c->is_asked);
    wire_write_bool(w, CLICKHOUSE_QUESTIONS_FAILING, c->is_question_failing);
    wire_write_text(w, CLICKHOUSE_QUESTIONS_REASON, c->question_reason);
    if (c->question_failed_ns != 0) {
        grpc_write_time(w, CLICKHOUSE_QUESTIONS_FAILED_TIME, c->question_failed_ns);
    }
    write_numbers(w, numbers, ARRAY_COUNT(numbers), c);
    wire_write_text(w, CLICKHOUSE_STREAM, c->stream);
    wire_end(w, mark);
}

static void write_api(struct wire_writer *w, const struct collector_status *s)
{
    enum { SERVER_ERRORS = 5 };
    const uint64_t values[] = {s->grpc.streams,
                               s->grpc.records_sent,
                               s->grpc.records_dropped,
                               s->http.requests,
                               s->http.requests_refused,
                               s->http.auth_refused,
                               s->http.responses_by_class[SERVER_ERRORS],
                               s->http.bytes_sent};
    const struct wire_mark mark = wire_begin(w, STATUS_API, 1);

    for (uint32_t i = 0; i < ARRAY_COUNT(values); i++) {
        wire_write_varint(w, i + 1, values[i]);
    }
    wire_end(w, mark);
}

static void write_status(struct wire_writer *w, const struct collector_status *s)
{
    wire_write_text(w, STATUS_VERSION, NETSCOPE_VERSION);
    wire_write_text(w, STATUS_BOOT_ID, s->boot_id);
    wire_write_text(w, STATUS_HOST_NAME, s->host_name);
    grpc_write_time(w, STATUS_START_TIME, s->started_ns);
    grpc_write_time(w, STATUS_TIME, s->now_ns);
    write_process(w, s);
    write_ingest(w, &s->ingest);
    write_store(w, s);
    write_queries(w, s);
    write_live(w, s);
    for (uint32_t i = 0; i < s->receivers_count; i++) {
        write_receiver(w, &s->receivers[i]);
    }
    write_api(w, s);
    for (uint32_t i = 0; i < s->clickhouse_count; i++) {
        write_clickhouse(w, i == 0 ? STATUS_CLICKHOUSE : STATUS_CLICKHOUSE_OTHERS,
                         &s->clickhouse[i]);
    }
}

void fleet_grpc_tell_status(struct fleet_grpc *fleet,
                            void (*read)(struct api *api, struct collector_status *out),
                            struct api *api)
{
    pthread_mutex_lock(&fleet->status_lock);
    fleet->read_status = read;
    fleet->status_api = api;
    pthread_mutex_unlock(&fleet->status_lock);
}

void fleet_get_collector_status(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    struct fleet_grpc *const fleet = fleet_of(ask->server);
    struct collector_status *const status = malloc(sizeof(*status));

    (void)bytes;
    (void)length;
    if (status == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    pthread_mutex_lock(&fleet->status_lock);
    const bool is_known = fleet->read_status != NULL;

    if (is_known) {
        fleet->read_status(fleet->status_api, status);
    }
    pthread_mutex_unlock(&fleet->status_lock);
    if (is_known) {
        struct rpc_buffer buffer = rpc_buffer_new(STATUS_BYTES);
        struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

        write_status(&w, status);
        grpc_answer(ask, &buffer, wire_written(&w));
    } else {
        grpc_refuse(ask, RPC_UNAVAILABLE, "STARTING", -1, "the collector starts or stops");
    }
    free(status);
}
