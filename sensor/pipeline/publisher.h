/* The publisher thread: takes batches and seconds from all shards, numbers records, decides
 * seconds, and offers batches to the sinks through one bounded queue of references each.
 *
 * Depends on: base, proto, detection, batch, epoch, sink. Threads: start, stop and counts from any;
 * all else on its own. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/error.h"
#include "base/ring.h"
#include "base/wake.h"
#include "detection/detection.h"
#include "detection/learnt_file.h"
#include "sensor/pipeline/asset_list.h"
#include "sensor/pipeline/batch.h"
#include "sensor/pipeline/epoch.h"
#include "sensor/pipeline/evidence_pins.h"
#include "sensor/pipeline/label_join.h"
#include "sensor/pipeline/name_join.h"
#include "sensor/pipeline/sink.h"

#define PUBLISHER_SINKS_MAX  20
#define PUBLISHER_SHARDS_MAX 64

/* What a shard hands over. The shard pushes, the publisher pops, except `epochs_free`, which goes
 * back. */
struct shard_outlet {
    struct ring *batches;
    struct ring *epochs;
    struct ring *epochs_free;
    _Atomic uint64_t place;   /* epoch_place: all seconds before it have been handed over */
    atomic_bool is_finished;  /* set after the last push */
    struct name_outlet names; /* queue NULL: off */
};

struct publisher_settings {
    struct record_identity identity; /* sensor_id and boot_id, borrowed for life; seq is not read */
    struct shard_outlet *outlets;    /* borrowed */
    uint32_t shards;
    uint32_t epochs_per_shard; /* for the sum of memory */
    struct sink sinks[PUBLISHER_SINKS_MAX];
    uint32_t sinks_count;
    uint32_t queue_batches; /* references waiting for one sink: 4..4096 */
    bool is_lossless;       /* sinks that drop push back instead (--lossless) */
    uint64_t flush_ns;      /* longest wait for sinks at the end */
    /* Borrowed; NULL = never. Once true, sinks hold the shards back for `flush_ns` more at most:
     * then what they cannot take is dropped and counted. */
    const atomic_bool *stop;
    const struct detection_settings *detection; /* borrowed; NULL = off */
    struct learnt_file_settings learnt; /* path NULL: what detectors learn ends with the process */
    /* Borrowed: the rules of the next second; NULL: `detection`. */
    _Atomic(const struct detection_settings *) *detection_now;
    _Atomic uint64_t *sketch_seed;       /* borrowed; set here, read by the shards at each second */
    struct passive_names_settings names; /* answers_max 0: off */
    const struct flow_settings *flow;    /* borrowed: which networks are inside; NULL: as if none */
    struct label_source *labels;         /* borrowed; NULL: networks have no labels */
    uint32_t assets_max;                 /* 0: none are kept */
    struct evidence_pins_settings evidence; /* packets 0: off */
    uint32_t
        held_batches; /* a shard's batches that may wait for names of other shards, and alerts */
    bool is_live;     /* else what a record knows of alerts does not depend on threads' pace */
    /* Fills what the publisher does not know: interfaces, shards, memory, ledger rows up to
     * FLOW, totals.lost_packets. On the publisher thread. */
    void (*fill_stats)(void *context, struct stats_record *record);
    /* An alert was decided (for the terminal). On the publisher thread. May be NULL. */
    void (*on_alert)(void *context, const struct alert_record *alert);
    /* A second was decided. On the publisher thread. May be NULL. */
    void (*on_stats)(void *context, const struct stats_record *record);
    /* A line of text from a shard. On the publisher thread. May be NULL. */
    void (*on_line)(void *context, const char *text, uint32_t length);
    void *context;
};

/* One writer (the publisher), any reader. */
struct publisher_sink_counts {
    struct counter records_in, packets_in;   /* put into its queue or dropped in front of it */
    struct counter records_out, packets_out; /* taken by the sink */
    struct counter dropped_full, dropped_refused;
    struct counter held; /* records waiting now */
};

/* As in struct stats_detector, of the last second. */
struct publisher_detector_counts {
    const char *_Atomic name; /* static; NULL: no such row */
    struct counter tracked_keys, key_capacity, memory_bytes, saturated;
    struct counter opened, open, logged, learnt, suppressed;
};

struct publisher_counts {
    struct counter rounds;                 /* of its loop: it is alive */
    struct counter records_in, packets_in; /* from shards and the publisher itself */
    struct counter records_out, packets_out;
    struct counter lost_no_batch;                /* alerts and statistics without room */
    struct counter records[RECORD_STREAM_COUNT]; /* numbered so far = last seq of the stream */
    struct counter flow_events[4];               /* by enum flow_event */
    struct counter flow_ends[8];                 /* records of END, by enum flow_end_reason */
    struct counter alerts[ALERT_KIND_COUNT][8];  /* opened, by kind and severity */
    struct counter alerts_open;                  /* now */
    struct counter alerted_flows;                /* records that belong to an alert */
    struct counter alerts_no_room;               /* of which they were not told for want of room */
    struct counter gap_flows;                    /* records behind which packets are missing */
    struct counter detectors_bytes;              /* frames of all shards, and windows */
    struct counter sketch_frames_refused;        /* seconds of a shard under another seed */
    struct counter sketch_frames_sent, sketch_bytes_sent;
    struct publisher_detector_counts detectors[DETECTORS_MAX];
    struct counter delta_packets, delta_bytes; /* in flow records */
    struct publisher_sink_counts sinks[PUBLISHER_SINKS_MAX];
};

struct publisher;

/* NULL with `err`. The sinks are open already and are closed by their owner. */
MUST_USE struct publisher *publisher_new(const struct publisher_settings *settings,
                                         struct error *err);
/* After publisher_join. */
void publisher_free(struct publisher *publisher);
DEFINE_AUTO(publisher, publisher_free);
MUST_USE int publisher_start(struct publisher *publisher, struct error *err);
struct wake *
publisher_wake(struct publisher *publisher); /* shards call wake_up on it after a push */
/* Returns when all shards are finished and all sinks flushed (or their time is over). */
void publisher_join(struct publisher *publisher);
/* True when its thread has flushed all sinks. Any thread. */
bool publisher_has_ended(const struct publisher *publisher);
const struct publisher_counts *publisher_counts_of(const struct publisher *publisher);
/* False when names are off or the thread has ended: there will be no answer. Any thread. */
MUST_USE bool publisher_ask_names(struct publisher *publisher, struct name_question *question);
/* NULL when names are off. Any thread. */
const struct name_join_counts *publisher_names(const struct publisher *publisher);
/* NULL when networks have no labels. Any thread. */
const struct label_join_counts *publisher_labels(const struct publisher *publisher);
/* As asset_list_read; 0 when none are kept. Any thread. */
uint32_t publisher_list_assets(struct publisher *publisher, const struct asset_list_query *query,
                               struct asset *out, uint32_t out_max, struct asset_list_sum *sum);
/* NULL when what is learnt is not kept. Any thread. */
const struct learnt_file_counts *publisher_learnt(const struct publisher *publisher);
/* NULL when no packets are kept for alerts. Any thread. */
const struct evidence_pins_counts *publisher_evidence(const struct publisher *publisher);
/* Records that sinks still owed when the flush time was over. After publisher_join. */
uint64_t publisher_owed(const struct publisher *publisher);
/* Rows PUBLISH and SINK of the ledger. Returns how many were written. Any thread. */
uint32_t publisher_ledger(const struct publisher *publisher, struct stats_ledger_row *rows,
                          uint32_t rows_max);
/* The rows of statistics of the sinks. */
uint32_t publisher_sink_rows(const struct publisher *publisher, struct stats_sink *rows,
                             uint32_t rows_max);
