/* The pools of a table: parts that only some flows have. */
#include "sensor/flow/flow_tcp_internal.h"

/* A free part's first word is the next one; 0: the last. */
uint32_t flow_pool_take(struct flow_pool *pool)
{
    const uint32_t index = pool->free_head != 0 ? pool->free_head : pool->fresh++;
    uint32_t *entry = flow_pool_at(pool, index);

    if (index == pool->free_head) {
        pool->free_head = *entry;
    }
    memset(entry, 0, pool->stride);
    return index;
}

void flow_pool_give(struct flow_pool *pool, uint32_t index)
{
    *(uint32_t *)flow_pool_at(pool, index) = pool->free_head;
    pool->free_head = index;
}

struct flow_tcp_faults *flow_take_faults(struct flow_table *table, struct flow_tcp_part *part)
{
    struct flow_tcp_rest *rest = flow_tcp_rest(table, part);
    struct flow_pool *pool = &table->parts[FLOW_PART_FAULTS];

    if (!flow_tcp_has_faults(part)) {
        const uint32_t index = flow_pool_take(pool);
        struct flow_tcp_faults *faults = flow_pool_at(pool, index);

        faults->handshake = rest->handshake;
        rest->handshake = index;
        part->side[1].bits |= SIDE_1_HAS_FAULTS;
    }
    return flow_pool_at(pool, rest->handshake);
}

static NOINLINE void give_tcp_parts(struct flow_table *table, uint32_t slot)
{
    const struct flow_tcp_part *part = flow_tcp_part_at(table, slot);
    const struct flow_tcp_rest *rest = flow_tcp_rest_at(table, slot);

    if (flow_tcp_has_faults(part)) {
        flow_pool_give(&table->parts[FLOW_PART_FAULTS], rest->handshake);
    }
    if (flow_tcp_has_rtt(part) && flow_rtt_far(table, &rest->rtt) != NULL) {
        flow_pool_give(&table->parts[FLOW_PART_RTT], rest->rtt.side[0].words[4]);
    }
}

void flow_give_parts(struct flow_table *table, struct flow *flow, uint32_t slot)
{
    const struct flow_cold *cold = flow_cold_at(table, slot);

    if (cold->past != 0) {
        flow_give_told(table, cold->past);
    }
    flow_links_give(&table->links, cold->link & FLOW_LINK_MASK);
    if (flow_has_tcp_part(flow)) {
        give_tcp_parts(table, slot);
    }
}
