/* The pools of a table: flows, and the parts that only some flows have. */
#include "sensor/flow/flow_table_internal.h"

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

static void *take(struct flow_table *table, enum flow_part which, uint32_t *link)
{
    if (*link == 0) {
        *link = flow_pool_take(&table->parts[which]);
    }
    return flow_pool_at(&table->parts[which], *link);
}

static void give(struct flow_table *table, enum flow_part which, uint32_t index)
{
    if (index != 0) {
        flow_pool_give(&table->parts[which], index);
    }
}

struct flow_tcp_part *flow_take_tcp(struct flow_table *table, struct flow *flow)
{
    const uint32_t reported = flow->part;
    const uint32_t index = flow_pool_take(&table->parts[FLOW_PART_TCP]);

    flow->part = index;
    flow->bits |= FLOW_HAS_TCP_PART;
    struct flow_tcp_part *part = flow_tcp_part(table, flow);
    part->reported = reported;
    return part;
}

struct flow_tcp_faults *flow_take_faults(struct flow_table *table, struct flow_tcp_part *part)
{
    return take(table, FLOW_PART_FAULTS, &part->side[FLOW_TCP_FAULTS].part);
}

struct flow_tcp_rtt *flow_take_rtt(struct flow_table *table, struct flow_tcp_part *part)
{
    return take(table, FLOW_PART_RTT, &part->side[FLOW_TCP_RTT].part);
}

struct flow_reported *flow_take_reported(struct flow_table *table, struct flow *flow)
{
    uint32_t *link = flow_has_tcp_part(flow) ? &flow_tcp_part(table, flow)->reported : &flow->part;
    const bool is_new = *link == 0;
    struct flow_reported *reported = take(table, FLOW_PART_REPORTED, link);

    if (is_new) {
        reported->delta_start_ns = flow->first_ns;
    }
    return reported;
}

void flow_give_parts(struct flow_table *table, struct flow *flow)
{
    if (flow->part == 0) {
        return;
    }
    if (!flow_has_tcp_part(flow)) {
        give(table, FLOW_PART_REPORTED, flow->part);
        return;
    }
    const struct flow_tcp_part *part = flow_tcp_part(table, flow);
    give(table, FLOW_PART_RTT, part->side[FLOW_TCP_RTT].part);
    give(table, FLOW_PART_FAULTS, part->side[FLOW_TCP_FAULTS].part);
    give(table, FLOW_PART_REPORTED, part->reported);
    give(table, FLOW_PART_TCP, flow->part);
}
