#include "sensor/pipeline/name_queue.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 64

struct name_queue {
    struct passive_name *slots;
    uint32_t mask;
    alignas(LINE_BYTES) atomic_uint pushed; /* counts, wrapping */
    alignas(LINE_BYTES) atomic_uint popped;
};

struct name_queue *name_queue_new(uint32_t slots)
{
    uint32_t count = 16;

    while (count < slots) {
        count <<= 1;
    }
    struct name_queue *queue = aligned_alloc(LINE_BYTES, sizeof(*queue));

    if (queue == NULL) {
        return NULL;
    }
    memset(queue, 0, sizeof(*queue));
    queue->mask = count - 1;
    queue->slots = calloc(count, sizeof(*queue->slots));
    if (queue->slots == NULL) {
        free(queue);
        return NULL;
    }
    return queue;
}

void name_queue_free(struct name_queue *queue)
{
    if (queue != NULL) {
        free(queue->slots);
        free(queue);
    }
}

static uint32_t used(const struct name_queue *queue)
{
    const uint32_t popped = atomic_load_explicit(&queue->popped, memory_order_acquire);

    return atomic_load_explicit(&queue->pushed, memory_order_acquire) - popped;
}

bool name_queue_push(struct name_queue *queue, const struct passive_name *name)
{
    const uint32_t at = atomic_load_explicit(&queue->pushed, memory_order_relaxed);

    if (used(queue) > queue->mask) {
        return false;
    }
    queue->slots[at & queue->mask] = *name;
    atomic_store_explicit(&queue->pushed, at + 1, memory_order_release);
    return true;
}

const struct passive_name *name_queue_peek_at(const struct name_queue *queue, uint32_t behind)
{
    const uint32_t at = atomic_load_explicit(&queue->popped, memory_order_relaxed);

    return used(queue) > behind ? &queue->slots[(at + behind) & queue->mask] : NULL;
}

const struct passive_name *name_queue_peek(const struct name_queue *queue)
{
    return name_queue_peek_at(queue, 0);
}

void name_queue_pop(struct name_queue *queue)
{
    const uint32_t at = atomic_load_explicit(&queue->popped, memory_order_relaxed);

    assert(used(queue) > 0);
    atomic_store_explicit(&queue->popped, at + 1, memory_order_release);
}

bool name_queue_is_half_full(const struct name_queue *queue)
{
    return used(queue) > queue->mask / 2;
}
