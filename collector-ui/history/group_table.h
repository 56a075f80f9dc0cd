/* Keys of groups, each with a number from 0 on: bounded in count and bytes.
 *
 * Keys come from the wire, so they are hashed under a random key. Depends on: base. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/hash.h"

#define GROUP_NONE UINT32_MAX

struct group_table {
    struct hash_key seed;
    uint32_t *slots; /* number + 1; more than twice `max`, a power of two */
    struct group_key *keys;
    char *bytes;
    size_t bytes_used, bytes_room, bytes_max;
    uint32_t slots_count, count, room, max;
};

/* False: no memory. group_table_fini is due in both cases. */
MUST_USE bool group_table_init(struct group_table *table, uint32_t max, size_t bytes_max);
void group_table_fini(struct group_table *table);
/* The number of a key, made if new. GROUP_NONE: no room for one more. */
uint32_t group_table_find(struct group_table *table, const char *key, size_t length);
/* The number of a key; GROUP_NONE: there is none. */
uint32_t group_table_known(const struct group_table *table, const char *key, size_t length);
/* Borrowed until the next find. */
const char *group_table_key(const struct group_table *table, uint32_t number, size_t *length);
