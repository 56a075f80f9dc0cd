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
#include "sensor/flow/fragment_table.h"
#include "sensor/inspect/inspect.h"
#include "sensor/pipeline/handover.h"
#include "sensor/pipeline/name_join.h"
#include "sensor/pipeline/publisher.h"
#include "sensor/pipeline/question_list.h"
#include "sensor/pipeline/tap.h"
#include "sensor/wire/arp.h"
#include "sensor/wire/frame.h"

enum shard_lines {
    SHARD_LINES_NONE,
    SHARD_LINES_SUMMARY,  /* one line a packet */
    SHARD_LINES_DETAILED, /* and its protocol tree */
    SHARD_LINES_HEX,      /* and its bytes */
};

#define SHARD_EPOCHS        8   /* seconds that one shard may have open or on their way, ... */
#define SHARD_ASSETS        256 /* told in one second; more are refused and counted */
#define SHARD_EPOCHS_HANDED 4   /* ... and so many more where others hand packets over */

struct shard_settings {
    uint32_t index;
    uint32_t shards_count;
    struct flow_settings flow;
    struct inspect_settings inspect;
    const struct detection_settings *detection; /* borrowed; NULL = off */
    const _Atomic uint64_t *sketch_seed;        /* borrowed: what each second is hashed by */
    /* Borrowed: by which rules each second is looked at; NULL: `detection`. */
    _Atomic(const struct detection_settings *) *detection_now;
    struct shard_outlet *outlet;           /* borrowed */
    struct wake *publisher_wake;           /* borrowed */
    struct record_text sensor_id, boot_id; /* borrowed: the room kept for the identity */
    struct record_text interface;          /* borrowed: name in packet samples */
    uint32_t batches;                      /* in the pool: 8.. */
    bool is_lossless;                      /* wait for a batch instead of losing a record (files) */
    const struct packet_rules *rules;      /* borrowed; NULL: packet_rules_default */
    bool verify_checksums;                 /* IPv4 header checksums: counted, never dropped */
    bool sample_payload;       /* packet samples keep what is behind the transport header */
    double samples_per_second; /* packet time; 0 = no samples */
    uint32_t sample_bytes;     /* of each: 64..PACKET_SAMPLE_BYTES_MAX */
    uint32_t evidence_packets; /* kept of each second in case an alert opens; 0: none */
    enum shard_lines lines;
    struct counter *packet_index;       /* shared by the shards: number of the next line */
    struct pcap_writer *pcap;           /* borrowed; NULL = none. Producer number = index */
    struct tap_set *taps;               /* borrowed; NULL = none */
    bool dns_records;                   /* a record for each DNS transaction */
    struct name_outlet *names;          /* borrowed; NULL: DNS answers name nothing */
    bool has_labels;                    /* the publisher may add labels of networks */
    uint32_t assets_max;                /* of the whole sensor; 0: none are kept */
    struct fragment_settings fragments; /* datagrams_max 0: the reader looks after fragments */
    struct handover *handover;          /* borrowed; NULL = all packets are its own */
    struct unread_links *unread_links;  /* borrowed, of all shards; NULL: they are not told */
    /* Borrowed, of all shards: how often the machine's clock was set back by more than
     * FLOW_CLOCK_STEP_NS. NULL: time is that of a file alone. */
    _Atomic uint64_t *era;
};

#define SHARD_INTERFACES 32 /* told apart; the last stands for all behind it, too */

/* One writer (the shard), any reader. */
struct shard_counts {
    struct counter rounds;                                    /* of its loop: it is alive */
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
    struct counter arp[ARP_KIND_COUNT]; /* by enum arp_kind */
    struct counter lost_names;          /* answers that found the queue to the publisher full */
    struct counter ring_high_water;
    struct counter inspect[INSPECT_FIGURES];     /* inspect_figures */
    struct counter quic_initials, quic_unopened; /* tried to open; of those, in vain */
    struct counter flow_table_bytes, inspect_bytes;
    struct counter pcap_failed;
    struct counter missed_bytes[SHARD_INTERFACES]; /* ACKed and never seen, of ended flows */
    struct counter last_packet_ns;
    struct counter cpu_ns; /* of the thread that runs it, since its start; looked at each second */
    struct counter cpu_millionths; /* of one processor, over the last half second or more */
};

struct shard;

MUST_USE struct shard *shard_new(const struct shard_settings *settings, struct error *err);
void shard_free(struct shard *shard); /* after the publisher has ended */
DEFINE_AUTO(shard, shard_free);

/* Decodes and counts frames of its own input. `first_index` (0 = the shared counter): number of the
 * first frame in the input, from 1; the others follow it. With a hand-over, packets of other
 * shards' flows are pushed, not yet published. */
void shard_frames(struct shard *shard, const struct frame *frames, uint32_t count,
                  uint64_t first_index);
/* The same live, at most CAPTURE_BATCH_MAX: first follows the clock. What the kernel had stamped
 * before its clock was set back counts at the time at which it is read. */
void shard_live_frames(struct shard *shard, const struct frame *frames, uint32_t count);
/* Live: where `wall_ns` lies behind the time reached, or another shard has found so, the clock was
 * set back: all open seconds are handed over, and those that follow are counted from `wall_ns` on.
 * Flows go on and carry FLOW_FLAG_CLOCK_STEP. */
void shard_follow_clock(struct shard *shard, uint64_t wall_ns);

/* What a shard is to do with an item that a reader has dealt to it. A fragment that waits for its
 * first one is a frame when it comes and a packet of a flow when that is known. */
enum shard_work {
    SHARD_WORK_FRAME = 1 << 0, /* count the frame, print it, write it */
    SHARD_WORK_FLOW = 1 << 1,  /* count the packet into its flow */
};

struct shard_dealt {
    const struct frame *frames; /* bytes NULL: none were kept */
    const struct packet *packets;
    const uint8_t *works; /* enum shard_work bits */
    const uint64_t *indexes;
    uint32_t count;
};

/* Counts what a reader has decoded and dealt. `watermark_ns`: packet time that the whole input has
 * reached before the first of them. */
void shard_take_dealt(struct shard *shard, const struct shard_dealt *dealt, uint64_t watermark_ns);

/* Live with several shards: counts what others have handed over, at most a few thousand packets;
 * true when nothing was left. Pushes (and does not publish) what must go on from here. */
bool shard_take_handed(struct shard *shard);
/* No packet from before `limit_ns` will be handed over any more: seconds before it may close. */
void shard_limit(struct shard *shard, uint64_t limit_ns);
/* Gives up all fragments that wait; before shard_finish where others must get them. */
void shard_end_fragments(struct shard *shard);
uint64_t shard_time_ns(const struct shard *shard); /* packet time reached; its own thread */
/* No packet before this time will come to the shard any more: its answers up to there have been
 * handed over. */
void shard_passed(struct shard *shard, uint64_t time_ns);
/* Time has passed without packets. */
void shard_time(struct shard *shard, uint64_t now_ns);
/* The input's clock was set back by more than FLOW_CLOCK_STEP_NS, from `from_ns`, the largest time
 * since the start or the last step, to `to_ns`: flows end and begin anew. Seconds go on counting
 * from the largest time of all; packets before it are late. */
void shard_step_clock(struct shard *shard, uint64_t from_ns, uint64_t to_ns);
/* Ends all flows, hands over what is left and marks the outlet finished. `now_ns`: last packet time
 * of the whole input, 0 = of this shard. */
void shard_finish(struct shard *shard, uint64_t now_ns, enum flow_end_detail detail);

const struct shard_counts *shard_counts_of(const struct shard *shard);
/* NULL: it has no table of fragments. */
const struct fragment_counts *shard_fragment_counts(const struct shard *shard);

/* A question that the shard answers on its own thread between two batches, in any order. The memory
 * is the asker's until `answer` is called; every question is answered, at the latest by
 * shard_finish. */
struct shard_question {
    struct question_link link;
    void (*answer)(struct shard *shard, struct shard_question *question);
};
/* False: the shard has finished. Any thread. */
MUST_USE bool shard_ask(struct shard *shard, struct shard_question *question);

/* What may change while a shard runs. */
struct shard_tuning {
    uint64_t idle_timeout_ns, active_timeout_ns; /* as in struct flow_settings */
    double samples_per_second;                   /* of this shard; 0: none */
};

/* For answers: from the next packet on. */
void shard_tune(struct shard *shard, const struct shard_tuning *tuning);
/* For answers: calls `each` with a filled record of every live flow, as FLOW_EVENT_NONE and without
 * an identity; it may write in it. */
void shard_each_flow(struct shard *shard, void (*each)(void *context, struct flow_record *record),
                     void *context);
