#include "sensor/export/kafka_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/kafka/kafka_connection.h"

#define SECTION "kafka"

/* Properties that would break what this sink promises, with the way out. */
static const struct kafka_refusal refused[] = {
    {"transactional.id", "records are sent at least once, without transactions"},
    {"delivery.report.only.error", "every delivery report is counted"},
    {"enable.idempotence", "records are sent idempotently: that is what keeps their order"},
    {"partitioner", "the key's partition is part of the contract: murmur2_random"},
    {"queuing.strategy", "the order of records is kept"},
};

static struct kafka_connection connection_of(const struct kafka_settings *from)
{
    return (struct kafka_connection){.section = SECTION,
                                     .client_id = "netscope-sensor",
                                     .brokers = from->brokers,
                                     .access = from->access};
}

static int set(rd_kafka_conf_t *conf, const char *setting, const char *property, const char *value,
               struct error *err)
{
    return kafka_connection_set(conf, SECTION, setting, property, value, err);
}

static int set_number(rd_kafka_conf_t *conf, const char *setting, const char *property,
                      uint64_t value, struct error *err)
{
    return kafka_connection_set_number(conf, SECTION, setting, property, value, err);
}

static int fill_conf(rd_kafka_conf_t *conf, const struct kafka_settings *from, struct error *err)
{
    const uint64_t kbytes = from->queue_bytes / 1024;
    const struct kafka_connection connection = connection_of(from);

    if (kafka_connection_fill(conf, &connection, err) != 0 ||
        set(conf, "key", "partitioner", "murmur2_random", err) != 0 ||
        set(conf, "properties", "enable.idempotence", "true", err) != 0 ||
        set(conf, "properties", "acks", "all", err) != 0 ||
        set(conf, "compression", "compression.type", from->compression, err) != 0 ||
        set_number(conf, "linger", "linger.ms", from->linger_ns / NS_PER_MS, err) != 0 ||
        set_number(conf, "message_timeout", "message.timeout.ms",
                   from->message_timeout_ns / NS_PER_MS, err) != 0 ||
        set_number(conf, "queue_messages", "queue.buffering.max.messages", from->queue_messages,
                   err) != 0 ||
        set_number(conf, "queue_bytes", "queue.buffering.max.kbytes", kbytes > 0 ? kbytes : 1,
                   err) != 0) {
        return -err->code;
    }
    return kafka_connection_set_properties(conf, SECTION, &from->properties, refused,
                                           ARRAY_COUNT(refused), err);
}

int kafka_check_property(const char *key, const char *value, struct error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int result = kafka_connection_refuse(SECTION, key, refused, ARRAY_COUNT(refused), err);

    if (result == 0) {
        result = set(conf, "properties", key, value, err);
    }
    rd_kafka_conf_destroy(conf);
    return result;
}

static int check_topics(const struct kafka_settings *settings, struct error *err)
{
    const char *prefix = settings->topic_prefix;
    char longest[KAFKA_TOPIC_NAME_MAX + 2];

    (void)snprintf(longest, sizeof(longest), "%s.aggregaterows-packed.v1", prefix);
    if (prefix[0] == '\0' || !kafka_is_topic(longest)) {
        return error_set(err, EINVAL,
                         "kafka.topic_prefix: \"%.100s\" gives no topic name (letters, digits, "
                         "'.', '_' and '-'; %u characters with the rest of the name)",
                         prefix, KAFKA_TOPIC_NAME_MAX);
    }
    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        const char *name = settings->topics[kind];

        if (name != NULL && name[0] != '\0' && !kafka_is_topic(name)) {
            return error_set(err, EINVAL,
                             "kafka.%s_topic: \"%.100s\" is no topic name (letters, digits, '.', "
                             "'_' and '-'; %u characters)",
                             kafka_kind_name((enum kafka_kind)kind), name, KAFKA_TOPIC_NAME_MAX);
        }
    }
    return 0;
}

int kafka_check_brokers(const char *key, const char *text, struct error *err)
{
    (void)key;
    return kafka_connection_check_brokers(SECTION, text, err);
}

/* Settings that exclude each other. */
static int check_form(const struct kafka_settings *settings, struct error *err)
{
    const bool has_length = strcmp(settings->protobuf_framing, "varint") == 0;

    if (has_length && strcmp(settings->value, "json") == 0) {
        return error_set(err, EINVAL, "kafka.protobuf_framing: of protobuf values alone, not json");
    }
    if (has_length && settings->schema_ids.count > 0) {
        return error_set(err, EINVAL,
                         "kafka.protobuf_framing: a value has one framing, and kafka.schema_ids "
                         "gives it Confluent's");
    }
    if (strcmp(settings->headers, "cloudevents") == 0 && settings->packed) {
        return error_set(err, EINVAL,
                         "kafka.headers: an event each, but kafka.packed puts many records into a "
                         "message");
    }
    return 0;
}

int kafka_settings_check(const struct kafka_settings *settings, struct error *err)
{
    const struct kafka_connection connection = connection_of(settings);

    if (kafka_connection_check(&connection, err) != 0 || check_topics(settings, err) != 0) {
        return -err->code;
    }
    if (settings->packed && strcmp(settings->value, "json") == 0) {
        return error_set(err, EINVAL,
                         "kafka.packed: needs kafka.value protobuf or flow_row, not json");
    }
    if (check_form(settings, err) != 0) {
        return -err->code;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const int result = fill_conf(conf, settings, err);

    rd_kafka_conf_destroy(conf);
    return result;
}

static int open_topics(struct kafka_client *client, const struct kafka_settings *settings,
                       struct error *err)
{
    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        char name[KAFKA_TOPIC_BYTES];

        if (!settings->is_on[kind]) {
            continue;
        }
        kafka_topic_name(settings, (enum kafka_kind)kind, name);
        client->topics[kind] = rd_kafka_topic_new(client->producer, name, NULL);
        if (client->topics[kind] == NULL) {
            return error_set(err, EINVAL, "kafka: topic %s: %s", name,
                             rd_kafka_err2str(rd_kafka_last_error()));
        }
    }
    return 0;
}

int kafka_client_open(struct kafka_client *client, const struct kafka_settings *settings,
                      const struct kafka_callbacks *callbacks, struct error *err)
{
    char reason[512];

    *client = (struct kafka_client){0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    if (fill_conf(conf, settings, err) != 0) {
        rd_kafka_conf_destroy(conf);
        return -err->code;
    }
    rd_kafka_conf_set_opaque(conf, callbacks->context);
    rd_kafka_conf_set_dr_msg_cb(conf, callbacks->delivered);
    rd_kafka_conf_set_error_cb(conf, callbacks->failed);
    rd_kafka_conf_set_log_cb(conf, kafka_connection_log);
    client->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (client->producer == NULL) {
        rd_kafka_conf_destroy(conf);
        return error_set(err, EINVAL, "kafka: %s", reason);
    }
    (void)rd_kafka_set_log_queue(client->producer, NULL); /* NULL: the queue that poll serves */
    if (open_topics(client, settings, err) != 0) {
        kafka_client_close(client);
        return -err->code;
    }
    return 0;
}

void kafka_client_close(struct kafka_client *client)
{
    for (int i = 0; i < KAFKA_KINDS; i++) {
        if (client->topics[i] != NULL) {
            rd_kafka_topic_destroy(client->topics[i]);
        }
    }
    if (client->producer != NULL) {
        rd_kafka_destroy(client->producer);
    }
    *client = (struct kafka_client){0};
}
