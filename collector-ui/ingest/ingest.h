/* Takes the streams of sensors (IngestService.Connect): each batch goes to a segment log, is
 * acknowledged when the log is on disk, and is then given to the store.
 *
 * Knows neither store nor registry: the app connects them by struct ingest_events. A kill at any
 * moment loses nothing that was acknowledged and stores nothing twice: at start the log is read
 * again behind what the store has. Depends on: base, base/rpc, base/spool, proto. Threads:
 * callbacks on the rpc threads, the log and the store on a log thread of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config/config.h"
#include "base/error.h"
#include "base/rpc/rpc.h"
#include "proto/codec.h"
#include "proto/ingest_message.h"
#include "proto/record.h"

struct ingest_settings {
    const char *listen; /* "127.0.0.1:50052" */
    const char *tls_certificate, *tls_key;
    const char *tls_client_ca; /* mTLS: a sensor's certificate names its id */
    const char *tokens_file;   /* lines "sensor_id token" */
    const char *require_auth;  /* auto | on | off */
    bool insecure;             /* another address than loopback without TLS or credentials */
    uint64_t heartbeat_ns;
    uint64_t sensors_max;
    uint64_t message_bytes_max;
    uint64_t batch_records_max;
    uint64_t window_batches;
    uint64_t window_bytes; /* of one connection; 0: as gRPC measures */
    uint64_t log_segment_bytes;
    uint64_t log_queue_bytes; /* batches waiting for the log; then sensors are not read */
    uint64_t commit_ns;       /* longest wait for more before a sync */
    uint64_t commit_bytes;    /* and the size that ends it */
    bool takes_packed;        /* batches that sensors have compressed */
    uint64_t keepalive_interval_ns, keepalive_timeout_ns;
    uint64_t connections_max;
    uint64_t streams_per_second; /* of one address; 0: no limit */
    /* These three may change while it runs: ingest_retune. */
    const char *redirect_to;    /* "host:port" where sensors shall go; "": they stay */
    uint64_t max_record_rate;   /* of each stream of a sensor; 0: no limit */
    uint64_t backlog_bytes_max; /* taken and not yet stored; then sensors are throttled; 0: never */
};

extern const struct config_field ingest_fields[];

struct ingest_config_offer; /* proto/ingest_message.h */
struct ingest_config_status;

/* A batch that is on disk. Borrowed for the call. */
struct ingest_batch {
    const char *sensor_id;
    const char *boot_id;
    enum record_stream stream;
    uint32_t lane; /* 0: of Connect; INGEST_LANE_DIAL; else 1 + a partition of Kafka */
    uint64_t first_seq;
    uint32_t record_count;
    uint64_t receive_ns;
    uint64_t log_position;  /* behind it in the log */
    const uint8_t *message; /* a Batch message */
    uint32_t length;
    const struct codec_slice *records; /* of ingest_reader_next alone: without identity */
};

/* Who said hello. Borrowed for the call. */
struct ingest_peer {
    const char *sensor_id, *boot_id, *version, *host_name, *config_hash, *peer;
    const char *labels; /* as in sensor_labels.h; NULL: it says nothing of that */
    uint64_t connected_ns;
    bool is_relayed; /* its records come by way of Kafka: there is no connection to be missed */
};

/* A sketch of a sensor's detectors, as it came. Borrowed for the call. */
struct ingest_sketch_told {
    const char *sensor_id;
    uint32_t kind, seed_id, encoding;
    uint64_t epoch;
    const uint8_t *bytes;
    size_t length;
};

/* Lanes are 1 + the number of a partition; the last one is that of sensors which are dialed. */
#define INGEST_LANE_MAX  ((UINT32_C(1) << 24) - 1)
#define INGEST_LANE_DIAL INGEST_LANE_MAX

/* Under whose name records of the collector itself are kept; a sensor that calls itself so is
 * refused. */
#define INGEST_LOCAL_SENSOR "fleet"

/* To whom ingest tells; all must be set. Each says on which thread it comes. */
struct ingest_events {
    void *context;
    /* Log thread, in the order of the log; at start on the caller's. May wait. False: the store
     * takes nothing any more. */
    bool (*store)(void *context, const struct ingest_batch *batch);
    /* All before this position of the log is stored. Any thread. */
    uint64_t (*stored_position)(void *context);
    /* All before this position nobody needs any more: it may be deleted. NULL: as stored. Any
     * thread. */
    uint64_t (*needed_position)(void *context);
    /* At start: calls `each` for all that is stored. */
    void (*each_position)(void *context,
                          void (*each)(void *argument, const char *sensor_id, const char *boot_id,
                                       enum record_stream stream, uint32_t lane, uint64_t next_seq),
                          void *argument);
    void (*gap)(void *context, const char *sensor_id, const char *boot_id,
                enum record_stream stream, uint64_t from_seq, uint64_t to_seq); /* log thread */
    bool (*connected)(void *context, const struct ingest_peer *peer);           /* rpc threads */
    void (*disconnected)(void *context, const char *sensor_id, const char *boot_id);
    void (*goodbye)(void *context, const char *sensor_id);
    void (*seen)(void *context, const char *sensor_id, uint64_t now_ns);
    void (*clock)(void *context, const char *sensor_id, double offset_ms);
    void (*records)(void *context, const char *sensor_id, uint64_t received, uint64_t duplicate,
                    uint64_t lost);
    void (*stats)(void *context, const char *sensor_id,
                  const struct stats_record *stats);                        /* log thread */
    void (*sketch)(void *context, const struct ingest_sketch_told *sketch); /* rpc threads */
    /* What became of settings that a sensor was offered; rpc threads. May be NULL. */
    void (*config_status)(void *context, const char *sensor_id,
                          const struct ingest_config_status *status);
    /* What a sensor says to a command; rpc threads. NULL: nobody asks for anything. */
    void (*command_result)(void *context, const char *sensor_id,
                           const struct ingest_command_result *result);
    /* An AssetReport of a sensor; rpc threads. NULL: none is wanted, and sensors are told so. */
    void (*assets)(void *context, const char *sensor_id, const uint8_t *bytes, size_t length);
    /* Since when credentials of this name (a sensor's id, or what a certificate or token is for)
     * count no more; 0: they do. Any thread; may be NULL. */
    uint64_t (*revoked)(void *context, const char *name);
    uint64_t sketch_seed; /* told to sensors; 0: no sketches are wanted */
    /* May a call of another service on this port be answered? NULL: as a sensor's. Rpc threads. */
    enum rpc_status (*admit_other)(void *context, struct rpc_call *call, const char *path,
                                   struct error *reason);
};

struct ingest_counts {
    uint64_t connections; /* streams now */
    uint64_t batches, records, duplicates, gap_records, refused, log_bytes;
    uint64_t returned;                 /* of records: not written, so the sensor sends them again */
    uint64_t log_errors;               /* writes and syncs of the log that failed */
    bool has_log_trouble;              /* the last one did: nothing is acknowledged */
    uint64_t refused_rate;             /* of refused: streams_per_second */
    uint64_t throttles, redirects;     /* requests to sensors that were sent */
    uint64_t throttled;                /* sensors now whose rate is bounded for the backlog */
    uint64_t elsewhere_records;        /* told as acknowledged by another collector */
    uint64_t backlog_bytes;            /* taken and not yet stored, as of the last tick */
    bool is_draining;                  /* redirect_to is set */
    uint64_t sockets, sockets_refused; /* TCP connections now; closed: connections_max */
};

struct ingest;

/* The form of `listen`, what goes together, and whether it may be open to other machines; opens
 * nothing and reads no file. 0 or -EINVAL. */
MUST_USE int ingest_check(const struct ingest_settings *settings, struct error *err);
/* Opens the log in `directory` (made if it is missing; EBUSY: another process has it), reads
 * positions, gives the store what it lacks. NULL with `err`. `settings` and `events` are borrowed.
 */
MUST_USE struct ingest *ingest_new(const struct ingest_settings *settings, const char *directory,
                                   const struct ingest_events *events, struct error *err);
/* Listens and serves. Further services (health) may be added by `add`, which may be NULL. Returns
 * the port or -errno. */
MUST_USE int ingest_start(struct ingest *ingest, struct rpc_runtime *runtime,
                          int (*add)(void *context, struct rpc_server *server, struct error *err),
                          void *add_context, struct error *err);
/* Ends the streams (sensors dial again), closes the port, writes what is queued. */
void ingest_stop(struct ingest *ingest);
void ingest_free(struct ingest *ingest);
DEFINE_AUTO(ingest, ingest_free);

/* Takes a record that the collector itself has made (encoded without identity) as if a sensor had
 * sent it. False: nothing is taken any more. Any thread. */
MUST_USE bool ingest_local(struct ingest *ingest, enum record_stream stream, const uint8_t *record,
                           uint32_t length);
/* Records that came by another way than Connect, each with its own number: numbers of a lane only
 * rise, so what is not above the lane's last one has been taken before. Borrowed for the call. */
struct ingest_lane_batch {
    const char *sensor_id, *boot_id; /* checked here */
    const char *peer;                /* for people: "kafka netscope.flows.v1" */
    enum record_stream stream;
    uint32_t lane;                     /* 1 to INGEST_LANE_DIAL - 1 */
    uint64_t first_seq;                /* numbers without holes */
    const struct codec_slice *records; /* without identity */
    uint32_t record_count;             /* within batch_records_max */
    uint64_t sent_ns;                  /* wall clock of the way: when the sensor was last heard */
};
enum ingest_lane_verdict {
    INGEST_LANE_TAKEN,     /* all of it, or what was new */
    INGEST_LANE_KNOWN,     /* all of it was taken before */
    INGEST_LANE_BY_STREAM, /* this process of the sensor reports by Connect, which is complete */
    INGEST_LANE_BY_OTHER,  /* it is dialed, so Kafka's are passed over; or the other way round */
    INGEST_LANE_BAD_NAME,  /* of the sensor or its boot */
    INGEST_LANE_NO_ROOM,   /* sensors_max, or no memory */
    INGEST_LANE_CLOSED     /* nothing is taken any more */
};
/* Queues it for the log. `taken` gets the number of its new records. One thread. */
enum ingest_lane_verdict ingest_lane_take(struct ingest *ingest,
                                          const struct ingest_lane_batch *batch, uint32_t *taken);
/* Waits until all that was queued is on disk. 0; -EAGAIN: not so within `wait_ns`; -EIO: the log
 * did not take all of it: what came since the last 0 has to be given again. The same thread. */
MUST_USE int ingest_lane_wait(struct ingest *ingest, uint64_t wait_ns);
/* An AssetReport of a sensor that came by another way than Connect. Any thread. */
void ingest_take_assets(struct ingest *ingest, const char *sensor_id, const uint8_t *bytes,
                        size_t length);
/* Reads ingest.tokens_file again, for ingest_use_tokens; on failure those before stay. One thread.
 * 0 or -errno. */
MUST_USE int ingest_read_tokens(struct ingest *ingest, struct error *err);
/* What was read last counts, and the streams of those whose token is gone end. After a read that
 * succeeded; the same thread. */
void ingest_use_tokens(struct ingest *ingest);
/* Ends the streams of sensors whose credentials count no more (PERMISSION_DENIED); how many. Not
 * from a callback of a call. */
uint32_t ingest_check_streams(struct ingest *ingest);
/* What may change of the settings has: sensors are sent elsewhere, throttled or let go. Not while
 * the settings change. One thread. Returns how many sensors were sent elsewhere. */
uint32_t ingest_retune(struct ingest *ingest);
/* Once a second: sensors are throttled while the store is behind, by what it took meanwhile, and
 * let go when it is not; who was asked to go and is still here is asked again. One thread. */
void ingest_tick(struct ingest *ingest, uint64_t now_ns);
/* Offers settings to a sensor. False: it is not connected, or takes nothing now. Any thread. */
MUST_USE bool ingest_offer_config(struct ingest *ingest, const char *sensor_id,
                                  const struct ingest_config_offer *offer);
/* Sends a command on the stream of this sensor. 0, -ENOTCONN, -EPROTONOSUPPORT (it does not say
 * that it can do such things), -EAGAIN (its queue is full). Any thread. */
MUST_USE int ingest_command(struct ingest *ingest, const char *sensor_id,
                            const struct ingest_command *command);
/* Reads the log beside the log thread, from a position on that a batch gave as its log_position; 0,
 * or one that is gone: from the oldest there. The ingest lives longer. One thread each. NULL with
 * `err`. */
struct ingest_reader;
MUST_USE struct ingest_reader *ingest_reader_new(struct ingest *ingest, uint64_t position,
                                                 struct error *err);
void ingest_reader_free(struct ingest_reader *reader); /* NULL is allowed */
/* The next batch that is on disk and begins before `until` (0: any): 1 and `out`, borrowed for the
 * next call; 0: not yet; -errno: EBADMSG names what is damaged, and the next call goes on behind
 * it. */
MUST_USE int ingest_reader_next(struct ingest_reader *reader, uint64_t until,
                                struct ingest_batch *out, struct error *err);
/* Behind all that it has passed. */
uint64_t ingest_reader_position(const struct ingest_reader *reader);
/* Bytes that it found missing: deleted, or behind damage. */
uint64_t ingest_reader_missing(const struct ingest_reader *reader);
/* Behind all that is on disk. Any thread. */
uint64_t ingest_log_end(const struct ingest *ingest);
/* Whether who calls is this sensor; in the call's callbacks. */
enum rpc_status ingest_bind(struct ingest *ingest, struct rpc_call *call, const char *sensor_id,
                            struct error *reason);
void ingest_counts_read(struct ingest *ingest, struct ingest_counts *out); /* any thread */
/* Why nothing can be taken any more (disk, store), or NULL: then a restart is due. Any thread. */
const char *ingest_failure(struct ingest *ingest);
