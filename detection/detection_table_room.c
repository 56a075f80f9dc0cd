/* Room in a full table: the lightest of a few subjects goes. */
#include "base/attributes.h"
#include "detection/detection_table_inner.h"

/* How many subjects are weighed to find one that makes room. */
#define WEIGHED_MAX 8

struct search {
    uint32_t hand;     /* the last one that was looked at */
    uint32_t lightest; /* DETECTION_NONE: nobody was there */
    uint64_t least;
};

/* The lightest of the next few behind `hand`, other than `kept`. */
static ALWAYS_INLINE struct search search_behind(const struct detection_table *table, uint32_t hand,
                                                 uint32_t kept)
{
    struct search search = {.hand = hand, .lightest = DETECTION_NONE, .least = UINT64_MAX};
    uint32_t weighed = 0;

    for (uint32_t seen = 0; seen < table->entries_used && weighed < WEIGHED_MAX; seen++) {
        search.hand = search.hand + 1 < table->entries_used ? search.hand + 1 : 0;
        const uint64_t weight = table->weights[search.hand];

        if (weight == DETECTION_WEIGHT_NONE || search.hand == kept) {
            continue;
        }
        weighed++;
        if (weight < search.least) {
            search.lightest = search.hand;
            search.least = weight;
        }
        if (search.least <= 1) {
            break; /* nothing is lighter: so it is in a flood, where this must be cheap */
        }
    }
    return search;
}

/* Whoever goes next, and the one after, are known already if nothing changes: asks for their
 * memory. In place: a function that only asks ahead is left out by the compiler. */
static ALWAYS_INLINE void ask_for_next(const struct detection_table *table)
{
    const struct search next = search_behind(table, table->hand, DETECTION_NONE);
    const struct search second = search_behind(table, next.hand, DETECTION_NONE);

    if (next.lightest == DETECTION_NONE || second.lightest == DETECTION_NONE) {
        return;
    }
    const struct detection_entry *entry = &table->entries[next.lightest];

    __builtin_prefetch(detection_entry_head(table, entry->hash), 1);
    if (entry->members_first != 0) {
        __builtin_prefetch(&table->members[entry->members_first - 1], 1);
    }
    __builtin_prefetch(detection_sums_of(table, next.lightest), 1);
    __builtin_prefetch(&table->entries[second.lightest], 1);
    __builtin_prefetch(&table->entries[second.lightest].first_ns, 1);
}

void detection_make_room(struct detection_table *table, uint32_t kept, uint64_t limit)
{
    const struct search search = search_behind(table, table->hand, kept);

    table->is_saturated = true;
    table->hand = search.hand;
    if (search.lightest != DETECTION_NONE && search.least < limit) {
        detection_drop_entry(table, search.lightest);
    }
    ask_for_next(table);
}
