/* What the files of the Kafka sink share: kafka_sink.c (its life and counters),
 * kafka_thread.c, kafka_stream.c (topics and values), kafka_headers.c, kafka_topics.c (makes
 * topics), kafka_send.c (messages), kafka_spool.c (what is not acknowledged yet),
 * kafka_aggregate.c.
 *
 * Depends on: kafka_sink.h, kafka_client.h, base/spool. Threads: all but the counters belongs to
 * the sink's own thread. */
#pragma once

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/ring.h"
#include "base/spool/spool_log.h"
#include "proto/filter/filter.h"
#include "proto/json/transcoder.h"
#include "sensor/export/kafka_client.h"
#include "sensor/export/kafka_sink.h"
#include "sensor/pipeline/pipeline.h"

#define KAFKA_LOG_INTERVAL_NS (10 * NS_PER_SEC) /* of one sort of line */
#define RUN_MAX               BATCH_RECORDS_MAX
#define SCRATCH_BYTES         1048576 /* a value in another form, or a packed one */
#define ITEM_BYTES_MAX        8388608 /* records of one batch for one topic */
#define BIT_WORDS             (RUN_MAX / 64)

/* Records of one topic that come together. */
struct kafka_run {
    uint32_t count;
    struct {
        const uint8_t *bytes;
        uint32_t length;
    } at[RUN_MAX];
};

static inline bool bit_get(const uint64_t bits[BIT_WORDS], uint32_t i)
{
    return (bits[i / 64] >> (i % 64) & 1) != 0;
}

static inline void bit_set(uint64_t bits[BIT_WORDS], uint32_t i)
{
    bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline void bit_clear(uint64_t bits[BIT_WORDS], uint32_t i)
{
    bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

/* An item of the spool whose records are on their way. A message's opaque is the address of its
 * ticket and, in the low bits, its first record; records of one packed message are a list. */
#define TICKET_ALIGN 1024
struct kafka_ticket {
    struct kafka_ticket *next;
    struct kafka_stream *stream;
    struct spool_log_place place;
    uint32_t count, done_count, in_flight;
    bool is_gone;             /* dropped from the spool on its way */
    uint64_t sent[BIT_WORDS]; /* with librdkafka, or done */
    uint64_t done[BIT_WORDS];
    uint16_t following[RUN_MAX]; /* of the same message; RUN_MAX: the last */
};

/* Which assets were told: stamps of the pipeline's list. */
struct kafka_assets {
    _Atomic(struct pipeline *) pipeline; /* NULL: not yet */
    bool is_running, is_by_sight, is_last, has_after, has_failed;
    uint64_t told_changes, told_sights, until, due_ns;
    unsigned passes;
    struct asset_key after;
};

/* Topics that are made at the start (create_topics). */
struct kafka_topics {
    bool is_done;
    rd_kafka_queue_t *answers; /* NULL: nobody is asked now */
    uint64_t next_ns;          /* when to ask, monotonic */
};

/* One topic. */
struct kafka_stream {
    struct kafka_sink *sink;
    enum kafka_kind kind;
    bool is_on;
    struct filter *filter;              /* NULL: all */
    const struct json_message *message; /* of the record */
    uint32_t time_field;                /* its own time, for headers */
    char type_name[64];                 /* "netscope.v1.FlowRow": what a value is */
    uint8_t framing[24];                /* Confluent's prefix */
    uint32_t framing_length;
    bool is_packed;
    int32_t partitions; /* packed: of the topic; 0: not known yet */
    uint64_t partitions_ns;
    uint32_t next_partition; /* without a key */

    /* With a spool. */
    struct spool_log *log;
    int cursor;
    struct kafka_ticket *first, *last,
        *at;            /* by order; `at`: belongs to what peek shows, or NULL */
    uint64_t in_flight; /* records with librdkafka */
    bool is_failing;    /* send again when nothing is in flight and ... */
    uint64_t resume_ns, pause_ns;
    uint64_t lost_seen; /* of the cursor's lost records: counted */
};

struct kafka_sink {
    struct sink_ops ops; /* its own name in it */
    char name[SPOOL_LOG_NAME_BYTES + 8];
    struct kafka_settings settings;
    struct spool_settings spool;
    const char *sensor_id;
    uint32_t sensor_id_length;
    bool only_ended, keys_by_flow, keys_by_sensor, is_json, is_row, has_spool;
    bool has_headers, has_length; /* CloudEvents; values behind a varint of their length */
    uint8_t severity_min;

    /* The publisher pushes, the sink's thread pops. */
    struct ring *hand_over;
    int event; /* eventfd: a batch, or something for rd_kafka_poll() */
    atomic_bool is_flushing, is_stopping;
    atomic_uint flush_rounds; /* of the thread's loop, while flushing */
    pthread_t thread;

    struct kafka_client client;
    bool has_fatal_error;
    uint64_t reopen_ns; /* without a client: when to try again */
    struct kafka_stream streams[KAFKA_KINDS];
    struct kafka_aggregate *aggregate; /* NULL: none */
    struct kafka_topics topics;
    struct kafka_assets assets;
    struct kafka_run run, made_run;
    uint8_t *scratch, *item;
    int16_t *heads; /* of packed messages, by partition */
    struct kafka_ticket *free_tickets;
    struct log_limit failure_log, error_log, full_log, spool_log, topic_log;
    uint64_t housekeeping_ns;

    struct counter offered; /* by the publisher; all else by the sink's thread */
    struct counter made, recovered, left_out, sent, acked, failed, possibly_persisted, queue_full;
    struct counter restarts, messages, spool_lost, resent, spool_bytes, spool_disk_errors;
    struct counter oldest_ns; /* wall time of the oldest unacknowledged item in memory */
    struct counter code_counts[KAFKA_CODES_MAX];
    atomic_int codes[KAFKA_CODES_MAX];
    atomic_bool is_connected;
    pthread_mutex_t error_lock; /* the one text that other threads read */
    char last_error[160];
};

/* ---- kafka_sink.c ---- */
void kafka_count_failure(struct kafka_sink *sink, rd_kafka_resp_err_t code, uint32_t records,
                         bool is_possibly_persisted);
void kafka_keep_error(struct kafka_sink *sink, const char *text);

/* ---- kafka_thread.c ---- */
/* A producer, whose events wake the thread. 0 or -errno. */
MUST_USE int kafka_open_client(struct kafka_sink *sink, struct error *err);
MUST_USE int kafka_start_thread(struct kafka_sink *sink, struct error *err);
/* Takes a sum as a record of its stream; `context` is the sink. */
void kafka_on_aggregate(void *context, const uint8_t *record, uint32_t length);
/* Callbacks run here: delivery reports, errors, the library's log. */
void kafka_serve(struct kafka_sink *sink, int timeout_ms);

/* ---- kafka_stream.c ---- */
MUST_USE int kafka_streams_open(struct kafka_sink *sink, struct error *err);
void kafka_streams_close(struct kafka_sink *sink);
/* The stream that takes `entry`, before any filter, or NULL. */
struct kafka_stream *kafka_stream_of(struct kafka_sink *sink, const struct batch_entry *entry);
/* Whether the stream's filter lets it pass. */
bool kafka_stream_wants(const struct kafka_stream *stream, const uint8_t *bytes, uint32_t length);
struct record_text kafka_stream_key(const struct kafka_stream *stream, const uint8_t *bytes,
                                    uint32_t length);
/* The value: `bytes` themselves or `scratch`; NULL: it cannot be made (too large). */
const void *kafka_stream_value(struct kafka_stream *stream, const uint8_t *bytes, size_t *length);

/* Partitions and days that are proposed for a topic; 0 days: it is compacted instead. */
void kafka_kind_proposal(enum kafka_kind kind, unsigned *partitions, unsigned *days);
/* Room in front of a value for its length, and the value with it: from where on, and how long. */
#define KAFKA_LENGTH_BYTES 5
uint8_t *kafka_put_length(uint8_t *value, size_t *length);

/* ---- kafka_headers.c ---- */
/* Of the message with this record and key; the caller's, or librdkafka's once it is produced. NULL:
 * no memory. */
MUST_USE rd_kafka_headers_t *kafka_headers_new(const struct kafka_stream *stream,
                                               const uint8_t *bytes, uint32_t length,
                                               struct record_text key);

/* ---- kafka_assets.c ---- */
/* Tells what is due; at the end of all once. Never waits. */
void kafka_assets_tick(struct kafka_sink *sink, uint64_t now_ns, bool is_flushing);
/* One was not delivered: the next report has all. */
void kafka_assets_failed(struct kafka_sink *sink);

/* ---- kafka_topics.c ---- */
/* Asks the brokers for the topics until all are there; never waits. */
void kafka_topics_tick(struct kafka_sink *sink, uint64_t now_ns);
/* Before the producer is closed. */
void kafka_topics_forget(struct kafka_sink *sink);

/* ---- kafka_send.c ---- */
enum kafka_sent {
    KAFKA_SENT,    /* all of the run that was to be sent is with librdkafka, or counted as failed */
    KAFKA_FULL,    /* no room for the rest now */
    KAFKA_REFUSED, /* the rest cannot be sent now: topic missing, not allowed, no producer */
};
/* Those records of `run` whose bit in `sent` is not set; sets it. `ticket` may be NULL. `code`: why
 * it was refused. */
enum kafka_sent kafka_send(struct kafka_stream *stream, const struct kafka_run *run,
                           uint64_t sent[BIT_WORDS], struct kafka_ticket *ticket,
                           rd_kafka_resp_err_t *code);
/* The same until all are sent or counted: waits on the sink's thread, where nobody waits for us. */
void kafka_send_all(struct kafka_stream *stream, const struct kafka_run *run);
/* A message by itself, with this key. */
rd_kafka_resp_err_t kafka_produce_keyed(struct kafka_stream *stream, const uint8_t *bytes,
                                        uint32_t length, struct record_text key);
/* True: the record itself is at fault, or will never be taken. */
bool kafka_is_permanent(rd_kafka_resp_err_t code);

/* ---- kafka_spool.c ---- */
MUST_USE int kafka_spool_open(struct kafka_sink *sink, struct error *err);
void kafka_spool_close(struct kafka_sink *sink);
void kafka_spool_append(struct kafka_stream *stream, const struct kafka_run *run);
/* Sends what there is room for; true: something was sent. */
bool kafka_spool_pump(struct kafka_sink *sink);
void kafka_spool_delivered(const rd_kafka_message_t *message, struct kafka_ticket *ticket,
                           uint32_t first);
/* Cap, age, cursors, counters: about once a second. */
void kafka_spool_keep_house(struct kafka_sink *sink);

/* ---- kafka_aggregate.c ---- */
struct kafka_aggregate;
typedef void (*kafka_aggregate_emit)(void *context, const uint8_t *record, uint32_t length);
/* NULL with `err`: an unknown name in `by`. `context` and `sensor_id` are borrowed. */
MUST_USE struct kafka_aggregate *kafka_aggregate_new(const struct kafka_settings *settings,
                                                     const char *sensor_id,
                                                     kafka_aggregate_emit emit, void *context,
                                                     struct error *err);
void kafka_aggregate_free(struct kafka_aggregate *aggregate);
/* Counts one flow record into its group; a record of a later interval first emits what is there. */
void kafka_aggregate_add(struct kafka_aggregate *aggregate, const uint8_t *record, uint32_t length);
/* Emits what is there: when nothing has come for long (`now_ns`, monotonic), or at once. */
void kafka_aggregate_tick(struct kafka_aggregate *aggregate, uint64_t now_ns);
void kafka_aggregate_flush(struct kafka_aggregate *aggregate);
