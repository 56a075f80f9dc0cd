/* The whole packet path: shards, their input, the publisher and the sinks, started and stopped in
 * order.
 *
 * Depends on: everything below. Threads: made here (one a shard, publisher, reader with several
 * shards); functions that say "any thread" may be called from elsewhere while it runs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cpu_list.h"
#include "base/error.h"
#include "detection/detection.h"
#include "sensor/capture/capture.h"
#include "sensor/capture/pcap_writer.h"
#include "sensor/flow/flow_table.h"
#include "sensor/pipeline/publisher.h"
#include "sensor/pipeline/shard.h"
#include "sensor/pipeline/sink.h"
#include "sensor/pipeline/tap.h"

struct pipeline_settings {
    struct capture_settings capture;    /* read_paths_count 0: live */
    uint32_t shards;                    /* 1..PUBLISHER_SHARDS_MAX */
    struct cpu_list cpus;               /* that shards are pinned to in turn; none: not pinned */
    uint64_t count_max;                 /* packets; 0 = all */
    bool is_paced, is_looped;           /* files, see reader.h */
    bool is_lossless;                   /* network sinks push back too */
    struct flow_settings flow;          /* flows_max is for all shards; budget is set here */
    struct inspect_settings inspect;    /* all but times and stream_bytes is for all shards */
    struct fragment_settings fragments; /* for all shards; key is set here; datagrams_max 0: none */
    uint32_t assets_max;                /* 0: none are kept */
    uint64_t handover_bytes;            /* live with several shards: rings into each */
    struct detection_settings detection;
    struct learnt_file_settings learnt; /* path NULL: what detectors learn ends with the process */
    const char *sensor_id, *boot_id, *config_hash; /* borrowed */
    struct sink sinks[PUBLISHER_SINKS_MAX];
    uint32_t sinks_count;
    uint32_t queue_batches, batches_per_shard;
    uint64_t flush_ns;
    const struct packet_rules *rules; /* borrowed; NULL: packet_rules_default */
    bool verify_checksums, sample_payload;
    double samples_per_second; /* of the whole sensor */
    uint32_t sample_bytes;
    uint64_t evidence_bytes;             /* of each shard: packets kept for alerts; 0: none */
    uint32_t evidence_per_second;        /* of them published, of the whole sensor */
    bool dns_records;                    /* a record for each DNS transaction */
    struct passive_names_settings names; /* answers_max 0: off */
    struct label_source *labels;         /* borrowed; NULL: networks have no labels */
    enum shard_lines lines;
    const struct pcap_writer_settings *write_pcap; /* producers is set here; NULL = none */
    struct tap_policy taps;                        /* captures on request */
    /* All on the publisher thread; each may be NULL. */
    void (*on_alert)(void *context, const struct alert_record *alert);
    void (*on_stats)(void *context, const struct stats_record *record);
    void (*on_line)(void *context, const char *text, uint32_t length);
    void *context;
};

struct pipeline;

/* Opens the input (so that privileges may be dropped afterwards) and takes all memory. NULL with
 * `err`. */
MUST_USE struct pipeline *pipeline_new(const struct pipeline_settings *settings,
                                       struct error *warning, struct error *err);
/* On failure nothing runs any more. */
MUST_USE int pipeline_start(struct pipeline *pipeline, struct error *err);
/* Stop reading; what the kernel had handed over is still counted. Any thread, also twice. */
void pipeline_stop(struct pipeline *pipeline);
/* True when the input has ended and all shards have handed over what they had. Any thread. */
bool pipeline_is_finished(const struct pipeline *pipeline);
/* True when the sinks have been flushed too: pipeline_join no longer waits. Any thread. */
bool pipeline_has_ended(const struct pipeline *pipeline);
/* What became of the packets for the pcap file; false: none is written. Any thread. */
bool pipeline_pcap_counts(struct pipeline *pipeline, struct pcap_writer_counts *out);
/* True when a packet could not be written to the pcap file. Any thread. */
bool pipeline_pcap_failed(const struct pipeline *pipeline);
/* Waits for the end. 0, or -errno with `err`: a fault of the input, or a failed write of a sink or
 * the pcap file. */
MUST_USE int pipeline_join(struct pipeline *pipeline, struct error *err);
void pipeline_free(
    struct pipeline *pipeline); /* after pipeline_join; sinks are closed by their owner */
DEFINE_AUTO(pipeline, pipeline_free);

/* As in fragment_table.h, over all tables. */
struct pipeline_fragments {
    uint64_t fragments, atomic, datagrams, completed, attributed, held, held_now;
    uint64_t unattributed_timeout, unattributed_evicted, unattributed_full, unattributed_end;
    uint64_t evicted, duplicates;
    uint64_t overlaps, tiny, oversized, odd, empty, contradictory, too_many;
};

/* Sums over shards and interfaces since start. */
struct pipeline_totals {
    uint64_t packets, bytes;
    uint64_t kernel_dropped, interface_dropped;
    uint64_t
        dispatch_dropped;  /* records and lines lost because no batch was free, pcap drops apart */
    uint64_t lost_packets; /* packets in lost records */
    uint64_t lost_records; /* by the shards */
    uint64_t handover_packets, handover_dropped, handover_held; /* between shards, live */
    uint64_t handover_high_water_bytes;                         /* in one ring */
    uint64_t fragments_held;
    struct pipeline_fragments fragments;
    uint64_t arp[ARP_KIND_COUNT]; /* by enum arp_kind */
    uint64_t malformed, truncated, unsupported, non_ip, not_in_flow, checksum_bad, late;
    uint64_t decode_faults[LAYER_COUNT][DECODE_REASON_COUNT]; /* walks that ended early */
    uint64_t not_in_flow_by[DECODE_REASON_COUNT]; /* DECODE_WHOLE: read to its end, and no IP */
    uint64_t tunnels_full;                        /* flows whose tunnels found no room */
    uint64_t quic_initials, quic_unopened;
    uint64_t flow_packets, reported_packets, flows_active, flows_max, flows_created, flows_evicted;
    uint64_t flow_table_bytes, detectors_bytes, inspect_bytes;
    uint64_t inspect[INSPECT_FIGURES]; /* inspect_figures */
    uint64_t samples, pcap_dropped;
    uint64_t file_bytes_read, file_bytes_total; /* files; 0 = unknown */
    uint64_t last_packet_ns;
};
void pipeline_totals_read(struct pipeline *pipeline, struct pipeline_totals *out); /* any thread */

/* Sums of each second's statistics since the start. One writer (the publisher), any reader. */
struct pipeline_health_counts {
    struct counter rtt[STATS_RTT_BOUNDS + 1]; /* samples by stats_rtt_bounds_seconds */
    struct counter rtt_ns;                    /* their sum */
    struct counter data_segments, retransmitted_segments, out_of_order_segments, zero_windows;
    struct counter resets;
    struct counter dns_queries, dns_responses, dns_response_ns;
    struct counter dns_response[STATS_RTT_BOUNDS + 1]; /* by the same bounds */
    struct counter dns_rcodes[STATS_RCODES], dns_rcodes_other;
};
const struct pipeline_health_counts *pipeline_health(const struct pipeline *pipeline);

/* Ledger rows of all stages up to the sinks, and of what a sink has behind it (spool, wire). Any
 * thread; see pipeline_ledger.c for what `held` means while packets move. */
uint32_t pipeline_ledger(struct pipeline *pipeline, struct stats_ledger_row *rows,
                         uint32_t rows_max);
/* Live: asks the kernel now for what it has dropped, else the ledger is up to a second behind. Any
 * thread. */
void pipeline_look(struct pipeline *pipeline);
uint32_t pipeline_interfaces(struct pipeline *pipeline, struct stats_interface *rows,
                             uint32_t rows_max);
/* The kernel's rings, live: one for each interface and shard. Any thread. */
uint32_t pipeline_capture_rings(struct pipeline *pipeline, struct stats_capture_ring *rows,
                                uint32_t rows_max);
uint32_t pipeline_shard_rows(struct pipeline *pipeline, struct stats_shard *rows,
                             uint32_t rows_max);
/* As asset_list_read. Any thread. */
uint32_t pipeline_assets(struct pipeline *pipeline, const struct asset_list_query *query,
                         struct asset *out, uint32_t out_max, struct asset_list_sum *sum);
/* Name of the interface with this number. */
struct record_text pipeline_interface_name(const struct pipeline *pipeline, uint16_t number);
uint32_t pipeline_sink_rows(struct pipeline *pipeline, struct stats_sink *rows, uint32_t rows_max);
/* The sinks as they were given; constant. */
const struct sink *pipeline_sinks(const struct pipeline *pipeline, uint32_t *count);
/* Names from DNS answers. Any thread. */
struct pipeline_names {
    uint64_t answers_used, answers_max, added, replaced, refused, memory_bytes;
    uint64_t lost; /* answers that found the way to the publisher full (live) */
    uint64_t named_servers, named_clients; /* records */
    uint64_t no_room, early;               /* see name_join.h */
};
/* All 0 when names are off. */
void pipeline_names_read(struct pipeline *pipeline, struct pipeline_names *out);

/* As struct label_join_counts. */
struct pipeline_labels {
    uint64_t found, looked_up, labelled, named, omitted, prefixes, memory_bytes;
};
/* False, and all 0: networks have no labels. */
bool pipeline_labels_read(const struct pipeline *pipeline, struct pipeline_labels *out);
/* Labels of networks for one walk over flows; false: no memory. `*view` NULL: networks have no
 * labels. Any thread. */
MUST_USE bool pipeline_view_labels(const struct pipeline *pipeline, struct label_view **view);
/* As label_source_append. Any thread. */
size_t pipeline_append_labels(const struct pipeline *pipeline, const struct label_end *end,
                              uint8_t *out, size_t capacity);
const struct publisher_counts *pipeline_publisher_counts(const struct pipeline *pipeline);
/* Records that sinks still owed when the flush time was over. After pipeline_join. */
uint64_t pipeline_owed(const struct pipeline *pipeline);

/* NULL when what detectors learn is not kept. Any thread. */
const struct learnt_file_counts *pipeline_learnt(const struct pipeline *pipeline);

/* Packets pinned to alerts. All 0 where none are kept. */
struct pipeline_evidence {
    uint64_t memory_bytes, packets, refused, alerts, without;
};
void pipeline_evidence_read(const struct pipeline *pipeline, struct pipeline_evidence *out);

/* A capture of what this pipeline reads, as tap_new; it must end before the pipeline. Any thread.
 */
MUST_USE struct tap *pipeline_tap_new(struct pipeline *pipeline, const struct tap_request *request,
                                      struct error *err);
struct pipeline_taps {
    uint32_t running;
    uint64_t started, refused, packets, bytes, dropped;
};
void pipeline_taps_read(const struct pipeline *pipeline, struct pipeline_taps *out);

/* Asks all shards; `questions` holds one for each. Returns how many will be answered. Any thread.
 */
uint32_t pipeline_ask(struct pipeline *pipeline, struct shard_question *const *questions);
uint32_t pipeline_shards(const struct pipeline *pipeline);
/* As publisher_ask_names. */
MUST_USE bool pipeline_ask_names(struct pipeline *pipeline, struct name_question *question);

/* Rounds of the threads' loops since the start: one number a shard, the publisher's behind them.
 * `is_over[i]`: that thread has ended. Both have room for pipeline_shards() + 1. Any thread. */
void pipeline_rounds(const struct pipeline *pipeline, uint64_t *rounds, bool *is_over);

/* ---- changes while it runs. Any thread; no packet is lost or waits. ---- */

/* Rules for the seconds that begin from now on, as detection_use: both are borrowed until
 * pipeline_free. `config_hash` stands in statistics from then on. */
void pipeline_use_rules(struct pipeline *pipeline, const struct detection_settings *rules,
                        const char *config_hash);
/* `samples_per_second` is of the whole sensor. Each shard follows between two batches. -ENOMEM:
 * nothing has changed. */
MUST_USE int pipeline_tune(struct pipeline *pipeline, const struct shard_tuning *tuning);
