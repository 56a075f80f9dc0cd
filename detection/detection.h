/* Incidents from sketches: one code for shard, sensor and fleet scope.
 *
 * A `detection_frame` holds the fixed-size sketches of one second of packet time. Each shard fills
 * its own; frames of the same second are merged (exactly: HyperLogLog and plain count-min merge,
 * SpaceSaving merges all inputs in one step), and `detection` decides on the merged one: windows of
 * sub-buckets, thresholds, incidents OPEN / UPDATE / CLOSE. All memory is taken at start; all time
 * is packet time, so a replay gives the same alerts at any number of shards. Depends on: base,
 * base/sketch, proto/record.h. Threads: an object belongs to one thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/error.h"
#include "proto/record.h"

struct detection_syn_flood_settings {
    bool enabled;
    uint64_t window_ns;            /* 5 s */
    uint64_t syn_threshold;        /* 200 in the window */
    uint64_t unique_src_threshold; /* 50: from there on it is called distributed */
    uint64_t cooldown_ns;          /* 10 s quiet closes the incident */
};

struct detection_port_scan_settings {
    bool enabled;
    uint64_t window_ns;              /* 10 s */
    uint64_t unique_ports_threshold; /* 25: vertical */
    uint64_t unique_hosts_threshold; /* 25: horizontal (10 in the seed's key set) */
    uint64_t cooldown_ns;            /* 30 s */
};

struct detection_settings {
    bool enabled;
    struct detection_syn_flood_settings syn_flood;
    struct detection_port_scan_settings port_scan;
    uint32_t victims_max;  /* SYN-flood targets tracked at once: 1024 */
    uint32_t scanners_max; /* sources tracked at once: 2048 */
    uint64_t seed;         /* equal wherever frames are merged */
    char config_hash[17];
    enum alert_scope scope;
};

struct detection_frame; /* sketches of one second */

/* NULL with `err` when memory is short. */
MUST_USE struct detection_frame *detection_frame_new(const struct detection_settings *settings,
                                                     struct error *err);
void detection_frame_free(struct detection_frame *frame);
DEFINE_AUTO(detection_frame, detection_frame_free);
void detection_frame_reset(struct detection_frame *frame, uint64_t epoch_seconds);
uint64_t detection_frame_bytes(const struct detection_frame *frame);

/* One connection attempt or its outcome, as the packet path sees it. O(1). */
enum detection_event {
    DETECTION_SYN,         /* a new flow's first SYN, or a SYN again (each counts) */
    DETECTION_SYN_ACK,     /* target answered: seen from source's point of view */
    DETECTION_ESTABLISHED, /* handshake complete: both handshake and answer are good */
    DETECTION_RST,         /* refused */
    DETECTION_PROBE,       /* first packet of a UDP or other flow without an answer so far */
    DETECTION_ECHO,        /* ICMP echo request */
};
void detection_frame_add(struct detection_frame *frame, enum detection_event event,
                         uint8_t protocol, const struct ip_address *source,
                         const struct ip_address *target, uint16_t target_port, uint64_t time_ns);
/* `source` belongs to the same seed and sizes. */
void detection_frame_merge(struct detection_frame *into, const struct detection_frame *source);

struct detection;
MUST_USE struct detection *detection_new(const struct detection_settings *settings,
                                         struct error *err);
void detection_free(struct detection *detection);
DEFINE_AUTO(detection, detection_free);

/* `alert` is borrowed for the call; identity is empty. */
typedef void detection_emit(void *context, const struct alert_record *alert);

/* Decides the second that `merged` holds; calls come in order of epochs, gaps allowed (a gap is
 * silence). `lost_packets`: what the sensor dropped in that second. */
void detection_decide(struct detection *detection, const struct detection_frame *merged,
                      uint64_t lost_packets, detection_emit *emit, void *context);
/* Closes what is open (SHUTDOWN). */
void detection_finish(struct detection *detection, uint64_t now_ns, detection_emit *emit,
                      void *context);

/* One row a detector, for statistics. Returns how many. */
uint32_t detection_statistics(const struct detection *detection, struct stats_detector *rows,
                              uint32_t rows_max);
