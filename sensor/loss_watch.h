/* Whether more is lost since settings were changed than before: packets and records that never
 * arrived, by kind, as a share of all there were, next to the share of the time before.
 *
 * Told samples of the loss ledger, which count since the start. Pure: no clock, no memory of its
 * own. Depends on: proto/record.h. Threads: one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "proto/record_stats.h"

#define LOSS_SAMPLES 60 /* of the time before */

enum loss_kind {
    LOSS_INTERFACE, /* packets, by the network card */
    LOSS_KERNEL,    /* packets, a ring of the kernel was full */
    LOSS_HANDOVER,  /* packets, a ring between two shards was full */
    LOSS_DISPATCH,  /* packets whose flow record found no batch */
    LOSS_RECORDS,   /* records that found no batch */
    LOSS_SINKS,     /* records that an output dropped, its spool too */
    LOSS_KINDS
};

/* Since the start. */
struct loss_sample {
    uint64_t lost[LOSS_KINDS];
    uint64_t all[LOSS_KINDS]; /* with what was lost */
};

struct loss_limits {
    double ratio;        /* share over that before; 0: nothing is ever too much */
    double share;        /* less of all is never too much ... */
    uint64_t lost_least; /* ... nor are fewer packets or records */
};

struct loss_watch {
    struct loss_sample samples[LOSS_SAMPLES];
    uint32_t count, next;
    uint64_t due_ns;
    struct loss_sample begun;         /* when the trial began */
    uint64_t lost_before[LOSS_KINDS]; /* in the time before it */
    uint64_t all_before[LOSS_KINDS];
};

/* What the rows of the loss ledger say was taken and lost until now, of each kind. */
void loss_sample_from(struct loss_sample *out, const struct stats_ledger_row *rows, uint32_t count);

/* Forgets the time before: the settings are others now. All zero is the same. */
void loss_watch_reset(struct loss_watch *watch);
/* True when a sample is due, LOSS_SAMPLES of them in `before_ns`. */
MUST_USE bool loss_watch_is_due(struct loss_watch *watch, uint64_t before_ns, uint64_t now_ns);
/* Of the time without a trial. */
void loss_watch_add(struct loss_watch *watch, const struct loss_sample *now);
/* The trial begins. */
void loss_watch_begin(struct loss_watch *watch, const struct loss_sample *now);
/* True when too much is lost since it began; `reason` names what, with both shares. */
MUST_USE bool loss_watch_is_worse(const struct loss_watch *watch, const struct loss_sample *now,
                                  const struct loss_limits *limits, char *reason, size_t size);
