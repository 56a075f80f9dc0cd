/* Records of sensors from the topics that they write to: a consumer group, so that several
 * collectors share the load.
 *
 * Read is what netscope-sensor writes by section `kafka`, in whatever form (kafka_value.h). Records
 * go the way of ingest: into the log, then the store. Offsets are committed when what came before
 * them is on disk, and what comes again is told by its number, which only rises within a partition
 * (ingest_lane_take): at least once, deduplicated by identity. A thread of its own. Depends on:
 * base, base/kafka, ingest.h, librdkafka. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"
#include "base/kafka/kafka_access.h"
#include "collector-ui/ingest/ingest.h"

enum kafka_source_stream {
    KAFKA_SOURCE_FLOWS,
    KAFKA_SOURCE_ALERTS,
    KAFKA_SOURCE_STATS,
    KAFKA_SOURCE_PACKETS,
    KAFKA_SOURCE_DNS,
    KAFKA_SOURCE_ASSETS, /* who is who: no records */
    KAFKA_SOURCE_STREAMS
};

struct kafka_source_settings {
    const char *brokers; /* "host:9092,host:9092"; "": off */
    const char *group;
    struct config_list topics[KAFKA_SOURCE_STREAMS];
    uint64_t batch_records, batch_wait_ns;
    uint64_t queue_bytes; /* fetched ahead */
    uint64_t session_timeout_ns;
    struct kafka_access access;
    struct config_map properties;
};

extern const struct config_field kafka_source_fields[];

/* 0, or -errno with `err` naming the setting; asks no broker. Nothing is checked where it is off.
 */
MUST_USE int kafka_source_check(const struct kafka_source_settings *settings, struct error *err);

/* What became of messages and the records in them. */
struct kafka_source_counts {
    uint64_t messages; /* = read + undecodable */
    uint64_t undecodable;
    uint64_t records; /* = taken + known + by_stream + refused, and those that are waiting */
    uint64_t taken, known;
    uint64_t by_stream; /* of sensors that report by Connect too, or are dialed */
    uint64_t refused;   /* ingest.sensors_max, or a name that is none */
    uint64_t assets;    /* messages of assets */
    uint64_t errors, commits, commits_failed;
    uint64_t again;      /* times that messages were asked for again, for the log took nothing */
    uint64_t partitions; /* assigned now */
    uint64_t lag;        /* messages behind their ends, as last heard */
};

struct kafka_source;

/* Subscribes; brokers that are down are no error. NULL with `err`. `ingest` is started, and stopped
 * after this is freed. */
MUST_USE struct kafka_source *kafka_source_new(const struct kafka_source_settings *settings,
                                               struct ingest *ingest, struct error *err);
/* Leaves the group; what is on disk is committed. NULL is fine. */
void kafka_source_free(struct kafka_source *source);
DEFINE_AUTO(kafka_source, kafka_source_free);
void kafka_source_counts_read(struct kafka_source *source, struct kafka_source_counts *out);
