#include "sensor/loss_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *unit;
} kinds[LOSS_KINDS] = {
    [LOSS_INTERFACE] = {"interface drops (interface_dropped)", "packets"},
    [LOSS_KERNEL] = {"kernel drops (ring_full)", "packets"},
    [LOSS_HANDOVER] = {"drops between shards (handover_full)", "packets"},
    [LOSS_DISPATCH] = {"drops of shards (no_batch)", "packets"},
    [LOSS_RECORDS] = {"records that found no room (no_batch)", "records"},
    [LOSS_SINKS] = {"records lost by outputs (sink, spool, wire)", "records"},
};

/* ---- samples ---- */

static uint64_t lost_for(const struct stats_ledger_row *row, const char *reason)
{
    for (uint32_t i = 0; i < row->lost_count; i++) {
        if (strcmp(row->lost[i].reason, reason) == 0) {
            return row->lost[i].count;
        }
    }
    return 0;
}

static void add(struct loss_sample *sample, enum loss_kind kind, uint64_t lost, uint64_t all)
{
    sample->lost[kind] += lost;
    sample->all[kind] += all;
}

void loss_sample_from(struct loss_sample *out, const struct stats_ledger_row *rows, uint32_t count)
{
    *out = (struct loss_sample){0};
    for (uint32_t i = 0; i < count; i++) {
        const struct stats_ledger_row *row = &rows[i];

        switch (row->stage) {
        case LEDGER_INTERFACE:
            add(out, LOSS_INTERFACE, lost_for(row, "interface_dropped"), row->in);
            break;
        case LEDGER_KERNEL:
            add(out, LOSS_KERNEL, lost_for(row, "ring_full"), row->in);
            break;
        case LEDGER_DECODE:
            add(out, LOSS_HANDOVER, lost_for(row, "handover_full"), row->in);
            break;
        case LEDGER_FLOW:
            add(out, LOSS_DISPATCH, lost_for(row, "no_batch"), row->in);
            break;
        case LEDGER_PUBLISH:
            add(out, LOSS_RECORDS, lost_for(row, "no_batch"), row->in);
            break;
        case LEDGER_SINK: /* what lies behind it comes through it */
            add(out, LOSS_SINKS, stats_ledger_lost(row), row->in);
            break;
        case LEDGER_SPOOL:
        case LEDGER_WIRE:
            add(out, LOSS_SINKS, stats_ledger_lost(row), 0);
            break;
        default:
            break;
        }
    }
}

/* ---- the time before ---- */

void loss_watch_reset(struct loss_watch *watch)
{
    watch->count = 0;
    watch->next = 0;
}

bool loss_watch_is_due(struct loss_watch *watch, uint64_t before_ns, uint64_t now_ns)
{
    if (now_ns < watch->due_ns) {
        return false;
    }
    watch->due_ns = now_ns + before_ns / LOSS_SAMPLES;
    return true;
}

void loss_watch_add(struct loss_watch *watch, const struct loss_sample *now)
{
    watch->samples[watch->next] = *now;
    watch->next = (watch->next + 1) % LOSS_SAMPLES;
    watch->count += watch->count < LOSS_SAMPLES;
}

/* A counter that was begun anew has counted nothing. */
static uint64_t since(uint64_t before, uint64_t now)
{
    return now > before ? now - before : 0;
}

void loss_watch_begin(struct loss_watch *watch, const struct loss_sample *now)
{
    const struct loss_sample *oldest = watch->count == 0             ? now
                                       : watch->count < LOSS_SAMPLES ? &watch->samples[0]
                                                                     : &watch->samples[watch->next];

    for (unsigned kind = 0; kind < LOSS_KINDS; kind++) {
        watch->lost_before[kind] = since(oldest->lost[kind], now->lost[kind]);
        watch->all_before[kind] = since(oldest->all[kind], now->all[kind]);
    }
    watch->begun = *now;
}

/* ---- the trial ---- */

static double share_of(uint64_t lost, uint64_t all)
{
    const double share = all == 0 ? (double)(lost > 0) : (double)lost / (double)all;

    return share > 1 ? 1 : share;
}

bool loss_watch_is_worse(const struct loss_watch *watch, const struct loss_sample *now,
                         const struct loss_limits *limits, char *reason, size_t size)
{
    for (unsigned kind = 0; kind < LOSS_KINDS && limits->ratio > 0; kind++) {
        const uint64_t lost = since(watch->begun.lost[kind], now->lost[kind]);
        const uint64_t all = since(watch->begun.all[kind], now->all[kind]);
        const double share = share_of(lost, all);
        const double before = share_of(watch->lost_before[kind], watch->all_before[kind]);

        if (lost >= limits->lost_least && share > limits->share && share > before * limits->ratio) {
            (void)snprintf(reason, size,
                           "more was lost on trial than before: %s %.4g%% (%" PRIu64 " of %" PRIu64
                           " %s), before %.4g%% (%" PRIu64 " of %" PRIu64 ")",
                           kinds[kind].name, 100 * share, lost, all, kinds[kind].unit, 100 * before,
                           watch->lost_before[kind], watch->all_before[kind]);
            return true;
        }
    }
    return false;
}
