/* What a flow table shows: flows of a tick, all live flows, parts and sums of one. */
#include "sensor/flow/flow_tcp_internal.h"

#define TICK_AHEAD 16 /* flows whose lines are on their way during a tick */

/* Where a walk over what was touched is, kind by kind and in order of places. */
struct walk {
    uint32_t kind, word; /* of 64 places: the next that is read */
    uint64_t left;       /* of the last that was */
};

static uint32_t words_of(const struct flow_table *table, uint32_t kind)
{
    return (table->kinds[kind].fresh + 63) / 64;
}

/* FLOW_NONE: no more. */
static uint32_t next_touched(const struct flow_table *table, struct walk *at)
{
    while (at->left == 0) {
        while (at->word >= words_of(table, at->kind)) {
            if (at->kind + 1 == FLOW_KINDS) {
                return FLOW_NONE;
            }
            at->kind++;
            at->word = 0;
        }
        at->left = table->kinds[at->kind].touched[at->word++];
    }
    const uint32_t place = (at->word - 1) * 64 + (uint32_t)__builtin_ctzll(at->left);

    at->left &= at->left - 1;
    return at->kind << FLOW_KIND_SHIFT | place;
}

static void prefetch_next(const struct flow_table *table, struct walk *ahead, bool asks_first)
{
    const uint32_t slot = next_touched(table, ahead);

    if (slot != FLOW_NONE) {
        __builtin_prefetch(flow_at(table, slot), 1);
        if (asks_first) {
            __builtin_prefetch(flow_cold_at(table, slot));
        }
    }
}

void flow_table_tick(struct flow_table *table, bool asks_first, flow_tick_function each,
                     void *context)
{
    struct walk at = {0}, ahead = {0};
    uint32_t slot;

    for (unsigned i = 0; i < TICK_AHEAD; i++) {
        prefetch_next(table, &ahead, asks_first);
    }
    while ((slot = next_touched(table, &at)) != FLOW_NONE) {
        struct flow *flow = flow_at(table, slot);

        prefetch_next(table, &ahead, asks_first);
        if ((flow->bits & FLOW_IS_LIVE) != 0 && each != NULL) {
            const struct flow_tick_delta delta = flow_table_tick_delta(table, flow);
            each(context, flow, &delta);
        }
        flow->bits &= ~(uint32_t)FLOW_IS_TOUCHED;
    }
    for (uint32_t kind = 0; kind < FLOW_KINDS; kind++) {
        memset(table->kinds[kind].touched, 0, words_of(table, kind) * sizeof(uint64_t));
    }
    table->tick++;
}

bool flow_table_iterate(const struct flow_table *table, uint32_t *cursor, uint32_t slots_max,
                        void (*each)(void *context, const struct flow *flow), void *context)
{
    for (uint32_t seen = 0; seen < slots_max; seen++) {
        uint32_t kind = *cursor >> FLOW_KIND_SHIFT;

        while ((*cursor & FLOW_PLACE_MASK) >= table->kinds[kind].fresh) {
            if (++kind == FLOW_KINDS) {
                return false;
            }
            *cursor = kind << FLOW_KIND_SHIFT;
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

bool flow_tcp_round_trips(const struct flow_table *table, const struct flow *flow,
                          struct flow_tcp_rtt *out)
{
    const struct flow_tcp_part *part = flow_tcp(table, flow);

    if (part == NULL || !flow_tcp_has_rtt(part)) {
        return false;
    }
    flow_get_rtt(table, part, out);
    return out->side[0].samples > 0 || out->side[1].samples > 0;
}

uint32_t flow_tcp_initial_seq(const struct flow_table *table, const struct flow *flow,
                              int direction)
{
    if (flow_has_tcp_part(flow)) {
        return flow_tcp_cold_at(table, flow_slot(table, flow))->initial_seq[direction];
    }
    const struct flow_tcp_cold *syn = flow_kept_syn(table, flow);

    return syn != NULL && direction == 0 ? syn->initial_seq[0] : 0;
}

uint32_t flow_tcp_flags(const struct flow_table *table, const struct flow *flow, int direction,
                        enum flow_tcp_flag flag)
{
    if (flow_has_tcp_part(flow)) {
        const uint32_t slot = flow_slot(table, flow);

        return flow_tcp_flag_count(table, flow_tcp_part_at(table, slot),
                                   flow_tcp_rest_at(table, slot), direction, flag);
    }
    return flag == TCP_FLAG_SYN && direction == 0 && flow_kept_syn(table, flow) != NULL;
}

uint32_t flow_tcp_endings(const struct flow_table *table, const struct flow *flow)
{
    if (!flow_has_tcp_part(flow)) {
        return 0;
    }
    const uint32_t slot = flow_slot(table, flow);
    const struct flow_tcp_part *part = flow_tcp_part_at(table, slot);
    const struct flow_tcp_rest *rest = flow_tcp_rest_at(table, slot);

    uint32_t endings = 0;

    for (int side = 0; side < 2; side++) {
        endings += flow_tcp_flag_count(table, part, rest, side, TCP_FLAG_FIN);
        endings += flow_tcp_flag_count(table, part, rest, side, TCP_FLAG_RST);
    }
    return endings;
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

uint64_t flow_first_ns(const struct flow_table *table, const struct flow *flow)
{
    return table != NULL ? flow_cold(table, flow)->first_ns : 0;
}

uint16_t flow_interface(const struct flow_table *table, const struct flow *flow)
{
    return flow_link_of(table, flow_cold(table, flow))->interface;
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
