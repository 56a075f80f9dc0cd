/* What the last record told of a flow, in 32 bytes where that does, and when the next is due. */
#include "sensor/flow/flow_table_internal.h"

#define SINCE_MASK ((UINT64_C(1) << FLOW_TOLD_SINCE_BITS) - 1)
#define INDEX_MAX  ((UINT64_C(1) << (64 - FLOW_TOLD_SINCE_BITS)) - 1)

static struct flow_told *told_at(const struct flow_table *table, uint32_t index)
{
    return flow_pool_at(&table->parts[FLOW_PART_TOLD], index);
}

static uint64_t first_deadline(const struct flow_table *table, const struct flow_cold *cold)
{
    const uint64_t behind = table->first_update_ns[cold->link >> FLOW_LINK_BITS];

    return flow_add_time(cold->first_ns, behind);
}

uint64_t flow_next_update_ns(const struct flow_table *table, const struct flow_cold *cold)
{
    const struct flow_large *large = flow_large(table, cold);

    return large != NULL     ? large->next_update_ns
           : cold->past != 0 ? told_at(table, cold->past)->next_update_ns
                             : first_deadline(table, cold);
}

static void split(uint64_t sums, uint32_t out[4])
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] = flow_low_sum(sums, (enum flow_sum)i);
    }
}

void flow_get_reported(const struct flow_table *table, const struct flow_cold *cold,
                       struct flow_reported *out)
{
    const struct flow_large *large = flow_large(table, cold);

    if (large != NULL) {
        out->delta_start_ns = large->delta_start_ns;
        out->next_update_ns = large->next_update_ns;
        memcpy(out->sums, large->told, sizeof(out->sums));
        out->update_index = large->update_index;
    } else if (cold->past != 0) {
        const struct flow_told *told = told_at(table, cold->past);

        out->delta_start_ns = told->next_update_ns - (told->since_and_index & SINCE_MASK);
        out->next_update_ns = told->next_update_ns;
        split(told->sums[0], out->sums[0]);
        split(told->sums[1], out->sums[1]);
        out->update_index = (uint32_t)(told->since_and_index >> FLOW_TOLD_SINCE_BITS);
    } else {
        *out = (struct flow_reported){.delta_start_ns = cold->first_ns,
                                      .next_update_ns = first_deadline(table, cold)};
    }
}

static uint64_t join(const uint32_t sums[4])
{
    return (uint64_t)sums[FLOW_SUM_PACKETS] << FLOW_PACKETS_SHIFT |
           (uint64_t)sums[FLOW_SUM_BYTES] << FLOW_BYTES_SHIFT |
           (uint64_t)sums[FLOW_SUM_IP] << FLOW_IP_SHIFT |
           (uint64_t)sums[FLOW_SUM_PAYLOAD] << FLOW_PAYLOAD_SHIFT;
}

/* Whether it has room in a struct flow_told. The sums do: a flow whose own outgrew their fields has
 * a struct flow_large. */
static bool is_small(const struct flow_reported *reported)
{
    return reported->next_update_ns >= reported->delta_start_ns &&
           reported->next_update_ns - reported->delta_start_ns <= SINCE_MASK &&
           reported->update_index <= INDEX_MAX;
}

void flow_set_reported(struct flow_table *table, struct flow_cold *cold,
                       const struct flow_reported *reported)
{
    if ((cold->past & FLOW_PAST_IS_LARGE) == 0 && is_small(reported)) {
        if (cold->past == 0) {
            cold->past = flow_pool_take(&table->parts[FLOW_PART_TOLD]);
        }
        *told_at(table, cold->past) = (struct flow_told){
            .sums = {join(reported->sums[0]), join(reported->sums[1])},
            .next_update_ns = reported->next_update_ns,
            .since_and_index = (reported->next_update_ns - reported->delta_start_ns) |
                               (uint64_t)reported->update_index << FLOW_TOLD_SINCE_BITS};
        return;
    }
    struct flow_large *large = flow_take_large(table, cold);

    large->delta_start_ns = reported->delta_start_ns;
    large->next_update_ns = reported->next_update_ns;
    memcpy(large->told, reported->sums, sizeof(large->told));
    large->update_index = reported->update_index;
}

struct flow_large *flow_take_large(struct flow_table *table, struct flow_cold *cold)
{
    struct flow_large *large = flow_large(table, cold);

    if (large != NULL) {
        return large;
    }
    struct flow_reported reported;

    flow_get_reported(table, cold, &reported);
    if (cold->past != 0) {
        flow_pool_give(&table->parts[FLOW_PART_TOLD], cold->past);
    }
    cold->past = FLOW_PAST_IS_LARGE | flow_pool_take(&table->parts[FLOW_PART_LARGE]);
    flow_set_reported(table, cold, &reported);
    return flow_large(table, cold);
}

/* ---- deadlines ---- */

/* Ticks of 16 bits are compared modulo 2^16, which is 73 minutes, so a flow is looked at within
 * FLOW_LOOK_NS whatever is due, and with the first packet behind a longer silence. */
void flow_set_update_tick(const struct flow_table *table, struct flow *flow,
                          const struct flow_cold *cold, uint64_t from_ns)
{
    const uint64_t next = flow_next_update_ns(table, cold);
    const uint64_t most = flow_add_time(from_ns, FLOW_LOOK_NS);
    const uint64_t at = next < most ? next : most;
    const bool is_full = flow_delta_is_full(table, flow, cold);

    flow->update_tick = (uint16_t)((at > from_ns && !is_full ? at : from_ns) >> FLOW_WHEEL_SHIFT);
}

/* Flows that were promised the deadline of a round that is about to be used anew. */
static void keep_deadlines(struct flow_table *table, unsigned round)
{
    for (uint32_t kind = 0; kind < FLOW_KINDS; kind++) {
        for (uint32_t i = 0; i < table->kinds[kind].fresh; i++) {
            const uint32_t slot = kind << FLOW_KIND_SHIFT | i;
            struct flow_cold *cold = flow_cold_at(table, slot);

            if ((flow_at(table, slot)->bits & FLOW_IS_LIVE) != 0 && cold->past == 0 &&
                cold->link >> FLOW_LINK_BITS == round) {
                struct flow_reported reported;
                flow_get_reported(table, cold, &reported);
                flow_set_reported(table, cold, &reported);
            }
        }
    }
}

void flow_set_first_update(struct flow_table *table)
{
    const struct flow_settings *settings = &table->settings;
    const uint64_t first = settings->first_update_ns != 0     ? settings->first_update_ns
                           : settings->active_timeout_ns != 0 ? settings->active_timeout_ns
                                                              : UINT64_MAX;

    if (first != table->first_update_ns[table->round]) {
        table->round = (table->round + 1) % FLOW_ROUNDS;
        keep_deadlines(table, table->round);
        table->first_update_ns[table->round] = first;
    }
}
