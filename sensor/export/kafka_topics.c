/* Topics: how an operator makes them, and the sink itself where create_topics says so. */
#include <inttypes.h>
#include <string.h>

#include "sensor/export/kafka_private.h"

#define ASK_TIMEOUT_MS  5000
#define RETRY_NS        (5 * NS_PER_SEC)
#define MS_IN_DAY       UINT64_C(86400000)
#define REPLICAS_PRINT  3
#define REPLICAS_BROKER (-1)
#define NUMBER_BYTES    24

/* `retention_ms` 0: the topic is compacted. */
static unsigned partitions_of(const struct kafka_settings *settings, enum kafka_kind kind,
                              uint64_t *retention_ms)
{
    unsigned partitions = 0;
    unsigned days = 0;

    kafka_kind_proposal(kind, &partitions, &days);
    *retention_ms = MS_IN_DAY * days;
    return settings->topic_partitions > 0 ? (unsigned)settings->topic_partitions : partitions;
}

/* ---- kafka-topics ---- */

void kafka_topics_print(const struct kafka_settings *settings, FILE *out)
{
    const char *brokers = settings->brokers[0] != '\0' ? settings->brokers : "localhost:9092";
    const unsigned replicas =
        settings->topic_replication > 0 ? (unsigned)settings->topic_replication : REPLICAS_PRINT;

    fprintf(out, "# Partitions and replicas are a proposal: more partitions for more readers; with "
                 "fewer than three brokers\n"
                 "# --replication-factor 1 and min.insync.replicas=1.\n");
    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        char name[KAFKA_TOPIC_BYTES];
        uint64_t retention_ms = 0;

        if (!settings->is_on[kind]) {
            continue;
        }
        const unsigned partitions = partitions_of(settings, (enum kafka_kind)kind, &retention_ms);

        kafka_topic_name(settings, (enum kafka_kind)kind, name);
        fprintf(out,
                "kafka-topics.sh --bootstrap-server '%s' --create --if-not-exists "
                "--topic '%s' --partitions %u --replication-factor %u "
                "--config min.insync.replicas=%u --config ",
                brokers, name, partitions, replicas, replicas > 1 ? replicas - 1 : 1);
        if (retention_ms > 0) {
            fprintf(out, "retention.ms=%" PRIu64 "\n", retention_ms);
        } else {
            fputs("cleanup.policy=compact\n", out);
        }
    }
}

/* ---- create_topics ---- */

static rd_kafka_NewTopic_t *new_topic(struct kafka_sink *sink, enum kafka_kind kind)
{
    const struct kafka_settings *settings = &sink->settings;
    const int replicas =
        settings->topic_replication > 0 ? (int)settings->topic_replication : REPLICAS_BROKER;
    char name[KAFKA_TOPIC_BYTES];
    char number[NUMBER_BYTES];
    char reason[256];
    uint64_t retention_ms = 0;
    const unsigned partitions = partitions_of(settings, kind, &retention_ms);

    kafka_topic_name(settings, kind, name);
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(name, (int)partitions, replicas, reason, sizeof(reason));

    if (topic == NULL) {
        log_warn(sink->name, "a topic cannot be made", "topic=%s reason=\"%s\"", name, reason);
        return NULL;
    }
    (void)snprintf(number, sizeof(number), "%" PRIu64, retention_ms);
    if ((retention_ms > 0 ? rd_kafka_NewTopic_set_config(topic, "retention.ms", number)
                          : rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "compact")) !=
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_NewTopic_destroy(topic);
        return NULL;
    }
    return topic;
}

static void ask(struct kafka_sink *sink)
{
    rd_kafka_NewTopic_t *wanted[KAFKA_KINDS];
    size_t count = 0;
    char reason[256];

    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        rd_kafka_NewTopic_t *topic =
            sink->streams[kind].is_on ? new_topic(sink, (enum kafka_kind)kind) : NULL;

        if (topic != NULL) {
            wanted[count++] = topic;
        }
    }
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(sink->client.producer, RD_KAFKA_ADMIN_OP_CREATETOPICS);

    if (options != NULL && count > 0) {
        (void)rd_kafka_AdminOptions_set_request_timeout(options, ASK_TIMEOUT_MS, reason,
                                                        sizeof(reason));
        (void)rd_kafka_AdminOptions_set_operation_timeout(options, ASK_TIMEOUT_MS, reason,
                                                          sizeof(reason));
        sink->topics.answers = rd_kafka_queue_new(sink->client.producer);
        rd_kafka_CreateTopics(sink->client.producer, wanted, count, options, sink->topics.answers);
    }
    if (options != NULL) {
        rd_kafka_AdminOptions_destroy(options);
    }
    rd_kafka_NewTopic_destroy_array(wanted, count);
}

/* Whether a topic is there now. */
static bool take_topic(struct kafka_sink *sink, const rd_kafka_topic_result_t *topic)
{
    const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(topic);
    const char *reason = rd_kafka_topic_result_error_string(topic);
    char quoted[600];
    uint64_t suppressed = 0;

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        log_info(sink->name, "a topic was made", "topic=%s", rd_kafka_topic_result_name(topic));
    } else if (code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        if (log_allowed(&sink->topic_log, KAFKA_LOG_INTERVAL_NS, &suppressed)) {
            log_warn(sink->name, "a topic cannot be made; it is asked for again",
                     "topic=%s error=%s reason=%s suppressed=%" PRIu64,
                     rd_kafka_topic_result_name(topic), rd_kafka_err2name(code),
                     log_quote(reason == NULL ? "" : reason, quoted, sizeof(quoted)), suppressed);
        }
        return false;
    }
    return true;
}

static void take_answer(struct kafka_sink *sink, rd_kafka_event_t *event)
{
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    bool are_there = code == RD_KAFKA_RESP_ERR_NO_ERROR && result != NULL;
    size_t count = 0;
    uint64_t suppressed = 0;

    if (are_there) {
        const rd_kafka_topic_result_t **topics =
            rd_kafka_CreateTopics_result_topics(result, &count);

        for (size_t i = 0; i < count; i++) {
            are_there = take_topic(sink, topics[i]) && are_there;
        }
    } else if (log_allowed(&sink->topic_log, KAFKA_LOG_INTERVAL_NS, &suppressed)) {
        log_warn(sink->name, "no broker makes the topics; they are asked again", "error=%s",
                 rd_kafka_err2name(code));
    }
    sink->topics.is_done = are_there;
}

void kafka_topics_forget(struct kafka_sink *sink)
{
    if (sink->topics.answers != NULL) {
        rd_kafka_queue_destroy(sink->topics.answers);
        sink->topics.answers = NULL;
    }
}

void kafka_topics_tick(struct kafka_sink *sink, uint64_t now_ns)
{
    struct kafka_topics *topics = &sink->topics;

    if (topics->is_done || sink->client.producer == NULL) {
        return;
    }
    if (topics->answers == NULL) {
        if (now_ns >= topics->next_ns) {
            topics->next_ns = now_ns + RETRY_NS;
            ask(sink);
        }
        return;
    }
    rd_kafka_event_t *event = rd_kafka_queue_poll(topics->answers, 0);

    if (event == NULL) {
        return;
    }
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT) {
        take_answer(sink, event);
        kafka_topics_forget(sink);
    }
    rd_kafka_event_destroy(event);
}
