/* Frames between one thread that puts them and one that takes them: a ring of bytes without a lock.
 *
 * What does not fit is refused; nobody waits. The reader may look further than the first frame and
 * let frames go in any order; their room is free again in the order of the queue. Depends on: base,
 * wire/frame.h. Threads: one puts, one does all else; frame_queue_used from any. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "sensor/wire/frame.h"

#define FRAME_QUEUE_BYTES_MIN (UINT64_C(1) << 20) /* holds the largest frame several times */

struct frame_queue {
    uint8_t *bytes;
    uint64_t size;                                 /* power of two */
    _Alignas(CACHE_LINE) _Atomic uint64_t written; /* by who puts; positions only grow */
    uint64_t read_seen;                            /* the last look at `read` of who puts */
    _Alignas(CACHE_LINE) _Atomic uint64_t read;    /* by who takes */
};

/* `bytes` is rounded up to a power of two, at least FRAME_QUEUE_BYTES_MIN. 0 or -ENOMEM. */
MUST_USE int frame_queue_init(struct frame_queue *queue, uint64_t bytes);
void frame_queue_fini(struct frame_queue *queue); /* zeroed is allowed */
uint64_t frame_queue_used(const struct frame_queue *queue);

/* Copies the frame, at most 256 KiB of it. False: no room. */
MUST_USE bool frame_queue_put(struct frame_queue *queue, const struct frame *frame);

/* The first frame, left in place until frame_queue_drop_first; false: there is none. */
MUST_USE bool frame_queue_first(struct frame_queue *queue, struct frame *out);
void frame_queue_drop_first(struct frame_queue *queue);

/* The frame behind `*look` (the reader's own, 0 at first), which is moved on; `at` tells where it
 * lies. False: there is none yet. */
MUST_USE bool frame_queue_next(struct frame_queue *queue, uint64_t *look, uint64_t *at,
                               struct frame *out);
/* The frame that lies there, as frame_queue_next gave it. */
void frame_queue_at(const struct frame_queue *queue, uint64_t at, struct frame *out);
/* It is not wanted any more. */
void frame_queue_release(struct frame_queue *queue, uint64_t at);
