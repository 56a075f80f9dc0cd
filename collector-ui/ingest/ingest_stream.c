/* One Connect call: its life, and what is read of it when. Callbacks of one call never overlap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/ingest/ingest_private.h"

#define ACKS_WAITING_MAX 1024
#define ACK_BYTES_MAX    ((size_t)1 << 20)
#define DETAILS_BYTES    1024
#define RETRY_NS         (60 * NS_PER_SEC) /* who found no room may try again after this */
#define RETRY_RATE_NS    (2 * NS_PER_SEC)  /* who came too often: a share is full again by then */

/* ---- life ---- */

void ingest_stream_unref(struct ingest_stream *stream)
{
    if (atomic_fetch_sub(&stream->references, 1) == 1) {
        rpc_unref(stream->call);
        free(stream);
    }
}

/* `retry_ns` goes with RESOURCE_EXHAUSTED. */
static void end_for(struct ingest_stream *stream, enum rpc_status status, const char *message,
                    uint64_t retry_ns)
{
    uint8_t details[DETAILS_BYTES];

    if (stream->is_over) {
        return;
    }
    stream->is_over = true;
    if (status == RPC_RESOURCE_EXHAUSTED) {
        rpc_finish_details(
            stream->call, status, message, details,
            ingest_encode_retry((uint32_t)status, message, retry_ns, details, sizeof(details)));
    } else {
        rpc_finish(stream->call, status, message);
    }
}

void ingest_stream_end(struct ingest_stream *stream, enum rpc_status status, const char *message)
{
    end_for(stream, status, message, RETRY_NS);
}

static void refuse(struct ingest_stream *stream, enum rpc_status status, const char *message,
                   uint64_t retry_ns)
{
    static struct log_limit limit;
    struct ingest *ingest = stream->ingest;
    char peer[RPC_PEER_BYTES];
    char quoted[768];

    rpc_peer(stream->call, peer);
    (void)pthread_mutex_lock(&ingest->lock);
    ingest->counts.refused++;
    ingest->counts.refused_rate += retry_ns == RETRY_RATE_NS;
    const char *sensor_id = stream->boot != NULL ? stream->boot->sensor->sensor_id : "";
    end_for(stream, status, message, retry_ns);
    (void)pthread_mutex_unlock(&ingest->lock);
    if (log_allowed(&limit, NS_PER_SEC / 10, NULL)) {
        char id[INGEST_SENSOR_ID_BYTES * 2];

        log_warn("ingest", "stream refused", "peer=%s sensor=%s reason=%s", peer,
                 log_quote(sensor_id, id, sizeof(id)), log_quote(message, quoted, sizeof(quoted)));
    }
}

/* The peer broke the protocol: counted, told to both sides. */
void ingest_stream_refuse(struct ingest_stream *stream, enum rpc_status status, const char *message)
{
    refuse(stream, status, message, RETRY_NS);
}

static void on_start(struct rpc_call *call)
{
    struct ingest *ingest = rpc_method_context(call);
    struct ingest_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    stream->ingest = ingest;
    stream->call = call;
    atomic_init(&stream->references, 1);
    rpc_ref(call);
    rpc_set_user_data(call, stream);
    (void)pthread_mutex_lock(&ingest->lock);
    stream->next = ingest->streams;
    if (stream->next != NULL) {
        stream->next->previous = stream;
    }
    ingest->streams = stream;
    ingest->counts.connections++;
    if (ingest->is_failed) {
        ingest_stream_end(stream, RPC_UNAVAILABLE, "the collector cannot store");
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    if (ingest->rate != NULL && !rpc_rate_take(ingest->rate, call)) {
        char reason[128];

        (void)snprintf(reason, sizeof(reason),
                       "this address may begin %llu streams a second (ingest.streams_per_second)",
                       (unsigned long long)ingest->settings->streams_per_second);
        refuse(stream, RPC_RESOURCE_EXHAUSTED, reason, RETRY_RATE_NS);
    }
}

static void on_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct ingest_stream *stream = rpc_user_data(call);
    char sensor_id[INGEST_SENSOR_ID_BYTES] = "";
    char boot_id[INGEST_BOOT_ID_BYTES] = "";

    (void)result;
    if (stream == NULL) {
        return;
    }
    struct ingest *ingest = stream->ingest;

    (void)pthread_mutex_lock(&ingest->lock);
    stream->is_over = true;
    if (stream->boot != NULL) {
        /* A newer connection of this sensor goes on. */
        if (stream->boot->sensor->stream == stream) {
            stream->boot->sensor->stream = NULL;
            memcpy(sensor_id, stream->boot->sensor->sensor_id, sizeof(sensor_id));
            memcpy(boot_id, stream->boot->boot_id, sizeof(boot_id));
        }
        stream->boot->pins--;
        stream->boot = NULL;
    }
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        ingest->streams = stream->next;
    }
    ingest->counts.connections--;
    if (sensor_id[0] != '\0') {
        /* Under the lock: a newer connection must not be told before the end of this one. */
        ingest->events->disconnected(ingest->events->context, sensor_id, boot_id);
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    ingest_stream_unref(stream);
}

/* ---- reading ---- */

static void on_writable(struct rpc_call *call)
{
    struct ingest_stream *stream = rpc_user_data(call);

    if (stream == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&stream->ingest->lock);
    if (stream->is_ack_due && stream->boot != NULL) {
        stream->is_ack_due = false;
        for (struct ingest_boot *boot = stream->boot->sensor->boots; boot != NULL;
             boot = boot->next) {
            for (uint32_t s = RECORD_FLOWS; s < RECORD_STREAM_COUNT; s++) {
                ingest_stream_acknowledge(&boot->places[s]);
            }
        }
    }
    (void)pthread_mutex_unlock(&stream->ingest->lock);
}

static bool has_room(const struct ingest_stream *stream)
{
    const struct ingest_settings *settings = stream->ingest->settings;

    return stream->ingest->queue_bytes < settings->log_queue_bytes &&
           stream->waiting < 2 * settings->window_batches;
}

void ingest_stream_resume(struct ingest *ingest)
{
    for (struct ingest_stream *stream = ingest->streams; stream != NULL; stream = stream->next) {
        if (stream->is_paused && !stream->is_over && has_room(stream)) {
            stream->is_paused = false;
            rpc_read_more(stream->call);
        }
    }
}

static void read_on(struct ingest_stream *stream)
{
    (void)pthread_mutex_lock(&stream->ingest->lock);
    stream->is_paused = !stream->is_over && !has_room(stream);
    const bool reads = !stream->is_over && !stream->is_paused;
    (void)pthread_mutex_unlock(&stream->ingest->lock);
    if (reads) {
        rpc_read_more(stream->call);
    }
}

static void tell_sketch(struct ingest_stream *stream, const char *sensor_id,
                        const struct ingest_sketch *sketch)
{
    const struct ingest_events *events = stream->ingest->events;
    const struct ingest_sketch_told told = {.sensor_id = sensor_id,
                                            .kind = sketch->kind,
                                            .seed_id = sketch->seed_id,
                                            .encoding = sketch->encoding,
                                            .epoch = sketch->epoch,
                                            .bytes = sketch->bytes,
                                            .length = sketch->length};

    if (events->sketch != NULL && sketch->bytes != NULL) {
        events->sketch(events->context, &told);
    }
}

/* Any but Hello, of a sensor that has said who it is. */
static void take_further(struct ingest_stream *stream, const char *sensor_id,
                         const struct ingest_request *request)
{
    const struct ingest_events *events = stream->ingest->events;

    events->seen(events->context, sensor_id, clock_wall_ns());
    switch (request->kind) {
    case INGEST_BATCH:
        ingest_take_batch(stream, request);
        break;
    case INGEST_PACKED:
        ingest_take_packed(stream, &request->packed);
        break;
    case INGEST_GAP:
        ingest_take_gap(stream, request);
        break;
    case INGEST_HEARTBEAT:
        ingest_take_heartbeat(stream, sensor_id, &request->heartbeat);
        break;
    case INGEST_CONFIG_STATUS:
        if (events->config_status != NULL) {
            events->config_status(events->context, sensor_id, &request->config_status);
        }
        break;
    case INGEST_SKETCH:
        tell_sketch(stream, sensor_id, &request->sketch);
        break;
    case INGEST_GOODBYE:
        log_info("ingest", "a sensor leaves", "sensor=%s undelivered_records=%llu", sensor_id,
                 (unsigned long long)request->goodbye.undelivered_records);
        events->goodbye(events->context, sensor_id);
        break;
    case INGEST_ASSETS:
        if (events->assets != NULL) {
            events->assets(events->context, sensor_id, request->bytes, request->length);
        }
        break;
    case INGEST_COMMAND_RESULT:
        if (events->command_result != NULL) {
            events->command_result(events->context, sensor_id, &request->result);
        }
        break;
    default:
        break;
    }
}

static void take_request(struct ingest_stream *stream, const struct ingest_request *request)
{
    struct ingest *ingest = stream->ingest;
    char sensor_id[INGEST_SENSOR_ID_BYTES];

    (void)pthread_mutex_lock(&ingest->lock);
    const bool is_over = stream->is_over;
    const bool is_known = stream->boot != NULL;
    if (is_known) {
        memcpy(sensor_id, stream->boot->sensor->sensor_id, sizeof(sensor_id));
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    if (is_over) {
        return;
    }
    if (!is_known || request->kind == INGEST_HELLO) {
        if (is_known || request->kind != INGEST_HELLO) {
            ingest_stream_refuse(stream, RPC_FAILED_PRECONDITION, "hello comes first, and once");
            return;
        }
        ingest_take_hello(stream, &request->hello);
    } else {
        take_further(stream, sensor_id, request);
    }
}

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct ingest_stream *stream = rpc_user_data(call);
    struct ingest_request request;

    if (stream == NULL) {
        return;
    }
    if (!ingest_decode_request(bytes, length, &request)) {
        ingest_stream_refuse(stream, RPC_INVALID_ARGUMENT, "a message that is no ConnectRequest");
        return;
    }
    take_request(stream, &request);
    read_on(stream);
}

static void on_half_close(struct rpc_call *call)
{
    rpc_finish(call, RPC_OK, NULL);
}

static void on_drain(struct rpc_call *call)
{
    struct ingest_stream *stream = rpc_user_data(call);

    if (stream != NULL) {
        (void)pthread_mutex_lock(&stream->ingest->lock);
        ingest_stream_end(stream, RPC_UNAVAILABLE, "the collector stops");
        (void)pthread_mutex_unlock(&stream->ingest->lock);
    }
}

void ingest_stream_methods(struct ingest *ingest)
{
    ingest->method = (struct rpc_method){
        .path = INGEST_CONNECT_PATH,
        .context = ingest,
        .on_start = on_start,
        .on_message = on_message,
        .on_half_close = on_half_close,
        .on_writable = on_writable,
        .on_drain = on_drain,
        .on_done = on_done,
        .queue = {.messages_max = ACKS_WAITING_MAX,
                  .bytes_max = ACK_BYTES_MAX,
                  .when_full = RPC_REJECT},
        .is_manual_read = true,
    };
}
