/* A bounded window over a stream of bytes that come in any order: pieces go in by their offset, the
 * contiguous bytes at the window's base come out.
 *
 * One thing for TCP streams, IP datagrams and QUIC CRYPTO frames. The byte seen first at an offset
 * stays; what comes later for it is compared and told (put.conflicts). A window holds one block of
 * a byte_pool while it holds bytes, a second, small one for its list of pieces while they are two
 * and more, and nothing otherwise; offsets are modulo 2^32. A zeroed window is empty and begins at
 * offset 0. Depends on: base, wire/cursor.h, byte_pool.h. Threads: the pool's. */
#pragma once

#include <assert.h>

#include "sensor/inspect/byte_pool.h"
#include "sensor/wire/cursor.h"

#define WINDOW_RANGES_MAX 12 /* pieces apart from each other */

struct window_range {
    uint32_t from, to; /* relative to the base */
};

struct window {
    uint32_t base;  /* offset of the first byte that was not consumed */
    uint32_t block; /* BYTE_POOL_NONE: holds nothing */
    union {
        struct window_range range; /* the only one */
        uint32_t list; /* of two or more: a block with WINDOW_RANGES_MAX of them, rising,
                          never touching each other */
    };
    uint16_t start; /* where in the block the base stands */
    uint8_t range_count;
    uint8_t reserved;
};
static_assert(sizeof(struct window) == 20, "two of them and what belongs to them: a line");

enum window_status {
    WINDOW_OK,        /* all is in, or was there or consumed before */
    WINDOW_FAR,       /* it reaches beyond base + limit: what is within was taken */
    WINDOW_SCATTERED, /* it would be one piece too many: nothing was taken */
    WINDOW_FULL,      /* the pool has no room: nothing was taken */
};

/* More than two registers take: in them it would be read as a whole, which waits for the copy of
 * the bytes, a line that may be in no cache. */
struct window_put {
    uint64_t new_bytes;        /* taken */
    uint64_t overlapped_bytes; /* held already; those before the base are not counted */
    uint32_t status;           /* enum window_status */
    bool conflicts;            /* bytes differ from those seen first */
};

/* Takes the bytes at `offset` that are not there so far. `limit_bytes` at most
 * BYTE_POOL_BLOCK_MAX. Cost: a copy of the new bytes, a comparison of the others. */
struct window_put window_put(struct window *window, struct byte_pool *pool, uint32_t limit_bytes,
                             uint32_t offset, const struct wire_span *bytes);

/* The contiguous bytes at the base, until the next call for this window; empty: none. */
struct wire_span window_bytes(const struct window *window, const struct byte_pool *pool);

/* The pieces held, window->range_count of them. */
static inline const struct window_range *window_ranges(const struct window *window,
                                                       const struct byte_pool *pool)
{
    return window->range_count > 1 ? (const void *)byte_pool_at(pool, window->list)
                                   : &window->range;
}

/* Behind the last byte held, from the base on. */
static inline uint32_t window_end(const struct window *window, const struct byte_pool *pool)
{
    return window->range_count > 0 ? window_ranges(window, pool)[window->range_count - 1].to : 0;
}

/* Length of the hole at which those end; 0 where nothing is held behind them. */
static inline uint32_t window_hole_bytes(const struct window *window, const struct byte_pool *pool)
{
    if (window->range_count == 0) {
        return 0;
    }
    const struct window_range *ranges = window_ranges(window, pool);
    if (ranges[0].from > 0) {
        return ranges[0].from;
    }
    return window->range_count > 1 ? ranges[1].from - ranges[0].to : 0;
}

/* Moves the base forward, over held bytes and holes alike. */
void window_consume(struct window *window, struct byte_pool *pool, uint32_t bytes);

/* Moves the base back, so that earlier bytes can still come; false when the pool has no room or
 * the held bytes would reach beyond `limit_bytes`: nothing has changed then. */
bool window_lower(struct window *window, struct byte_pool *pool, uint32_t limit_bytes,
                  uint32_t bytes);

/* Gives everything back; the base stays. */
void window_clear(struct window *window, struct byte_pool *pool);
