#include "sensor/export/kafka_sink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sensor/export/kafka_private.h"

#define HAND_OVER_BATCHES 16 /* batches pinned by this sink at most, one more in work */
#define PACKED_PARTITIONS 10000

/* ---- what is counted ---- */

void kafka_keep_error(struct kafka_sink *sink, const char *text)
{
    (void)pthread_mutex_lock(&sink->error_lock);
    (void)snprintf(sink->last_error, sizeof(sink->last_error), "%.159s", text);
    (void)pthread_mutex_unlock(&sink->error_lock);
}

void kafka_count_failure(struct kafka_sink *sink, rd_kafka_resp_err_t code, uint32_t records,
                         bool is_possibly_persisted)
{
    char quoted[256];
    uint64_t suppressed = 0;
    uint32_t i = 0;

    /* More kinds of error than rows: the last row takes the rest. */
    while (i < KAFKA_CODES_MAX - 1 && sink->codes[i] != 0 && sink->codes[i] != (int)code) {
        i++;
    }
    if (counter_get(&sink->code_counts[i]) == 0) {
        sink->codes[i] = (int)code;
    }
    counter_add(&sink->code_counts[i], records);
    counter_add(&sink->failed, records);
    if (is_possibly_persisted) {
        counter_add(&sink->possibly_persisted, records);
    }
    kafka_keep_error(sink, rd_kafka_err2str(code));
    if (log_allowed(&sink->failure_log, KAFKA_LOG_INTERVAL_NS, &suppressed)) {
        log_warn(sink->name, "a record could not be delivered",
                 "error=%s reason=%s failed=%" PRIu64 " suppressed=%" PRIu64,
                 rd_kafka_err2name(code), log_quote(rd_kafka_err2str(code), quoted, sizeof(quoted)),
                 counter_get(&sink->failed), suppressed);
    }
}

/* Records taken over of which nothing more is known. */
static uint64_t owed(const struct kafka_sink *sink)
{
    const uint64_t done = counter_get(&sink->acked) + counter_get(&sink->failed) +
                          counter_get(&sink->left_out) + counter_get(&sink->spool_lost);
    const uint64_t taken =
        counter_get(&sink->offered) + counter_get(&sink->made) + counter_get(&sink->recovered);

    return taken > done ? taken - done : 0;
}

/* ---- the table ---- */

static void wake_thread(struct kafka_sink *sink)
{
    const uint64_t one = 1;

    (void)!write(sink->event, &one, sizeof(one)); /* EAGAIN: it is awake already */
}

static enum sink_verdict offer(void *state, struct record_batch *batch)
{
    struct kafka_sink *sink = state;
    uint64_t wanted = 0;
    bool is_summed = false;

    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];

        wanted += kafka_stream_of(sink, entry) != NULL;
        is_summed = is_summed || (sink->aggregate != NULL && entry->stream == RECORD_FLOWS);
    }
    if (wanted == 0 && !is_summed) {
        return SINK_TAKEN;
    }
    batch_ref(batch);
    counter_add(&sink->offered, wanted); /* before the push: `owed` never counts below the truth */
    if (!ring_push(sink->hand_over, batch)) {
        counter_set(&sink->offered, counter_get(&sink->offered) - wanted);
        batch_unref(batch);
        return SINK_BUSY;
    }
    wake_thread(sink);
    return SINK_TAKEN;
}

static uint64_t flush(void *state, uint64_t deadline_ns)
{
    struct kafka_sink *sink = state;
    const unsigned rounds = atomic_load_explicit(&sink->flush_rounds, memory_order_relaxed);

    atomic_store_explicit(&sink->is_flushing, true, memory_order_relaxed);
    wake_thread(sink);
    /* A whole round with nothing owed: aggregates have been sent too. */
    while ((owed(sink) > 0 ||
            atomic_load_explicit(&sink->flush_rounds, memory_order_acquire) - rounds < 2) &&
           clock_monotonic_ns() < deadline_ns) {
        (void)poll(NULL, 0, 2);
    }
    atomic_store_explicit(&sink->is_flushing, false, memory_order_relaxed);
    return sink->has_spool ? 0 : owed(sink); /* the spool keeps the rest for the next start */
}

static void statistics(void *state, struct stats_sink *row)
{
    struct kafka_sink *sink = state;
    const uint64_t oldest_ns = counter_get(&sink->oldest_ns);
    const uint64_t now_ns = clock_wall_ns();

    row->connected = atomic_load_explicit(&sink->is_connected, memory_order_relaxed);
    row->sent = counter_get(&sink->sent);
    row->acked = counter_get(&sink->acked);
    row->retried = counter_get(&sink->resent);
    row->failed = counter_get(&sink->failed) + counter_get(&sink->spool_lost);
    row->unacked = owed(sink);
    row->spool_bytes = counter_get(&sink->spool_bytes);
    row->spool_errors = counter_get(&sink->spool_disk_errors);
    row->oldest_age_ns = oldest_ns != 0 && now_ns > oldest_ns ? now_ns - oldest_ns : 0;
    (void)pthread_mutex_lock(&sink->error_lock);
    (void)snprintf(row->last_error, sizeof(row->last_error), "%s", sink->last_error);
    (void)pthread_mutex_unlock(&sink->error_lock);
}

static void free_sink(struct kafka_sink *sink)
{
    kafka_client_close(&sink->client);
    kafka_spool_close(sink);
    kafka_streams_close(sink);
    kafka_aggregate_free(sink->aggregate);
    ring_free(sink->hand_over);
    if (sink->event >= 0) {
        (void)close(sink->event);
    }
    (void)pthread_mutex_destroy(&sink->error_lock);
    free(sink->scratch);
    free(sink->item);
    free(sink->heads);
    free(sink);
}

static void close_sink(void *state)
{
    struct kafka_sink *sink = state;
    const uint64_t lost = counter_get(&sink->spool_lost);

    atomic_store_explicit(&sink->is_stopping, true, memory_order_release);
    wake_thread(sink);
    (void)pthread_join(sink->thread, NULL);
    if (counter_get(&sink->failed) > 0 || lost > 0) {
        log_warn(sink->name, "records not delivered",
                 "acked=%" PRIu64 " failed=%" PRIu64 " possibly_persisted=%" PRIu64
                 " dropped_from_spool=%" PRIu64,
                 counter_get(&sink->acked), counter_get(&sink->failed),
                 counter_get(&sink->possibly_persisted), lost);
    }
    free_sink(sink);
}

static const struct sink_ops ops = {
    .name = "kafka",
    .when_full = SINK_DROPS,
    .is_durable = true,
    .offer = offer,
    .flush = flush,
    .statistics = statistics,
    .close = close_sink,
};

bool kafka_is_sink(const struct sink *sink)
{
    return sink->ops != NULL && sink->ops->offer == offer;
}

void kafka_sink_counts(const struct sink *from, struct kafka_counts *out)
{
    const struct kafka_sink *sink = from->state;

    *out = (struct kafka_counts){
        .offered = counter_get(&sink->offered),
        .made = counter_get(&sink->made),
        .recovered = counter_get(&sink->recovered),
        .left_out = counter_get(&sink->left_out),
        .sent = counter_get(&sink->sent),
        .acked = counter_get(&sink->acked),
        .failed = counter_get(&sink->failed),
        .possibly_persisted = counter_get(&sink->possibly_persisted),
        .spool_lost = counter_get(&sink->spool_lost),
        .resent = counter_get(&sink->resent),
        .owed = owed(sink),
        .messages = counter_get(&sink->messages),
        .spool_bytes = counter_get(&sink->spool_bytes),
        .queue_full = counter_get(&sink->queue_full),
        .restarts = counter_get(&sink->restarts),
    };
    for (uint32_t i = 0; i < KAFKA_CODES_MAX; i++) {
        const uint64_t count = counter_get(&sink->code_counts[i]);

        if (count > 0) {
            out->errors[out->errors_count++] = (struct kafka_error_count){
                rd_kafka_err2name((rd_kafka_resp_err_t)sink->codes[i]), count};
        }
    }
}

static int open_parts(struct kafka_sink *sink, struct error *err)
{
    sink->hand_over = ring_new(HAND_OVER_BATCHES);
    sink->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sink->scratch = malloc((size_t)2 * SCRATCH_BYTES);
    sink->item = sink->has_spool ? malloc(ITEM_BYTES_MAX) : NULL;
    sink->heads = sink->settings.packed ? malloc(PACKED_PARTITIONS * sizeof(*sink->heads)) : NULL;
    if (sink->hand_over == NULL || sink->event < 0 || sink->scratch == NULL ||
        (sink->has_spool && sink->item == NULL) || (sink->settings.packed && sink->heads == NULL)) {
        return error_set(err, ENOMEM, "kafka: no memory");
    }
    int result = kafka_streams_open(sink, err);

    if (result == 0 && sink->streams[KAFKA_AGGREGATES].is_on) {
        sink->aggregate =
            kafka_aggregate_new(&sink->settings, sink->sensor_id, kafka_on_aggregate, sink, err);
        result = sink->aggregate == NULL ? -err->code : 0;
    }
    if (result == 0) {
        result = kafka_spool_open(sink, err);
    }
    if (result == 0) {
        result = kafka_open_client(sink, err);
    }
    return result == 0 ? kafka_start_thread(sink, err) : result;
}

static struct kafka_sink *new_sink(const struct kafka_settings *settings, const char *name,
                                   const struct spool_settings *spool, const char *sensor_id)
{
    struct kafka_sink *sink = calloc(1, sizeof(*sink));

    if (sink == NULL) {
        return NULL;
    }
    (void)snprintf(sink->name, sizeof(sink->name), "kafka%s%s", name != NULL ? ":" : "",
                   name != NULL ? name : "");
    sink->ops = ops;
    sink->ops.name = sink->name;
    sink->settings = *settings;
    if (spool != NULL) {
        sink->spool = *spool;
    }
    sink->has_spool = spool_settings_directory(&sink->spool) != NULL;
    sink->sensor_id = sensor_id;
    sink->sensor_id_length = (uint32_t)strlen(sensor_id);
    sink->only_ended = strcmp(settings->flow_events, "end") == 0;
    sink->keys_by_flow = strcmp(settings->key, "community_id") == 0;
    sink->keys_by_sensor = strcmp(settings->key, "sensor") == 0;
    sink->is_json = strcmp(settings->value, "json") == 0;
    sink->is_row = strcmp(settings->value, "flow_row") == 0;
    sink->has_headers = strcmp(settings->headers, "cloudevents") == 0;
    sink->has_length = strcmp(settings->protobuf_framing, "varint") == 0;
    sink->topics.is_done = !settings->create_topics;
    (void)pthread_mutex_init(&sink->error_lock, NULL);
    return sink;
}

int kafka_sink_open(const struct kafka_settings *settings, const char *name,
                    const struct spool_settings *spool, const char *sensor_id, struct sink *out,
                    struct error *err)
{
    if (kafka_settings_check(settings, err) != 0) {
        return -err->code;
    }
    struct kafka_sink *sink = new_sink(settings, name, spool, sensor_id);

    if (sink == NULL) {
        return error_set(err, ENOMEM, "kafka: no memory");
    }
    const int result = open_parts(sink, err);

    if (result != 0) {
        free_sink(sink);
        return result;
    }
    *out = (struct sink){&sink->ops, sink};
    return 0;
}
