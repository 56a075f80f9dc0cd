/* What spool_log.c (items and cursors) and spool_log_disk.c (segment files, the file of cursors)
 * share. Depends on: base. One log, one thread. */
#pragma once

#include <assert.h>

#include "base/clock.h"
#include "base/spool/segment_log.h"
#include "base/spool/spool_log.h"

#define SPOOL_HEADER_BYTES 32 /* ordinal, records before it, time: 64 bits; records, 0: 32 bits */

/* An item in memory, as the frame that it becomes on disk. */
struct spool_node {
    struct spool_node *next;
    uint64_t ordinal, records_before, time_ns;
    uint64_t next_position; /* behind its copy on disk; 0: there is none */
    uint32_t records;
    uint32_t length; /* of the frame, with its header */
    uint8_t frame[];
};
static_assert(sizeof(struct spool_node) + SPOOL_HEADER_BYTES + 16 <= SPOOL_LOG_ITEM_OVERHEAD,
              "the overhead covers node, header and heap");

struct spool_log_reader {
    char name[SPOOL_LOG_NAME_BYTES];
    struct spool_log_place acked;
    uint64_t next_ordinal;   /* what it reads next */
    uint64_t records_before; /* records up to there: a jump tells what was lost */
    uint64_t lost_records;
    uint64_t pending_lost;            /* of them those behind what is acknowledged, ... */
    uint64_t ahead_lost;              /* of them those that it has not come to yet */
    uint64_t lost_until;              /* ... all before this item */
    const struct spool_node *last;    /* what it read last, while that is in memory */
    const struct spool_node *reading; /* what peek shows, if it is in memory */
    struct segment_reader *reader;
    uint64_t sent_position; /* behind what it read last, on disk; 0: not known */
    bool has_item;          /* `item` is what peek shows */
    struct spool_log_item item;
};

struct spool_log {
    char *directory; /* NULL: memory only */
    struct spool_log_limits limits;
    struct segment_log *disk; /* NULL: none, or it failed */
    uint64_t reopen_ns;
    struct spool_node *oldest, *newest;
    struct spool_node *unwritten; /* the first one without a copy on disk */
    uint64_t memory_bytes;
    uint64_t last_ordinal, records; /* of the last append */
    uint64_t disk_ordinal;          /* the last item on disk; 0: none */
    uint64_t disk_errors, truncated_bytes, damages;
    bool is_moved;    /* cursors have moved since they were saved */
    bool is_unsynced; /* written since the last sync */
    uint32_t tail_length, tail_records;
    uint8_t tail[SPOOL_LOG_TAIL_BYTES];
    char disk_error[160];
    int cursors_count;
    struct spool_log_reader cursors[SPOOL_LOG_CURSORS_MAX];
    /* What the file of cursors said, until each is asked for. */
    int saved_count;
    struct spool_log_reader saved[SPOOL_LOG_CURSORS_MAX];
};

struct spool_header {
    uint64_t ordinal, records_before, time_ns;
    uint32_t records;
};

static inline void spool_store_u64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline uint64_t spool_load_u64(const uint8_t *at)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

/* False: a frame of something else. */
static inline bool spool_frame_read(const uint8_t *frame, uint32_t length, struct spool_header *out)
{
    if (length < SPOOL_HEADER_BYTES) {
        return false;
    }
    *out = (struct spool_header){.ordinal = spool_load_u64(frame),
                                 .records_before = spool_load_u64(frame + 8),
                                 .time_ns = spool_load_u64(frame + 16),
                                 .records = (uint32_t)spool_load_u64(frame + 24)};
    return out->ordinal > 0;
}

/* `next_position`: of the frame, 0 for one that is in memory alone. */
static inline void spool_frame_item(const uint8_t *frame, uint32_t length,
                                    const struct spool_header *header, uint64_t next_position,
                                    struct spool_log_item *out)
{
    *out = (struct spool_log_item){
        .bytes = frame + SPOOL_HEADER_BYTES,
        .length = length - SPOOL_HEADER_BYTES,
        .records = header->records,
        .time_ns = header->time_ns,
        .place = {header->ordinal, header->records_before + header->records, next_position}};
}

static inline uint32_t spool_frame_bytes_max(const struct spool_log *log)
{
    return log->limits.item_bytes_max + SPOOL_HEADER_BYTES;
}

/* The items from where `cursor` is up to `ordinal` are gone: counted as lost. */
void spool_cursor_skip(struct spool_log_reader *cursor, uint64_t ordinal, uint64_t records_before);

/* spool_log.c: lets go what all have; writes the oldest item in memory to disk (-errno: it is still
 * there). */
void spool_trim(struct spool_log *log);
MUST_USE int spool_spill_oldest(struct spool_log *log, struct error *err);
void spool_free_oldest(struct spool_log *log);

/* spool_log_disk.c */
/* The first frame at or behind `position`: 1, 0 none, -errno. */
MUST_USE int spool_disk_first(const struct spool_log *log, uint64_t position,
                              struct spool_header *out);
void spool_disk_failed(struct spool_log *log, const struct error *err);
/* A log that met a failure of the disk takes nothing more until it is opened anew: tried at times.
 */
void spool_disk_reopen(struct spool_log *log);
