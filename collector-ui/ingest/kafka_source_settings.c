#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/kafka/kafka_connection.h"
#include "collector-ui/ingest/kafka_source_private.h"

#define SECTION       "kafka_source"
#define FIELD(member) offsetof(struct kafka_source_settings, member)

static const struct kafka_refusal refused[] = {
    {"group.id", "use kafka_source.group"},
    {"enable.auto.commit", "offsets are committed when their records are on disk"},
    {"enable.auto.offset.store", "offsets are committed when their records are on disk"},
    {"isolation.level", "only committed messages are read"},
    {"queued.max.messages.kbytes", "use kafka_source.queue_bytes"},
    {"session.timeout.ms", "use kafka_source.session_timeout"},
    {"heartbeat.interval.ms", "use kafka_source.session_timeout"},
};

static int check_brokers(const char *key, const char *text, struct error *err)
{
    (void)key;
    return kafka_connection_check_brokers(SECTION, text, err);
}

static int check_property(const char *key, const char *value, struct error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int result = kafka_connection_refuse(SECTION, key, refused, ARRAY_COUNT(refused), err);

    if (result == 0) {
        result = kafka_connection_set(conf, SECTION, "properties", key, value, err);
    }
    rd_kafka_conf_destroy(conf);
    return result;
}

const struct config_field kafka_source_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "brokers",
     .offset = FIELD(brokers),
     .value = "",
     .max = 2048,
     .check = check_brokers,
     .help = "First brokers to ask, host:port with commas; empty: nothing is read from Kafka."},
    {.type = CONFIG_TEXT,
     .key = "group",
     .offset = FIELD(group),
     .value = "netscope-collector",
     .min = 1,
     .max = 249,
     .help = "Consumer group: collectors of one group share the partitions, each group reads all."},
    {.type = CONFIG_LIST,
     .key = "flows_topics",
     .offset = FIELD(topics[KAFKA_SOURCE_FLOWS]),
     .value = "netscope.flows.v1",
     .max = 64,
     .help = "Topics of flow records, as sensors write them (protobuf, packed or JSON; not FlowRow "
             "and no sums); empty: none."},
    {.type = CONFIG_LIST,
     .key = "alerts_topics",
     .offset = FIELD(topics[KAFKA_SOURCE_ALERTS]),
     .value = "netscope.alerts.v1",
     .max = 64,
     .help = "Topics of alerts; empty: none."},
    {.type = CONFIG_LIST,
     .key = "stats_topics",
     .offset = FIELD(topics[KAFKA_SOURCE_STATS]),
     .value = "netscope.stats.v1",
     .max = 64,
     .help = "Topics of statistics, which the live view shows; empty: none."},
    {.type = CONFIG_LIST,
     .key = "packets_topics",
     .offset = FIELD(topics[KAFKA_SOURCE_PACKETS]),
     .value = "",
     .max = 64,
     .help = "Topics of packet samples; empty: none."},
    {.type = CONFIG_LIST,
     .key = "dns_topics",
     .offset = FIELD(topics[KAFKA_SOURCE_DNS]),
     .value = "",
     .max = 64,
     .help = "Topics of DNS transactions, for DnsService of the fleet; empty: none."},
    {.type = CONFIG_LIST,
     .key = "assets_topics",
     .offset = FIELD(topics[KAFKA_SOURCE_ASSETS]),
     .value = "",
     .max = 64,
     .help =
         "Topics of assets (kafka.assets of sensors), for AssetService of the fleet; empty: none."},
    {.type = CONFIG_U64,
     .key = "batch_records",
     .offset = FIELD(batch_records),
     .value = "8192",
     .min = 1,
     .max = 1000000,
     .help = "Records that are read before they are waited for on disk and their offsets "
             "committed."},
    {.type = CONFIG_DURATION,
     .key = "batch_wait",
     .offset = FIELD(batch_wait_ns),
     .value = "50ms",
     .min = 1e6,
     .max = 1e10,
     .help = "Or after this time."},
    {.type = CONFIG_BYTES,
     .key = "queue_bytes",
     .offset = FIELD(queue_bytes),
     .value = "32MiB",
     .min = 1048576,
     .max = 2147483647.0 * 1024,
     .help = "Messages fetched ahead of their turn."},
    {.type = CONFIG_DURATION,
     .key = "session_timeout",
     .offset = FIELD(session_timeout_ns),
     .value = "10s",
     .min = 1e9,
     .max = 3.6e12,
     .help = "A collector of the group that is not heard for so long loses its partitions to the "
             "others; brokers have bounds of their own (6 s to 30 min)."},
    KAFKA_ACCESS_FIELDS(struct kafka_source_settings, "the collector's"),
    {.type = CONFIG_MAP,
     .key = "properties",
     .offset = FIELD(properties),
     .value = "",
     .check = check_property,
     .help = "Further properties of librdkafka (its CONFIGURATION.md), checked at the start."},
    {0},
};

static const char *const topic_keys[KAFKA_SOURCE_STREAMS] = {
    [KAFKA_SOURCE_FLOWS] = "flows_topics", [KAFKA_SOURCE_ALERTS] = "alerts_topics",
    [KAFKA_SOURCE_STATS] = "stats_topics", [KAFKA_SOURCE_PACKETS] = "packets_topics",
    [KAFKA_SOURCE_DNS] = "dns_topics",     [KAFKA_SOURCE_ASSETS] = "assets_topics",
};

enum record_stream kafka_source_record_stream(enum kafka_source_stream stream)
{
    static const enum record_stream streams[KAFKA_SOURCE_STREAMS] = {
        [KAFKA_SOURCE_FLOWS] = RECORD_FLOWS, [KAFKA_SOURCE_ALERTS] = RECORD_ALERTS,
        [KAFKA_SOURCE_STATS] = RECORD_STATS, [KAFKA_SOURCE_PACKETS] = RECORD_PACKETS,
        [KAFKA_SOURCE_DNS] = RECORD_DNS,     [KAFKA_SOURCE_ASSETS] = RECORD_STREAM_NONE,
    };

    return streams[stream];
}

static struct kafka_connection connection_of(const struct kafka_source_settings *from)
{
    return (struct kafka_connection){.section = SECTION,
                                     .client_id = "netscope-collector",
                                     .brokers = from->brokers,
                                     .access = from->access};
}

/* How often the topic stands in the lists; two streams of one topic cannot be told apart. */
static uint32_t count_topic(const struct kafka_source_settings *settings, const char *name)
{
    uint32_t count = 0;

    for (int s = 0; s < KAFKA_SOURCE_STREAMS; s++) {
        for (uint32_t i = 0; i < settings->topics[s].count; i++) {
            count += strcmp(settings->topics[s].items[i], name) == 0;
        }
    }
    return count;
}

static int check_topics(const struct kafka_source_settings *settings, struct error *err)
{
    uint32_t count = 0;

    for (int s = 0; s < KAFKA_SOURCE_STREAMS; s++) {
        for (uint32_t i = 0; i < settings->topics[s].count; i++, count++) {
            const char *name = settings->topics[s].items[i];

            if (!kafka_is_topic(name)) {
                return error_set(err, EINVAL,
                                 SECTION ".%s: \"%.100s\" is no topic name (letters, digits, '.', "
                                         "'_' and '-'; %u characters)",
                                 topic_keys[s], name, KAFKA_TOPIC_NAME_MAX);
            }
            if (count_topic(settings, name) > 1) {
                return error_set(err, EINVAL, SECTION ".%s: \"%.100s\" is named more than once",
                                 topic_keys[s], name);
            }
        }
    }
    return count > 0 ? 0
                     : error_set(err, EINVAL,
                                 SECTION ": brokers without a topic; name some in flows_topics");
}

int kafka_source_fill(rd_kafka_conf_t *conf, const struct kafka_source_settings *settings,
                      struct error *err)
{
    const struct kafka_connection connection = connection_of(settings);

    if (kafka_connection_fill(conf, &connection, err) != 0 ||
        kafka_connection_set(conf, SECTION, "group", "group.id", settings->group, err) != 0 ||
        kafka_connection_set(conf, SECTION, "group", "enable.auto.commit", "false", err) != 0 ||
        kafka_connection_set(conf, SECTION, "group", "enable.auto.offset.store", "false", err) !=
            0 ||
        kafka_connection_set(conf, SECTION, "group", "auto.offset.reset", "earliest", err) != 0 ||
        kafka_connection_set_number(conf, SECTION, "session_timeout", "session.timeout.ms",
                                    settings->session_timeout_ns / NS_PER_MS, err) != 0 ||
        kafka_connection_set_number(conf, SECTION, "session_timeout", "heartbeat.interval.ms",
                                    settings->session_timeout_ns / NS_PER_MS / 4, err) != 0 ||
        kafka_connection_set_number(conf, SECTION, "queue_bytes", "queued.max.messages.kbytes",
                                    settings->queue_bytes / 1024, err) != 0) {
        return -err->code;
    }
    return kafka_connection_set_properties(conf, SECTION, &settings->properties, refused,
                                           ARRAY_COUNT(refused), err);
}

int kafka_source_check(const struct kafka_source_settings *settings, struct error *err)
{
    const struct kafka_connection connection = connection_of(settings);

    if (settings->brokers[0] == '\0') {
        return 0;
    }
    if (kafka_connection_check(&connection, err) != 0 || check_topics(settings, err) != 0) {
        return -err->code;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const int result = kafka_source_fill(conf, settings, err);

    rd_kafka_conf_destroy(conf);
    return result;
}
