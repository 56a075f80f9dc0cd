/* How many different values were seen: exact up to 256, then an estimate (HyperLogLog, Flajolet et
 * al. 2007; the estimator is Ertl's of 2017, which needs no correction tables).
 *
 * Memory is the caller's and of a fixed size. A merge gives exactly what one sketch of all values
 * would hold, in any order. Depends on: libc. Threads: one sketch, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HYPERLOGLOG_EXACT_MAX     256
#define HYPERLOGLOG_PRECISION_MIN 4
#define HYPERLOGLOG_PRECISION_MAX 14

struct hyperloglog {
    void *
        memory; /* hyperloglog_bytes(precision), 8-byte aligned: a set of hashes, later registers */
    uint8_t precision;
    bool is_dense;
    uint16_t exact_count; /* while not dense */
};

/* Memory that a sketch of this precision needs: at least 4 KiB, 16 KiB at most. */
size_t hyperloglog_bytes(unsigned precision);
/* `memory` is borrowed for the life of the sketch. */
void hyperloglog_init(struct hyperloglog *sketch, void *memory, unsigned precision);
void hyperloglog_reset(struct hyperloglog *sketch);

/* `hash`: 64 well-mixed bits of the value (hash_mix, hash_bytes). O(1). */
void hyperloglog_add(struct hyperloglog *sketch, uint64_t hash);
/* Adds what `other` has seen; both of one precision. */
void hyperloglog_merge(struct hyperloglog *sketch, const struct hyperloglog *other);

/* Exact while not dense. O(registers). */
double hyperloglog_estimate(const struct hyperloglog *sketch);
/* Relative standard error of the estimate: 0 while exact, else 1.04 / sqrt(2^precision). */
double hyperloglog_standard_error(const struct hyperloglog *sketch);
