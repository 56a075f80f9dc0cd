#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/spool/spool_log_private.h"

void spool_cursor_skip(struct spool_log_reader *cursor, uint64_t ordinal, uint64_t records_before)
{
    if (records_before > cursor->records_before) {
        uint64_t lost = records_before - cursor->records_before;
        const uint64_t known = lost < cursor->ahead_lost ? lost : cursor->ahead_lost;

        cursor->ahead_lost -= known;
        lost -= known;
        cursor->lost_records += lost;
        cursor->pending_lost += lost;
        cursor->lost_until = ordinal > cursor->lost_until ? ordinal : cursor->lost_until;
    }
    cursor->next_ordinal = ordinal;
    cursor->records_before = records_before;
    cursor->has_item = false;
}

/* ---- items ---- */

static uint64_t cost_of(const struct spool_node *node)
{
    return (uint64_t)node->length - SPOOL_HEADER_BYTES + SPOOL_LOG_ITEM_OVERHEAD;
}

void spool_free_oldest(struct spool_log *log)
{
    struct spool_node *node = log->oldest;

    for (int i = 0; i < log->cursors_count; i++) {
        if (log->cursors[i].has_item && log->cursors[i].next_ordinal == node->ordinal) {
            log->cursors[i].has_item = false; /* its bytes go */
        }
        if (log->cursors[i].last == node) {
            log->cursors[i].last = NULL;
        }
    }
    log->oldest = node->next;
    log->newest = node->next == NULL ? NULL : log->newest;
    log->unwritten = log->unwritten == node ? node->next : log->unwritten;
    log->memory_bytes -= cost_of(node);
    free(node);
}

static void drop_oldest_node(struct spool_log *log)
{
    const struct spool_node *node = log->oldest;

    /* Older ones on disk are still there: whoever reads those meets a jump here later. */
    for (int i = 0; i < log->cursors_count; i++) {
        struct spool_log_reader *cursor = &log->cursors[i];

        if (cursor->next_ordinal == node->ordinal) {
            spool_cursor_skip(cursor, node->ordinal + 1, node->records_before + node->records);
        } else if (cursor->next_ordinal < node->ordinal) {
            cursor->lost_records += node->records;
            cursor->pending_lost += node->records;
            cursor->ahead_lost += node->records;
            cursor->lost_until = node->ordinal + 1;
        }
    }
    spool_free_oldest(log);
}

static int write_node(struct spool_log *log, struct spool_node *node, struct error *err)
{
    if (log->disk == NULL) {
        spool_disk_reopen(log);
    }
    if (log->disk == NULL) {
        return error_set(err, EIO, "%s", log->disk_error);
    }
    int result = segment_log_append(log->disk, node->frame, node->length, NULL, err);

    if (result == -ENOSPC || result == -EDQUOT) { /* the newer ones are worth more */
        struct error ignored = {0};

        if (spool_log_drop_oldest(log, &ignored) == 0) {
            result = segment_log_append(log->disk, node->frame, node->length, NULL, err);
        }
    }
    if (result != 0) {
        spool_disk_failed(log, err);
        if (result == -EIO) {
            spool_disk_reopen(log);
        }
        return result;
    }
    log->disk_ordinal = node->ordinal;
    log->is_unsynced = true;
    node->next_position = segment_log_end(log->disk);
    log->unwritten = node->next;
    return 0;
}

/* Lets the oldest item in memory go, written to disk; -errno: it is still there. */
int spool_spill_oldest(struct spool_log *log, struct error *err)
{
    const int result = log->oldest == log->unwritten ? write_node(log, log->oldest, err) : 0;

    if (result == 0) {
        spool_free_oldest(log);
    }
    return result;
}

int spool_log_write(struct spool_log *log, struct error *err)
{
    int result = 0;

    while (log->directory != NULL && log->unwritten != NULL && result == 0) {
        result = write_node(log, log->unwritten, err);
    }
    return result;
}

static void keep_within_memory(struct spool_log *log)
{
    struct error err = {0};

    while (log->memory_bytes > log->limits.memory_bytes_max && log->oldest != log->newest) {
        if (log->directory == NULL || spool_spill_oldest(log, &err) != 0) {
            drop_oldest_node(log);
        }
    }
}

int spool_log_append(struct spool_log *log, const void *bytes, uint32_t length, uint32_t records,
                     uint64_t time_ns, struct error *err)
{
    if (length == 0 || length > log->limits.item_bytes_max) {
        return error_set(err, length == 0 ? EINVAL : EMSGSIZE,
                         "spool: an item of %u bytes, allowed: 1 to %u", length,
                         log->limits.item_bytes_max);
    }
    struct spool_node *node = malloc(sizeof(*node) + SPOOL_HEADER_BYTES + length);

    if (node == NULL) {
        return error_set(err, ENOMEM, "spool: no memory for an item of %u bytes", length);
    }
    *node = (struct spool_node){.ordinal = ++log->last_ordinal,
                                .records_before = log->records,
                                .time_ns = time_ns,
                                .records = records,
                                .length = SPOOL_HEADER_BYTES + length};
    log->records += records;
    spool_store_u64(node->frame, node->ordinal);
    spool_store_u64(node->frame + 8, node->records_before);
    spool_store_u64(node->frame + 16, time_ns);
    spool_store_u64(node->frame + 24, records);
    memcpy(node->frame + SPOOL_HEADER_BYTES, bytes, length);
    if (log->newest != NULL) {
        log->newest->next = node;
    } else {
        log->oldest = node;
    }
    log->newest = node;
    log->unwritten = log->unwritten == NULL ? node : log->unwritten;
    log->memory_bytes += cost_of(node);
    keep_within_memory(log);
    return 0;
}

/* ---- cursors ---- */

/* From disk: 1 and the item, 0 when all that is on disk was read, -errno. */
static int peek_disk(struct spool_log *log, struct spool_log_reader *cursor, struct error *err)
{
    struct segment_frame frame;
    struct spool_header header;

    if (log->disk == NULL) {
        spool_disk_reopen(log);
        if (log->disk == NULL) {
            return error_set(err, EIO, "%s", log->disk_error);
        }
    }
    if (cursor->reader == NULL) {
        const bool is_behind_acked = cursor->next_ordinal == cursor->acked.ordinal + 1;

        cursor->reader = segment_reader_new(
            log->directory, is_behind_acked ? cursor->acked.next_position : cursor->sent_position,
            spool_frame_bytes_max(log), err);
        if (cursor->reader == NULL) {
            return -err->code;
        }
    }
    for (;;) {
        const int result =
            segment_reader_next(cursor->reader, segment_log_end(log->disk), &frame, err);

        if (result == -EBADMSG) {
            log->damages++;
            spool_disk_failed(log, err);
            error_clear(err);
            continue; /* goes on with the next file; the jump shows what is lost */
        }
        if (result <= 0) {
            return result;
        }
        if (spool_frame_read(frame.bytes, frame.length, &header) &&
            header.ordinal >= cursor->next_ordinal) {
            spool_frame_item(frame.bytes, frame.length, &header, frame.next_position,
                             &cursor->item);
            cursor->reading = NULL;
            return 1;
        }
    }
}

static int peek_memory(struct spool_log *log, struct spool_log_reader *cursor)
{
    const struct spool_node *begin = cursor->last != NULL ? cursor->last->next : log->oldest;

    for (const struct spool_node *node = begin; node != NULL; node = node->next) {
        if (node->ordinal >= cursor->next_ordinal) {
            const struct spool_header header = {node->ordinal, node->records_before, node->time_ns,
                                                node->records};

            spool_frame_item(node->frame, node->length, &header, node->next_position,
                             &cursor->item);
            cursor->reading = node;
            return 1;
        }
    }
    return 0;
}

int spool_log_peek(struct spool_log *log, int number, struct spool_log_item *item,
                   struct error *err)
{
    struct spool_log_reader *cursor = &log->cursors[number];
    int result = 1;

    if (!cursor->has_item) {
        result = 0;
        if (cursor->next_ordinal <= log->disk_ordinal &&
            (log->oldest == NULL || cursor->next_ordinal < log->oldest->ordinal)) {
            result = peek_disk(log, cursor, err);
        }
        if (result == 0) {
            result = peek_memory(log, cursor);
        }
        if (result == 1) {
            const struct spool_log_place *place = &cursor->item.place;
            const uint64_t records_before = place->records_end - cursor->item.records;

            spool_cursor_skip(cursor, place->ordinal, records_before);
            cursor->has_item = true;
        }
    }
    if (result == 1) {
        *item = cursor->item;
    }
    return result;
}

void spool_log_sent(struct spool_log *log, int number)
{
    struct spool_log_reader *cursor = &log->cursors[number];

    if (cursor->has_item) {
        cursor->has_item = false;
        cursor->last = cursor->reading;
        cursor->sent_position = cursor->item.place.next_position;
        if (cursor->reading != NULL) { /* who reads from memory again has passed the disk */
            segment_reader_free(cursor->reader);
            cursor->reader = NULL;
        }
        cursor->next_ordinal = cursor->item.place.ordinal + 1;
        cursor->records_before = cursor->item.place.records_end;
    }
}

/* Lets go what all have. */
void spool_trim(struct spool_log *log)
{
    struct spool_log_place least = log->cursors[0].acked;
    struct error ignored = {0};

    for (int i = 1; i < log->cursors_count; i++) {
        if (log->cursors[i].acked.ordinal < least.ordinal) {
            least = log->cursors[i].acked;
        }
    }
    while (log->oldest != NULL && log->oldest->ordinal <= least.ordinal) {
        spool_free_oldest(log);
    }
    if (log->disk != NULL && log->disk_ordinal > 0) {
        const bool is_all = least.ordinal >= log->disk_ordinal;

        (void)!segment_log_delete_before(
            log->disk, is_all ? segment_log_end(log->disk) : least.next_position, &ignored);
    }
}

void spool_log_ack(struct spool_log *log, int number, const struct spool_log_place *place)
{
    struct spool_log_reader *cursor = &log->cursors[number];

    if (place->ordinal > cursor->acked.ordinal) {
        cursor->acked = *place;
        if (place->ordinal + 1 >= cursor->lost_until && cursor->ahead_lost == 0) {
            cursor->pending_lost = 0;
        }
        log->is_moved = true;
        spool_trim(log);
    }
}

void spool_log_rewind(struct spool_log *log, int number)
{
    struct spool_log_reader *cursor = &log->cursors[number];

    segment_reader_free(cursor->reader);
    cursor->reader = NULL;
    cursor->has_item = false;
    cursor->last = NULL;
    cursor->next_ordinal = cursor->acked.ordinal + 1;
    cursor->records_before = cursor->acked.records_end;
    /* What it had come to is met again, and counted again. */
    cursor->lost_records -= cursor->pending_lost - cursor->ahead_lost;
    cursor->pending_lost = cursor->ahead_lost;
}

static bool is_name(const char *name)
{
    const size_t length = strlen(name);

    return length > 0 && length < SPOOL_LOG_NAME_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
               length;
}

/* Before the oldest item that is there. */
static void begin_of(const struct spool_log *log, struct spool_log_place *out)
{
    struct spool_header header;

    *out = (struct spool_log_place){log->last_ordinal, log->records, 0};
    if (log->disk != NULL && spool_disk_first(log, 0, &header) == 1) {
        *out = (struct spool_log_place){header.ordinal - 1, header.records_before, 0};
    } else if (log->oldest != NULL) {
        *out = (struct spool_log_place){log->oldest->ordinal - 1, log->oldest->records_before, 0};
    }
}

static int add_cursor(struct spool_log *log, const char *name, bool is_at_end, struct error *err)
{
    if (!is_name(name)) {
        return error_set(err, EINVAL, "'%.40s' is no name for a spool cursor", name);
    }
    if (log->cursors_count == SPOOL_LOG_CURSORS_MAX) {
        return error_set(err, ENOSPC, "no spool cursor is left for '%s': at most %d", name,
                         SPOOL_LOG_CURSORS_MAX);
    }
    for (int i = 0; i < log->cursors_count; i++) {
        if (strcmp(log->cursors[i].name, name) == 0) {
            return error_set(err, EEXIST, "the spool has a cursor '%s' already", name);
        }
    }
    struct spool_log_reader *cursor = &log->cursors[log->cursors_count];

    *cursor = (struct spool_log_reader){0};
    (void)snprintf(cursor->name, sizeof(cursor->name), "%s", name);
    if (is_at_end) {
        cursor->acked = (struct spool_log_place){log->last_ordinal, log->records, 0};
    } else {
        begin_of(log, &cursor->acked);
    }
    for (int i = 0; i < log->saved_count; i++) {
        if (strcmp(log->saved[i].name, name) == 0) {
            cursor->acked = log->saved[i].acked;
        }
    }
    cursor->next_ordinal = cursor->acked.ordinal + 1;
    cursor->records_before = cursor->acked.records_end;
    log->is_moved = true;
    return log->cursors_count++;
}

int spool_log_cursor(struct spool_log *log, const char *name, struct error *err)
{
    return add_cursor(log, name, false, err);
}

int spool_log_cursor_at_end(struct spool_log *log, const char *name, struct error *err)
{
    return add_cursor(log, name, true, err);
}

void spool_log_state(const struct spool_log *log, struct spool_log_state *out)
{
    *out = (struct spool_log_state){
        .memory_bytes = log->memory_bytes,
        .disk_bytes = log->disk != NULL ? segment_log_bytes(log->disk) : 0,
        .records = log->records,
        .oldest_time_ns = log->oldest != NULL ? log->oldest->time_ns : 0,
        .disk_errors = log->disk_errors,
        .damages = log->damages,
        .truncated_bytes = log->truncated_bytes,
        .disk_error = log->disk_error,
    };
}

void spool_log_cursor_state(const struct spool_log *log, int number,
                            struct spool_log_cursor_state *out)
{
    const struct spool_log_reader *cursor = &log->cursors[number];
    const uint64_t behind = cursor->acked.records_end + cursor->pending_lost;

    *out = (struct spool_log_cursor_state){
        .unacked_records = log->records > behind ? log->records - behind : 0,
        .lost_records = cursor->lost_records,
    };
}
