#include "sensor/inspect/byte_pool.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define UNITS_PER_BLOCK (1u << (BYTE_POOL_ORDERS - 1))

#define UNIT_IS_FREE 0x80

/* At the begin of a free block; handles are unit numbers from 1. */
struct links {
    uint32_t next, previous; /* among the free blocks of its order */
};
static_assert(sizeof(struct links) <= BYTE_POOL_UNIT_BYTES, "any block has room for it");

static struct links *links_at(const struct byte_pool *pool, uint32_t block)
{
    return (struct links *)(void *)byte_pool_at(pool, block);
}

bool byte_pool_init(struct byte_pool *pool, uint64_t bytes, struct error *err)
{
    uint64_t units = bytes / BYTE_POOL_UNIT_BYTES / UNITS_PER_BLOCK * UNITS_PER_BLOCK;

    if (units < UNITS_PER_BLOCK) {
        units = UNITS_PER_BLOCK;
    }
    if (units > UINT32_MAX - UNITS_PER_BLOCK) {
        units = UINT32_MAX / UNITS_PER_BLOCK * UNITS_PER_BLOCK - UNITS_PER_BLOCK;
    }
    memset(pool, 0, sizeof(*pool));
    pool->bytes = malloc(units * BYTE_POOL_UNIT_BYTES);
    pool->units = calloc(units, sizeof(*pool->units));
    if (pool->bytes == NULL || pool->units == NULL) {
        error_set(err, ENOMEM, "inspection: no memory for %" PRIu64 " KiB of held bytes",
                  units * BYTE_POOL_UNIT_BYTES >> 10);
        byte_pool_fini(pool);
        return false;
    }
    pool->units_max = (uint32_t)units;
    return true;
}

void byte_pool_fini(struct byte_pool *pool)
{
    free(pool->bytes);
    free(pool->units);
    memset(pool, 0, sizeof(*pool));
}

static void push_free(struct byte_pool *pool, uint32_t block, unsigned order)
{
    const uint32_t head = pool->free_heads[order];

    *links_at(pool, block) = (struct links){.next = head, .previous = BYTE_POOL_NONE};
    pool->units[block - 1] = (uint8_t)(UNIT_IS_FREE | order);
    if (head != BYTE_POOL_NONE) {
        links_at(pool, head)->previous = block;
    }
    pool->free_heads[order] = block;
}

static void unlink_free(struct byte_pool *pool, uint32_t block, unsigned order)
{
    const struct links links = *links_at(pool, block);

    if (links.previous != BYTE_POOL_NONE) {
        links_at(pool, links.previous)->next = links.next;
    } else {
        pool->free_heads[order] = links.next;
    }
    if (links.next != BYTE_POOL_NONE) {
        links_at(pool, links.next)->previous = links.previous;
    }
    pool->units[block - 1] = (uint8_t)order;
}

uint32_t byte_pool_take(struct byte_pool *pool, uint32_t bytes)
{
    unsigned wanted = 0;
    uint32_t block;

    while (wanted < BYTE_POOL_ORDERS && BYTE_POOL_UNIT_BYTES << wanted < bytes) {
        wanted++;
    }
    unsigned order = wanted;
    while (order < BYTE_POOL_ORDERS && pool->free_heads[order] == BYTE_POOL_NONE) {
        order++;
    }
    if (order < BYTE_POOL_ORDERS) {
        block = pool->free_heads[order];
        unlink_free(pool, block, order);
    } else if (wanted < BYTE_POOL_ORDERS && pool->fresh < pool->units_max) {
        block = pool->fresh + 1;
        pool->fresh += UNITS_PER_BLOCK;
        order = BYTE_POOL_ORDERS - 1;
    } else {
        pool->refused++;
        return BYTE_POOL_NONE;
    }
    while (order > wanted) { /* the upper half goes back */
        order--;
        push_free(pool, block + (1u << order), order);
    }
    pool->units[block - 1] = (uint8_t)wanted;
    pool->used_bytes += BYTE_POOL_UNIT_BYTES << wanted;
    if (pool->used_bytes > pool->used_bytes_peak) {
        pool->used_bytes_peak = pool->used_bytes;
    }
    return block;
}

void byte_pool_give(struct byte_pool *pool, uint32_t block)
{
    unsigned order = pool->units[block - 1];

    assert((order & UNIT_IS_FREE) == 0);
    pool->used_bytes -= BYTE_POOL_UNIT_BYTES << order;
    while (order < BYTE_POOL_ORDERS - 1) {
        const uint32_t buddy = ((block - 1) ^ (1u << order)) + 1;
        if (pool->units[buddy - 1] != (UNIT_IS_FREE | order)) {
            break;
        }
        unlink_free(pool, buddy, order);
        block = buddy < block ? buddy : block;
        order++;
    }
    push_free(pool, block, order);
}

uint32_t byte_pool_room(const struct byte_pool *pool, uint32_t block)
{
    return BYTE_POOL_UNIT_BYTES << pool->units[block - 1];
}

uint64_t byte_pool_memory_bytes(const struct byte_pool *pool)
{
    return (uint64_t)pool->units_max * (BYTE_POOL_UNIT_BYTES + sizeof(*pool->units));
}
