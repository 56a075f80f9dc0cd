#include "sensor/export/kafka_sink.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sensor/export/kafka_private.h"

#define HAND_OVER_BATCHES 16 /* batches pinned by this sink at most, one more in work */
#define PACKED_PARTITIONS 10000
#define IDLE_MS           100
#define FULL_WAIT_MS      20
#define FLUSH_STEP_MS     20
#define PURGE_MS          1000
#define REOPEN_NS         NS_PER_SEC
#define LOG_INTERVAL_NS   (10 * NS_PER_SEC)

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
    if (log_allowed(&sink->failure_log, LOG_INTERVAL_NS, &suppressed)) {
        log_warn(sink->name, "a record could not be delivered",
                 "error=%s reason=%s failed=%" PRIu64 " suppressed=%" PRIu64,
                 rd_kafka_err2name(code), log_quote(rd_kafka_err2str(code), quoted, sizeof(quoted)),
                 counter_get(&sink->failed), suppressed);
    }
}

static void on_delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context)
{
    struct kafka_sink *sink = context;
    const uintptr_t opaque = (uintptr_t)message->_private;

    (void)producer;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        atomic_store_explicit(&sink->is_connected, true, memory_order_relaxed);
    }
    if (opaque >= TICKET_ALIGN) {
        kafka_spool_delivered(
            message, (struct kafka_ticket *)((uint8_t *)message->_private - opaque % TICKET_ALIGN),
            (uint32_t)(opaque % TICKET_ALIGN));
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        counter_add(&sink->acked, opaque);
    } else {
        kafka_count_failure(sink, message->err, (uint32_t)opaque,
                            rd_kafka_message_status(message) ==
                                RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED);
    }
}

static void on_error(rd_kafka_t *producer, int code, const char *reason, void *context)
{
    struct kafka_sink *sink = context;
    char text[512];
    char quoted[600];
    uint64_t suppressed = 0;

    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        const rd_kafka_resp_err_t cause = rd_kafka_fatal_error(producer, text, sizeof(text));

        sink->has_fatal_error = true;
        log_error(sink->name, "the producer failed and is made anew", "error=%s reason=%s",
                  rd_kafka_err2name(cause), log_quote(text, quoted, sizeof(quoted)));
        reason = text;
    } else if (log_allowed(&sink->error_log, LOG_INTERVAL_NS, &suppressed)) {
        log_warn(sink->name, "brokers", "error=%s reason=%s suppressed=%" PRIu64,
                 rd_kafka_err2name((rd_kafka_resp_err_t)code),
                 log_quote(reason, quoted, sizeof(quoted)), suppressed);
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__FATAL) {
        atomic_store_explicit(&sink->is_connected, false, memory_order_relaxed);
    }
    kafka_keep_error(sink, reason);
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

/* ---- the sink's thread ---- */

static int open_client(struct kafka_sink *sink, struct error *err)
{
    static const uint64_t one = 1;
    const struct kafka_callbacks callbacks = {on_delivered, on_error, sink};

    if (kafka_client_open(&sink->client, &sink->settings, &callbacks, err) != 0) {
        return -err->code;
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(sink->client.producer);

    rd_kafka_queue_io_event_enable(queue, sink->event, &one, sizeof(one));
    rd_kafka_queue_destroy(queue);
    return 0;
}

/* Gives up what the producer still holds, each record counted, and ends it. */
static void end_client(struct kafka_sink *sink)
{
    if (sink->client.producer == NULL) {
        return;
    }
    (void)rd_kafka_purge(sink->client.producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(sink->client.producer, PURGE_MS);
    kafka_client_close(&sink->client);
}

/* After a fatal error an idempotent producer refuses everything for good: a new one takes over. */
static void replace_client(struct kafka_sink *sink)
{
    struct error err = {0};
    const uint64_t now_ns = clock_monotonic_ns();

    if (sink->client.producer != NULL) {
        end_client(sink);
        sink->reopen_ns = 0;
        counter_add(&sink->restarts, 1);
    }
    if (now_ns < sink->reopen_ns) {
        return;
    }
    sink->has_fatal_error = false;
    if (open_client(sink, &err) != 0) {
        log_error(sink->name, "no new producer", "reason=\"%s\"", err.message);
        kafka_keep_error(sink, err.message);
        sink->has_fatal_error = true;
        sink->reopen_ns = now_ns + REOPEN_NS;
    }
}

void kafka_serve(struct kafka_sink *sink, int timeout_ms)
{
    if (sink->client.producer != NULL) {
        if (atomic_load_explicit(&sink->is_flushing, memory_order_relaxed)) {
            (void)rd_kafka_flush(sink->client.producer, timeout_ms); /* does not linger */
        } else {
            (void)rd_kafka_poll(sink->client.producer, timeout_ms);
        }
    }
    if (sink->has_fatal_error) {
        replace_client(sink);
    }
}

static void dispatch(struct kafka_stream *stream, const struct kafka_run *run)
{
    if (run->count == 0) {
        return;
    }
    if (stream->log != NULL) {
        kafka_spool_append(stream, run);
    } else {
        kafka_send_all(stream, run);
    }
}

static void on_aggregate(void *context, const uint8_t *record, uint32_t length)
{
    struct kafka_sink *sink = context;
    struct kafka_run *run = &sink->made_run;

    run->at[0].bytes = record;
    run->at[0].length = length;
    run->count = 1;
    counter_add(&sink->made, 1);
    dispatch(&sink->streams[KAFKA_AGGREGATES], run);
}

/* The records of `batch` that the stream takes. */
static void gather(struct kafka_stream *stream, const struct record_batch *batch,
                   struct kafka_run *run)
{
    struct kafka_sink *sink = stream->sink;

    run->count = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];
        const uint8_t *bytes = batch->bytes + entry->offset;

        if (kafka_stream_of(sink, entry) != stream) {
            continue;
        }
        if (!kafka_stream_wants(stream, bytes, entry->full_length)) {
            counter_add(&sink->left_out, 1);
            continue;
        }
        run->at[run->count].bytes = bytes;
        run->at[run->count++].length = entry->full_length;
    }
}

/* Sums need every record, whatever `flow_events` says. */
static void aggregate(struct kafka_sink *sink, const struct record_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];
        const uint8_t *bytes = batch->bytes + entry->offset;

        if (entry->stream == RECORD_FLOWS &&
            kafka_stream_wants(&sink->streams[KAFKA_FLOWS], bytes, entry->full_length)) {
            kafka_aggregate_add(sink->aggregate, bytes, entry->full_length);
        }
    }
}

static void take_batch(struct kafka_sink *sink, struct record_batch *batch)
{
    for (int kind = 0; kind < KAFKA_AGGREGATES; kind++) {
        struct kafka_stream *stream = &sink->streams[kind];

        if (stream->is_on) {
            gather(stream, batch, &sink->run);
            dispatch(stream, &sink->run);
        }
    }
    if (sink->aggregate != NULL) {
        aggregate(sink, batch);
    }
    batch_unref(batch);
}

static void take_events(struct kafka_sink *sink)
{
    uint64_t events;

    (void)!read(sink->event, &events, sizeof(events));
}

static void *run(void *context)
{
    struct kafka_sink *sink = context;
    bool is_busy = false;

    (void)pthread_setname_np(pthread_self(), "kafka");
    while (!atomic_load_explicit(&sink->is_stopping, memory_order_acquire)) {
        const bool is_flushing = atomic_load_explicit(&sink->is_flushing, memory_order_relaxed);
        struct pollfd wait = {.fd = sink->event, .events = POLLIN};
        struct record_batch *batch = NULL;

        if (!is_flushing) {
            (void)poll(&wait, 1, is_busy ? 0 : IDLE_MS);
        }
        take_events(sink);
        while ((batch = ring_pop(sink->hand_over)) != NULL) {
            take_batch(sink, batch);
            (void)kafka_spool_pump(sink);
            kafka_serve(sink, 0);
        }
        if (sink->aggregate != NULL) {
            if (is_flushing) {
                kafka_aggregate_flush(sink->aggregate);
            } else {
                kafka_aggregate_tick(sink->aggregate, clock_monotonic_ns());
            }
        }
        is_busy = kafka_spool_pump(sink);
        kafka_spool_keep_house(sink);
        kafka_serve(sink, is_flushing && !is_busy ? FLUSH_STEP_MS : 0);
        if (is_flushing) {
            atomic_fetch_add_explicit(&sink->flush_rounds, 1, memory_order_release);
        }
    }
    for (struct record_batch *batch = NULL; (batch = ring_pop(sink->hand_over)) != NULL;) {
        take_batch(sink, batch);
    }
    if (sink->aggregate != NULL) {
        kafka_aggregate_flush(sink->aggregate);
    }
    end_client(sink);
    kafka_spool_close(sink);
    return NULL;
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

/* Signals are main's: this thread and librdkafka's take none. */
static int start_thread(struct kafka_sink *sink, struct error *err)
{
    sigset_t all;
    sigset_t before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = pthread_create(&sink->thread, NULL, run, sink);

    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0 ? 0 : error_set(err, code, "kafka: start a thread: %s", strerror(code));
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
            kafka_aggregate_new(&sink->settings, sink->sensor_id, on_aggregate, sink, err);
        result = sink->aggregate == NULL ? -err->code : 0;
    }
    if (result == 0) {
        result = kafka_spool_open(sink, err);
    }
    if (result == 0) {
        result = open_client(sink, err);
    }
    return result == 0 ? start_thread(sink, err) : result;
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
