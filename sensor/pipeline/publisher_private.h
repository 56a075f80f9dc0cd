/* A publisher's inside. Threads: its own, but for what publisher.h says of others. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "proto/codec.h"
#include "sensor/pipeline/alert_join.h"
#include "sensor/pipeline/loss_mark.h"
#include "sensor/pipeline/publisher.h"

#define PUBLISHER_OWN_BATCHES     64
#define PUBLISHER_OWN_BATCH_BYTES (4 * CODEC_STATS_BYTES_MAX)
#define PUBLISHER_SLEEP_NS        (20 * NS_PER_MS)
#define PUBLISHER_EPOCHS_WAITING  16
/* Of one second on its way to the collector. */
#define PUBLISHER_SKETCH_BYTES ((size_t)128 * 1024)

/* References waiting for one sink. */
struct sink_queue {
    struct record_batch **slots;
    uint32_t capacity, head, count;
    uint64_t next_tick_ns;
};

/* Seconds of one shard that wait until all shards have passed them. */
struct waiting {
    struct epoch *epochs[PUBLISHER_EPOCHS_WAITING];
    uint32_t count;
};

struct publisher {
    struct publisher_settings settings;
    struct publisher_counts counts;
    struct codec_identity identity; /* of the settings */
    struct sink_queue queues[PUBLISHER_SINKS_MAX];
    struct waiting waiting[PUBLISHER_SHARDS_MAX];
    struct name_join *names;   /* NULL = off */
    struct label_join *labels; /* NULL: off */
    struct alert_join *alerts; /* NULL: detection is off */
    struct loss_mark losses;
    struct name_outlet *name_outlets[PUBLISHER_SHARDS_MAX];
    struct record_batch *held[PUBLISHER_SHARDS_MAX]; /* waits for other shards, or a decision */
    uint64_t held_second[PUBLISHER_SHARDS_MAX];      /* alert_join_wants of it */
    uint64_t decided; /* all seconds before this place have been decided */
    struct wake wake;
    struct batch_pool *own_pool;
    struct record_batch *own; /* being filled with alerts and statistics */
    struct epoch *merged;
    struct asset_list *assets;      /* NULL: none are kept */
    struct evidence_pins *evidence; /* NULL: no packets are kept for alerts */
    struct alert_record *alert;     /* room for one with its packets */
    struct detection *detection;
    struct learnt_file *learnt; /* NULL: what is learnt is not kept */
    struct stats_record *stats;
    uint8_t *sketch; /* PUBLISHER_SKETCH_BYTES; NULL: detection is off */
    uint64_t last_second;
    uint64_t owed;
    uint64_t patience_end_ns; /* after a stop: until then sinks may push back; 0 = no stop yet */
    bool is_impatient;
    atomic_bool has_ended;
    pthread_t thread;
    bool is_started;
};

/* publisher_sinks.c: numbers, queues and what they lose. */

/* Numbers the records of `batch` and gives it to all queues; takes the caller's reference. */
void publisher_publish(struct publisher *publisher, struct record_batch *batch);
/* True when every sink that pushes back can take one more batch. */
bool publisher_has_room(const struct publisher *publisher);
/* Offers what waits, and lets sinks do their timed work; true when anything moved. */
bool publisher_drain(struct publisher *publisher, uint64_t now_ns);
/* A stop must end even when a sink that pushes back never takes anything again. */
void publisher_lose_patience(struct publisher *publisher, uint64_t now_ns);
/* What the queues still hold goes to the sinks until flush_ns have passed; then it is lost. */
void publisher_flush(struct publisher *publisher);

/* publisher_seconds.c: what the publisher itself has to say, a second after the other. */

/* Takes over and decides each second that all shards have passed; true when anything moved. */
bool publisher_decide_seconds(struct publisher *publisher);
/* The place of the earliest waiting second (epoch_place), or UINT64_MAX. */
uint64_t publisher_next_second(const struct publisher *publisher);
/* An alert of its detectors becomes a record; `context` is the publisher. */
void publisher_on_alert(void *context, const struct alert_record *alert, uint64_t origins);
/* The batch with alerts and statistics leaves, if there is anything in it. */
void publisher_send_own(struct publisher *publisher);
