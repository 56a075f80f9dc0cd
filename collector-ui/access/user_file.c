#include "collector-ui/access/user_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/replacement.h"
#include "base/service/secret_file.h"

#define KEY            "web.auth.users_file"
#define FILE_BYTES_MAX 131072
#define PATH_BYTES     4096

int user_name_check(const char *name, struct error *err)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@";
    const size_t length = strlen(name);

    if (length == 0 || length >= USER_NAME_BYTES || strspn(name, good) != length) {
        return error_set(err, EINVAL,
                         "'%.80s' is no name: 1 to %d letters, digits, '.', '-', '_' and '@'", name,
                         USER_NAME_BYTES - 1);
    }
    return 0;
}

struct user_line *user_file_find(struct user_file *file, const char *name)
{
    for (uint32_t i = 0; i < file->count; i++) {
        if (strcmp(file->lines[i].name, name) == 0) {
            return &file->lines[i];
        }
    }
    return NULL;
}

static uint64_t print_of(const struct user_line *line)
{
    uint64_t print = hash_fnv1a(HASH_FNV1A_START, line->name, strlen(line->name) + 1);

    print = hash_fnv1a(print, line->role->name, strlen(line->role->name) + 1);
    return hash_fnv1a(print, line->hash, strlen(line->hash)) | 1;
}

static int refuse(const char *path, unsigned number, const char *what, struct error *err)
{
    return error_set(err, EINVAL, KEY ": %s:%u: %s", path, number, what);
}

static int add_line(struct user_file *file, char *text, const char *path, unsigned number,
                    struct error *err)
{
    char *rest = NULL;
    const char *name = strtok_r(text, " \t\r", &rest);
    const char *role = strtok_r(NULL, " \t\r", &rest);
    const char *hash = strtok_r(NULL, " \t\r", &rest);

    if (name == NULL || name[0] == '#') {
        return 0;
    }
    if (hash == NULL || strtok_r(NULL, " \t\r", &rest) != NULL) {
        return refuse(path, number,
                      "a line is a name, a role and a hash (netscope-collector user add makes one)",
                      err);
    }
    if (user_name_check(name, err) != 0) {
        error_prefix(err, "%s", path);
        error_prefix(err, KEY);
        return -EINVAL;
    }
    if (file->count == USERS_MAX) {
        return refuse(path, number, "more than 256 users and tokens", err);
    }
    if (user_file_find(file, name) != NULL) {
        return refuse(path, number, "this name is there already", err);
    }
    struct user_line *line = &file->lines[file->count];

    *line = (struct user_line){.role = role_find(role), .is_token = password_is_token_hash(hash)};
    if (line->role == NULL) {
        return refuse(path, number, "roles are viewer, operator and admin", err);
    }
    if (!line->is_token && !password_is_hash(hash)) {
        return refuse(path, number,
                      "this is no hash of a password or token (netscope-collector user add, or "
                      "token add, makes one)",
                      err);
    }
    (void)snprintf(line->name, sizeof(line->name), "%s", name);
    (void)snprintf(line->hash, sizeof(line->hash), "%s", hash);
    line->print = print_of(line);
    file->count++;
    return 0;
}

int user_file_read(const char *path, struct user_file *out, struct error *err)
{
    char *text = malloc(FILE_BYTES_MAX);
    size_t length = 0;

    out->count = 0;
    if (text == NULL) {
        return error_set(err, ENOMEM, KEY ": no memory");
    }
    int result = secret_file_read(KEY, path, text, FILE_BYTES_MAX, &length, err);
    char *rest = result == 0 ? text : NULL;

    for (unsigned number = 1; result == 0 && rest != NULL; number++) {
        result = add_line(out, strsep(&rest, "\n"), path, number, err);
    }
    explicit_bzero(text, FILE_BYTES_MAX);
    free(text);
    return result;
}

/* A service that runs as another user than whoever changes the file goes on reading it. */
static bool keep_owner(const struct replacement *replacement, const struct stat *before)
{
    const int fd = fileno(replacement->file);
    struct stat now;

    if (fstat(fd, &now) != 0) {
        return false;
    }
    return (before->st_uid == now.st_uid && before->st_gid == now.st_gid) ||
           fchown(fd, before->st_uid, before->st_gid) == 0;
}

int user_file_write(const char *path, const struct user_file *file, struct error *err)
{
    struct replacement replacement;
    struct stat before;
    const bool was_there = stat(path, &before) == 0;
    int result = replacement_begin(&replacement, path, 0600);

    if (result != 0) {
        return error_set(err, -result, "write %s: %s", path, strerror(-result));
    }
    if (was_there && (!keep_owner(&replacement, &before) ||
                      fchmod(fileno(replacement.file), before.st_mode & 0640) != 0)) {
        result = -errno;
        replacement_drop(&replacement);
        return error_set(err, -result, "%s: its owner or mode cannot be kept: %s", path,
                         strerror(-result));
    }
    (void)fputs("# name role hash: netscope-collector user and token change this file\n",
                replacement.file);
    for (uint32_t i = 0; i < file->count; i++) {
        const struct user_line *line = &file->lines[i];

        (void)fprintf(replacement.file, "%s %s %s\n", line->name, line->role->name, line->hash);
    }
    result = replacement_end(&replacement, REPLACEMENT_SYNCED);
    return result == 0 ? 0 : error_set(err, -result, "write %s: %s", path, strerror(-result));
}

int user_file_lock(const char *path, struct error *err)
{
    char directory[PATH_BYTES];
    const char *slash = strrchr(path, '/');

    /* The directory: the file itself is another one after each change. */
    (void)snprintf(directory, sizeof(directory), "%.*s",
                   slash == NULL ? 1 : (int)(slash - path) + 1, slash == NULL ? "." : path);
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        const int code = errno;

        if (fd >= 0) {
            (void)close(fd);
        }
        return error_set(err, code, "lock %s: %s", directory, strerror(code));
    }
    return fd;
}

void user_file_unlock(int descriptor)
{
    (void)close(descriptor);
}
