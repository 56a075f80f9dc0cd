#include "sensor/pipeline/epoch_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void epoch_table_reset(struct epoch_table *table)
{
    table->count = 0;
    memset(table->slots, 0, sizeof(table->slots));
    memset(table->numbers, 0, sizeof(table->numbers));
    table->other_in = table->other_out = table->other_packets = 0;
}

/* The table is small and emptied every second, so the hash need not be secret. */
static uint32_t home_of(const struct epoch_key *key)
{
    const uint64_t mixed = (key->words[0] + key->kind) * UINT64_C(0x9e3779b97f4a7c15) ^
                           key->words[1] * UINT64_C(0xc2b2ae3d27d4eb4f);

    return (uint32_t)((mixed ^ mixed >> 29) * UINT64_C(0xbf58476d1ce4e5b9) >> 32) %
           EPOCH_TABLE_SLOT;
}

static bool is_of(const struct epoch_entry *entry, const struct epoch_key *key)
{
    return entry->key.words[0] == key->words[0] && entry->key.words[1] == key->words[1] &&
           entry->key.kind == key->kind;
}

struct epoch_entry *epoch_table_entry(struct epoch_table *table, const struct epoch_key *key)
{
    uint32_t slot = home_of(key);

    while (table->slots[slot] != 0) {
        struct epoch_entry *entry = &table->entries[table->slots[slot] - 1];

        if (is_of(entry, key)) {
            return entry;
        }
        slot = (slot + 1) % EPOCH_TABLE_SLOT;
    }
    if (table->count == EPOCH_TABLE_MAX) {
        return NULL;
    }
    struct epoch_entry *entry = &table->entries[table->count++];

    table->slots[slot] = (uint16_t)table->count;
    entry->key = *key;
    entry->bytes_in = entry->bytes_out = entry->packets = 0;
    entry->text[0] = '\0';
    return entry;
}

void epoch_entry_name(struct epoch_entry *entry, const char *text, uint32_t length)
{
    if (length > sizeof(entry->text) - 1) {
        length = sizeof(entry->text) - 1;
    }
    memcpy(entry->text, text, length);
    entry->text[length] = '\0';
}

void epoch_table_merge(struct epoch_table *into, const struct epoch_table *from)
{
    for (uint32_t i = 0; i < from->count; i++) {
        const struct epoch_entry *entry = &from->entries[i];
        struct epoch_entry *own = epoch_table_entry(into, &entry->key);

        if (own != NULL && own->text[0] == '\0') {
            memcpy(own->text, entry->text, sizeof(own->text));
        }
        epoch_table_add(into, own, entry->bytes_in, entry->bytes_out, entry->packets);
    }
    into->other_in += from->other_in;
    into->other_out += from->other_out;
    into->other_packets += from->other_packets;
}

/* Indexes of entries: larger first; equal ones by text, so that the order does not depend on the
 * shards. */
static int larger_entry(const void *a, const void *b, void *context)
{
    const struct epoch_table *table = context;
    const struct epoch_entry *left = &table->entries[*(const uint16_t *)a];
    const struct epoch_entry *right = &table->entries[*(const uint16_t *)b];
    const uint64_t left_bytes = left->bytes_in + left->bytes_out;
    const uint64_t right_bytes = right->bytes_in + right->bytes_out;

    if (left_bytes != right_bytes) {
        return left_bytes > right_bytes ? -1 : 1;
    }
    return strcmp(left->text, right->text);
}

void epoch_table_top(struct epoch_table *table, struct stats_top_list *out)
{
    uint16_t sorted[EPOCH_TABLE_MAX];
    struct stats_named_rate other = {.key = {"other", 5},
                                     .bytes_in = table->other_in,
                                     .bytes_out = table->other_out,
                                     .packets = table->other_packets};

    for (uint32_t i = 0; i < table->count; i++) {
        sorted[i] = (uint16_t)i;
    }
    if (table->count > 0) {
        qsort_r(sorted, table->count, sizeof(sorted[0]), larger_entry, table);
    }
    out->count = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct epoch_entry *entry = &table->entries[sorted[i]];

        if (out->count < STATS_TOP_MAX - 1) {
            out->items[out->count++] =
                (struct stats_named_rate){.key = {entry->text, (uint32_t)strlen(entry->text)},
                                          .bytes_in = entry->bytes_in,
                                          .bytes_out = entry->bytes_out,
                                          .packets = entry->packets};
        } else {
            other.bytes_in += entry->bytes_in;
            other.bytes_out += entry->bytes_out;
            other.packets += entry->packets;
        }
    }
    if (other.packets > 0) {
        out->items[out->count++] = other;
    }
}
