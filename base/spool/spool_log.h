/* What was produced and not yet acknowledged by all who must have it, in memory first and on disk
 * when somebody lags or the program ends: one log of opaque items for one stream.
 *
 * Each durable reader (a Kafka cluster, the collector) has a named cursor that survives a restart.
 * The newest items are in memory; what lags further than `memory_bytes_max` behind is written to
 * segment files (segment_log: CRC32C, a torn tail is cut off), and so is all that is left at
 * spool_log_close. Items go when all cursors have acknowledged them, or oldest first when the
 * caller says so (cap, age) or the disk takes no more: whoever had not read them then has them
 * counted as lost. The place of a cursor is written by spool_log_save; a crash in between means
 * that some items are read twice. Without a directory all is in memory, and the oldest are dropped.
 * Depends on: base, segment_log. Threads: one log, one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define SPOOL_LOG_CURSORS_MAX 8
#define SPOOL_LOG_NAME_BYTES  32

struct spool_log_limits {
    uint64_t memory_bytes_max;  /* of all items, with SPOOL_LOG_ITEM_OVERHEAD each */
    uint64_t segment_bytes_max; /* of one file: what is dropped at once */
    uint32_t item_bytes_max;
};
#define SPOOL_LOG_ITEM_OVERHEAD 96
#define SPOOL_LOG_TAIL_BYTES    64

/* What a reader hands back when an item has arrived. */
struct spool_log_place {
    uint64_t ordinal;       /* of the item, from 1 for the first one ever */
    uint64_t records_end;   /* records up to and with it, since the first one ever */
    uint64_t next_position; /* on disk; 0: the item was read from memory */
};

struct spool_log_item {
    const void *bytes; /* borrowed until the next call with this cursor, or an append */
    uint32_t length;
    uint32_t records;
    uint64_t time_ns; /* as given to spool_log_append */
    struct spool_log_place place;
};

struct spool_log;

/* `directory` is made if missing, not its parents; NULL or "": memory only. NULL with `err`: EBUSY
 * when another process has it. */
MUST_USE struct spool_log *spool_log_open(const char *directory,
                                          const struct spool_log_limits *limits, struct error *err);
/* Writes what is not acknowledged and the cursors to disk. 0, or -errno: part of it is in memory
 * alone. */
MUST_USE int spool_log_flush(struct spool_log *log, struct error *err);
/* Flushes; what that cannot write, and all without a directory, is lost. NULL is allowed. */
void spool_log_close(struct spool_log *log);
DEFINE_AUTO(spool_log, spool_log_close);

/* The cursor of that name, where it was when it was saved; a new one begins with the oldest item
 * that is there. Its number, or -errno: ENOSPC, EEXIST, EINVAL for a name outside of letters,
 * digits, '-', '_' and '.'. */
MUST_USE int spool_log_cursor(struct spool_log *log, const char *name, struct error *err);
/* The same, but a new one begins behind the newest item: it has no part in what waits for others.
 */
MUST_USE int spool_log_cursor_at_end(struct spool_log *log, const char *name, struct error *err);

/* Keeps a copy. 0, or -errno with the item lost for all: EMSGSIZE, EINVAL, ENOMEM. A disk that
 * takes nothing is no error here: the oldest items go instead, and `disk_errors` rises. */
MUST_USE int spool_log_append(struct spool_log *log, const void *bytes, uint32_t length,
                              uint32_t records, uint64_t time_ns, struct error *err);

/* Copies all that is in memory alone to disk, where it survives the death of the process; it stays
 * in memory too. 0 (also without a directory), or -errno: the rest is in memory alone. */
MUST_USE int spool_log_write(struct spool_log *log, struct error *err);
/* What was written survives a power cut when this returns 0. Waits for the disk. */
MUST_USE int spool_log_sync(struct spool_log *log, struct error *err);
/* The first bytes, at most SPOOL_LOG_TAIL_BYTES, of the last item that spool_log_open found on
 * disk, and its number of records. Returns how many; 0: there was none. */
uint32_t spool_log_tail(const struct spool_log *log, uint8_t out[SPOOL_LOG_TAIL_BYTES],
                        uint32_t *records);

/* The next item: 1, 0 when there is none, -errno when the disk cannot be read now. The same until
 * spool_log_sent. */
MUST_USE int spool_log_peek(struct spool_log *log, int cursor, struct spool_log_item *item,
                            struct error *err);
/* What spool_log_peek showed is on its way. */
void spool_log_sent(struct spool_log *log, int cursor);
/* This item and all before it have arrived for good. */
void spool_log_ack(struct spool_log *log, int cursor, const struct spool_log_place *place);
/* Goes on behind what was acknowledged: the rest is read again. */
void spool_log_rewind(struct spool_log *log, int cursor);

/* Deletes the oldest file; what was not read of it is lost. -ENOENT: there are not two. */
MUST_USE int spool_log_drop_oldest(struct spool_log *log, struct error *err);
/* Deletes files whose items are all older than `time_ns`, but not the last; how many. */
unsigned spool_log_expire(struct spool_log *log, uint64_t time_ns);
/* Writes the cursors if they have moved: a small file, replaced as a whole. */
MUST_USE int spool_log_save(struct spool_log *log, struct error *err);

struct spool_log_state {
    uint64_t memory_bytes, disk_bytes;
    uint64_t records;         /* appended since the first one ever */
    uint64_t oldest_time_ns;  /* of the oldest item that is in memory; 0: none */
    uint64_t disk_errors;     /* writes and reads that failed */
    uint64_t damages;         /* of them: frames that were not what was written */
    uint64_t truncated_bytes; /* cut off at the start */
    const char *disk_error;   /* the last one, or "" */
};
void spool_log_state(const struct spool_log *log, struct spool_log_state *out);

struct spool_log_cursor_state {
    uint64_t unacked_records; /* appended and not acknowledged, without the lost ones */
    uint64_t lost_records;    /* gone before they were read, since the start */
};
void spool_log_cursor_state(const struct spool_log *log, int cursor,
                            struct spool_log_cursor_state *out);
