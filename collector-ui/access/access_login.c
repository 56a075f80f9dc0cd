/* Logins: how often, and the thread that makes the hashes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/address.h"
#include "collector-ui/access/access_private.h"

#define PREFIX_BYTES 8 /* /64 */

bool access_is_owner(const struct access *access, const char *name, const char *password)
{
    uint8_t given[2][32], wanted[2][32];

    if (access->settings.password == NULL || access->settings.user == NULL) {
        return false;
    }
    password_digest(name, given[0]);
    password_digest(password, given[1]);
    password_digest(access->settings.user, wanted[0]);
    password_digest(access->settings.password, wanted[1]);
    return CRYPTO_memcmp(given, wanted, sizeof(given)) == 0;
}

/* Keys of users are odd, those of addresses even, and none is 0 (but for one of 2^63). */
uint64_t access_user_key(const struct access *access, const char *name)
{
    return hash_bytes(access->key, name, strlen(name)) | 1;
}

uint64_t access_peer_key(const struct access *access, const char *peer)
{
    struct ip_address address;

    if (!address_parse(peer, strlen(peer), &address)) {
        return (hash_bytes(access->key, peer, strlen(peer)) & ~UINT64_C(1)) + 2;
    }
    if (address.version == 6) {
        memset(address.bytes + PREFIX_BYTES, 0, sizeof(address.bytes) - PREFIX_BYTES);
    }
    return (hash_bytes(access->key, &address, sizeof(address)) & ~UINT64_C(1)) + 2;
}

bool access_may_try(struct access *access, uint64_t user_key, uint64_t peer_key, uint64_t *wait_ns)
{
    const uint64_t now_ns = access_now(access);
    const bool may = attempts_take(&access->attempts, peer_key, now_ns, wait_ns) &&
                     attempts_take(&access->attempts, user_key, now_ns, wait_ns);

    access->counts.limited += may ? 0 : 1;
    return may;
}

static void note_result(struct access *access, bool is_in, uint64_t user_key, uint64_t peer_key)
{
    if (is_in) {
        attempts_return(&access->attempts, user_key);
        attempts_return(&access->attempts, peer_key);
    }
    access->counts.wrong += is_in ? 0 : 1;
}

enum access_verdict access_by_password(struct access *access, const char *name,
                                       const char *password, const char *peer,
                                       struct access_answer *out)
{
    const uint64_t user_key = access_user_key(access, name);
    const uint64_t peer_key = access_peer_key(access, peer);

    *out = (struct access_answer){.verdict = ACCESS_LIMITED};
    (void)pthread_mutex_lock(&access->lock);
    if (access_may_try(access, user_key, peer_key, &out->wait_ns)) {
        const bool is_in = access_is_owner(access, name, password);

        note_result(access, is_in, user_key, peer_key);
        out->verdict = is_in ? ACCESS_IN : ACCESS_WRONG;
        out->caller = (struct access_caller){.by = ACCESS_PASSWORD, .rights = RIGHT_ALL};
        (void)snprintf(out->caller.who, sizeof(out->caller.who), "%s", name);
    }
    (void)pthread_mutex_unlock(&access->lock);
    return out->verdict;
}

/* ---- the thread of hashes ---- */

/* With the lock: the line may have changed while its hash was made. */
static void begin_session(struct access *access, const struct login *login, bool is_owner,
                          struct access_answer *out)
{
    const struct user_line *line = access_find(access, login->name);
    struct session session = {.rights = RIGHT_ALL, .line = ACCESS_OWNER_LINE};
    struct error err = {0};

    if (!is_owner) {
        if (line == NULL || line->print != login->line) {
            out->verdict = ACCESS_WRONG;
            return;
        }
        session.rights = line->role->rights;
        session.line = login->line;
    }
    (void)snprintf(session.name, sizeof(session.name), "%s", login->name);
    if (sessions_add(&access->sessions, &session, access_now(access), out->secret, &err) != 0) {
        out->verdict = ACCESS_FAILED;
        return;
    }
    out->verdict = ACCESS_IN;
    access->counts.logins++;
    out->caller = (struct access_caller){.by = ACCESS_SESSION, .rights = session.rights};
    (void)snprintf(out->caller.who, sizeof(out->caller.who), "%s", session.name);
}

static void run_login(struct access *access, struct login *login)
{
    struct access_answer answer = {.verdict = ACCESS_WRONG};
    /* The hash first and for everybody: how long it takes tells nobody whose name it is. */
    const bool fits = password_fits(login->hash, login->password) && login->line != 0;
    const bool is_owner = access_is_owner(access, login->name, login->password);

    (void)pthread_mutex_lock(&access->lock);
    if (fits || is_owner) {
        begin_session(access, login, is_owner, &answer);
    }
    if (answer.verdict != ACCESS_FAILED) {
        note_result(access, answer.verdict == ACCESS_IN, login->user_key, login->peer_key);
    }
    (void)pthread_mutex_unlock(&access->lock);
    login->done(login->context, &answer);
    OPENSSL_cleanse(&answer, sizeof(answer));
}

static void free_login(struct login *login)
{
    explicit_bzero(login, sizeof(*login));
    free(login);
}

void *access_hash_main(void *context)
{
    struct access *access = context;

    (void)pthread_mutex_lock(&access->lock);
    while (!access->is_stopping || access->first != NULL) {
        struct login *login = access->first;

        if (login == NULL) {
            (void)pthread_cond_wait(&access->wake, &access->lock);
            continue;
        }
        access->first = login->next;
        access->waiting--;
        const bool is_stopping = access->is_stopping;

        (void)pthread_mutex_unlock(&access->lock);
        if (is_stopping) {
            login->done(login->context, &(struct access_answer){.verdict = ACCESS_FAILED});
        } else {
            run_login(access, login);
        }
        free_login(login);
        (void)pthread_mutex_lock(&access->lock);
    }
    (void)pthread_mutex_unlock(&access->lock);
    return NULL;
}

/* With the lock: queued, or why not. */
static enum access_verdict queue(struct access *access, struct login *login, uint64_t *wait_ns)
{
    const struct user_line *line = access_find(access, login->name);

    if (access->is_stopping) {
        return ACCESS_FAILED;
    }
    if (access->waiting >= ACCESS_LOGINS_WAIT) {
        access->counts.busy++;
        return ACCESS_BUSY;
    }
    if (!access_may_try(access, login->user_key, login->peer_key, wait_ns)) {
        return ACCESS_LIMITED;
    }
    login->line = line == NULL ? 0 : line->print;
    (void)snprintf(login->hash, sizeof(login->hash), "%s",
                   line == NULL ? password_of_nobody : line->hash);
    *(access->first == NULL ? &access->first : &access->last->next) = login;
    access->last = login;
    access->waiting++;
    (void)pthread_cond_signal(&access->wake);
    return ACCESS_IN;
}

void access_login(struct access *access, const char *name, const char *password, const char *peer,
                  void (*done)(void *context, const struct access_answer *answer), void *context)
{
    struct login *login = calloc(1, sizeof(*login));
    struct access_answer answer = {.verdict = ACCESS_FAILED};

    if (login == NULL || strlen(name) >= sizeof(login->name) ||
        strlen(password) >= sizeof(login->password)) {
        answer.verdict = login == NULL ? ACCESS_FAILED : ACCESS_WRONG;
        free(login);
        done(context, &answer);
        return;
    }
    (void)snprintf(login->name, sizeof(login->name), "%s", name);
    (void)snprintf(login->password, sizeof(login->password), "%s", password);
    login->done = done;
    login->context = context;
    login->user_key = access_user_key(access, name);
    login->peer_key = access_peer_key(access, peer);
    access_refresh(access);
    (void)pthread_mutex_lock(&access->lock);
    answer.verdict = queue(access, login, &answer.wait_ns);
    (void)pthread_mutex_unlock(&access->lock);
    if (answer.verdict != ACCESS_IN) {
        free_login(login);
        done(context, &answer);
    }
}
