#include "sensor/inspect/window.h"

/* Behind the last byte held. */
static uint32_t end_of(const struct window *window)
{
    return window->range_count > 0 ? window->ranges[window->range_count - 1].to : 0;
}

/* Room for `bytes` from the base on, with what is held moved `shift` bytes away from it. */
static bool make_room(struct window *window, struct byte_pool *pool, uint32_t bytes, uint32_t shift)
{
    const uint32_t held = end_of(window);

    if (window->block != BYTE_POOL_NONE) {
        uint8_t *at = byte_pool_at(pool, window->block);
        const uint32_t room = byte_pool_room(pool, window->block);

        if (shift <= window->start && window->start - shift + bytes <= room) {
            window->start -= shift;
            return true;
        }
        if (bytes <= room) {
            memmove(at + shift, at + window->start, held);
            window->start = 0;
            return true;
        }
    }
    const uint32_t block = byte_pool_take(pool, bytes);
    if (block == BYTE_POOL_NONE) {
        return false;
    }
    if (window->block != BYTE_POOL_NONE) {
        memcpy(byte_pool_at(pool, block) + shift, byte_pool_at(pool, window->block) + window->start,
               held);
        byte_pool_give(pool, window->block);
    }
    window->block = block;
    window->start = 0;
    return true;
}

/* The ranges that [from, to) touches or overlaps: ranges[*first] up to ranges[*behind]. */
static void touched(const struct window *window, uint32_t from, uint32_t to, uint32_t *first,
                    uint32_t *behind)
{
    uint32_t i = 0;

    while (i < window->range_count && window->ranges[i].to < from) {
        i++;
    }
    *first = i;
    while (i < window->range_count && window->ranges[i].from <= to) {
        i++;
    }
    *behind = i;
}

/* Copies what is missing of [from, to), compares what is there. */
static void fill_in(const struct window *window, uint8_t *base, uint32_t from, uint32_t to,
                    const uint8_t *bytes, uint32_t first, uint32_t behind, struct window_put *put)
{
    uint32_t at = from;

    for (uint32_t i = first; i < behind; i++) {
        const struct window_range range = window->ranges[i];
        if (range.from > at) {
            memcpy(base + at, bytes + (at - from), range.from - at);
            put->new_bytes += range.from - at;
            at = range.from;
        }
        const uint32_t until = range.to < to ? range.to : to;
        if (until > at) {
            put->conflicts |= memcmp(base + at, bytes + (at - from), until - at) != 0;
            put->overlapped_bytes += until - at;
            at = until;
        }
    }
    if (to > at) {
        memcpy(base + at, bytes + (at - from), to - at);
        put->new_bytes += to - at;
    }
}

static void merge(struct window *window, uint32_t from, uint32_t to, uint32_t first,
                  uint32_t behind)
{
    struct window_range *ranges = window->ranges;
    const uint32_t tail = window->range_count - behind;

    if (first < behind) {
        from = ranges[first].from < from ? ranges[first].from : from;
        to = ranges[behind - 1].to > to ? ranges[behind - 1].to : to;
    }
    memmove(&ranges[first + 1], &ranges[behind], tail * sizeof(*ranges));
    ranges[first] = (struct window_range){from, to};
    window->range_count = first + 1 + tail;
}

struct window_put window_put(struct window *window, struct byte_pool *pool, uint32_t limit_bytes,
                             uint64_t offset, const struct wire_span *bytes)
{
    struct window_put put = {.status = WINDOW_OK};
    const int64_t distance = (int64_t)(offset - window->base);
    const int64_t end = distance + (int64_t)bytes->length;
    uint32_t first, behind;

    assert(limit_bytes <= BYTE_POOL_BLOCK_MAX);
    if (end <= 0 || bytes->length == 0) {
        return put;
    }
    if (end > limit_bytes) {
        put.status = WINDOW_FAR;
    }
    if (distance >= limit_bytes) {
        return put;
    }
    const uint32_t from = distance > 0 ? (uint32_t)distance : 0;
    const uint32_t to = end < limit_bytes ? (uint32_t)end : limit_bytes;
    touched(window, from, to, &first, &behind);
    if (first == behind && window->range_count == WINDOW_RANGES_MAX) {
        put.status = WINDOW_SCATTERED;
        return put;
    }
    if (!make_room(window, pool, to > end_of(window) ? to : end_of(window), 0)) {
        put.status = WINDOW_FULL;
        return put;
    }
    fill_in(window, byte_pool_at(pool, window->block) + window->start, from, to,
            bytes->bytes + ((int64_t)from - distance), first, behind, &put);
    merge(window, from, to, first, behind);
    return put;
}

struct wire_span window_bytes(const struct window *window, const struct byte_pool *pool)
{
    if (window->range_count == 0 || window->ranges[0].from > 0) {
        return (struct wire_span){.bytes = NULL};
    }
    return (struct wire_span){.bytes = byte_pool_at(pool, window->block) + window->start,
                              .length = window->ranges[0].to};
}

void window_consume(struct window *window, struct byte_pool *pool, uint64_t bytes)
{
    uint32_t kept = 0;

    window->base += bytes;
    if (bytes >= end_of(window)) {
        window_clear(window, pool);
        return;
    }
    const uint32_t moved = (uint32_t)bytes;
    for (uint32_t i = 0; i < window->range_count; i++) {
        struct window_range range = window->ranges[i];
        if (range.to > moved) {
            range.from = range.from > moved ? range.from - moved : 0;
            range.to -= moved;
            window->ranges[kept++] = range;
        }
    }
    window->range_count = kept;
    window->start += moved;
}

bool window_lower(struct window *window, struct byte_pool *pool, uint32_t limit_bytes,
                  uint32_t bytes)
{
    const uint64_t end = (uint64_t)end_of(window) + bytes;

    if (end > limit_bytes) {
        return false;
    }
    if (window->block != BYTE_POOL_NONE && !make_room(window, pool, (uint32_t)end, bytes)) {
        return false;
    }
    for (uint32_t i = 0; i < window->range_count; i++) {
        window->ranges[i].from += bytes;
        window->ranges[i].to += bytes;
    }
    window->base -= bytes;
    return true;
}

void window_clear(struct window *window, struct byte_pool *pool)
{
    if (window->block != BYTE_POOL_NONE) {
        byte_pool_give(pool, window->block);
    }
    window->block = BYTE_POOL_NONE;
    window->start = 0;
    window->range_count = 0;
}
