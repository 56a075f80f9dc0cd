/* Who is logged in: a fixed table of sessions, each found by the secret in its cookie.
 *
 * A session ends when it was not used for idle_ns, when it is absolute_ns old, when it is dropped,
 * and when another one needs its place: then the one unused for longest. Only digests of secrets
 * are kept. Depends on: base, access/password. Time is an argument. Threads: the caller's lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "collector-ui/access/user_file.h"

#define SESSION_SECRET_BYTES 72 /* its text, with a NUL */

struct session {
    uint64_t id; /* random, never 0; 0: the place is free */
    uint8_t digest[32];
    char name[USER_NAME_BYTES * 2];
    unsigned rights;
    uint64_t line; /* print of the user's line */
    uint64_t made_ns, used_ns;
};

struct sessions {
    uint32_t max;
    uint64_t idle_ns, absolute_ns;
    uint64_t evicted; /* how many went for another one */
    struct session *list;
};

MUST_USE int sessions_init(struct sessions *sessions, uint32_t max, uint64_t idle_ns,
                           uint64_t absolute_ns, struct error *err);
void sessions_fini(struct sessions *sessions);
/* 0 or -EIO (no random bytes). `name`, `rights` and `line` of `of` are kept. */
MUST_USE int sessions_add(struct sessions *sessions, const struct session *of, uint64_t now_ns,
                          char secret[SESSION_SECRET_BYTES], struct error *err);
/* NULL: no session, or it is over. Else it is used now; until the next call. */
const struct session *sessions_use(struct sessions *sessions, const char *secret, uint64_t now_ns);
/* The same by its id. */
const struct session *sessions_use_id(struct sessions *sessions, uint64_t id, uint64_t now_ns);
/* False: there was none. */
bool sessions_drop(struct sessions *sessions, const char *secret);
/* Drops those whose user's line `is_good` says no to; returns how many. */
uint32_t sessions_keep(struct sessions *sessions, bool (*is_good)(void *context, uint64_t line),
                       void *context);
uint32_t sessions_count(const struct sessions *sessions, uint64_t now_ns);
