/* Sums by key in fixed memory, never too small (count-min, Cormode and Muthukrishnan 2005, plain
 * update).
 *
 * An estimate is at least the true sum, and with probability 1 - exp(-depth) at most
 * count_min_error() above it. A merge gives exactly what one sketch of all additions would hold.
 * Memory is the caller's. Depends on: base/hash.h. Threads: one sketch, one thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define COUNT_MIN_DEPTH_MAX 8

struct count_min {
    uint64_t *cells; /* depth rows of width */
    uint32_t width;  /* a power of two */
    uint32_t depth;  /* 1 to COUNT_MIN_DEPTH_MAX */
    uint64_t total;  /* of all additions */
};

size_t count_min_bytes(uint32_t width, uint32_t depth);
/* `memory` (8-byte aligned) is borrowed for the life of the sketch. */
void count_min_init(struct count_min *sketch, void *memory, uint32_t width, uint32_t depth);
void count_min_reset(struct count_min *sketch);

/* Adds `by` to the key with this hash (64 well-mixed bits); returns the estimate after it.
 * O(depth). */
uint64_t count_min_add(struct count_min *sketch, uint64_t hash, uint64_t by);
uint64_t count_min_estimate(const struct count_min *sketch, uint64_t hash);
/* Adds what `other` holds; both of one shape. O(width * depth). */
void count_min_merge(struct count_min *sketch, const struct count_min *other);
/* How far above the truth an estimate may lie: total * e / width. */
double count_min_error(const struct count_min *sketch);
