/* Who dials: credentials, one stream for each sensor, where it goes on. And its clock. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/ingest/ingest_private.h"

bool ingest_is_name(const char *name, size_t room)
{
    size_t length = 0;

    for (; length < room && name[length] != '\0'; length++) {
        if ((unsigned char)name[length] <= ' ' || (unsigned char)name[length] == 0x7f) {
            return false;
        }
    }
    return length > 0 && length < room;
}

static void add_resume(struct ingest_welcome *welcome, const struct ingest_boot *boot)
{
    for (uint32_t s = RECORD_FLOWS; s < RECORD_STREAM_COUNT; s++) {
        if (welcome->resume_count == INGEST_POSITIONS_MAX) {
            return;
        }
        struct ingest_position *position = &welcome->resume[welcome->resume_count++];

        *position = (struct ingest_position){.stream = (enum record_stream)s,
                                             .next_seq = boot->places[s].durable_seq + 1};
        memcpy(position->boot_id, boot->boot_id, sizeof(position->boot_id));
    }
}

/* Where the sensor goes on: behind what is durable, for this boot and older ones it still holds. */
static void send_welcome(struct ingest_stream *stream, const struct ingest_hello *hello)
{
    struct ingest *ingest = stream->ingest;
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_welcome welcome = {.heartbeat_ns = ingest->settings->heartbeat_ns,
                                     .max_batch = (uint32_t)ingest->settings->batch_records_max,
                                     .window_batches = (uint32_t)ingest->settings->window_batches,
                                     .sketch_seed = ingest->events->sketch_seed,
                                     .takes_zstd = ingest->settings->takes_packed,
                                     .takes_assets = ingest->events->assets != NULL};

    (void)snprintf(welcome.session_id, sizeof(welcome.session_id), "%llu",
                   (unsigned long long)++ingest->sessions);
    add_resume(&welcome, stream->boot);
    for (uint32_t i = 0; i < hello->resume_count; i++) {
        const char *boot_id = hello->resume[i].boot_id;

        if (strcmp(boot_id, stream->boot->boot_id) == 0) {
            continue;
        }
        for (const struct ingest_boot *boot = stream->boot->sensor->boots; boot != NULL;
             boot = boot->next) {
            if (strcmp(boot->boot_id, boot_id) == 0 &&
                welcome.resume_count < INGEST_POSITIONS_MAX) {
                struct ingest_position *position = &welcome.resume[welcome.resume_count++];

                *position = hello->resume[i];
                position->next_seq = boot->places[position->stream].durable_seq + 1;
            }
        }
    }
    (void)rpc_send(stream->call,
                   rpc_bytes_copy(bytes, ingest_encode_welcome(&welcome, bytes, sizeof(bytes))));
}

/* Newest wins: the older connection may be one that is dead and does not know it. With the lock. */
static void replace_older(struct ingest_stream *stream)
{
    struct ingest_sensor *sensor = stream->boot->sensor;
    struct ingest_stream *older = sensor->stream;

    sensor->stream = stream;
    if (older == NULL) {
        return;
    }
    const bool is_same_boot = older->boot == stream->boot;
    char id[INGEST_SENSOR_ID_BYTES * 2];

    log_warn("ingest", "a newer connection of the sensor replaces the one there",
             "sensor=%s older_boot=%s newer_boot=%s", log_quote(sensor->sensor_id, id, sizeof(id)),
             older->boot->boot_id, stream->boot->boot_id);
    if (is_same_boot) {
        ingest_stream_end(older, RPC_ABORTED, "replaced by a newer connection of this sensor");
    } else {
        ingest_stream_end(older, RPC_ALREADY_EXISTS,
                          "another process reports under this sensor's id: give each a "
                          "sensor.id of its own");
    }
}

/* True when the stream has its place. With the lock. */
static bool settle_in(struct ingest_stream *stream, const struct ingest_hello *hello)
{
    struct ingest *ingest = stream->ingest;
    struct ingest_boot *boot =
        stream->is_over ? NULL : ingest_connect_boot(ingest, hello->sensor_id, hello->boot_id);
    char peer[RPC_PEER_BYTES];

    rpc_peer(stream->call, peer);
    const struct ingest_peer told = {.sensor_id = hello->sensor_id,
                                     .boot_id = hello->boot_id,
                                     .version = hello->version,
                                     .host_name = hello->host_name,
                                     .config_hash = hello->config_hash,
                                     .labels = hello->labels,
                                     .peer = peer,
                                     .connected_ns = clock_wall_ns()};

    if (boot == NULL || !ingest->events->connected(ingest->events->context, &told)) {
        return false;
    }
    boot->pins++;
    stream->boot = boot;
    stream->can_capture = hello->can_capture;
    replace_older(stream);
    ingest_control_begin(stream);
    send_welcome(stream, hello);
    return true;
}

void ingest_take_hello(struct ingest_stream *stream, const struct ingest_hello *hello)
{
    struct ingest *ingest = stream->ingest;
    struct error reason = {0};

    if (hello->protocol_version != INGEST_PROTOCOL_VERSION) {
        (void)error_set(&reason, EPROTO, "protocol version %u; this collector speaks %u",
                        hello->protocol_version, INGEST_PROTOCOL_VERSION);
        ingest_stream_refuse(stream, RPC_FAILED_PRECONDITION, reason.message);
        return;
    }
    if (!ingest_is_name(hello->sensor_id, sizeof(hello->sensor_id)) ||
        !ingest_is_name(hello->boot_id, sizeof(hello->boot_id))) {
        ingest_stream_refuse(
            stream, RPC_INVALID_ARGUMENT,
            "hello needs a sensor_id and a boot_id without spaces or control characters");
        return;
    }
    if (strcmp(hello->sensor_id, INGEST_LOCAL_SENSOR) == 0) {
        ingest_stream_refuse(stream, RPC_INVALID_ARGUMENT,
                             "sensor_id '" INGEST_LOCAL_SENSOR
                             "' is the collector's own: choose another");
        return;
    }
    const enum rpc_status status =
        ingest_auth_bind(ingest->auth, stream->call, hello->sensor_id, &reason);
    if (status != RPC_OK) {
        ingest_stream_refuse(stream, status, reason.message);
        return;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    const bool is_in = settle_in(stream, hello);
    (void)pthread_mutex_unlock(&ingest->lock);
    if (!is_in) {
        ingest_stream_refuse(stream, RPC_RESOURCE_EXHAUSTED,
                             "the collector knows as many sensors as it may (ingest.sensors_max)");
    }
}

/* ---- heartbeats ---- */

/* The sample with the shortest way there and back knows the offset best (as NTP, RFC 5905). */
static void take_sample(struct ingest_stream *stream, const char *sensor_id,
                        const struct ingest_heartbeat *heartbeat, uint64_t now_ns)
{
    const uint64_t trip_ns = now_ns - stream->probe_sent_ns;
    const uint64_t middle_ns = stream->probe_sent_ns + trip_ns / 2;
    uint32_t best = 0;

    stream->samples[stream->samples_count % INGEST_CLOCK_SAMPLES].trip_ns = trip_ns;
    stream->samples[stream->samples_count % INGEST_CLOCK_SAMPLES].offset_ms =
        (double)(int64_t)(heartbeat->time_ns - middle_ns) / (double)NS_PER_MS;
    stream->samples_count++;
    for (uint32_t i = 1; i < INGEST_CLOCK_SAMPLES && i < stream->samples_count; i++) {
        if (stream->samples[i].trip_ns < stream->samples[best].trip_ns) {
            best = i;
        }
    }
    stream->ingest->events->clock(stream->ingest->events->context, sensor_id,
                                  stream->samples[best].offset_ms);
}

void ingest_take_heartbeat(struct ingest_stream *stream, const char *sensor_id,
                           const struct ingest_heartbeat *heartbeat)
{
    const uint64_t now_ns = clock_wall_ns();
    uint8_t bytes[64];

    if (heartbeat->has_probe) {
        if (stream->probe_sent_ns != 0 && heartbeat->probe.id == stream->probe_id &&
            now_ns >= stream->probe_sent_ns) {
            take_sample(stream, sensor_id, heartbeat, now_ns);
        }
        stream->probe_sent_ns = 0;
        return; /* an echo asks for no further probe */
    }
    const struct ingest_probe probe = {.id = ++stream->probe_id, .sent_ns = now_ns};

    stream->probe_sent_ns = now_ns;
    (void)rpc_send(stream->call,
                   rpc_bytes_copy(bytes, ingest_encode_probe(&probe, bytes, sizeof(bytes))));
}
