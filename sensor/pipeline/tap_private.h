/* Inside of a capture on request, shared by tap*.c alone. */
#pragma once

#include "sensor/capture/frame_queue.h"
#include "sensor/capture/link_filters.h"
#include "sensor/pipeline/tap.h"

#define TAP_ANY_INTERFACE UINT32_MAX
#define TAP_HELD_MAX      32768

/* Between one shard and the capture. */
struct tap_lane {
    struct frame_queue queue;
    struct counter dropped, unfit; /* by the shard */
    uint64_t look;                 /* the reader's */
};

/* A frame in a queue that waits for its turn. */
struct tap_held {
    uint64_t key, order; /* by these */
    uint64_t seen_ns;    /* monotonic */
    uint64_t at;
    uint32_t lane;
};

enum tap_phase {
    TAP_RUNS,
    TAP_LINGERS, /* its time is over: packets from before that may still come */
    TAP_DRAINS,  /* no packet comes any more */
    TAP_IS_OVER,
};

struct tap {
    struct tap_set *set;
    struct tap_source source;
    struct tap_request limits;
    bool is_capped_packets, is_capped_bytes, is_capped_duration; /* the policy's are in force */
    enum tap_mode mode;
    uint32_t interface; /* that shards look for; TAP_ANY_INTERFACE */
    struct link_filters *filters;
    struct tap_lane *lanes;
    bool is_open;

    /* The reader's. */
    enum tap_phase phase;
    const char *reason;
    _Atomic(const char *) stop_reason; /* by any thread */
    uint64_t end_ns;                   /* monotonic */
    uint64_t cut_ns;                   /* packet time, with a source that is timed */
    struct tap_held *held;             /* a heap */
    uint32_t held_count;
    uint64_t frames_seen;
    bool is_headed;
    struct {
        uint16_t number, link_type;
        bool is_wanted;
        uint32_t block;
    } interfaces[TAP_INTERFACES_MAX];
    uint32_t interfaces_count, blocks_count;
    struct counter packets, bytes, unplaced;
    uint64_t dropped_told; /* to the set */
};

/* Shards let packets in, or have let the last one in. tap.c */
void tap_open(struct tap *tap);
void tap_shut(struct tap *tap);
/* What was dropped since the last time, to the sum of all. */
void tap_tell_dropped(struct tap *tap);
