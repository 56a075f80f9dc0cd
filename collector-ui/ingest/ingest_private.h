/* What the files of ingest share. Private to collector-ui/ingest. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/spool/segment_log.h"
#include "collector-ui/ingest/ingest.h"
#include "collector-ui/ingest/ingest_positions.h"
#include "proto/codec.h"

#define INGEST_BATCH_RECORDS_MAX 4096
#define INGEST_CLOCK_SAMPLES     8

/* ---- frames of the log: sensor, time, and a Batch or a GapNotice ---- */

struct ingest_frame {
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    uint32_t lane; /* 0: of Connect */
    uint64_t receive_ns;
    const uint8_t *batch; /* one of the two; NULL: not there */
    const uint8_t *gap;
    uint32_t length;
};

#define INGEST_FRAME_HEAD_BYTES 192
#define INGEST_FRAME_ROOM       4096 /* around a message in a frame */
/* What stands in front of the message, which ends the frame; `out` has INGEST_FRAME_HEAD_BYTES.
 * Bytes written. */
MUST_USE size_t ingest_frame_head(const struct ingest_frame *frame, uint8_t *out);
MUST_USE bool ingest_frame_decode(const uint8_t *bytes, size_t length, struct ingest_frame *out);

/* ---- credentials ---- */

struct ingest_auth;
/* `events` tells whose are revoked; borrowed. */
MUST_USE struct ingest_auth *ingest_auth_new(const struct ingest_settings *settings,
                                             const struct ingest_events *events, struct error *err);
void ingest_auth_free(struct ingest_auth *auth);
/* Reads the tokens again, and uses them; between the two those before hold. One thread. */
MUST_USE int ingest_auth_read(struct ingest_auth *auth, const struct ingest_settings *settings,
                              struct error *err);
void ingest_auth_use(struct ingest_auth *auth);
/* The hook of the server: someone who is enrolled at all. */
enum rpc_status ingest_auth_admit(void *auth, struct rpc_call *call, const char *path,
                                  struct error *reason);
/* After hello: the credentials are those of this sensor. */
enum rpc_status ingest_auth_bind(struct ingest_auth *auth, struct rpc_call *call,
                                 const char *sensor_id, struct error *reason);

/* ---- streams and the log's queue ---- */

/* One Connect call. Its fields belong to the lock unless they say otherwise. */
struct ingest_stream {
    struct ingest *ingest;
    struct rpc_call *call; /* a reference */
    struct ingest_stream *next, *previous;
    struct ingest_boot *boot;             /* NULL before hello; pinned */
    struct ingest_dial *dial;             /* whose records these are; NULL: a call's, or lanes' */
    bool is_over;                         /* replaced, refused or done: nothing more is taken */
    bool can_capture;                     /* it says so in its hello */
    bool is_paused;                       /* the next message has not been asked for */
    bool is_ack_due;                      /* an acknowledgement found no room in the call's queue */
    uint32_t waiting;                     /* batches in the log's queue */
    uint32_t recent[RECORD_STREAM_COUNT]; /* records taken since the last tick */
    uint32_t told[RECORD_STREAM_COUNT];   /* rates that the sensor was asked to keep; 0: none */
    uint32_t backlog_rate[RECORD_STREAM_COUNT]; /* of them for the backlog; 0: none */
    uint64_t redirected_ns;                     /* when it was asked to go; 0: never */
    atomic_uint references;                     /* the call's, and one for each queued batch */
    /* The call's thread alone: */
    uint64_t probe_id, probe_sent_ns; /* 0: none under way */
    struct {
        uint64_t trip_ns;
        double offset_ms;
    } samples[INGEST_CLOCK_SAMPLES];
    uint32_t samples_count;
};

/* A batch or gap on its way to the log. */
struct ingest_entry {
    struct ingest_entry *next;
    struct ingest_stream *stream;
    struct ingest_place *place; /* its boot is pinned */
    uint32_t generation;
    bool is_gap;
    bool is_void;
    uint64_t first_seq, last_seq;
    uint64_t receive_ns;
    uint64_t log_position;
    size_t length; /* of the frame */
    size_t head_bytes, message_bytes;
    const uint8_t *message; /* in bytes[], or in `kept` */
    struct rpc_bytes kept;  /* of what came from the sensor */
    bool has_kept;
    uint8_t bytes[]; /* the frame, or its head */
};

/* A frame around the message as an entry; in `call`'s on_message the message stays where it is, if
 * it may, else (NULL: always) it is copied. NULL: no memory. */
MUST_USE struct ingest_entry *ingest_entry_new(const struct ingest_frame *frame,
                                               const struct rpc_call *call);
void ingest_entry_free(struct ingest_entry *entry);

/* What sensors are asked for (ingest_control.c). With the lock. */
struct ingest_control {
    char redirect_to[INGEST_ADDRESS_BYTES];
    uint32_t max_record_rate;
    uint64_t backlog_bytes_max;
    uint64_t log_end; /* of the log, in its positions */
    uint64_t stored;  /* as of the last tick */
    uint64_t tick_ns;
    bool is_behind;
};

struct ingest {
    const struct ingest_settings *settings;
    const struct ingest_events *events;
    char directory[4096];
    struct segment_log *log;
    struct ingest_auth *auth;
    struct rpc_server *server;
    struct rpc_method method;
    struct rpc_rate *rate; /* NULL: no limit */

    pthread_mutex_t lock;
    pthread_cond_t wake; /* for the log thread */
    struct ingest_positions *positions;
    struct ingest_lanes *lanes;      /* ingest_lane.c */
    struct ingest_positions *dialed; /* ingest_dial.c */
    struct ingest_stream *streams;
    struct ingest_entry *first, **last; /* the queue */
    uint64_t queue_bytes;
    bool is_stopping;
    bool is_failed;
    struct error failure;
    struct ingest_counts counts;
    uint64_t sessions;
    struct ingest_control control;
    struct ingest_stream *local; /* ingest_local.c; NULL: nothing yet */
    char local_boot_id[INGEST_BOOT_ID_BYTES];

    pthread_t thread;
    bool has_thread;
    struct arena *scratch; /* the log thread's */
    struct stats_record *stats;
    struct codec_slice *slices;
};

/* ingest_stream.c */
void ingest_stream_methods(struct ingest *ingest);
void ingest_stream_unref(struct ingest_stream *stream);
/* The peer broke the protocol, or there is no room for it (RESOURCE_EXHAUSTED: with the time after
 * which it may try again): counted, told to both sides. Without the lock. */
void ingest_stream_refuse(struct ingest_stream *stream, enum rpc_status status,
                          const char *message);

/* ingest_hello.c */
/* Of a sensor or boot: there, shorter than `room`, without spaces and control characters. */
bool ingest_is_name(const char *name, size_t room);
void ingest_take_hello(struct ingest_stream *stream, const struct ingest_hello *hello);
void ingest_take_heartbeat(struct ingest_stream *stream, const char *sensor_id,
                           const struct ingest_heartbeat *heartbeat);

/* ingest_records.c */
/* The message (a Batch, or a GapNotice) as an entry for the log, of this place. NULL: no memory. */
MUST_USE struct ingest_entry *ingest_entry_for(struct ingest_stream *stream,
                                               struct ingest_place *place, const uint8_t *message,
                                               size_t length, bool is_gap);
/* Records put together as a batch of the place's boot, numbered from `first_seq` on. NULL: no
 * memory. */
MUST_USE struct ingest_entry *
ingest_entry_of_records(struct ingest_stream *stream, struct ingest_place *place,
                        uint64_t first_seq, const struct codec_slice *records, uint32_t count);
/* Accepts the numbers and puts the entry at the end of the log's queue. With the lock. */
void ingest_entry_queue(struct ingest_entry *entry, uint64_t first_seq, uint64_t last_seq);
void ingest_take_batch(struct ingest_stream *stream, const struct ingest_request *request);
void ingest_take_packed(struct ingest_stream *stream, const struct ingest_packed *packed);
void ingest_take_gap(struct ingest_stream *stream, const struct ingest_request *request);
/* Sends the acknowledgement of a place to the sensor's stream. With the lock. */
void ingest_stream_acknowledge(struct ingest_place *place);

/* ingest_stream.c */
/* Asks for the next message where reading had stopped and there is room. With the lock. */
void ingest_stream_resume(struct ingest *ingest);
/* Ends the stream with this status. With the lock. */
void ingest_stream_end(struct ingest_stream *stream, enum rpc_status status, const char *message);

/* ingest_control.c */
/* The rates that hold from its start, and where it shall go instead: before the welcome, behind
 * which it sends. With the lock. */
void ingest_control_begin(struct ingest_stream *stream);

/* ingest_lane.c: what comes in lanes, whose numbers only rise. */
MUST_USE int ingest_lanes_open(struct ingest *ingest, struct error *err);
void ingest_lanes_free(struct ingest *ingest);
/* The place of a lane in the log or the store, at start. NULL: no room. */
MUST_USE struct ingest_boot *ingest_lanes_place(struct ingest *ingest, const char *sensor_id,
                                                const char *boot_id, uint32_t lane);
/* Whether records of this boot came by Kafka. With the lock. */
bool ingest_lanes_have(struct ingest *ingest, const char *sensor_id, const char *boot_id);
/* An entry is on disk, or void. With the lock. */
void ingest_lanes_settle(struct ingest *ingest, const struct ingest_entry *entry);

/* ingest_dial.c: sensors that are dialed. */
/* The boot of a sensor that reports by Connect; it is dialed no more. NULL: no room. With the lock.
 */
MUST_USE struct ingest_boot *ingest_connect_boot(struct ingest *ingest, const char *sensor_id,
                                                 const char *boot_id);
/* Of the numbers that come for a place of Connect, those that were dialed before are there already.
 * With the lock. */
void ingest_dial_hand_over(struct ingest *ingest, struct ingest_place *place, uint64_t first_seq,
                           uint64_t last_seq);
/* An entry is on disk, or void. With the lock. */
void ingest_dials_settle(const struct ingest_entry *entry);

/* ingest_log.c */
MUST_USE int ingest_log_open(struct ingest *ingest, struct error *err);
MUST_USE int ingest_log_start(struct ingest *ingest, struct error *err);
void ingest_log_stop(struct ingest *ingest);
/* Puts the entry at the end of the queue. With the lock. */
void ingest_log_push(struct ingest *ingest, struct ingest_entry *entry);
