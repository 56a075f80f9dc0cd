#include "sensor/flow/flow_table_internal.h"

void flow_budget_init(struct flow_budget *budget, uint64_t flows_max)
{
    atomic_init(&budget->remaining, flows_max < INT64_MAX ? (int64_t)flows_max : INT64_MAX);
}

static bool budget_take(struct flow_budget *budget, uint32_t flows)
{
    int64_t now = atomic_load_explicit(&budget->remaining, memory_order_relaxed);

    do {
        if (now < (int64_t)flows) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&budget->remaining, &now, now - flows,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool flow_budget_grant(struct flow_table *table)
{
    const uint32_t room = table->settings.flows_max - table->granted;
    const uint32_t wanted = room < table->chunk ? room : table->chunk;

    if (table->settings.budget == NULL || wanted == 0 ||
        !budget_take(table->settings.budget, wanted)) {
        return false;
    }
    table->granted += wanted;
    return true;
}

void flow_budget_give_back(struct flow_table *table)
{
    if (table->settings.budget != NULL && table->granted - table->count > 3 * table->chunk) {
        table->granted -= table->chunk;
        atomic_fetch_add_explicit(&table->settings.budget->remaining, (int64_t)table->chunk,
                                  memory_order_relaxed);
    }
}
