#include "sensor/export/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define BUFFER_BYTES 262144
#define FILE_MODE    0644
#define RETRY_NS     NS_PER_SEC

struct output_file {
    int descriptor;
    char *path;
    char *
        target; /* under which name it will be found once it is whole: NULL: path, from the start */
    bool is_begun; /* something was written, or tried */
    bool recovers; /* a regular file whose records are of use one by one */
    size_t used;
    uint64_t whole_bytes;      /* of the file: up to the end of the last record in it */
    uint64_t buffered_records; /* in `used`, and what is being written */
    uint64_t lost;             /* records */
    uint64_t retry_ns;         /* monotonic; 0: the last write worked */
    struct error failure;      /* written once, before has_failed tells it to other threads */
    atomic_bool has_failed;
    uint8_t buffer[BUFFER_BYTES];
};

static void free_file(struct output_file *file)
{
    free(file->path);
    free(file->target);
    free(file);
}

/* `path` is what errors name, `name` what is opened; both are taken over. */
static struct output_file *open_as(const char *path, char *name, char *target, mode_t mode,
                                   struct error *err)
{
    struct output_file *file = name == NULL ? NULL : calloc(1, sizeof(*file));

    if (file == NULL) {
        free(name);
        free(target);
        error_set(err, ENOMEM, "%s: no memory", path);
        return NULL;
    }
    file->path = name;
    file->target = target;
    file->descriptor = strcmp(name, "-") == 0
                           ? STDOUT_FILENO
                           : open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (file->descriptor < 0) {
        const int code = errno;

        error_set(err, code, "%s: %s", path, strerror(code));
        free_file(file);
        return NULL;
    }
    struct stat status;

    file->recovers = target == NULL && file->descriptor != STDOUT_FILENO &&
                     fstat(file->descriptor, &status) == 0 && S_ISREG(status.st_mode);
    return file;
}

struct output_file *output_file_open(const char *path, struct error *err)
{
    return open_as(path, strdup(path), NULL, FILE_MODE, err);
}

struct output_file *output_file_open_whole(const char *path, struct error *err)
{
    struct stat there = {.st_mode = S_IFREG | FILE_MODE};
    const bool is_there = strcmp(path, "-") != 0 && stat(path, &there) == 0;

    if (strcmp(path, "-") == 0 || !S_ISREG(there.st_mode)) {
        return output_file_open(path, err); /* a pipe or a device has no other name */
    }
    char *target = is_there ? realpath(path, NULL) : strdup(path); /* a link stays one */
    char *name = NULL;

    if (target == NULL || asprintf(&name, "%s" OUTPUT_FILE_PARTIAL, target) < 0) {
        name = NULL;
    }
    struct output_file *file = open_as(path, name, target, there.st_mode & 0777, err);

    if (file != NULL && is_there) {
        (void)fchmod(file->descriptor, there.st_mode & 0777); /* as the one that it replaces */
    }
    return file;
}

static void fail(struct output_file *file, int code)
{
    if (atomic_load_explicit(&file->has_failed, memory_order_relaxed)) {
        return;
    }
    if (file->target == NULL) {
        error_set(&file->failure, code, "%s: %s", file->path, strerror(code));
    } else {
        error_set(&file->failure, code, "%s: %s (what was written is in %s)", file->target,
                  strerror(code), file->path);
    }
    atomic_store_explicit(&file->has_failed, true, memory_order_release);
}

/* What is not in the file is lost; the file ends with its last whole record. */
static void lose_buffer(struct output_file *file, int code)
{
    char quoted[512];

    file->lost += file->buffered_records;
    fail(file, code);
    if (!file->recovers) {
        return;
    }
    if (ftruncate(file->descriptor, (off_t)file->whole_bytes) == 0) {
        (void)lseek(file->descriptor, (off_t)file->whole_bytes, SEEK_SET);
    }
    if (file->retry_ns == 0) {
        log_error("output", "a file cannot be written; its records are lost until it can be",
                  "path=%s reason=%s", file->path,
                  log_quote(strerror(code), quoted, sizeof(quoted)));
    }
    file->retry_ns = clock_monotonic_ns() + RETRY_NS;
}

/* To the kernel, whole, or what is buffered is lost. A pipe that its reader made non-blocking is
 * waited for: files push back. */
static void write_all(struct output_file *file, const uint8_t *bytes, size_t length)
{
    const size_t whole = length;

    file->is_begun = file->is_begun || length > 0;
    while (length > 0) {
        const ssize_t written = write(file->descriptor, bytes, length);

        if (written < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = file->descriptor, .events = POLLOUT};

            (void)poll(&wait, 1, -1);
        } else if (written < 0 && errno != EINTR) {
            lose_buffer(file, errno);
            break;
        } else if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    file->buffered_records = 0;
    if (length > 0 || whole == 0) {
        return;
    }
    file->whole_bytes += whole;
    if (file->retry_ns != 0) {
        file->retry_ns = 0;
        log_note("output", "a file is written again", "path=%s records_lost=%llu", file->path,
                 (unsigned long long)file->lost);
    }
}

bool output_file_is_waiting(const struct output_file *file)
{
    return file->recovers ? file->retry_ns != 0 && clock_monotonic_ns() < file->retry_ns
                          : file->failure.code != 0;
}

void output_file_flush(struct output_file *file)
{
    write_all(file, file->buffer, file->used);
    file->used = 0;
}

void output_file_write(struct output_file *file, const void *bytes, size_t length)
{
    if (output_file_is_waiting(file)) {
        file->lost++;
        return;
    }
    if (BUFFER_BYTES - file->used < length) {
        output_file_flush(file);
    }
    file->buffered_records++;
    if (length > BUFFER_BYTES) {
        write_all(file, bytes, length);
        return;
    }
    memcpy(file->buffer + file->used, bytes, length);
    file->used += length;
}

uint64_t output_file_lost(const struct output_file *file)
{
    return file->lost;
}

void output_file_finish(struct output_file *file)
{
    output_file_flush(file);
    if (file->target == NULL || file->failure.code != 0) {
        return;
    }
    /* The bytes before the name: a power cut leaves a file that is not whole under no whole name.
     */
    if ((fsync(file->descriptor) != 0 && errno != EINVAL) ||
        rename(file->path, file->target) != 0) {
        fail(file, errno);
        return;
    }
    free(file->path);
    file->path = file->target;
    file->target = NULL;
}

const char *output_file_failure(const struct output_file *file)
{
    return atomic_load_explicit(&file->has_failed, memory_order_acquire) ? file->failure.message
                                                                         : NULL;
}

void output_file_close(struct output_file *file)
{
    if (file == NULL) {
        return;
    }
    output_file_flush(file);
    if (file->descriptor != STDOUT_FILENO) {
        (void)close(file->descriptor);
    }
    if (file->target != NULL && !file->is_begun) {
        (void)unlink(file->path); /* the run never came to it */
    }
    free_file(file);
}
