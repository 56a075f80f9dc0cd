#include "base/spool/segment_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/spool/segment_file.h"

struct segment_log {
    char *directory;
    int directory_fd; /* holds the lock */
    int fd;           /* the last file; -1: none yet */
    struct segment_log_limits limits;
    struct segment_files files; /* the last one is being written */
    uint32_t files_capacity;
    bool is_broken; /* a failure left the disk in an unknown state */
    uint64_t bytes;
    _Atomic uint64_t end;
    _Atomic uint64_t durable_end;
};

static int fail(struct error *err, const struct segment_log *log, const char *what, int code)
{
    return error_set(err, code, "%s %s: %s", what, log->directory, strerror(code));
}

static int compare_bases(const void *a, const void *b)
{
    const uint64_t x = ((const struct segment_file *)a)->base;
    const uint64_t y = ((const struct segment_file *)b)->base;
    return (x > y) - (x < y);
}

/* True for twenty digits and ".log". */
static bool parse_name(const char *name, uint64_t *base)
{
    if (strspn(name, "0123456789") != 20 || strcmp(name + 20, ".log") != 0) {
        return false;
    }
    errno = 0;
    *base = strtoull(name, NULL, 10);
    return errno == 0 && *base > 0;
}

/* Room for one file more. */
static int reserve_file(struct segment_files *files, uint32_t *capacity)
{
    if (files->count < *capacity) {
        return 0;
    }
    const uint32_t larger = *capacity > 0 ? *capacity * 2 : 16;
    struct segment_file *at = realloc(files->at, larger * sizeof(*at));
    if (at == NULL) {
        return -ENOMEM;
    }
    files->at = at;
    *capacity = larger;
    return 0;
}

static int list_open(DIR *stream, int directory_fd, struct segment_files *files)
{
    uint32_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            return -errno;
        }
        uint64_t base;
        struct stat status;
        if (!parse_name(entry->d_name, &base)) {
            continue;
        }
        if (fstatat(directory_fd, entry->d_name, &status, 0) != 0) {
            if (errno == ENOENT) {
                continue; /* the writer has just deleted it */
            }
            return -errno;
        }
        if (reserve_file(files, &capacity) != 0) {
            return -ENOMEM;
        }
        files->at[files->count++] = (struct segment_file){base, (uint64_t)status.st_size};
    }
}

int segment_files_list(int directory_fd, const char *directory, struct segment_files *out,
                       struct error *err)
{
    *out = (struct segment_files){0};
    const int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    int result = stream != NULL ? 0 : -errno;
    if (stream != NULL) {
        result = list_open(stream, directory_fd, out);
        (void)closedir(stream);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    if (result != 0) {
        free(out->at);
        *out = (struct segment_files){0};
        return error_set(err, -result, "list %s: %s", directory, strerror(-result));
    }
    if (out->count > 0) {
        qsort(out->at, out->count, sizeof(*out->at), compare_bases);
    }
    return 0;
}

/* Reads all `length` bytes at `offset`; fewer at the end of the file. */
static ssize_t read_at(int fd, void *bytes, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        const ssize_t got =
            pread(fd, (uint8_t *)bytes + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* Checks the frame at `offset` of a file of `file_bytes`: its size, 0 when there is no whole one,
 * -errno. The bound is the file, not the limit of this run: a smaller limit than the last run's
 * must not cut good frames off. */
static int64_t check_frame(int fd, uint64_t offset, uint64_t file_bytes, uint8_t **buffer,
                           uint32_t *capacity)
{
    uint8_t header[SEGMENT_FRAME_HEADER_BYTES];
    ssize_t got = read_at(fd, header, sizeof(header), offset);
    if (got != (ssize_t)sizeof(header)) {
        return got < 0 ? got : 0;
    }
    const uint32_t length = segment_load_u32(header);
    if (length == 0 || length > file_bytes - offset) {
        return 0;
    }
    if (length > *capacity) {
        uint8_t *larger = realloc(*buffer, length);
        if (larger == NULL) {
            return -ENOMEM;
        }
        *buffer = larger;
        *capacity = length;
    }
    got = read_at(fd, *buffer, length, offset + sizeof(header));
    if (got < 0) {
        return got;
    }
    const bool is_whole = (uint64_t)got == length && segment_frame_crc(header, *buffer, length) ==
                                                         segment_load_u32(header + 4);
    return is_whole ? (int64_t)(sizeof(header) + length) : 0;
}

/* How far the last file holds whole frames. */
static int find_whole_end(struct segment_log *log, uint64_t file_bytes, uint64_t *end,
                          uint64_t *frames, struct error *err)
{
    uint8_t *buffer = NULL;
    uint32_t capacity = 0;
    uint64_t offset = 0;
    uint64_t count = 0;
    int64_t size;
    while ((size = check_frame(log->fd, offset, file_bytes, &buffer, &capacity)) > 0) {
        offset += (uint64_t)size;
        count++;
    }
    free(buffer);
    *end = offset;
    *frames = count;
    return size < 0 ? fail(err, log, "read", (int)-size) : 0;
}

static int sync_directory(const struct segment_log *log, struct error *err)
{
    return fsync(log->directory_fd) == 0 ? 0 : fail(err, log, "sync", errno);
}

/* Opens the last file for writing and cuts its torn tail off. */
static int recover(struct segment_log *log, struct segment_log_recovery *recovery,
                   struct error *err)
{
    struct segment_file *last = &log->files.at[log->files.count - 1];
    char name[SEGMENT_NAME_BYTES];
    segment_name(last->base, name);
    log->fd = openat(log->directory_fd, name, O_RDWR | O_CLOEXEC);
    if (log->fd < 0) {
        return fail(err, log, "open the last file of", errno);
    }
    uint64_t end = 0;
    int result = find_whole_end(log, last->bytes, &end, &recovery->frames, err);
    if (result != 0) {
        return result;
    }
    recovery->truncated_bytes = last->bytes - end;
    if (recovery->truncated_bytes > 0 && ftruncate(log->fd, (off_t)end) != 0) {
        return fail(err, log, "cut the torn tail in", errno);
    }
    /* What was written before the crash may not be on disk yet, though it reads well. */
    if (fdatasync(log->fd) != 0) {
        return fail(err, log, "sync", errno);
    }
    last->bytes = end;
    return 0;
}

static int open_parts(struct segment_log *log, struct segment_log_recovery *recovery,
                      struct error *err)
{
    if (mkdir(log->directory, 0750) != 0 && errno != EEXIST) {
        return fail(err, log, "make", errno);
    }
    log->directory_fd = open(log->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (log->directory_fd < 0) {
        return fail(err, log, "open", errno);
    }
    if (flock(log->directory_fd, LOCK_EX | LOCK_NB) != 0) {
        return error_set(err, errno == EWOULDBLOCK ? EBUSY : errno,
                         "open %s: in use by another process", log->directory);
    }
    int result = segment_files_list(log->directory_fd, log->directory, &log->files, err);
    log->files_capacity = log->files.count;
    uint64_t end = 1;
    if (result == 0 && log->files.count > 0) {
        result = recover(log, recovery, err);
        const struct segment_file *last = &log->files.at[log->files.count - 1];
        end = last->base + last->bytes;
    }
    for (uint32_t i = 0; i < log->files.count; i++) {
        log->bytes += log->files.at[i].bytes;
    }
    recovery->segments = log->files.count;
    atomic_store(&log->end, end);
    atomic_store(&log->durable_end, end);
    return result;
}

struct segment_log *segment_log_open(const char *directory, const struct segment_log_limits *limits,
                                     struct segment_log_recovery *recovery, struct error *err)
{
    struct segment_log_recovery unused;
    recovery = recovery != NULL ? recovery : &unused;
    *recovery = (struct segment_log_recovery){0};
    if (limits->frame_bytes_max == 0 || limits->segment_bytes_max == 0) {
        (void)error_set(err, EINVAL, "open %s: the limits leave no room for a frame", directory);
        return NULL;
    }
    struct segment_log *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        (void)error_set(err, ENOMEM, "open %s: no memory", directory);
        return NULL;
    }
    log->directory_fd = -1;
    log->fd = -1;
    log->limits = *limits;
    log->directory = strdup(directory);
    if (log->directory == NULL) {
        (void)error_set(err, ENOMEM, "open %s: no memory", directory);
        segment_log_close(log);
        return NULL;
    }
    if (open_parts(log, recovery, err) != 0) {
        segment_log_close(log);
        return NULL;
    }
    return log;
}

void segment_log_close(struct segment_log *log)
{
    if (log == NULL) {
        return;
    }
    if (log->fd >= 0) {
        (void)close(log->fd);
    }
    if (log->directory_fd >= 0) {
        (void)close(log->directory_fd);
    }
    free(log->files.at);
    free(log->directory);
    free(log);
}

/* A new last file at the end position; the one before is on disk first, so that only the last can
 * be torn. */
static int begin_file(struct segment_log *log, struct error *err)
{
    if (log->fd >= 0) {
        const int result = segment_log_sync(log, err);
        if (result != 0) {
            return result;
        }
    }
    if (reserve_file(&log->files, &log->files_capacity) != 0) {
        return fail(err, log, "write", ENOMEM);
    }
    const uint64_t base = segment_log_end(log);
    char name[SEGMENT_NAME_BYTES];
    segment_name(base, name);
    const int fd = openat(log->directory_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) {
        return fail(err, log, "make a file in", errno);
    }
    const int result = sync_directory(log, err);
    if (result != 0) {
        (void)close(fd);
        (void)unlinkat(log->directory_fd, name, 0);
        return result;
    }
    if (log->fd >= 0) {
        (void)close(log->fd);
    }
    log->fd = fd;
    log->files.at[log->files.count++] = (struct segment_file){base, 0};
    return 0;
}

#define PIECES 3 /* header, and the frame in two */

/* Writes the pieces at `offset`; 0 or -errno. A short write goes on behind what was written. */
static int write_pieces(int fd, struct iovec pieces[PIECES], uint64_t offset)
{
    struct iovec *piece = pieces;
    int left = PIECES;
    while (left > 0) {
        const ssize_t written = pwritev(fd, piece, left, (off_t)offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return written < 0 ? -errno : -EIO;
        }
        offset += (uint64_t)written;
        size_t done = (size_t)written;
        while (left > 0 && done >= piece->iov_len) {
            done -= piece->iov_len;
            piece++;
            left--;
        }
        if (left > 0) {
            piece->iov_base = (uint8_t *)piece->iov_base + done;
            piece->iov_len -= done;
        }
    }
    return 0;
}

static int refuse_broken(const struct segment_log *log, struct error *err)
{
    return error_set(err, EIO, "write %s: an earlier failure of the disk; open it anew",
                     log->directory);
}

int segment_log_append(struct segment_log *log, const void *bytes, size_t length,
                       uint64_t *position, struct error *err)
{
    const struct iovec pieces[2] = {{(void *)(uintptr_t)bytes, length}, {NULL, 0}};

    return segment_log_append_two(log, pieces, position, err);
}

int segment_log_append_two(struct segment_log *log, const struct iovec frame[2], uint64_t *position,
                           struct error *err)
{
    const size_t length = frame[0].iov_len + frame[1].iov_len;

    if (length == 0 || length > log->limits.frame_bytes_max) {
        return error_set(err, length == 0 ? EINVAL : EMSGSIZE,
                         "write %s: a frame of %zu bytes, allowed: 1 to %u", log->directory, length,
                         log->limits.frame_bytes_max);
    }
    if (log->is_broken) {
        return refuse_broken(log, err);
    }
    const uint64_t frame_bytes = SEGMENT_FRAME_HEADER_BYTES + (uint64_t)length;
    const struct segment_file *last = log->fd >= 0 ? &log->files.at[log->files.count - 1] : NULL;
    if (last == NULL ||
        (last->bytes > 0 && last->bytes + frame_bytes > log->limits.segment_bytes_max)) {
        const int result = begin_file(log, err);
        if (result != 0) {
            return result;
        }
    }
    struct segment_file *file = &log->files.at[log->files.count - 1];
    uint8_t header[SEGMENT_FRAME_HEADER_BYTES];
    segment_store_u32(header, (uint32_t)length);
    segment_store_u32(header + 4, hash_crc32c(segment_frame_crc(header, frame[0].iov_base,
                                                                (uint32_t)frame[0].iov_len),
                                              frame[1].iov_base, frame[1].iov_len));
    struct iovec pieces[PIECES] = {{header, sizeof(header)}, frame[0], frame[1]};
    const int result = write_pieces(log->fd, pieces, file->bytes);
    if (result != 0) {
        if (ftruncate(log->fd, (off_t)file->bytes) != 0) {
            log->is_broken = true;
        }
        return fail(err, log, "write", -result);
    }
    const uint64_t at = file->base + file->bytes;
    file->bytes += frame_bytes;
    log->bytes += frame_bytes;
    atomic_store_explicit(&log->end, at + frame_bytes, memory_order_release);
    if (position != NULL) {
        *position = at;
    }
    return 0;
}

int segment_log_sync(struct segment_log *log, struct error *err)
{
    if (log->is_broken) {
        return refuse_broken(log, err);
    }
    const uint64_t end = segment_log_end(log);
    if (log->fd < 0 || end == segment_log_durable_end(log)) {
        return 0;
    }
    if (fdatasync(log->fd) != 0) {
        log->is_broken = true;
        return fail(err, log, "sync", errno);
    }
    atomic_store_explicit(&log->durable_end, end, memory_order_release);
    return 0;
}

int segment_log_mend(struct segment_log *log, struct error *err)
{
    if (!log->is_broken) {
        return 0;
    }
    /* A file is begun behind a sync: what is durable reaches into the last one. */
    struct segment_file *last = &log->files.at[log->files.count - 1];
    const uint64_t durable = segment_log_durable_end(log);
    const uint64_t kept = durable - last->base;
    if (ftruncate(log->fd, (off_t)kept) != 0) {
        return fail(err, log, "cut what is not on disk in", errno);
    }
    if (fdatasync(log->fd) != 0) {
        return fail(err, log, "sync", errno);
    }
    log->bytes -= last->bytes - kept;
    last->bytes = kept;
    atomic_store_explicit(&log->end, durable, memory_order_release);
    log->is_broken = false;
    return 0;
}

uint64_t segment_log_end(const struct segment_log *log)
{
    return atomic_load_explicit(&log->end, memory_order_acquire);
}

uint64_t segment_log_durable_end(const struct segment_log *log)
{
    return atomic_load_explicit(&log->durable_end, memory_order_acquire);
}

uint64_t segment_log_begin(const struct segment_log *log)
{
    return log->files.count > 0 ? log->files.at[0].base : segment_log_end(log);
}

uint64_t segment_log_bytes(const struct segment_log *log)
{
    return log->bytes;
}

uint64_t segment_log_file_after(const struct segment_log *log, uint64_t position)
{
    for (uint32_t i = 0; i < log->files.count; i++) {
        if (log->files.at[i].base > position) {
            return log->files.at[i].base;
        }
    }
    return 0;
}

uint64_t segment_log_file_before(const struct segment_log *log, uint64_t position)
{
    for (uint32_t i = log->files.count; i > 0; i--) {
        if (log->files.at[i - 1].base < position) {
            return log->files.at[i - 1].base;
        }
    }
    return 0;
}

int segment_log_delete_before(struct segment_log *log, uint64_t position, struct error *err)
{
    uint32_t gone = 0;
    int result = 0;
    while (gone + 1 < log->files.count && log->files.at[gone + 1].base <= position) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(log->files.at[gone].base, name);
        if (unlinkat(log->directory_fd, name, 0) != 0 && errno != ENOENT) {
            result = fail(err, log, "delete a file of", errno);
            break;
        }
        log->bytes -= log->files.at[gone].bytes;
        gone++;
    }
    if (gone > 0) {
        log->files.count -= gone;
        memmove(log->files.at, log->files.at + gone, log->files.count * sizeof(*log->files.at));
    }
    return result != 0 ? result : (int)gone;
}
