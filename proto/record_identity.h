/* What all records share: borrowed text, the stream a record belongs to, and its identity in it.
 *
 * A text is borrowed: it lives as long as the memory behind it, which whoever fills it says.
 * Depends on: libc. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct record_text {
    const char *data; /* no NUL needed; bytes from the wire may be anything */
    uint32_t length;
};

static inline bool record_text_equal(struct record_text a, struct record_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

enum record_stream {
    RECORD_STREAM_NONE,
    RECORD_FLOWS,
    RECORD_ALERTS,
    RECORD_STATS,
    RECORD_PACKETS,
    RECORD_DNS,
    RECORD_STREAM_COUNT
};

/* Identity of a record: unique with its stream. */
struct record_identity {
    struct record_text sensor_id;
    struct record_text boot_id; /* 32 hex digits */
    uint64_t seq;               /* from 1, contiguous per stream */
};
