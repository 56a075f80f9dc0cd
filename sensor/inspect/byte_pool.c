#include "sensor/inspect/byte_pool.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define UNITS_PER_BLOCK (1u << (BYTE_POOL_ORDERS - 1))

/* Of the first unit of a block; handles are unit numbers from 1. */
struct byte_pool_unit {
    uint32_t next, previous; /* among the free blocks of its order */
    uint8_t order;
    bool is_free;
};

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
    struct byte_pool_unit *unit = &pool->units[block - 1];
    const uint32_t head = pool->free_heads[order];

    *unit = (struct byte_pool_unit){.next = head, .order = (uint8_t)order, .is_free = true};
    if (head != BYTE_POOL_NONE) {
        pool->units[head - 1].previous = block;
    }
    pool->free_heads[order] = block;
}

static void unlink_free(struct byte_pool *pool, uint32_t block)
{
    struct byte_pool_unit *unit = &pool->units[block - 1];

    if (unit->previous != BYTE_POOL_NONE) {
        pool->units[unit->previous - 1].next = unit->next;
    } else {
        pool->free_heads[unit->order] = unit->next;
    }
    if (unit->next != BYTE_POOL_NONE) {
        pool->units[unit->next - 1].previous = unit->previous;
    }
    unit->is_free = false;
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
        unlink_free(pool, block);
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
    pool->units[block - 1] = (struct byte_pool_unit){.order = (uint8_t)wanted};
    pool->used_bytes += BYTE_POOL_UNIT_BYTES << wanted;
    if (pool->used_bytes > pool->used_bytes_peak) {
        pool->used_bytes_peak = pool->used_bytes;
    }
    return block;
}

void byte_pool_give(struct byte_pool *pool, uint32_t block)
{
    unsigned order = pool->units[block - 1].order;

    assert(!pool->units[block - 1].is_free);
    pool->used_bytes -= BYTE_POOL_UNIT_BYTES << order;
    while (order < BYTE_POOL_ORDERS - 1) {
        const uint32_t buddy = ((block - 1) ^ (1u << order)) + 1;
        const struct byte_pool_unit *unit = &pool->units[buddy - 1];
        if (!unit->is_free || unit->order != order) {
            break;
        }
        unlink_free(pool, buddy);
        block = buddy < block ? buddy : block;
        order++;
    }
    push_free(pool, block, order);
}

uint32_t byte_pool_room(const struct byte_pool *pool, uint32_t block)
{
    return BYTE_POOL_UNIT_BYTES << pool->units[block - 1].order;
}

uint64_t byte_pool_memory_bytes(const struct byte_pool *pool)
{
    return (uint64_t)pool->units_max * (BYTE_POOL_UNIT_BYTES + sizeof(struct byte_pool_unit));
}
