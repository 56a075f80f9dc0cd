#include "collector-ui/access/sessions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

int sessions_init(struct sessions *sessions, uint32_t max, uint64_t idle_ns, uint64_t absolute_ns,
                  struct error *err)
{
    *sessions = (struct sessions){.max = max, .idle_ns = idle_ns, .absolute_ns = absolute_ns};
    sessions->list = calloc(max, sizeof(*sessions->list));
    return sessions->list == NULL ? error_set(err, ENOMEM, "web.auth: no memory") : 0;
}

void sessions_fini(struct sessions *sessions)
{
    free(sessions->list);
    sessions->list = NULL;
}

static bool is_over(const struct sessions *sessions, const struct session *session, uint64_t now_ns)
{
    return session->id == 0 || now_ns - session->made_ns >= sessions->absolute_ns ||
           now_ns - session->used_ns >= sessions->idle_ns;
}

static void end(struct session *session)
{
    OPENSSL_cleanse(session, sizeof(*session));
}

int sessions_add(struct sessions *sessions, const struct session *of, uint64_t now_ns,
                 char secret[SESSION_SECRET_BYTES], struct error *err)
{
    struct session *place = &sessions->list[0];
    char unused[PASSWORD_HASH_BYTES];
    uint64_t id = 0;

    for (uint32_t i = 0; i < sessions->max && !is_over(sessions, place, now_ns); i++) {
        struct session *other = &sessions->list[i];

        if (is_over(sessions, other, now_ns) || other->used_ns < place->used_ns) {
            place = other;
        }
    }
    if (password_new_token(secret, unused, err) != 0) {
        return -err->code;
    }
    if (RAND_bytes((unsigned char *)&id, sizeof(id)) != 1) {
        return error_set(err, EIO, "no random bytes for a session");
    }
    sessions->evicted += is_over(sessions, place, now_ns) ? 0 : 1;
    *place = *of;
    place->id = id | 1;
    place->made_ns = now_ns;
    place->used_ns = now_ns;
    password_digest(secret, place->digest);
    return 0;
}

static const struct session *use(struct sessions *sessions, struct session *session,
                                 uint64_t now_ns)
{
    if (session == NULL) {
        return NULL;
    }
    if (is_over(sessions, session, now_ns)) {
        end(session);
        return NULL;
    }
    session->used_ns = now_ns;
    return session;
}

/* All are compared: which one it is does not show. */
static struct session *find(struct sessions *sessions, const char *secret)
{
    struct session *found = NULL;
    uint8_t digest[32];

    password_digest(secret, digest);
    for (uint32_t i = 0; i < sessions->max; i++) {
        struct session *session = &sessions->list[i];

        found = session->id != 0 && CRYPTO_memcmp(session->digest, digest, sizeof(digest)) == 0
                    ? session
                    : found;
    }
    return found;
}

const struct session *sessions_use(struct sessions *sessions, const char *secret, uint64_t now_ns)
{
    return use(sessions, find(sessions, secret), now_ns);
}

const struct session *sessions_use_id(struct sessions *sessions, uint64_t id, uint64_t now_ns)
{
    for (uint32_t i = 0; id != 0 && i < sessions->max; i++) {
        if (sessions->list[i].id == id) {
            return use(sessions, &sessions->list[i], now_ns);
        }
    }
    return NULL;
}

bool sessions_drop(struct sessions *sessions, const char *secret)
{
    struct session *session = find(sessions, secret);

    if (session != NULL) {
        end(session);
    }
    return session != NULL;
}

uint32_t sessions_keep(struct sessions *sessions, bool (*is_good)(void *context, uint64_t line),
                       void *context)
{
    uint32_t ended = 0;

    for (uint32_t i = 0; i < sessions->max; i++) {
        if (sessions->list[i].id != 0 && !is_good(context, sessions->list[i].line)) {
            end(&sessions->list[i]);
            ended++;
        }
    }
    return ended;
}

uint32_t sessions_count(const struct sessions *sessions, uint64_t now_ns)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < sessions->max; i++) {
        count += is_over(sessions, &sessions->list[i], now_ns) ? 0 : 1;
    }
    return count;
}
