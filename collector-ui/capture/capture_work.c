/* What the writer's thread does with a capture, one step after the other. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/replacement.h"
#include "collector-ui/capture/capture_files_private.h"

/* 0 or the error's number. */
static int write_all(int fd, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t written = write(fd, bytes, length);

        if (written < 0 && errno != EINTR) {
            return errno;
        }
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return 0;
}

/* Of all its sensors: `act` is for what is over, too. */
static void each_sensor(const struct capture_kept *kept,
                        void (*act)(struct captures *captures, const char *id))
{
    (void)pthread_mutex_lock(&kept->files->lock);
    for (uint32_t i = 0; i < kept->info.parts_count; i++) {
        act(kept->files->captures, kept->parts[i].command_id);
    }
    (void)pthread_mutex_unlock(&kept->files->lock);
}

static void fail_writing(struct capture_files *files, struct capture_kept *kept, int code)
{
    static struct log_limit limit;
    char why[160];

    (void)snprintf(why, sizeof(why), "the collector cannot write the file: %s", strerror(code));
    (void)pthread_mutex_lock(&files->lock);
    const uint64_t whole_bytes = kept->info.bytes;

    capture_kept_fail(kept, why);
    files->failed++;
    (void)pthread_mutex_unlock(&files->lock);
    kept->is_broken = true;
    if (ftruncate(kept->fd, (off_t)whole_bytes) != 0 || log_allowed(&limit, NS_PER_SEC, NULL)) {
        log_warn("capture", "the file of a capture cannot be written", "capture=%s reason=%s",
                 kept->info.id, strerrorname_np(code));
    }
    each_sensor(kept, captures_drop_soon);
}

/* False: it cannot be written. */
static bool write_bytes(struct capture_files *files, struct capture_kept *kept,
                        const uint8_t *bytes, size_t length)
{
    const int code = kept->is_broken ? 0 : write_all(kept->fd, bytes, length);

    if (code != 0) {
        fail_writing(files, kept, code);
    }
    if (kept->is_broken) {
        return false;
    }
    (void)pthread_mutex_lock(&files->lock);
    kept->info.bytes += length;
    capture_streams_wake(kept, false);
    (void)pthread_mutex_unlock(&files->lock);
    return true;
}

/* ---- several sensors ---- */

static void refuse_part(struct capture_files *files, struct capture_part *part, const char *why)
{
    part->is_refused = true;
    (void)pthread_mutex_lock(&files->lock);
    capture_part_fail(part, why);
    (void)pthread_mutex_unlock(&files->lock);
    captures_drop_soon(files->captures, part->command_id);
}

/* What it is worth in the file. */
static void merge_piece(struct capture_files *files, struct capture_part *part,
                        const struct capture_job *job)
{
    struct capture_kept *kept = part->kept;
    const uint64_t packets_max = kept->info.sensor_packets_max;
    struct error err = {0};
    const int result =
        pcapng_merge_take(kept->merge, part->number, job->bytes, job->length, &kept->output, &err);

    if (result != 0) {
        refuse_part(files, part, err.message);
    } else if (packets_max != 0 && pcapng_merge_packets(kept->merge, part->number) > packets_max) {
        refuse_part(files, part, "the sensor sent more packets than it was asked for");
    }
}

static bool write_merged(struct capture_files *files, struct capture_part *part,
                         const struct capture_job *job)
{
    struct capture_kept *kept = part->kept;
    const bool was_full = pcapng_merge_full(kept->merge) != NULL;

    kept->output.length = 0;
    if (!part->is_refused && !was_full) {
        merge_piece(files, part, job);
    }
    const bool is_written = write_bytes(files, kept, kept->output.bytes, kept->output.length);

    (void)pthread_mutex_lock(&files->lock);
    kept->info.parts[part->number].packets = pcapng_merge_packets(kept->merge, part->number);
    (void)pthread_mutex_unlock(&files->lock);
    if (!was_full && pcapng_merge_full(kept->merge) != NULL) {
        each_sensor(kept, captures_cancel_soon);
    } else if (was_full) { /* it began later */
        captures_cancel_soon(files->captures, part->command_id);
    }
    return is_written;
}

static void write_piece(struct capture_files *files, const struct capture_job *job)
{
    struct capture_kept *kept = job->kept;
    struct capture_part *part = &kept->parts[job->part];

    if (kept->merge != NULL ? write_merged(files, part, job)
                            : write_bytes(files, kept, job->bytes, job->length)) {
        captures_read_on_soon(files->captures, part->command_id);
    }
}

static void end_part(struct capture_files *files, struct capture_part *part)
{
    struct capture_kept *kept = part->kept;
    struct capture_part_info *info = &kept->info.parts[part->number];
    struct error err = {0};
    const bool is_cut =
        kept->merge != NULL && pcapng_merge_end(kept->merge, part->number, &err) != 0;

    (void)pthread_mutex_lock(&files->lock);
    if (is_cut) {
        capture_part_fail(part, err.message);
    }
    info->state = info->error[0] == '\0' ? CAPTURE_ENDED : CAPTURE_FAILED;
    if (info->state == CAPTURE_ENDED) {
        info->summary = part->summary;
        kept->info.summary = part->summary; /* the last one tells why */
    }
    (void)pthread_mutex_unlock(&files->lock);
}

static void write_statistics(struct capture_files *files, struct capture_kept *kept)
{
    uint64_t dropped[CAPTURE_SENSORS_MAX] = {0};

    kept->output.length = 0;
    for (uint32_t i = 0; i < kept->info.parts_count; i++) {
        dropped[i] = kept->parts[i].summary.dropped; /* nobody else changes it any more */
    }
    if (pcapng_merge_finish(kept->merge, dropped, &kept->output) == 0) {
        (void)write_bytes(files, kept, kept->output.bytes, kept->output.length);
    }
}

/* ---- the end ---- */

/* 0 or -errno. */
static int write_info(const struct capture_files *files, const struct capture_info *info)
{
    uint8_t bytes[CAPTURE_INFO_BYTES];
    char path[CAPTURE_PATH_BYTES];
    struct replacement replacement;
    const size_t length = capture_info_encode(info, bytes, sizeof(bytes));

    capture_files_path(files, info->id, "capture", path);
    const int result = replacement_begin(&replacement, path, 0640);

    if (result != 0) {
        return result;
    }
    (void)fwrite(bytes, 1, length, replacement.file); /* found at the end */
    return replacement_end(&replacement, REPLACEMENT_SYNCED);
}

/* The sums of several sensors. */
static void sum_up(const struct capture_kept *kept, struct capture_info *info)
{
    struct ingest_capture_summary *summary = &info->summary;
    const char *full = pcapng_merge_full(kept->merge);

    summary->packets = summary->dropped = 0;
    summary->bytes = info->bytes;
    for (uint32_t i = 0; i < info->parts_count; i++) {
        summary->packets += info->parts[i].packets;
        summary->dropped += info->parts[i].summary.dropped;
    }
    if (full != NULL) {
        (void)snprintf(summary->reason, sizeof(summary->reason), "%s", full);
    }
}

/* One that ended in order makes a capture of it; else the first one that failed says why. */
static void judge(struct capture_info *info)
{
    bool has_ended = false;

    for (uint32_t i = 0; i < info->parts_count; i++) {
        has_ended = has_ended || info->parts[i].state == CAPTURE_ENDED;
    }
    if (!has_ended && info->error[0] == '\0') {
        (void)snprintf(info->error, sizeof(info->error), "%s", info->parts[0].error);
    }
    info->state = info->error[0] == '\0' ? CAPTURE_ENDED : CAPTURE_FAILED;
    if (info->state == CAPTURE_FAILED) {
        info->summary = (struct ingest_capture_summary){0};
    }
}

/* Syncs and closes it. */
static void close_file(struct capture_files *files, struct capture_kept *kept)
{
    const bool is_lost = fdatasync(kept->fd) != 0;
    const int code = errno;

    (void)close(kept->fd);
    kept->fd = -1;
    pcapng_output_free(&kept->output);
    if (is_lost) {
        (void)pthread_mutex_lock(&files->lock);
        capture_kept_fail(kept, strerror(code));
        files->failed++;
        (void)pthread_mutex_unlock(&files->lock);
    }
}

static void end_file(struct capture_files *files, struct capture_kept *kept)
{
    struct capture_info info;

    if (kept->merge != NULL) {
        write_statistics(files, kept);
    }
    close_file(files, kept);
    (void)pthread_mutex_lock(&files->lock);
    info = kept->info;
    (void)pthread_mutex_unlock(&files->lock);
    if (kept->merge != NULL) {
        sum_up(kept, &info);
    }
    judge(&info);
    info.end_ns = clock_wall_ns();
    const int result = write_info(files, &info);

    if (result != 0) {
        log_warn("capture", "what is known of a capture cannot be written: it goes with a restart",
                 "capture=%s reason=%s", info.id, strerrorname_np(-result));
    }
    (void)pthread_mutex_lock(&files->lock);
    kept->info = info;
    capture_streams_wake(kept, false);
    (void)pthread_mutex_unlock(&files->lock);
    pcapng_merge_free(kept->merge);
    kept->merge = NULL;
}

void capture_files_remove(const struct capture_files *files, const char *id)
{
    static const char *const kinds[] = {"capture", "pcapng"};
    char path[CAPTURE_PATH_BYTES];

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        capture_files_path(files, id, kinds[i], path);
        if (unlink(path) != 0 && errno != ENOENT) {
            log_warn("capture", "a file cannot be removed", "path=%s reason=%s", path,
                     strerrorname_np(errno));
        }
    }
}

void capture_files_work(struct capture_files *files, const struct capture_job *job)
{
    struct capture_kept *kept = job->kept;

    switch (job->kind) {
    case CAPTURE_JOB_WRITE:
        write_piece(files, job);
        break;
    case CAPTURE_JOB_PART:
        end_part(files, &kept->parts[job->part]);
        break;
    case CAPTURE_JOB_END:
        end_file(files, kept);
        break;
    case CAPTURE_JOB_READ:
        capture_stream_read(job->stream);
        break;
    case CAPTURE_JOB_REMOVE:
        (void)pthread_mutex_lock(&files->lock);
        capture_streams_wake(kept, true);
        (void)pthread_mutex_unlock(&files->lock);
        if (kept->fd >= 0) {
            (void)close(kept->fd);
        }
        capture_files_remove(files, kept->info.id);
        capture_kept_free(kept);
        break;
    }
}
