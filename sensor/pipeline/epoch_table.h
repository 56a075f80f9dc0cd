/* Sums by a key of two words and a kind, with the key's text: those of one dimension in one second.
 *
 * Keys that find no room go into "other", and sums of keys that came late are lower bounds: how far
 * below the truth they may lie is kept beside them. A key has one text in all seconds and shards;
 * it is written when the key comes for the first time, so that most additions make none. Depends
 * on: base, proto. Threads: owned by whoever holds it. */
#pragma once

#include <stdint.h>

#include "proto/record.h"

#define EPOCH_TEXT_BYTES  48
#define EPOCH_TABLE_MAX   1024
#define EPOCH_BUCKET_TAGS 7 /* with what passed it, a bucket's tags are compared at once */
#define EPOCH_BUCKETS     (EPOCH_TABLE_MAX / 4)
#define EPOCH_NUMBERS     256 /* keys that are small numbers are found without a search */

/* Behind this many keys a small sum gets a key of its own by chance alone: a flood of them must not
 * push the others out. */
#define EPOCH_TABLE_ALL   (EPOCH_TABLE_MAX / 2)
#define EPOCH_SMALL_BYTES 2048
/* What a key may have had before the draw fell on it: more has a chance of e^-8, 1 in 3000. */
#define EPOCH_UNDRAWN_BYTES (UINT64_C(8) * EPOCH_SMALL_BYTES)

struct epoch_key {
    uint64_t words[2];
    uint32_t kind; /* what the words are, where a table has several */
};

struct epoch_entry {
    struct epoch_key key;
    uint64_t bytes_in, bytes_out, packets;
    uint64_t missing;            /* bytes of it that may have gone to "other", at most */
    char text[EPOCH_TEXT_BYTES]; /* NUL at the end; empty: the key is new */
};

struct epoch_bucket {
    uint16_t tags[EPOCH_BUCKET_TAGS]; /* of the keys' hashes; 0: free */
    uint16_t passed; /* keys that stand in a later bucket since this one was full */
    uint16_t indexes[EPOCH_BUCKET_TAGS + 1]; /* of the entries */
};

struct epoch_table {
    _Alignas(16) struct epoch_bucket buckets[EPOCH_BUCKETS];
    uint32_t count;
    uint16_t numbers[EPOCH_NUMBERS]; /* 1 + index of a key that is this number alone; 0: none */
    struct epoch_entry entries[EPOCH_TABLE_MAX];
    uint64_t other_in, other_out, other_packets;
    uint64_t gone_max; /* the most bytes that a key may have had that made room for another */
    uint64_t draw;
    uint32_t next_room; /* where the next key that makes room is looked for */
};

void epoch_table_reset(struct epoch_table *table);
/* The key's entry, made where there is none: then the caller writes its text, or has
 * epoch_entry_name do it. NULL: there is no room, and it counts as other. */
struct epoch_entry *epoch_table_entry(struct epoch_table *table, const struct epoch_key *key);
/* The same of a key that is to get `bytes` and of which there are many. Where the table is full the
 * lightest of eight makes room; of keys with little, one of EPOCH_SMALL_BYTES / `bytes` comes in
 * once there are EPOCH_TABLE_ALL (sample and hold, Estan and Varghese 2002). NULL: not this time.
 * What comes after a key has come in is counted in full. */
struct epoch_entry *epoch_table_entry_of_many(struct epoch_table *table,
                                              const struct epoch_key *key, uint64_t bytes);
/* As epoch_table_entry, of the key {.words = {number}}, which is asked for again and again. */
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
/* Where both have more keys than there is room for, the heaviest stay. */
void epoch_table_merge(struct epoch_table *into, const struct epoch_table *from);
/* Bytes that a key without an entry may have had at most; 0: all keys have one. */
uint64_t epoch_table_unseen_max(const struct epoch_table *table);
/* The largest by bytes and, last, "other" where something is left. Texts are borrowed from the
 * table. */
void epoch_table_top(struct epoch_table *table, struct stats_top_list *out);
