/* Reads topics from their beginning until every record is there, and says whether the contract
 * held.
 *
 *     kafka-check BROKERS RECORDS SECONDS TOPIC PARTITIONS [TOPIC PARTITIONS]...
 *
 * Ends when RECORDS different records have come (and half a second later, so that one too many
 * shows too), or after SECONDS. Prints one line of JSON: records that came at all, different ones
 * (by sensor, boot, topic and record_seq), duplicates, those whose bytes differ from the first
 * (must be none), records behind a later one of their key (order), records in a partition that is
 * not their key's, damaged ones, messages, and the sum of packets over the different flow records.
 * Values may be FlowRecord and the like, FlowRow, or packed: fields 1 to 3 are the same in all of
 * them. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/wire_format.h"

#define SLOTS       (1U << 22) /* identities, and keys */
#define QUIET_NS    (500 * NS_PER_MS)
#define COMMUNITY   25 /* FlowRecord and FlowRow */
#define FORWARD     11
#define REVERSE     12
#define ROW_FORWARD 353 /* 11 * 32 + 1: forward_delta_packets */
#define ROW_REVERSE 385

struct slot {
    uint64_t hash; /* 0: free */
    uint64_t value;
};

struct check {
    struct slot *identities; /* value: hash of the bytes */
    struct slot *keys;       /* value: the highest record_seq so far */
    uint64_t records, unique, duplicates, differing, disordered, misplaced, damaged, messages;
    uint64_t packets, bytes;
};

static const struct hash_key hash_key = {1, 2};

static struct slot *find(struct slot *slots, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (SLOTS - 1);

    while (slots[at].hash != 0 && slots[at].hash != hash) {
        at = (at + 1) & (SLOTS - 1);
    }
    return &slots[at];
}

struct record {
    const uint8_t *sensor, *boot, *key;
    size_t sensor_length, boot_length, key_length;
    uint64_t seq, packets;
};

/* delta_packets of a Counters message. */
static uint64_t delta_packets(const struct wire_field *counters)
{
    struct wire_reader reader = wire_reader_over(counters->bytes, counters->length);
    struct wire_field field;
    uint64_t packets = 0;

    while (wire_next(&reader, &field)) {
        packets = field.number == 1 && field.type == WIRE_VARINT ? field.value : packets;
    }
    return packets;
}

static bool read_record(const uint8_t *bytes, size_t length, struct record *out)
{
    struct wire_reader reader = wire_reader_over(bytes, length);
    struct wire_field field;

    *out = (struct record){0};
    while (wire_next(&reader, &field)) {
        if (field.type == WIRE_BYTES && field.number == 1) {
            out->sensor = field.bytes;
            out->sensor_length = field.length;
        } else if (field.type == WIRE_BYTES && field.number == 2) {
            out->boot = field.bytes;
            out->boot_length = field.length;
        } else if (field.type == WIRE_VARINT && field.number == 3) {
            out->seq = field.value;
        } else if (field.type == WIRE_BYTES && field.number == COMMUNITY) {
            out->key = field.bytes;
            out->key_length = field.length;
        } else if (field.type == WIRE_BYTES &&
                   (field.number == FORWARD || field.number == REVERSE)) {
            out->packets += delta_packets(&field);
        } else if (field.type == WIRE_VARINT &&
                   (field.number == ROW_FORWARD || field.number == ROW_REVERSE)) {
            out->packets += field.value;
        }
    }
    return reader.ok && out->seq > 0;
}

static void see_record(struct check *check, const rd_kafka_message_t *message, const uint8_t *bytes,
                       size_t length, bool is_flow, int partitions)
{
    const char *topic = rd_kafka_topic_name(message->rkt);
    struct record record;

    check->records++;
    if (!read_record(bytes, length, &record)) {
        check->damaged++;
        return;
    }
    uint64_t hash = hash_bytes(hash_key, topic, strlen(topic));

    hash = hash_mix(hash ^ hash_bytes(hash_key, record.sensor, record.sensor_length));
    hash = hash_mix(hash ^ hash_bytes(hash_key, record.boot, record.boot_length));
    const uint64_t stream = hash;

    hash = hash_mix(hash ^ record.seq);
    struct slot *slot = find(check->identities, hash | 1);
    const uint64_t content = hash_bytes(hash_key, bytes, length);

    if (slot->hash != 0) {
        check->duplicates++;
        check->differing += slot->value != content;
        return;
    }
    *slot = (struct slot){hash | 1, content};
    check->unique++;
    check->bytes += length;
    if (!is_flow) {
        return;
    }
    check->packets += record.packets;
    if (record.key_length == 0) {
        return;
    }
    check->misplaced +=
        rd_kafka_msg_partitioner_murmur2(NULL, record.key, record.key_length, partitions, NULL,
                                         NULL) != message->partition;
    slot = find(check->keys,
                hash_mix(stream ^ hash_bytes(hash_key, record.key, record.key_length)) | 1);
    check->disordered += slot->hash != 0 && record.seq < slot->value;
    *slot = (struct slot){
        hash_mix(stream ^ hash_bytes(hash_key, record.key, record.key_length)) | 1, record.seq};
}

static void see_message(struct check *check, const rd_kafka_message_t *message, char **topics,
                        int count)
{
    const char *topic = rd_kafka_topic_name(message->rkt);
    const bool is_flow = strstr(topic, ".flow") != NULL;
    int partitions = 1;

    for (int i = 0; i + 1 < count; i += 2) {
        partitions =
            strcmp(topics[i], topic) == 0 ? (int)strtol(topics[i + 1], NULL, 10) : partitions;
    }
    check->messages++;
    if (strstr(topic, "-packed") == NULL) {
        see_record(check, message, message->payload, message->len, is_flow, partitions);
        return;
    }
    struct wire_reader reader = wire_reader_over(message->payload, message->len);
    struct wire_field field;

    while (wire_next(&reader, &field)) {
        if (field.number != 1 || field.type != WIRE_BYTES) {
            check->damaged++;
            continue;
        }
        see_record(check, message, field.bytes, field.length, is_flow, partitions);
    }
    check->damaged += !reader.ok;
}

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

    (void)rd_kafka_conf_set(conf, "bootstrap.servers", brokers, NULL, 0);
    (void)rd_kafka_conf_set(conf, "group.id", "kafka-check", NULL, 0);
    (void)rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    (void)rd_kafka_conf_set(conf, "enable.auto.commit", "false", NULL, 0);
    (void)rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "200", NULL, 0);
    (void)rd_kafka_conf_set(conf, "fetch.wait.max.ms", "50", NULL, 0);
    rd_kafka_conf_set_error_cb(conf, ignore);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));

    if (consumer == NULL) {
        fprintf(stderr, "kafka-check: %s\n", reason);
        return NULL;
    }
    (void)rd_kafka_poll_set_consumer(consumer);
    for (int i = 0; i + 1 < count; i += 2) {
        for (int p = 0; p < (int)strtol(topics[i + 1], NULL, 10); p++) {
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
    struct check check = {.identities = calloc(SLOTS, sizeof(struct slot)),
                          .keys = calloc(SLOTS, sizeof(struct slot))};

    if (argc < 6 || check.identities == NULL || check.keys == NULL) {
        fprintf(stderr, "usage: kafka-check BROKERS RECORDS SECONDS TOPIC PARTITIONS...\n");
        return 2;
    }
    const uint64_t wanted = strtoull(argv[2], NULL, 10);
    uint64_t end_ns = clock_monotonic_ns() + strtoull(argv[3], NULL, 10) * NS_PER_SEC;
    rd_kafka_t *consumer = open_consumer(argv[1], argv + 4, argc - 4);
    bool is_whole = false;

    while (consumer != NULL && clock_monotonic_ns() < end_ns) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 50);

        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            see_message(&check, message, argv + 4, argc - 4);
        }
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
        if (!is_whole && check.unique >= wanted) {
            is_whole = true;
            end_ns = clock_monotonic_ns() + QUIET_NS;
        }
    }
    printf("{\"records\":%" PRIu64 ",\"unique\":%" PRIu64 ",\"duplicates\":%" PRIu64
           ",\"differing\":%" PRIu64 ",\"disordered\":%" PRIu64 ",\"misplaced\":%" PRIu64
           ",\"damaged\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"packets\":%" PRIu64
           ",\"bytes\":%" PRIu64 "}\n",
           check.records, check.unique, check.duplicates, check.differing, check.disordered,
           check.misplaced, check.damaged, check.messages, check.packets, check.bytes);
    if (consumer != NULL) {
        (void)rd_kafka_consumer_close(consumer);
        rd_kafka_destroy(consumer);
    }
    free(check.identities);
    free(check.keys);
    return consumer != NULL ? 0 : 1;
}
