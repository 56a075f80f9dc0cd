/* One Connect call: hello, batches, gaps, heartbeats. Callbacks of one call never overlap. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/ingest/ingest_private.h"

#define ACKS_WAITING_MAX 1024
#define ACK_BYTES_MAX    ((size_t)1 << 20)

/* ---- life ---- */

void ingest_stream_unref(struct ingest_stream *stream)
{
    if (atomic_fetch_sub(&stream->references, 1) == 1) {
        rpc_unref(stream->call);
        free(stream);
    }
}

void ingest_stream_end(struct ingest_stream *stream, enum rpc_status status, const char *message)
{
    if (!stream->is_over) {
        stream->is_over = true;
        rpc_finish(stream->call, status, message);
    }
}

/* The peer broke the protocol: counted, told to both sides. */
static void refuse(struct ingest_stream *stream, enum rpc_status status, const char *message)
{
    static struct log_limit limit;
    struct ingest *ingest = stream->ingest;
    char peer[RPC_PEER_BYTES];
    char quoted[768];

    rpc_peer(stream->call, peer);
    (void)pthread_mutex_lock(&ingest->lock);
    ingest->counts.refused++;
    const char *sensor_id = stream->boot != NULL ? stream->boot->sensor->sensor_id : "";
    ingest_stream_end(stream, status, message);
    (void)pthread_mutex_unlock(&ingest->lock);
    if (log_allowed(&limit, NS_PER_SEC / 10, NULL)) {
        char id[INGEST_SENSOR_ID_BYTES * 2];

        log_warn("ingest", "stream refused", "peer=%s sensor=%s reason=%s", peer,
                 log_quote(sensor_id, id, sizeof(id)), log_quote(message, quoted, sizeof(quoted)));
    }
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

/* ---- hello ---- */

static bool is_plain_name(const char *name)
{
    for (; *name != '\0'; name++) {
        if ((unsigned char)*name <= ' ' || (unsigned char)*name == 0x7f) {
            return false;
        }
    }
    return true;
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
                                     .sketch_seed = ingest->events->sketch_seed};

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
                          "another process reports under this sensor's id");
    }
}

/* True when the stream has its place. With the lock. */
static bool settle_in(struct ingest_stream *stream, const struct ingest_hello *hello)
{
    struct ingest *ingest = stream->ingest;
    struct ingest_boot *boot =
        stream->is_over
            ? NULL
            : ingest_positions_boot(ingest->positions, hello->sensor_id, hello->boot_id);
    char peer[RPC_PEER_BYTES];

    rpc_peer(stream->call, peer);
    const struct ingest_peer told = {.sensor_id = hello->sensor_id,
                                     .boot_id = hello->boot_id,
                                     .version = hello->version,
                                     .host_name = hello->host_name,
                                     .config_hash = hello->config_hash,
                                     .peer = peer,
                                     .connected_ns = clock_wall_ns()};

    if (boot == NULL || !ingest->events->connected(ingest->events->context, &told)) {
        return false;
    }
    boot->pins++;
    stream->boot = boot;
    replace_older(stream);
    send_welcome(stream, hello);
    return true;
}

static void take_hello(struct ingest_stream *stream, const struct ingest_hello *hello)
{
    struct ingest *ingest = stream->ingest;
    struct error reason = {0};

    if (hello->protocol_version != INGEST_PROTOCOL_VERSION) {
        (void)error_set(&reason, EPROTO, "protocol version %u; this collector speaks %u",
                        hello->protocol_version, INGEST_PROTOCOL_VERSION);
        refuse(stream, RPC_FAILED_PRECONDITION, reason.message);
        return;
    }
    if (hello->sensor_id[0] == '\0' || hello->boot_id[0] == '\0' ||
        !is_plain_name(hello->sensor_id) || !is_plain_name(hello->boot_id)) {
        refuse(stream, RPC_INVALID_ARGUMENT,
               "hello needs a sensor_id and a boot_id without spaces or control characters");
        return;
    }
    if (strcmp(hello->sensor_id, INGEST_LOCAL_SENSOR) == 0) {
        refuse(stream, RPC_INVALID_ARGUMENT,
               "sensor_id '" INGEST_LOCAL_SENSOR "' is the collector's own: choose another");
        return;
    }
    const enum rpc_status status =
        ingest_auth_bind(ingest->auth, stream->call, hello->sensor_id, &reason);
    if (status != RPC_OK) {
        refuse(stream, status, reason.message);
        return;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    const bool is_in = settle_in(stream, hello);
    (void)pthread_mutex_unlock(&ingest->lock);
    if (!is_in) {
        refuse(stream, RPC_RESOURCE_EXHAUSTED,
               "the collector knows as many sensors as it may (ingest.sensors_max)");
    }
}

/* ---- records ---- */

void ingest_stream_acknowledge(struct ingest_place *place)
{
    struct ingest_stream *stream = place->boot->sensor->stream;
    struct ingest_position durable = {.stream = place->stream, .next_seq = place->durable_seq};
    uint8_t bytes[128];

    if (stream == NULL || stream->is_over || durable.next_seq == 0) {
        return;
    }
    memcpy(durable.boot_id, place->boot->boot_id, sizeof(durable.boot_id));
    if (rpc_send(stream->call,
                 rpc_bytes_copy(bytes, ingest_encode_ack(&durable, bytes, sizeof(bytes)))) ==
        RPC_SEND_FULL) {
        stream->is_ack_due = true; /* acknowledgements are cumulative: on_writable sends the last */
    }
}

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

/* A frame around `message` as an entry of the queue. NULL: no memory. */
static struct ingest_entry *entry_new(struct ingest_stream *stream, struct ingest_place *place,
                                      const uint8_t *message, size_t length, bool is_gap)
{
    const size_t capacity = INGEST_FRAME_HEAD_BYTES + length;
    struct ingest_entry *entry = malloc(sizeof(*entry) + capacity);
    struct ingest_frame frame = {.receive_ns = clock_wall_ns(), .length = (uint32_t)length};

    if (entry == NULL) {
        return NULL;
    }
    memcpy(frame.sensor_id, place->boot->sensor->sensor_id, sizeof(frame.sensor_id));
    if (is_gap) {
        frame.gap = message;
    } else {
        frame.batch = message;
    }
    *entry = (struct ingest_entry){.stream = stream,
                                   .place = place,
                                   .generation = place->generation,
                                   .is_gap = is_gap,
                                   .receive_ns = frame.receive_ns};
    entry->length = ingest_frame_encode(&frame, entry->bytes, capacity);
    entry->message_bytes = length;
    entry->message_offset = entry->length - length; /* the message is the last field */
    return entry;
}

/* With the lock. */
static void enqueue(struct ingest_stream *stream, struct ingest_entry *entry, uint64_t first_seq,
                    uint64_t last_seq)
{
    entry->first_seq = first_seq;
    entry->last_seq = last_seq;
    ingest_place_accept(entry->place, last_seq);
    entry->place->boot->pins++;
    stream->waiting++;
    (void)atomic_fetch_add(&stream->references, 1);
    ingest_log_push(stream->ingest, entry);
}

/* The batch without its first `skip` records, as an entry. */
static struct ingest_entry *trimmed_entry(struct ingest_stream *stream, struct ingest_place *place,
                                          const struct codec_batch *batch,
                                          const struct codec_slice *slices, uint32_t skip)
{
    struct codec_batch rest = *batch;

    rest.first_seq += skip;
    rest.record_count -= skip;
    const size_t capacity = codec_batch_bytes(slices + skip, rest.record_count) + 16;
    uint8_t *bytes = malloc(capacity);
    struct ingest_entry *entry = NULL;
    struct ingest_request request;
    const size_t length =
        bytes == NULL ? 0 : codec_encode_batch(&rest, slices + skip, bytes, capacity);

    if (length > 0 && ingest_decode_request(bytes, length, &request)) {
        entry = entry_new(stream, place, request.bytes, request.length, false);
    }
    free(bytes);
    return entry;
}

struct taken {
    enum ingest_verdict verdict;
    uint64_t records, duplicates, lost;
    uint64_t next_seq; /* what was expected */
    bool has_no_room;
};

/* With the lock. */
static void judge_batch(struct ingest_stream *stream, const struct ingest_request *request,
                        const struct codec_batch *batch, const struct codec_slice *slices,
                        struct taken *taken)
{
    struct ingest *ingest = stream->ingest;
    struct ingest_boot *boot =
        ingest_positions_boot(ingest->positions, stream->boot->sensor->sensor_id, batch->boot_id);
    uint32_t skip = 0;

    if (boot == NULL) {
        taken->has_no_room = true;
        return;
    }
    struct ingest_place *place = &boot->places[batch->stream];

    taken->next_seq = place->next_seq;
    taken->verdict = ingest_place_judge(place, batch->first_seq, batch->record_count, &skip);
    if (taken->verdict == INGEST_DUPLICATE) {
        taken->duplicates = batch->record_count;
        ingest_stream_acknowledge(place);
    } else if (taken->verdict == INGEST_TAKE || taken->verdict == INGEST_OVERLAP) {
        struct ingest_entry *entry =
            skip == 0 ? entry_new(stream, place, request->bytes, request->length, false)
                      : trimmed_entry(stream, place, batch, slices, skip);

        if (entry == NULL) {
            taken->has_no_room = true;
            return;
        }
        enqueue(stream, entry, batch->first_seq + skip, batch->first_seq + batch->record_count - 1);
        taken->records = batch->record_count - skip;
        taken->duplicates = skip;
    }
    ingest->counts.batches++;
    ingest->counts.records += taken->records;
    ingest->counts.duplicates += taken->duplicates;
}

/* Ends the stream where the verdict says so; true when it goes on. */
static bool pass_verdict(struct ingest_stream *stream, const struct taken *taken, const char *what,
                         uint64_t first_seq)
{
    struct error reason = {0};

    if (taken->has_no_room) {
        refuse(stream, RPC_RESOURCE_EXHAUSTED, "no room for a further batch or boot");
        return false;
    }
    if (taken->verdict == INGEST_NONSENSE) {
        (void)error_set(&reason, EINVAL, "%s with an impossible range of sequence numbers", what);
        refuse(stream, RPC_INVALID_ARGUMENT, reason.message);
        return false;
    }
    if (taken->verdict == INGEST_HOLE) {
        (void)error_set(&reason, EINVAL,
                        "%s begins at record %llu, but %llu is next and no gap notice came", what,
                        (unsigned long long)first_seq, (unsigned long long)taken->next_seq);
        refuse(stream, RPC_FAILED_PRECONDITION, reason.message);
        return false;
    }
    return true;
}

static void take_batch(struct ingest_stream *stream, const struct ingest_request *request)
{
    static _Thread_local struct codec_slice slices[INGEST_BATCH_RECORDS_MAX];
    struct ingest *ingest = stream->ingest;
    struct codec_batch batch;
    struct taken taken = {0};
    char sensor_id[INGEST_SENSOR_ID_BYTES];

    if (!codec_decode_batch(request->bytes, request->length, &batch, slices,
                            (uint32_t)ingest->settings->batch_records_max)) {
        refuse(stream, RPC_INVALID_ARGUMENT,
               "a batch that cannot be read, or with more records than max_batch");
        return;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    const bool is_over = stream->is_over;
    memcpy(sensor_id, stream->boot->sensor->sensor_id, sizeof(sensor_id));
    if (!is_over) {
        judge_batch(stream, request, &batch, slices, &taken);
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    if (!is_over && pass_verdict(stream, &taken, "batch", batch.first_seq)) {
        ingest->events->records(ingest->events->context, sensor_id, taken.records, taken.duplicates,
                                0);
    }
}

static void take_gap(struct ingest_stream *stream, const struct ingest_request *request)
{
    struct ingest *ingest = stream->ingest;
    const struct ingest_gap *gap = &request->gap;
    struct taken taken = {0};
    char sensor_id[INGEST_SENSOR_ID_BYTES];

    (void)pthread_mutex_lock(&ingest->lock);
    memcpy(sensor_id, stream->boot->sensor->sensor_id, sizeof(sensor_id));
    struct ingest_boot *boot =
        stream->is_over ? NULL : ingest_positions_boot(ingest->positions, sensor_id, gap->boot_id);
    taken.has_no_room = boot == NULL && !stream->is_over;
    if (boot != NULL) {
        struct ingest_place *place = &boot->places[gap->stream];

        taken.next_seq = place->next_seq;
        taken.verdict = ingest_place_judge_gap(place, gap->from_seq, gap->to_seq, &taken.lost);
        if (taken.verdict == INGEST_TAKE) {
            struct ingest_entry *entry =
                entry_new(stream, place, request->bytes, request->length, true);

            taken.has_no_room = entry == NULL;
            if (entry != NULL) {
                enqueue(stream, entry, place->next_seq, gap->to_seq);
                ingest->counts.gap_records += taken.lost;
            }
        } else if (taken.verdict == INGEST_DUPLICATE) {
            ingest_stream_acknowledge(place);
        }
    }
    const bool is_over = stream->is_over;
    (void)pthread_mutex_unlock(&ingest->lock);
    if (is_over || !pass_verdict(stream, &taken, "gap notice", gap->from_seq)) {
        return;
    }
    if (taken.lost > 0) {
        char id[INGEST_SENSOR_ID_BYTES * 2];
        char reason[128];

        ingest->events->records(ingest->events->context, sensor_id, 0, 0, taken.lost);
        log_warn("ingest", "a sensor lost records", "sensor=%s stream=%d lost=%llu reason=%s",
                 log_quote(sensor_id, id, sizeof(id)), (int)gap->stream,
                 (unsigned long long)taken.lost, log_quote(gap->reason, reason, sizeof(reason)));
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

static void take_heartbeat(struct ingest_stream *stream, const char *sensor_id,
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

/* ---- reading ---- */

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
            refuse(stream, RPC_FAILED_PRECONDITION, "hello comes first, and once");
            return;
        }
        take_hello(stream, &request->hello);
        return;
    }
    ingest->events->seen(ingest->events->context, sensor_id, clock_wall_ns());
    switch (request->kind) {
    case INGEST_BATCH:
        take_batch(stream, request);
        break;
    case INGEST_GAP:
        take_gap(stream, request);
        break;
    case INGEST_HEARTBEAT:
        take_heartbeat(stream, sensor_id, &request->heartbeat);
        break;
    case INGEST_SKETCH:
        tell_sketch(stream, sensor_id, &request->sketch);
        break;
    case INGEST_GOODBYE:
        log_info("ingest", "a sensor leaves", "sensor=%s undelivered_records=%llu", sensor_id,
                 (unsigned long long)request->goodbye.undelivered_records);
        break;
    default: /* answers to commands, which this collector does not ask for */
        break;
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
        refuse(stream, RPC_INVALID_ARGUMENT, "a message that is no ConnectRequest");
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
