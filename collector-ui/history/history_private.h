/* The store's inside: who owns what is said at each member. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "collector-ui/history/day_file.h"
#include "collector-ui/history/history.h"
#include "collector-ui/history/live.h"
#include "collector-ui/history/past.h"
#include "collector-ui/history/query.h"
#include "collector-ui/history/rollup.h"
#include "proto/codec.h"

#define SENSOR_ID_BYTES      129
#define ARCHIVE_NAME         "rollup.db"
#define BATCH_RECORDS_MAX    65536u
#define OPEN_ALERTS_MAX      4096u
#define ROLLUPS_OPEN_MAX     4096u
#define HISTORY_WORKERS      2
#define HISTORY_PAST_WORKERS 2
#define HISTORY_JOBS_MAX     64
#define HISTORY_TIMES        256 /* of the last queries, kept */

struct queued_batch {
    struct queued_batch *next;
    struct history_batch batch; /* its texts and message lie behind the struct */
    char sensor_id[SENSOR_ID_BYTES];
    uint8_t message[];
};

struct position {
    char sensor_id[SENSOR_ID_BYTES];
    char boot_id[33];
    bool is_dirty;
    uint32_t sequence; /* the stream, and its lane in the bits from 8 on */
    uint64_t next_seq, updated_ns;
};

struct open_rollup {
    uint32_t step;
    int64_t start_s;
    char sensor_id[SENSOR_ID_BYTES];
    bool is_used, is_dirty;
    uint64_t touched_ns; /* begin of the transaction that added to it last; monotonic */
    struct rollup rollup;
};

struct file_entry {
    int64_t day;
    uint64_t min_ns, max_ns; /* of record times; max 0: none */
    /* Longest of its flow records, at least: what one tells of, and its flow until then;
     * UINT64_MAX: not known. */
    uint64_t delta_max_ns, life_max_ns;
};

struct open_alert {
    char alert_id[37];
    uint8_t *record;
    uint32_t length;
};

struct packet_slot {
    uint64_t number;
    uint8_t *record; /* PacketSample with its identity */
    uint32_t length;
};

/* Questions of one kind wait in a lane, with threads of its own: those that ask another store keep
 * no others waiting. */
enum history_lane { LANE_OWN, LANE_PAST, LANE_COUNT };

struct history_job {
    struct history_job *next;
    void (*run)(struct history_reader *reader, void *context);
    void (*drop)(void *context);
    void *context;
};

struct history {
    struct history_settings settings;
    char directory[3800];
    pthread_t thread;
    bool is_started;

    /* Under `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    struct queued_batch *head, **tail;
    uint32_t queue_used;
    bool is_stopping;
    struct file_entry *files; /* by day */
    uint32_t files_count, files_room;
    struct open_alert *alerts;
    uint32_t alerts_count;
    struct packet_slot *packets; /* ring of settings.packet_buffer */
    uint64_t packets_next;       /* number of the next; numbers start at 1 */
    uint64_t gap_records;
    uint64_t dropped_max_ns; /* META_DROPPED */
    struct history_counts counts;

    char failure[640]; /* written once before has_failed */
    _Atomic bool has_failed;
    _Atomic uint64_t log_position; /* safely on disk */

    /* The store thread's own. */
    struct day_file *file;
    bool is_in_transaction;
    uint32_t transaction_rows;
    uint64_t transaction_started_ns, checkpoint_ns, retention_ns;
    uint64_t applied_position;
    struct file_entry range; /* of `file` */
    struct position *positions;
    uint32_t *position_slots; /* index + 1 */
    uint32_t positions_count, positions_room;
    struct {
        char boot_id[33];
    } * boots; /* of `file`; number = index + 1 */
    uint32_t boots_count, boots_room;
    struct open_rollup *rollups; /* open addressing, ROLLUPS_OPEN_MAX * 2 */
    uint32_t rollups_count;
    uint64_t rollups_generation; /* counts up where they move or go */
    struct codec_slice *slices;
    struct flow_record *flow;
    struct alert_record *alert;
    struct stats_record *stats;
    struct arena *arena;
    uint8_t *scratch;
    struct history_counts pending; /* of the open transaction */
    uint64_t pending_first_ns;     /* least end of its flow records; 0: there is none */

    struct live *live;

    /* Query threads; jobs under `lock`. */
    struct history_worker {
        struct history *history;
        enum history_lane lane;
        pthread_t thread;
    } workers[HISTORY_WORKERS + HISTORY_PAST_WORKERS];
    unsigned workers_count;
    pthread_cond_t has_job;
    struct {
        struct history_job *head, **tail;
    } lanes[LANE_COUNT];
    uint32_t jobs_count, jobs_running;
    uint64_t times_ns[HISTORY_TIMES]; /* query n at n % HISTORY_TIMES */
    uint64_t times_count;

    struct past past; /* past.c */
};

/* store.c */
MUST_USE int store_apply(struct history *h, const struct queued_batch *batch, struct error *err);
MUST_USE int store_commit(struct history *h, struct error *err);
void store_checkpoint(struct history *h);

/* store_open.c */
#define META_DELTA_MAX "delta_max_ns"  /* of struct file_entry, */
#define META_LIFE_MAX  "life_max_ns"   /* as far as they were measured: */
#define META_MEASURED  "rows_measured" /* flow records; an earlier version adds others */
MUST_USE int store_open(struct history *h, struct error *err);
/* Makes the file of `day` the current one. */
MUST_USE int store_turn(struct history *h, int64_t day, struct error *err);
void store_note_range(struct history *h, uint64_t from_ns, uint64_t to_ns);
void store_note_flow(struct history *h, const struct flow_record *flow);
void store_publish_range(struct history *h);
MUST_USE int64_t store_boot_no(struct history *h, const char *boot_id, struct error *err);

/* store_state.c */
struct position *position_find(struct history *h, const char *sensor_id, const char *boot_id,
                               uint32_t sequence, bool is_new_wanted);
void alert_state_update(struct history *h, const char *alert_id, uint8_t state,
                        const uint8_t *record, uint32_t length);
void packet_keep(struct history *h, uint64_t number, const uint8_t *record, uint32_t length);
/* NULL with `err`. Reads what the file holds already. */
MUST_USE struct rollup *rollup_open(struct history *h, uint32_t step, int64_t start_s,
                                    const char *sensor_id, struct error *err);
MUST_USE int rollups_write(struct history *h, struct error *err);
void rollups_forget(struct history *h);

/* retention.c */
#define META_DROPPED "dropped_max_ns" /* of the archive: record times in files that have gone */
/* Records that end from here on have not gone with any file; 0: none has gone, nor could have. */
uint64_t retention_kept_from(struct history *h);
void retention_run(struct history *h, uint64_t now_ns);
uint64_t file_bytes(const char *directory, int64_t day);

/* query_pool.c */
MUST_USE int query_pool_start(struct history *h, struct error *err);
void query_pool_stop(struct history *h);
