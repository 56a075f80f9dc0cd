#include "base/replacement.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

int replacement_begin(struct replacement *replacement, const char *path, unsigned mode)
{
    const int length = snprintf(replacement->fresh, sizeof(replacement->fresh), "%s.new", path);

    replacement->file = NULL;
    if (length < 0 || (size_t)length >= sizeof(replacement->fresh)) {
        return -ENAMETOOLONG;
    }
    (void)snprintf(replacement->path, sizeof(replacement->path), "%s", path);
    (void)unlink(replacement->fresh); /* of a program that was killed */
    const int fd =
        open(replacement->fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

    if (fd < 0) {
        return -errno;
    }
    replacement->file = fdopen(fd, "w");
    if (replacement->file == NULL) {
        const int code = errno;

        (void)close(fd);
        (void)unlink(replacement->fresh);
        return -code;
    }
    return 0;
}

/* The name too: it is an entry of the directory. */
static bool sync_directory(const char *path)
{
    char directory[REPLACEMENT_PATH_BYTES];
    const char *slash = strrchr(path, '/');

    (void)snprintf(directory, sizeof(directory), "%.*s",
                   slash == NULL ? 1 : (int)(slash - path) + 1, slash == NULL ? "." : path);
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    const int code = errno;

    if (fd >= 0) {
        (void)close(fd);
    }
    errno = code;
    return ok;
}

void replacement_drop(struct replacement *replacement)
{
    (void)fclose(replacement->file);
    replacement->file = NULL;
    (void)unlink(replacement->fresh);
}

int replacement_end(struct replacement *replacement, enum replacement_sync sync)
{
    FILE *file = replacement->file;
    const bool is_synced = sync == REPLACEMENT_SYNCED;

    /* Of a write that failed before, errno is mostly still what it left. */
    bool ok = ferror(file) == 0 && fflush(file) == 0 && (!is_synced || fsync(fileno(file)) == 0);
    int code = ok ? 0 : errno;

    if (fclose(file) != 0 && ok) {
        ok = false;
        code = errno;
    }
    replacement->file = NULL;
    if (ok && rename(replacement->fresh, replacement->path) != 0) {
        ok = false;
        code = errno;
    }
    if (!ok) {
        (void)unlink(replacement->fresh);
        return code != 0 ? -code : -EIO;
    }
    return !is_synced || sync_directory(replacement->path) ? 0 : -errno;
}
