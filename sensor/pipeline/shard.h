/* One shard: decodes frames, counts them into its flow table, inspects, feeds the detectors,
 * encodes records.
 *
 * Depends on: everything below the pipeline. Threads: one shard, one thread; shard_ask,
 * shard_counts_of from any. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/error.h"
#include "detection/detection.h"
#include "sensor/capture/pcap_writer.h"
#include "sensor/flow/flow_table.h"
#include "sensor/inspect/inspect.h"
#include "sensor/pipeline/name_join.h"
#include "sensor/pipeline/publisher.h"
#include "sensor/wire/frame.h"

enum shard_lines {
    SHARD_LINES_NONE,
    SHARD_LINES_SUMMARY,  /* one line a packet */
    SHARD_LINES_DETAILED, /* and its protocol tree */
    SHARD_LINES_HEX,      /* and its bytes */
};

#define SHARD_EPOCHS 8 /* seconds that one shard may have open or on their way */

struct shard_settings {
    uint32_t index;
    struct flow_settings flow;
    struct inspect_settings inspect;
    const struct detection_settings *detection; /* borrowed; NULL = off */
    struct shard_outlet *outlet;                /* borrowed */
    struct wake *publisher_wake;                /* borrowed */
    struct record_text sensor_id, boot_id;      /* borrowed: the room kept for the identity */
    struct record_text interface;               /* borrowed: name in packet samples */
    uint32_t batches;                           /* in the pool: 8.. */
    bool is_lossless;                 /* wait for a batch instead of losing a record (files) */
    const struct packet_rules *rules; /* borrowed; NULL: packet_rules_default */
    bool verify_checksums;            /* IPv4 header checksums: counted, never dropped */
    bool sample_payload;              /* packet samples keep what is behind the transport header */
    double samples_per_second;        /* packet time; 0 = no samples */
    uint32_t sample_bytes;            /* of each: 64..PACKET_SAMPLE_BYTES_MAX */
    enum shard_lines lines;
    struct counter *packet_index; /* shared by the shards: number of the next line */
    struct pcap_writer *pcap;     /* borrowed; NULL = none. Producer number = index */
    bool dns_records;             /* a record for each DNS transaction */
    struct name_outlet *names;    /* borrowed; NULL: DNS answers name nothing */
};

/* One writer (the shard), any reader. */
struct shard_counts {
    struct counter frames, bytes;                             /* handed to the shard */
    struct counter malformed, truncated, unsupported, non_ip; /* frames with such a verdict */
    struct counter not_in_flow;                               /* frames that no flow could count */
    struct counter not_in_flow_by[DECODE_REASON_COUNT];       /* of them; WHOLE: it was no IP */
    struct counter decode_faults[LAYER_COUNT][DECODE_REASON_COUNT]; /* walks that ended early */
    struct counter tunnels_full; /* flows whose tunnels found no room */
    struct counter checksum_bad;
    struct counter flow_packets, flow_bytes;   /* counted into flows */
    struct counter reported_packets;           /* in records handed over or lost */
    struct counter lost_records, lost_packets; /* no batch was free (live) */
    struct counter lost_lines;
    struct counter flows_active, flows_max, flows_created, flows_evicted;
    struct counter late_packets;
    struct counter samples;
    struct counter dns_records;
    struct counter lost_names; /* answers that found the queue to the publisher full */
    struct counter ring_high_water;
    struct counter inspect_pool_full;
    struct counter flow_table_bytes, inspect_bytes;
    struct counter pcap_failed;
    struct counter last_packet_ns;
};

struct shard;

MUST_USE struct shard *shard_new(const struct shard_settings *settings, struct error *err);
void shard_free(struct shard *shard); /* after the publisher has ended */
DEFINE_AUTO(shard, shard_free);

/* Counts frames. `watermark_ns`: packet time that the whole input has reached before the first of
 * them; 0 = only what this shard has seen. `indexes` (NULL = the shared counter): number of each
 * frame in the input. */
void shard_frames(struct shard *shard, const struct frame *frames, uint32_t count,
                  uint64_t watermark_ns, const uint64_t *indexes);
/* No packet before this time will come to the shard any more: its answers up to there have been
 * handed over. Called by whoever deals frames to several shards; shard_frames tells what it can
 * know itself. */
void shard_passed(struct shard *shard, uint64_t time_ns);
/* Time has passed without packets. */
void shard_time(struct shard *shard, uint64_t now_ns);
/* Ends all flows, hands over what is left and marks the outlet finished. `now_ns`: last packet time
 * of the whole input, 0 = of this shard. */
void shard_finish(struct shard *shard, uint64_t now_ns, enum flow_end_detail detail);

const struct shard_counts *shard_counts_of(const struct shard *shard);

/* A question that the shard answers on its own thread between two batches, in any order. The memory
 * is the asker's until `answer` is called; every question is answered, at the latest by
 * shard_finish. */
struct shard_question {
    void (*answer)(struct shard *shard, struct shard_question *question);
    struct shard_question *next;
};
/* False: the shard has finished. Any thread. */
MUST_USE bool shard_ask(struct shard *shard, struct shard_question *question);

/* For answers: calls `each` with a filled record of every live flow, as FLOW_EVENT_NONE. */
void shard_each_flow(struct shard *shard,
                     void (*each)(void *context, const struct flow_record *record), void *context);
uint32_t shard_index(const struct shard *shard);
