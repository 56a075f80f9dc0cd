/* web.auth.users_file: who may log in, and tokens of machines, one a line.
 *
 * "NAME ROLE HASH": with a hash of a password a user, with one of a token a machine (password.h). A
 * name is there once. '#' begins a comment line. Depends on: base, base/service. Any thread; one
 * writer at a time (user_file_lock). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/service/role.h"
#include "collector-ui/access/password.h"

#define USER_NAME_BYTES 64
#define USERS_MAX       256

struct user_line {
    char name[USER_NAME_BYTES];
    const struct role *role;
    bool is_token;
    char hash[PASSWORD_HASH_BYTES];
    uint64_t print; /* of all of it as it was read, to see whether it has changed; odd */
};

struct user_file {
    uint32_t count;
    struct user_line lines[USERS_MAX];
};

/* -errno with `err` that names the file and the line: it is not there, open to others, a line is
 * none. A file without lines is good: nobody can log in. */
MUST_USE int user_file_read(const char *path, struct user_file *out, struct error *err);
/* Replaces it as a whole; owner, group and mode are those of the file before, else the caller's and
 * 0600. -errno with `err`: the old one stays. */
MUST_USE int user_file_write(const char *path, const struct user_file *file, struct error *err);
/* Nobody else changes it until user_file_unlock. A descriptor, or -errno with `err`. */
MUST_USE int user_file_lock(const char *path, struct error *err);
void user_file_unlock(int descriptor);

/* NULL: nobody is called so. */
struct user_line *user_file_find(struct user_file *file, const char *name);
/* -EINVAL with `err`: letters, digits, '.', '-', '_' and '@', at most 63. */
MUST_USE int user_name_check(const char *name, struct error *err);
