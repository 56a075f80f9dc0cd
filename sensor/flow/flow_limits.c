/* When a flow is reported and when it ends: by its limits in time, by the end of the input. */
#include "sensor/flow/flow_ahead_internal.h"

/* ---- records ---- */

/* Packets counted and not yet in a record: what the ledger calls held. */
static NOINLINE uint64_t held_packets(const struct flow_table *table, const struct flow *flow,
                                      const struct flow_cold *cold)
{
    struct flow_reported told;
    uint64_t held = 0;

    if (cold->past == 0) {
        return flow_packets(flow);
    }
    flow_get_reported(table, cold, &told);
    for (int i = 0; i < 2; i++) {
        held +=
            (uint32_t)flow_total(table, flow, i, FLOW_SUM_PACKETS) - told.sums[i][FLOW_SUM_PACKETS];
    }
    return held;
}

/* What the flow has had by now is told. */
static NOINLINE void note_told(struct flow_table *table, struct flow *flow, struct flow_cold *cold)
{
    struct flow_reported reported;

    flow_get_reported(table, cold, &reported);
    for (int i = 0; i < 2; i++) {
        uint64_t totals[4];

        flow_totals(flow_large(table, cold), flow, i, totals);
        for (unsigned j = 0; j < 4; j++) {
            reported.sums[i][j] = (uint32_t)totals[j];
        }
    }
    reported.update_index++;
    flow_set_reported(table, cold, &reported);
}

void flow_emit(struct flow_table *table, struct flow *flow, enum flow_event event,
               enum flow_end_reason reason, enum flow_end_detail detail)
{
    struct flow_cold *cold = flow_cold(table, flow);

    table->statistics.reported_packets +=
        cold->past == 0 ? flow_packets(flow) : held_packets(table, flow, cold);
    if (table->observer.on_record != NULL) {
        table->observer.on_record(table->observer.context, flow, event, reason, detail);
    }
    if (event != FLOW_END) { /* else the flow goes: nobody asks what was told */
        note_told(table, flow, cold);
    }
}

void flow_cut_delta(struct flow_table *table, struct flow *flow, uint64_t now_ns)
{
    struct flow_cold *cold = flow_cold(table, flow);
    struct flow_reported told;

    flow_emit(table, flow, FLOW_UPDATE, FLOW_END_ACTIVE, FLOW_DETAIL_NONE);
    flow_get_reported(table, cold, &told);
    told.delta_start_ns = now_ns;
    flow_set_reported(table, cold, &told);
}

void flow_table_report(struct flow_table *table, struct flow *flow)
{
    flow_emit(table, flow, FLOW_UPDATE, FLOW_END_ACTIVE, FLOW_DETAIL_NONE);
}

/* `is_indexed`: its place in the index is given back, too. */
static ALWAYS_INLINE void end_flow(struct flow_table *table, uint32_t slot,
                                   enum flow_end_reason reason, enum flow_end_detail detail,
                                   bool is_indexed)
{
    struct flow *flow = flow_at(table, slot);

    flow_emit(table, flow, FLOW_END, reason, detail);
    struct flow_kind_pool *pool = &table->kinds[slot >> FLOW_KIND_SHIFT];

    wheel_clear(table, slot);
    flow_tunnels_clear(table->tunnels, flow_place(table, slot));
    if (is_indexed) {
        flow_index_remove(&table->index, flow_hash(table, flow), slot);
    }
    flow_give_parts(table, flow, slot);
    flow->bits &= FLOW_IS_TOUCHED; /* the slot stays among those */
    flow->key.low = pool->free_head;
    pool->free_head = slot;
    table->count--;
    flow_budget_give_back(table);
}

void flow_end(struct flow_table *table, uint32_t slot, enum flow_end_reason reason,
              enum flow_end_detail detail)
{
    end_flow(table, slot, reason, detail, true);
}

static enum flow_end_detail detail_of_closed(const struct flow *flow)
{
    return flow_tcp_state(flow) == TCP_RESET ? FLOW_DETAIL_TCP_RST : FLOW_DETAIL_TCP_FIN;
}

/* ---- limits in time ---- */

uint64_t flow_due_ns(const struct flow_table *table, const struct flow *flow,
                     const struct flow_cold *cold)
{
    const uint64_t silent_ns = flow_add_time(flow->last_ns, flow_silence_limit(table, flow));

    const uint64_t update_ns = flow_next_update_ns(table, cold);

    return update_ns < silent_ns ? update_ns : silent_ns;
}

void flow_set_look(struct flow_table *table)
{
    for (unsigned i = 0; i < ARRAY_COUNT(table->look_ns); i++) {
        const uint64_t limit = flow_silence_limit_of(table, i == 1);

        table->look_ns[i] = limit < FLOW_LOOK_NS ? limit : FLOW_LOOK_NS;
    }
}

void flow_table_set_timeouts(struct flow_table *table, uint64_t idle_ns, uint64_t active_ns)
{
    table->settings.idle_timeout_ns = idle_ns;
    table->settings.active_timeout_ns = active_ns;
    flow_set_look(table);
    flow_set_first_update(table);
}

/* The UPDATE deadlines up to `until_ns`, of which there is one. */
static NOINLINE void pass_some(struct flow_table *table, struct flow *flow, struct flow_cold *cold,
                               uint64_t until_ns)
{
    const uint64_t interval = table->settings.active_timeout_ns;
    struct flow_reported reported;

    if (held_packets(table, flow, cold) > 0) {
        flow_emit(table, flow, FLOW_UPDATE, FLOW_END_ACTIVE, FLOW_DETAIL_NONE);
    }
    flow_get_reported(table, cold, &reported);
    reported.delta_start_ns = reported.next_update_ns;
    reported.next_update_ns = UINT64_MAX;
    if (interval != 0) {
        reported.delta_start_ns += (until_ns - reported.delta_start_ns) / interval * interval;
        reported.next_update_ns = flow_add_time(reported.delta_start_ns, interval);
    }
    flow_set_reported(table, cold, &reported);
}

/* The UPDATE deadlines up to `until_ns`. */
static inline void pass_deadlines(struct flow_table *table, struct flow *flow,
                                  struct flow_cold *cold, uint64_t until_ns)
{
    if (flow_next_update_ns(table, cold) <= until_ns) {
        pass_some(table, flow, cold, until_ns);
    }
}

void flow_step_clock(struct flow_table *table, struct flow *flow, uint64_t now_ns)
{
    const uint64_t interval = table->settings.active_timeout_ns;
    struct flow_cold *cold = flow_cold(table, flow);
    struct flow_reported reported;

    if (flow_has_tcp_part(flow)) {
        tcp_settle(table, flow, now_ns);
    }
    flow->bits |= FLOW_SAW_CLOCK_STEP;
    flow->last_ns = now_ns;
    flow_get_reported(table, cold, &reported);
    if (interval != 0 && reported.next_update_ns > flow_add_time(now_ns, interval)) {
        reported.next_update_ns = flow_add_time(now_ns, interval);
        flow_set_reported(table, cold, &reported);
    }
    flow_set_update_tick(table, flow, cold, now_ns);
}

/* Reports what was due before `now_ns`. False: the flow was silent for too long by then. */
static bool pass_limits(struct flow_table *table, struct flow *flow, struct flow_cold *cold,
                        uint64_t now_ns)
{
    const uint64_t limit = flow_silence_limit(table, flow);

    if (now_ns > flow->last_ns && now_ns - flow->last_ns > limit) {
        pass_deadlines(table, flow, cold, flow_add_time(flow->last_ns, limit));
        return false;
    }
    pass_deadlines(table, flow, cold, now_ns);
    return true;
}

/* Brings the flow to `now_ns`: what was due before is reported. False: it ended. */
bool flow_settle(struct flow_table *table, uint32_t slot, uint64_t now_ns, uint64_t from_ns)
{
    struct flow *flow = flow_at(table, slot);
    struct flow_cold *cold = flow_cold_at(table, slot);

    if (!pass_limits(table, flow, cold, now_ns)) {
        if (flow_is_closed(flow)) {
            flow_end(table, slot, FLOW_END_END_OF_FLOW, detail_of_closed(flow));
        } else {
            flow_end(table, slot, FLOW_END_IDLE, FLOW_DETAIL_NONE);
        }
        return false;
    }
    if (flow_has_tcp_part(flow)) {
        tcp_settle(table, flow, now_ns);
    }
    flow_set_update_tick(table, flow, cold, from_ns);
    return true;
}

static void look_at_flow(struct flow_table *table, uint32_t slot, uint64_t now_ns)
{
    struct flow *flow = flow_at(table, slot);

    if (flow->last_ns > now_ns && flow->last_ns - now_ns > FLOW_CLOCK_STEP_NS) {
        flow_step_clock(table, flow, now_ns);
    }
    if (flow_settle(table, slot, now_ns, flow->last_ns)) {
        wheel_set(table, slot, flow_due_ns(table, flow, flow_cold_at(table, slot)));
    }
}

bool flow_table_advance(struct flow_table *table, uint64_t now_ns, uint32_t budget)
{
    wheel_start(table, now_ns);
    if (now_ns < table->now_ns) {
        if (table->now_ns - now_ns <= FLOW_CLOCK_STEP_NS) {
            return wheel_advance(table, table->now_ns, budget, look_at_flow);
        }
        table->statistics.clock_steps++;
        wheel_turn_back(table, now_ns);
    }
    table->now_ns = now_ns;
    return wheel_advance(table, now_ns, budget, look_at_flow);
}

#define AHEAD 8 /* flows whose lines are on their way while others are ended */

struct ending {
    uint64_t until_ns;
    enum flow_end_reason reason;
    enum flow_end_detail detail;
    uint32_t bits;         /* to be set before */
    bool is_index_cleared; /* behind it */
};

static void end_one(struct flow_table *table, uint32_t slot, const struct ending *how)
{
    struct flow *flow = flow_at(table, slot);
    const bool is_idle = !pass_limits(table, flow, flow_cold_at(table, slot), how->until_ns);
    enum flow_end_reason reason = is_idle ? FLOW_END_IDLE : how->reason;
    enum flow_end_detail detail = is_idle ? FLOW_DETAIL_NONE : how->detail;

    flow->bits |= is_idle ? 0U : how->bits;
    if (flow_is_closed(flow)) {
        reason = FLOW_END_END_OF_FLOW;
        detail = detail_of_closed(flow);
    }
    end_flow(table, slot, reason, detail, !how->is_index_cleared);
}

static void end_kind(struct flow_table *table, uint32_t kind, const struct ending *how)
{
    const uint32_t first = kind << FLOW_KIND_SHIFT, end = first + table->kinds[kind].fresh;

    for (uint32_t slot = first; slot < end; slot++) {
        if (slot + 3 * AHEAD < end) {
            __builtin_prefetch(flow_at(table, slot + 3 * AHEAD), 1);
            __builtin_prefetch(flow_cold_at(table, slot + 3 * AHEAD), 1);
        }
        if (slot + 2 * AHEAD < end) {
            flow_prefetch_near_parts(table, slot + 2 * AHEAD);
        }
        if (slot + AHEAD < end) {
            if (!how->is_index_cleared) {
                flow_prefetch_bucket(table, slot + AHEAD);
            }
            flow_prefetch_past(table, slot + AHEAD);
        }
        if ((flow_at(table, slot)->bits & FLOW_IS_LIVE) != 0) {
            end_one(table, slot, how);
        }
    }
}

/* All flows. Where they are many, each would look for its place in an index of which nothing stays:
 * it is cleared as a whole. */
static void end_all(struct flow_table *table, struct ending how)
{
    how.is_index_cleared = table->count >= table->index.bucket_count;
    for (uint32_t kind = 0; kind < FLOW_KINDS; kind++) {
        end_kind(table, kind, &how);
    }
    if (how.is_index_cleared) {
        memset(table->index.buckets, 0,
               (size_t)table->index.bucket_count * sizeof(*table->index.buckets));
    }
}

void flow_table_finish(struct flow_table *table, uint64_t now_ns, enum flow_end_reason reason,
                       enum flow_end_detail detail)
{
    if (now_ns == 0) {
        now_ns = table->newest_ns > table->now_ns ? table->newest_ns : table->now_ns;
    }
    end_all(table, (struct ending){.until_ns = now_ns, .reason = reason, .detail = detail});
}

void flow_table_step_clock(struct flow_table *table, uint64_t until_ns, uint64_t now_ns)
{
    end_all(table, (struct ending){.until_ns = until_ns,
                                   .reason = FLOW_END_FORCED,
                                   .detail = FLOW_DETAIL_CAPTURE_END,
                                   .bits = FLOW_SAW_CLOCK_STEP});
    table->statistics.clock_steps++;
    table->has_time = false;
    wheel_start(table, now_ns);
}
