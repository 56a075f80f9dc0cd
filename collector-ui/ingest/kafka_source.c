#include "collector-ui/ingest/kafka_source.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/kafka/kafka_connection.h"
#include "base/log.h"
#include "collector-ui/ingest/kafka_source_private.h"
#include "collector-ui/ingest/kafka_value.h"

#define COMPONENT       "kafka_source"
#define IDLE_POLL_MS    200
#define WAIT_STEP_NS    (200 * NS_PER_MS)
#define COMMIT_WAIT_NS  (10 * NS_PER_SEC)
#define STOP_WAIT_NS    (5 * NS_PER_SEC) /* for what is on its way to the disk */
#define REST_NS         NS_PER_SEC       /* before messages are asked for again */
#define RUN_RECORDS_MAX 512
#define RUN_BYTES_MAX   (256 * 1024)
#define LOG_EVERY_NS    (10 * NS_PER_SEC)

/* Records of one lane with numbers that follow each other, until they are handed on. */
struct run {
    struct ingest_lane_batch batch;
    char sensor_id[INGEST_SENSOR_ID_BYTES], boot_id[INGEST_BOOT_ID_BYTES];
    char peer[KAFKA_TOPIC_NAME_MAX + 8];
    struct codec_slice records[RUN_RECORDS_MAX];
    uint8_t bytes[RUN_BYTES_MAX];
    uint32_t length;
};

struct kafka_source {
    const struct kafka_source_settings *settings;
    struct ingest *ingest;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *commits; /* answers to commits */
    rd_kafka_topic_partition_list_t *topics;
    pthread_t thread;
    bool has_thread;
    atomic_bool is_stopping;
    pthread_mutex_t lock; /* counts */
    struct kafka_source_counts counts;
    /* The thread's: */
    struct kafka_source_counts pending;
    struct kafka_value *value;
    struct run run;
    rd_kafka_topic_partition_list_t *offsets; /* behind what was read since the last commit */
    uint64_t gathered;                        /* records since then */
    bool is_closed;                           /* ingest took something no more */
    const rd_kafka_message_t *message;        /* that is being read */
    enum record_stream stream;
    uint64_t measured_ns;
};

/* ---- records ---- */

static void hand_on(struct kafka_source *source)
{
    struct run *run = &source->run;
    const uint32_t count = run->batch.record_count;
    uint32_t taken = 0;

    if (count == 0) {
        return;
    }
    switch (ingest_lane_take(source->ingest, &run->batch, &taken)) {
    case INGEST_LANE_TAKEN:
    case INGEST_LANE_KNOWN:
        source->pending.taken += taken;
        source->pending.known += count - taken;
        break;
    case INGEST_LANE_BY_STREAM:
    case INGEST_LANE_BY_OTHER:
        source->pending.by_stream += count;
        break;
    case INGEST_LANE_CLOSED:
        source->is_closed = true;
        break;
    default:
        source->pending.refused += count;
        break;
    }
    run->batch.record_count = 0;
    run->length = 0;
}

static bool goes_on(const struct run *run, const struct lane_record *part,
                    enum record_stream stream, uint32_t lane)
{
    return run->batch.record_count > 0 && run->batch.record_count < RUN_RECORDS_MAX &&
           part->length <= RUN_BYTES_MAX - run->length && run->batch.stream == stream &&
           run->batch.lane == lane && part->seq == run->batch.first_seq + run->batch.record_count &&
           strcmp(run->sensor_id, part->sensor_id) == 0 && strcmp(run->boot_id, part->boot_id) == 0;
}

/* When the message was made, so that what waited long does not look like a sensor that lives. */
static uint64_t sent_ns(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    const int64_t ms = rd_kafka_message_timestamp(message, &type);
    const uint64_t now_ns = clock_wall_ns();
    const uint64_t said_ns = ms > 0 ? (uint64_t)ms * NS_PER_MS : now_ns;

    return said_ns < now_ns ? said_ns : now_ns;
}

static void take_part(void *context, const struct lane_record *part)
{
    struct kafka_source *source = context;
    struct run *run = &source->run;
    const uint32_t lane = (uint32_t)source->message->partition + 1;

    source->pending.records++;
    source->gathered++;
    if (part->length > RUN_BYTES_MAX) {
        source->pending.refused++;
        return;
    }
    if (!goes_on(run, part, source->stream, lane)) {
        hand_on(source);
        memcpy(run->sensor_id, part->sensor_id, sizeof(run->sensor_id));
        memcpy(run->boot_id, part->boot_id, sizeof(run->boot_id));
        (void)snprintf(run->peer, sizeof(run->peer), "kafka %s",
                       rd_kafka_topic_name(source->message->rkt));
        run->batch = (struct ingest_lane_batch){.sensor_id = run->sensor_id,
                                                .boot_id = run->boot_id,
                                                .peer = run->peer,
                                                .stream = source->stream,
                                                .lane = lane,
                                                .first_seq = part->seq,
                                                .records = run->records,
                                                .sent_ns = sent_ns(source->message)};
    }
    memcpy(run->bytes + run->length, part->bytes, part->length);
    run->records[run->batch.record_count++] =
        (struct codec_slice){run->bytes + run->length, part->length};
    run->length += part->length;
}

/* ---- messages ---- */

static bool stream_of(const struct kafka_source *source, const char *topic,
                      enum record_stream *stream)
{
    for (int s = 0; s < KAFKA_SOURCE_STREAMS; s++) {
        const struct config_list *topics = &source->settings->topics[s];

        for (uint32_t i = 0; i < topics->count; i++) {
            if (strcmp(topics->items[i], topic) == 0) {
                *stream = kafka_source_record_stream((enum kafka_source_stream)s);
                return true;
            }
        }
    }
    return false;
}

static void note_offset(struct kafka_source *source, const rd_kafka_message_t *message)
{
    const char *topic = rd_kafka_topic_name(message->rkt);
    rd_kafka_topic_partition_t *entry =
        rd_kafka_topic_partition_list_find(source->offsets, topic, message->partition);

    if (entry == NULL) {
        entry = rd_kafka_topic_partition_list_add(source->offsets, topic, message->partition);
    }
    entry->offset = message->offset + 1;
}

/* It needs no disk: whoever reads the topic anew has it again. */
static bool take_asset(struct kafka_source *source, const rd_kafka_message_t *message,
                       struct error *err)
{
    struct kafka_asset asset;

    if (!kafka_value_read_asset(source->value, message->payload, message->len, &asset, err)) {
        return false;
    }
    source->pending.assets++;
    ingest_take_assets(source->ingest, asset.sensor_id, asset.report, asset.length);
    return true;
}

static void take_value(struct kafka_source *source, const rd_kafka_message_t *message)
{
    static struct log_limit limit;
    const char *topic = rd_kafka_topic_name(message->rkt);
    struct error err = {0};

    source->pending.messages++;
    source->message = message;
    if (!stream_of(source, topic, &source->stream) || message->payload == NULL ||
        !(source->stream == RECORD_STREAM_NONE
              ? take_asset(source, message, &err)
              : kafka_value_read(source->value, source->stream, message->payload, message->len,
                                 take_part, source, &err))) {
        char quoted[512];

        source->pending.undecodable++;
        if (log_allowed(&limit, LOG_EVERY_NS, NULL)) {
            log_warn(
                COMPONENT, "a message that is none of netscope-sensor's is passed over",
                "topic=%s partition=%d offset=%lld reason=%s", topic, (int)message->partition,
                (long long)message->offset,
                log_quote(err.code != 0 ? err.message : "it has no value", quoted, sizeof(quoted)));
        }
    }
    note_offset(source, message);
    source->message = NULL;
}

static void tell_error(struct kafka_source *source, const rd_kafka_message_t *message)
{
    static struct log_limit limit;
    char quoted[512];

    source->pending.errors++;
    if (log_allowed(&limit, LOG_EVERY_NS, NULL)) {
        log_warn(COMPONENT, "a topic cannot be read", "topic=%s reason=%s",
                 message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "",
                 log_quote(rd_kafka_message_errstr(message), quoted, sizeof(quoted)));
    }
}

/* Until there is a batch, or nothing for a moment. */
static void gather(struct kafka_source *source)
{
    const uint64_t begin_ns = clock_monotonic_ns();
    uint64_t until_ns = begin_ns + IDLE_POLL_MS * NS_PER_MS;

    while (source->gathered < source->settings->batch_records &&
           !atomic_load(&source->is_stopping)) {
        const uint64_t now_ns = clock_monotonic_ns();

        if (now_ns >= until_ns) {
            return;
        }
        rd_kafka_message_t *message = rd_kafka_consumer_poll(
            source->consumer, (int)((until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS));

        if (message == NULL) {
            continue;
        }
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            tell_error(source, message);
        } else {
            if (source->offsets->cnt == 0) {
                until_ns = clock_monotonic_ns() + source->settings->batch_wait_ns;
            }
            take_value(source, message);
        }
        rd_kafka_message_destroy(message);
    }
}

/* ---- offsets ---- */

static void tell_commit(struct kafka_source *source, rd_kafka_resp_err_t code)
{
    static struct log_limit limit;

    source->pending.commits++;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    source->pending.commits_failed++;
    if (log_allowed(&limit, LOG_EVERY_NS, NULL)) {
        log_warn(COMPONENT,
                 "offsets were not committed: what is on disk here may be read once more",
                 "reason=\"%s\"", rd_kafka_err2str(code));
    }
}

static void commit(struct kafka_source *source)
{
    const uint64_t until_ns = clock_monotonic_ns() + COMMIT_WAIT_NS;
    rd_kafka_resp_err_t code =
        rd_kafka_commit_queue(source->consumer, source->offsets, source->commits, NULL, NULL);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = RD_KAFKA_RESP_ERR__TIMED_OUT;
        while (code == RD_KAFKA_RESP_ERR__TIMED_OUT && clock_monotonic_ns() < until_ns) {
            rd_kafka_event_t *event = rd_kafka_queue_poll(source->commits, IDLE_POLL_MS);

            if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT) {
                code = rd_kafka_event_error(event);
            }
            rd_kafka_event_destroy(event); /* NULL: nothing came */
        }
    }
    tell_commit(source, code);
}

/* Back to what is committed: the group gives the partitions anew. */
static void begin_again(struct kafka_source *source)
{
    static struct log_limit limit;
    const uint64_t until_ns = clock_monotonic_ns() + REST_NS;

    source->pending.again++;
    if (log_allowed(&limit, LOG_EVERY_NS, NULL)) {
        log_warn(COMPONENT, "the log took nothing: messages are read again from what is committed",
                 NULL);
    }
    (void)rd_kafka_unsubscribe(source->consumer);
    while (clock_monotonic_ns() < until_ns && !atomic_load(&source->is_stopping)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(source->consumer, IDLE_POLL_MS);

        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
    }
    (void)rd_kafka_subscribe(source->consumer, source->topics);
}

/* All that was gathered is on disk and committed, or will be read again. */
static void settle(struct kafka_source *source)
{
    uint64_t stop_ns = 0;
    int result = -EAGAIN;

    hand_on(source);
    while (result == -EAGAIN && (stop_ns == 0 || clock_monotonic_ns() < stop_ns)) {
        result = ingest_lane_wait(source->ingest, WAIT_STEP_NS);
        if (stop_ns == 0 && atomic_load(&source->is_stopping)) {
            stop_ns = clock_monotonic_ns() + STOP_WAIT_NS;
        }
    }
    if (result == 0 && !source->is_closed) {
        commit(source);
    } else if (!atomic_load(&source->is_stopping)) {
        begin_again(source);
    }
    source->is_closed = false;
    source->gathered = 0;
    rd_kafka_topic_partition_list_destroy(source->offsets);
    source->offsets = rd_kafka_topic_partition_list_new(8);
}

/* ---- figures ---- */

static uint64_t lag_of(struct kafka_source *source, const rd_kafka_topic_partition_t *at)
{
    int64_t low = 0;
    int64_t high = 0;

    if (at->offset < 0 || rd_kafka_get_watermark_offsets(source->consumer, at->topic, at->partition,
                                                         &low, &high) != 0) {
        return 0;
    }
    return high > at->offset ? (uint64_t)(high - at->offset) : 0;
}

static void measure(struct kafka_source *source)
{
    rd_kafka_topic_partition_list_t *list = NULL;

    source->pending.lag = 0;
    source->pending.partitions = 0;
    if (rd_kafka_assignment(source->consumer, &list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        source->pending.partitions = (uint64_t)list->cnt;
        if (rd_kafka_position(source->consumer, list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            for (int i = 0; i < list->cnt; i++) {
                source->pending.lag += lag_of(source, &list->elems[i]);
            }
        }
        rd_kafka_topic_partition_list_destroy(list);
    }
}

static void publish_counts(struct kafka_source *source)
{
    const uint64_t now_ns = clock_monotonic_ns();

    if (now_ns - source->measured_ns >= NS_PER_SEC) {
        source->measured_ns = now_ns;
        measure(source);
    }
    (void)pthread_mutex_lock(&source->lock);
    source->counts = source->pending;
    (void)pthread_mutex_unlock(&source->lock);
}

void kafka_source_counts_read(struct kafka_source *source, struct kafka_source_counts *out)
{
    (void)pthread_mutex_lock(&source->lock);
    *out = source->counts;
    (void)pthread_mutex_unlock(&source->lock);
}

/* ---- life ---- */

static void *run(void *argument)
{
    struct kafka_source *source = argument;

    while (!atomic_load(&source->is_stopping)) {
        gather(source);
        if (source->offsets->cnt > 0) {
            settle(source);
        }
        publish_counts(source);
    }
    (void)rd_kafka_consumer_close(source->consumer);
    return NULL;
}

static void on_error(rd_kafka_t *consumer, int code, const char *reason, void *context)
{
    static struct log_limit limit;
    struct kafka_source *source = context;
    char quoted[512];

    (void)consumer, (void)code;
    source->pending.errors++; /* from consumer_poll: on our thread */
    if (log_allowed(&limit, LOG_EVERY_NS, NULL)) {
        log_warn(COMPONENT, "trouble with a broker", "reason=%s",
                 log_quote(reason, quoted, sizeof(quoted)));
    }
}

static int open_consumer(struct kafka_source *source, struct error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[512];

    if (kafka_source_fill(conf, source->settings, err) != 0) {
        rd_kafka_conf_destroy(conf);
        return -err->code;
    }
    rd_kafka_conf_set_opaque(conf, source);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, kafka_connection_log);
    source->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    if (source->consumer == NULL) {
        rd_kafka_conf_destroy(conf);
        return error_set(err, EINVAL, COMPONENT ": %s", reason);
    }
    (void)rd_kafka_set_log_queue(source->consumer, NULL); /* the queue that poll serves */
    (void)rd_kafka_poll_set_consumer(source->consumer);
    source->commits = rd_kafka_queue_new(source->consumer);
    source->topics = rd_kafka_topic_partition_list_new(8);
    source->offsets = rd_kafka_topic_partition_list_new(8);
    for (int s = 0; s < KAFKA_SOURCE_STREAMS; s++) {
        for (uint32_t i = 0; i < source->settings->topics[s].count; i++) {
            (void)rd_kafka_topic_partition_list_add(
                source->topics, source->settings->topics[s].items[i], RD_KAFKA_PARTITION_UA);
        }
    }
    const rd_kafka_resp_err_t code = rd_kafka_subscribe(source->consumer, source->topics);

    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : error_set(err, EINVAL, COMPONENT ": subscribe: %s", rd_kafka_err2str(code));
}

static int start(struct kafka_source *source, struct error *err)
{
    source->value = kafka_value_new(err);
    if (source->value == NULL || open_consumer(source, err) != 0) {
        return -err->code;
    }
    const int code = pthread_create(&source->thread, NULL, run, source);

    source->has_thread = code == 0;
    return code == 0 ? 0 : error_set(err, code, COMPONENT ": no thread: %s", strerror(code));
}

struct kafka_source *kafka_source_new(const struct kafka_source_settings *settings,
                                      struct ingest *ingest, struct error *err)
{
    struct kafka_source *source = calloc(1, sizeof(*source));

    if (source == NULL) {
        (void)error_set(err, ENOMEM, COMPONENT ": no memory");
        return NULL;
    }
    source->settings = settings;
    source->ingest = ingest;
    (void)pthread_mutex_init(&source->lock, NULL);
    if (start(source, err) != 0) {
        kafka_source_free(source);
        return NULL;
    }
    log_info(COMPONENT, "reading from Kafka", "brokers=%s group=%s topics=%d", settings->brokers,
             settings->group, source->topics->cnt);
    return source;
}

void kafka_source_free(struct kafka_source *source)
{
    if (source == NULL) {
        return;
    }
    atomic_store(&source->is_stopping, true);
    if (source->has_thread) {
        (void)pthread_join(source->thread, NULL);
    }
    if (source->offsets != NULL) {
        rd_kafka_topic_partition_list_destroy(source->offsets);
        rd_kafka_topic_partition_list_destroy(source->topics);
        rd_kafka_queue_destroy(source->commits);
    }
    if (source->consumer != NULL) {
        rd_kafka_destroy(source->consumer);
    }
    kafka_value_free(source->value);
    (void)pthread_mutex_destroy(&source->lock);
    free(source);
}
