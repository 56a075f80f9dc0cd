/* What a client of a sensor's own services (GetInfo, ObserveFlows, ObserveAlerts, WatchStats) sends
 * and gets, as C structs: for whoever reads all records of a sensor in their order.
 *
 * Readers are for hostile bytes: false for what is no protobuf, texts over their bounds and an
 * answer without an identity; unknown fields are skipped. Pure functions, any thread. Depends on:
 * base, record.h, ingest_message.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "proto/ingest_message.h"
#include "proto/record.h"

#define OBSERVE_INFO_PATH         "/netscope.v1.SensorService/GetInfo"
#define OBSERVE_REQUEST_BYTES_MAX 128

/* Of GetInfo. */
struct observe_info {
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    char boot_id[INGEST_BOOT_ID_BYTES];
    char version[32];
    char config_hash[17];
};

/* False: no SensorInfo, or one without sensor_id or boot_id, or with a text over its bounds. */
MUST_USE bool observe_decode_info(const uint8_t *bytes, size_t length, struct observe_info *out);

/* "/netscope.v1.FlowService/ObserveFlows"; NULL: nobody streams them so. */
const char *observe_path(enum record_stream stream);

/* All records behind `seq` of the process `boot_id`, then those to come. Bytes written to `out`,
 * which has OBSERVE_REQUEST_BYTES_MAX. */
MUST_USE size_t observe_encode_request(enum record_stream stream, const char *boot_id, uint64_t seq,
                                       uint8_t *out);

/* A message of such a stream. Views into the message. */
struct observe_response {
    const uint8_t *records; /* a FlowBatch, AlertBatch or StatsBatch; NULL: none */
    size_t length;
    bool has_loss;
    uint64_t loss_from, loss_to, loss_count;
    char loss_reason[48];
};

/* `records` is borrowed from `bytes`. False: no such message. */
MUST_USE bool observe_decode_response(const uint8_t *bytes, size_t length,
                                      struct observe_response *out);
