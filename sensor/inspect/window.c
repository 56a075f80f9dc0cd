#include "sensor/inspect/window.h"

static struct window_range *ranges_of(struct window *window, const struct byte_pool *pool)
{
    return window->range_count > 1 ? (void *)byte_pool_at(pool, window->list) : &window->range;
}

/* One of `ranges`, which the window has, does not need a list. */
static void set_count(struct window *window, struct byte_pool *pool,
                      const struct window_range *ranges, uint32_t count)
{
    if (count <= 1 && ranges != &window->range) {
        const struct window_range only = ranges[0];

        byte_pool_give(pool, window->list);
        window->range = only;
    }
    window->range_count = (uint8_t)count;
}

/* Room for `bytes` from the base on, with what is held moved `shift` bytes away from it. */
static bool make_room(struct window *window, struct byte_pool *pool, uint32_t bytes, uint32_t shift)
{
    const uint32_t held = window_end(window, pool);

    if (window->block != BYTE_POOL_NONE) {
        uint8_t *at = byte_pool_at(pool, window->block);
        const uint32_t room = byte_pool_room(pool, window->block);

        if (shift <= window->start && window->start - shift + bytes <= room) {
            window->start = (uint16_t)(window->start - shift);
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
static void touched(const struct window_range *ranges, uint32_t count, uint32_t from, uint32_t to,
                    uint32_t *first, uint32_t *behind)
{
    uint32_t i = 0;

    while (i < count && ranges[i].to < from) {
        i++;
    }
    *first = i;
    while (i < count && ranges[i].from <= to) {
        i++;
    }
    *behind = i;
}

/* Copies what is missing of [from, to), compares what is there. */
static void fill_in(const struct window_range *ranges, uint8_t *base, uint32_t from, uint32_t to,
                    const uint8_t *bytes, uint32_t first, uint32_t behind, struct window_put *put)
{
    uint32_t at = from;

    for (uint32_t i = first; i < behind; i++) {
        const struct window_range range = ranges[i];
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

static void merge(struct window *window, struct byte_pool *pool, struct window_range *ranges,
                  uint32_t from, uint32_t to, uint32_t first, uint32_t behind)
{
    const uint32_t tail = window->range_count - behind;

    if (first < behind) {
        from = ranges[first].from < from ? ranges[first].from : from;
        to = ranges[behind - 1].to > to ? ranges[behind - 1].to : to;
    }
    memmove(&ranges[first + 1], &ranges[behind], tail * sizeof(*ranges));
    ranges[first] = (struct window_range){from, to};
    set_count(window, pool, ranges, first + 1 + tail);
}

/* The one range in a list, with room for more; NULL: the pool has none. */
static struct window_range *make_list(struct window *window, struct byte_pool *pool)
{
    const uint32_t list = byte_pool_take(pool, WINDOW_RANGES_MAX * sizeof(struct window_range));

    if (list == BYTE_POOL_NONE) {
        return NULL;
    }
    struct window_range *ranges = (void *)byte_pool_at(pool, list);
    ranges[0] = window->range;
    window->list = list;
    return ranges;
}

struct window_put window_put(struct window *window, struct byte_pool *pool, uint32_t limit_bytes,
                             uint32_t offset, const struct wire_span *bytes)
{
    struct window_put put = {.status = WINDOW_OK};
    const int64_t distance = (int32_t)(offset - window->base);
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
    struct window_range *ranges = ranges_of(window, pool);
    touched(ranges, window->range_count, from, to, &first, &behind);
    if (first == behind && window->range_count == WINDOW_RANGES_MAX) {
        put.status = WINDOW_SCATTERED;
        return put;
    }
    const uint32_t held = window_end(window, pool);
    if (!make_room(window, pool, to > held ? to : held, 0)) {
        put.status = WINDOW_FULL;
        return put;
    }
    if (first == behind && window->range_count == 1 && (ranges = make_list(window, pool)) == NULL) {
        put.status = WINDOW_FULL;
        return put;
    }
    fill_in(ranges, byte_pool_at(pool, window->block) + window->start, from, to,
            bytes->bytes + ((int64_t)from - distance), first, behind, &put);
    merge(window, pool, ranges, from, to, first, behind);
    return put;
}

struct wire_span window_bytes(const struct window *window, const struct byte_pool *pool)
{
    const struct window_range *ranges = window_ranges(window, pool);

    if (window->range_count == 0 || ranges[0].from > 0) {
        return (struct wire_span){.bytes = NULL};
    }
    return (struct wire_span){.bytes = byte_pool_at(pool, window->block) + window->start,
                              .length = ranges[0].to};
}

void window_consume(struct window *window, struct byte_pool *pool, uint32_t bytes)
{
    uint32_t kept = 0;

    window->base += bytes;
    if (bytes >= window_end(window, pool)) {
        window_clear(window, pool);
        return;
    }
    struct window_range *ranges = ranges_of(window, pool);
    for (uint32_t i = 0; i < window->range_count; i++) {
        struct window_range range = ranges[i];
        if (range.to > bytes) {
            range.from = range.from > bytes ? range.from - bytes : 0;
            range.to -= bytes;
            ranges[kept++] = range;
        }
    }
    set_count(window, pool, ranges, kept);
    window->start = (uint16_t)(window->start + bytes);
}

bool window_lower(struct window *window, struct byte_pool *pool, uint32_t limit_bytes,
                  uint32_t bytes)
{
    const uint64_t end = (uint64_t)window_end(window, pool) + bytes;

    if (end > limit_bytes) {
        return false;
    }
    if (window->block != BYTE_POOL_NONE && !make_room(window, pool, (uint32_t)end, bytes)) {
        return false;
    }
    struct window_range *ranges = ranges_of(window, pool);
    for (uint32_t i = 0; i < window->range_count; i++) {
        ranges[i].from += bytes;
        ranges[i].to += bytes;
    }
    window->base -= bytes;
    return true;
}

void window_clear(struct window *window, struct byte_pool *pool)
{
    if (window->range_count > 1) {
        byte_pool_give(pool, window->list);
    }
    if (window->block != BYTE_POOL_NONE) {
        byte_pool_give(pool, window->block);
    }
    window->block = BYTE_POOL_NONE;
    window->start = 0;
    window->range_count = 0;
}
