/* The publisher's side: batches into spools, time, flushing, counting. */
#include "sensor/export/collector_sink.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/export/collector_sink_private.h"

#define FIELD(member)      offsetof(struct collector_settings, member)
#define MESSAGE_BYTES_MAX  ((size_t)4 << 20) /* of one batch; the collector takes 16 MiB */
#define SPOOL_PARTS        16                /* flows get 12 of them, the other streams one each */
#define SPOOL_PARTS_FLOWS  (SPOOL_PARTS - (COLLECTOR_LANES - 1))
#define SPOOL_BYTES_MIN    (UINT64_C(1) << 20)
#define SKETCH_ENCODING    1 /* of detection_frame_write */
#define TIME_BYTES         8 /* in front of each item: when it was taken */
#define CLOSE_WAIT_NS      (2 * NS_PER_SEC)
#define FLUSH_STEP_NS      (5 * NS_PER_MS)
#define SPOOL_LOG_LIMIT_NS (10 * NS_PER_SEC)

const struct config_field collector_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "address",
     .offset = FIELD(address),
     .value = "",
     .max = 255,
     .help = "Collector to report to: host:50052, or unix:/path; empty: none."},
    {.type = CONFIG_TEXT,
     .key = "ca",
     .offset = FIELD(ca),
     .value = "",
     .max = 4096,
     .help = "PEM file of the CA that signed the collector's certificate; with it TLS is used."},
    {.type = CONFIG_TEXT,
     .key = "certificate",
     .offset = FIELD(certificate),
     .value = "",
     .max = 4096,
     .help = "PEM file of this sensor's certificate (mTLS); its name is the sensor's id."},
    {.type = CONFIG_TEXT,
     .key = "key",
     .offset = FIELD(key),
     .value = "",
     .max = 4096,
     .help = "PEM file of the key of certificate."},
    {.type = CONFIG_TEXT,
     .key = "server_name",
     .offset = FIELD(server_name),
     .value = "",
     .max = 255,
     .help = "Name expected in the collector's certificate; empty: the host of address."},
    {.type = CONFIG_TEXT,
     .key = "token_file",
     .offset = FIELD(token_file),
     .value = "",
     .max = 4096,
     .help = "File with the bearer token of this sensor; nobody else may read it (mode 0600)."},
    {.type = CONFIG_BOOL,
     .key = "insecure",
     .offset = FIELD(insecure),
     .value = "false",
     .help = "Allow plaintext to an address that is not loopback."},
    {.type = CONFIG_BYTES,
     .key = "spool",
     .offset = FIELD(spool_bytes),
     .value = "256MiB",
     .min = (double)SPOOL_BYTES_MIN,
     .max = 1099511627776.0,
     .help = "Memory for records that the collector does not have yet; when it is full the oldest "
             "go, and the collector is told which."},
    {.type = CONFIG_DURATION,
     .key = "backoff_max",
     .offset = FIELD(backoff_max_ns),
     .value = "15s",
     .min = 5e8,
     .max = 3.6e12,
     .help = "Longest pause between two attempts to connect; jittered."},
    {0},
};

/* ---- taking batches ---- */

static bool reserve_scratch(struct collector_sink *sink, size_t bytes)
{
    if (bytes <= sink->scratch_bytes) {
        return true;
    }
    uint8_t *larger = realloc(sink->scratch, bytes);
    if (larger == NULL) {
        return false;
    }
    sink->scratch = larger;
    sink->scratch_bytes = bytes;
    return true;
}

static void note_dropped(struct collector_sink *sink, const struct spool_gap *dropped,
                         enum record_stream stream)
{
    static struct log_limit limit;

    if (dropped->from_seq == 0) {
        return;
    }
    sink->lost += dropped->records;
    if (log_allowed(&limit, SPOOL_LOG_LIMIT_NS, NULL)) {
        log_warn("collector", "spool is full, oldest records are dropped",
                 "stream=%d from_seq=%llu to_seq=%llu lost_records=%llu", (int)stream,
                 (unsigned long long)dropped->from_seq, (unsigned long long)dropped->to_seq,
                 (unsigned long long)sink->lost);
    }
}

/* The records in slices[0..count) as one item of the lane's spool. */
static void append(struct collector_sink *sink, struct collector_lane *lane, uint64_t first_seq,
                   uint32_t count)
{
    struct codec_batch head = {
        .stream = lane->stream, .first_seq = first_seq, .record_count = count};
    struct spool_item item = {
        .first_seq = first_seq, .last_seq = first_seq + count - 1, .record_count = count};
    struct spool_gap dropped = {0};
    struct error err = {0};
    const uint64_t now_ns = clock_monotonic_ns();

    memcpy(head.boot_id, sink->boot_id, sizeof(head.boot_id));
    if (!reserve_scratch(sink, TIME_BYTES + codec_batch_bytes(sink->slices, count))) {
        /* Not appended: the collector is told of the hole when the next batch goes. */
        (void)pthread_mutex_lock(&sink->lock);
        sink->lost += count;
        (void)pthread_mutex_unlock(&sink->lock);
        return;
    }
    memcpy(sink->scratch, &now_ns, TIME_BYTES);
    item.bytes = sink->scratch;
    item.length = TIME_BYTES + codec_encode_batch(&head, sink->slices, sink->scratch + TIME_BYTES,
                                                  sink->scratch_bytes - TIME_BYTES);
    assert(item.length > TIME_BYTES);
    (void)pthread_mutex_lock(&sink->lock);
    if (spool_append(lane->spool, &item, &dropped, &err) == -EINVAL) {
        sink->lost += count; /* numbered backwards: ours to find */
        log_error("collector", err.message, NULL);
    }
    note_dropped(sink, &dropped, lane->stream);
    (void)pthread_mutex_unlock(&sink->lock);
}

/* The record as it travels: a packet sample gets its protocol tree here, since the collector has no
 * parsers. `at` numbers the samples of one batch: each has its place in sink->layers. */
static struct codec_slice slice_of(struct collector_sink *sink, const struct record_batch *batch,
                                   const struct batch_entry *entry, uint32_t at)
{
    const struct codec_slice plain = {batch->bytes + entry->offset, entry->length};

    if (entry->stream != RECORD_PACKETS) {
        return plain;
    }
    uint8_t *out = sink->layers + (size_t)at * COLLECTOR_SAMPLE_BYTES;
    const size_t length =
        packet_layers_append(plain.bytes, plain.length, out, COLLECTOR_SAMPLE_BYTES);

    return length > 0 ? (struct codec_slice){out, (uint32_t)length} : plain;
}

/* Runs of records of one stream that follow each other become items. */
static void take_stream(struct collector_sink *sink, struct collector_lane *lane,
                        const struct record_batch *batch, uint32_t records_max)
{
    uint64_t first_seq = 0;
    uint32_t count = 0;
    size_t bytes = 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];

        if (entry->stream != lane->stream) {
            continue;
        }
        if (count > 0 && (entry->seq != first_seq + count || count == records_max ||
                          bytes + entry->length > MESSAGE_BYTES_MAX)) {
            append(sink, lane, first_seq, count);
            count = 0;
            bytes = 0;
        }
        if (count == 0) {
            first_seq = entry->seq;
        }
        sink->slices[count] = slice_of(sink, batch, entry, count);
        bytes += sink->slices[count].length;
        count++;
    }
    if (count > 0) {
        append(sink, lane, first_seq, count);
    }
}

static enum sink_verdict offer(void *state, struct record_batch *batch)
{
    struct collector_sink *sink = state;
    bool is_there[RECORD_STREAM_COUNT] = {false};

    (void)pthread_mutex_lock(&sink->lock);
    const uint32_t records_max = sink->batch_records_max;
    (void)pthread_mutex_unlock(&sink->lock);
    for (uint32_t i = 0; i < batch->count; i++) {
        is_there[batch->entries[i].stream] = true; /* the pipeline's own numbers: in range */
    }
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        if (is_there[sink->lanes[i].stream]) {
            const bool is_packets = sink->lanes[i].stream == RECORD_PACKETS;

            take_stream(sink, &sink->lanes[i], batch,
                        is_packets && records_max > COLLECTOR_SAMPLES_MAX ? COLLECTOR_SAMPLES_MAX
                                                                          : records_max);
        }
    }
    collector_sink_wake(sink);
    return SINK_TAKEN;
}

/* ---- sketches ---- */

void collector_sink_forget_sketches(struct collector_sink *sink)
{
    sink->sketch_seed = 0;
    for (; sink->sketches_count > 0; sink->sketches_count--) {
        rpc_bytes_unref(&sink->sketches[sink->sketches_head]);
        sink->sketches_head = (sink->sketches_head + 1) % COLLECTOR_SKETCHES_MAX;
        sink->sketches_dropped++;
    }
}

static uint64_t sketch_seed(void *state)
{
    struct collector_sink *sink = state;

    (void)pthread_mutex_lock(&sink->lock);
    const uint64_t seed = sink->sketch_seed;
    (void)pthread_mutex_unlock(&sink->lock);
    return seed;
}

static void take_sketch(void *state, const struct sink_sketch *sketch)
{
    struct collector_sink *sink = state;
    const struct ingest_sketch message = {.kind = INGEST_SKETCH_DETECTION_FRAME,
                                          .seed_id = sketch->seed_id,
                                          .encoding = SKETCH_ENCODING,
                                          .epoch = sketch->epoch,
                                          .bytes = sketch->bytes,
                                          .length = sketch->length};

    if (!reserve_scratch(sink, sketch->length + INGEST_SKETCH_HEAD_BYTES)) {
        return;
    }
    const size_t length = ingest_encode_sketch(&message, sink->scratch, sink->scratch_bytes);
    const struct rpc_bytes bytes = rpc_bytes_copy(sink->scratch, length);

    (void)pthread_mutex_lock(&sink->lock);
    if (sink->sketches_count == COLLECTOR_SKETCHES_MAX) {
        rpc_bytes_unref(&sink->sketches[sink->sketches_head]);
        sink->sketches_head = (sink->sketches_head + 1) % COLLECTOR_SKETCHES_MAX;
        sink->sketches_count--;
        sink->sketches_dropped++;
    }
    sink->sketches[(sink->sketches_head + sink->sketches_count++) % COLLECTOR_SKETCHES_MAX] = bytes;
    (void)pthread_mutex_unlock(&sink->lock);
    collector_sink_wake(sink);
}

/* ---- time ---- */

static void tick(void *state)
{
    struct collector_sink *sink = state;
    const uint64_t now_ns = clock_monotonic_ns();

    (void)pthread_mutex_lock(&sink->lock);
    const bool is_due = sink->is_welcomed && now_ns >= sink->heartbeat_at_ns;
    if (is_due) {
        sink->is_heartbeat_due = true;
        sink->heartbeat_at_ns = now_ns + sink->heartbeat_ns;
    }
    (void)pthread_mutex_unlock(&sink->lock);
    if (is_due) {
        collector_sink_wake(sink);
    }
    collector_sink_dial(sink, now_ns);
}

static void wait_changed(struct collector_sink *sink, uint64_t until_ns)
{
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};

    (void)pthread_cond_timedwait(&sink->changed, &sink->lock, &until);
}

/* Records that the collector has not acknowledged. With the lock. */
static uint64_t count_owed(const struct collector_sink *sink)
{
    uint64_t owed = 0;

    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct spool_state state;

        spool_state(sink->lanes[i].spool, &state);
        owed += state.records;
    }
    return owed;
}

static uint64_t flush(void *state, uint64_t deadline_ns)
{
    struct collector_sink *sink = state;
    uint64_t owed;

    for (;;) {
        tick(sink); /* nobody else does while we wait */
        const uint64_t now_ns = clock_monotonic_ns();

        (void)pthread_mutex_lock(&sink->lock);
        owed = count_owed(sink);
        if (owed > 0 && now_ns < deadline_ns) {
            const uint64_t left_ns = deadline_ns - now_ns;

            wait_changed(sink, now_ns + (left_ns < FLUSH_STEP_NS ? left_ns : FLUSH_STEP_NS));
        }
        (void)pthread_mutex_unlock(&sink->lock);
        if (owed == 0 || now_ns >= deadline_ns) {
            return owed;
        }
    }
}

/* ---- what is told ---- */

static uint64_t oldest_ns(const struct collector_lane *lane)
{
    struct spool_item item;
    struct spool_gap gap;
    uint64_t taken_ns = 0;

    if (lane->window_count > 0) {
        return lane->window[lane->window_head].taken_ns;
    }
    if (spool_cursor_peek(lane->spool, 0, &item, &gap) == SPOOL_ITEM) {
        memcpy(&taken_ns, item.bytes, TIME_BYTES);
    }
    return taken_ns;
}

static void statistics(void *state, struct stats_sink *row)
{
    struct collector_sink *sink = state;
    const uint64_t now_ns = clock_monotonic_ns();
    uint64_t first_ns = 0;

    (void)pthread_mutex_lock(&sink->lock);
    row->connected = sink->is_welcomed;
    row->sent = sink->sent;
    row->acked = sink->acked;
    row->retried = sink->retried;
    row->failed = sink->lost;
    row->unacked = count_owed(sink);
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        const struct collector_lane *lane = &sink->lanes[i];
        struct spool_state spool;

        spool_state(lane->spool, &spool);
        row->spool_bytes += spool.bytes;
        const uint64_t taken_ns = spool.items > 0 ? oldest_ns(lane) : 0;
        if (taken_ns > 0 && (first_ns == 0 || taken_ns < first_ns)) {
            first_ns = taken_ns;
        }
    }
    row->oldest_age_ns = first_ns > 0 && now_ns > first_ns ? now_ns - first_ns : 0;
    memcpy(row->last_error, sink->last_error, sizeof(row->last_error));
    (void)pthread_mutex_unlock(&sink->lock);
}

static const char *failure(void *state)
{
    (void)state; /* a collector that is away is no failure of the run: what it lacks is owed */
    return NULL;
}

/* ---- life ---- */

static void free_sink(struct collector_sink *sink)
{
    rpc_channel_free(sink->channel);
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        spool_free(sink->lanes[i].spool);
    }
    collector_sink_forget_sketches(sink);
    free(sink->scratch);
    free(sink->layers);
    (void)pthread_cond_destroy(&sink->changed);
    (void)pthread_mutex_destroy(&sink->lock);
    free(sink);
}

static void close_sink(void *state)
{
    struct collector_sink *sink = state;
    const uint64_t until_ns = clock_monotonic_ns() + CLOSE_WAIT_NS;

    (void)pthread_mutex_lock(&sink->lock);
    sink->is_closing = true;
    const bool says_goodbye = sink->is_welcomed;
    (void)pthread_mutex_unlock(&sink->lock);
    if (says_goodbye) {
        collector_sink_wake(sink);
    }
    (void)pthread_mutex_lock(&sink->lock);
    while (says_goodbye && sink->is_dialing && clock_monotonic_ns() < until_ns) {
        wait_changed(sink, until_ns);
    }
    struct rpc_call *call = sink->call;
    if (call != NULL) {
        rpc_ref(call);
    }
    (void)pthread_mutex_unlock(&sink->lock);
    if (call != NULL) {
        rpc_cancel(call, RPC_CANCELLED, "the sensor stops");
        rpc_unref(call);
    }
    /* Callbacks and posted work use the sink until they have said so. */
    (void)pthread_mutex_lock(&sink->lock);
    while (sink->is_dialing || sink->posts > 0) {
        (void)pthread_cond_wait(&sink->changed, &sink->lock);
    }
    (void)pthread_mutex_unlock(&sink->lock);
    free_sink(sink);
}

static int make_spools(struct collector_sink *sink, struct error *err)
{
    const uint64_t part = sink->settings->spool_bytes / SPOOL_PARTS;

    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct collector_lane *lane = &sink->lanes[i];

        lane->stream = (enum record_stream)(i + 1);
        const struct spool_limits limits = {
            .bytes_max = lane->stream == RECORD_FLOWS ? part * SPOOL_PARTS_FLOWS : part};
        lane->spool = spool_new(&limits, err);
        if (lane->spool == NULL || spool_cursor_add(lane->spool, "collector", 1, err) < 0) {
            return -err->code;
        }
    }
    return 0;
}

static int copy_identity(struct collector_sink *sink, const struct collector_hello *hello,
                         struct error *err)
{
    if (strlen(hello->sensor_id) >= sizeof(sink->sensor_id) ||
        strlen(hello->boot_id) >= sizeof(sink->boot_id) || hello->sensor_id[0] == '\0') {
        return error_set(err, EINVAL,
                         "collector: the sensor's id must have 1 to %zu bytes to report under it",
                         sizeof(sink->sensor_id) - 1);
    }
    (void)snprintf(sink->sensor_id, sizeof(sink->sensor_id), "%s", hello->sensor_id);
    (void)snprintf(sink->boot_id, sizeof(sink->boot_id), "%s", hello->boot_id);
    (void)snprintf(sink->config_hash, sizeof(sink->config_hash), "%.16s", hello->config_hash);
    return 0;
}

static const struct sink_ops ops = {
    .name = "collector",
    .when_full = SINK_DROPS,
    .offer = offer,
    .tick = tick,
    .flush = flush,
    .statistics = statistics,
    .sketch_seed = sketch_seed,
    .sketch = take_sketch,
    .failure = failure,
    .close = close_sink,
};

int collector_sink_open(const struct collector_settings *settings,
                        const struct collector_hello *hello, struct rpc_runtime *runtime,
                        struct sink *out, struct error *err)
{
    struct collector_sink *sink = calloc(1, sizeof(*sink));
    pthread_condattr_t attributes;

    if (sink != NULL) {
        sink->layers = malloc((size_t)COLLECTOR_SAMPLES_MAX * COLLECTOR_SAMPLE_BYTES);
    }
    if (sink == NULL || sink->layers == NULL) {
        free(sink);
        return error_set(err, ENOMEM, "collector: no memory");
    }
    (void)pthread_mutex_init(&sink->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&sink->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    sink->settings = settings;
    sink->runtime = runtime;
    sink->batch_records_max = BATCH_RECORDS_MAX;
    if (copy_identity(sink, hello, err) != 0 || make_spools(sink, err) != 0 ||
        collector_sink_prepare(sink, err) != 0) {
        const int result = -err->code;

        free_sink(sink);
        return result;
    }
    collector_sink_methods(sink);
    *out = (struct sink){.ops = &ops, .state = sink};
    return 0;
}
