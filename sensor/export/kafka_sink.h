/* Records to Kafka by librdkafka: keyed, idempotent, counted by delivery report; each kind of
 * record has its topic.
 *
 * A thread of its own produces and polls; the publisher only hands references over. Broker down:
 * librdkafka's bounded queue, then the spool (memory, then disk), which forgets a record only when
 * it was acknowledged; without a spool SINK_BUSY, then the sink's queue drops, counted. Topics are
 * made by the operator (kafka-topics prints how) or, with create_topics, by this. Depends on: base,
 * base/config, base/spool, proto, proto/json, proto/row, proto/filter, pipeline, librdkafka. */
#pragma once

#include "base/config/config.h"
#include "base/error.h"
#include "base/kafka/kafka_access.h"
#include "sensor/export/spool_settings.h"
#include "sensor/pipeline/sink.h"

enum kafka_kind {
    KAFKA_FLOWS,
    KAFKA_ALERTS,
    KAFKA_STATS,
    KAFKA_DNS,
    KAFKA_PACKETS,
    KAFKA_AGGREGATES,
    KAFKA_ASSETS, /* no records: each replaces the one with its key */
    KAFKA_KINDS
};

#define KAFKA_CLUSTERS_MAX 4 /* beside the one of section `kafka` */

struct pipeline;

struct kafka_settings {
    const char *brokers;      /* "host:9092,host:9092"; empty = off */
    const char *topic_prefix; /* "netscope": netscope.flows.v1, .alerts.v1, ... */
    bool is_on[KAFKA_KINDS];
    const char *topics[KAFKA_KINDS]; /* empty: by prefix and kind */
    const char *flows_filter;        /* proto/filter */
    const char *alerts_severity;     /* none | info | low | ... */
    struct config_list alerts_kinds; /* empty: all */
    const char *value;               /* protobuf | json | flow_row */
    bool packed;
    uint64_t pack_bytes;
    struct config_map schema_ids; /* kind: id of the schema registry */
    const char *protobuf_framing; /* none | varint */
    const char *headers;          /* none | cloudevents */
    bool create_topics;
    uint64_t topic_partitions, topic_replication; /* of those; 0: by kind, the broker's own */
    const char *key;         /* community_id | sensor | none (flows, DNS, packets) */
    const char *flow_events; /* all | end */
    struct config_list aggregate_by;
    uint64_t aggregate_interval_ns, aggregate_groups;
    uint64_t assets_interval_ns;
    uint64_t queue_messages, queue_bytes, linger_ns, message_timeout_ns;
    const char *compression; /* lz4 | zstd | snappy | none */
    struct kafka_access access;
    struct config_map properties; /* passed through, checked at start */
};

extern const struct config_field kafka_fields[];

/* 0 with `out` filled; -errno with `err` naming the setting or the property. A broker that is down
 * is no error. `name` is NULL for the first cluster, else its name among several; `spool` may be
 * NULL; `sensor_id` is borrowed. */
MUST_USE int kafka_sink_open(const struct kafka_settings *settings, const char *name,
                             const struct spool_settings *spool, const char *sensor_id,
                             struct sink *out, struct error *err);
/* From whom it has its assets, where it tells them; `pipeline` outlives it. Before that one starts.
 */
void kafka_sink_watch(const struct sink *sink, struct pipeline *pipeline);
/* What kafka_sink_open refuses before it opens anything; asks no broker and writes nothing. */
MUST_USE int kafka_settings_check(const struct kafka_settings *settings, struct error *err);

#define KAFKA_CODES_MAX 16 /* kinds of error counted apart; the last row takes the rest */

struct kafka_error_count {
    const char *name; /* librdkafka's: "_MSG_TIMED_OUT". Static */
    uint64_t count;
};

/* The law: offered + made + recovered = left_out + acked + failed + spool_lost + owed, owed = taken
 * over and none of these. In records. */
struct kafka_counts {
    uint64_t offered;   /* taken over from the publisher */
    uint64_t made;      /* aggregates and assets */
    uint64_t recovered; /* of earlier runs, from the spool */
    uint64_t left_out;  /* by a filter, or counted into an aggregate alone */
    uint64_t sent;      /* given to librdkafka; more than once after a failure */
    uint64_t acked;     /* delivery reports without error */
    uint64_t failed;    /* never delivered, by any reason */
    uint64_t
        possibly_persisted; /* of the failed or sent again: a broker may hold them all the same */
    uint64_t spool_lost;    /* dropped from the spool: its size, its age, a full disk */
    uint64_t resent;        /* failed in a way that passes, and sent again from the spool */
    uint64_t owed;
    uint64_t messages;   /* given to librdkafka: fewer than records when packed */
    uint64_t queue_full; /* times that librdkafka's queue was full */
    uint64_t restarts;   /* producers replaced after a fatal error */
    uint64_t spool_bytes;
    struct kafka_error_count errors[KAFKA_CODES_MAX]; /* the failed by error */
    uint32_t errors_count;
};

/* True: `sink` is one of ours. */
bool kafka_is_sink(const struct sink *sink);
/* Any thread. */
void kafka_sink_counts(const struct sink *sink, struct kafka_counts *out);

/* "netscope.flows.v1"; another layout has another topic ("flowrows", "-packed"). `out` holds 250
 * bytes. */
#define KAFKA_TOPIC_BYTES 250
void kafka_topic_name(const struct kafka_settings *settings, enum kafka_kind kind,
                      char out[KAFKA_TOPIC_BYTES]);
const char *kafka_kind_name(enum kafka_kind kind); /* "flows" */

/* `netscope-sensor kafka-topics`: the commands that make the topics. */
void kafka_topics_print(const struct kafka_settings *settings, FILE *out);
