/* How often somebody may try to log in: a bucket of attempts for each key that comes back with time
 * (GCRA). A fixed table: full, the key that has waited longest is forgotten.
 *
 * Depends on: base. Time is an argument. Threads: the caller's lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

#define ATTEMPTS_WAYS 8
#define ATTEMPTS_SETS 512

struct attempts {
    uint64_t burst, interval_ns; /* at once, and one more each */
    struct {
        uint64_t key;      /* a hash; 0: free */
        uint64_t whole_ns; /* when all its attempts are back */
    } slots[ATTEMPTS_SETS][ATTEMPTS_WAYS];
};

/* Takes one. False: none is left, the next comes in *wait_ns. */
MUST_USE bool attempts_take(struct attempts *attempts, uint64_t key, uint64_t now_ns,
                            uint64_t *wait_ns);
/* It was a good one: it is given back. */
void attempts_return(struct attempts *attempts, uint64_t key);
