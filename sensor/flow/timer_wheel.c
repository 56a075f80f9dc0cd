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

#define LOOK_BATCH 16

/* Takes up to `count` flows off the list; their lines are on the way when it returns. */
static uint32_t take_list(struct flow_table *table, const uint32_t *head, uint32_t *slots,
                          uint32_t count)
{
    uint32_t taken = 0;

    while (taken < count && *head != FLOW_NONE) {
        struct flow *flow = flow_at(table, *head);

        slots[taken++] = *head;
        wheel_remove(table, flow);
        flow_prefetch_near_parts(table, flow);
    }
    for (uint32_t i = 0; i < taken; i++) {
        flow_prefetch_far_parts(table, flow_at(table, slots[i]));
    }
    return taken;
}

bool wheel_advance(struct flow_table *table, uint64_t now_ns, uint32_t budget,
                   void (*look)(struct flow_table *table, uint32_t slot, uint64_t now_ns))
{
    const uint64_t target = now_ns >> FLOW_WHEEL_SHIFT;
    uint32_t slots[LOOK_BATCH];

    /* A leap longer than the wheel: one turn passes every list. */
    if (target > table->wheel_cursor && target - table->wheel_cursor > FLOW_WHEEL_SLOTS) {
        table->wheel_cursor = target - FLOW_WHEEL_SLOTS;
    }
    /* The tick of now_ns itself waits until it is over, so that a flow is looked at once. */
    while (table->wheel_cursor < target) {
        const uint32_t *head = &table->wheel[table->wheel_cursor % FLOW_WHEEL_SLOTS];
        while (*head != FLOW_NONE) {
            if (budget == 0) {
                return false;
            }
            const uint32_t count =
                take_list(table, head, slots, budget < LOOK_BATCH ? budget : LOOK_BATCH);
            budget -= count;
            for (uint32_t i = 0; i < count; i++) {
                look(table, slots[i], now_ns);
            }
        }
        table->wheel_cursor++;
        if (budget > 0) {
            budget--;
        }
    }
    return true;
}
