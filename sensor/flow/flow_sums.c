/* Packets and bytes of a flow: what struct flow has room for, and what was carried from there. */
#include "sensor/flow/flow_table_internal.h"

#define SUM_STEP_SHIFT 30
#define DELTA_MAX      (UINT32_C(1) << 31)

/* By enum flow_sum. */
static const struct {
    uint8_t shift, bits;
} fields[4] = {{FLOW_PACKETS_SHIFT, FLOW_PACKETS_BITS},
               {FLOW_BYTES_SHIFT, FLOW_BYTES_BITS},
               {FLOW_PAYLOAD_SHIFT, FLOW_PAYLOAD_BITS},
               {FLOW_IP_SHIFT, FLOW_IP_BITS}};

/* Where something was carried, some field is above its half. */
static inline bool may_be_carried(const struct flow *flow)
{
    return ((flow->sums[0] | flow->sums[1]) & FLOW_SUM_HALVES) != 0;
}

static inline uint64_t carried_of(const struct flow_large *large, int direction, unsigned which)
{
    return ((uint64_t)large->highest[direction][which] << 32 | large->highs[direction][which])
           << (fields[which].bits - 1);
}

uint64_t flow_total(const struct flow_table *table, const struct flow *flow, int direction,
                    enum flow_sum which)
{
    uint64_t total = flow_low_sum(flow->sums[direction], which);

    if (UNLIKELY(may_be_carried(flow)) && table != NULL) {
        const struct flow_large *large = flow_large(table, flow_cold(table, flow));
        total += large != NULL ? carried_of(large, direction, which) : 0;
    }
    return total;
}

void flow_add_carried(const struct flow_large *large, int direction, uint64_t totals[4])
{
    for (unsigned i = 0; i < 4; i++) {
        totals[i] += carried_of(large, direction, i);
    }
}

bool flow_delta_is_full(const struct flow_table *table, const struct flow *flow,
                        const struct flow_cold *cold)
{
    const struct flow_large *large = flow_large(table, cold);

    for (int i = 0; large != NULL && i < 2; i++) {
        uint64_t totals[4];

        flow_totals(large, flow, i, totals);
        for (unsigned j = 0; j < 4; j++) {
            const uint32_t delta = (uint32_t)totals[j] - large->told[i][j];
            const uint32_t step = UINT32_C(1) << SUM_STEP_SHIFT;

            if (delta > UINT32_MAX - (step - 1 - ((uint32_t)totals[j] & (step - 1)))) {
                return true;
            }
        }
    }
    return false;
}

/* Deltas are told by 32-bit halves: a record is cut before one could run over. From 2^31 on that is
 * at the next step of 2^30. A packet larger than that may fill a delta alone: flow_delta_is_full.
 */
static void cut_delta(struct flow_table *table, struct flow *flow, const struct packet *packet,
                      int direction, const uint32_t added[4])
{
    const struct flow_cold *cold = flow_cold(table, flow);
    struct flow_reported told;
    uint64_t totals[4];
    bool is_step = false, is_large = false;

    flow_get_reported(table, cold, &told);
    flow_totals(flow_large(table, cold), flow, direction, totals);
    for (unsigned i = 0; i < 4; i++) {
        const uint32_t before = (uint32_t)totals[i];
        const uint32_t delta = before - told.sums[direction][i];

        is_step |= ((before ^ (before + added[i])) | added[i]) >> SUM_STEP_SHIFT != 0;
        is_large |= delta >= DELTA_MAX || delta > UINT32_MAX - added[i];
    }
    if (is_step && is_large) {
        flow_cut_delta(table, flow, packet->time_ns);
    }
}

/* `halves` of the field are carried. */
static void carry(const struct flow_table *table, struct flow_large *large, int direction,
                  unsigned which, uint32_t halves)
{
    const uint32_t before = large->highs[direction][which];

    large->highs[direction][which] = before + halves;
    large->highest[direction][which] =
        (uint16_t)(large->highest[direction][which] + (before + halves < before));
    if (which > FLOW_SUM_BYTES) {
        return;
    }
    if (large->tick != table->tick) {
        large->tick = table->tick;
        memset(large->carried, 0, sizeof(large->carried));
    }
    large->carried[direction][which] += halves;
}

void flow_carry_sums(struct flow_table *table, struct flow *flow, const struct packet *packet,
                     int direction)
{
    const uint32_t added[4] = {1, packet->wire_bytes, packet->payload_bytes, packet->ip_bytes};

    cut_delta(table, flow, packet, direction, added);
    for (unsigned i = 0; i < 4; i++) {
        const uint32_t half = UINT32_C(1) << (fields[i].bits - 1);
        const uint64_t mask = (UINT64_C(2) * half - 1) << fields[i].shift;
        uint64_t sum = (uint64_t)flow_low_sum(flow->sums[direction], (enum flow_sum)i) + added[i];

        if (sum >= UINT64_C(2) * half) {
            const uint32_t halves = (uint32_t)(sum / half) - 1;
            carry(table, flow_take_large(table, flow_cold(table, flow)), direction, i, halves);
            sum -= (uint64_t)halves * half;
        }
        flow->sums[direction] = (flow->sums[direction] & ~mask) | sum << fields[i].shift;
    }
    if (UNLIKELY((added[1] | added[2] | added[3]) >> SUM_STEP_SHIFT != 0)) {
        flow_set_update_tick(table, flow, flow_cold(table, flow), packet->time_ns);
    }
}

/* ---- ticks ---- */

/* What was carried since the tick. */
static void add_carried(const struct flow_table *table, const struct flow *flow,
                        struct flow_tick_delta *delta)
{
    const struct flow_large *large = flow_large(table, flow_cold(table, flow));

    if (large == NULL || large->tick != table->tick) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        const uint64_t packets = (uint64_t)large->carried[i][0] << (FLOW_PACKETS_BITS - 1);

        delta->packets += packets;
        delta->reverse_packets += i == 1 ? packets : 0;
        delta->bytes[i] += (uint64_t)large->carried[i][1] << (FLOW_BYTES_BITS - 1);
    }
}

struct flow_tick_delta flow_table_tick_delta(const struct flow_table *table,
                                             const struct flow *flow)
{
    struct flow_tick_delta delta = {0};

    if ((flow->bits & FLOW_IS_TOUCHED) == 0) {
        return delta;
    }
    const uint64_t then[2] = {flow->tick, flow->tick >> FLOW_TICK_BITS};
    const uint64_t forward = (uint64_t)flow_low_sum(flow->sums[0], FLOW_SUM_PACKETS) -
                             flow_low_sum(then[0], FLOW_SUM_PACKETS);

    delta.reverse_packets = (uint64_t)flow_low_sum(flow->sums[1], FLOW_SUM_PACKETS) -
                            flow_low_sum(then[1], FLOW_SUM_PACKETS);
    delta.packets = forward + delta.reverse_packets;
    delta.bytes[0] = (uint64_t)flow_low_sum(flow->sums[0], FLOW_SUM_BYTES) -
                     flow_low_sum(then[0], FLOW_SUM_BYTES);
    delta.bytes[1] = (uint64_t)flow_low_sum(flow->sums[1], FLOW_SUM_BYTES) -
                     flow_low_sum(then[1], FLOW_SUM_BYTES);
    if (UNLIKELY(may_be_carried(flow))) {
        add_carried(table, flow, &delta);
    }
    return delta;
}
