/* What the fleet reported: rows in one SQLite file a UTC day, rollups kept in memory and written by
 * the second, the last 15 minutes at one second in memory, and an immutable snapshot a tick for the
 * live feed.
 *
 * One store thread does all writes; up to two query threads read (read-only connections,
 * cancellable). A batch arrives here after it is on disk in ingest's log; rows, rollups and
 * position(sensor, boot, stream, seq) go in one transaction of one file, so a restart replays the
 * log from history_log_position() and counts nothing twice. Files and retention go by receive time,
 * queries by record time. Depends on: base, proto, proto/filter, SQLite. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/record.h"

struct history;

/* One batch of records as ingest has it on disk. Borrowed for the call of history_offer. */
struct history_batch {
    struct record_text sensor_id;
    enum record_stream stream;
    uint32_t lane; /* 0: the sensor's own stream; else one of several, each in order */
    char boot_id[33];
    uint64_t first_seq;
    uint32_t record_count;
    uint64_t receive_ns;    /* collector's wall clock */
    uint64_t log_position;  /* behind this batch in ingest's log */
    const uint8_t *message; /* the Batch message (codec_decode_batch reads it) */
    uint32_t length;
};

/* ---- a store that keeps flow records longer than this one ---- */

struct history_past_record {
    struct record_text sensor_id, boot_id;
    uint64_t seq;
    const uint8_t *bytes; /* a FlowRecord without identity */
    uint32_t length;
};
struct history_past_question {
    uint64_t from_ns, until_ns; /* records that end in it, */
    uint64_t before_ns;         /* of flows that started before */
    const char *condition;      /* filter_to_clickhouse: other records may be left out */
    bool (*is_wanted)(void *context);
    bool (*take)(void *context, const struct history_past_record *record); /* false: no more */
    void *context;
};
struct history_past_answer {
    uint64_t from_ns;    /* all that end from here on; more than that passed a bound */
    const char *bound;   /* the setting, static; NULL: none was met */
    uint64_t unreadable; /* records that are there and could not be handed out */
};
struct history_past {
    void *context;
    /* Hands out the records by their end, those of one end by identity; one that is there twice may
     * come twice, one after the other. 0, -ECANCELED or -errno with `err`. A query thread, one at a
     * time. NULL: there is no such store. */
    int (*ask)(void *context, const struct history_past_question *question,
               struct history_past_answer *answer, struct error *err);
};

struct history_settings {
    const char *directory;    /* of the day files and rollup.db */
    uint64_t retention_ns;    /* raw day files older than this go whole */
    uint64_t retention_bytes; /* and the oldest while all together are larger */
    uint32_t queue_batches;   /* waiting for the store thread */
    uint64_t commit_ns;       /* longest time between two transactions: 1 s */
    uint32_t commit_rows;     /* 20000 */
    uint32_t packet_buffer;   /* packet samples kept, newest; 0: 2000 */
    uint64_t rollup_rest_ns;  /* sums of a step that is over stay in memory; 0: 60 s */
    uint64_t query_time_ns;   /* one query may take; 0: 20 s */
    uint64_t query_rows;      /* and look at; 0: 5 million */
    uint32_t query_groups;    /* and hold; 0: 65536 */
    /* One flow of several sensors: */
    uint64_t merge_tolerance_ns;     /* between its starts; 0: none is joined */
    uint32_t merge_flows;            /* that one query compares; 0: 500000 */
    const char *const *merge_prefer; /* patterns of sensor ids, the best first; outlive it */
    uint32_t merge_prefer_count;
    struct history_past past; /* asked for what is older than the day files */
};

/* Opens or makes the store and reads its positions. NULL with `err` ("/var/lib/netscope/...: ...").
 */
MUST_USE struct history *history_new(const struct history_settings *settings, struct error *err);
/* Writes what is queued, closes. */
void history_free(struct history *history);
DEFINE_AUTO(history, history_free);

/* Copies the batch into the queue of the store thread. Waits while the queue is full (so
 * acknowledgements slow down); false when the store has failed for good (disk full, corrupt): the
 * reason is in history_failure(). Any one thread. */
MUST_USE bool history_offer(struct history *history, const struct history_batch *batch);
const char *history_failure(struct history *history); /* NULL = none */

/* Everything in the log before this position is in the store. Any thread. */
uint64_t history_log_position(struct history *history);
/* Calls `each` for every (sensor, boot, stream, lane) in the store with the next sequence number.
 * Before the first offer. */
void history_each_position(struct history *history,
                           void (*each)(void *context, const char *sensor_id, const char *boot_id,
                                        enum record_stream stream, uint32_t lane,
                                        uint64_t next_seq),
                           void *context);
/* The newest record of every alert that is open. Likewise. */
void history_each_open_alert(struct history *history,
                             void (*each)(void *context, const uint8_t *record, size_t length),
                             void *context);
/* Tells a hole that will never be filled, for the quality of answers. Any thread. */
void history_gap(struct history *history, const char *sensor_id, const char *boot_id,
                 enum record_stream stream, uint64_t from_seq, uint64_t to_seq);

struct history_counts {
    uint64_t batches_in, records_in, records_stored, records_duplicate, records_undecodable;
    uint64_t records_not_kept; /* of streams that the store has no table for (DNS) */
    uint64_t packets_stored, bytes_on_disk, queue_used, rows_flows, rows_alerts, rows_stats,
        rows_packets;
    uint64_t last_commit_ns, files;
    uint64_t gap_records, files_set_aside;
    uint64_t queries, queries_partial, queries_cancelled; /* run; that met a bound; nobody waited */
    uint64_t queries_refused;                             /* too many waited */
};
void history_counts_read(struct history *history, struct history_counts *out); /* any thread */

/* As set; 0: no bound. Any thread. */
void history_retention(const struct history *history, uint64_t *retention_ns,
                       uint64_t *retention_bytes);

/* A day file. */
struct history_day {
    int64_t day;                    /* days since 1970 */
    uint64_t bytes, from_ns, to_ns; /* on disk; record times, 0: none yet */
};
/* The newest `max` in order of time; returns how many. Asks the disk. Any thread. */
uint32_t history_days(struct history *history, struct history_day *out, uint32_t max);

/* How long the last questions took, from their begin. */
struct history_query_times {
    uint32_t running, running_max, waiting, waiting_max;
    uint32_t measured; /* 0: none yet */
    uint64_t p50_ns, p95_ns, p99_ns, longest_ns;
};
void history_query_times_read(struct history *history,
                              struct history_query_times *out); /* any thread */
