/* Fixed-size bump memory, emptied in one step. Nothing is freed singly. One arena, one thread.
 * Depends on: attributes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

struct arena {
    uint8_t *bytes;
    size_t capacity;
    size_t used;
};

/* NULL when the memory cannot be had. */
MUST_USE struct arena *arena_new(size_t capacity);
void arena_free(struct arena *arena); /* NULL is allowed */
DEFINE_AUTO(arena, arena_free);

/* `bytes` of memory at `alignment` (a power of two), or NULL when full: full is a state to be
 * counted. */
MUST_USE void *arena_take(struct arena *arena, size_t bytes, size_t alignment);
/* A copy of `text` with a NUL behind it, or NULL when full. */
MUST_USE char *arena_copy_text(struct arena *arena, const char *text, size_t length);
void arena_reset(struct arena *arena);
