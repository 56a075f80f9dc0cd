/* Where records leave the sensor: one table of functions, one implementer each
 * (export/<name>_sink).
 *
 * Every call but `statistics` comes from the publisher thread. A sink may take a reference on the
 * batch (batch_ref) and work on it elsewhere. Depends on: base, proto, batch.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/record.h"
#include "sensor/pipeline/batch.h"

enum sink_verdict {
    SINK_TAKEN,   /* the sink has copied, written or referenced what it needs */
    SINK_BUSY,    /* full for now: offer the same batch again later */
    SINK_REFUSED, /* this batch can never be sent (disk full, peer refuses): count it and go on */
};

/* What the sink does when its queue at the publisher is full. */
enum sink_when_full {
    SINK_PUSHES_BACK, /* the publisher waits (files; live capture then drops at the ring, counted)
                       */
    SINK_DROPS, /* the oldest waiting batch is dropped and counted as lost{sink_full} (network) */
};

/* What the detectors saw in one second, all shards together: for a merge over several sensors. */
struct sink_sketch {
    uint64_t epoch; /* second of packet time */
    uint32_t seed_id;
    const uint8_t *bytes; /* detection_frame_write; borrowed for the call */
    size_t length;
};

struct sink_ops {
    const char *name; /* "kafka", "flows_jsonl": its name in the ledger and metrics */
    enum sink_when_full when_full;
    bool is_durable; /* keeps records until its peer has confirmed them: the ledger has SPOOL and
                      * WIRE rows for it, from `statistics` */
    /* Never blocks on a peer. The batch is borrowed for the call unless referenced. */
    enum sink_verdict (*offer)(void *sink, struct record_batch *batch);
    /* Called about every 20 ms, for time-driven work; may be NULL. */
    void (*tick)(void *sink);
    /* Waits for delivery until `deadline_ns` (monotonic). Returns the number of records still owed.
     */
    uint64_t (*flush)(void *sink, uint64_t deadline_ns);
    /* Fills a row; any thread. */
    void (*statistics)(void *sink, struct stats_sink *row);
    /* The last error that a person should know (a failed write), or NULL; read at the end for the
     * exit status. */
    const char *(*failure)(void *sink);
    void (*close)(void *sink);
    /* Both NULL: this sink has no use for sketches. `sketch_seed`: what they must be hashed by; 0:
     * none is wanted now. A sketch may be dropped. */
    uint64_t (*sketch_seed)(void *sink);
    void (*sketch)(void *sink, const struct sink_sketch *sketch);
};

struct sink {
    const struct sink_ops *ops;
    void *state;
};
