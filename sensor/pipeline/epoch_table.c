#include "sensor/pipeline/epoch_table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/attributes.h"

#define CANDIDATES 8 /* of which the lightest makes room */

void epoch_table_reset(struct epoch_table *table)
{
    table->count = 0;
    memset(table->buckets, 0, sizeof(table->buckets));
    memset(table->numbers, 0, sizeof(table->numbers));
    table->other_in = table->other_out = table->other_packets = 0;
    table->gone_max = 0;
    table->draw = 0;
    table->next_room = 0;
}

/* The table is small and emptied every second, so the hash need not be secret. */
static uint64_t hash_of(const struct epoch_key *key)
{
    const uint64_t mixed = (key->words[0] + key->kind) * UINT64_C(0x9e3779b97f4a7c15) ^
                           key->words[1] * UINT64_C(0xc2b2ae3d27d4eb4f);

    return (mixed ^ mixed >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

static uint32_t home_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32) % EPOCH_BUCKETS;
}

static uint16_t tag_of(uint64_t hash)
{
    return (uint16_t)(hash >> 48 | 1);
}

/* Bit n: tags[n] is `tag`. */
static unsigned match(const struct epoch_bucket *bucket, uint16_t tag)
{
#ifdef __SSE2__
    const __m128i tags = _mm_load_si128((const __m128i *)(const void *)bucket->tags);
    const __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));

    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())) &
           ((1U << EPOCH_BUCKET_TAGS) - 1);
#else
    unsigned mask = 0;

    for (unsigned i = 0; i < EPOCH_BUCKET_TAGS; i++) {
        mask |= (unsigned)(bucket->tags[i] == tag) << i;
    }
    return mask;
#endif
}

static bool is_of(const struct epoch_entry *entry, const struct epoch_key *key)
{
    return entry->key.words[0] == key->words[0] && entry->key.words[1] == key->words[1] &&
           entry->key.kind == key->kind;
}

static ALWAYS_INLINE struct epoch_entry *find(struct epoch_table *table,
                                              const struct epoch_key *key, uint64_t hash)
{
    const uint32_t home = home_of(hash);

    for (uint32_t i = 0; i < EPOCH_BUCKETS; i++) { /* chosen keys can make each one be passed */
        const struct epoch_bucket *bucket = &table->buckets[(home + i) % EPOCH_BUCKETS];

        for (unsigned left = match(bucket, tag_of(hash)); left != 0; left &= left - 1) {
            struct epoch_entry *entry = &table->entries[bucket->indexes[__builtin_ctz(left)]];

            if (LIKELY(is_of(entry, key))) {
                return entry;
            }
        }
        if (LIKELY(bucket->passed == 0)) {
            break;
        }
    }
    return NULL;
}

/* There is room: more places than entries. */
static void put_index(struct epoch_table *table, uint64_t hash, uint32_t index)
{
    for (uint32_t at = home_of(hash);; at = (at + 1) % EPOCH_BUCKETS) {
        struct epoch_bucket *bucket = &table->buckets[at];
        const unsigned empty = match(bucket, 0);

        if (empty != 0) {
            const unsigned place = (unsigned)__builtin_ctz(empty);

            bucket->tags[place] = tag_of(hash);
            bucket->indexes[place] = (uint16_t)index;
            return;
        }
        bucket->passed++;
    }
}

static void remove_index(struct epoch_table *table, uint64_t hash, uint32_t index)
{
    for (uint32_t at = home_of(hash);; at = (at + 1) % EPOCH_BUCKETS) {
        struct epoch_bucket *bucket = &table->buckets[at];

        for (unsigned left = match(bucket, tag_of(hash)); left != 0; left &= left - 1) {
            const unsigned place = (unsigned)__builtin_ctz(left);

            if (bucket->indexes[place] == index) {
                bucket->tags[place] = 0;
                return;
            }
        }
        assert(bucket->passed > 0);
        bucket->passed--;
    }
}

static struct epoch_entry *begin_entry(struct epoch_table *table, uint32_t index,
                                       const struct epoch_key *key, uint64_t hash, uint64_t missing)
{
    struct epoch_entry *entry = &table->entries[index];

    put_index(table, hash, index);
    entry->key = *key;
    entry->bytes_in = entry->bytes_out = entry->packets = 0;
    entry->missing = missing;
    entry->text[0] = '\0';
    return entry;
}

struct epoch_entry *epoch_table_entry(struct epoch_table *table, const struct epoch_key *key)
{
    const uint64_t hash = hash_of(key);
    struct epoch_entry *entry = find(table, key, hash);

    if (entry == NULL && table->count < EPOCH_TABLE_MAX) {
        entry = begin_entry(table, table->count++, key, hash, 0);
    }
    return entry;
}

/* ---- more keys than there is room for ---- */

static uint64_t bytes_of(const struct epoch_entry *entry)
{
    return entry->bytes_in + entry->bytes_out;
}

uint64_t epoch_table_unseen_max(const struct epoch_table *table)
{
    const uint64_t other = table->other_in + table->other_out;
    const uint64_t most = table->gone_max + EPOCH_UNDRAWN_BYTES;

    return other < most ? other : most;
}

/* One of EPOCH_SMALL_BYTES / `bytes`, the same ones in each run. */
static bool is_drawn(struct epoch_table *table, uint64_t bytes)
{
    static_assert(EPOCH_SMALL_BYTES == 1 << 11, "the upper 11 bits are as many numbers");
    table->draw = table->draw * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return table->draw >> 53 < bytes;
}

/* The lightest of some entries that did not come one after the other. */
static uint32_t lightest_of_some(struct epoch_table *table)
{
    const uint32_t step = EPOCH_TABLE_MAX / CANDIDATES;
    const uint32_t first = table->next_room;
    uint32_t lightest = first;

    table->next_room = (first + 1) % step;
    for (uint32_t i = 1; i < CANDIDATES; i++) {
        const uint32_t index = first + i * step;

        if (bytes_of(&table->entries[index]) < bytes_of(&table->entries[lightest])) {
            lightest = index;
        }
    }
    return lightest;
}

static void add_other(struct epoch_table *table, const struct epoch_entry *entry)
{
    const uint64_t most = bytes_of(entry) + entry->missing;

    epoch_table_add(table, NULL, entry->bytes_in, entry->bytes_out, entry->packets);
    table->gone_max = most > table->gone_max ? most : table->gone_max;
}

/* What the entry has goes to "other"; its place is free. */
static void end_entry(struct epoch_table *table, uint32_t index)
{
    add_other(table, &table->entries[index]);
    remove_index(table, hash_of(&table->entries[index].key), index);
}

static NOINLINE struct epoch_entry *take_in(struct epoch_table *table, const struct epoch_key *key,
                                            uint64_t hash, uint64_t bytes)
{
    uint32_t index = table->count;

    if (index >= EPOCH_TABLE_ALL && bytes < EPOCH_SMALL_BYTES && !is_drawn(table, bytes)) {
        return NULL;
    }
    if (index == EPOCH_TABLE_MAX) {
        index = lightest_of_some(table);
        end_entry(table, index);
    } else {
        table->count++;
    }
    return begin_entry(table, index, key, hash, epoch_table_unseen_max(table));
}

struct epoch_entry *epoch_table_entry_of_many(struct epoch_table *table,
                                              const struct epoch_key *key, uint64_t bytes)
{
    const uint64_t hash = hash_of(key);
    struct epoch_entry *entry = find(table, key, hash);

    return entry != NULL ? entry : take_in(table, key, hash, bytes);
}

void epoch_entry_name(struct epoch_entry *entry, const char *text, uint32_t length)
{
    if (length > sizeof(entry->text) - 1) {
        length = sizeof(entry->text) - 1;
    }
    memcpy(entry->text, text, length);
    entry->text[length] = '\0';
}

static void add_entry(struct epoch_table *table, struct epoch_entry *own,
                      const struct epoch_entry *entry)
{
    if (own->text[0] == '\0') {
        memcpy(own->text, entry->text, sizeof(own->text));
    }
    epoch_table_add(table, own, entry->bytes_in, entry->bytes_out, entry->packets);
}

/* A key that `table` has not: of what it has had elsewhere `missing` bytes may be missing. */
static void add_new(struct epoch_table *table, const struct epoch_entry *entry, uint64_t missing)
{
    uint32_t index = table->count;

    if (index < EPOCH_TABLE_MAX) {
        table->count++;
    } else {
        index = lightest_of_some(table);
        if (bytes_of(&table->entries[index]) >= bytes_of(entry)) {
            struct epoch_entry passed = *entry;

            passed.missing = missing;
            add_other(table, &passed);
            return;
        }
        end_entry(table, index);
    }
    add_entry(table, begin_entry(table, index, &entry->key, hash_of(&entry->key), missing), entry);
}

void epoch_table_merge(struct epoch_table *into, const struct epoch_table *from)
{
    const uint64_t unseen = epoch_table_unseen_max(into);
    const uint64_t from_unseen = epoch_table_unseen_max(from);
    /* In both sums a key without an entry may have been. */
    const uint64_t gone_max =
        into->gone_max + from->gone_max + (unseen > 0 && from_unseen > 0 ? EPOCH_UNDRAWN_BYTES : 0);
    bool is_known[EPOCH_TABLE_MAX] = {false};

    for (uint32_t i = 0; i < into->count && from_unseen > 0; i++) {
        into->entries[i].missing += from_unseen;
    }
    for (uint32_t i = 0; i < from->count; i++) {
        const struct epoch_entry *entry = &from->entries[i];
        struct epoch_entry *own = find(into, &entry->key, hash_of(&entry->key));

        if (own != NULL) {
            is_known[i] = true;
            own->missing += entry->missing - from_unseen;
            add_entry(into, own, entry);
        }
    }
    for (uint32_t i = 0; i < from->count; i++) { /* when all sums are whole: the lightest goes */
        if (!is_known[i]) {
            add_new(into, &from->entries[i], from->entries[i].missing + unseen);
        }
    }
    into->gone_max = gone_max > into->gone_max ? gone_max : into->gone_max;
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
                                          .packets = entry->packets,
                                          .max_undercount = entry->missing};
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
