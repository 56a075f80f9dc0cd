/* A set of numbers, to count what is different; bounded.
 *
 * Numbers come from hashes: the lowest bit is not told apart. Depends on: base. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define NUMBER_SET_MAX 2000000u /* numbers; 32 MiB, and half of that while it grows */

struct number_set { /* zeros: empty */
    uint64_t *slots;
    uint32_t count, room; /* room: a power of two, half full at most */
};

/* True when it was new. False also without room: then *is_full is set. */
bool number_set_add(struct number_set *set, uint64_t number, bool *is_full);
void number_set_fini(struct number_set *set);
