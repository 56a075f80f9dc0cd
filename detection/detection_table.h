/* Subjects, each with the set of what they met, in fixed memory: what frames and windows are made
 * of.
 *
 * A set is exact up to DETECTION_SET_MAX members; beyond, it keeps those whose hash starts with
 * `level` zero bits (adaptive sampling, Flajolet 1990), so its size is members * 2^level. Which
 * members are kept depends on the set alone, not on the order or on who saw them: merging parts
 * gives what one table would hold, and each kept member has all its stamps. That is why a set can
 * tell attempts with an answer from those without, which HyperLogLog cannot. When the memory is
 * used up, the lightest of a few subjects makes room for a newcomer that weighs more, or for one of
 * four and later one of more that do not, and the table is saturated. Depends on: base.
 * Threads: one table, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"

#define DETECTION_SET_MAX   256
#define DETECTION_NONE      UINT32_MAX
#define DETECTION_RING_MAX  63 /* sub-buckets of a window */
#define DETECTION_DUE_SLOTS 64

/* In place of the weight of a subject that is not there. */
#define DETECTION_WEIGHT_NONE UINT64_MAX

/* Texts beside subjects and members of tables that keep them (domains, names); longer ones lose
 * their beginning. */
#define DETECTION_NAME_BYTES 64

/* Whom a set is about; parts that do not matter are 0. */
struct detection_subject {
    struct ip_address source, target;
    uint16_t port;
    uint8_t protocol;
    uint8_t reserved;
    uint8_t label[8]; /* hash of a name, or a MAC */
};

/* Sizes of a table. */
struct detection_shape {
    uint32_t entries_max, members_max; /* members_max 0: no sets */
    uint32_t counters;                 /* sums of each subject: 0 to 16 */
    uint32_t ring; /* sub-buckets of the sums' window, to DETECTION_RING_MAX; 1: no window */
    uint32_t bucket_seconds;          /* length of a sub-bucket */
    bool has_names, has_member_names; /* texts beside subjects, beside members */
    bool is_weighed;                  /* the first sum is what a fact weighs; else it is 1 */
    /* Windows: a subject is taken up with the first second that leaves an attempt of it without an
     * answer, and then with all that comes. */
    bool needs_unanswered;
};

struct detection_member {
    uint64_t hash;
    struct ip_address address;
    uint8_t protocol;
    uint16_t port;                           /* the target's */
    uint16_t client_port;                    /* of some attempt */
    uint32_t count;                          /* attempts since it is held */
    uint32_t first_second;                   /* of the first attempt; 0: none */
    uint32_t attempt_second, answer_second;  /* the last of each; 0: none */
    uint32_t subject, chain_next, list_next; /* number + 1, 0 = end; `subject` is a number */
    uint32_t place; /* by its hash and its subject's: where it is found, of large sets */
};

/* Two lines of memory: what finds a subject, then what is known of it. */
struct detection_entry {
    struct detection_subject subject;
    bool is_live;
    uint8_t level;
    uint64_t hash;
    uint32_t chain_next, members_first;
    uint64_t first_ns, last_ns; /* of what was told: a flow that ended may be old news */
    uint32_t buckets_last;      /* windows: the last sub-bucket in which it counted: number + 1 */
    uint32_t bucket_oldest;     /* when the oldest one was; where there are any */
    uint64_t origins;           /* fleet: a bit for each sensor that saw it */
    double baseline;            /* windows: what is usual, as its detector keeps it */
    uint32_t baseline_seconds;
    uint16_t members_count;
    bool is_chained;        /* its members are found by their hash; else one by one */
    uint32_t told_second;   /* windows: the last one in which something was told */
    uint32_t oldest_second; /* windows: no member was touched last before this; 0 is always true */
    uint64_t due;           /* windows: the sub-bucket in which something of it may leave */
};

/* What a subject needs at least so that a second remembers it as told. */
struct detection_watch {
    uint64_t members; /* estimate of its set */
    uint64_t sum;     /* over the window, of `counter` */
    uint32_t counter;
    uint64_t first_second; /* and it was not there before */
};

/* What each look at a subject needs comes first, and stands together. */
struct detection_table {
    struct detection_entry *entries;
    struct detection_member *members;
    uint32_t *entry_heads, *member_heads;
    uint64_t *heads_used; /* a bit for each head of subjects that leads to some */
    uint64_t *sums;       /* entries_max * counters: over the window */
    uint64_t
        *weights; /* what a subject weighs when one must go; DETECTION_WEIGHT_NONE: no subject */
    uint64_t *buckets; /* entries_max * ring of struct detection_bucket; NULL when ring is 1 */
    struct detection_shape shape;
    uint32_t entry_mask, member_mask;
    /* High-water marks: behind them nothing was touched; and lists: number + 1, 0 = end. */
    uint32_t entries_used, members_used, buckets_used;
    uint32_t entries_free, members_free, buckets_free;
    uint32_t entries_live;
    uint32_t members_chained; /* since the reset: 0: all heads are 0 */
    /* Whoever goes next, and the one after, as they were when they were found. */
    struct detection_candidate {
        uint32_t number; /* DETECTION_NONE: not known */
        uint64_t weight;
    } candidates[2];
    uint32_t newcomers; /* that found the table full, in this second */
    uint32_t hand;      /* where the search for the lightest goes on */
    bool is_saturated;
    uint64_t second; /* windows: the current one, ... */
    uint64_t bucket; /* ... and its sub-bucket: second / bucket_seconds */
    uint64_t span;   /* seconds that members stay: what _advance was told */
    uint64_t *due;   /* windows: DETECTION_DUE_SLOTS sets of entries, each by sub-bucket */
    uint64_t *told;  /* windows: the set of entries to look at: of which something was told */
    struct detection_watch watch; /* windows: may be set at any time */
    char (*entry_names)[DETECTION_NAME_BYTES], (*member_names)[DETECTION_NAME_BYTES];
    void *memory; /* of all of the above, in one piece that is touched where it is used */
    size_t memory_bytes;
};

/* All memory now, zeroed by the kernel page by page as it is used; false: none. */
MUST_USE bool detection_table_init(struct detection_table *table,
                                   const struct detection_shape *shape);
void detection_table_fini(struct detection_table *table);
uint64_t detection_table_bytes(const struct detection_table *table);
/* O(what was used since the last reset). */
void detection_table_reset(struct detection_table *table);

/* The subject's number, made if new. `hash` is the subject's, well mixed; `weight`: members and the
 * first sum that it comes with. DETECTION_NONE: the table is full of subjects that weigh as much
 * and this one was not drawn; what is added to that number is lost. */
uint32_t detection_table_touch(struct detection_table *table,
                               const struct detection_subject *subject, uint64_t hash,
                               uint64_t first_ns, uint64_t last_ns, uint64_t weight);
/* Windows: holds a subject of which something was told last in `told_second`, as it was before the
 * window was emptied. A full one leaves it. */
void detection_table_keep(struct detection_table *table, const struct detection_subject *subject,
                          uint64_t hash, uint64_t first_ns, uint64_t told_second);
/* DETECTION_NONE: not held. */
uint32_t detection_table_find(const struct detection_table *table,
                              const struct detection_subject *subject, uint64_t hash);
/* Adds or updates a member: the first stamp is a minimum, the others maxima, counts sums. `member`
 * gives hash to answer_second. `name` (NULL: none) is kept where the table has names. */
void detection_table_add(struct detection_table *table, uint32_t number,
                         const struct detection_member *member, const char *name);
/* Keeps only what is sampled at `level`, if its level is lower. */
void detection_table_raise(struct detection_table *table, uint32_t number, unsigned level);
void detection_table_count(struct detection_table *table, uint32_t number, uint32_t counter,
                           uint64_t by);
/* Over the window, with the current sub-bucket. */
uint64_t detection_table_sum(const struct detection_table *table, uint32_t number,
                             uint32_t counter);
/* In the current sub-bucket. */
uint64_t detection_table_recent(const struct detection_table *table, uint32_t number,
                                uint32_t counter);
/* Of the set: exact at level 0. */
double detection_table_members(const struct detection_table *table, uint32_t number);
/* "" without. Set once; later ones are left. */
void detection_table_set_name(struct detection_table *table, uint32_t number, const char *name,
                              size_t length);
const char *detection_table_name(const struct detection_table *table, uint32_t number);
const char *detection_member_name(const struct detection_table *table,
                                  const struct detection_member *member);
/* Adds all that `from`, a table of one second, holds: the one way by which a window is filled. */
void detection_table_merge(struct detection_table *into, const struct detection_table *from);
/* Starts `second` in a window: when a sub-bucket ends, forgets sums that leave the window, members
 * last touched before `oldest_second` and subjects that are left with nothing. Any step forward.
 * O(subjects of which something may leave now). */
void detection_table_advance(struct detection_table *table, uint64_t second,
                             uint64_t oldest_second);

/* Windows: of the subjects `from` and behind, the next of which something was told in `since` or
 * later and which then had what `watch` asks for; DETECTION_NONE: no more. `since` never goes back
 * but by a reset. */
uint32_t detection_table_told(struct detection_table *table, uint32_t from, uint64_t since);

/* As if something had been told of all of them in their last second: `watch` asks for less. */
void detection_table_tell_all(struct detection_table *table);

/* Members of `entry`: for (m = first(...); m != NULL; m = next(...)). */
const struct detection_member *detection_table_first(const struct detection_table *table,
                                                     const struct detection_entry *entry);
const struct detection_member *detection_table_next(const struct detection_table *table,
                                                    const struct detection_member *member);
