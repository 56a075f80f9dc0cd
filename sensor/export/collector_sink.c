/* The publisher's side: batches into the queue, flushing, figures; opening and closing. */
#include "sensor/export/collector_sink.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/export/collector_sink_private.h"

#define MESSAGE_BYTES_MAX ((size_t)4 << 20)   /* of one batch; the collector takes 16 MiB */
#define QUEUE_BYTES_MAX   (UINT64_C(8) << 20) /* on their way to the sink's thread */
#define SKETCH_ENCODING   1                   /* of detection_frame_write */
#define FLUSH_STEP_NS     (20 * NS_PER_MS)
#define WRITE_WAIT_NS     (10 * NS_PER_SEC) /* for the spool's last writing */

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

static void store_seq(uint8_t *at, uint64_t seq)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(seq >> (8 * i));
    }
}

/* The records in slices[0..count) as one item. NULL: no memory. */
static struct collector_queued *item_of(struct collector_sink *sink, enum record_stream stream,
                                        uint64_t first_seq, uint32_t count)
{
    struct codec_batch head = {.stream = stream, .first_seq = first_seq, .record_count = count};
    const size_t room = codec_batch_bytes(sink->slices, count);
    struct collector_queued *queued = malloc(sizeof(*queued) + COLLECTOR_ITEM_HEAD_BYTES + room);

    if (queued == NULL) {
        return NULL;
    }
    memcpy(head.boot_id, sink->boot_id, sizeof(head.boot_id));
    memset(queued->bytes, 0, COLLECTOR_ITEM_HEAD_BYTES);
    memcpy(queued->bytes, sink->boot_id, strlen(sink->boot_id));
    store_seq(queued->bytes + COLLECTOR_ITEM_BOOT_BYTES, first_seq);
    const size_t length =
        codec_encode_batch(&head, sink->slices, queued->bytes + COLLECTOR_ITEM_HEAD_BYTES, room);

    assert(length > 0);
    queued->next = NULL;
    queued->stream = stream;
    queued->records = count;
    queued->last_seq = first_seq + count - 1;
    queued->taken_ns = clock_wall_ns();
    queued->length = COLLECTOR_ITEM_HEAD_BYTES + (uint32_t)length;
    return queued;
}

/* What one offer makes, queued in one step. */
struct made {
    struct collector_queued *first, **last;
    uint64_t bytes, records, refused;
};

static void make_item(struct collector_sink *sink, struct made *made, enum record_stream stream,
                      uint64_t first_seq, uint32_t count)
{
    struct collector_queued *queued = item_of(sink, stream, first_seq, count);

    if (queued == NULL) { /* the hole shows when the next batch goes */
        made->refused += count;
        return;
    }
    *made->last = queued;
    made->last = &queued->next;
    made->bytes += sizeof(*queued) + queued->length;
    made->records += count;
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
static void take_stream(struct collector_sink *sink, struct made *made, enum record_stream stream,
                        const struct record_batch *batch, uint32_t records_max)
{
    uint64_t first_seq = 0;
    uint32_t count = 0;
    size_t bytes = 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];

        if (entry->stream != stream) {
            continue;
        }
        if (count > 0 && (entry->seq != first_seq + count || count == records_max ||
                          bytes + entry->length > MESSAGE_BYTES_MAX)) {
            make_item(sink, made, stream, first_seq, count);
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
        make_item(sink, made, stream, first_seq, count);
    }
}

static enum sink_verdict offer(void *state, struct record_batch *batch)
{
    struct collector_sink *sink = state;
    bool is_there[RECORD_STREAM_COUNT] = {false};
    struct made made = {.last = &made.first};

    (void)pthread_mutex_lock(&sink->lock);
    const uint32_t records_max = sink->batch_records_max;
    const bool is_busy = sink->queue_bytes >= QUEUE_BYTES_MAX;
    (void)pthread_mutex_unlock(&sink->lock);
    if (is_busy) { /* the disk is slow, or the spool pushes back */
        return SINK_BUSY;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        is_there[batch->entries[i].stream] = true; /* the pipeline's own numbers: in range */
    }
    for (uint32_t stream = RECORD_FLOWS; stream < RECORD_STREAM_COUNT; stream++) {
        const bool is_packets = stream == RECORD_PACKETS;

        if (is_there[stream]) {
            take_stream(sink, &made, (enum record_stream)stream, batch,
                        is_packets && records_max > COLLECTOR_SAMPLES_MAX ? COLLECTOR_SAMPLES_MAX
                                                                          : records_max);
        }
    }
    (void)pthread_mutex_lock(&sink->lock);
    sink->refused += made.refused;
    if (made.first != NULL) {
        *sink->last = made.first;
        sink->last = made.last;
        sink->queue_bytes += made.bytes;
        sink->queue_records += made.records;
        (void)pthread_cond_signal(&sink->wake);
    }
    (void)pthread_mutex_unlock(&sink->lock);
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
    sink->has_news = true;
    (void)pthread_cond_signal(&sink->wake);
    (void)pthread_mutex_unlock(&sink->lock);
}

/* ---- waiting and telling ---- */

static void wait_changed(struct collector_sink *sink, uint64_t until_ns)
{
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};

    (void)pthread_cond_timedwait(&sink->changed, &sink->lock, &until);
}

/* Has the spool written to disk; what it could not write. With the lock. */
static uint64_t write_spool(struct collector_sink *sink)
{
    const uint64_t until_ns = clock_monotonic_ns() + WRITE_WAIT_NS;
    const uint32_t wanted = ++sink->flush_wanted;

    (void)pthread_cond_signal(&sink->wake);
    while ((int32_t)(sink->flush_done - wanted) < 0 && clock_monotonic_ns() < until_ns) {
        wait_changed(sink, until_ns);
    }
    return (int32_t)(sink->flush_done - wanted) < 0 ? sink->row.unacked + sink->queue_records
                                                    : sink->unwritten;
}

/* With a spool on disk what is not delivered waits there for the next start and is not owed. */
static uint64_t flush(void *state, uint64_t deadline_ns)
{
    struct collector_sink *sink = state;
    uint64_t owed;

    (void)pthread_mutex_lock(&sink->lock);
    for (;;) {
        const uint64_t now_ns = clock_monotonic_ns();

        owed = sink->row.unacked + sink->queue_records;
        if (owed == 0 || now_ns >= deadline_ns || sink->is_flush_vain) {
            break;
        }
        const uint64_t left_ns = deadline_ns - now_ns;

        wait_changed(sink, now_ns + (left_ns < FLUSH_STEP_NS ? left_ns : FLUSH_STEP_NS));
    }
    if (owed > 0 && sink->directory[0] != '\0') {
        owed = write_spool(sink);
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return owed;
}

static void statistics(void *state, struct stats_sink *row)
{
    struct collector_sink *sink = state;
    struct stats_sink own;

    (void)pthread_mutex_lock(&sink->lock);
    own = sink->row;
    own.unacked += sink->queue_records;
    own.spool_bytes += sink->queue_bytes;
    (void)pthread_mutex_unlock(&sink->lock);
    memcpy(own.name, row->name, sizeof(own.name));
    *row = own;
}

static const char *failure(void *state)
{
    (void)state; /* a collector that is away is no failure of the run: what it lacks is owed */
    return NULL;
}

/* ---- life ---- */

static void free_sink(struct collector_sink *sink)
{
    collector_captures_fini(sink);
    rpc_channel_free(sink->channel);
    collector_spool_close(sink);
    while (sink->first != NULL) {
        struct collector_queued *next = sink->first->next;

        free(sink->first);
        sink->first = next;
    }
    collector_sink_forget_sketches(sink);
    free(sink->news.offer);
    packer_free(sink->packer);
    free(sink->packed);
    free(sink->scratch);
    free(sink->layers);
    (void)pthread_cond_destroy(&sink->wake);
    (void)pthread_cond_destroy(&sink->changed);
    (void)pthread_mutex_destroy(&sink->lock);
    free(sink);
}

static void close_sink(void *state)
{
    struct collector_sink *sink = state;

    collector_thread_stop(sink);
    collector_captures_leave(sink);
    free_sink(sink);
}

static int copy_identity(struct collector_sink *sink, const struct collector_options *options,
                         struct error *err)
{
    if (strlen(options->sensor_id) >= sizeof(sink->sensor_id) ||
        strlen(options->boot_id) >= sizeof(sink->boot_id) || options->sensor_id[0] == '\0') {
        return error_set(err, EINVAL,
                         "collector: the sensor's id must have 1 to %zu bytes to report under it",
                         sizeof(sink->sensor_id) - 1);
    }
    (void)snprintf(sink->sensor_id, sizeof(sink->sensor_id), "%s", options->sensor_id);
    (void)snprintf(sink->boot_id, sizeof(sink->boot_id), "%s", options->boot_id);
    (void)snprintf(sink->config_hash, sizeof(sink->config_hash), "%.16s", options->config_hash);
    (void)snprintf(sink->labels, sizeof(sink->labels), "%s",
                   options->labels == NULL ? "" : options->labels);
    return 0;
}

void collector_sink_attach(void *state, struct pipeline *pipeline)
{
    struct collector_sink *sink = state;

    (void)pthread_mutex_lock(&sink->lock);
    sink->captures.pipeline = pipeline;
    (void)pthread_mutex_unlock(&sink->lock);
}

void collector_sink_begin(void *state)
{
    struct collector_sink *sink = state;

    (void)pthread_mutex_lock(&sink->lock);
    atomic_store_explicit(&sink->may_dial, true, memory_order_relaxed);
    (void)pthread_cond_signal(&sink->wake);
    (void)pthread_mutex_unlock(&sink->lock);
}

void collector_sink_use_hash(void *state, const char *config_hash)
{
    struct collector_sink *sink = state;

    (void)pthread_mutex_lock(&sink->lock);
    (void)snprintf(sink->config_hash, sizeof(sink->config_hash), "%.16s", config_hash);
    (void)pthread_mutex_unlock(&sink->lock);
}

static const struct sink_ops ops = {
    .name = "collector",
    .when_full = SINK_DROPS,
    .is_durable = true,
    .offer = offer,
    .flush = flush,
    .statistics = statistics,
    .sketch_seed = sketch_seed,
    .sketch = take_sketch,
    .failure = failure,
    .close = close_sink,
};

static struct collector_sink *new_sink(void)
{
    struct collector_sink *sink = calloc(1, sizeof(*sink));
    pthread_condattr_t attributes;

    if (sink != NULL) {
        sink->layers = malloc((size_t)COLLECTOR_SAMPLES_MAX * COLLECTOR_SAMPLE_BYTES);
    }
    if (sink == NULL || sink->layers == NULL) {
        free(sink);
        return NULL;
    }
    (void)pthread_mutex_init(&sink->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&sink->wake, &attributes);
    (void)pthread_cond_init(&sink->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    sink->last = &sink->first;
    collector_captures_init(sink);
    sink->batch_records_max = BATCH_RECORDS_MAX;
    return sink;
}

int collector_sink_open(const struct collector_settings *settings,
                        const struct collector_options *options, struct rpc_runtime *runtime,
                        struct sink *out, struct error *err)
{
    struct collector_sink *sink = new_sink();

    if (sink == NULL) {
        return error_set(err, ENOMEM, "collector: no memory");
    }
    sink->settings = settings;
    sink->spool_settings = options->spool;
    sink->write = spool_settings_write(options->spool);
    sink->is_lossless = options->is_lossless;
    atomic_init(&sink->may_dial, !options->waits_for_input);
    sink->runtime = runtime;
    sink->on_offer = options->on_offer;
    sink->context = options->context;
    sink->down_ns = clock_monotonic_ns();
    sink->packer = strcmp(settings->compression, "zstd") == 0 ? packer_new() : NULL;
    collector_sink_methods(sink);
    if (copy_identity(sink, options, err) != 0 || collector_sink_prepare(sink, err) != 0 ||
        collector_spool_open(sink, options->state_directory, err) != 0 ||
        collector_thread_start(sink, err) != 0) {
        const int result = -err->code;

        free_sink(sink);
        return result;
    }
    *out = (struct sink){.ops = &ops, .state = sink};
    return 0;
}
