/* 64-bit counter with one writer and any reader: no lock, no locked instruction. Threads: one that
 * writes, any that read. Depends on: libc. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;
};

static inline void counter_add(struct counter *counter, uint64_t by)
{
    const uint64_t now = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, now + by, memory_order_relaxed);
}

/* For a counter with several writers. */
static inline void counter_add_shared(struct counter *counter, uint64_t by)
{
    atomic_fetch_add_explicit(&counter->value, by, memory_order_relaxed);
}

static inline void counter_set(struct counter *counter, uint64_t value)
{
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counter *counter)
{
    return atomic_load_explicit(&((struct counter *)(uintptr_t)counter)->value,
                                memory_order_relaxed);
}
