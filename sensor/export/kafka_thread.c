/* The thread of a Kafka sink: takes batches over, serves librdkafka, and puts a new producer in the
 * place of one that failed. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "sensor/export/kafka_private.h"

#define IDLE_MS       100
#define FLUSH_STEP_MS 20
#define PURGE_MS      1000
#define REOPEN_NS     NS_PER_SEC

/* ---- the producer ---- */

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
        if (message->rkt == sink->client.topics[KAFKA_ASSETS]) {
            kafka_assets_failed(sink);
        }
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
    } else if (log_allowed(&sink->error_log, KAFKA_LOG_INTERVAL_NS, &suppressed)) {
        log_warn(sink->name, "brokers", "error=%s reason=%s suppressed=%" PRIu64,
                 rd_kafka_err2name((rd_kafka_resp_err_t)code),
                 log_quote(reason, quoted, sizeof(quoted)), suppressed);
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__FATAL) {
        atomic_store_explicit(&sink->is_connected, false, memory_order_relaxed);
    }
    kafka_keep_error(sink, reason);
}

int kafka_open_client(struct kafka_sink *sink, struct error *err)
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
    kafka_topics_forget(sink);
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
    if (kafka_open_client(sink, &err) != 0) {
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

/* ---- batches ---- */

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

void kafka_on_aggregate(void *context, const uint8_t *record, uint32_t length)
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
        kafka_topics_tick(sink, clock_monotonic_ns());
        kafka_assets_tick(sink, clock_monotonic_ns(), is_flushing);
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

/* librdkafka's threads, which this one starts, take no signals either. */
int kafka_start_thread(struct kafka_sink *sink, struct error *err)
{
    const int code = thread_start(&sink->thread, run, sink);

    return code == 0 ? 0 : error_set(err, code, "kafka: start a thread: %s", strerror(code));
}
