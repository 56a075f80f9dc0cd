/* What a record costs on its way to Kafka, beside what librdkafka alone costs for the same bytes.
 *
 *     kafka_bench BROKERS RECORDS [RATE]
 *
 * Each row sends RECORDS flows as the sensor makes them, in batches that are there already, and
 * prints CPU (user and system of this whole process, librdkafka's threads included) per record.
 * With RATE also a row at that many records a second. Brokers are in another process; nobody reads.
 * Exit 1 when a record is not acknowledged. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config/config.h"
#include "proto/codec.h"
#include "sensor/export/kafka_key.h"
#include "sensor/export/kafka_sink.h"
#include "sensor/pipeline/batch.h"
#include "sensor/wire/community_id.h"
#include "tests/support/record_random.h"

#define BATCHES     32
#define BATCH_BYTES (512U * 1024U)
#define KEYS        4096

struct bench {
    struct record_batch *batches[BATCHES];
    uint64_t records_each, records, bytes;
    const char *brokers;
};

static double cpu_us(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void fill(struct bench *bench, struct batch_pool *pool)
{
    uint64_t seq = 0;

    for (int b = 0; b < BATCHES; b++) {
        struct record_batch *batch = batch_take(pool);
        uint8_t *room = NULL;

        for (bench->records_each = 0;
             bench->records_each < BATCH_RECORDS_MAX && (room = batch_reserve(batch, 2048)) != NULL;
             bench->records_each++) {
            struct flow_record record;
            char community[COMMUNITY_ID_TEXT_BYTES];

            record_typical_flow(&record);
            record.identity = (struct record_identity){
                {"bench", 5}, {"0123456789abcdef0123456789abcdef", 32}, ++seq};
            record.client.port = (uint16_t)(1024 + seq % KEYS);
            const struct community_id_flow flow = {record.client.ip, record.server.ip,
                                                   record.ip_protocol, record.client.port,
                                                   record.server.port};

            community_id_v1(&flow, 0, community);
            record.community_id = (struct record_text){community, COMMUNITY_ID_TEXT_BYTES - 1};
            struct batch_entry *entry =
                batch_commit(batch, (uint32_t)codec_encode_flow(&record, room, 2048));

            entry->full_length = entry->length;
            entry->stream = RECORD_FLOWS;
            entry->event = FLOW_END;
            bench->bytes = entry->length;
        }
        bench->batches[b] = batch;
    }
}

static void on_delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context)
{
    (void)producer;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ++*(uint64_t *)context;
    }
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char reason[200];

    if (rd_kafka_conf_set(conf, key, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "kafka_bench: %s\n", reason);
        exit(2);
    }
}

/* The least that librdkafka asks for these messages, with the sink's settings. */
static bool run_floor(struct bench *bench)
{
    char reason[200];
    uint64_t acked = 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    set(conf, "bootstrap.servers", bench->brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "partitioner", "murmur2_random");
    set(conf, "compression.type", "lz4");
    set(conf, "linger.ms", "50");
    set(conf, "queue.buffering.max.messages", "200000");
    set(conf, "log_level", "0");
    rd_kafka_conf_set_opaque(conf, &acked);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, "netscope.flows.v1", NULL);
    const double cpu_before = cpu_us();
    const uint64_t begin_ns = clock_monotonic_ns();
    uint64_t sent = 0;

    while (sent < bench->records) {
        const struct record_batch *batch = bench->batches[sent / bench->records_each % BATCHES];
        const struct batch_entry *entry = &batch->entries[sent % bench->records_each];
        const uint8_t *bytes = batch->bytes + entry->offset;
        const struct record_text key = kafka_key_of(RECORD_FLOWS, bytes, entry->full_length);

        if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                             (void *)(uintptr_t)bytes, entry->full_length, key.data, key.length,
                             NULL) == 0) {
            sent++;
        } else {
            (void)rd_kafka_poll(producer, 5);
        }
        if (sent % 512 == 0) {
            (void)rd_kafka_poll(producer, 0);
        }
    }
    (void)rd_kafka_flush(producer, 60000);
    printf("  %-34s %6.2f us CPU a record, %7.0f records/s\n", "librdkafka alone (the floor)",
           (cpu_us() - cpu_before) / (double)sent,
           (double)sent * 1e9 / (double)(clock_monotonic_ns() - begin_ns));
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
    return acked == sent;
}

static struct sink open_sink(const struct bench *bench, const char *const *settings,
                             struct kafka_settings *kafka, struct spool_settings *spool,
                             struct config **config)
{
    static struct config_section sections[2];
    struct error err = {0};
    struct sink sink = {0};
    bool ok = true;

    sections[0] = (struct config_section){"kafka", kafka_fields, kafka, NULL};
    sections[1] = (struct config_section){"spool", spool_fields, spool, NULL};
    *config = config_new(sections, 2, "BENCH", &err);
    ok = *config != NULL &&
         config_set(*config, "kafka.brokers", bench->brokers, "kafka.brokers", &err) == 0;
    for (; ok && settings[0] != NULL; settings += 2) {
        ok = config_set(*config, settings[0], settings[1], settings[0], &err) == 0;
    }
    if (!ok || kafka_sink_open(kafka, NULL, spool, "bench", &sink, &err) != 0) {
        fprintf(stderr, "kafka_bench: %s\n", err.message);
        exit(2);
    }
    return sink;
}

/* `rate` 0: as fast as it goes. */
static bool run_sink(struct bench *bench, const char *title, const char *const *settings,
                     uint64_t rate)
{
    struct kafka_settings kafka;
    struct spool_settings spool;
    struct config *config = NULL;
    struct sink sink = open_sink(bench, settings, &kafka, &spool, &config);
    struct kafka_counts counts;
    const double cpu_before = cpu_us();
    const uint64_t begin_ns = clock_monotonic_ns();
    const uint64_t wanted = rate > 0 ? rate * 10 : bench->records;
    uint64_t sent = 0;
    uint64_t dropped = 0;

    while (sent + dropped < wanted) {
        struct record_batch *batch =
            bench->batches[(sent + dropped) / bench->records_each % BATCHES];

        if (rate > 0 && clock_monotonic_ns() < begin_ns + (sent + dropped) * NS_PER_SEC / rate) {
            (void)usleep(500);
        } else if (sink.ops->offer(sink.state, batch) == SINK_TAKEN) {
            sent += batch->count;
        } else {
            (void)usleep(200);
        }
    }
    (void)!sink.ops->flush(sink.state, clock_monotonic_ns() + 120 * NS_PER_SEC);
    const double seconds = (double)(clock_monotonic_ns() - begin_ns) * 1e-9;

    kafka_sink_counts(&sink, &counts);
    printf(
        "  %-34s %6.2f us CPU a record, %7.0f records/s, %" PRIu64 " of %" PRIu64 " acknowledged\n",
        title, (cpu_us() - cpu_before) / (double)sent, (double)sent / seconds, counts.acked, sent);
    (void)fflush(stdout);
    sink.ops->close(sink.state);
    config_free(config);
    return counts.acked == sent;
}

int main(int argc, char **argv)
{
    static const char *const single[] = {NULL};
    static const char *const packed[] = {"kafka.packed", "true", NULL};
    static const char *const rows[] = {"kafka.value", "flow_row", NULL};
    static const char *const packed_rows[] = {"kafka.value", "flow_row", "kafka.packed", "true",
                                              NULL};
    struct error err = {0};
    struct bench bench = {0};

    if (argc < 3) {
        fprintf(stderr, "usage: kafka_bench BROKERS RECORDS [RATE]\n");
        return 2;
    }
    struct batch_pool *pool = batch_pool_new(BATCHES, BATCH_BYTES, 0, &err);
    char directory[] = "/tmp/kafka_bench_XXXXXX";

    if (pool == NULL || mkdtemp(directory) == NULL) {
        fprintf(stderr, "kafka_bench: %s\n", err.message);
        return 2;
    }
    const char *const spooled[] = {"spool.directory", directory, NULL};

    bench.brokers = argv[1];
    bench.records = strtoull(argv[2], NULL, 10);
    fill(&bench, pool);
    printf("  flow records of %" PRIu64 " bytes\n", bench.bytes);
    bool ok = run_floor(&bench);

    ok = run_sink(&bench, "one record a message", single, 0) && ok;
    ok = run_sink(&bench, "packed", packed, 0) && ok;
    ok = run_sink(&bench, "FlowRow, one a message", rows, 0) && ok;
    ok = run_sink(&bench, "FlowRow, packed", packed_rows, 0) && ok;
    ok = run_sink(&bench, "one a message, with a spool", spooled, 0) && ok;
    if (argc > 3) {
        const uint64_t rate = strtoull(argv[3], NULL, 10);

        ok = run_sink(&bench, "one a message, 10 s at the rate", single, rate) && ok;
        ok = run_sink(&bench, "packed, 10 s at the rate", packed, rate) && ok;
    }
    for (int i = 0; i < BATCHES; i++) {
        batch_unref(bench.batches[i]);
    }
    batch_pool_free(pool);
    return ok ? 0 : 1;
}
