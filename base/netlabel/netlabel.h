/* Labels of addresses: what an operator calls networks, and what MaxMind DB files (GeoLite2, DB-IP,
 * IPinfo) know of addresses.
 *
 * A line names a prefix and its labels: `10.20.0.0/16 site=berlin role=office`. All prefixes that
 * hold an address give it their labels, a longer one's stand in place of a shorter one's of the
 * same key, and both in place of a database's, whose keys are country (ISO 3166), city, asn
 * ("AS64500") and as_org.
 *
 * A line of names is one of a hosts file: `10.20.0.5 printer`, with a prefix in place of the
 * address where a whole network has one name. Of all that hold an address the longest prefix
 * counts. Depends on: base, libmaxminddb. Threads: constant once made; a netlabel_set is its
 * caller's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/error.h"

#define NETLABEL_MAX         12 /* of one address */
#define NETLABEL_KEY_BYTES   32
#define NETLABEL_VALUE_BYTES 64
#define NETLABEL_NAME_BYTES  100
#define NETLABEL_DATABASES   8

struct netlabel_settings {
    const char *const *lines;
    uint32_t lines_count;
    const char *file;         /* of the same lines, with comments behind '#'; empty or NULL: none */
    const char *const *names; /* lines of names */
    uint32_t names_count;
    const char *names_file;       /* of such lines; empty or NULL: none */
    const char *const *databases; /* .mmdb */
    uint32_t databases_count;     /* NETLABEL_DATABASES at most */
    uint32_t prefixes_max;        /* with labels or a name */
};

struct netlabel { /* no NULs behind them; they live as long as the labels */
    const char *key, *value;
    uint8_t key_length, value_length;
};

struct netlabel_set {
    struct netlabel items[NETLABEL_MAX];
    uint32_t count;
    uint32_t omitted; /* for which there was no room */
    char number[16];  /* the text of an AS number */
    const char *name; /* as a label's value; NULL: none */
    uint8_t name_length;
    bool name_is_own; /* of the address alone, not of its network */
};

struct netlabels;

/* NULL with `err`, which names the line, the file or the database and what is wrong with it. */
MUST_USE struct netlabels *netlabels_new(const struct netlabel_settings *settings,
                                         struct error *err);
void netlabels_free(struct netlabels *labels); /* NULL is allowed */
DEFINE_AUTO(netlabels, netlabels_free);

/* Values are UTF-8 without control characters. */
void netlabels_find(const struct netlabels *labels, const struct ip_address *address,
                    struct netlabel_set *out);

/* False: there are neither prefixes nor databases. What has a name counts as a prefix. */
bool netlabels_has_any(const struct netlabels *labels);
uint32_t netlabels_prefixes(const struct netlabels *labels);
