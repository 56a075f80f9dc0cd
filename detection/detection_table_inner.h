/* Inside of a table of subjects, shared by detection_table*.c alone. */
#pragma once

#include <string.h>

#include "base/hash.h"
#include "detection/detection_table.h"

/* 0: nobody. To be read where detection_may_hold() says so: otherwise it may be memory that nobody
 * has touched, which a read maps and the first write then maps again, for all processors. */
static inline uint32_t *detection_entry_head(const struct detection_table *table, uint64_t hash)
{
    return &table->entry_heads[hash & table->entry_mask];
}

/* False: whoever has this hash is not held. A few lines of memory tell it of a whole table. */
static inline bool detection_may_hold(const struct detection_table *table, uint64_t hash)
{
    const uint64_t head = hash & table->entry_mask;

    return (table->heads_used[head / 64] >> head % 64 & 1) != 0;
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

/* What a subject counted in one sub-bucket. Most subjects count in one or two of all that a window
 * has, so they take them from what the table has left: what stands there was used lately. Those of
 * a subject are a ring: the last one leads to the oldest, and each to the next younger one. */
struct detection_bucket {
    uint32_t next;   /* number + 1 */
    uint32_t bucket; /* when it was */
    uint64_t sums[]; /* shape.counters */
};

static inline struct detection_bucket *detection_bucket_at(const struct detection_table *table,
                                                           uint32_t name)
{
    return (void *)&table->buckets[(size_t)(name - 1) * (table->shape.counters + 1)];
}

/* The subject's current sub-bucket; NULL: it has not counted in it. */
static inline struct detection_bucket *detection_bucket_now(const struct detection_table *table,
                                                            uint32_t number)
{
    const uint32_t name = table->entries[number].buckets_last;
    struct detection_bucket *last = name != 0 ? detection_bucket_at(table, name) : NULL;

    return last != NULL && last->bucket == table->bucket ? last : NULL;
}

static inline uint32_t detection_larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline void detection_copy_name(char out[DETECTION_NAME_BYTES], const char *name,
                                       size_t length)
{
    const size_t cut = length < DETECTION_NAME_BYTES ? 0 : length - (DETECTION_NAME_BYTES - 1);

    memcpy(out, name + cut, length - cut);
    out[length - cut] = '\0';
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

/* No room for one more subject, or for what it would have in its set. */
static inline bool detection_is_full(const struct detection_table *table)
{
    return (table->entries_free == 0 && table->entries_used == table->shape.entries_max) ||
           (table->members != NULL && table->members_free == 0 &&
            table->members_used == table->shape.members_max);
}

/* Of how many newcomers a full table lets in one at first (Ben Basat et al. 2017, "Randomized
 * admission policy"), and one more of as many for each time that as many came as it holds: the n-th
 * of a second has the chance that it would have in a sample of all. Each that comes in ends
 * another, and in a flood the next would end it in turn. */
#define DETECTION_NEWCOMERS_EACH 4

/* Whichever it is: what is refused now may come in the next time, and whoever does not know the key
 * cannot tell when. */
static inline bool detection_is_drawn(struct detection_table *table, uint64_t hash)
{
    const uint32_t each = DETECTION_NEWCOMERS_EACH + table->newcomers++ / table->shape.entries_max;

    return (hash_mix(hash + table->newcomers) >> 32) * each >> 32 == 0;
}

/* How many newcomers are too light for whoever would go next before another one is looked for. */
#define DETECTION_REFUSALS_EACH 8

/* Whether a newcomer to a full table that has not been drawn is too light for it. */
static inline bool detection_is_too_light(const struct detection_table *table, uint64_t weight)
{
    const struct detection_candidate *next = &table->candidates[0];

    return weight <= 1 || (next->number != DETECTION_NONE && weight <= next->weight);
}

/* Takes the member behind `link` out of the set. */
void detection_drop_member(struct detection_table *table, uint32_t number, uint32_t *link);
void detection_drop_entry(struct detection_table *table, uint32_t number);
/* Looks for another one to go next. */
void detection_next_candidate(struct detection_table *table);
/* Ends the lightest of a few subjects other than `kept`, if it weighs less than `limit`. */
void detection_make_room(struct detection_table *table, uint32_t kept, uint64_t limit);
/* Volatile, so that GCC leaves the loop: it is of few sums, and a call of memset() costs more. */
static inline void detection_zero_sums(volatile uint64_t *sums, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        sums[i] = 0;
    }
}

/* The subject's current sub-bucket, made if there is none. */
struct detection_bucket *detection_bucket_of_now(struct detection_table *table, uint32_t number);
/* Takes what has left the window out of the subject's sums. */
void detection_buckets_expire(struct detection_table *table, uint32_t number);
/* Forgets all of the subject's sub-buckets. */
void detection_buckets_drop(struct detection_table *table, uint32_t number);
