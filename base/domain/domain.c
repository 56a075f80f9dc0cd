#include "base/domain/domain.h"

#include <libpsl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/ascii.h"
#include "base/hash.h"

/* Answers given lately in this thread: a resolver's clients ask for the same names over and over,
 * and the list is searched for each of a name's ends. */
#define MEMORIES   64
#define NONE       UINT32_MAX
#define LABELS_MAX 7

struct memory {
    uint32_t at;     /* where the registered domain begins */
    uint32_t length; /* of the name; 0: nothing is kept here */
    char name[DOMAIN_NAME_MAX + 1];
};

/* The same of ends of names: whether one is a public suffix. A word each: that and the rest of the
 * end's hash. A resolver's clients ask for thousands of domains in a minute; as text they would
 * push everything else out of the caches. */
#define ENDS_MAX      8192
#define END_IS_SUFFIX UINT64_C(1)

struct ends {
    bool is_keyed;
    struct hash_key key; /* so that nobody can make two ends that have one hash */
    uint64_t known[ENDS_MAX];
};

/* Who aims at it gains a search, no more. */
static uint32_t hash_of(const char *text, size_t length)
{
    const uint64_t hash = hash_fnv1a(HASH_FNV1A_START, text, length);

    return (uint32_t)(hash >> 32 ^ hash);
}

/* Of an end of a name: names are many, what they end in are few. */
static bool is_suffix(const char *text, size_t length)
{
    static _Thread_local struct ends ends;

    if (!ends.is_keyed) {
        ends.key = hash_key_random();
        ends.is_keyed = true;
    }
    const uint64_t hash = hash_bytes(ends.key, text, length);
    uint64_t *known = &ends.known[hash >> 32 & (ENDS_MAX - 1)];

    if ((*known | END_IS_SUFFIX) != (hash | END_IS_SUFFIX)) {
        const bool is_suffix = psl_is_public_suffix(psl_builtin(), text) != 0;

        *known = (hash & ~END_IS_SUFFIX) | (is_suffix ? END_IS_SUFFIX : 0);
    }
    return (*known & END_IS_SUFFIX) != 0;
}

/* libpsl's walk, for names of few labels, none of which is empty: the longest end that is a public
 * suffix, and one label more. The whole is taken for none. */
static uint32_t walk(const char *text, size_t length)
{
    uint32_t registered = NONE;
    const char *at = text;

    for (;;) {
        const char *dot = memchr(at, '.', length - (size_t)(at - text));

        if (dot == NULL) {
            return registered;
        }
        registered = (uint32_t)(at - text);
        at = dot + 1;
        if (is_suffix(at, length - (size_t)(at - text))) {
            return registered;
        }
    }
}

/* No empty label, and so few that libpsl looks at all. */
static bool is_plain(const char *text, size_t length)
{
    uint32_t dots = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.') {
            dots++;
            if (i == 0 || text[i - 1] == '.') {
                return false;
            }
        }
    }
    return length > 0 && text[length - 1] != '.' && dots < LABELS_MAX;
}

static uint32_t search(const char *text, size_t length)
{
    if (is_plain(text, length)) {
        return psl_is_public_suffix(psl_builtin(), text) != 0 ? NONE : walk(text, length);
    }
    const char *registered = psl_registrable_domain(psl_builtin(), text);

    return registered != NULL ? (uint32_t)(registered - text) : NONE;
}

static uint32_t registered_at(const char *text, size_t length)
{
    static _Thread_local struct memory memories[MEMORIES];
    struct memory *memory = &memories[hash_of(text, length) % MEMORIES];

    if (length == 0 || memory->length != length || memcmp(memory->name, text, length) != 0) {
        memory->at = search(text, length);
        memory->length = (uint32_t)length;
        memcpy(memory->name, text, length);
    }
    return memory->at;
}

/* `text`: the name's end as libpsl wants it. Returns how many bytes were left out in front. */
static size_t lower(char text[DOMAIN_NAME_MAX + 1], const char *name, size_t length)
{
    const size_t skipped = length > DOMAIN_NAME_MAX ? length - DOMAIN_NAME_MAX : 0;
    const size_t kept = length - skipped;

    for (size_t i = 0; i < kept; i++) {
        /* An embedded NUL would end the name early. */
        text[i] = ascii_lower(name[skipped + i]);
        if (text[i] == '\0') {
            text[i] = '_';
        }
    }
    text[kept] = '\0';
    return skipped;
}

size_t domain_registered(const char *name, size_t length)
{
    char text[DOMAIN_NAME_MAX + 1];
    const size_t skipped = lower(text, name, length);
    const uint32_t registered = registered_at(text, length - skipped);

    return registered != NONE ? skipped + registered : 0;
}

size_t domain_registered_of_host(const char *name, size_t length)
{
    char text[DOMAIN_NAME_MAX + 1];
    const size_t skipped = lower(text, name, length);

    if (!is_plain(text, length - skipped)) {
        return domain_registered(name, length);
    }
    const uint32_t registered = walk(text, length - skipped);

    return registered != NONE ? skipped + registered : 0;
}
