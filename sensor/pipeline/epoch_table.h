/* Sums by a key of two words and a kind, with the key's text: those of one dimension in one second.
 *
 * Keys that find no room go into "other". A key has one text in all seconds and shards; it is
 * written when the key comes for the first time, so that most additions make none. Depends on:
 * base, proto. Threads: owned by whoever holds it. */
#pragma once

#include <stdint.h>

#include "proto/record.h"

#define EPOCH_TEXT_BYTES 48
#define EPOCH_TABLE_MAX  1024
#define EPOCH_TABLE_SLOT 2048
#define EPOCH_NUMBERS    256 /* keys that are small numbers are found without a search */

struct epoch_key {
    uint64_t words[2];
    uint32_t kind; /* what the words are, where a table has several */
};

struct epoch_entry {
    struct epoch_key key;
    uint64_t bytes_in, bytes_out, packets;
    char text[EPOCH_TEXT_BYTES]; /* NUL at the end; empty: the key is new */
};

struct epoch_table {
    uint32_t count;
    uint16_t slots[EPOCH_TABLE_SLOT]; /* 1 + index of an entry; 0 = free */
    uint16_t numbers[EPOCH_NUMBERS];  /* likewise, of a key that is this number alone */
    struct epoch_entry entries[EPOCH_TABLE_MAX];
    uint64_t other_in, other_out, other_packets;
};

void epoch_table_reset(struct epoch_table *table);
/* The key's entry, made where there is none: then the caller writes its text, or has
 * epoch_entry_name do it. NULL: there is no room, and it counts as other. */
struct epoch_entry *epoch_table_entry(struct epoch_table *table, const struct epoch_key *key);
/* The same of the key {.words = {number}}, which is asked for again and again. */
static inline struct epoch_entry *epoch_table_number(struct epoch_table *table, uint32_t number)
{
    if (number < EPOCH_NUMBERS && table->numbers[number] != 0) {
        return &table->entries[table->numbers[number] - 1];
    }
    const struct epoch_key key = {.words = {number}};
    struct epoch_entry *entry = epoch_table_entry(table, &key);

    if (entry != NULL && number < EPOCH_NUMBERS) {
        table->numbers[number] = (uint16_t)(entry - table->entries + 1);
    }
    return entry;
}
/* A text longer than EPOCH_TEXT_BYTES - 1 is cut. */
void epoch_entry_name(struct epoch_entry *entry, const char *text, uint32_t length);
/* `entry` NULL: other. */
static inline void epoch_table_add(struct epoch_table *table, struct epoch_entry *entry,
                                   uint64_t bytes_in, uint64_t bytes_out, uint64_t packets)
{
    *(entry != NULL ? &entry->bytes_in : &table->other_in) += bytes_in;
    *(entry != NULL ? &entry->bytes_out : &table->other_out) += bytes_out;
    *(entry != NULL ? &entry->packets : &table->other_packets) += packets;
}
void epoch_table_merge(struct epoch_table *into, const struct epoch_table *from);
/* The largest by bytes and, last, "other" where something is left. Texts are borrowed from the
 * table. */
void epoch_table_top(struct epoch_table *table, struct stats_top_list *out);
