#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/replacement.h"
#include "base/spool/spool_log_private.h"

#define REOPEN_NS    (5 * NS_PER_SEC)
#define CURSORS_FILE "cursors"
#define CURSORS_HEAD "netscope spool cursors 1\n"
#define PATH_BYTES   4200

/* The first frame at or behind `position`: 1, 0 none, -errno. */
int spool_disk_first(const struct spool_log *log, uint64_t position, struct spool_header *out)
{
    struct error err = {0};
    struct segment_frame frame;
    AUTO(segment_reader)
    reader = segment_reader_new(log->directory, position, spool_frame_bytes_max(log), &err);

    if (reader == NULL) {
        return -err.code;
    }
    for (;;) {
        const int result = segment_reader_next(reader, segment_log_end(log->disk), &frame, &err);

        if (result == -EBADMSG) {
            continue; /* the next file */
        }
        if (result <= 0 || spool_frame_read(frame.bytes, frame.length, out)) {
            return result;
        }
    }
}

void spool_disk_failed(struct spool_log *log, const struct error *err)
{
    log->disk_errors++;
    (void)snprintf(log->disk_error, sizeof(log->disk_error), "%.159s", err->message);
}

static struct segment_log *open_segments(struct spool_log *log, struct error *err)
{
    const struct segment_log_limits limits = {log->limits.segment_bytes_max,
                                              spool_frame_bytes_max(log)};
    struct segment_log_recovery recovery = {0};
    struct segment_log *disk = segment_log_open(log->directory, &limits, &recovery, err);

    log->truncated_bytes += recovery.truncated_bytes;
    return disk;
}

/* A log that met a failure of the disk takes nothing more until it is opened anew. */
void spool_disk_reopen(struct spool_log *log)
{
    struct error err = {0};
    const uint64_t now_ns = clock_monotonic_ns();

    if (now_ns < log->reopen_ns) {
        return;
    }
    log->reopen_ns = now_ns + REOPEN_NS;
    segment_log_close(log->disk);
    log->disk = open_segments(log, &err);
    if (log->disk == NULL) {
        spool_disk_failed(log, &err);
    }
}

int spool_log_drop_oldest(struct spool_log *log, struct error *err)
{
    struct spool_header header = {0};

    if (log->disk == NULL) {
        return error_set(err, ENOENT, "the spool has nothing on disk");
    }
    const uint64_t next = segment_log_file_after(log->disk, segment_log_begin(log->disk));

    if (next == 0) {
        return error_set(err, ENOENT, "the spool in %s has one file", log->directory);
    }
    const bool has_header = spool_disk_first(log, next, &header) == 1;

    for (int i = 0; has_header && i < log->cursors_count; i++) {
        if (log->cursors[i].next_ordinal < header.ordinal) {
            spool_cursor_skip(&log->cursors[i], header.ordinal, header.records_before);
        }
    }
    while (has_header && log->oldest != NULL && log->oldest->ordinal < header.ordinal) {
        spool_free_oldest(log); /* copies of what goes */
    }
    const int result = segment_log_delete_before(log->disk, next, err);

    return result < 0 ? result : 0;
}

unsigned spool_log_expire(struct spool_log *log, uint64_t time_ns)
{
    unsigned count = 0;
    struct error err = {0};
    struct spool_header header = {0};

    while (log->disk != NULL) {
        const uint64_t next = segment_log_file_after(log->disk, segment_log_begin(log->disk));

        if (next == 0 || spool_disk_first(log, next, &header) != 1 || header.time_ns >= time_ns ||
            spool_log_drop_oldest(log, &err) != 0) {
            break;
        }
        count++;
    }
    return count;
}

/* ---- the file of cursors ---- */

static int cursors_path(const struct spool_log *log, char out[PATH_BYTES])
{
    const int length = snprintf(out, PATH_BYTES, "%s/" CURSORS_FILE, log->directory);

    return length > 0 && length < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

/* "name ordinal records position" */
static bool read_cursor(const char *line, struct spool_log_reader *cursor)
{
    const size_t length = strcspn(line, " ");
    uint64_t numbers[3];

    if (length == 0 || length >= SPOOL_LOG_NAME_BYTES) {
        return false;
    }
    memcpy(cursor->name, line, length);
    cursor->name[length] = '\0';
    line += length;
    for (int i = 0; i < 3; i++) {
        char *end = NULL;

        numbers[i] = strtoull(line, &end, 10);
        if (end == line) {
            return false;
        }
        line = end;
    }
    cursor->acked = (struct spool_log_place){numbers[0], numbers[1], numbers[2]};
    return true;
}

/* A file that is missing or not ours means: begin with the oldest. */
static void load_cursors(struct spool_log *log)
{
    char path[PATH_BYTES];
    char line[160];
    FILE *file = cursors_path(log, path) == 0 ? fopen(path, "re") : NULL;

    if (file == NULL) {
        return;
    }
    if (fgets(line, sizeof(line), file) != NULL && strcmp(line, CURSORS_HEAD) == 0) {
        while (log->saved_count < SPOOL_LOG_CURSORS_MAX &&
               fgets(line, sizeof(line), file) != NULL) {
            struct spool_log_reader *cursor = &log->saved[log->saved_count];
            struct spool_log_place *place = &cursor->acked;

            if (read_cursor(line, cursor)) {
                log->saved_count++;
                if (place->ordinal > log->last_ordinal) {
                    log->last_ordinal = place->ordinal;
                    log->records = place->records_end;
                }
            }
        }
    }
    (void)fclose(file);
}

static void write_cursors(const struct spool_log *log, FILE *file)
{
    (void)fputs(CURSORS_HEAD, file);
    for (int i = 0; i < log->cursors_count; i++) {
        const struct spool_log_reader *cursor = &log->cursors[i];

        (void)fprintf(file, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", cursor->name,
                      cursor->acked.ordinal, cursor->acked.records_end,
                      cursor->acked.next_position);
    }
}

int spool_log_save(struct spool_log *log, struct error *err)
{
    char path[PATH_BYTES];
    struct replacement file;

    if (log->directory == NULL || !log->is_moved) {
        return 0;
    }
    int result = cursors_path(log, path);

    if (result == 0) {
        result = replacement_begin(&file, path, 0600);
    }
    if (result == 0) {
        write_cursors(log, file.file);
        result = replacement_end(&file, REPLACEMENT_QUICK);
    }
    if (result != 0) {
        (void)error_set(err, -result, "write %s/" CURSORS_FILE ": %s", log->directory,
                        strerror(-result));
        spool_disk_failed(log, err);
        return result;
    }
    log->is_moved = false;
    return 0;
}

/* ---- start and end ---- */

static void keep_tail(struct spool_log *log, const struct segment_frame *frame, uint32_t records)
{
    const uint32_t length = frame->length - SPOOL_HEADER_BYTES;

    log->tail_length = length < SPOOL_LOG_TAIL_BYTES ? length : SPOOL_LOG_TAIL_BYTES;
    log->tail_records = records;
    memcpy(log->tail, frame->bytes + SPOOL_HEADER_BYTES, log->tail_length);
}

uint32_t spool_log_tail(const struct spool_log *log, uint8_t out[SPOOL_LOG_TAIL_BYTES],
                        uint32_t *records)
{
    *records = log->tail_records;
    memcpy(out, log->tail, log->tail_length);
    return log->tail_length;
}

/* Where the last run ended: the last whole frame there is. */
static int find_end(struct spool_log *log, struct error *err)
{
    uint64_t base = segment_log_end(log->disk) + 1;

    while (log->disk_ordinal == 0 && (base = segment_log_file_before(log->disk, base)) > 0) {
        struct segment_frame frame;
        struct spool_header header = {0};
        AUTO(segment_reader)
        reader = segment_reader_new(log->directory, base, spool_frame_bytes_max(log), err);

        if (reader == NULL) {
            return -err->code;
        }
        for (;;) {
            const int result = segment_reader_next(reader, segment_log_end(log->disk), &frame, err);

            if (result == -EBADMSG) {
                continue;
            }
            if (result < 0) {
                return result;
            }
            if (result == 0) {
                break;
            }
            if (spool_frame_read(frame.bytes, frame.length, &header)) {
                log->disk_ordinal = header.ordinal;
                keep_tail(log, &frame, header.records);
                if (header.ordinal > log->last_ordinal) {
                    log->last_ordinal = header.ordinal;
                    log->records = header.records_before + header.records;
                }
            }
        }
    }
    return 0;
}

struct spool_log *spool_log_open(const char *directory, const struct spool_log_limits *limits,
                                 struct error *err)
{
    struct spool_log *log = calloc(1, sizeof(*log));

    if (log == NULL) {
        (void)error_set(err, ENOMEM, "spool: no memory");
        return NULL;
    }
    log->limits = *limits;
    if (directory == NULL || directory[0] == '\0') {
        return log;
    }
    log->directory = strdup(directory);
    log->disk = log->directory != NULL ? open_segments(log, err) : NULL;
    if (log->disk == NULL) {
        if (log->directory == NULL) {
            (void)error_set(err, ENOMEM, "spool: no memory");
        }
        free(log->directory);
        free(log);
        return NULL;
    }
    load_cursors(log);
    if (find_end(log, err) != 0) {
        segment_log_close(log->disk);
        free(log->directory);
        free(log);
        return NULL;
    }
    return log;
}

int spool_log_sync(struct spool_log *log, struct error *err)
{
    if (log->disk == NULL || !log->is_unsynced) {
        return 0;
    }
    const int result = segment_log_sync(log->disk, err);

    if (result != 0) {
        spool_disk_failed(log, err);
        spool_disk_reopen(log);
    } else {
        log->is_unsynced = false;
    }
    return result;
}

int spool_log_flush(struct spool_log *log, struct error *err)
{
    if (log->directory == NULL) {
        return 0;
    }
    if (log->cursors_count > 0) {
        spool_trim(log);
    }
    int result = 0;

    while (log->oldest != NULL && result == 0) {
        result = spool_spill_oldest(log, err);
    }
    if (result == 0 && log->disk != NULL) {
        result = segment_log_sync(log->disk, err);
    }
    struct error save_err = {0};
    const int saved = spool_log_save(log, result == 0 ? err : &save_err);

    return result != 0 ? result : saved;
}

static void close_readers(struct spool_log *log)
{
    for (int i = 0; i < log->cursors_count; i++) {
        segment_reader_free(log->cursors[i].reader);
        log->cursors[i].reader = NULL;
        log->cursors[i].has_item = false;
    }
}

void spool_log_close(struct spool_log *log)
{
    struct error ignored = {0};

    if (log == NULL) {
        return;
    }
    (void)!spool_log_flush(log, &ignored);
    while (log->oldest != NULL) {
        spool_free_oldest(log);
    }
    close_readers(log);
    segment_log_close(log->disk);
    free(log->directory);
    free(log);
}
