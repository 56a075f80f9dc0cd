/* Room in a full table: the lightest of a few subjects goes. */
#include "base/attributes.h"
#include "detection/detection_table_inner.h"

/* How many subjects are weighed to find one that makes room. */
#define WEIGHED_MAX 8

/* The lightest of the next few behind the hand, which moves on. */
static ALWAYS_INLINE struct detection_candidate search(struct detection_table *table, uint32_t kept)
{
    struct detection_candidate found = {.number = DETECTION_NONE, .weight = UINT64_MAX};
    uint32_t weighed = 0;

    for (uint32_t seen = 0; seen < table->entries_used && weighed < WEIGHED_MAX; seen++) {
        table->hand = table->hand + 1 < table->entries_used ? table->hand + 1 : 0;
        const uint64_t weight = table->weights[table->hand];

        if (weight == DETECTION_WEIGHT_NONE || table->hand == kept) {
            continue;
        }
        weighed++;
        if (weight < found.weight) {
            found = (struct detection_candidate){.number = table->hand, .weight = weight};
        }
        if (found.weight <= 1) {
            break; /* nothing is lighter: so it is in a flood, where this must be cheap */
        }
    }
    return found;
}

/* In place: a function that only asks ahead is left out by the compiler. */
static ALWAYS_INLINE void ask_for(const struct detection_table *table)
{
    const struct detection_candidate *next = &table->candidates[0];
    const struct detection_candidate *later = &table->candidates[1];

    if (next->number != DETECTION_NONE) {
        const struct detection_entry *entry = &table->entries[next->number];

        __builtin_prefetch(detection_entry_head(table, entry->hash), 1);
        if (entry->members_first != 0) {
            __builtin_prefetch(&table->members[entry->members_first - 1], 1);
        }
        __builtin_prefetch(detection_sums_of(table, next->number), 1);
        if (entry->buckets_last != 0) {
            __builtin_prefetch(detection_bucket_at(table, entry->buckets_last), 1);
        }
    }
    if (later->number != DETECTION_NONE) {
        __builtin_prefetch(&table->entries[later->number], 1);
        __builtin_prefetch(&table->entries[later->number].first_ns, 1);
    }
}

void detection_next_candidate(struct detection_table *table)
{
    table->candidates[0] = table->candidates[1];
    table->candidates[1] = search(table, DETECTION_NONE);
    if (table->candidates[1].number == table->candidates[0].number) {
        table->candidates[1].number = DETECTION_NONE; /* the only one */
    }
    ask_for(table);
}

/* Still what it was when it was found. */
static bool is_valid(const struct detection_table *table,
                     const struct detection_candidate *candidate)
{
    return candidate->number < table->entries_used &&
           table->weights[candidate->number] == candidate->weight;
}

void detection_make_room(struct detection_table *table, uint32_t kept, uint64_t limit)
{
    struct detection_candidate victim = table->candidates[0];

    table->is_saturated = true;
    if (!is_valid(table, &victim) || victim.number == kept) {
        victim = search(table, kept);
    }
    if (victim.number != DETECTION_NONE && victim.weight < limit) {
        detection_drop_entry(table, victim.number);
    }
    detection_next_candidate(table);
}
