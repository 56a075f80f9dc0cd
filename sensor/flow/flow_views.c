/* What a flow table shows: flows of a tick, all live flows, parts and sums of one. */
#include "sensor/flow/flow_table_internal.h"

#define TICK_AHEAD 16 /* flows whose lines are on their way during a tick */

struct flow_tick_delta flow_table_tick_delta(const struct flow_table *table,
                                             const struct flow *flow)
{
    if (flow->touched == 0) {
        return (struct flow_tick_delta){0};
    }
    const struct flow_touch *since = &table->touched[flow->touched - 1];

    const uint32_t forward = flow->sums[0].packets - since->packets[0];
    const uint32_t reverse = flow->sums[1].packets - since->packets[1];
    return (struct flow_tick_delta){
        .bytes = {flow->sums[0].bytes - since->bytes[0], flow->sums[1].bytes - since->bytes[1]},
        .packets = (uint64_t)forward + reverse,
        .reverse_packets = reverse};
}

void flow_table_tick(struct flow_table *table, flow_tick_function each, void *context)
{
    for (uint32_t i = 0; i < table->touched_count; i++) {
        if (i + TICK_AHEAD < table->touched_count) {
            flow_prefetch_lines(flow_at(table, table->touched[i + TICK_AHEAD].slot), 2);
        }
        struct flow *flow = flow_at(table, table->touched[i].slot);
        if ((flow->bits & FLOW_IS_LIVE) != 0 && each != NULL) {
            const struct flow_tick_delta delta = flow_table_tick_delta(table, flow);
            each(context, flow, &delta);
        }
        flow->touched = 0;
    }
    table->touched_count = 0;
}

bool flow_table_iterate(const struct flow_table *table, uint32_t *cursor, uint32_t slots_max,
                        void (*each)(void *context, const struct flow *flow), void *context)
{
    for (uint32_t seen = 0; seen < slots_max; seen++) {
        if (*cursor < table->wide_first && *cursor >= table->narrow.fresh) {
            *cursor = table->wide_first;
        }
        if (*cursor >= table->wide.fresh) {
            return false;
        }
        const struct flow *flow = flow_at(table, (*cursor)++);
        if ((flow->bits & FLOW_IS_LIVE) != 0) {
            each(context, flow);
        }
    }
    return true;
}

const struct flow_tcp_part *flow_tcp(const struct flow_table *table, const struct flow *flow)
{
    return flow_has_tcp_part(flow) ? flow_tcp_part(table, flow) : NULL;
}

const struct flow_tcp_rtt *flow_tcp_round_trips(const struct flow_table *table,
                                                const struct flow *flow)
{
    const struct flow_tcp_part *part = flow_tcp(table, flow);

    return part != NULL && part->side[FLOW_TCP_RTT].part != 0 ? flow_tcp_rtt(table, part) : NULL;
}

uint64_t flow_tcp_retransmitted_segments(const struct flow_table *table, const struct flow *flow)
{
    const struct flow_tcp_part *part = flow_tcp(table, flow);

    if (part == NULL) {
        return 0;
    }
    const struct flow_tcp_faults *faults = flow_tcp_faults(table, part);
    return (uint64_t)faults->side[0].retransmitted_segments +
           faults->side[1].retransmitted_segments;
}

uint64_t flow_total(const struct flow_table *table, const struct flow *flow, int direction,
                    enum flow_sum which)
{
    return (uint64_t)flow_reported(table, flow)->highs[direction][which] << 32 |
           flow_sum_low(&flow->sums[direction], which);
}

struct flow_table_statistics flow_table_statistics(const struct flow_table *table)
{
    struct flow_table_statistics statistics = table->statistics;

    statistics.tunnels_full = flow_tunnels_full(table->tunnels);
    return statistics;
}

uint32_t flow_table_count(const struct flow_table *table)
{
    return table->count;
}

uint32_t flow_table_capacity(const struct flow_table *table)
{
    return table->settings.flows_max;
}
