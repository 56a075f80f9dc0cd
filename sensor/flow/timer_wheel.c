#include "sensor/flow/flow_ahead_internal.h"

#define NO_GROUP UINT32_MAX
/* The first group of a list has the list's number in place of the group before it. */
#define IS_HEAD (UINT32_C(1) << 31)

#define KIND_SHIFT (FLOW_KIND_SHIFT - FLOW_GROUP_SHIFT) /* of a group's number: slot / 16 */

static struct flow_group *group_at(const struct flow_table *table, uint32_t group)
{
    return &table->kinds[group >> KIND_SHIFT].groups[group & ((UINT32_C(1) << KIND_SHIFT) - 1)];
}

/* The due of its flows. */
static uint16_t *dues_of(const struct flow_table *table, uint32_t group)
{
    const uint32_t place = (group << FLOW_GROUP_SHIFT) & FLOW_PLACE_MASK;

    return &table->kinds[group >> KIND_SHIFT].due[place];
}

void wheel_start(struct flow_table *table, uint64_t now_ns)
{
    if (!table->has_time) {
        table->has_time = true;
        table->wheel_cursor = now_ns >> FLOW_WHEEL_SHIFT;
        table->now_ns = now_ns;
    }
}

static void put_group(struct flow_table *table, uint32_t number, uint32_t list)
{
    struct flow_group *group = group_at(table, number);
    const uint32_t next = table->wheel[list];

    *group = (struct flow_group){.next = next, .previous = IS_HEAD | list, .list = list + 1};
    if (next != NO_GROUP) {
        group_at(table, next)->previous = number;
    }
    table->wheel[list] = number;
}

static void take_group(struct flow_table *table, uint32_t number)
{
    struct flow_group *group = group_at(table, number);

    if (group->next != NO_GROUP) {
        group_at(table, group->next)->previous = group->previous;
    }
    if ((group->previous & IS_HEAD) == 0) {
        group_at(table, group->previous)->next = group->next;
    } else {
        table->wheel[group->previous & ~IS_HEAD] = group->next;
    }
    group->list = 0;
}

/* Ticks until `list` is reached. */
static uint32_t ahead_of(const struct flow_table *table, uint32_t list)
{
    return (list - (uint32_t)table->wheel_cursor) % FLOW_WHEEL_SLOTS;
}

/* The group is looked at no later than in `list`. */
static void hasten_group(struct flow_table *table, uint32_t number, uint32_t list)
{
    const struct flow_group *group = group_at(table, number);

    if (group->list != 0) {
        if (ahead_of(table, group->list - 1) <= ahead_of(table, list)) {
            return;
        }
        take_group(table, number);
    }
    put_group(table, number, list);
}

void wheel_set(struct flow_table *table, uint32_t slot, uint64_t due_ns)
{
    uint64_t tick = due_ns >> FLOW_WHEEL_SHIFT;

    if (tick <= table->wheel_cursor) {
        tick = table->wheel_cursor + 1;
    } else if (tick - table->wheel_cursor >= FLOW_WHEEL_SLOTS) {
        tick = table->wheel_cursor + FLOW_WHEEL_SLOTS - 1;
    }
    const uint32_t list = (uint32_t)(tick % FLOW_WHEEL_SLOTS);

    table->kinds[slot >> FLOW_KIND_SHIFT].due[slot & FLOW_PLACE_MASK] = (uint16_t)(list + 1);
    hasten_group(table, slot >> FLOW_GROUP_SHIFT, list);
}

/* Takes the first group off its list: the flows that are due to `slots`, the others wait on. */
static uint32_t take_due(struct flow_table *table, uint32_t list, uint32_t *slots)
{
    const uint32_t number = table->wheel[list];
    uint16_t *dues = dues_of(table, number);
    uint32_t taken = 0, next = FLOW_WHEEL_SLOTS;

    take_group(table, number);
    for (uint32_t i = 0; i < FLOW_GROUP_FLOWS; i++) {
        if (dues[i] == list + 1) {
            dues[i] = 0;
            slots[taken++] = (number << FLOW_GROUP_SHIFT) + i;
        } else if (dues[i] != 0) {
            const uint32_t ahead = ahead_of(table, dues[i] - 1U);
            next = ahead < next ? ahead : next;
        }
    }
    if (next < FLOW_WHEEL_SLOTS) {
        put_group(table, number, (uint32_t)((table->wheel_cursor + next) % FLOW_WHEEL_SLOTS));
    }
    return taken;
}

void wheel_turn_back(struct flow_table *table, uint64_t now_ns)
{
    table->wheel_cursor = now_ns >> FLOW_WHEEL_SHIFT;
    memset(table->wheel, 0xff, FLOW_WHEEL_SLOTS * sizeof(*table->wheel)); /* NO_GROUP */
    for (uint32_t kind = 0; kind < FLOW_KINDS; kind++) {
        const struct flow_kind_pool *pool = &table->kinds[kind];

        for (uint32_t i = 0; i << FLOW_GROUP_SHIFT < pool->fresh; i++) {
            pool->groups[i].list = 0;
        }
        for (uint32_t i = 0; i < pool->fresh; i++) {
            if (pool->due[i] != 0) {
                hasten_group(table, (kind << FLOW_KIND_SHIFT | i) >> FLOW_GROUP_SHIFT,
                             pool->due[i] - 1U);
            }
        }
    }
}

#define LOOK_BATCH 32

/* Up to `count` flows that are due, and the rest of the last one's group; their lines are on the
 * way when it returns. */
static uint32_t take_list(struct flow_table *table, uint32_t list, uint32_t *slots, uint32_t count)
{
    uint32_t taken = 0;

    while (taken < count && taken <= LOOK_BATCH - FLOW_GROUP_FLOWS &&
           table->wheel[list] != NO_GROUP) {
        const uint32_t more = take_due(table, list, slots + taken);

        for (uint32_t i = taken; i < taken + more; i++) {
            __builtin_prefetch(flow_at(table, slots[i]), 1);
            __builtin_prefetch(flow_cold_at(table, slots[i]), 1);
        }
        taken += more;
    }
    for (uint32_t i = 0; i < taken; i++) {
        flow_prefetch_near_parts(table, slots[i]);
    }
    for (uint32_t i = 0; i < taken; i++) {
        flow_prefetch_bucket(table, slots[i]);
        flow_prefetch_past(table, slots[i]);
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
        const uint32_t list = (uint32_t)(table->wheel_cursor % FLOW_WHEEL_SLOTS);
        while (table->wheel[list] != NO_GROUP) {
            if (budget == 0) {
                return false;
            }
            const uint32_t count = take_list(table, list, slots, budget);
            budget -= count < budget ? count : budget;
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
