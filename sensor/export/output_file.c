#include "sensor/export/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES 262144

struct output_file {
    int descriptor;
    char *path;
    size_t used;
    struct error failure; /* written once, before has_failed tells it to other threads */
    atomic_bool has_failed;
    uint8_t buffer[BUFFER_BYTES];
};

struct output_file *output_file_open(const char *path, struct error *err)
{
    struct output_file *file = calloc(1, sizeof(*file));

    if (file == NULL || (file->path = strdup(path)) == NULL) {
        free(file);
        error_set(err, ENOMEM, "%s: no memory", path);
        return NULL;
    }
    file->descriptor = strcmp(path, "-") == 0
                           ? STDOUT_FILENO
                           : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file->descriptor < 0) {
        const int code = errno;

        error_set(err, code, "%s: %s", path, strerror(code));
        free(file->path);
        free(file);
        return NULL;
    }
    return file;
}

static void fail(struct output_file *file, int code)
{
    error_set(&file->failure, code, "%s: %s", file->path, strerror(code));
    atomic_store_explicit(&file->has_failed, true, memory_order_release);
}

/* To the kernel, whole; the first failure is kept. A pipe that its reader made non-blocking is
 * waited for: files push back. */
static void write_all(struct output_file *file, const uint8_t *bytes, size_t length)
{
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
    free(file->path);
    free(file);
}
