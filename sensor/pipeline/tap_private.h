/* Inside of a capture on request, shared by tap*.c alone. */
#pragma once

#include "base/clock.h"
#include "sensor/capture/frame_queue.h"
#include "sensor/capture/link_filters.h"
#include "sensor/pipeline/tap.h"

#define TAP_ANY_INTERFACE UINT32_MAX
#define TAP_HELD_MAX      32768
/* Waited for a shard that stands still. */
#define TAP_WAIT_MAX_NS (2 * NS_PER_SEC)
#define TAP_READ_FRAMES 64
/* Beside the number of an interface: it is one of the history's own numbers. */
#define TAP_OF_HISTORY (UINT32_C(1) << 16)

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
    TAP_REMEMBERS, /* sends the history */
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
    uint64_t passed_ns;    /* monotonic: until_ns has passed; UINT64_MAX: there is none */
    uint64_t cut_ns;       /* packet time, with a source that is timed */
    struct tap_held *held; /* a heap */
    uint32_t held_count;
    uint64_t frames_seen;
    bool is_headed;
    struct {
        char name[TAP_NAME_BYTES];
        uint32_t number;
        uint16_t link_type;
        bool is_wanted;
        uint32_t block;
    } interfaces[TAP_INTERFACES_MAX];
    uint32_t interfaces_count, blocks_count;
    struct pcap_history *history;
    struct link_filters *history_filters; /* with TAP_HEADERS; else NULL: the history filters */
    struct name_table *history_names;
    struct frame remembered[TAP_READ_FRAMES]; /* read, and not yet written */
    uint32_t remembered_count, remembered_at;
    uint64_t seam_ns; /* packet time from which on packets are those of the shards; 0: of all */
    uint64_t seam_opened_ns; /* monotonic */
    bool is_flushed;         /* all from before the seam is in the files */
    struct counter packets, bytes, unplaced;
    uint64_t dropped_told; /* to the set */
};

/* Shards let packets in, or have let the last one in. tap.c */
void tap_open(struct tap *tap);
void tap_shut(struct tap *tap);
/* All packets from before this time have been put. Look at it before the queues. */
uint64_t tap_passed_ns(const struct tap *tap);
/* How much of the frame the filter and whoever captures may see: with TAP_HEADERS a filter that saw
 * the payload could be asked for it bit by bit. */
uint32_t tap_shown_bytes(const struct tap *tap, const struct frame *frame,
                         const struct packet *packet);
/* How much of that is kept. */
uint32_t tap_kept_bytes(const struct tap *tap, uint32_t shown_bytes);
/* The time of the capture is over, or somebody ends it. tap_read.c */
void tap_end(struct tap *tap, enum tap_phase phase, const char *reason);
/* The frame's blocks at `out`, unless they would pass a limit. Returns their bytes; 0: none.
 * `number`: of its interface, TAP_OF_HISTORY in it where it is one of the history. */
size_t tap_write_frame(struct tap *tap, const struct frame *frame, uint32_t number, uint8_t *out);
/* History into `out`, up to TAP_CHUNK_BYTES and one packet; the phase goes on when there is no more
 * of it. tap_history.c */
size_t tap_remember(struct tap *tap, uint64_t now_ns, uint8_t *out);
MUST_USE int tap_open_history(struct tap *tap, struct error *err);
void tap_close_history(struct tap *tap);
