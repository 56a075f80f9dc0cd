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

struct capture_info {
    char id[CAPTURES_ID_BYTES];
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    struct ingest_capture_order order; /* with the requester */
    uint64_t start_ns, end_ns;         /* wall clock; 0: not yet */
    enum capture_state state;
    uint64_t bytes; /* in the file */
    struct ingest_capture_summary summary;
    char error[512];
};

/* Room for any. */
#define CAPTURE_INFO_BYTES 6144
MUST_USE size_t capture_info_encode(const struct capture_info *info, uint8_t *out, size_t capacity);
/* False: it is none. */
MUST_USE bool capture_info_decode(const uint8_t *bytes, size_t length, struct capture_info *out);
/* "0123...": of 32 lower-case hex digits. */
MUST_USE bool capture_id_is_good(const char *id);
