/* Records that carry their identity, as sensors write them for others than Connect: taken apart
 * into who, which number, and the rest.
 *
 * Bytes are strangers'. Depends on: base, proto. Pure functions, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "proto/codec.h"
#include "proto/ingest_message.h"

#define LANE_RECORD_BYTES_MAX CODEC_DNS_BYTES_MAX /* of the largest kind */

/* A record without its identity. */
struct lane_record {
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    char boot_id[INGEST_BOOT_ID_BYTES];
    uint64_t seq;
    const uint8_t *bytes; /* in the caller's room */
    uint32_t length;
};

/* One record; what is not its identity is copied to `room`. False: no record, one without an
 * identity, or one that finds no room. */
MUST_USE bool lane_record_read(const uint8_t *bytes, size_t length, uint8_t *room,
                               size_t room_bytes, struct lane_record *out);
