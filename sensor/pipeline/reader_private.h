/* Inside of a reader, shared by reader*.c alone. Threads: the reader's, but for the shards' side of
 * lanes. */
#pragma once

#include <assert.h>

#include "base/clock.h"
#include "base/ring.h"
#include "base/wake.h"
#include "sensor/pipeline/reader.h"
#include "sensor/wire/deal_hash.h"
#include "sensor/wire/packet.h"

#define READER_BLOCK_FRAMES 256
#define READER_BLOCK_BYTES  (512U * 1024U)
#define READER_SLEEP_NS     (20 * NS_PER_MS) /* the longest at once, so that time goes on meanwhile */
/* A file may claim anything: frames stop at libpcap's usual bound, which a block always has room
 * for. */
#define READER_FRAME_BYTES_MAX (256U * 1024U)
static_assert(READER_FRAME_BYTES_MAX <= READER_BLOCK_BYTES, "a block holds at least one frame");

/* Frames on their way to one shard. */
struct reader_block {
    uint64_t watermark_ns;
    uint32_t count, used;
    bool is_last;
    bool is_step; /* nothing but the news that the clock was set back, from and to */
    uint64_t step_from_ns, step_to_ns;
    struct frame frames[READER_BLOCK_FRAMES];
    struct packet packets[READER_BLOCK_FRAMES];
    uint64_t indexes[READER_BLOCK_FRAMES];
    uint8_t works[READER_BLOCK_FRAMES]; /* enum shard_work */
    uint8_t bytes[READER_BLOCK_BYTES];
};

/* One shard's side. */
struct reader_lane {
    struct ring *full, *empty;
    struct reader_block *filling;
    struct wake shard_wake, reader_wake;
};

struct reader {
    struct reader_settings settings;
    struct reader_counts counts;
    struct capture *capture;
    struct reader_lane *lanes;        /* NULL with one shard */
    struct fragment_table *fragments; /* with several: asked in the order of the file */
    uint64_t fragments_due_ns;
    struct deal_key deal_key;
    uint64_t packets;
    uint64_t last_ns;                     /* time of the last frame */
    uint64_t watermark_ns;                /* largest packet time so far */
    uint64_t era_ns;                      /* the same, since the clock was last set back */
    uint64_t pass_wall_ns, pass_first_ns; /* pacing: this pass began at, with the packet of */
    bool pass_has_begun;
};

static inline bool reader_is_stopped(const struct reader *reader)
{
    return atomic_load_explicit(reader->settings.stop, memory_order_relaxed);
}

/* Why flows end with the input. */
static inline enum flow_end_detail reader_end_detail(const struct reader *reader)
{
    return reader_is_stopped(reader) ? FLOW_DETAIL_SHUTDOWN : FLOW_DETAIL_CAPTURE_END;
}

/* Whether the input's clock was set back before this frame; keeps the largest time since then. */
static inline bool reader_is_step_back(struct reader *reader, uint64_t time_ns, uint64_t *from_ns)
{
    *from_ns = reader->era_ns;
    if (time_ns + FLOW_CLOCK_STEP_NS < reader->era_ns) {
        reader->era_ns = time_ns;
        return true;
    }
    if (time_ns > reader->era_ns) {
        reader->era_ns = time_ns;
    }
    return false;
}

/* Whether any of frames between these times may be one. */
static inline bool reader_may_step_back(const struct reader *reader, uint64_t oldest_ns,
                                        uint64_t newest_ns)
{
    const uint64_t largest_ns = newest_ns > reader->era_ns ? newest_ns : reader->era_ns;

    return oldest_ns + FLOW_CLOCK_STEP_NS < largest_ns;
}

/* ---- dealing to several shards (reader_deal.c) ---- */

/* 0, or -ENOMEM with `err`. */
MUST_USE int reader_lanes_new(struct reader *reader, struct error *err);
void reader_lanes_free(struct reader *reader);
/* Decodes `count` frames and puts each into its shard's block; `first_index`: number of the
 * first in the input, from 1. Waits where a shard has no empty block. */
void reader_deal(struct reader *reader, const struct frame *frames, uint64_t first_index,
                 uint32_t count);
/* What stands in half filled blocks goes to the shards now. */
void reader_deal_now(struct reader *reader);
/* All shards end, behind what was dealt to them. */
void reader_deal_end(struct reader *reader);
