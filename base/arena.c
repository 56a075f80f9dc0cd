#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct arena *arena_new(size_t capacity)
{
    struct arena *arena = malloc(sizeof(*arena));
    if (arena == NULL) {
        return NULL;
    }
    /* malloc(0) may be NULL, which would look like a failure. */
    arena->bytes = malloc(capacity > 0 ? capacity : 1);
    if (arena->bytes == NULL) {
        free(arena);
        return NULL;
    }
    arena->capacity = capacity;
    arena->used = 0;
    return arena;
}

void arena_free(struct arena *arena)
{
    if (arena != NULL) {
        free(arena->bytes);
        free(arena);
    }
}

void *arena_take(struct arena *arena, size_t bytes, size_t alignment)
{
    assert(alignment > 0 && (alignment & (alignment - 1)) == 0);
    /* The address is aligned, not the offset: malloc promises 16 bytes and callers ask for a cache
     * line. */
    const uintptr_t base = (uintptr_t)arena->bytes;
    const uintptr_t at = (base + arena->used + alignment - 1) & ~(uintptr_t)(alignment - 1);
    const size_t offset = (size_t)(at - base);
    if (offset > arena->capacity || bytes > arena->capacity - offset) {
        return NULL;
    }
    arena->used = offset + bytes;
    return arena->bytes + offset;
}

char *arena_copy_text(struct arena *arena, const char *text, size_t length)
{
    if (length == SIZE_MAX) {
        return NULL;
    }
    char *copy = arena_take(arena, length + 1, 1);
    if (copy != NULL) {
        if (length > 0) {
            memcpy(copy, text, length);
        }
        copy[length] = '\0';
    }
    return copy;
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
}
