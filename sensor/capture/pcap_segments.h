/* The segments of a pcap writer that are closed and kept, oldest first, and their names.
 *
 * Inside sensor/capture only. Depends on: base. Threads: one at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define PCAP_SEGMENTS_MAX 999999U /* six digits */

struct pcap_segment {
    uint32_t number;
    uint64_t bytes, first_ns, last_ns; /* last_ns: the newest packet in it */
};

struct pcap_segments {
    struct pcap_segment *list; /* a ring of `room` */
    uint32_t first, count, room;
    uint64_t bytes; /* of all */
};

void pcap_segments_fini(struct pcap_segments *segments);
/* 0 or -ENOMEM. */
MUST_USE int pcap_segments_add(struct pcap_segments *segments, const struct pcap_segment *segment);
/* NULL: there is none. Until the next call. */
const struct pcap_segment *pcap_segments_oldest(const struct pcap_segments *segments);
void pcap_segments_drop_oldest(struct pcap_segments *segments);

/* "dir/capture.pcap", 7 -> "dir/capture.000007.pcap". */
void pcap_segment_path(const char *path, uint32_t number, char *out, size_t out_bytes);
/* Is `name` "capture.000007.pcap" where `path` is "capture.pcap"? */
bool pcap_segment_is_name(const char *path, const char *name);
/* The first number behind this one that no segment has: behind 999999 comes 1. Fewer than
 * PCAP_SEGMENTS_MAX are there. */
uint32_t pcap_segments_next(const struct pcap_segments *segments, uint32_t number);

/* Adds the segments of `path` that an earlier run left, by when they were last written, which
 * stands for the times of their packets. `last`: the number of the newest; 0: there is none. 0, or
 * -errno with `err`. */
MUST_USE int pcap_segments_find(struct pcap_segments *segments, const char *path, uint32_t *last,
                                struct error *err);
