#include "collector-ui/api/fleet_grpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "collector-ui/api/fleet_private.h"

#define FIELD(member) offsetof(struct grpc_settings, member)

const struct config_field fleet_grpc_fields[] = {
    {.type = CONFIG_CHOICE,
     .key = "enabled",
     .offset = FIELD(enabled),
     .value = "on",
     .choices = "on|off",
     .help = "Serve the fleet by gRPC on ingest.listen, and below /v1/fleet by REST."},
    {.type = CONFIG_TEXT,
     .key = "token_file",
     .offset = FIELD(token_file),
     .value = "",
     .max = 4096,
     .help =
         "File (mode 0600) with a line for each token: the token alone, or NAME SCOPES TOKEN with "
         "scopes flows, packets, config, triage or all. Empty: only on loopback, and neither "
         "packet "
         "bytes nor settings of sensors."},
    {.type = CONFIG_U64,
     .key = "history_records",
     .offset = FIELD(history_records),
     .value = "65536",
     .min = 1,
     .max = 16777216,
     .help = "Last flow records kept in memory for new streams."},
    {.type = CONFIG_BYTES,
     .key = "history_size",
     .offset = FIELD(history_bytes),
     .value = "64MiB",
     .min = 1048576,
     .max = 17179869184.0,
     .help = "Memory they may take, of each kind of record."},
    {.type = CONFIG_U64,
     .key = "streams_max",
     .offset = FIELD(streams_max),
     .value = "64",
     .min = 1,
     .max = 4096,
     .help = "Live streams at once; more: RESOURCE_EXHAUSTED."},
    {.type = CONFIG_U64,
     .key = "queue_messages",
     .offset = FIELD(queue_messages),
     .value = "64",
     .min = 1,
     .max = 4096,
     .help = "Messages that wait for one slow reader; then it loses records and is told how many."},
    {.type = CONFIG_U64,
     .key = "calls_per_second",
     .offset = FIELD(calls_per_second),
     .value = "0",
     .max = 1000000,
     .help =
         "Calls of the API that one address may begin each second, twice as many at once; more: "
         "RESOURCE_EXHAUSTED. 0: no limit."},
    {.type = CONFIG_DURATION,
     .key = "flow_age",
     .offset = FIELD(flow_age_ns),
     .value = "150s",
     .min = 1e9,
     .max = 7 * 86400e9,
     .help = "ListActiveFlows takes a flow whose last record is older for ended: active and idle "
             "timeout of the sensors, and the way here."},
    {.type = CONFIG_DURATION,
     .key = "top_window",
     .offset = FIELD(top_window_ns),
     .value = "15m",
     .min = 1e9,
     .max = 366 * 86400e9,
     .help = "Time that GetTopFlows sums up where the call names none."},
    {0},
};

/* ---- life ---- */

static int build(struct fleet_grpc *fleet, const struct grpc_settings *settings, struct error *err)
{
    struct grpc_settings own = *settings;

    own.has_dns_records = true; /* whatever the sensors send */
    fleet->slices = calloc(FLEET_RECORDS_MAX, sizeof(*fleet->slices));
    if (fleet->slices == NULL) {
        return error_set(err, ENOMEM, "grpc: no memory");
    }
    fleet->server = grpc_serve_new(&fleet_program, fleet, &own, fleet->parts.runtime, err);
    if (fleet->server == NULL) {
        return -err->code;
    }
    fleet->server->control = fleet->parts.control;
    fleet->server->is_exposed = fleet->parts.is_exposed;
    fleet->server->is_remote = fleet->parts.is_remote;
    return 0;
}

struct fleet_grpc *fleet_grpc_new(const struct grpc_settings *settings,
                                  const struct fleet_grpc_parts *parts, struct error *err)
{
    struct fleet_grpc *fleet = calloc(1, sizeof(*fleet));

    if (fleet == NULL) {
        (void)error_set(err, ENOMEM, "grpc: no memory");
        return NULL;
    }
    (void)pthread_mutex_init(&fleet->stats_lock, NULL);
    (void)pthread_mutex_init(&fleet->status_lock, NULL);
    fleet->parts = *parts;
    fleet->token_file = settings->token_file;
    if (build(fleet, settings, err) != 0) {
        fleet_grpc_free(fleet);
        return NULL;
    }
    return fleet;
}

void fleet_grpc_free(struct fleet_grpc *fleet)
{
    const struct timespec pause = {0, (long)NS_PER_MS};

    if (fleet == NULL) {
        return;
    }
    /* Nobody waits for their answers any more, so they end soon. */
    while (atomic_load(&fleet->jobs) > 0) {
        (void)nanosleep(&pause, NULL);
    }
    grpc_serve_free(fleet->server);
    grpc_access_free(fleet->access);
    for (uint32_t i = 0; i < fleet->stats_count; i++) {
        free(fleet->stats[i].bytes);
    }
    free(fleet->stats);
    free(fleet->seen);
    free(fleet->slices);
    (void)pthread_mutex_destroy(&fleet->stats_lock);
    (void)pthread_mutex_destroy(&fleet->status_lock);
    free(fleet);
}

int fleet_grpc_add(struct fleet_grpc *fleet, struct rpc_server *server, struct error *err)
{
    return grpc_serve_add(fleet->server, server, err);
}

enum rpc_status fleet_grpc_authorize(struct fleet_grpc *fleet, struct rpc_call *call,
                                     const char *path, struct error *reason)
{
    return grpc_serve_authorize(fleet->server, call, path, reason);
}

void fleet_grpc_tell_health(struct rpc_health *health, bool is_serving)
{
    static const char *const services[] = {"Fleet",     "Flow",   "Alert", "Stats",
                                           "Packet",    "Dns",    "Query", "Capture",
                                           "Collector", "Sensor", "Config"};
    char name[64];

    for (size_t i = 0; i < ARRAY_COUNT(services); i++) {
        (void)snprintf(name, sizeof(name), "netscope.v1.%sService", services[i]);
        (void)rpc_health_set(health, name, is_serving);
    }
}

int fleet_grpc_read_tokens(struct fleet_grpc *fleet, struct error *err)
{
    grpc_access_free(fleet->access);
    fleet->access = NULL;
    if (!grpc_server_has_token(fleet->server)) {
        return 0;
    }
    fleet->access = grpc_access_read(fleet->token_file, err);
    return fleet->access == NULL ? -err->code : 0;
}

void fleet_grpc_use_tokens(struct fleet_grpc *fleet)
{
    if (fleet->access != NULL) {
        grpc_server_use_access(fleet->server, fleet->access);
        fleet->access = NULL;
    }
}

struct captures *fleet_grpc_captures(const struct fleet_grpc *fleet)
{
    return fleet->parts.captures;
}

struct capture_files *fleet_grpc_files(const struct fleet_grpc *fleet)
{
    return fleet->parts.files;
}

void fleet_grpc_counts_read(struct fleet_grpc *fleet, struct fleet_grpc_counts *out)
{
    const struct grpc_server *server = fleet->server;

    *out = (struct fleet_grpc_counts){.streams = counter_get(&server->streams),
                                      .records_sent = counter_get(&server->records_sent),
                                      .records_dropped = counter_get(&server->records_dropped),
                                      .records_taken = counter_get(&server->taken),
                                      .records_unfed = atomic_load(&fleet->unfed)};
}

/* ---- records of the fleet into the rings; log thread ---- */

/* Of an encoded record: end_time, last_time or time, whichever its kind is told by. 0: none. */
static uint64_t time_of(enum record_stream stream, const struct codec_slice *record)
{
    static const uint32_t fields[RECORD_STREAM_COUNT] = {[RECORD_FLOWS] = 7,
                                                         [RECORD_ALERTS] = 11,
                                                         [RECORD_STATS] = 5,
                                                         [RECORD_PACKETS] = 5,
                                                         [RECORD_DNS] = 4};
    struct wire_reader in = wire_reader_over(record->bytes, record->length);
    struct wire_field field;

    while (wire_next(&in, &field)) {
        if (field.number == fields[stream] && field.type == WIRE_BYTES) {
            struct wire_reader time = wire_reader_over(field.bytes, field.length);
            uint64_t ns = 0;

            while (wire_next(&time, &field)) {
                ns += field.number == 1 ? field.value * NS_PER_SEC : field.value;
            }
            return ns;
        }
    }
    return 0;
}

/* The last statistics of each sensor, in order of the id. */
static struct fleet_stats *stats_place(struct fleet_grpc *fleet, const char *sensor_id)
{
    uint32_t at = 0;

    while (at < fleet->stats_count && strcmp(fleet->stats[at].sensor_id, sensor_id) < 0) {
        at++;
    }
    if (at < fleet->stats_count && strcmp(fleet->stats[at].sensor_id, sensor_id) == 0) {
        return &fleet->stats[at];
    }
    if (fleet->stats_count == fleet->stats_room) {
        const uint32_t room = fleet->stats_room * 2 + 16;
        struct fleet_stats *more = realloc(fleet->stats, room * sizeof(*more));

        if (more == NULL) {
            return NULL;
        }
        fleet->stats = more;
        fleet->stats_room = room;
    }
    memmove(&fleet->stats[at + 1], &fleet->stats[at],
            (fleet->stats_count - at) * sizeof(*fleet->stats));
    fleet->stats[at] = (struct fleet_stats){0};
    (void)snprintf(fleet->stats[at].sensor_id, sizeof(fleet->stats[at].sensor_id), "%s", sensor_id);
    fleet->stats_count++;
    return &fleet->stats[at];
}

static void keep_stats(struct fleet_grpc *fleet, const char *sensor_id,
                       const struct grpc_record *record)
{
    pthread_mutex_lock(&fleet->stats_lock);
    struct fleet_stats *stats = stats_place(fleet, sensor_id);
    uint8_t *bytes = stats == NULL ? NULL : realloc(stats->bytes, record->length + 1U);

    if (bytes != NULL) {
        memcpy(bytes, record->bytes, record->length);
        stats->bytes = bytes;
        stats->length = record->length;
        stats->end_ns = record->time_ns;
    }
    pthread_mutex_unlock(&fleet->stats_lock);
}

/* NULL: no memory. Records get their identity; the numbers of the ring are the fleet's own. */
static struct grpc_parcel *copy(struct fleet_grpc *fleet, const char *sensor_id,
                                const struct codec_batch *batch)
{
    struct record_identity identity = {
        .sensor_id = {sensor_id, (uint32_t)strlen(sensor_id)},
        .boot_id = {batch->boot_id, (uint32_t)strlen(batch->boot_id)}};
    uint8_t tail[CODEC_IDENTITY_BYTES_MAX];
    size_t bytes = 0;

    for (uint32_t i = 0; i < batch->record_count; i++) {
        bytes += fleet->slices[i].length;
    }
    bytes +=
        (size_t)batch->record_count * (identity.sensor_id.length + identity.boot_id.length + 24);
    struct grpc_parcel *parcel =
        grpc_parcel_new((uint8_t)batch->stream, batch->record_count, bytes);

    for (uint32_t i = 0; parcel != NULL && i < batch->record_count; i++) {
        const struct codec_slice *slice = &fleet->slices[i];

        identity.seq = batch->first_seq + i;
        grpc_parcel_add_two(parcel, slice->bytes, slice->length, tail,
                            (uint32_t)codec_append_identity(&identity, tail, sizeof(tail)),
                            fleet->seq[batch->stream] + 1 + i, time_of(batch->stream, slice));
    }
    return parcel;
}

void fleet_grpc_feed(struct fleet_grpc *fleet, const char *sensor_id, const uint8_t *message,
                     uint32_t length)
{
    struct codec_batch batch;

    if (!codec_decode_batch(message, length, &batch, fleet->slices, FLEET_RECORDS_MAX) ||
        batch.record_count == 0) {
        return;
    }
    struct grpc_parcel *parcel = grpc_inbox_has_room(fleet->server, batch.record_count, length)
                                     ? copy(fleet, sensor_id, &batch)
                                     : NULL;

    fleet->seq[batch.stream] += batch.record_count;
    if (parcel == NULL) {
        atomic_fetch_add(&fleet->unfed, batch.record_count);
        return;
    }
    if (batch.stream == RECORD_STATS) {
        keep_stats(fleet, sensor_id, &parcel->records[parcel->count - 1]);
    }
    grpc_inbox_push(fleet->server, &parcel, 1);
}
