/* Records on their way into tables of ClickHouse, over HTTP: flows, and alerts, statistics and DNS
 * where they have a table.
 *
 * Each stream has a feed, which knows nothing of the others: a thread of its own reads ingest's log
 * from a place that it keeps on disk, and moves the place when the server has said that it has the
 * rows: at least once, and a try that is made again carries the token of the one before, by which
 * the server (and the sums behind its table) takes it once. While the server is down the log is
 * kept for it, up to a bound; what is then given up is counted. Nothing else waits for it. Depends
 * on: base, proto, libcurl. Threads: its own; callers as said below. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"
#include "proto/codec.h"

struct clickhouse_settings {
    const char *url;                                    /* "http://127.0.0.1:8123"; "": off */
    const char *database, *table;                       /* of flow records */
    const char *alerts_table, *stats_table, *dns_table; /* "": not written */
    const char *user, *password_file, *ca_file;
    const char *compression;                    /* "zstd" | "off" */
    uint64_t batch_rows, batch_bytes, batch_ns; /* what ends a batch */
    uint64_t timeout_ns;
    uint64_t queue_bytes; /* of the log, kept for it at most */
    const char *query;    /* "on" | "off": questions about what is in the table */
    const char *query_user, *query_password_file;       /* "": as those who write */
    uint64_t query_timeout_ns, query_rows, query_bytes; /* one question may take, and bring */
};

extern const struct config_field clickhouse_fields[];

bool clickhouse_is_on(const struct clickhouse_settings *settings);
/* The table of a stream's records; "": they are not written. */
const char *clickhouse_table_of(const struct clickhouse_settings *settings,
                                enum record_stream stream);
/* 0, or -errno with `err` naming the setting; asks nobody. Nothing is checked where it is off. */
MUST_USE int clickhouse_check(const struct clickhouse_settings *settings, struct error *err);

/* Where the server is, for doctor. */
struct clickhouse_peer {
    char address[300]; /* "host:port" */
    bool is_tls;
};
MUST_USE bool clickhouse_peer_of(const struct clickhouse_settings *settings,
                                 struct clickhouse_peer *out);
/* Asks the server for a stream's table, as the feed does: how many columns it would fill, and
 * whether it keeps whole records, for questions. -errno with `err`: it does not answer, or has no
 * such table. */
MUST_USE int clickhouse_probe(const struct clickhouse_settings *settings, enum record_stream stream,
                              bool *keeps_records, struct error *err);

/* ---- the feed ---- */

/* A batch of the log. Borrowed for the call. */
struct clickhouse_batch {
    enum record_stream stream; /* of others it is passed over */
    const char *sensor_id, *boot_id;
    uint64_t first_seq;
    uint32_t record_count;
    const struct codec_slice *records; /* without identity */
};

/* The log, as its owner lets it be read; positions are the owner's, and only rise. The feed's
 * thread, but for `end`: any. */
struct clickhouse_log {
    void *context;
    /* From `position` on; 0, or one that is gone: from the oldest there. NULL with `err`. */
    void *(*open)(void *context, uint64_t position, struct error *err);
    void (*close)(void *reader);
    /* The next batch that begins before `until` (0: any): 1; 0: not yet; -EBADMSG: damaged, and the
     * next call goes on behind it; another -errno. */
    int (*next)(void *reader, uint64_t until, struct clickhouse_batch *out, struct error *err);
    uint64_t (*position)(void *reader); /* behind what was read */
    uint64_t (*missing)(void *reader);  /* bytes that were not there */
    uint64_t (*end)(void *context);
};

struct clickhouse;

/* The feed of a stream that has a table. Reads (or makes) the file `path`, where its place in the
 * log is kept. NULL with `err`. `settings` outlive it. */
MUST_USE struct clickhouse *clickhouse_new(const struct clickhouse_settings *settings,
                                           enum record_stream stream, const char *path,
                                           struct error *err);
/* Begins to read; what the log has now is counted as waiting. 0 or -errno. */
MUST_USE int clickhouse_start(struct clickhouse *clickhouse, const struct clickhouse_log *log,
                              struct error *err);
/* A batch of the stream is in the log, up to `position`. One thread; never waits for the server.
 */
void clickhouse_note(struct clickhouse *clickhouse, uint32_t records, uint64_t position);
/* What the log has before this position is not needed here. Any thread. */
uint64_t clickhouse_position(const struct clickhouse *clickhouse);
/* What waits is tried once more, for two seconds at most; the rest stays in the log. Does not wait.
 * NULL is allowed. */
void clickhouse_stop(struct clickhouse *clickhouse);
/* Stops it, and waits for that. NULL is allowed. */
void clickhouse_free(struct clickhouse *clickhouse);
DEFINE_AUTO(clickhouse, clickhouse_free);

/* ---- questions about what is in the table ---- */

/* Whether it is asked for records that are older than those of the collector's own store. */
bool clickhouse_is_asked(const struct clickhouse_settings *settings);

/* A FlowRecord without its identity. Borrowed for the call. */
struct clickhouse_record {
    struct record_text sensor_id, boot_id;
    uint64_t seq;
    const uint8_t *bytes;
    uint32_t length;
};

struct clickhouse_question {
    uint64_t from_ns, until_ns;       /* records that end in it, */
    uint64_t before_ns;               /* of flows that started before */
    const char *condition;            /* SQL over the columns; rows without it may be left out */
    bool (*is_wanted)(void *context); /* asked about once a second */
    bool (*take)(void *context, const struct clickhouse_record *record); /* false: no more */
    void *context;
};

struct clickhouse_found {
    uint64_t records;    /* handed out: some may be there twice, one after the other */
    uint64_t from_ns;    /* all that end from here on; more than that passed a bound */
    const char *bound;   /* the setting; NULL: none was met */
    uint64_t unreadable; /* rows whose column `record` is empty: of a time before it */
};

struct clickhouse_past;
/* NULL with `err`. `settings` outlive it. */
MUST_USE struct clickhouse_past *clickhouse_past_new(const struct clickhouse_settings *settings,
                                                     struct error *err);
void clickhouse_past_free(struct clickhouse_past *past); /* NULL is allowed */
/* Hands out the records by their end, those of one end by sensor, boot and number. 0, -ECANCELED
 * (not wanted any more, or `take` said so) or -errno with `err`. One caller at a time. A server
 * that does not answer is left alone for a while: then it fails at once. */
MUST_USE int clickhouse_past_ask(struct clickhouse_past *past,
                                 const struct clickhouse_question *question,
                                 struct clickhouse_found *found, struct error *err);

struct clickhouse_past_counts {
    uint64_t questions, failed, records, bounded; /* asked; not answered; read; met a bound */
    bool is_failing;                              /* the last one failed */
    char reason[300];                             /* of the last failure; "": none yet */
    uint64_t failed_ns;                           /* when, wall clock; 0: never */
};
void clickhouse_past_counts_read(struct clickhouse_past *past,
                                 struct clickhouse_past_counts *out); /* any thread */

/* ---- what became of rows ---- */

/* taken = inserted + refused + undecodable + dropped + waiting, since the start. */
struct clickhouse_counts {
    uint64_t taken; /* records that came, and those that waited in the log at the start */
    uint64_t inserted;
    uint64_t refused;     /* by an answer that says it will not be another one */
    uint64_t undecodable; /* no record of the stream */
    uint64_t dropped;     /* given up since the log would have grown over queue_size */
    uint64_t waiting;
    bool is_waiting_known;     /* false: what waits from an earlier life is not counted yet */
    uint64_t inserts, retries; /* statements that were taken; tries that failed */
    uint64_t backlog_bytes, missing_bytes; /* of the log: kept for it; found deleted or damaged */
    bool is_failing;                       /* the last try failed */
    char reason[300];                      /* of the last one that did; "": none has */
};
void clickhouse_counts_read(struct clickhouse *clickhouse,
                            struct clickhouse_counts *out); /* any thread */
