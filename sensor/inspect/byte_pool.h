/* Bytes that are held over packets: blocks of 64, 128, ... 65,536 bytes from one arena (a buddy
 * system: Knuth, The Art of Computer Programming 1, 2.5).
 *
 * All memory is taken at the start, and touched when it is first used. Full is a normal state:
 * byte_pool_take gives BYTE_POOL_NONE and counts. Depends on: base. Threads: one pool, one thread.
 * Cost: O(11). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define BYTE_POOL_NONE       0 /* no block: handles begin at 1 */
#define BYTE_POOL_UNIT_BYTES 64u
#define BYTE_POOL_ORDERS     11
#define BYTE_POOL_BLOCK_MAX  (BYTE_POOL_UNIT_BYTES << (BYTE_POOL_ORDERS - 1))

struct byte_pool {
    uint8_t *bytes;
    uint8_t *units; /* of the first unit of a block its order and whether it is free */
    uint32_t units_max;
    uint32_t fresh; /* units from here on were never used */
    uint32_t free_heads[BYTE_POOL_ORDERS];
    uint64_t used_bytes, used_bytes_peak;
    uint64_t refused; /* takes that found no room */
};

/* `bytes` are rounded down to whole blocks of 64 KiB, at least one. False with `err` set: ENOMEM.
 */
MUST_USE bool byte_pool_init(struct byte_pool *pool, uint64_t bytes, struct error *err);
void byte_pool_fini(struct byte_pool *pool); /* of a zeroed one: nothing */

/* A block of at least `bytes`, BYTE_POOL_NONE when there is no room or `bytes` exceed
 * BYTE_POOL_BLOCK_MAX. Its contents are undefined. */
uint32_t byte_pool_take(struct byte_pool *pool, uint32_t bytes);
void byte_pool_give(struct byte_pool *pool, uint32_t block);
/* How many bytes the block has. */
uint32_t byte_pool_room(const struct byte_pool *pool, uint32_t block);

static inline uint8_t *byte_pool_at(const struct byte_pool *pool, uint32_t block)
{
    return pool->bytes + (uint64_t)(block - 1) * BYTE_POOL_UNIT_BYTES;
}

/* Arena and bookkeeping. */
uint64_t byte_pool_memory_bytes(const struct byte_pool *pool);
