/* The records in the value of one Kafka message, each with the identity that it names.
 *
 * Taken are what netscope-sensor writes (kafka.value, kafka.packed): one netscope.v1 message, a
 * FlowBatch, DnsBatch or PacketBatch, or proto3 JSON of one record, each also behind the framing of
 * a schema registry (a zero byte, 4 bytes of id, indexes of the message) or behind its length.
 * Which it is can be told from the bytes: a record has a record_seq, a batch has field 1 alone,
 * JSON begins with a brace. Values are strangers' bytes. Depends on: base, proto, proto/json. One
 * object, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "collector-ui/ingest/lane_record.h"
#include "proto/record_identity.h"

struct kafka_value; /* memory for one value at a time */

MUST_USE struct kafka_value *kafka_value_new(struct error *err);
void kafka_value_free(struct kafka_value *value);
DEFINE_AUTO(kafka_value, kafka_value_free);

/* An asset (netscope.v1.Asset, as kafka.assets writes it) as an AssetReport of it alone. Of the
 * value's life, until the next one. */
struct kafka_asset {
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    const uint8_t *report;
    size_t length;
};
/* False with `err`: it is none, or names no sensor. */
MUST_USE bool kafka_value_read_asset(struct kafka_value *value, const uint8_t *bytes, size_t length,
                                     struct kafka_asset *out, struct error *err);

/* Calls `each` for the records in their order. False with `err`: the value holds none, or one that
 * is no record or names no sensor; those before it were told. */
MUST_USE bool kafka_value_read(struct kafka_value *value, enum record_stream stream,
                               const uint8_t *bytes, size_t length,
                               void (*each)(void *context, const struct lane_record *record),
                               void *context, struct error *err);
