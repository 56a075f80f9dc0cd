/* What the last record told of a flow, in 16 or 32 bytes where they do, and when the next is due.
 */
#include "sensor/flow/flow_table_internal.h"

#define SINCE_MASK ((UINT64_C(1) << FLOW_TOLD_SINCE_BITS) - 1)
#define INDEX_MAX  ((UINT64_C(1) << (64 - FLOW_TOLD_SINCE_BITS)) - 1)

static struct flow_told *told_at(const struct flow_table *table, uint32_t index)
{
    return flow_pool_at(&table->parts[FLOW_PART_TOLD], index);
}

static struct flow_brief *brief_at(const struct flow_table *table, uint32_t past)
{
    return flow_pool_at(&table->parts[FLOW_PART_BRIEF], past & ~FLOW_PAST_IS_BRIEF);
}

static const struct flow_round *round_of(const struct flow_table *table,
                                         const struct flow_cold *cold)
{
    return &table->rounds[cold->link >> FLOW_LINK_BITS];
}

static uint64_t first_deadline(const struct flow_table *table, const struct flow_cold *cold)
{
    return flow_add_time(cold->first_ns, round_of(table, cold)->first_update_ns);
}

/* When the last of `passed` deadlines was, or the flow's begin. */
static uint64_t passed_deadline(const struct flow_table *table, const struct flow_cold *cold,
                                uint64_t passed)
{
    return passed == 0 ? cold->first_ns
                       : flow_add_time(first_deadline(table, cold),
                                       (passed - 1) * round_of(table, cold)->interval_ns);
}

/* The one behind it. */
static uint64_t coming_deadline(const struct flow_table *table, const struct flow_cold *cold,
                                uint64_t passed)
{
    return passed > 0 && round_of(table, cold)->interval_ns == 0
               ? UINT64_MAX
               : passed_deadline(table, cold, passed + 1);
}

/* ---- in 16 bytes ---- */

#define BRIEF_MAX 255 /* of packets, deadlines and records */

/* By enum flow_sum. */
static const uint8_t brief_shifts[4] = {0, 8, 24, 40};
static const uint16_t brief_most[4] = {BRIEF_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX};
#define BRIEF_SHIFT 56

static uint64_t passed_of(const struct flow_brief *brief)
{
    return brief->sums[0] >> BRIEF_SHIFT;
}

static void read_brief(const struct flow_table *table, const struct flow_cold *cold,
                       struct flow_reported *out)
{
    const struct flow_brief *brief = brief_at(table, cold->past);
    const uint64_t passed = passed_of(brief);

    out->delta_start_ns = passed_deadline(table, cold, passed);
    out->next_update_ns = coming_deadline(table, cold, passed);
    for (unsigned i = 0; i < 4; i++) {
        out->sums[0][i] = (uint32_t)(brief->sums[0] >> brief_shifts[i]) & brief_most[i];
        out->sums[1][i] = (uint32_t)(brief->sums[1] >> brief_shifts[i]) & brief_most[i];
    }
    out->update_index = (uint32_t)(brief->sums[1] >> BRIEF_SHIFT);
}

/* False: it has no room for that. */
static bool make_brief(const struct flow_table *table, const struct flow_cold *cold,
                       const struct flow_reported *reported, struct flow_brief *out)
{
    const uint64_t interval = round_of(table, cold)->interval_ns;
    const uint64_t since = reported->delta_start_ns - first_deadline(table, cold);
    uint64_t passed = 0;

    if (reported->delta_start_ns != cold->first_ns) {
        passed = interval != 0 ? 1 + since / interval : 1;
    }
    if (passed > BRIEF_MAX || reported->update_index > BRIEF_MAX ||
        passed_deadline(table, cold, passed) != reported->delta_start_ns ||
        coming_deadline(table, cold, passed) != reported->next_update_ns) {
        return false;
    }
    *out = (struct flow_brief){
        .sums = {passed << BRIEF_SHIFT, (uint64_t)reported->update_index << BRIEF_SHIFT}};
    for (int i = 0; i < 2; i++) {
        for (unsigned j = 0; j < 4; j++) {
            if (reported->sums[i][j] > brief_most[j]) {
                return false;
            }
            out->sums[i] |= (uint64_t)reported->sums[i][j] << brief_shifts[j];
        }
    }
    return true;
}

/* ---- either of them ---- */

uint64_t flow_next_update_ns(const struct flow_table *table, const struct flow_cold *cold)
{
    const struct flow_large *large = flow_large(table, cold);

    if (large != NULL) {
        return large->next_update_ns;
    }
    if ((cold->past & FLOW_PAST_IS_BRIEF) != 0) {
        return coming_deadline(table, cold, passed_of(brief_at(table, cold->past)));
    }
    return cold->past != 0 ? told_at(table, cold->past)->next_update_ns
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
    } else if ((cold->past & FLOW_PAST_IS_BRIEF) != 0) {
        read_brief(table, cold, out);
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

void flow_give_told(struct flow_table *table, uint32_t past)
{
    if ((past & FLOW_PAST_IS_LARGE) != 0) {
        flow_pool_give(&table->parts[FLOW_PART_LARGE], past & ~FLOW_PAST_IS_LARGE);
    } else if ((past & FLOW_PAST_IS_BRIEF) != 0) {
        flow_pool_give(&table->parts[FLOW_PART_BRIEF], past & ~FLOW_PAST_IS_BRIEF);
    } else if (past != 0) {
        flow_pool_give(&table->parts[FLOW_PART_TOLD], past);
    }
}

/* In a struct flow_told, or a struct flow_large where that has no room. */
static void set_long(struct flow_table *table, struct flow_cold *cold,
                     const struct flow_reported *reported)
{
    if ((cold->past & FLOW_PAST_IS_LARGE) == 0 && is_small(reported)) {
        if (cold->past == 0 || (cold->past & FLOW_PAST_IS_BRIEF) != 0) {
            flow_give_told(table, cold->past);
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

void flow_set_reported(struct flow_table *table, struct flow_cold *cold,
                       const struct flow_reported *reported)
{
    struct flow_brief brief;

    /* A flow that outgrew it once does so for good, mostly. */
    if ((cold->past != 0 && (cold->past & FLOW_PAST_IS_BRIEF) == 0) ||
        !make_brief(table, cold, reported, &brief)) {
        set_long(table, cold, reported);
        return;
    }
    if (cold->past == 0) {
        cold->past = FLOW_PAST_IS_BRIEF | flow_pool_take(&table->parts[FLOW_PART_BRIEF]);
    }
    *brief_at(table, cold->past) = brief;
}

struct flow_large *flow_take_large(struct flow_table *table, struct flow_cold *cold)
{
    struct flow_large *large = flow_large(table, cold);

    if (large != NULL) {
        return large;
    }
    struct flow_reported reported;

    flow_get_reported(table, cold, &reported);
    flow_give_told(table, cold->past);
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

/* Flows that were promised the deadlines of a round that is about to be used anew. */
static void keep_deadlines(struct flow_table *table, unsigned round)
{
    for (uint32_t kind = 0; kind < FLOW_KINDS; kind++) {
        for (uint32_t i = 0; i < table->kinds[kind].fresh; i++) {
            const uint32_t slot = kind << FLOW_KIND_SHIFT | i;
            struct flow_cold *cold = flow_cold_at(table, slot);

            if ((flow_at(table, slot)->bits & FLOW_IS_LIVE) != 0 &&
                (cold->past == 0 || (cold->past & FLOW_PAST_IS_BRIEF) != 0) &&
                cold->link >> FLOW_LINK_BITS == round) {
                struct flow_reported reported;
                flow_get_reported(table, cold, &reported);
                set_long(table, cold, &reported);
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

    const struct flow_round *now = &table->rounds[table->round];

    if (first != now->first_update_ns || settings->active_timeout_ns != now->interval_ns) {
        table->round = (table->round + 1) % FLOW_ROUNDS;
        keep_deadlines(table, table->round);
        table->rounds[table->round] = (struct flow_round){
            .first_update_ns = first, .interval_ns = settings->active_timeout_ns};
    }
}
