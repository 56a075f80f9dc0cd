/* What was produced and not yet acknowledged by all who must have it: one log of opaque items for
 * one stream.
 *
 * Each durable sink (the collector, a Kafka cluster) has a cursor with its own place. An item goes
 * when all cursors have acknowledged it, or, oldest first, when the spool is full; who had not
 * acknowledged it then meets a gap at its place, so that the loss can be told. Held in memory.
 * Sequence numbers begin at 1 and rise. Depends on: base. Threads: one spool, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define SPOOL_CURSORS_MAX 8

struct spool_item {
    const void *bytes;
    size_t length;
    uint64_t first_seq;
    uint64_t last_seq;
    uint32_t record_count;
};

/* Sequence numbers that are no longer there, both included; from_seq 0: none. */
struct spool_gap {
    uint64_t from_seq;
    uint64_t to_seq;
    uint64_t records; /* in the items that were dropped */
};

struct spool_limits {
    uint64_t bytes_max; /* of all items with their overhead (SPOOL_ITEM_OVERHEAD_BYTES each) */
};
#define SPOOL_ITEM_OVERHEAD_BYTES 96

struct spool;

/* NULL with `err` set: ENOMEM, EINVAL for no room at all. */
MUST_USE struct spool *spool_new(const struct spool_limits *limits, struct error *err);
void spool_free(struct spool *spool); /* NULL is allowed; what is still held is lost */
DEFINE_AUTO(spool, spool_free);

/* A new cursor that wants everything from `from_seq` on; its number (>= 0) or -errno: ENOSPC with
 * SPOOL_CURSORS_MAX there, EEXIST for a name twice. `name` is copied (31 bytes). Without any cursor
 * nothing is kept. */
MUST_USE int spool_cursor_add(struct spool *spool, const char *name, uint64_t from_seq,
                              struct error *err);

/* Keeps a copy of `item`, which must begin behind the last one (EINVAL). To make room the oldest
 * are dropped; what was dropped is added up in `dropped`, which may be NULL. 0, or -errno with the
 * item itself lost and in `dropped`: EFBIG when it is larger than the whole spool (the others
 * stay), ENOMEM. O(1) and the copy. */
MUST_USE int spool_append(struct spool *spool, const struct spool_item *item,
                          struct spool_gap *dropped, struct error *err);

enum spool_next {
    SPOOL_END,  /* nothing to send */
    SPOOL_ITEM, /* `item` is next */
    SPOOL_GAP,  /* `gap` was lost before the next item: tell it first (its `records` is not known
                   here: 0) */
};

/* What cursor sends next. The item's bytes are borrowed until the next spool_append or
 * spool_cursor_ack. */
MUST_USE enum spool_next spool_cursor_peek(const struct spool *spool, int cursor,
                                           struct spool_item *item, struct spool_gap *gap);
/* What spool_cursor_peek shows has been sent (or told); the next peek shows what follows. */
void spool_cursor_sent(struct spool *spool, int cursor);

/* Everything up to `seq` has arrived for good. -ERANGE with `err` set when that was never sent: a
 * peer that acknowledges the future is wrong, and nothing changes. An older `seq` than before has
 * no effect. */
MUST_USE int spool_cursor_ack(struct spool *spool, int cursor, uint64_t seq, struct error *err);

/* The connection is gone: what was sent and not acknowledged is sent again. O(items). */
void spool_cursor_rewind(struct spool *spool, int cursor);
/* Sends again from `seq` on, as the peer asks (`resume_from`); what is no longer there shows as a
 * gap. -ERANGE when `seq` lies behind what was ever sent plus one. O(items). */
MUST_USE int spool_cursor_seek(struct spool *spool, int cursor, uint64_t seq, struct error *err);

struct spool_cursor_state {
    const char *name;
    uint64_t acked_seq;
    uint64_t next_seq;         /* what it sends next is at or behind this */
    uint64_t unsent_records;   /* in items it has yet to send */
    uint64_t unacked_records;  /* in items sent and not acknowledged */
    uint64_t lost_records;     /* dropped before it had sent them */
    uint64_t doubtful_records; /* dropped after they were sent, before they were acknowledged */
};
/* O(items). */
void spool_cursor_state(const struct spool *spool, int cursor, struct spool_cursor_state *out);

struct spool_state {
    uint64_t items;
    uint64_t records;
    uint64_t bytes; /* with overhead */
    uint64_t last_seq;
};
void spool_state(const struct spool *spool, struct spool_state *out);
