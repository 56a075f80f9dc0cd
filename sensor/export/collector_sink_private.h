/* Parts of the collector sink that its files share. Private to sensor/export/collector_sink*.c.
 *
 * One mutex guards it all; it is held for the copy of a batch at most, never while gRPC is called.
 * The publisher appends to the spools and dials; all sending is done on the call's own thread
 * (collector_sink_pump), so messages leave in order. Depends on: collector_sink.h. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/spool/spool.h"
#include "proto/codec.h"
#include "proto/ingest_message.h"
#include "sensor/export/collector_sink.h"
#include "sensor/export/packet_layers.h"

#define COLLECTOR_LANES      (RECORD_STREAM_COUNT - 1)
#define COLLECTOR_WINDOW_MAX 1024 /* batches on their way, whatever the collector allows */
#define COLLECTOR_TOKEN_MAX  4096
/* Packet samples of one batch, and the room of each with its protocol tree. */
#define COLLECTOR_SAMPLES_MAX  16
#define COLLECTOR_SAMPLE_BYTES (4096 + PACKET_LAYERS_BYTES_MAX)

/* What is on its way: one batch, or a gap told (no records). */
struct collector_sent {
    uint64_t last_seq;
    uint64_t taken_ns; /* monotonic time when the batch came from the publisher */
    uint32_t records;
};

/* Sketches that wait: each is worth little when it is late, so the oldest goes first. */
#define COLLECTOR_SKETCHES_MAX 8

/* One stream of records. */
struct collector_lane {
    enum record_stream stream;
    struct spool *spool;
    struct collector_sent window[COLLECTOR_WINDOW_MAX]; /* a ring */
    uint32_t window_head, window_count;
    uint64_t highest_seq; /* ever sent as a batch */
};

struct collector_sink {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* an acknowledgement, the end of a call */
    const struct collector_settings *settings;
    struct rpc_runtime *runtime;
    struct rpc_channel *channel;
    struct rpc_method method;
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    char boot_id[INGEST_BOOT_ID_BYTES];
    char config_hash[17];
    struct collector_lane lanes[COLLECTOR_LANES];

    struct rpc_call *call; /* NULL: not connected */
    bool is_dialing;       /* between rpc_call_start and the end of the call */
    bool is_welcomed;
    bool is_full;   /* the call's queue is; on_writable goes on */
    bool is_posted; /* a pump is on its way to this call's thread */
    uint32_t posts; /* pumps on their way or running, of all calls */
    bool is_closing;
    bool is_goodbye_sent;
    bool is_heartbeat_due;
    bool has_probe;
    struct ingest_probe probe;
    uint64_t sketch_seed;                              /* of Welcome; 0: none, or not connected */
    struct rpc_bytes sketches[COLLECTOR_SKETCHES_MAX]; /* whole messages, a ring */
    uint32_t sketches_head, sketches_count;
    uint64_t sketches_dropped;
    uint32_t window_max;
    uint32_t batch_records_max;
    uint64_t heartbeat_ns, heartbeat_at_ns;
    uint64_t dialled_ns; /* monotonic; of this call */
    uint64_t dial_at_ns;
    uint64_t backoff_ns; /* 0: none yet */

    uint64_t sent, acked, retried, lost, gaps; /* records; gaps: notices */
    char last_error[160];
    uint64_t error_logged_ns;

    /* The publisher's own, without the lock. */
    struct codec_slice slices[BATCH_RECORDS_MAX];
    uint8_t *layers; /* COLLECTOR_SAMPLES_MAX samples with their protocol trees */
    uint8_t *scratch;
    size_t scratch_bytes;
};

/* collector_sink_dial.c */

/* Checks settings and makes the channel. 0 or -errno with `err`. */
MUST_USE int collector_sink_prepare(struct collector_sink *sink, struct error *err);
/* Starts a call when there is none and it is time. By the publisher. */
void collector_sink_dial(struct collector_sink *sink, uint64_t now_ns);
/* The call has ended: says why in plain words and decides when to dial again. With the lock. */
void collector_sink_ended(struct collector_sink *sink, const struct rpc_result *result,
                          uint64_t now_ns);

/* collector_sink_stream.c */

/* Frees those that wait and asks for no more. With the lock. */
void collector_sink_forget_sketches(struct collector_sink *sink);
void collector_sink_methods(struct collector_sink *sink);
/* Has the pump run on the call's thread. Without the lock. */
void collector_sink_wake(struct collector_sink *sink);
