/* Who somebody is and what they may: users, tokens of machines, sessions, and how often a login may
 * be tried.
 *
 * Users and tokens come from web.auth.users_file, which is read again when it has changed; a
 * session ends with any change of its user's line. The one user of web.auth.password_file and the
 * token of web.token_file are admins. Hashes of passwords are made on a thread of its own, one at a
 * time, so that logins cost nobody else anything. Depends on: base, base/service, libcrypto. Any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"
#include "collector-ui/access/sessions.h"

#define ACCESS_WHO_BYTES   128
#define ACCESS_LOGINS_WAIT 32 /* logins that wait for their hash */

struct access_settings {
    const char *users_file;        /* "": none */
    const char *user, *password;   /* of password_file; NULL: none */
    const char *token;             /* of web.token_file; NULL: none */
    uint64_t idle_ns, absolute_ns; /* of a session */
    uint64_t sessions_max;
    uint64_t attempts, interval_ns; /* logins that may fail at once; one more each */
    const struct clock *clock;      /* NULL: the system's */
};

enum access_proof { ACCESS_NOBODY, ACCESS_SESSION, ACCESS_TOKEN, ACCESS_PASSWORD };

/* Somebody who has shown who they are. */
struct access_caller {
    enum access_proof by;
    char who[ACCESS_WHO_BYTES];
    unsigned rights;
    uint64_t proof; /* of the session or token, for access_holds; 0: holds as long as the program */
};

enum access_verdict {
    ACCESS_IN,
    ACCESS_WRONG,   /* no such user, or another password */
    ACCESS_LIMITED, /* too often: wait */
    ACCESS_BUSY,    /* too many logins wait for their hash */
    ACCESS_FAILED,  /* no memory, no random bytes; or the program stops */
};

struct access_answer {
    enum access_verdict verdict;
    uint64_t wait_ns; /* of ACCESS_LIMITED */
    struct access_caller caller;
    char secret[SESSION_SECRET_BYTES]; /* for the cookie */
};

struct access_counts {
    uint64_t logins, wrong, limited, busy, logouts;
    uint64_t evicted, revoked; /* sessions that ended for another one, and by a change of users */
    uint32_t sessions, users, tokens;
};

struct access;

/* NULL with `err`: the users file cannot be read, no memory. `settings` is copied, its texts are
 * borrowed. */
MUST_USE struct access *access_new(const struct access_settings *settings, struct error *err);
void access_free(struct access *access); /* NULL is allowed; logins that wait are ACCESS_FAILED */
DEFINE_AUTO(access, access_free);

/* Reads the file again if it has changed; looks at most once a second. One that cannot be used is
 * told in the log, and the users before stay. */
void access_refresh(struct access *access);
/* Reads it again. -errno with `err`: the users before stay. */
MUST_USE int access_reload(struct access *access, struct error *err);

/* False: nobody is known by this. */
MUST_USE bool access_by_session(struct access *access, const char *secret,
                                struct access_caller *out);
MUST_USE bool access_by_token(struct access *access, const char *token, struct access_caller *out);
/* HTTP Basic, which is the one user of password_file's alone: no hash is made for each request. IN,
 * WRONG or LIMITED. */
enum access_verdict access_by_password(struct access *access, const char *name,
                                       const char *password, const char *peer,
                                       struct access_answer *out);
/* Is what proved a caller still good? A session is used by it. */
MUST_USE bool access_holds(struct access *access, uint64_t proof);

/* A login by name and password from `peer` (an address). `done` is called once: before this
 * returns (LIMITED, BUSY), or on the thread of hashes. */
void access_login(struct access *access, const char *name, const char *password, const char *peer,
                  void (*done)(void *context, const struct access_answer *answer), void *context);
/* False: there was no such session. */
bool access_logout(struct access *access, const char *secret, struct access_caller *out);

void access_counts_read(struct access *access, struct access_counts *out);
