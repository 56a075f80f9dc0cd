/* Statistics of one second as plain C (netscope.v1.StatsRecord): figures of the traffic and of the
 * sensor itself, and the loss ledger; for units, lifetimes and numbers of enums see record.h.
 *
 * Depends on: base/address.h. */
#pragma once

#include "base/address.h"
#include "proto/record_identity.h"

struct stats_named_rate {
    struct record_text key;
    uint64_t bytes_in, bytes_out, packets, max_overcount, max_undercount;
};

enum stats_dimension {
    STATS_BY_APPLICATION,
    STATS_BY_HOST,
    STATS_BY_SERVICE,
    STATS_BY_DIRECTION,
    STATS_BY_PROTOCOL,
    STATS_DIMENSION_COUNT
};

/* "application", "host", "service", "direction", "protocol". Static. */
const char *stats_dimension_name(enum stats_dimension dimension);

#define STATS_TOP_MAX       32 /* items of one dimension, "other" included */
#define STATS_TOP_FLOWS_MAX 50
#define STATS_RTT_BOUNDS    12
#define STATS_RCODES        24
#define STATS_ROWS_MAX      64

struct stats_top_list {
    uint32_t count;
    struct stats_named_rate items[STATS_TOP_MAX];
};

struct stats_top_flow {
    uint64_t flow_id;
    uint64_t start_ns; /* the sensor's own: not written */
    struct ip_address client_ip, server_ip;
    uint16_t client_port, server_port;
    uint8_t ip_protocol, tcp_state;
    bool has_rtt;
    double rtt_seconds;
    struct record_text server_name, app;
    uint64_t delta_bytes_forward, delta_bytes_reverse, delta_packets, total_bytes;
    uint64_t retransmitted_segments;
};

struct stats_totals {
    uint64_t packets, bytes, new_flows, ended_flows, flows_active;
    uint64_t bytes_in, bytes_out, bytes_internal;
    uint64_t malformed_packets, non_ip_packets, late_packets, lost_packets;
};

struct stats_interface {
    struct record_text name, filter;
    uint32_t linktype, snaplen;
    uint64_t received_packets, received_bytes, kernel_dropped, interface_dropped;
    uint64_t missed_bytes_estimate;
    bool promiscuous, up;
    uint64_t processed_packets, precut_packets, truncated_packets, superpackets, wakeups;
    uint64_t in_ring, in_ring_high_water, batch_max, reopened;
    double stall_tolerance_seconds; /* 0 = not known */
    char last_error[160];
};

struct stats_capture_ring {
    struct record_text interface;
    uint32_t shard;
    uint64_t received_packets, processed_packets, precut_packets, kernel_dropped;
    uint64_t in_ring, in_ring_high_water, wakeups, batch_max;
    double stall_tolerance_seconds; /* 0 = not known */
};

struct stats_ledger_reason {
    const char *reason; /* static */
    uint64_t count;
};

#define LEDGER_REASONS_MAX 8

enum ledger_stage {
    LEDGER_NONE,
    LEDGER_INTERFACE,
    LEDGER_KERNEL,
    LEDGER_CAPTURE,
    LEDGER_DECODE,
    LEDGER_FLOW,
    LEDGER_PUBLISH,
    LEDGER_SINK,
    LEDGER_SPOOL,
    LEDGER_WIRE,
    LEDGER_INGEST,
    LEDGER_STORE,
    LEDGER_FEED
};

/* "store"; "none" out of range. Static. */
const char *ledger_stage_name(uint8_t stage);

struct stats_ledger_row {
    uint8_t stage; /* enum ledger_stage */
    char name[48];
    const char *unit; /* "packets" or "records", static */
    uint64_t in, out, held, packets_in, packets_out;
    uint8_t lost_count;
    struct stats_ledger_reason lost[LEDGER_REASONS_MAX];
};

/* All reasons together. */
static inline uint64_t stats_ledger_lost(const struct stats_ledger_row *row)
{
    uint64_t lost = 0;

    for (uint32_t i = 0; i < row->lost_count; i++) {
        lost += row->lost[i].count;
    }
    return lost;
}

/* One more reason, whose text is static; what has no room is left out. */
static inline void stats_ledger_add(struct stats_ledger_row *row, const char *reason,
                                    uint64_t count)
{
    if (row->lost_count < LEDGER_REASONS_MAX) {
        row->lost[row->lost_count++] = (struct stats_ledger_reason){reason, count};
    }
}

struct stats_shard {
    uint32_t shard, ring_used, ring_size, ring_high_water;
    uint64_t packets, bytes, flows_active, flows_max, evicted;
    double cpu_ratio; /* of one processor; 0: not known */
};

struct stats_detector {
    const char *kind; /* static */
    uint64_t tracked_keys, key_capacity, memory_bytes;
    bool saturated;
    uint64_t opened, open; /* incidents since the start, and now */
    uint64_t logged;       /* opened in mode log */
    uint64_t learnt;       /* would have opened in mode learn */
    uint64_t suppressed;   /* findings that became no message of their own */
};

/* Our clock beside the collector's. */
struct stats_clock {
    bool is_synced;
    int64_t offset_ns; /* ours minus the collector's */
    uint64_t trip_ns;  /* there and back, of the probe that this rests on */
};

struct stats_sink {
    char name[24];
    bool connected;
    uint64_t sent, acked, retried, failed, unacked, spool_bytes, oldest_age_ns;
    char last_error[160];
    uint64_t spool_errors;   /* of its disk */
    char spool_trouble[160]; /* why its spool is not on disk as it should be; "": it is */
    uint64_t max_rate;       /* records a second of a stream that its peer takes; 0: all */
    uint64_t throttles, redirects, redirects_refused; /* what its peer asked for */
    char redirected_to[128];                          /* "": it is where the settings say */
    struct stats_clock clock; /* of its peer; not part of the row as it travels */
};

/* The packets that are written to pcap files. */
struct stats_pcap {
    bool is_on, is_disk_full;
    uint64_t offered, written, written_bytes, queue_full, refused, disk_full, failed;
    uint64_t files, files_deleted, oldest_ns, queued_high_water;
};

struct stats_record {
    struct record_identity identity;
    uint64_t start_ns, end_ns; /* packet time */
    uint64_t packets_total, bytes_total, uptime_ns;
    struct stats_totals totals;
    struct stats_top_list top[STATS_DIMENSION_COUNT];
    struct stats_top_flow top_flows[STATS_TOP_FLOWS_MAX];
    uint32_t top_flows_count;
    /* TCP health of the interval; rtt_counts[i] counts samples up to rtt_bounds_seconds[i]. */
    uint64_t data_segments, retransmitted_segments, out_of_order_segments, zero_window_events;
    uint64_t resets, half_open;
    uint64_t rtt_counts[STATS_RTT_BOUNDS + 1];
    double rtt_sum_seconds;
    uint64_t dns_queries, dns_responses, dns_rcode_counts[STATS_RCODES];
    uint64_t dns_response_counts[STATS_RTT_BOUNDS + 1]; /* by the same bounds */
    double dns_response_sum_seconds;
    uint64_t flow_table_bytes, detectors_bytes, spool_bytes, rss_bytes, limit_bytes;
    struct record_text version, config_hash;
    struct stats_interface interfaces[STATS_ROWS_MAX];
    struct stats_ledger_row ledger[STATS_ROWS_MAX];
    struct stats_shard shards[STATS_ROWS_MAX];
    struct stats_detector detectors[STATS_ROWS_MAX];
    struct stats_sink sinks[STATS_ROWS_MAX];
    struct stats_capture_ring capture_rings[STATS_ROWS_MAX];
    uint32_t interfaces_count, ledger_count, shards_count, detectors_count, sinks_count;
    uint32_t capture_rings_count;
    struct stats_pcap pcap; /* written where is_on */
    struct stats_clock clock;
};

/* Upper bounds of the histograms of round trips and of DNS answers: 0.5 ms .. 2 s. */
extern const double stats_rtt_bounds_seconds[STATS_RTT_BOUNDS];
