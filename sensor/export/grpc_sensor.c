/* SensorService and StatsService. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "netscope/v1/sensor_service.pb-c.h"
#include "netscope/v1/stats_service.pb-c.h"
#include "sensor/export/grpc_private.h"
#include "sensor/export/readiness.h"

/* Fields of StatsRecord and of the answers that carry the same messages. */
enum { STATS_INTERFACES = 20 };
enum { INFO_INTERFACES = 6 };
enum { STATUS_STATS = 1, STATUS_READY = 2, STATUS_REASONS = 3, STATUS_SERVER = 4 };
#define SERVER_STATUS_BYTES 64
enum { ANSWER_STATS = 1 };

static Google__Protobuf__Duration duration_of(uint64_t ns)
{
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;

    duration.seconds = (int64_t)(ns / NS_PER_SEC);
    duration.nanos = (int32_t)(ns % NS_PER_SEC);
    return duration;
}

static size_t pack_info(const struct grpc_server *server, uint8_t *out, size_t capacity)
{
    const struct grpc_identity *identity = &grpc_sensor_of(server)->identity;
    Netscope__V1__GetInfoResponse info = NETSCOPE__V1__GET_INFO_RESPONSE__INIT;
    Netscope__V1__SensorLimits limits = NETSCOPE__V1__SENSOR_LIMITS__INIT;
    Google__Protobuf__Timestamp start = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Google__Protobuf__Duration idle = duration_of(identity->idle_timeout_ns);
    Google__Protobuf__Duration active = duration_of(identity->active_timeout_ns);

    start.seconds = (int64_t)(identity->start_wall_ns / NS_PER_SEC);
    start.nanos = (int32_t)(identity->start_wall_ns % NS_PER_SEC);
    limits.flows_max = identity->flows_max;
    limits.idle_timeout = &idle;
    limits.active_timeout = &active;
    limits.streams_max = (uint32_t)server->settings.streams_max;
    limits.shards = identity->shards;
    info.sensor_id = (char *)(uintptr_t)identity->sensor_id;
    info.boot_id = (char *)(uintptr_t)identity->boot_id;
    info.version = (char *)(uintptr_t)NETSCOPE_VERSION;
    info.build = (char *)(uintptr_t)("C17, compiler " __VERSION__);
    info.capabilities = (char **)(uintptr_t)identity->capabilities;
    info.n_capabilities = identity->capabilities_count;
    info.config_hash = (char *)(uintptr_t)identity->config_hash;
    info.limits = &limits;
    info.start_time = &start;
    if (netscope__v1__get_info_response__get_packed_size(&info) > capacity) {
        return 0;
    }
    return netscope__v1__get_info_response__pack(&info, out);
}

void grpc_get_info(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    struct grpc_server *server = ask->server;

    if (grpc_unpack(ask, &netscope__v1__get_info_request__descriptor, bytes, length) == NULL) {
        return;
    }
    struct stats_record *stats = calloc(1, sizeof(*stats));
    uint8_t *encoded = malloc(CODEC_STATS_BYTES_MAX);
    struct rpc_buffer buffer = rpc_buffer_new(2 * (size_t)CODEC_STATS_BYTES_MAX);
    size_t used = pack_info(server, buffer.data, buffer.capacity);
    struct wire_writer w = wire_writer_over(buffer.data + used, buffer.capacity - used);

    if (stats != NULL && encoded != NULL) {
        stats->interfaces_count = pipeline_interfaces(grpc_sensor_of(server)->pipeline,
                                                      stats->interfaces, STATS_ROWS_MAX);
        grpc_copy_fields(&w, encoded, codec_encode_stats(stats, encoded, CODEC_STATS_BYTES_MAX),
                         STATS_INTERFACES, INFO_INTERFACES);
        used += wire_written(&w);
    }
    free(stats);
    free(encoded);
    grpc_answer(ask, &buffer, used);
}

static const struct grpc_record *last_stats(const struct grpc_server *server)
{
    const struct grpc_history *history = &server->histories[RECORD_STATS];

    return history->first == history->end ? NULL : grpc_history_at(history, history->end - 1);
}

static void write_server_status(struct wire_writer *w, struct grpc_server *server)
{
    Netscope__V1__ServerStatus status = NETSCOPE__V1__SERVER_STATUS__INIT;
    struct grpc_server_counts counts;
    uint8_t bytes[SERVER_STATUS_BYTES];

    grpc_server_counts_read(server, &counts);
    status.connections = counts.connections;
    status.connections_max = (uint32_t)server->settings.connections_max;
    status.connections_refused = counts.connections_refused;
    status.streams = counts.streams;
    status.calls_refused = counts.calls_refused;
    static_assert(SERVER_STATUS_BYTES >= 5 * 11, "five numbers of at most eleven bytes");
    wire_write_bytes(w, STATUS_SERVER, bytes, netscope__v1__server_status__pack(&status, bytes));
}

void grpc_get_status(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    struct grpc_server *server = ask->server;
    struct readiness readiness;

    if (grpc_unpack(ask, &netscope__v1__get_status_request__descriptor, bytes, length) == NULL) {
        return;
    }
    const struct grpc_record *last = last_stats(server);
    struct rpc_buffer buffer = rpc_buffer_new((last == NULL ? 0 : last->length) +
                                              sizeof(readiness) + 64 + SERVER_STATUS_BYTES);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    readiness_read(grpc_sensor_of(server)->pipeline, &readiness);
    if (last != NULL) {
        wire_write_bytes(&w, STATUS_STATS, last->bytes, last->length);
    }
    wire_write_bool(&w, STATUS_READY, readiness.count == 0);
    for (uint32_t i = 0; i < readiness.count; i++) {
        wire_write_text(&w, STATUS_REASONS, readiness.reasons[i]);
    }
    write_server_status(&w, server);
    grpc_answer(ask, &buffer, wire_written(&w));
}

/* ---- StatsService ---- */

void grpc_get_stats(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const struct grpc_server *server = ask->server;

    const Netscope__V1__GetStatsRequest *request =
        (const Netscope__V1__GetStatsRequest *)grpc_unpack(
            ask, &netscope__v1__get_stats_request__descriptor, bytes, length);

    if (request == NULL ||
        !grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, NULL)) {
        return;
    }
    const struct grpc_record *last = last_stats(server);

    if (last == NULL) {
        struct rpc_buffer nothing = rpc_buffer_new(1);

        grpc_answer(ask, &nothing, 0);
        return;
    }
    grpc_answer_field(ask, ANSWER_STATS, last->bytes, last->length);
}
