/* One flow as several sensors saw it: which observations are of one flow, and which of them counts.
 *
 * Observations are of one flow when they have one key (Community ID, VLAN and tunnels), come from
 * different sensors and start within a tolerance of the first. The start is asked for because ports
 * are used again; with it they overlap in time as far as the clocks allow. No flow has two
 * observations of one sensor: of several that fit, the one that started last is joined. One whose
 * start was not seen (a sensor that was started again, that had no room, that missed packets) and
 * that lies in the time of another sensor's is a piece of that one: never counted, and not listed
 * with it.
 *
 * Of those of a flow one is the primary: of the ones that reach its end (the tolerance again: one
 * that broke off, or that has not told of the rest yet, would lose what the others saw) the one
 * with the least missed bytes, then the most packets, then the preferred sensor. Depends on:
 * proto/record.h. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/record_flow.h"

#define OBSERVATION_NONE UINT32_MAX

struct observation {
    uint64_t key; /* 0: is joined with no other */
    uint64_t start_ns, end_ns;
    uint64_t packets, missed_bytes;
    uint64_t flow_id;  /* the sensor's */
    uint32_t sensor;   /* a number: the smaller one is preferred */
    bool is_midstream; /* TCP without its SYN */
    /* Of observation_join, as places in the array: */
    uint32_t first;   /* of its flow; a piece is not in the list from there */
    uint32_t next;    /* of the same flow; OBSERVATION_NONE: the last */
    uint32_t primary; /* of the first one alone: which one counts */
    /* Carried along: */
    uint64_t bytes;
    int64_t rtt_ns; /* -1: not measured */
};

/* How far back in order an observation looks for its flow: what is further away stays by itself,
 * and counts once too often rather than not at all. */
#define OBSERVATION_LOOKS_MAX 256u
#define OBSERVATION_JOINS_MAX 64u /* of one flow */

/* Sorts and joins. O(n log n). */
void observation_join(struct observation *all, uint32_t count, uint64_t tolerance_ns);

static inline bool observation_is_primary(const struct observation *all, uint32_t place)
{
    return all[all[place].first].primary == place;
}

/* What keeps tenants with equal addresses apart: VLANs, and the tunnels around the flow, "" without
 * any: "v10", "v100.10/1:5001" (type and id; its outer addresses where it has no id). Returns its
 * length. */
#define OBSERVATION_LABEL_BYTES 640
size_t observation_label(const struct flow_record *flow, char out[OBSERVATION_LABEL_BYTES]);
