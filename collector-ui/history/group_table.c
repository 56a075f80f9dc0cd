#include "collector-ui/history/group_table.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST  256u
#define BYTES_FIRST 16384u

struct group_key {
    uint64_t hash;
    size_t offset;
    uint32_t length;
};

bool group_table_init(struct group_table *table, uint32_t max, size_t bytes_max)
{
    uint32_t slots = 2;

    while (slots < UINT32_C(1) << 30 && slots < max * UINT64_C(2)) {
        slots *= 2;
    }
    *table = (struct group_table){.seed = hash_key_random(),
                                  .slots = calloc(slots, sizeof(*table->slots)),
                                  .slots_count = slots,
                                  .max = max,
                                  .bytes_max = bytes_max};
    return table->slots != NULL;
}

void group_table_fini(struct group_table *table)
{
    free(table->slots);
    free(table->keys);
    free(table->bytes);
}

static bool grow(struct group_table *table, size_t length)
{
    if (table->count == table->room) {
        const uint32_t room = table->room == 0 ? ROOM_FIRST : table->room * 2;
        struct group_key *const keys = realloc(table->keys, room * sizeof(*keys));

        if (keys == NULL) {
            return false;
        }
        table->keys = keys;
        table->room = room;
    }
    if (table->bytes_used + length > table->bytes_room) {
        size_t room = table->bytes_room == 0 ? BYTES_FIRST : table->bytes_room * 2;

        room = room < table->bytes_used + length ? table->bytes_used + length : room;
        char *const bytes = realloc(table->bytes, room);

        if (bytes == NULL) {
            return false;
        }
        table->bytes = bytes;
        table->bytes_room = room;
    }
    return true;
}

/* The slot of a key, or the empty one where it belongs. */
static uint32_t find_slot(const struct group_table *table, uint64_t hash, const char *key,
                          size_t length)
{
    uint32_t at = (uint32_t)hash & (table->slots_count - 1);

    for (; table->slots[at] != 0; at = (at + 1) & (table->slots_count - 1)) {
        const struct group_key *const one = &table->keys[table->slots[at] - 1];

        if (one->hash == hash && one->length == length &&
            (length == 0 || memcmp(table->bytes + one->offset, key, length) == 0)) {
            break;
        }
    }
    return at;
}

uint32_t group_table_known(const struct group_table *table, const char *key, size_t length)
{
    const uint32_t at = find_slot(table, hash_bytes(table->seed, key, length), key, length);

    return table->slots[at] == 0 ? GROUP_NONE : table->slots[at] - 1;
}

uint32_t group_table_find(struct group_table *table, const char *key, size_t length)
{
    const uint64_t hash = hash_bytes(table->seed, key, length);
    const uint32_t at = find_slot(table, hash, key, length);

    if (table->slots[at] != 0) {
        return table->slots[at] - 1;
    }
    if (table->count == table->max || table->bytes_used + length > table->bytes_max ||
        !grow(table, length)) {
        return GROUP_NONE;
    }
    if (length > 0) {
        memcpy(table->bytes + table->bytes_used, key, length);
    }
    table->keys[table->count] =
        (struct group_key){.hash = hash, .offset = table->bytes_used, .length = (uint32_t)length};
    table->bytes_used += length;
    table->slots[at] = ++table->count;
    return table->count - 1;
}

const char *group_table_key(const struct group_table *table, uint32_t number, size_t *length)
{
    *length = table->keys[number].length;
    return table->bytes + table->keys[number].offset;
}
