/* Flows, alerts and statistics to Kafka by librdkafka: one record a message, keyed, idempotent,
 * counted by delivery report.
 *
 * A thread of its own produces and polls; the publisher only hands references over. Broker down:
 * librdkafka's bounded queue, then SINK_BUSY, then the sink's queue drops, counted. Topics are made
 * by the operator (kafka-topics prints how). Depends on: base, base/config, proto, proto/json,
 * pipeline, librdkafka. */
#pragma once

#include "base/config/config.h"
#include "base/error.h"
#include "sensor/pipeline/sink.h"

struct kafka_settings {
    const char *brokers;      /* "host:9092,host:9092"; empty = off */
    const char *topic_prefix; /* "netscope": netscope.flows.v1, .alerts.v1, .stats.v1 */
    bool flows, alerts, stats;
    const char *value;       /* protobuf | json | flow_row */
    const char *key;         /* community_id | sensor | none (flows) */
    const char *flow_events; /* all | end */
    uint64_t queue_messages, queue_bytes, linger_ns, message_timeout_ns;
    const char *compression; /* lz4 | zstd | snappy | none */
    const char *security_protocol, *sasl_mechanism, *sasl_username, *sasl_password_file;
    const char *tls_ca, *tls_certificate, *tls_key;
    struct config_map properties; /* passed through, checked at start */
};

extern const struct config_field kafka_fields[];

/* 0 with `out` filled; -errno with `err` naming the property. A broker that is down is no error.
 * `sensor_id` is borrowed. */
MUST_USE int kafka_sink_open(const struct kafka_settings *settings, const char *sensor_id,
                             struct sink *out, struct error *err);

#define KAFKA_CODES_MAX 16 /* kinds of error counted apart; the last row takes the rest */

struct kafka_error_count {
    const char *name; /* librdkafka's: "_MSG_TIMED_OUT". Static */
    uint64_t count;
};

/* The law: offered = acked + failed + owed, owed = taken over and neither. */
struct kafka_counts {
    uint64_t offered;            /* records taken over from the publisher */
    uint64_t sent;               /* of them given to librdkafka */
    uint64_t acked;              /* delivery reports without error */
    uint64_t failed;             /* never delivered, by any reason */
    uint64_t possibly_persisted; /* of the failed: a broker may hold them all the same */
    uint64_t queue_full;         /* times that librdkafka's queue was full */
    uint64_t restarts;           /* producers replaced after a fatal error */
    struct kafka_error_count errors[KAFKA_CODES_MAX]; /* the failed by error */
    uint32_t errors_count;
};

/* Any thread. */
void kafka_sink_counts(const struct sink *sink, struct kafka_counts *out);

/* "flows", or "flowrows": another layout has another topic. Static. */
const char *kafka_flows_suffix(const struct kafka_settings *settings);

/* `netscope-sensor kafka-topics`: the commands that make the topics. */
void kafka_topics_print(const struct kafka_settings *settings, FILE *out);
