#include "collector-ui/history/number_set.h"

#include <stdlib.h>

#include "base/hash.h"

#define ROOM_FIRST 4096u

static uint32_t place_of(const struct number_set *set, uint64_t number)
{
    uint32_t at = (uint32_t)hash_mix(number) & (set->room - 1);

    while (set->slots[at] != 0 && set->slots[at] != number) {
        at = (at + 1) & (set->room - 1);
    }
    return at;
}

static bool grow(struct number_set *set)
{
    struct number_set next = {NULL, set->count, set->room == 0 ? ROOM_FIRST : set->room * 2};

    next.slots = set->count >= NUMBER_SET_MAX ? NULL : calloc(next.room, sizeof(*next.slots));
    if (next.slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < set->room; i++) {
        if (set->slots[i] != 0) {
            next.slots[place_of(&next, set->slots[i])] = set->slots[i];
        }
    }
    free(set->slots);
    *set = next;
    return true;
}

bool number_set_add(struct number_set *set, uint64_t number, bool *is_full)
{
    number |= 1; /* 0 is a free slot */
    if (set->count * 2 >= set->room && !grow(set)) {
        *is_full = true;
        return false;
    }
    const uint32_t at = place_of(set, number);

    if (set->slots[at] == number) {
        return false;
    }
    set->slots[at] = number;
    set->count++;
    return true;
}

void number_set_fini(struct number_set *set)
{
    free(set->slots);
    *set = (struct number_set){0};
}
