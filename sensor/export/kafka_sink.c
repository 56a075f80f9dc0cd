#include "sensor/export/kafka_sink.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/ring.h"
#include "proto/json/transcoder.h"
#include "proto/row/flow_row.h"
#include "sensor/export/kafka_client.h"
#include "sensor/export/kafka_key.h"

#define HAND_OVER_BATCHES 16 /* batches pinned by this sink at most, one more in work */
#define SCRATCH_BYTES     1048576
#define IDLE_MS           100
#define FULL_WAIT_MS      20
#define FLUSH_STEP_MS     20
#define PURGE_MS          1000
#define REOPEN_NS         NS_PER_SEC
#define LOG_INTERVAL_NS   (10 * NS_PER_SEC)

struct kafka_sink {
    struct kafka_settings settings;
    const char *sensor_id;
    uint32_t sensor_id_length;
    bool only_ended, keys_by_flow, keys_by_sensor;

    /* The publisher pushes, the producer's thread pops. */
    struct ring *hand_over;
    int event; /* eventfd: a batch, or something for rd_kafka_poll() */
    atomic_bool is_flushing, is_stopping;
    pthread_t thread;

    /* The producer's thread, and kafka_sink_open() before it starts. */
    struct kafka_client client;
    bool has_fatal_error;
    uint64_t reopen_ns; /* without a client: when to try again */
    const struct json_message *messages[KAFKA_TOPICS];
    uint8_t *scratch; /* the value in another form; NULL: the record's own bytes */
    bool is_json, is_row;
    struct log_limit failure_log, error_log, full_log;

    struct counter offered; /* by the publisher; all else by the producer's thread */
    struct counter sent, acked, failed, possibly_persisted, queue_full, restarts;
    struct counter code_counts[KAFKA_CODES_MAX];
    atomic_int codes[KAFKA_CODES_MAX];
    atomic_bool is_connected;
    pthread_mutex_t error_lock; /* the one text that other threads read */
    char last_error[160];
};

static const char *const message_names[KAFKA_TOPICS] = {
    "netscope.v1.FlowRecord", "netscope.v1.AlertRecord", "netscope.v1.StatsRecord"};

/* ---- what is counted ---- */

static void keep_error(struct kafka_sink *sink, const char *text)
{
    (void)pthread_mutex_lock(&sink->error_lock);
    (void)snprintf(sink->last_error, sizeof(sink->last_error), "%.159s", text);
    (void)pthread_mutex_unlock(&sink->error_lock);
}

static void count_failure(struct kafka_sink *sink, rd_kafka_resp_err_t code,
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
    counter_add(&sink->code_counts[i], 1);
    counter_add(&sink->failed, 1);
    if (is_possibly_persisted) {
        counter_add(&sink->possibly_persisted, 1);
    }
    keep_error(sink, rd_kafka_err2str(code));
    if (log_allowed(&sink->failure_log, LOG_INTERVAL_NS, &suppressed)) {
        log_warn("kafka", "a record could not be delivered",
                 "error=%s reason=%s failed=%" PRIu64 " suppressed=%" PRIu64,
                 rd_kafka_err2name(code), log_quote(rd_kafka_err2str(code), quoted, sizeof(quoted)),
                 counter_get(&sink->failed), suppressed);
    }
}

static void on_delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context)
{
    struct kafka_sink *sink = context;

    (void)producer;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        counter_add(&sink->acked, 1);
        atomic_store_explicit(&sink->is_connected, true, memory_order_relaxed);
        return;
    }
    count_failure(sink, message->err,
                  rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED);
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
        log_error("kafka", "the producer failed and is made anew", "error=%s reason=%s",
                  rd_kafka_err2name(cause), log_quote(text, quoted, sizeof(quoted)));
        reason = text;
    } else if (log_allowed(&sink->error_log, LOG_INTERVAL_NS, &suppressed)) {
        log_warn("kafka", "brokers", "error=%s reason=%s suppressed=%" PRIu64,
                 rd_kafka_err2name((rd_kafka_resp_err_t)code),
                 log_quote(reason, quoted, sizeof(quoted)), suppressed);
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__FATAL) {
        atomic_store_explicit(&sink->is_connected, false, memory_order_relaxed);
    }
    keep_error(sink, reason);
}

/* Records taken over that have neither been acknowledged nor given up. */
static uint64_t owed(const struct kafka_sink *sink)
{
    const uint64_t done = counter_get(&sink->acked) + counter_get(&sink->failed);
    const uint64_t offered = counter_get(&sink->offered);

    return offered > done ? offered - done : 0;
}

/* ---- the producer's thread ---- */

/* Index of the topic, or -1: this record does not go to Kafka. */
static int topic_of(const struct kafka_sink *sink, const struct batch_entry *entry)
{
    switch (entry->stream) {
    case RECORD_FLOWS:
        return sink->settings.flows && (!sink->only_ended || entry->event == FLOW_END) ? 0 : -1;
    case RECORD_ALERTS:
        return sink->settings.alerts ? 1 : -1;
    case RECORD_STATS:
        return sink->settings.stats ? 2 : -1;
    default:
        return -1;
    }
}

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
        log_error("kafka", "no new producer", "reason=\"%s\"", err.message);
        keep_error(sink, err.message);
        sink->has_fatal_error = true;
        sink->reopen_ns = now_ns + REOPEN_NS;
    }
}

static void take_events(struct kafka_sink *sink)
{
    uint64_t events;

    (void)!read(sink->event, &events, sizeof(events));
}

/* Callbacks run here: delivery reports, errors, the library's log. */
static void serve(struct kafka_sink *sink, int timeout_ms)
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

/* Hands one message to librdkafka; its queue being full is waited for here, where nobody waits for
 * us. False: stopping. */
static bool produce(struct kafka_sink *sink, int topic, const void *value, size_t length,
                    struct record_text key)
{
    for (;;) {
        rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__FATAL;

        if (sink->client.producer != NULL) {
            if (rd_kafka_produce(sink->client.topics[topic], RD_KAFKA_PARTITION_UA,
                                 RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)value, length,
                                 key.length > 0 ? key.data : NULL, key.length, NULL) == 0) {
                counter_add(&sink->sent, 1);
                return true;
            }
            code = rd_kafka_last_error();
        }
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            uint64_t suppressed = 0;

            counter_add(&sink->queue_full, 1);
            if (log_allowed(&sink->full_log, LOG_INTERVAL_NS, &suppressed)) {
                log_warn("kafka", "the queue is full: later records wait, then are dropped",
                         "owed=%" PRIu64, owed(sink));
            }
        } else if (code == RD_KAFKA_RESP_ERR__FATAL) {
            sink->has_fatal_error = true;
        } else {
            count_failure(sink, code, false);
            return true;
        }
        if (atomic_load_explicit(&sink->is_stopping, memory_order_acquire)) {
            return false;
        }
        serve(sink, FULL_WAIT_MS);
        if (sink->client.producer == NULL) {
            (void)poll(NULL, 0, FULL_WAIT_MS);
        }
    }
}

/* The record as JSON or as a row, in `scratch`: its length, or 0. */
static size_t convert(struct kafka_sink *sink, int topic, const uint8_t *bytes, size_t length)
{
    struct json_writer writer;

    if (!sink->is_json) {
        return flow_row_from_flow(bytes, length, sink->scratch, SCRATCH_BYTES);
    }
    json_init(&writer, (char *)sink->scratch, SCRATCH_BYTES);
    return json_from_wire(sink->messages[topic], bytes, length, &writer) && !writer.overflow
               ? writer.length
               : 0;
}

static bool produce_entry(struct kafka_sink *sink, int topic, const struct batch_entry *entry,
                          const uint8_t *bytes)
{
    const void *value = bytes;
    size_t length = entry->full_length;
    struct record_text key = {NULL, 0};

    if (topic == 0 ? sink->keys_by_sensor : entry->stream == RECORD_STATS) {
        key = (struct record_text){sink->sensor_id, sink->sensor_id_length};
    } else if (topic != 0 || sink->keys_by_flow) {
        key = kafka_key_of((enum record_stream)entry->stream, bytes, entry->full_length);
    }
    if (sink->is_json || (sink->is_row && topic == 0)) {
        length = convert(sink, topic, bytes, length);
        if (length == 0) {
            count_failure(sink, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, false);
            return true;
        }
        value = sink->scratch;
    }
    return produce(sink, topic, value, length, key);
}

/* Copies the batch into librdkafka's queue and lets it go. What a stop leaves over is counted. */
static void produce_batch(struct kafka_sink *sink, struct record_batch *batch)
{
    bool goes_on = true;

    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];
        const int topic = topic_of(sink, entry);

        if (topic < 0) {
            continue;
        }
        goes_on = goes_on && produce_entry(sink, topic, entry, batch->bytes + entry->offset);
        if (!goes_on) {
            count_failure(sink, RD_KAFKA_RESP_ERR__PURGE_QUEUE, false);
        }
    }
    batch_unref(batch);
}

static void *run(void *context)
{
    struct kafka_sink *sink = context;

    (void)pthread_setname_np(pthread_self(), "kafka");
    while (!atomic_load_explicit(&sink->is_stopping, memory_order_acquire)) {
        struct pollfd wait = {.fd = sink->event, .events = POLLIN};
        struct record_batch *batch = NULL;

        if (!atomic_load_explicit(&sink->is_flushing, memory_order_relaxed)) {
            (void)poll(&wait, 1, IDLE_MS);
        }
        take_events(sink);
        while ((batch = ring_pop(sink->hand_over)) != NULL) {
            produce_batch(sink, batch);
            serve(sink, 0);
        }
        serve(sink,
              atomic_load_explicit(&sink->is_flushing, memory_order_relaxed) ? FLUSH_STEP_MS : 0);
    }
    for (struct record_batch *batch = NULL; (batch = ring_pop(sink->hand_over)) != NULL;) {
        produce_batch(sink, batch);
    }
    end_client(sink);
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

    for (uint32_t i = 0; i < batch->count; i++) {
        wanted += topic_of(sink, &batch->entries[i]) >= 0;
    }
    if (wanted == 0) {
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

    atomic_store_explicit(&sink->is_flushing, true, memory_order_relaxed);
    wake_thread(sink);
    while (owed(sink) > 0 && clock_monotonic_ns() < deadline_ns) {
        (void)poll(NULL, 0, 5);
    }
    atomic_store_explicit(&sink->is_flushing, false, memory_order_relaxed);
    return owed(sink);
}

static void statistics(void *state, struct stats_sink *row)
{
    struct kafka_sink *sink = state;

    row->connected = atomic_load_explicit(&sink->is_connected, memory_order_relaxed);
    row->sent = counter_get(&sink->sent);
    row->acked = counter_get(&sink->acked);
    row->failed = counter_get(&sink->failed);
    row->unacked = owed(sink);
    (void)pthread_mutex_lock(&sink->error_lock);
    (void)snprintf(row->last_error, sizeof(row->last_error), "%s", sink->last_error);
    (void)pthread_mutex_unlock(&sink->error_lock);
}

static void free_sink(struct kafka_sink *sink)
{
    kafka_client_close(&sink->client);
    ring_free(sink->hand_over);
    if (sink->event >= 0) {
        (void)close(sink->event);
    }
    (void)pthread_mutex_destroy(&sink->error_lock);
    free(sink->scratch);
    free(sink);
}

static void close_sink(void *state)
{
    struct kafka_sink *sink = state;

    atomic_store_explicit(&sink->is_stopping, true, memory_order_release);
    wake_thread(sink);
    (void)pthread_join(sink->thread, NULL);
    if (counter_get(&sink->failed) > 0) {
        log_warn("kafka", "records not delivered",
                 "acked=%" PRIu64 " failed=%" PRIu64 " possibly_persisted=%" PRIu64,
                 counter_get(&sink->acked), counter_get(&sink->failed),
                 counter_get(&sink->possibly_persisted));
    }
    free_sink(sink);
}

static const struct sink_ops ops = {
    .name = "kafka",
    .when_full = SINK_DROPS,
    .offer = offer,
    .flush = flush,
    .statistics = statistics,
    .close = close_sink,
};

void kafka_sink_counts(const struct sink *from, struct kafka_counts *out)
{
    const struct kafka_sink *sink = from->state;

    *out = (struct kafka_counts){
        .offered = counter_get(&sink->offered),
        .sent = counter_get(&sink->sent),
        .acked = counter_get(&sink->acked),
        .failed = counter_get(&sink->failed),
        .possibly_persisted = counter_get(&sink->possibly_persisted),
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

int kafka_sink_open(const struct kafka_settings *settings, const char *sensor_id, struct sink *out,
                    struct error *err)
{
    struct kafka_sink *sink = calloc(1, sizeof(*sink));

    if (sink == NULL) {
        return error_set(err, ENOMEM, "kafka: no memory");
    }
    sink->settings = *settings;
    sink->sensor_id = sensor_id;
    sink->sensor_id_length = (uint32_t)strlen(sensor_id);
    sink->only_ended = strcmp(settings->flow_events, "end") == 0;
    sink->keys_by_flow = strcmp(settings->key, "community_id") == 0;
    sink->keys_by_sensor = strcmp(settings->key, "sensor") == 0;
    (void)pthread_mutex_init(&sink->error_lock, NULL);
    sink->hand_over = ring_new(HAND_OVER_BATCHES);
    sink->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sink->is_json = strcmp(settings->value, "json") == 0;
    sink->is_row = strcmp(settings->value, "flow_row") == 0;
    if (sink->is_json || sink->is_row) {
        sink->scratch = malloc(SCRATCH_BYTES);
        for (int i = 0; i < KAFKA_TOPICS; i++) {
            sink->messages[i] = json_message_find(message_names[i]);
        }
    }
    int result = 0;

    if (sink->hand_over == NULL || sink->event < 0 ||
        ((sink->is_json || sink->is_row) && sink->scratch == NULL)) {
        result = error_set(err, ENOMEM, "kafka: no memory");
    } else {
        result = open_client(sink, err);
    }
    if (result == 0) {
        result = start_thread(sink, err);
    }
    if (result != 0) {
        free_sink(sink);
        return result;
    }
    *out = (struct sink){&ops, sink};
    return 0;
}
