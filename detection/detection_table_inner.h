/* Inside of a table of subjects, shared by detection_table*.c alone. */
#pragma once

#include "base/hash.h"
#include "detection/detection_table.h"

static inline uint32_t *detection_entry_head(const struct detection_table *table, uint64_t hash)
{
    return &table->entry_heads[hash & table->entry_mask];
}

/* By the subject's hash, not its number: it can be asked for before the subject is found. */
static inline uint32_t detection_place_of(uint64_t subject_hash, uint64_t hash)
{
    return (uint32_t)hash_mix(hash + subject_hash);
}

static inline uint32_t *detection_member_head(const struct detection_table *table, uint32_t place)
{
    return &table->member_heads[place & table->member_mask];
}

static inline uint64_t *detection_sums_of(const struct detection_table *table, uint32_t number)
{
    return &table->sums[(size_t)number * table->shape.counters];
}

/* The same sub-bucket of so many subjects stands together: those that count in the same time share
 * pages, and what a subject's window touches stays within some of them. */
#define DETECTION_BLOCK 16

static inline uint64_t *detection_bucket_of(const struct detection_table *table, uint32_t number,
                                            uint32_t slot)
{
    const size_t row = (size_t)(number / DETECTION_BLOCK) * table->shape.ring + slot;

    return &table->buckets[(row * DETECTION_BLOCK + number % DETECTION_BLOCK) *
                           table->shape.counters];
}

static inline uint32_t detection_larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Words of a set of all subjects, a bit each. */
static inline size_t detection_words(const struct detection_table *table)
{
    return ((size_t)table->shape.entries_max + 63) / 64;
}

/* What a subject weighs when one must go: members and the first sum. The weights stand together, so
 * that weighing a few touches one line of memory and not several of each. */
static inline uint64_t detection_weight_of(const struct detection_table *table, uint32_t number)
{
    return table->weights[number];
}

/* Takes the member behind `link` out of the set. */
void detection_drop_member(struct detection_table *table, uint32_t number, uint32_t *link);
void detection_drop_entry(struct detection_table *table, uint32_t number);
/* Ends the lightest of a few subjects other than `kept`, if it weighs less than `limit`. */
void detection_make_room(struct detection_table *table, uint32_t kept, uint64_t limit);
/* Zeroes those of the subject's sub-buckets that are in `slots`, a bit each. */
void detection_clear_buckets(struct detection_table *table, uint32_t number, uint64_t slots);
