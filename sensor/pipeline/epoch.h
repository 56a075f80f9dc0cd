/* What one shard saw in one second of packet time, and the merge of all shards' seconds.
 *
 * A shard keeps the current second and the one before it open, and hands a second over when its
 * time has passed the end of the next one: packets that are late by less than a second still count
 * where they belong, and the sum does not depend on the number of shards. Depends on: base, proto,
 * detection. Threads: owned by whoever holds it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "detection/detection.h"
#include "proto/record.h"
#include "sensor/inspect/asset_table.h"
#include "sensor/pipeline/epoch_table.h"
#include "sensor/pipeline/evidence.h"

struct epoch_flow {
    struct stats_top_flow flow; /* texts point into this struct */
    char name[80];
    char app[32];
};

#define EPOCH_PROTOCOLS 256
struct epoch_rate {
    uint64_t bytes_in, bytes_out, packets;
};

struct epoch {
    uint64_t second; /* since 1970, packet time */
    uint64_t place;  /* epoch_place: in which order seconds follow each other */
    struct stats_totals totals;
    uint64_t data_segments, retransmitted_segments, out_of_order_segments, zero_window_events;
    uint64_t resets, half_open;
    uint64_t rtt_counts[STATS_RTT_BOUNDS + 1];
    double rtt_sum_seconds;
    uint64_t dns_queries, dns_responses, dns_rcode_counts[STATS_RCODES];
    uint64_t dns_response_counts[STATS_RTT_BOUNDS + 1];
    double dns_response_sum_seconds;
    struct epoch_table applications, hosts, services, directions;
    struct epoch_rate protocols[EPOCH_PROTOCOLS]; /* by number of the IP protocol */
    char protocol_names[STATS_TOP_MAX][16]; /* of those that have no name: for epoch_fill_stats */
    uint32_t flows_count;
    struct epoch_flow flows[STATS_TOP_FLOWS_MAX]; /* a heap by delta bytes, smallest first */
    struct detection_frame *detection;            /* NULL when detection is off */
    struct asset_table *assets;                   /* told in this second; NULL: not kept */
    struct evidence *evidence;                    /* packets for alerts; NULL: not kept */
    uint64_t seed;           /* of the detection frame from the next reset on */
    uint32_t frames_refused; /* merged seconds whose frame had another seed */
};

/* Where the clock is set back seconds come again, and are others: `era` counts how often it was. */
static inline uint64_t epoch_place(uint64_t era, uint64_t second)
{
    return era << 40 | second;
}

/* `detection` NULL: none. */
MUST_USE struct epoch *epoch_new(const struct detection_settings *detection, struct error *err);
void epoch_free(struct epoch *epoch);
DEFINE_AUTO(epoch, epoch_free);
void epoch_reset(struct epoch *epoch, uint64_t second);
/* True when a flow with `delta_bytes` in this second would be among the largest so far, or is as
 * large as the smallest of them: then its id decides. */
static inline bool epoch_wants_flow(const struct epoch *epoch, uint64_t delta_bytes)
{
    const struct stats_top_flow *smallest = &epoch->flows[0].flow;

    return epoch->flows_count < STATS_TOP_FLOWS_MAX ||
           delta_bytes >= smallest->delta_bytes_forward + smallest->delta_bytes_reverse;
}
/* Whether epoch_add_flow would keep it. In a flood each flow is as large as the smallest. */
bool epoch_takes_flow(const struct epoch *epoch, uint64_t delta_bytes, uint64_t flow_id);
/* Copies the texts. */
void epoch_add_flow(struct epoch *epoch, const struct stats_top_flow *flow);
void epoch_merge(struct epoch *into, const struct epoch *from);
/* Fills totals, tops, health; texts are borrowed from `epoch`. The rest of `out` is left alone. */
void epoch_fill_stats(struct epoch *epoch, struct stats_record *out);
