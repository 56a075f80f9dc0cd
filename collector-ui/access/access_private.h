/* The inside of access: one lock over all of it, and the thread of hashes. */
#pragma once

#include <pthread.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "collector-ui/access/access.h"
#include "collector-ui/access/attempts.h"

struct login {
    struct login *next;
    char name[USER_NAME_BYTES * 2], password[PASSWORD_BYTES_MAX], hash[PASSWORD_HASH_BYTES];
    uint64_t line;               /* print of the hash's line; 0: of nobody */
    uint64_t user_key, peer_key; /* of attempts */
    void (*done)(void *context, const struct access_answer *answer);
    void *context;
};

struct access {
    struct access_settings settings;
    const struct clock *clock;
    struct hash_key key;
    pthread_mutex_t lock; /* over what follows */
    struct user_file users;
    struct stat seen;
    uint64_t look_ns; /* not looked at the file again before */
    struct sessions sessions;
    struct attempts attempts;
    struct access_counts counts;
    /* The thread of hashes. */
    pthread_t thread;
    pthread_cond_t wake;
    bool is_started, is_stopping;
    struct login *first, *last;
    uint32_t waiting;
};

#define ACCESS_OWNER_LINE UINT64_C(2) /* of the user of password_file: those of lines are odd */

static inline uint64_t access_now(const struct access *access)
{
    return access->clock->monotonic_ns(access->clock->context);
}

/* access.c; with the lock. */
struct user_line *access_find(struct access *access, const char *name);

/* access_login.c */
/* Is this the user and password of password_file? Constant time. */
bool access_is_owner(const struct access *access, const char *name, const char *password);
/* Takes an attempt of both keys, with the lock. False: limited. */
MUST_USE bool access_may_try(struct access *access, uint64_t user_key, uint64_t peer_key,
                             uint64_t *wait_ns);
uint64_t access_user_key(const struct access *access, const char *name);
/* Of an IPv6 address its network (/64): a host has as many of its addresses as it wants. */
uint64_t access_peer_key(const struct access *access, const char *peer);
void *access_hash_main(void *context);
