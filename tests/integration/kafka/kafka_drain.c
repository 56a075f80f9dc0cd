/* Reads topics from their beginning and prints each record as a line of JSON until it is ended.
 *
 *     kafka-drain BROKERS protobuf|json TOPIC PARTITIONS [TOPIC PARTITIONS]...
 *
 * {"topic":..,"partition":..,"offset":..,"key":..,"headers":N,"bytes":N, ...} and, of a protobuf
 * value, what our own codec reads in it. A value of JSON is put in as it is. */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json_writer.h"
#include "proto/codec.h"

#define TEXT_BYTES 1048576

static volatile sig_atomic_t is_ended;

static void end(int signal_number)
{
    (void)signal_number;
    is_ended = 1;
}

struct drain {
    struct flow_record flow;
    struct alert_record alert;
    struct stats_record stats;
    struct arena *scratch;
    bool is_json;
    char text[TEXT_BYTES];
};

static void identity(struct json_writer *out, const struct record_identity *from)
{
    json_key(out, "sensor_id");
    json_text_bytes(out, from->sensor_id.data, from->sensor_id.length);
    json_key(out, "boot_id");
    json_text_bytes(out, from->boot_id.data, from->boot_id.length);
    json_key(out, "seq");
    json_u64(out, from->seq);
}

/* False: not what the topic promises. */
static bool value(struct drain *drain, const char *topic, const uint8_t *bytes, size_t length,
                  struct json_writer *out)
{
    arena_reset(drain->scratch);
    if (strstr(topic, ".flows.") != NULL) {
        if (!codec_decode_flow(bytes, length, &drain->flow)) {
            return false;
        }
        identity(out, &drain->flow.identity);
        json_key(out, "community_id");
        json_text_bytes(out, drain->flow.community_id.data, drain->flow.community_id.length);
        json_key(out, "event");
        json_u64(out, drain->flow.event);
        json_key(out, "packets");
        json_u64(out, drain->flow.forward.delta_packets + drain->flow.reverse.delta_packets);
        return true;
    }
    if (strstr(topic, ".alerts.") != NULL) {
        if (!codec_decode_alert(bytes, length, drain->scratch, &drain->alert)) {
            return false;
        }
        identity(out, &drain->alert.identity);
        json_key(out, "alert_key");
        json_text(out, drain->alert.alert_key);
        return true;
    }
    if (!codec_decode_stats(bytes, length, drain->scratch, &drain->stats)) {
        return false;
    }
    identity(out, &drain->stats.identity);
    return true;
}

static void print(struct drain *drain, const rd_kafka_message_t *message)
{
    const char *topic = rd_kafka_topic_name(message->rkt);
    rd_kafka_headers_t *headers = NULL;
    struct json_writer out;

    json_init(&out, drain->text, sizeof(drain->text));
    json_object_begin(&out);
    json_key(&out, "topic");
    json_text(&out, topic);
    json_key(&out, "partition");
    json_i64(&out, message->partition);
    json_key(&out, "offset");
    json_i64(&out, message->offset);
    json_key(&out, "key");
    if (message->key != NULL) {
        json_text_bytes(&out, message->key, message->key_len);
    } else {
        json_null(&out);
    }
    json_key(&out, "headers");
    json_u64(&out, rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR
                       ? rd_kafka_header_cnt(headers)
                       : 0);
    json_key(&out, "bytes");
    json_u64(&out, message->len);
    if (drain->is_json) {
        json_key(&out, "value");
        json_raw(&out, message->payload, message->len);
    } else if (!value(drain, topic, message->payload, message->len, &out)) {
        json_key(&out, "damaged");
        json_bool(&out, true);
    }
    json_object_end(&out);
    printf("%.*s\n", (int)out.length, drain->text);
}

/* Brokers go down in these tests: no word on it. */
static void ignore(rd_kafka_t *consumer, int code, const char *reason, void *context)
{
    (void)consumer;
    (void)code;
    (void)reason;
    (void)context;
}

static rd_kafka_t *open_consumer(const char *brokers, char **topics, int count)
{
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, reason, sizeof(reason)) != 0 ||
        rd_kafka_conf_set(conf, "group.id", "kafka-drain", reason, sizeof(reason)) != 0 ||
        rd_kafka_conf_set(conf, "log_level", "0", reason, sizeof(reason)) != 0 ||
        rd_kafka_conf_set(conf, "enable.auto.commit", "false", reason, sizeof(reason)) != 0 ||
        rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "500", reason, sizeof(reason)) != 0) {
        fprintf(stderr, "kafka-drain: %s\n", reason);
        return NULL;
    }
    rd_kafka_conf_set_error_cb(conf, ignore);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));

    if (consumer == NULL) {
        fprintf(stderr, "kafka-drain: %s\n", reason);
        return NULL;
    }
    (void)rd_kafka_poll_set_consumer(consumer);
    for (int i = 0; i + 1 < count; i += 2) {
        const int partitions = (int)strtol(topics[i + 1], NULL, 10);

        for (int p = 0; p < partitions; p++) {
            rd_kafka_topic_partition_list_add(list, topics[i], p)->offset =
                RD_KAFKA_OFFSET_BEGINNING;
        }
    }
    (void)rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return consumer;
}

int main(int argc, char **argv)
{
    struct drain *drain = calloc(1, sizeof(*drain));
    struct sigaction action = {.sa_handler = end};

    if (argc < 5 || drain == NULL || (drain->scratch = arena_new(TEXT_BYTES)) == NULL) {
        fprintf(stderr, "usage: kafka-drain BROKERS protobuf|json TOPIC PARTITIONS...\n");
        free(drain);
        return 2;
    }
    drain->is_json = strcmp(argv[2], "json") == 0;
    (void)sigaction(SIGTERM, &action, NULL);
    rd_kafka_t *consumer = open_consumer(argv[1], argv + 3, argc - 3);

    while (consumer != NULL && is_ended == 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);

        if (message == NULL) {
            (void)fflush(stdout);
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            print(drain, message);
        }
        rd_kafka_message_destroy(message);
    }
    (void)fflush(stdout);
    if (consumer != NULL) {
        (void)rd_kafka_consumer_close(consumer);
        rd_kafka_destroy(consumer);
    }
    arena_free(drain->scratch);
    free(drain);
    return consumer != NULL ? 0 : 1;
}
