/* What of a flow is asked from memory some steps before it is needed. Each of these is inlined,
 * since GCC leaves out calls of functions that do nothing but prefetch.
 *
 * Depends on: flow_tcp_internal.h. Threads: those of the table. */
#pragma once

#include "sensor/flow/flow_tcp_internal.h"

static ALWAYS_INLINE void flow_prefetch_lines(const void *entry, unsigned lines)
{
    for (unsigned i = 0; i < lines; i++) {
        __builtin_prefetch((const uint8_t *)entry + (size_t)i * CACHE_LINE, 1);
    }
}

/* Tells the keeper of other memory: see flow_table_set_ahead. */
static inline void flow_tell_ahead(const struct flow_table *table, const struct flow *flow,
                                   unsigned step)
{
    if (flow->app != 0 && table->ahead != NULL) {
        table->ahead(table->ahead_context, flow, step);
    }
}

/* With the round trips. */
static ALWAYS_INLINE void flow_prefetch_rest(const struct flow_table *table, uint32_t slot)
{
    const struct flow_tcp_rest *rest = flow_tcp_rest_at(table, slot);

    __builtin_prefetch(rest, 1);
    __builtin_prefetch((const uint8_t *)(rest + 1) - 1, 1);
}

/* For a flow that is about to be reported or to end, whose line is there: what stands beside it is
 * on its way... */
static ALWAYS_INLINE void flow_prefetch_near_parts(const struct flow_table *table, uint32_t slot)
{
    const struct flow *flow = flow_at(table, slot);

    __builtin_prefetch(flow_cold_at(table, slot), 1);
    if (flow_has_tcp_part(flow)) {
        __builtin_prefetch(flow_tcp_part_at(table, slot), 0);
        flow_prefetch_rest(table, slot);
    }
    flow_tell_ahead(table, flow, 0);
}

/* ... and then, once that is there, the bucket that the end takes it out of, and what it leads to.
 */
static ALWAYS_INLINE void flow_prefetch_bucket(const struct flow_table *table, uint32_t slot)
{
    const uint64_t hash = flow_hash(table, flow_at(table, slot));

    __builtin_prefetch(&table->index.buckets[flow_index_home(&table->index, hash)], 1);
}

static ALWAYS_INLINE void flow_prefetch_past(const struct flow_table *table, uint32_t slot)
{
    const struct flow_cold *cold = flow_cold_at(table, slot);

    if (cold->past != 0) {
        const uint8_t *past = flow_past_at(table, cold);

        __builtin_prefetch(past, 1);
        if (flow_past_is(cold, FLOW_PAST_LARGE)) {
            __builtin_prefetch(past + CACHE_LINE, 1);
        }
    }
    flow_tell_ahead(table, flow_at(table, slot), 1);
}
