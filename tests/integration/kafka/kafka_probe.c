/* Drives the Kafka sink as the publisher does: batches of flows, an alert each 100 and a statistics
 * record each 1000 of them, at a given rate.
 *
 *     kafka-probe [--set KEY=VALUE]... [--sensor ID] [--reverse] [--records N] [--rate N]
 *                 [--keys N] [--offer-ms N] [--flush-ms N] [--boot ID]
 *
 * --set: a row of kafka_fields, or of spool_fields as spool.KEY. --reverse: the same flows
 * seen from the other side. --offer-ms: how long a batch is offered again while the sink is busy,
 * then it is dropped and counted. Prints one line of JSON; exit 1 with the sentence of the error
 * when the sink cannot be opened. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config/config.h"
#include "proto/codec.h"
#include "sensor/export/kafka_sink.h"
#include "sensor/pipeline/batch.h"
#include "sensor/wire/community_id.h"
#include "tests/support/record_random.h"

#define BATCHES     64
#define BATCH_BYTES (512U * 1024U)

struct probe {
    const char *sensor;
    const char *boot;
    bool is_reverse, has_spool;
    uint64_t records, rate, keys, offer_ns, flush_ns;
    struct sink sink;
    struct batch_pool *pool;
    struct record_random random;
    struct alert_record alert;
    struct stats_record stats;
    uint64_t seq[RECORD_STREAM_COUNT];
    uint64_t dropped, offer_max_ns, busy;
};

static void commit(struct record_batch *batch, size_t length, enum record_stream stream,
                   uint64_t seq, uint8_t event)
{
    if (length == 0) {
        fprintf(stderr, "kafka-probe: a record could not be encoded\n");
        exit(1);
    }
    struct batch_entry *entry = batch_commit(batch, (uint32_t)length);

    entry->full_length = (uint32_t)length;
    entry->stream = (uint8_t)stream;
    entry->event = event;
    entry->seq = seq;
}

static struct record_identity next_identity(struct probe *probe, enum record_stream stream)
{
    return (struct record_identity){
        .sensor_id = {probe->sensor, (uint32_t)strlen(probe->sensor)},
        .boot_id = {probe->boot, (uint32_t)strlen(probe->boot)},
        .seq = ++probe->seq[stream],
    };
}

static bool add_flow(struct probe *probe, struct record_batch *batch)
{
    uint8_t *room = batch_reserve(batch, CODEC_FLOW_BYTES_MAX);
    struct flow_record record;
    char community[COMMUNITY_ID_TEXT_BYTES];

    if (room == NULL) {
        return false;
    }
    record_typical_flow(&record);
    record.identity = next_identity(probe, RECORD_FLOWS);
    const uint64_t key = record.identity.seq % probe->keys;
    struct flow_endpoint *ends[2] = {&record.client, &record.server};

    ends[probe->is_reverse]->ip =
        (struct ip_address){{10, 0, (uint8_t)(key >> 8), (uint8_t)key}, 4};
    ends[probe->is_reverse]->port = (uint16_t)(1024 + key % 60000);
    ends[!probe->is_reverse]->ip = (struct ip_address){{192, 0, 2, 1}, 4};
    ends[!probe->is_reverse]->port = 443;
    const struct community_id_flow flow = {record.client.ip, record.server.ip, record.ip_protocol,
                                           record.client.port, record.server.port};

    community_id_v1(&flow, 0, community);
    record.community_id = (struct record_text){community, COMMUNITY_ID_TEXT_BYTES - 1};
    record.event = record.identity.seq % 2 == 0 ? FLOW_END : FLOW_UPDATE;
    record.forward.delta_packets = 3;
    record.reverse.delta_packets = 4;
    commit(batch, codec_encode_flow(&record, room, CODEC_FLOW_BYTES_MAX), RECORD_FLOWS,
           record.identity.seq, record.event);
    return true;
}

static bool add_others(struct probe *probe, struct record_batch *batch)
{
    const uint64_t flows = probe->seq[RECORD_FLOWS];
    uint8_t *room = NULL;

    if (flows % 100 == 0 && (room = batch_reserve(batch, CODEC_ALERT_BYTES_MAX)) != NULL) {
        record_random_alert(&probe->random, &probe->alert);
        probe->alert.identity = next_identity(probe, RECORD_ALERTS);
        (void)snprintf(probe->alert.alert_key, sizeof(probe->alert.alert_key), "%016" PRIx64,
                       flows % 7);
        commit(batch, codec_encode_alert(&probe->alert, room, CODEC_ALERT_BYTES_MAX), RECORD_ALERTS,
               probe->alert.identity.seq, probe->alert.state);
    }
    if (flows % 1000 == 0 && (room = batch_reserve(batch, CODEC_STATS_BYTES_MAX)) != NULL) {
        memset(&probe->stats, 0, sizeof(probe->stats));
        probe->stats.identity = next_identity(probe, RECORD_STATS);
        probe->stats.packets_total = flows;
        commit(batch, codec_encode_stats(&probe->stats, room, CODEC_STATS_BYTES_MAX), RECORD_STATS,
               probe->stats.identity.seq, 0);
    }
    return true;
}

static void offer(struct probe *probe, struct record_batch *batch)
{
    const uint64_t begin_ns = clock_monotonic_ns();

    for (;;) {
        const uint64_t before_ns = clock_monotonic_ns();
        const enum sink_verdict verdict = probe->sink.ops->offer(probe->sink.state, batch);
        const uint64_t after_ns = clock_monotonic_ns();

        if (after_ns - before_ns > probe->offer_max_ns) {
            probe->offer_max_ns = after_ns - before_ns;
        }
        if (verdict == SINK_TAKEN) {
            return;
        }
        probe->busy++;
        if (verdict == SINK_REFUSED || after_ns - begin_ns >= probe->offer_ns) {
            probe->dropped += batch->count;
            return;
        }
        (void)usleep(1000);
    }
}

static struct record_batch *take(struct probe *probe)
{
    struct record_batch *batch = NULL;

    while ((batch = batch_take(probe->pool)) == NULL) {
        (void)usleep(1000);
    }
    return batch;
}

static void send_all(struct probe *probe)
{
    const uint64_t begin_ns = clock_monotonic_ns();

    while (probe->seq[RECORD_FLOWS] < probe->records) {
        const uint64_t due_ns = probe->seq[RECORD_FLOWS] * NS_PER_SEC / probe->rate;
        struct record_batch *batch = take(probe);

        while (begin_ns + due_ns > clock_monotonic_ns()) {
            (void)usleep(1000);
        }
        for (int i = 0; i < 64 && probe->seq[RECORD_FLOWS] < probe->records; i++) {
            if (!add_flow(probe, batch) || !add_others(probe, batch)) {
                break;
            }
        }
        offer(probe, batch);
        batch_unref(batch);
    }
}

static void report(const struct probe *probe, uint64_t owed, uint64_t elapsed_ns)
{
    struct kafka_counts counts;
    struct stats_sink row = {0};

    kafka_sink_counts(&probe->sink, &counts);
    owed = probe->has_spool ? counts.owed : owed;
    probe->sink.ops->statistics(probe->sink.state, &row);
    printf("{\"flows\":%" PRIu64 ",\"alerts\":%" PRIu64 ",\"stats\":%" PRIu64
           ",\"dropped\":%" PRIu64 ",\"busy\":%" PRIu64,
           probe->seq[RECORD_FLOWS], probe->seq[RECORD_ALERTS], probe->seq[RECORD_STATS],
           probe->dropped, probe->busy);
    printf(",\"offered\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"failed\":%" PRIu64
           ",\"possibly_persisted\":%" PRIu64 ",\"queue_full\":%" PRIu64 ",\"restarts\":%" PRIu64,
           counts.offered, counts.sent, counts.acked, counts.failed, counts.possibly_persisted,
           counts.queue_full, counts.restarts);
    printf(",\"made\":%" PRIu64 ",\"recovered\":%" PRIu64 ",\"left_out\":%" PRIu64
           ",\"spool_lost\":%" PRIu64 ",\"resent\":%" PRIu64 ",\"messages\":%" PRIu64
           ",\"spool_bytes\":%" PRIu64,
           counts.made, counts.recovered, counts.left_out, counts.spool_lost, counts.resent,
           counts.messages, counts.spool_bytes);
    printf(",\"owed\":%" PRIu64 ",\"connected\":%s,\"row_failed\":%" PRIu64
           ",\"row_unacked\":%" PRIu64 ",\"offer_max_ms\":%.3f,\"seconds\":%.3f,\"errors\":{",
           owed, row.connected ? "true" : "false", row.failed, row.unacked,
           (double)probe->offer_max_ns * 1e-6, (double)elapsed_ns * 1e-9);
    for (uint32_t i = 0; i < counts.errors_count; i++) {
        printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", counts.errors[i].name,
               counts.errors[i].count);
    }
    printf("}}\n");
}

static int read_command(struct probe *probe, struct config *config, int argc, char **argv)
{
    static const struct option options[] = {
        {"set", 1, NULL, 's'},      {"sensor", 1, NULL, 'i'},
        {"reverse", 0, NULL, 'v'},  {"records", 1, NULL, 'n'},
        {"rate", 1, NULL, 'r'},     {"keys", 1, NULL, 'k'},
        {"offer-ms", 1, NULL, 'o'}, {"flush-ms", 1, NULL, 'f'},
        {"boot", 1, NULL, 'b'},     {0},
    };
    int option = 0;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const uint64_t number = optarg != NULL && option != 's' ? strtoull(optarg, NULL, 10) : 0;
        struct error err = {0};

        if (option == 's' && optarg != NULL) {
            char path[256];
            const char *equals = strchr(optarg, '=');

            (void)snprintf(path, sizeof(path), "%s%.*s",
                           strncmp(optarg, "spool.", 6) == 0 ? "" : "kafka.",
                           equals != NULL ? (int)(equals - optarg) : 0, optarg);
            if (equals == NULL || config_set(config, path, equals + 1, "--set", &err) != 0) {
                fprintf(stderr, "kafka-probe: %s\n", err.message);
                return 2;
            }
        } else if (option == 'i') {
            probe->sensor = optarg;
        } else if (option == 'b') {
            probe->boot = optarg;
        } else if (option == 'v') {
            probe->is_reverse = true;
        } else if (option == '?') {
            return 2;
        } else {
            *(option == 'n'   ? &probe->records
              : option == 'r' ? &probe->rate
              : option == 'k' ? &probe->keys
              : option == 'o' ? &probe->offer_ns
                              : &probe->flush_ns) =
                option == 'o' || option == 'f' ? number * NS_PER_MS : number;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct kafka_settings settings = {0};
    struct spool_settings spool = {0};
    const struct config_section sections[] = {
        {.path = "kafka", .fields = kafka_fields, .settings = &settings},
        {.path = "spool", .fields = spool_fields, .settings = &spool},
    };
    struct error err = {0};
    struct probe *probe = calloc(1, sizeof(*probe));
    AUTO(config) config = config_new(sections, 2, "NETSCOPE", &err);

    if (probe == NULL || config == NULL) {
        fprintf(stderr, "kafka-probe: %s\n", err.message);
        return 1;
    }
    *probe = (struct probe){.sensor = "sensor-a",
                            .boot = "0123456789abcdef0123456789abcdef",
                            .records = 10000,
                            .rate = 20000,
                            .keys = 500,
                            .offer_ns = 60 * NS_PER_SEC,
                            .flush_ns = 15 * NS_PER_SEC,
                            .random = record_random_from(7)};
    int result = read_command(probe, config, argc, argv);

    probe->has_spool = spool.directory[0] != '\0';
    if (result == 0 &&
        kafka_sink_open(&settings, NULL, &spool, probe->sensor, &probe->sink, &err) != 0) {
        fprintf(stderr, "kafka-probe: %s\n", err.message);
        result = 1;
    }
    if (result == 0) {
        probe->pool = batch_pool_new(BATCHES, BATCH_BYTES, 0, &err);
        const uint64_t begin_ns = clock_monotonic_ns();

        send_all(probe);
        const uint64_t owed =
            probe->sink.ops->flush(probe->sink.state, clock_monotonic_ns() + probe->flush_ns);

        report(probe, owed, clock_monotonic_ns() - begin_ns);
        probe->sink.ops->close(probe->sink.state);
        batch_pool_free(probe->pool);
    }
    free(probe);
    return result;
}
