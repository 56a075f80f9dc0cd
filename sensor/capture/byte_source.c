#include "sensor/capture/byte_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sensor/capture/byte_decoder.h"

#define STOP_LOOK_MS 100

static ssize_t read_memory(struct byte_source *source, void *out, size_t bytes_max)
{
    const uint64_t left = source->bytes_total - source->bytes_read;
    const size_t taken = left < bytes_max ? (size_t)left : bytes_max;

    memcpy(out, source->memory + source->bytes_read, taken);
    return (ssize_t)taken;
}

/* False: it says nothing, and nobody waits for it any more. */
static bool await_pipe(const struct byte_source *source)
{
    struct pollfd pipe = {.fd = source->fd, .events = POLLIN};

    while (poll(&pipe, 1, STOP_LOOK_MS) == 0) {
        if (atomic_load(source->stop)) {
            return false;
        }
    }
    return true;
}

/* Of the file itself. */
static ssize_t read_some(void *context, void *out, size_t bytes_max)
{
    struct byte_source *source = context;
    ssize_t got;

    if (source->memory != NULL) {
        got = read_memory(source, out, bytes_max);
    } else if (!source->is_regular && source->stop != NULL && !await_pipe(source)) {
        got = 0;
    } else {
        do {
            got = read(source->fd, out, bytes_max);
        } while (got < 0 && errno == EINTR);
    }
    if (got < 0) {
        return -errno;
    }
    source->bytes_read += (uint64_t)got;
    return got;
}

int byte_source_open(struct byte_source *source, const char *path, struct error *err)
{
    *source = (struct byte_source){.fd = -1};
    if (strcmp(path, "-") == 0) {
        source->fd = STDIN_FILENO;
        source->is_stdin = true;
        return 0;
    }

    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        const int code = errno;
        return error_set(err, code, "%s: %s", path, strerror(code));
    }
    struct stat info;
    if (fstat(fd, &info) != 0) {
        const int code = errno;
        close(fd);
        return error_set(err, code, "%s: %s", path, strerror(code));
    }
    if (S_ISDIR(info.st_mode)) {
        close(fd);
        return error_set(err, EISDIR, "%s: is a directory, not a capture file", path);
    }
    if (S_ISREG(info.st_mode)) {
        source->is_regular = true;
        source->bytes_total = (uint64_t)info.st_size;
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    source->fd = fd;
    return 0;
}

void byte_source_open_memory(struct byte_source *source, const uint8_t *bytes, size_t count)
{
    *source = (struct byte_source){
        .fd = -1, .memory = count > 0 ? bytes : (const uint8_t *)"", .bytes_total = count};
}

void byte_source_close(struct byte_source *source)
{
    byte_decoder_free(source->decoder);
    source->decoder = NULL;
    if (source->fd >= 0 && !source->is_stdin) {
        close(source->fd);
    }
    source->fd = -1;
    source->memory = NULL;
}

static ssize_t read_decoded(struct byte_source *source, void *out, size_t bytes_max)
{
    return source->decoder != NULL ? byte_decoder_read(source->decoder, out, bytes_max)
                                   : read_some(source, out, bytes_max);
}

static int fill_peeked(struct byte_source *source, struct error *err)
{
    while (source->peeked_bytes < BYTE_SOURCE_PEEK_MAX) {
        const ssize_t got = read_decoded(source, source->peeked + source->peeked_bytes,
                                         BYTE_SOURCE_PEEK_MAX - source->peeked_bytes);
        if (got < 0) {
            return error_set(err, (int)-got, "%s", byte_source_fault(source, (int)got));
        }
        if (got == 0) {
            break;
        }
        source->peeked_bytes += (uint32_t)got;
    }
    return 0;
}

int byte_source_peek(struct byte_source *source, struct error *err)
{
    int status = fill_peeked(source, err);
    if (status != 0) {
        return status;
    }
    status = byte_decoder_new(source->peeked, source->peeked_bytes, read_some, source,
                              &source->decoder, err);
    if (status != 0 || source->decoder == NULL) {
        return status;
    }
    source->peeked_bytes = 0; /* the decoder has them */
    return fill_peeked(source, err);
}

ssize_t byte_source_read(struct byte_source *source, void *out, size_t bytes_max)
{
    const size_t left = source->peeked_bytes - source->peeked_used;

    if (left > 0) {
        const size_t taken = left < bytes_max ? left : bytes_max;
        memcpy(out, source->peeked + source->peeked_used, taken);
        source->peeked_used += (uint32_t)taken;
        return (ssize_t)taken;
    }
    return read_decoded(source, out, bytes_max);
}

const char *byte_source_fault(const struct byte_source *source, int code)
{
    const char *fault = source->decoder != NULL ? byte_decoder_fault(source->decoder) : NULL;
    return fault != NULL ? fault : strerror(-code);
}

static ssize_t cookie_read(void *cookie, char *out, size_t bytes_max)
{
    const ssize_t got = byte_source_read(cookie, out, bytes_max);
    if (got < 0) {
        errno = (int)-got;
        return -1;
    }
    return got;
}

FILE *byte_source_file(struct byte_source *source)
{
    return fopencookie(source, "rb", (cookie_io_functions_t){.read = cookie_read});
}
