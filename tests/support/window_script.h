/* A window driven by a script of bytes and compared with the plainest assembler there is: an array
 * of bytes and one of "seen". Used by a unit test (random scripts) and by a fuzz target.
 *
 * Depends on: sensor/inspect/window.h. Threads: any, each with its own script. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/inspect/window.h"

#define SCRIPT_STREAM_BYTES 20000
#define SCRIPT_LIMIT_BYTES  6000
#define SCRIPT_UNITS        (BYTE_POOL_BLOCK_MAX / BYTE_POOL_UNIT_BYTES)

struct window_reference {
    uint64_t base;
    uint64_t origin; /* offset of value[0] */
    bool seen[SCRIPT_STREAM_BYTES];
    uint8_t value[SCRIPT_STREAM_BYTES];
};

static unsigned script_seed; /* told when a check fails */

static inline void script_check(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "window script %u: %s\n", script_seed, what);
        abort();
    }
}
#define SCRIPT_CHECK(holds) script_check((holds), #holds)

static inline uint32_t script_pieces(const struct window_reference *reference)
{
    const uint64_t first = reference->base - reference->origin;
    const uint64_t end = first + SCRIPT_LIMIT_BYTES; /* nothing behind is taken */
    uint32_t pieces = 0;

    for (uint64_t i = first; i < end && i < SCRIPT_STREAM_BYTES; i++) {
        pieces += reference->seen[i] && (i == first || !reference->seen[i - 1]);
    }
    return pieces;
}

static inline void script_check_state(const struct window *window, const struct byte_pool *pool,
                                      const struct window_reference *reference)
{
    const struct wire_span bytes = window_bytes(window, pool);
    uint64_t at = reference->base - reference->origin;
    uint32_t hole = 0;

    SCRIPT_CHECK(window->base == (uint32_t)reference->base);
    for (uint32_t i = 0; i < bytes.length; i++, at++) {
        SCRIPT_CHECK(reference->seen[at] && reference->value[at] == bytes.bytes[i]);
    }
    SCRIPT_CHECK(at == SCRIPT_STREAM_BYTES || !reference->seen[at]);
    while (at + hole < SCRIPT_STREAM_BYTES && !reference->seen[at + hole]) {
        hole++;
    }
    SCRIPT_CHECK(window_hole_bytes(window, pool) == (at + hole == SCRIPT_STREAM_BYTES ? 0 : hole));
    SCRIPT_CHECK((window->range_count == 0) == (window->block == BYTE_POOL_NONE));
    SCRIPT_CHECK(script_pieces(reference) == window->range_count);
    if (window->range_count > 1) {
        const struct window_range *ranges = window_ranges(window, pool);
        SCRIPT_CHECK(byte_pool_room(pool, window->list) >= WINDOW_RANGES_MAX * sizeof(*ranges));
        SCRIPT_CHECK(ranges[0].from < ranges[0].to && ranges[0].to < ranges[1].from);
    }
}

static inline void script_put(struct window *window, struct byte_pool *pool,
                              struct window_reference *reference, uint64_t offset, uint32_t length,
                              uint8_t twist)
{
    uint8_t *bytes = malloc(length > 0 ? length : 1); /* exactly so long: asan sees the end */
    const struct wire_span span = {.bytes = bytes, .length = length};
    uint32_t new_bytes = 0, overlapped = 0;
    bool conflicts = false;

    SCRIPT_CHECK(bytes != NULL);
    for (uint32_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)((offset + i) * 31 + ((offset + i) >> 8)) ^ twist;
    }
    const struct window_put put =
        window_put(window, pool, SCRIPT_LIMIT_BYTES, (uint32_t)offset, &span);
    if (put.status == WINDOW_SCATTERED || put.status == WINDOW_FULL) {
        SCRIPT_CHECK(put.new_bytes == 0 &&
                     (put.status == WINDOW_FULL || window->range_count == WINDOW_RANGES_MAX));
        free(bytes);
        return;
    }
    for (uint32_t i = 0; i < length; i++) {
        const uint64_t at = offset + i - reference->origin;
        if ((int64_t)(offset + i - reference->base) < 0 ||
            offset + i - reference->base >= SCRIPT_LIMIT_BYTES) {
            continue;
        }
        if (reference->seen[at]) {
            overlapped++;
            conflicts |= reference->value[at] != bytes[i];
        } else {
            new_bytes++;
            reference->seen[at] = true;
            reference->value[at] = bytes[i];
        }
    }
    SCRIPT_CHECK(put.new_bytes == new_bytes && put.overlapped_bytes == overlapped);
    SCRIPT_CHECK(put.conflicts == conflicts);
    SCRIPT_CHECK(
        (put.status == WINDOW_FAR) ==
        (length > 0 && (int64_t)(offset + length - reference->base) > (int64_t)SCRIPT_LIMIT_BYTES));
    free(bytes);
}

static inline void script_lower(struct window *window, struct byte_pool *pool,
                                struct window_reference *reference, uint32_t bytes)
{
    const uint64_t first = reference->base - reference->origin;

    if (bytes > first) {
        bytes = (uint32_t)first;
    }
    if (window_lower(window, pool, SCRIPT_LIMIT_BYTES, bytes)) {
        reference->base -= bytes;
        memset(reference->seen + first - bytes, 0, bytes); /* consumed bytes are forgotten */
    }
}

/* Five bytes a step: what, where (2), how long (2). `origin` is the offset of the first byte; of a
 * pool of SCRIPT_UNITS others hold `foreign_count`. */
static inline void window_play(const uint8_t *script, size_t size, uint64_t origin,
                               uint32_t foreign_count)
{
    struct window_reference *reference = calloc(1, sizeof(*reference));
    struct window window = {.base = (uint32_t)origin};
    struct byte_pool pool;
    uint32_t foreign[SCRIPT_UNITS];
    struct error err;

    SCRIPT_CHECK(reference != NULL && foreign_count <= SCRIPT_UNITS &&
                 byte_pool_init(&pool, SCRIPT_UNITS * BYTE_POOL_UNIT_BYTES, &err));
    for (uint32_t i = 0; i < foreign_count; i++) {
        foreign[i] = byte_pool_take(&pool, BYTE_POOL_UNIT_BYTES);
    }
    reference->base = reference->origin = origin;
    for (; size >= 5; script += 5, size -= 5) {
        const uint32_t where = (uint32_t)script[1] << 8 | script[2];
        const uint32_t many = (uint32_t)script[3] << 8 | script[4];
        const uint64_t first = reference->base - reference->origin;
        const uint64_t target = first / 2 + where % (SCRIPT_LIMIT_BYTES * 3 / 2);
        if (script[0] < 176) {
            uint32_t length = script[0] < 128 ? many % 64 : many % 3000;
            if (target + length > SCRIPT_STREAM_BYTES) {
                length = target < SCRIPT_STREAM_BYTES ? SCRIPT_STREAM_BYTES - (uint32_t)target : 0;
            }
            script_put(&window, &pool, reference, origin + target, length,
                       script[0] % 8 == 0 ? 1 : 0);
        } else if (script[0] < 240) {
            uint32_t count = many % 2000;
            if (script[0] < 208 && count > window_bytes(&window, &pool).length) {
                count = window_bytes(&window, &pool).length;
            }
            if (first + count + 3 * SCRIPT_LIMIT_BYTES <= SCRIPT_STREAM_BYTES) {
                window_consume(&window, &pool, count);
                reference->base += count;
            }
        } else {
            script_lower(&window, &pool, reference, many % 1000);
        }
        script_check_state(&window, &pool, reference);
    }
    window_clear(&window, &pool);
    for (uint32_t i = 0; i < foreign_count; i++) {
        byte_pool_give(&pool, foreign[i]);
    }
    SCRIPT_CHECK(pool.used_bytes == 0 &&
                 byte_pool_take(&pool, BYTE_POOL_BLOCK_MAX) != BYTE_POOL_NONE);
    byte_pool_fini(&pool);
    free(reference);
}
