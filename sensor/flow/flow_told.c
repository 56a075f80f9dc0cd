/* What the last record told of a flow, in 8, 16 or 32 bytes where they do, and when the next is
 * due.
 */
#include "sensor/flow/flow_table_internal.h"

#define SINCE_MASK ((UINT64_C(1) << FLOW_TOLD_SINCE_BITS) - 1)
#define INDEX_MAX  ((UINT64_C(1) << (64 - FLOW_TOLD_SINCE_BITS)) - 1)

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

/* ---- in 8 or 16 bytes ---- */

/* Bits of a direction's sums: packets, bytes beside IP, IP beside payload, payload. Above them, in
 * one direction the number of deadlines that have passed (the last of them is where the delta
 * begins), in the other the update_index. */
struct form {
    uint8_t sums[4], count;
    uint8_t count_shift; /* behind the sums */
};

static const struct form tiny_form = {{4, 8, 9, 9}, 2, 30};
static const struct form brief_form = {{8, 16, 16, 16}, 8, 56};

/* False: something has no room. */
static inline bool pack(const struct form *form, const uint32_t sums[4], uint64_t count,
                        uint64_t *out)
{
    const uint32_t parts[4] = {sums[FLOW_SUM_PACKETS], sums[FLOW_SUM_BYTES] - sums[FLOW_SUM_IP],
                               sums[FLOW_SUM_IP] - sums[FLOW_SUM_PAYLOAD], sums[FLOW_SUM_PAYLOAD]};
    uint64_t excess = count >> form->count;
    unsigned at = 0;

    *out = 0;
    for (unsigned i = 0; i < 4; i++) {
        excess |= parts[i] >> form->sums[i];
        *out |= (uint64_t)parts[i] << at;
        at += form->sums[i];
    }
    *out |= count << form->count_shift;
    return excess == 0;
}

/* Returns the count. */
static inline uint32_t unpack(const struct form *form, uint64_t packed, uint32_t sums[4])
{
    uint32_t parts[4];

    for (unsigned i = 0; i < 4; i++) {
        parts[i] = (uint32_t)packed & ((1U << form->sums[i]) - 1);
        packed >>= form->sums[i];
    }
    sums[FLOW_SUM_PACKETS] = parts[0];
    sums[FLOW_SUM_PAYLOAD] = parts[3];
    sums[FLOW_SUM_IP] = parts[2] + parts[3];
    sums[FLOW_SUM_BYTES] = parts[1] + parts[2] + parts[3];
    return (uint32_t)packed;
}

/* Of a struct flow_tiny or flow_brief: the number of deadlines that have passed. */
static uint64_t passed_of(const struct flow_table *table, const struct flow_cold *cold)
{
    if (flow_past_is(cold, FLOW_PAST_TINY)) {
        const struct flow_tiny *tiny = flow_past_at(table, cold);
        return tiny->sums[0] >> tiny_form.count_shift;
    }
    const struct flow_brief *brief = flow_past_at(table, cold);
    return brief->sums[0] >> brief_form.count_shift;
}

static void read_short(const struct flow_table *table, const struct flow_cold *cold,
                       struct flow_reported *out)
{
    const uint64_t passed = passed_of(table, cold);

    out->delta_start_ns = passed_deadline(table, cold, passed);
    out->next_update_ns = coming_deadline(table, cold, passed);
    if (flow_past_is(cold, FLOW_PAST_TINY)) {
        const struct flow_tiny *tiny = flow_past_at(table, cold);

        (void)unpack(&tiny_form, tiny->sums[0], out->sums[0]);
        out->update_index = unpack(&tiny_form, tiny->sums[1], out->sums[1]);
        return;
    }
    const struct flow_brief *brief = flow_past_at(table, cold);

    (void)unpack(&brief_form, brief->sums[0], out->sums[0]);
    out->update_index = unpack(&brief_form, brief->sums[1], out->sums[1]);
}

/* How many deadlines have passed; false: the times are not those that were promised. */
static bool is_as_promised(const struct flow_table *table, const struct flow_cold *cold,
                           const struct flow_reported *reported, uint64_t *passed)
{
    const uint64_t interval = round_of(table, cold)->interval_ns;
    const uint64_t since = reported->delta_start_ns - first_deadline(table, cold);

    *passed = reported->delta_start_ns == cold->first_ns ? 0
              : interval == 0                            ? 1
                                                         : 1 + since / interval;
    return passed_deadline(table, cold, *passed) == reported->delta_start_ns &&
           coming_deadline(table, cold, *passed) == reported->next_update_ns;
}

/* The flow's part of that form, whatever it had before. */
static void *take_past(struct flow_table *table, struct flow_cold *cold, enum flow_past form)
{
    if (!flow_past_is(cold, form)) {
        flow_give_told(table, cold->past);
        cold->past = (uint32_t)form << FLOW_PAST_SHIFT |
                     flow_pool_take(&table->parts[FLOW_PART_TOLD + (unsigned)form]);
    }
    return flow_past_at(table, cold);
}

/* False: it has no room there. */
static bool set_short(struct flow_table *table, struct flow_cold *cold,
                      const struct flow_reported *reported)
{
    uint64_t passed, sums[2];

    if (!is_as_promised(table, cold, reported, &passed)) {
        return false;
    }
    if (pack(&tiny_form, reported->sums[0], passed, &sums[0]) &&
        pack(&tiny_form, reported->sums[1], reported->update_index, &sums[1])) {
        struct flow_tiny *tiny = take_past(table, cold, FLOW_PAST_TINY);

        tiny->sums[0] = (uint32_t)sums[0];
        tiny->sums[1] = (uint32_t)sums[1];
        return true;
    }
    if (pack(&brief_form, reported->sums[0], passed, &sums[0]) &&
        pack(&brief_form, reported->sums[1], reported->update_index, &sums[1])) {
        struct flow_brief *brief = take_past(table, cold, FLOW_PAST_BRIEF);

        brief->sums[0] = sums[0];
        brief->sums[1] = sums[1];
        return true;
    }
    return false;
}

/* ---- any of them ---- */

/* Of a flow of which something was told. Apart: most that begin or end have had no record. */
static NOINLINE uint64_t next_of_told(const struct flow_table *table, const struct flow_cold *cold)
{
    const struct flow_large *large = flow_large(table, cold);

    if (large != NULL) {
        return large->next_update_ns;
    }
    if (flow_past_is_short(cold)) {
        return coming_deadline(table, cold, passed_of(table, cold));
    }
    const struct flow_told *told = flow_past_at(table, cold);
    return told->next_update_ns;
}

uint64_t flow_next_update_ns(const struct flow_table *table, const struct flow_cold *cold)
{
    return cold->past == 0 ? first_deadline(table, cold) : next_of_told(table, cold);
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
    } else if (flow_past_is_short(cold)) {
        read_short(table, cold, out);
    } else if (cold->past != 0) {
        const struct flow_told *told = flow_past_at(table, cold);

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
    if (past != 0) {
        flow_pool_give(&table->parts[FLOW_PART_TOLD + (past >> FLOW_PAST_SHIFT)],
                       past & FLOW_PAST_MASK);
    }
}

/* In a struct flow_told, or a struct flow_large where that has no room. */
static void set_long(struct flow_table *table, struct flow_cold *cold,
                     const struct flow_reported *reported)
{
    if (!flow_past_is(cold, FLOW_PAST_LARGE) && is_small(reported)) {
        struct flow_told *told = take_past(table, cold, FLOW_PAST_TOLD);

        *told = (struct flow_told){.sums = {join(reported->sums[0]), join(reported->sums[1])},
                                   .next_update_ns = reported->next_update_ns,
                                   .since_and_index =
                                       (reported->next_update_ns - reported->delta_start_ns) |
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
    /* A flow that outgrew the short ones does so for good, mostly. */
    const bool may_be_short = cold->past == 0 || flow_past_is_short(cold);

    if (!may_be_short || !set_short(table, cold, reported)) {
        set_long(table, cold, reported);
    }
}

struct flow_large *flow_take_large(struct flow_table *table, struct flow_cold *cold)
{
    struct flow_large *large = flow_large(table, cold);

    if (large != NULL) {
        return large;
    }
    struct flow_reported reported;

    flow_get_reported(table, cold, &reported);
    (void)take_past(table, cold, FLOW_PAST_LARGE);
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
                (cold->past == 0 || flow_past_is_short(cold)) &&
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
