/* The key of a Kafka message, read from the encoded record. Depends on: base, proto/record.h. Pure,
 * any thread. */
#pragma once

#include <stdint.h>

#include "base/attributes.h"
#include "proto/record_identity.h"

/* community_id of a flow, of a DNS record and of a packet, alert_key of an alert, sensor_id of
 * anything else. Borrowed from `bytes`; length 0: the record has none or is no protobuf. */
struct record_text kafka_key_of(enum record_stream stream, const uint8_t *bytes, uint32_t length);
/* The first field `number`, a text. */
struct record_text kafka_text_of(uint32_t number, const uint8_t *bytes, uint32_t length);
