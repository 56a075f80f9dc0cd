#include "base/service/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/key_file.h"

static int check(const char *key, const char *path, const struct stat *status, struct error *err)
{
    if (!S_ISREG(status->st_mode)) {
        return error_set(err, EINVAL, "%s: %s is no file", key, path);
    }
    if (!key_file_is_private(status)) {
        return error_set(
            err, EACCES,
            "%s: %s can be read or changed by others than its owner (mode %04o): run chmod 600 %s",
            key, path, (unsigned)(status->st_mode & 07777), path);
    }
    return 0;
}

int secret_file_read(const char *key, const char *path, char *out, size_t out_bytes, size_t *length,
                     struct error *err)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    ssize_t got = 0;
    size_t used = 0;

    if (file < 0 || fstat(file, &status) != 0) {
        const int code = errno;

        if (file >= 0) {
            (void)close(file);
        }
        return error_set(err, code, "%s: open %s: %s", key, path, strerror(code));
    }
    int result = check(key, path, &status, err);

    while (result == 0 && used < out_bytes) {
        got = read(file, out + used, out_bytes - used);
        if (got <= 0) {
            break;
        }
        used += (size_t)got;
    }
    if (result == 0 && got < 0) {
        result = error_set(err, errno, "%s: read %s: %s", key, path, strerror(errno));
    }
    (void)close(file);
    if (result == 0 && used == out_bytes) {
        result =
            error_set(err, EINVAL, "%s: %s is longer than %zu bytes", key, path, out_bytes - 1);
    }
    while (result == 0 && used > 0 && strchr(" \t\r\n", out[used - 1]) != NULL) {
        used--;
    }
    if (result == 0 && (used == 0 || memchr(out, '\0', used) != NULL)) {
        result = error_set(err, EINVAL, "%s: %s holds no text", key, path);
    }
    if (result != 0) {
        explicit_bzero(out, out_bytes);
        return result;
    }
    out[used] = '\0';
    *length = used;
    return 0;
}
