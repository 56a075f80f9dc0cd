#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "sensor/export/kafka_sink.h"

#define FIELD(member) offsetof(struct kafka_settings, member)

const struct config_field kafka_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "brokers",
     .offset = FIELD(brokers),
     .value = "",
     .max = 2048,
     .help = "First brokers to ask, host:port with commas; empty: no Kafka."},
    {.type = CONFIG_TEXT,
     .key = "topic_prefix",
     .offset = FIELD(topic_prefix),
     .value = "netscope",
     .min = 1,
     .max = 200,
     .help = "Topics are PREFIX.flows.v1, PREFIX.alerts.v1 and PREFIX.stats.v1; they must exist "
             "(netscope-sensor kafka-topics prints how to make them)."},
    {.type = CONFIG_BOOL,
     .key = "flows",
     .offset = FIELD(flows),
     .value = "true",
     .help = "Send flow records."},
    {.type = CONFIG_BOOL,
     .key = "alerts",
     .offset = FIELD(alerts),
     .value = "true",
     .help = "Send alerts."},
    {.type = CONFIG_BOOL,
     .key = "stats",
     .offset = FIELD(stats),
     .value = "true",
     .help = "Send statistics."},
    {.type = CONFIG_CHOICE,
     .key = "value",
     .offset = FIELD(value),
     .value = "protobuf",
     .choices = "protobuf|json|flow_row",
     .help =
         "One netscope.v1 message a record without a prefix, proto3 JSON, or for flows the flat "
         "FlowRow (for ClickHouse; topic PREFIX.flowrows.v1)."},
    {.type = CONFIG_CHOICE,
     .key = "key",
     .offset = FIELD(key),
     .value = "community_id",
     .choices = "community_id|sensor|none",
     .help = "Key of flow records: both directions and all sensors of a flow in one partition, "
             "all of a sensor in one, or any."},
    {.type = CONFIG_CHOICE,
     .key = "flow_events",
     .offset = FIELD(flow_events),
     .value = "all",
     .choices = "all|end",
     .help = "All flow records, or only those of ended flows."},
    {.type = CONFIG_U64,
     .key = "queue_messages",
     .offset = FIELD(queue_messages),
     .value = "200000",
     .min = 1000,
     .max = 10000000,
     .help = "Records that wait for a broker at most."},
    {.type = CONFIG_BYTES,
     .key = "queue_bytes",
     .offset = FIELD(queue_bytes),
     .value = "256MiB",
     .min = 1048576,
     .max = 2147483647.0 * 1024,
     .help = "Bytes that wait for a broker at most."},
    {.type = CONFIG_DURATION,
     .key = "linger",
     .offset = FIELD(linger_ns),
     .value = "50ms",
     .min = 0,
     .max = 9e11,
     .help = "A message waits this long for others to share its request."},
    {.type = CONFIG_DURATION,
     .key = "message_timeout",
     .offset = FIELD(message_timeout_ns),
     .value = "5m",
     .min = 0,
     .max = 2147483647e6,
     .help = "A record not acknowledged by then is counted as failed; 0: never."},
    {.type = CONFIG_CHOICE,
     .key = "compression",
     .offset = FIELD(compression),
     .value = "lz4",
     .choices = "lz4|zstd|snappy|none",
     .help = "Of message batches."},
    {.type = CONFIG_CHOICE,
     .key = "security_protocol",
     .offset = FIELD(security_protocol),
     .value = "plaintext",
     .choices = "plaintext|ssl|sasl_plaintext|sasl_ssl",
     .help = "TLS and login."},
    {.type = CONFIG_TEXT,
     .key = "sasl_mechanism",
     .offset = FIELD(sasl_mechanism),
     .value = "",
     .max = 64,
     .help = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or GSSAPI."},
    {.type = CONFIG_TEXT,
     .key = "sasl_username",
     .offset = FIELD(sasl_username),
     .value = "",
     .max = 256,
     .help = "Name for PLAIN and SCRAM."},
    {.type = CONFIG_TEXT,
     .key = "sasl_password_file",
     .offset = FIELD(sasl_password_file),
     .value = "",
     .max = 4096,
     .help = "File with the password; others must not be able to read it."},
    {.type = CONFIG_TEXT,
     .key = "tls_ca",
     .offset = FIELD(tls_ca),
     .value = "",
     .max = 4096,
     .help = "PEM of the CA that signed the brokers' certificates; empty: the system's."},
    {.type = CONFIG_TEXT,
     .key = "tls_certificate",
     .offset = FIELD(tls_certificate),
     .value = "",
     .max = 4096,
     .help = "PEM of the sensor's certificate, where brokers ask for one."},
    {.type = CONFIG_TEXT,
     .key = "tls_key",
     .offset = FIELD(tls_key),
     .value = "",
     .max = 4096,
     .help = "PEM of its key."},
    {.type = CONFIG_MAP,
     .key = "properties",
     .offset = FIELD(properties),
     .value = "",
     .help = "Further properties of librdkafka (its CONFIGURATION.md), checked at the start."},
    {0},
};

const char *kafka_flows_suffix(const struct kafka_settings *settings)
{
    return strcmp(settings->value, "flow_row") == 0 ? "flowrows" : "flows";
}

void kafka_topics_print(const struct kafka_settings *settings, FILE *out)
{
    const char *brokers = settings->brokers[0] != '\0' ? settings->brokers : "localhost:9092";
    const struct {
        const char *name;
        bool is_on;
        unsigned partitions;
        unsigned days;
    } topics[] = {
        {kafka_flows_suffix(settings), settings->flows, 6, 7},
        {"alerts", settings->alerts, 3, 30},
        {"stats", settings->stats, 3, 7},
    };

    fprintf(out, "# Partitions and replicas are a proposal: more partitions for more readers.\n");
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        if (topics[i].is_on) {
            fprintf(out,
                    "kafka-topics.sh --bootstrap-server '%s' --create --if-not-exists "
                    "--topic '%s.%s.v1' --partitions %u --replication-factor 3 "
                    "--config min.insync.replicas=2 --config retention.ms=%" PRIu64 "\n",
                    brokers, settings->topic_prefix, topics[i].name, topics[i].partitions,
                    UINT64_C(86400000) * topics[i].days);
        }
    }
}
