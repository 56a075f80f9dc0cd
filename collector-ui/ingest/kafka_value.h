/* The records in the value of one Kafka message, each with the identity that it names.
 *
 * Taken are what netscope-sensor writes (kafka.value, kafka.packed): one netscope.v1 message, a
 * FlowBatch, DnsBatch or PacketBatch, or proto3 JSON of one record, each also behind the framing of
 * a schema registry (a zero byte, 4 bytes of id, indexes of the message). Which it is can be told
 * from the bytes: a record has a record_seq, a batch has field 1 alone, JSON begins with a brace.
 * Values are strangers' bytes. Depends on: base, proto, proto/json. One object, one thread. */
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

/* Calls `each` for the records in their order. False with `err`: the value holds none, or one that
 * is no record or names no sensor; those before it were told. */
MUST_USE bool kafka_value_read(struct kafka_value *value, enum record_stream stream,
                               const uint8_t *bytes, size_t length,
                               void (*each)(void *context, const struct lane_record *record),
                               void *context, struct error *err);
