#include "base/service/settings_file.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/replacement.h"

void settings_file_note(struct settings_file *file)
{
    if (file->path == NULL || stat(file->path, &file->seen) != 0) {
        file->seen = (struct stat){0};
    }
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int check(const struct settings_file *file, struct stat *now, struct error *err)
{
    if (file->path == NULL) {
        return error_set(err, ENOENT, "there is no file of settings: start with --config");
    }
    if (stat(file->path, now) != 0) {
        return error_set(err, errno, "%s: %s", file->path, strerror(errno));
    }
    if (!S_ISREG(now->st_mode)) {
        return error_set(err, EINVAL, "%s is no regular file", file->path);
    }
    return is_same(now, &file->seen)
               ? 0
               : error_set(err, ESTALE, "%s was changed since it was read: reload it first",
                           file->path);
}

/* Owner and group first: who changes them loses bits of the mode. */
static bool take_after(int fd, const struct stat *from)
{
    struct stat made;

    return fstat(fd, &made) == 0 &&
           ((made.st_uid == from->st_uid && made.st_gid == from->st_gid) ||
            fchown(fd, from->st_uid, from->st_gid) == 0) &&
           fchmod(fd, from->st_mode & 07777) == 0;
}

/* `path` is absolute. */
static void directory_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');

    (void)snprintf(out, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static int replace(const char *path, const struct stat *before, const char *text, size_t length,
                   struct error *err)
{
    struct replacement replacement;
    int result = replacement_begin(&replacement, path, 0600);

    if (result == 0 && !take_after(fileno(replacement.file), before)) {
        result = -errno;
        replacement_drop(&replacement);
    } else if (result == 0) {
        (void)fwrite(text, 1, length, replacement.file);
        result = replacement_end(&replacement, REPLACEMENT_SYNCED);
    }
    return result == 0 ? 0 : error_set(err, -result, "write %s.new: %s", path, strerror(-result));
}

int settings_file_check(const struct settings_file *file, struct error *err)
{
    char directory[PATH_MAX];
    struct stat now = {0};

    if (check(file, &now, err) != 0) {
        return -err->code;
    }
    char *real = realpath(file->path, NULL);

    if (real == NULL) {
        return error_set(err, errno, "%s: %s", file->path, strerror(errno));
    }
    directory_of(real, directory);
    free(real);
    return access(directory, W_OK) == 0
               ? 0
               : error_set(err, errno, "%s: %s (the new text is made beside the old one)",
                           directory, strerror(errno));
}

int settings_file_write(struct settings_file *file, const char *text, size_t length,
                        struct error *err)
{
    struct stat now = {0};

    if (check(file, &now, err) != 0) {
        return -err->code;
    }
    char *real = realpath(file->path, NULL); /* a link stays one */

    if (real == NULL) {
        return error_set(err, errno, "%s: %s", file->path, strerror(errno));
    }
    const int result = replace(real, &now, text, length, err);

    free(real);
    if (result == 0) {
        settings_file_note(file);
    }
    return result;
}
