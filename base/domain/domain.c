#include "base/domain/domain.h"

#include <libpsl.h>
#include <stdint.h>
#include <string.h>

#include "base/ascii.h"

/* Answers given lately in this thread: a resolver's clients ask for the same names over and over,
 * and the list is searched for each of a name's ends. */
#define MEMORIES 64
#define NONE     UINT32_MAX

struct memory {
    uint32_t at;     /* where the registered domain begins */
    uint32_t length; /* of the name; 0: nothing is kept here */
    char name[DOMAIN_NAME_MAX + 1];
};

static uint32_t search(const char *text)
{
    const char *registered = psl_registrable_domain(psl_builtin(), text);

    return registered != NULL ? (uint32_t)(registered - text) : NONE;
}

static uint32_t registered_at(const char *text, size_t length)
{
    static _Thread_local struct memory memories[MEMORIES];
    uint32_t hash = UINT32_C(2166136261); /* FNV-1a: who aims at it gains a search, no more */

    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (uint8_t)text[i]) * UINT32_C(16777619);
    }
    struct memory *memory = &memories[(hash >> 16 ^ hash) % MEMORIES];

    if (length == 0 || memory->length != length || memcmp(memory->name, text, length) != 0) {
        memory->at = search(text);
        memory->length = (uint32_t)length;
        memcpy(memory->name, text, length);
    }
    return memory->at;
}

size_t domain_registered(const char *name, size_t length)
{
    char text[DOMAIN_NAME_MAX + 1];
    const size_t skipped = length > DOMAIN_NAME_MAX ? length - DOMAIN_NAME_MAX : 0;
    size_t kept = length - skipped;

    for (size_t i = 0; i < kept; i++) {
        /* An embedded NUL would end the name early. */
        text[i] = ascii_lower(name[skipped + i]);
        if (text[i] == '\0') {
            text[i] = '_';
        }
    }
    text[kept] = '\0';
    const uint32_t registered = registered_at(text, kept);

    return registered != NONE ? skipped + registered : 0;
}
