/* Parts of the collector sink that its files share. Private to sensor/export/collector_sink*.c.
 *
 * The publisher encodes batches and queues them; gRPC's callbacks note what came (struct
 * collector_news); the sink's own thread appends to the spools, writes to disk, dials and sends. So
 * neither the publisher nor gRPC's thread waits for a disk. `lock` guards the queue, the news and
 * the figures shown; it is never held while the disk or gRPC is called. Depends on:
 * collector_sink.h. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/packing/packing.h"
#include "base/spool/spool_log.h"
#include "proto/codec.h"
#include "proto/ingest_message.h"
#include "sensor/export/capture_pump.h"
#include "sensor/export/collector_boots.h"
#include "sensor/export/collector_sink.h"
#include "sensor/export/packet_layers.h"
#include "sensor/pipeline/asset_list.h"

#define COLLECTOR_WINDOW_MAX 1024 /* batches on their way, whatever the collector allows */
#define COLLECTOR_TOKEN_MAX  4096
/* Packet samples of one batch, and the room of each with its protocol tree. */
#define COLLECTOR_SAMPLES_MAX  16
#define COLLECTOR_SAMPLE_BYTES (4096 + PACKET_LAYERS_BYTES_MAX)
#define COLLECTOR_ACKS_MAX     320 /* COLLECTOR_BOOTS_MAX of each stream */
#define COLLECTOR_PATH_BYTES   4200
/* Sketches that wait: each is worth little when it is late, so the oldest goes first. */
#define COLLECTOR_SKETCHES_MAX 8
#define COLLECTOR_COMMANDS_MAX 64 /* that wait for the sink's thread */

/* In front of the ConnectRequest in each item of the spool: boot_id (NUL-padded), first_seq. */
#define COLLECTOR_ITEM_HEAD_BYTES 48
#define COLLECTOR_ITEM_BOOT_BYTES 40

struct collector_item {
    char boot_id[INGEST_BOOT_ID_BYTES];
    uint64_t first_seq;
    uint64_t last_seq;
    uint32_t records;
    const uint8_t *message;
    uint32_t length;
};

/* What is on its way: one batch, or a gap told (no place). */
struct collector_sent {
    char boot_id[INGEST_BOOT_ID_BYTES];
    uint64_t last_seq;
    uint64_t taken_ns; /* wall clock, when the batch came from the publisher */
    uint32_t records;
    struct spool_log_place place;
};

/* What the collector lets one stream send. */
struct collector_rate {
    uint32_t per_second; /* records; 0: no limit */
    double tokens;       /* records that may go at once; below 0 after a large batch */
    uint64_t filled_ns;
};

/* Where the stream goes when the collector sends it elsewhere. */
struct collector_redirect {
    char address[INGEST_ADDRESS_BYTES]; /* where it is; "": where the settings say */
    char wanted[INGEST_ADDRESS_BYTES];  /* where it goes once all on its way is acknowledged */
    char avoided[INGEST_ADDRESS_BYTES]; /* failed a short time ago */
    uint64_t avoided_until_ns;
    uint64_t goodbye_ns;  /* when it was said for a move */
    uint64_t welcomed_ns; /* on this call */
    uint32_t chain;       /* moves in a row */
    uint32_t failures;    /* calls there that were not welcomed, in a row */
    uint64_t followed, refused;
};

/* One stream of records. The sink's thread alone. */
struct collector_lane {
    enum record_stream stream;
    struct spool_log *log;
    int cursor;
    bool is_dirty;                                      /* appended to since spool.write's turn */
    struct collector_sent window[COLLECTOR_WINDOW_MAX]; /* a ring */
    uint32_t window_head, window_count;
    struct collector_rate rate;
    uint64_t damages_seen, errors_seen, lost_before;
};

/* A batch between the publisher and the sink's thread: an item of the spool. */
struct collector_queued {
    struct collector_queued *next;
    enum record_stream stream;
    uint32_t records;
    uint64_t last_seq;
    uint64_t taken_ns;
    uint32_t length;
    uint8_t bytes[];
};

/* Settings that the collector offers, as they came. */
struct collector_offer {
    struct ingest_config_offer offer; /* its text is in bytes[] */
    char bytes[];
};

/* Something to do, as it came. */
struct collector_command {
    struct collector_command *next;
    struct ingest_command command;
};

/* Captures for the collector (collector_sink_capture.c). What is shared has the sink's lock. */
struct collector_captures {
    struct capture_threads threads;
    struct rpc_method method;       /* UploadCapture */
    struct pipeline *pipeline;      /* shared; NULL: not yet */
    struct collector_capture *list; /* shared; those that run */
    /* Shared: results that wait to be sent. */
    struct collector_result *results, **results_last;
};

/* Assets on their way (collector_sink_assets.c): one pass over those of which something is new. */
struct collector_assets {
    bool is_wanted;           /* by the collector of this stream */
    bool is_running, is_last; /* a pass; the one before the goodbye has begun */
    bool is_by_sight;         /* this pass: those that were seen, too */
    bool has_after;
    struct asset_key after;             /* what was sent last in this pass */
    uint64_t until;                     /* stamps of this pass */
    uint64_t told_changes, told_sights; /* stamps up to which all was told */
    uint64_t due_ns;                    /* monotonic: of the next one */
    uint32_t passes;
};

/* What gRPC's callbacks have to say. */
struct collector_news {
    bool has_welcome, has_probe, is_writable, is_over;
    struct ingest_welcome welcome;
    struct ingest_probe probe;
    uint64_t probe_wall_ns, probe_monotonic_ns; /* when it came */
    const char *complaint; /* what the collector did against the protocol; NULL: nothing */
    uint32_t throttles;    /* since the last turn; of nonsense among them no stream is named */
    bool has_rate[RECORD_STREAM_COUNT];
    uint32_t rates[RECORD_STREAM_COUNT];
    bool has_redirect;
    struct ingest_redirect redirect;    /* the last one */
    struct collector_offer *offer;      /* likewise, owned; NULL: none */
    struct collector_command *commands; /* the newest first; owned */
    uint32_t commands_count;
    /* The end of the call. */
    enum rpc_status status;
    uint64_t retry_ns; /* google.rpc.RetryInfo; 0: none */
    char message[512];
    /* Last, so that what is not used is not moved either. */
    uint32_t acks_count;
    struct ingest_position acks[COLLECTOR_ACKS_MAX];
};

#define COLLECTOR_CLOCK_SAMPLES 8

struct collector_clock {
    struct {
        uint64_t trip_ns;
        int64_t offset_ns; /* sensor minus collector */
    } samples[COLLECTOR_CLOCK_SAMPLES];
    uint32_t count;
    uint64_t sent_wall_ns, sent_monotonic_ns; /* the heartbeat that waits for a probe; 0: none */
};

struct collector_sink {
    const struct collector_settings *settings;
    const struct spool_settings *spool_settings;
    enum spool_write write;
    struct rpc_runtime *runtime;
    struct rpc_channel *channel;
    struct rpc_method method;
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    char boot_id[INGEST_BOOT_ID_BYTES];
    char labels[SENSOR_LABELS_BYTES];
    void (*on_offer)(void *context, const struct ingest_config_offer *offer);
    void *context;
    char directory[COLLECTOR_PATH_BYTES]; /* "": the spool is in memory */
    bool is_lossless;

    pthread_t thread;
    bool has_thread;

    /* ---- shared, with the lock ---- */
    pthread_mutex_t lock;
    pthread_cond_t wake;    /* for the sink's thread */
    pthread_cond_t changed; /* figures have, or a flush is through */
    char config_hash[17];
    struct collector_queued *first, **last;
    uint64_t queue_bytes, queue_records;
    uint64_t refused;                                  /* records that found no memory */
    struct rpc_bytes sketches[COLLECTOR_SKETCHES_MAX]; /* whole messages, a ring */
    uint32_t sketches_head, sketches_count;
    uint64_t sketches_dropped;
    uint64_t sketch_seed; /* of Welcome; 0: none, or not connected */
    struct collector_news news;
    bool has_news;
    struct collector_link link;
    struct ingest_config_status config; /* told last */
    bool has_config, is_config_due;     /* it has been told; it has not been sent on this call */
    bool is_asked;                      /* a heartbeat is wanted now */
    bool is_closing;
    atomic_bool may_dial;              /* false: the input is not open yet */
    uint32_t flush_wanted, flush_done; /* counts of spool_log_flush */
    uint32_t batch_records_max;
    struct stats_sink row;
    struct collector_captures captures;
    bool is_flush_vain; /* with a spool on disk: waiting for this collector is */
    uint64_t unwritten; /* records that the last flush could not write */

    /* ---- the sink's thread alone ---- */
    struct collector_lane lanes[COLLECTOR_LANES];
    struct collector_boots boots;
    struct rpc_call *call; /* NULL: not connected */
    const char *complaint; /* first break of the protocol on it, static; NULL: none */
    bool is_welcomed;
    bool is_full; /* the call's queue is; on_writable goes on */
    bool is_goodbye_sent;
    bool has_probe; /* to be echoed */
    struct ingest_probe probe;
    uint64_t heartbeat_ns, heartbeat_at_ns;
    uint32_t window_max;
    struct packer *packer; /* NULL: batches go as they are */
    bool packs;            /* the collector takes them packed */
    uint8_t *packed;       /* room of packed_bytes */
    size_t packed_bytes;
    uint64_t down_ns;    /* monotonic; since then there is no stream */
    uint64_t dialled_ns; /* monotonic; of this call */
    uint64_t dial_at_ns;
    uint64_t backoff_ns; /* 0: none yet */
    uint64_t house_ns;
    uint64_t closing_ns; /* monotonic; 0: not closing */
    struct collector_clock clock;
    struct collector_assets assets;
    struct collector_redirect redirect;
    uint64_t throttles;
    uint64_t sent, acked, retried, gaps; /* records; gaps: notices */
    uint64_t lost, lost_told, refused_here;
    uint64_t taken_bytes, taken_records; /* since the figures were shown last */
    uint64_t disk_errors, spool_trouble_ns;
    char spool_trouble[160]; /* what the spool's disk said last; "": nothing */
    char last_error[160];
    uint64_t error_logged_ns;

    /* ---- the publisher's own ---- */
    struct codec_slice slices[BATCH_RECORDS_MAX];
    uint8_t *layers; /* COLLECTOR_SAMPLES_MAX samples with their protocol trees */
    uint8_t *scratch;
    size_t scratch_bytes;
};

/* collector_sink_spool.c: the logs of the five streams. */

/* Opens them where the settings say. 0 or -errno with `err`. */
MUST_USE int collector_spool_open(struct collector_sink *sink, const char *state_directory,
                                  struct error *err);
/* Writes all and closes; says what waits for the next start, or what is lost. */
void collector_spool_close(struct collector_sink *sink);
/* Appends what is queued, freeing it; what was numbered and not taken is counted as lost. Returns
 * the rest of the list: a lossless spool that is full, unless it `takes_all`. */
struct collector_queued *collector_spool_take(struct collector_sink *sink,
                                              struct collector_queued *list, bool takes_all);
/* spool.write's turn, the caps, once a second the age and the cursors. */
void collector_spool_keep_house(struct collector_sink *sink, uint64_t now_ns);
/* All to disk. Records that could not be written. */
uint64_t collector_spool_flush(struct collector_sink *sink);
/* The head of what the cursor shows. 1, 0 none, -errno. */
MUST_USE int collector_spool_peek(struct collector_sink *sink, struct collector_lane *lane,
                                  struct spool_log_item *item, struct collector_item *out);
struct collector_course *collector_spool_course(struct collector_sink *sink,
                                                const struct collector_lane *lane,
                                                const char *boot_id);
/* Fills the figures of the spools, with the lock or before there are threads. */
void collector_spool_figures(const struct collector_sink *sink, struct stats_sink *row);

/* collector_sink_dial.c */

/* Checks settings and makes the channel. 0 or -errno with `err`. */
MUST_USE int collector_sink_prepare(struct collector_sink *sink, struct error *err);
/* A channel to `address` by the settings; the certificate must be for its host, or at the address
 * of the settings for their server_name. NULL with `err`. */
MUST_USE struct rpc_channel *collector_sink_channel(struct collector_sink *sink,
                                                    const char *address, struct error *err);
/* The token of the settings as it is now in `out`, if there is one. 0 or -errno with `err`. */
MUST_USE int collector_sink_token(const struct collector_sink *sink, char out[COLLECTOR_TOKEN_MAX],
                                  struct error *err);
/* Three quarters to five quarters of it. */
uint64_t collector_sink_jittered(uint64_t pause_ns);
/* True when a person must act before another attempt can do better. */
bool collector_sink_is_refusal(enum rpc_status status);
/* Starts a call when there is none and it is time; cancels one that is never welcomed. */
void collector_sink_dial(struct collector_sink *sink, uint64_t now_ns);
/* The call has ended: says why in plain words and decides when to dial again. */
void collector_sink_ended(struct collector_sink *sink, const struct collector_news *news,
                          uint64_t now_ns);

/* collector_sink_stream.c: what comes and what goes on one call. */

/* Acts upon what the callbacks noted; a break of the protocol becomes the reason of the end. */
void collector_stream_take(struct collector_sink *sink, struct collector_news *news,
                           uint64_t now_ns);
/* Sends what the window and the queue allow; closing, a goodbye at the end. */
void collector_stream_pump(struct collector_sink *sink, uint64_t now_ns, bool is_closing);
/* Queues a message of its own on the call; false: there is no room now. */
MUST_USE bool collector_stream_send(struct collector_sink *sink, const uint8_t *bytes,
                                    size_t length);
/* Frees the sketches that wait and asks for no more. With the lock. */
void collector_sink_forget_sketches(struct collector_sink *sink);

/* collector_sink_news.c: the callbacks. */

/* Fills the table of callbacks of the stream; they run on the rpc thread and leave news for the
 * sink's. */
void collector_sink_methods(struct collector_sink *sink);

/* collector_sink_config.c: ConfigOffer. */

/* Keeps the offer for the sink's thread. With the lock, on gRPC's thread. */
void collector_config_note(struct collector_news *news, const struct ingest_config_offer *offer);
/* There is a stream, or none any more. Without the lock. */
void collector_config_linked(struct collector_sink *sink, uint64_t welcomed_ns);
/* Hands on what was offered; frees it. */
void collector_config_take(struct collector_sink *sink, struct collector_news *news);
/* Bytes of the status that is to be sent, 0: none. `is_asked`: a heartbeat is due at once. */
size_t collector_config_due(struct collector_sink *sink, uint8_t *out, size_t capacity,
                            bool *is_asked);
/* It found no room: it is due again. */
void collector_config_unsent(struct collector_sink *sink);

/* collector_sink_assets.c */

/* A stream begins: all has to be told anew. */
void collector_assets_linked(struct collector_sink *sink, bool is_wanted);
/* Sends what is due and has room. True: nothing is left to be said before a goodbye. */
MUST_USE bool collector_assets_pump(struct collector_sink *sink, uint64_t now_ns, bool is_closing);

/* collector_sink_rate.c: Throttle. */

/* What the collector asked for since the last turn. */
void collector_rate_take(struct collector_sink *sink, const struct collector_news *news,
                         uint64_t now_ns);
/* The rates of the last call hold no longer. */
void collector_rate_reset(struct collector_sink *sink);
/* May a batch go now? One of any size may while there is a token; what it is too large for is
 * waited for behind it. */
MUST_USE bool collector_rate_allows(struct collector_lane *lane, uint64_t now_ns);
void collector_rate_spend(struct collector_lane *lane, uint32_t records);
/* The lowest rate in force, records a second; 0: none. */
uint32_t collector_rate_lowest(const struct collector_sink *sink);

/* collector_sink_redirect.c: Redirect. */

/* Where the stream is, or is dialled. */
const char *collector_redirect_address(const struct collector_sink *sink);
/* NULL, or why the settings do not allow to be sent to `address`. Pure. */
const char *collector_redirect_forbidden(const struct collector_settings *settings,
                                         const char *address);
/* The collector sends us elsewhere: judged by the settings, then begun or told as refused. */
void collector_redirect_take(struct collector_sink *sink, const char *address, uint64_t now_ns);
/* True when no more is to be sent here but what the collector has in part. */
bool collector_redirect_is_leaving(const struct collector_sink *sink);
/* True once, when all that is on its way is acknowledged: it is time for the goodbye. */
MUST_USE bool collector_redirect_is_ready(struct collector_sink *sink, uint64_t now_ns);
/* A peer that does not end the call after it is left all the same. */
void collector_redirect_watch(struct collector_sink *sink, uint64_t now_ns);
/* The call has ended: true when the stream goes on at another address (its time to dial is set). */
MUST_USE bool collector_redirect_ended(struct collector_sink *sink,
                                       const struct collector_news *news, uint64_t now_ns);

/* collector_sink_capture.c: captures that the collector asks for. */

void collector_captures_init(struct collector_sink *sink);
/* Does what `commands` say and frees them. */
void collector_captures_take(struct collector_sink *sink, struct collector_command *commands);
/* Sends the results that wait. */
void collector_captures_pump(struct collector_sink *sink);
/* The connection is over: so are they. */
void collector_captures_leave(struct collector_sink *sink);
/* None runs any more that its last packets should be waited for. */
bool collector_captures_are_over(struct collector_sink *sink, uint64_t now_ns);
/* Waits for their threads, and frees what waits. */
void collector_captures_fini(struct collector_sink *sink);

/* collector_sink_thread.c */

MUST_USE int collector_thread_start(struct collector_sink *sink, struct error *err);
/* Says goodbye, ends the call, joins. */
void collector_thread_stop(struct collector_sink *sink);
