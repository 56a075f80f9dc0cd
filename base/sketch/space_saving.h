/* The heaviest keys in fixed memory (SpaceSaving, Metwally et al. 2005, with weights).
 *
 * A count is never too small, and too large by at most its `overcount`; a key whose weight is above
 * total / capacity is always held. Depends on: base/hash.h. Threads: one sketch, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/hash.h"

#define SPACE_SAVING_KEY_BYTES_MAX 40

struct space_saving_entry {
    uint64_t count;     /* upper bound of the key's weight */
    uint64_t overcount; /* count - overcount is the lower bound */
    uint8_t key[SPACE_SAVING_KEY_BYTES_MAX];
    uint8_t key_bytes;
};

struct space_saving;

/* Takes all memory now: about 100 bytes a key. Equal `key`s make equal sketches. NULL: no memory,
 * or capacity 0 or above 2^24. */
MUST_USE struct space_saving *space_saving_new(uint32_t capacity, struct hash_key key);
void space_saving_free(struct space_saving *sketch); /* NULL is allowed */
DEFINE_AUTO(space_saving, space_saving_free);
void space_saving_reset(struct space_saving *sketch);

/* Adds `by` to `key` of 1 to 40 bytes. O(log capacity) at worst, O(1) for a light key. */
void space_saving_add(struct space_saving *sketch, const void *key, size_t key_bytes, uint64_t by);

uint32_t space_saving_size(const struct space_saving *sketch);  /* keys held */
uint64_t space_saving_total(const struct space_saving *sketch); /* of all additions */
/* No key that is not held weighs more than this. */
uint64_t space_saving_unseen_max(const struct space_saving *sketch);
/* True and `out` when the key is held. */
bool space_saving_find(const struct space_saving *sketch, const void *key, size_t key_bytes,
                       struct space_saving_entry *out);
/* The heaviest, by count, then by key: at most `out_max` into `out`; returns how many. O(size *
 * out_max) at worst. */
uint32_t space_saving_top(const struct space_saving *sketch, struct space_saving_entry *out,
                          uint32_t out_max);

/* `out` becomes the sum of `count` inputs (none of them `out`), all of one hash key, in one step:
 * merging by twos would add their errors up. The result does not depend on the order of the inputs.
 * O(keys * count). */
void space_saving_merge(struct space_saving *out, const struct space_saving *const *inputs,
                        uint32_t count);
