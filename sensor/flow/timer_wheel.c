#include "sensor/flow/flow_table_internal.h"

/* The first flow of a list has the list's number in place of the one before it. */
#define IS_HEAD (UINT32_C(1) << 31)

void wheel_start(struct flow_table *table, uint64_t now_ns)
{
    if (!table->has_time) {
        table->has_time = true;
        table->wheel_cursor = now_ns >> FLOW_WHEEL_SHIFT;
        table->now_ns = now_ns;
    }
}

void wheel_insert(struct flow_table *table, struct flow *flow, uint32_t slot, uint64_t due_ns)
{
    uint64_t tick = due_ns >> FLOW_WHEEL_SHIFT;

    if (tick <= table->wheel_cursor) {
        tick = table->wheel_cursor + 1;
    } else if (tick - table->wheel_cursor >= FLOW_WHEEL_SLOTS) {
        tick = table->wheel_cursor + FLOW_WHEEL_SLOTS - 1;
    }
    const uint32_t list = (uint32_t)(tick % FLOW_WHEEL_SLOTS);
    const uint32_t next = table->wheel[list];

    flow->wheel_previous = IS_HEAD | list;
    flow->wheel_next = next;
    if (next != FLOW_NONE) {
        flow_at(table, next)->wheel_previous = slot;
    }
    table->wheel[list] = slot;
}

void wheel_remove(struct flow_table *table, struct flow *flow)
{
    const uint32_t previous = flow->wheel_previous;

    if (previous == FLOW_NONE) {
        return;
    }
    if (flow->wheel_next != FLOW_NONE) {
        flow_at(table, flow->wheel_next)->wheel_previous = previous;
    }
    if ((previous & IS_HEAD) == 0) {
        flow_at(table, previous)->wheel_next = flow->wheel_next;
    } else {
        table->wheel[previous & ~IS_HEAD] = flow->wheel_next;
    }
    flow->wheel_previous = FLOW_NONE;
}

bool wheel_advance(struct flow_table *table, uint64_t now_ns, uint32_t budget,
                   void (*look)(struct flow_table *table, uint32_t slot, uint64_t now_ns))
{
    const uint64_t target = now_ns >> FLOW_WHEEL_SHIFT;

    /* A leap longer than the wheel: one turn passes every list. */
    if (target > table->wheel_cursor && target - table->wheel_cursor > FLOW_WHEEL_SLOTS) {
        table->wheel_cursor = target - FLOW_WHEEL_SLOTS;
    }
    /* The tick of now_ns itself waits until it is over, so that a flow is looked at once. */
    while (table->wheel_cursor < target) {
        uint32_t *head = &table->wheel[table->wheel_cursor % FLOW_WHEEL_SLOTS];
        while (*head != FLOW_NONE) {
            if (budget == 0) {
                return false;
            }
            budget--;
            const uint32_t slot = *head;
            const struct flow *flow = flow_at(table, slot);
            if (flow->wheel_next != FLOW_NONE) {
                __builtin_prefetch(flow_at(table, flow->wheel_next));
            }
            wheel_remove(table, flow_at(table, slot));
            look(table, slot, now_ns);
        }
        table->wheel_cursor++;
        if (budget > 0) {
            budget--;
        }
    }
    return true;
}
