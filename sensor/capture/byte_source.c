#include "sensor/capture/byte_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t read_some(int fd, void *out, size_t bytes_max)
{
    for (;;) {
        const ssize_t got = read(fd, out, bytes_max);
        if (got >= 0 || errno != EINTR) {
            return got < 0 ? -errno : got;
        }
    }
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
        source->bytes_total = (uint64_t)info.st_size;
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    source->fd = fd;
    return 0;
}

void byte_source_close(struct byte_source *source)
{
    if (source->fd >= 0 && !source->is_stdin) {
        close(source->fd);
    }
    source->fd = -1;
}

int byte_source_peek(struct byte_source *source)
{
    while (source->peeked_bytes < BYTE_SOURCE_PEEK_MAX) {
        const ssize_t got = read_some(source->fd, source->peeked + source->peeked_bytes,
                                      BYTE_SOURCE_PEEK_MAX - source->peeked_bytes);
        if (got < 0) {
            return (int)got;
        }
        if (got == 0) {
            break;
        }
        source->peeked_bytes += (uint32_t)got;
    }
    return 0;
}

ssize_t byte_source_read(struct byte_source *source, void *out, size_t bytes_max)
{
    ssize_t got = 0;
    const size_t left = source->peeked_bytes - source->peeked_used;

    if (left > 0) {
        const size_t taken = left < bytes_max ? left : bytes_max;
        memcpy(out, source->peeked + source->peeked_used, taken);
        source->peeked_used += (uint32_t)taken;
        got = (ssize_t)taken;
    } else {
        got = read_some(source->fd, out, bytes_max);
    }
    if (got > 0) {
        source->bytes_read += (uint64_t)got;
    }
    return got;
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
