#include "base/ring.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

/* Each side keeps its own index and a copy of the other's on a line of its own, and looks at the
 * other's line only when its copy says full or empty: a cache miss a round instead of one an item.
 * Indexes run free and are cut by the mask. */
struct ring {
    uint32_t mask;
    _Alignas(CACHE_LINE) _Atomic uint32_t tail; /* producer: next to write */
    uint32_t head_seen;
    _Alignas(CACHE_LINE) _Atomic uint32_t head; /* consumer: next to read */
    uint32_t tail_seen;
    _Alignas(CACHE_LINE) void *slots[];
};

struct ring *ring_new(uint32_t slots)
{
    if (slots > UINT32_C(1) << 30) {
        return NULL;
    }
    uint32_t count = 2;
    while (count < slots) {
        count *= 2;
    }
    size_t bytes = offsetof(struct ring, slots) + count * sizeof(void *);
    bytes = (bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
    struct ring *ring = aligned_alloc(CACHE_LINE, bytes);
    if (ring == NULL) {
        return NULL;
    }
    ring->mask = count - 1;
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
    ring->head_seen = 0;
    ring->tail_seen = 0;
    return ring;
}

void ring_free(struct ring *ring)
{
    free(ring);
}

bool ring_push(struct ring *ring, void *item)
{
    const uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen > ring->mask) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - ring->head_seen > ring->mask) {
            return false;
        }
    }
    ring->slots[tail & ring->mask] = item;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

void *ring_pop(struct ring *ring)
{
    const uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->tail_seen) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->tail_seen) {
            return NULL;
        }
    }
    void *item = ring->slots[head & ring->mask];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return item;
}

uint32_t ring_used(const struct ring *ring)
{
    /* Head first: a tail read later can only be further on, so the difference is never negative. It
     * may be above the capacity for a reader between two moves of both sides. */
    const uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    const uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    const uint32_t used = tail - head;
    return used > ring->mask + 1 ? ring->mask + 1 : used;
}

uint32_t ring_capacity(const struct ring *ring)
{
    return ring->mask + 1;
}
