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

#define BUFFER_BYTES 262144
#define FILE_MODE    0644

struct output_file {
    int descriptor;
    char *path;
    char *
        target; /* under which name it will be found once it is whole: NULL: path, from the start */
    bool is_begun; /* something was written, or tried */
    size_t used;
    struct error failure; /* written once, before has_failed tells it to other threads */
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
    if (file->target == NULL) {
        error_set(&file->failure, code, "%s: %s", file->path, strerror(code));
    } else {
        error_set(&file->failure, code, "%s: %s (what was written is in %s)", file->target,
                  strerror(code), file->path);
    }
    atomic_store_explicit(&file->has_failed, true, memory_order_release);
}

/* To the kernel, whole; the first failure is kept. A pipe that its reader made non-blocking is
 * waited for: files push back. */
static void write_all(struct output_file *file, const uint8_t *bytes, size_t length)
{
    file->is_begun = file->is_begun || length > 0;
    while (length > 0 && file->failure.code == 0) {
        const ssize_t written = write(file->descriptor, bytes, length);

        if (written < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = file->descriptor, .events = POLLOUT};

            (void)poll(&wait, 1, -1);
        } else if (written < 0 && errno != EINTR) {
            fail(file, errno);
        } else if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

void output_file_flush(struct output_file *file)
{
    write_all(file, file->buffer, file->used);
    file->used = 0;
}

void output_file_write(struct output_file *file, const void *bytes, size_t length)
{
    if (file->failure.code != 0) {
        return;
    }
    if (BUFFER_BYTES - file->used < length) {
        output_file_flush(file);
    }
    if (length > BUFFER_BYTES) {
        write_all(file, bytes, length);
        return;
    }
    memcpy(file->buffer + file->used, bytes, length);
    file->used += length;
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
