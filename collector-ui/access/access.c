#include "collector-ui/access/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/key_file.h"
#include "base/log.h"
#include "collector-ui/access/access_private.h"

/* ---- the file ---- */

static bool has_file(const struct access *access)
{
    return access->settings.users_file != NULL && access->settings.users_file[0] != '\0';
}

struct user_line *access_find(struct access *access, const char *name)
{
    struct user_line *line = user_file_find(&access->users, name);

    return line != NULL && !line->is_token ? line : NULL;
}

static bool has_line(void *context, uint64_t print)
{
    const struct access *access = context;

    if (print == ACCESS_OWNER_LINE) {
        return true;
    }
    for (uint32_t i = 0; i < access->users.count; i++) {
        if (access->users.lines[i].print == print) {
            return true;
        }
    }
    return false;
}

/* The file is read without the lock; who it is that asks meanwhile is known by the lines before. */
static int read_users(struct access *access, struct error *err)
{
    struct user_file *fresh = malloc(sizeof(*fresh));
    struct stat status = {0};

    if (fresh == NULL) {
        return error_set(err, ENOMEM, "web.auth.users_file: no memory");
    }
    (void)stat(access->settings.users_file, &status); /* before: what comes later is seen later */
    const int result = user_file_read(access->settings.users_file, fresh, err);

    (void)pthread_mutex_lock(&access->lock);
    access->seen = status;
    if (result == 0) {
        access->users = *fresh;
        const uint32_t ended = sessions_keep(&access->sessions, has_line, access);

        access->counts.revoked += ended;
        if (access->is_started) {
            log_note("access", "users were read again", "lines=%u sessions_ended=%u", fresh->count,
                     ended);
        }
    }
    (void)pthread_mutex_unlock(&access->lock);
    explicit_bzero(fresh, sizeof(*fresh));
    free(fresh);
    return result;
}

int access_reload(struct access *access, struct error *err)
{
    return has_file(access) ? read_users(access, err) : 0;
}

void access_refresh(struct access *access)
{
    struct error err = {0};
    struct stat now;
    char quoted[512];

    if (!has_file(access)) {
        return;
    }
    const uint64_t now_ns = access_now(access);

    (void)pthread_mutex_lock(&access->lock);
    const bool is_due = now_ns >= access->look_ns;
    const struct stat seen = access->seen;

    access->look_ns = is_due ? now_ns + NS_PER_SEC : access->look_ns;
    (void)pthread_mutex_unlock(&access->lock);
    if (!is_due || stat(access->settings.users_file, &now) != 0 ||
        key_file_is_unchanged(&seen, &now)) {
        return;
    }
    if (read_users(access, &err) != 0) {
        log_warn("access", "the users before stay", "reason=%s",
                 log_quote(err.message, quoted, sizeof(quoted)));
    }
}

/* ---- life ---- */

static int start_thread(struct access *access, struct error *err)
{
    const int code = pthread_create(&access->thread, NULL, access_hash_main, access);

    access->is_started = code == 0;
    return code == 0 ? 0 : error_set(err, code, "web.auth: thread: %s", strerror(code));
}

struct access *access_new(const struct access_settings *settings, struct error *err)
{
    struct access *access = calloc(1, sizeof(*access));

    if (access == NULL) {
        (void)error_set(err, ENOMEM, "web.auth: no memory");
        return NULL;
    }
    access->settings = *settings;
    access->clock = settings->clock != NULL ? settings->clock : &clock_system;
    access->key = hash_key_random();
    access->attempts.burst = settings->attempts;
    access->attempts.interval_ns = settings->interval_ns;
    (void)pthread_mutex_init(&access->lock, NULL);
    (void)pthread_cond_init(&access->wake, NULL);
    if (sessions_init(&access->sessions, (uint32_t)settings->sessions_max, settings->idle_ns,
                      settings->absolute_ns, err) != 0 ||
        access_reload(access, err) != 0 || start_thread(access, err) != 0) {
        access_free(access);
        return NULL;
    }
    return access;
}

void access_free(struct access *access)
{
    if (access == NULL) {
        return;
    }
    if (access->is_started) {
        (void)pthread_mutex_lock(&access->lock);
        access->is_stopping = true;
        (void)pthread_cond_broadcast(&access->wake);
        (void)pthread_mutex_unlock(&access->lock);
        (void)pthread_join(access->thread, NULL);
    }
    sessions_fini(&access->sessions);
    (void)pthread_cond_destroy(&access->wake);
    (void)pthread_mutex_destroy(&access->lock);
    explicit_bzero(access, sizeof(*access));
    free(access);
}

/* ---- who it is ---- */

static void describe(const struct session *session, struct access_caller *out)
{
    *out = (struct access_caller){
        .by = ACCESS_SESSION, .rights = session->rights, .proof = session->id};
    (void)snprintf(out->who, sizeof(out->who), "%s", session->name);
}

bool access_by_session(struct access *access, const char *secret, struct access_caller *out)
{
    access_refresh(access);
    (void)pthread_mutex_lock(&access->lock);
    const struct session *session = sessions_use(&access->sessions, secret, access_now(access));

    if (session != NULL) {
        describe(session, out);
    }
    (void)pthread_mutex_unlock(&access->lock);
    return session != NULL;
}

/* All tokens are compared: which one it is does not show. */
static const struct user_line *find_token(const struct access *access, const uint8_t digest[32])
{
    const struct user_line *found = NULL;

    for (uint32_t i = 0; i < access->users.count; i++) {
        const struct user_line *line = &access->users.lines[i];

        found = line->is_token && password_token_fits(line->hash, digest) ? line : found;
    }
    return found;
}

bool access_by_token(struct access *access, const char *token, struct access_caller *out)
{
    uint8_t digest[32], own[32] = {0};

    access_refresh(access);
    password_digest(token, digest);
    if (access->settings.token != NULL) {
        password_digest(access->settings.token, own);
        if (CRYPTO_memcmp(own, digest, sizeof(own)) == 0) {
            *out = (struct access_caller){.by = ACCESS_TOKEN, .who = "token", .rights = RIGHT_ALL};
            return true;
        }
    }
    (void)pthread_mutex_lock(&access->lock);
    const struct user_line *line = find_token(access, digest);

    if (line != NULL) {
        *out = (struct access_caller){
            .by = ACCESS_TOKEN, .rights = line->role->rights, .proof = line->print};
        (void)snprintf(out->who, sizeof(out->who), "%s", line->name);
    }
    (void)pthread_mutex_unlock(&access->lock);
    return line != NULL;
}

bool access_holds(struct access *access, uint64_t proof)
{
    access_refresh(access);
    (void)pthread_mutex_lock(&access->lock);
    const bool is_good = proof == 0 ||
                         sessions_use_id(&access->sessions, proof, access_now(access)) != NULL ||
                         (proof != ACCESS_OWNER_LINE && has_line(access, proof));

    (void)pthread_mutex_unlock(&access->lock);
    return is_good;
}

bool access_logout(struct access *access, const char *secret, struct access_caller *out)
{
    (void)pthread_mutex_lock(&access->lock);
    const struct session *session = sessions_use(&access->sessions, secret, access_now(access));

    if (session != NULL) {
        describe(session, out);
        (void)sessions_drop(&access->sessions, secret);
        access->counts.logouts++;
    }
    (void)pthread_mutex_unlock(&access->lock);
    return session != NULL;
}

void access_counts_read(struct access *access, struct access_counts *out)
{
    (void)pthread_mutex_lock(&access->lock);
    *out = access->counts;
    out->evicted = access->sessions.evicted;
    out->sessions = sessions_count(&access->sessions, access_now(access));
    for (uint32_t i = 0; i < access->users.count; i++) {
        out->tokens += access->users.lines[i].is_token ? 1 : 0;
        out->users += access->users.lines[i].is_token ? 0 : 1;
    }
    out->users += access->settings.password != NULL ? 1 : 0;
    (void)pthread_mutex_unlock(&access->lock);
}
