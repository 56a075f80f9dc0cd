/* What is known of a capture that is kept: as netscope.v1.Capture, in answers and beside its file.
 *
 * Depends on: proto. Pure functions, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "collector-ui/capture/captures.h"

/* As in the .proto file. */
enum capture_state {
    CAPTURE_WAITS, /* the sensor has not answered: nobody is shown it */
    CAPTURE_RUNS,
    CAPTURE_ENDED,
    CAPTURE_FAILED,
};

#define CAPTURE_SENSORS_MAX 32

/* One sensor of a capture. */
struct capture_part_info {
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    enum capture_state state;
    uint64_t bytes;   /* that have come */
    uint64_t packets; /* in the file; counted where several capture */
    struct ingest_capture_summary summary;
    bool without_vlan; /* by the filter that looks behind no VLAN tag */
    char error[256];
};

struct capture_info {
    char id[CAPTURES_ID_BYTES];
    uint32_t parts_count;
    struct capture_part_info parts[CAPTURE_SENSORS_MAX];
    struct ingest_capture_order order; /* with the requester; limits are those of the file */
    uint64_t sensor_packets_max, sensor_bytes_max; /* of each sensor; 0: as the file's */
    char flow_id[17], alert_id[40];                /* that the filter was made for */
    uint64_t start_ns, end_ns;                     /* wall clock; 0: not yet */
    enum capture_state state;
    uint64_t bytes; /* in the file */
    struct ingest_capture_summary summary;
    char error[512];
};

/* Room for any. */
#define CAPTURE_PART_BYTES ((size_t)640)
#define CAPTURE_INFO_BYTES (6144 + CAPTURE_SENSORS_MAX * CAPTURE_PART_BYTES)
MUST_USE size_t capture_info_encode(const struct capture_info *info, uint8_t *out, size_t capacity);
/* False: it is none. */
MUST_USE bool capture_info_decode(const uint8_t *bytes, size_t length, struct capture_info *out);
/* It is one of those that capture. */
MUST_USE bool capture_info_has_sensor(const struct capture_info *info, const char *sensor_id);
/* "0123...": of 32 lower-case hex digits. */
MUST_USE bool capture_id_is_good(const char *id);
