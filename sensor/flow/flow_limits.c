/* When a flow is reported and when it ends: by its limits in time, by the end of the input. */
#include "sensor/flow/flow_table_internal.h"

/* ---- records ---- */

void flow_emit(struct flow_table *table, struct flow *flow, enum flow_event event,
               enum flow_end_reason reason, enum flow_end_detail detail)
{
    table->statistics.reported_packets += flow_held_packets(table, flow);
    if (table->observer.on_record != NULL) {
        table->observer.on_record(table->observer.context, flow, event, reason, detail);
    }
    if (event == FLOW_END) {
        return; /* the flow goes: nobody asks what was told */
    }
    struct flow_reported *reported = flow_take_reported(table, flow);
    static_assert(sizeof(reported->sums) == sizeof(flow->sums), "the same sums");
    memcpy(reported->sums, flow->sums, sizeof(reported->sums));
    reported->update_index++;
}

void flow_table_report(struct flow_table *table, struct flow *flow)
{
    flow_emit(table, flow, FLOW_UPDATE, FLOW_END_ACTIVE, FLOW_DETAIL_NONE);
}

void flow_end(struct flow_table *table, uint32_t slot, enum flow_end_reason reason,
              enum flow_end_detail detail)
{
    struct flow *flow = flow_at(table, slot);

    flow_emit(table, flow, FLOW_END, reason, detail);
    struct flow_pool *pool = slot < table->wide_first ? &table->narrow : &table->wide;

    wheel_remove(table, flow);
    flow_tunnels_clear(table->tunnels, slot);
    flow_index_remove(&table->index, flow_hash(table, flow), slot);
    flow_give_parts(table, flow);
    flow->bits = 0;
    flow->wheel_next = pool->free_head;
    pool->free_head = slot;
    table->count--;
    flow_budget_give_back(table);
}

static void end_closed(struct flow_table *table, uint32_t slot)
{
    flow_end(table, slot, FLOW_END_END_OF_FLOW,
             flow_at(table, slot)->tcp_state == TCP_RESET ? FLOW_DETAIL_TCP_RST
                                                          : FLOW_DETAIL_TCP_FIN);
}

/* ---- limits in time ---- */

uint64_t flow_due_ns(const struct flow_table *table, const struct flow *flow)
{
    const uint64_t silent_ns = flow_add_time(flow->last_ns, flow_silence_limit(table, flow));

    return flow->next_update_ns < silent_ns ? flow->next_update_ns : silent_ns;
}

void flow_table_set_timeouts(struct flow_table *table, uint64_t idle_ns, uint64_t active_ns)
{
    table->settings.idle_timeout_ns = idle_ns;
    table->settings.active_timeout_ns = active_ns;
}

/* The UPDATE deadlines up to `until_ns`. */
static void pass_deadlines(struct flow_table *table, struct flow *flow, uint64_t until_ns)
{
    const uint64_t interval = table->settings.active_timeout_ns;

    if (flow->next_update_ns > until_ns) {
        return;
    }
    if (flow_held_packets(table, flow) > 0) {
        flow_emit(table, flow, FLOW_UPDATE, FLOW_END_ACTIVE, FLOW_DETAIL_NONE);
    }
    struct flow_reported *reported = flow_take_reported(table, flow);
    if (interval == 0) {
        reported->delta_start_ns = flow->next_update_ns;
        flow->next_update_ns = UINT64_MAX;
        return;
    }
    const uint64_t passed = (until_ns - flow->next_update_ns) / interval;
    reported->delta_start_ns = flow->next_update_ns + passed * interval;
    flow->next_update_ns = flow_add_time(reported->delta_start_ns, interval);
}

void flow_step_clock(struct flow_table *table, struct flow *flow, uint64_t now_ns)
{
    const uint64_t interval = table->settings.active_timeout_ns;

    flow->bits |= FLOW_SAW_CLOCK_STEP;
    flow->last_ns = now_ns;
    if (interval != 0 && flow->next_update_ns > flow_add_time(now_ns, interval)) {
        flow->next_update_ns = flow_add_time(now_ns, interval);
    }
}

/* Brings the flow to `now_ns`: what was due before is reported. False: it ended. */
bool flow_settle(struct flow_table *table, uint32_t slot, uint64_t now_ns)
{
    struct flow *flow = flow_at(table, slot);
    const uint64_t limit = flow_silence_limit(table, flow);

    if (now_ns > flow->last_ns && now_ns - flow->last_ns > limit) {
        pass_deadlines(table, flow, flow_add_time(flow->last_ns, limit));
        if (flow_is_closed(flow)) {
            end_closed(table, slot);
        } else {
            flow_end(table, slot, FLOW_END_IDLE, FLOW_DETAIL_NONE);
        }
        return false;
    }
    pass_deadlines(table, flow, now_ns);
    return true;
}

static void look_at_flow(struct flow_table *table, uint32_t slot, uint64_t now_ns)
{
    struct flow *flow = flow_at(table, slot);

    if (flow->last_ns > now_ns && flow->last_ns - now_ns > FLOW_CLOCK_STEP_NS) {
        flow_step_clock(table, flow, now_ns);
    }
    if (flow_settle(table, slot, now_ns)) {
        wheel_insert(table, flow, slot, flow_due_ns(table, flow));
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
        table->wheel_cursor = now_ns >> FLOW_WHEEL_SHIFT; /* the lists keep their place */
    }
    table->now_ns = now_ns;
    return wheel_advance(table, now_ns, budget, look_at_flow);
}

#define AHEAD 8 /* flows whose lines are on their way while others are ended */

struct ending {
    uint64_t until_ns;
    enum flow_end_reason reason;
    enum flow_end_detail detail;
    uint32_t bits; /* to be set before */
};

static void end_pool(struct flow_table *table, const struct flow_pool *pool,
                     const struct ending *how)
{
    for (uint32_t slot = pool->first; slot < pool->fresh; slot++) {
        struct flow *flow = flow_at(table, slot);

        if (slot + 2 * AHEAD < pool->fresh) {
            flow_prefetch_near_parts(table, flow_at(table, slot + 2 * AHEAD));
        }
        if (slot + AHEAD < pool->fresh) {
            flow_prefetch_far_parts(table, flow_at(table, slot + AHEAD));
        }
        if ((flow->bits & FLOW_IS_LIVE) == 0 || !flow_settle(table, slot, how->until_ns)) {
            continue;
        }
        flow->bits |= how->bits;
        if (flow_is_closed(flow)) {
            end_closed(table, slot);
        } else {
            flow_end(table, slot, how->reason, how->detail);
        }
    }
}

void flow_table_finish(struct flow_table *table, uint64_t now_ns, enum flow_end_reason reason,
                       enum flow_end_detail detail)
{
    if (now_ns == 0) {
        now_ns = table->newest_ns > table->now_ns ? table->newest_ns : table->now_ns;
    }
    const struct ending how = {.until_ns = now_ns, .reason = reason, .detail = detail};
    end_pool(table, &table->narrow, &how);
    end_pool(table, &table->wide, &how);
}

void flow_table_step_clock(struct flow_table *table, uint64_t until_ns, uint64_t now_ns)
{
    const struct ending how = {.until_ns = until_ns,
                               .reason = FLOW_END_FORCED,
                               .detail = FLOW_DETAIL_CAPTURE_END,
                               .bits = FLOW_SAW_CLOCK_STEP};

    end_pool(table, &table->narrow, &how);
    end_pool(table, &table->wide, &how);
    table->statistics.clock_steps++;
    table->has_time = false;
    wheel_start(table, now_ns);
}
