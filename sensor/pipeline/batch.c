#include "sensor/pipeline/batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct batch_pool {
    struct record_batch *batches;
    uint8_t *memory;
    struct record_batch *free_list; /* the taker's own */
    /* Batches that came back: any thread pushes, the taker takes all at once, so there is no ABA.
     */
    _Atomic(struct record_batch *) returned;
    atomic_uint used;
    uint32_t count;
};

struct batch_pool *batch_pool_new(uint32_t count, uint32_t bytes_each, uint32_t identity_room,
                                  struct error *err)
{
    assert(count > 0 && bytes_each > identity_room);
    struct batch_pool *pool = calloc(1, sizeof(*pool));

    if (pool != NULL) {
        pool->batches = calloc(count, sizeof(*pool->batches));
        pool->memory = malloc((size_t)count * bytes_each);
    }
    if (pool == NULL || pool->batches == NULL || pool->memory == NULL) {
        batch_pool_free(pool);
        error_set(err, ENOMEM, "record batches: no memory for %u x %u bytes", count, bytes_each);
        return NULL;
    }
    pool->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct record_batch *batch = &pool->batches[i];

        batch->pool = pool;
        batch->bytes = pool->memory + (size_t)i * bytes_each;
        batch->capacity = bytes_each;
        batch->identity_room = identity_room;
        batch->next_free = pool->free_list;
        pool->free_list = batch;
    }
    return pool;
}

void batch_pool_free(struct batch_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    assert(atomic_load(&pool->used) == 0);
    free(pool->batches);
    free(pool->memory);
    free(pool);
}

/* What came back goes in front of what is free: the last that was written to is taken first, while
 * its lines are in some cache. */
static void gather_returned(struct batch_pool *pool)
{
    if (atomic_load_explicit(&pool->returned, memory_order_relaxed) == NULL) {
        return;
    }
    struct record_batch *first =
        atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    struct record_batch *last = first;

    while (last->next_free != NULL) {
        last = last->next_free;
    }
    last->next_free = pool->free_list;
    pool->free_list = first;
}

struct record_batch *batch_take(struct batch_pool *pool)
{
    gather_returned(pool);
    struct record_batch *batch = pool->free_list;

    if (batch == NULL) {
        return NULL;
    }
    pool->free_list = batch->next_free;
    batch->next_free = NULL;
    batch->count = 0;
    batch->used = 0;
    batch->opened_ns = 0;
    batch->names_until_ns = 0;
    atomic_store_explicit(&batch->references, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->used, 1, memory_order_relaxed);
    return batch;
}

void batch_ref(struct record_batch *batch)
{
    atomic_fetch_add_explicit(&batch->references, 1, memory_order_relaxed);
}

void batch_unref(struct record_batch *batch)
{
    if (atomic_fetch_sub_explicit(&batch->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct batch_pool *pool = batch->pool;
    struct record_batch *head = atomic_load_explicit(&pool->returned, memory_order_relaxed);

    atomic_fetch_sub_explicit(&pool->used, 1, memory_order_relaxed);
    do {
        batch->next_free = head;
    } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &head, batch,
                                                    memory_order_release, memory_order_relaxed));
}

uint32_t batch_pool_used(const struct batch_pool *pool)
{
    return atomic_load_explicit(&pool->used, memory_order_relaxed);
}

uint8_t *batch_reserve(struct record_batch *batch, uint32_t bytes_max)
{
    const uint32_t room = batch->capacity - batch->used;

    if (batch->count == BATCH_RECORDS_MAX || room < bytes_max ||
        room - bytes_max < batch->identity_room) {
        return NULL;
    }
    return batch->bytes + batch->used;
}

struct batch_entry *batch_commit(struct record_batch *batch, uint32_t length)
{
    return batch_commit_named(batch, length, 0);
}
