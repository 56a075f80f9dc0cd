#include "sensor/inspect/asset_table.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct entry {
    struct asset asset; /* first: asset_stamp */
    uint64_t seen, changed;
    uint32_t next;           /* in its bucket */
    uint32_t older, younger; /* by last_ns */
    uint32_t bucket;
};

struct asset_table {
    struct entry *entries; /* those below `used` are in the table, or free again */
    uint32_t *buckets;
    uint32_t entries_max, used, bucket_mask;
    uint32_t oldest, youngest;
    bool is_replacing;
    uint64_t stamp;
    struct hash_key key;
    struct asset_table_statistics statistics;
};
static_assert(offsetof(struct entry, asset) == 0, "an asset leads to its entry");

void asset_table_reset(struct asset_table *table)
{
    if (table->used > 0) {
        memset(table->buckets, 0xff, (table->bucket_mask + 1) * sizeof(*table->buckets));
    }
    table->used = 0;
    table->statistics.replaced = table->statistics.refused = 0;
    table->oldest = table->youngest = NONE;
}

struct asset_table *asset_table_new(uint32_t assets_max, bool is_replacing, struct hash_key key,
                                    struct error *err)
{
    AUTO(asset_table) table = calloc(1, sizeof(*table));
    uint32_t buckets = 16;

    while (buckets < assets_max && buckets < UINT32_C(1) << 30) {
        buckets *= 2;
    }
    if (table != NULL) {
        table->entries = calloc(assets_max, sizeof(*table->entries));
        table->buckets = malloc(buckets * sizeof(*table->buckets));
    }
    if (table == NULL || table->entries == NULL || table->buckets == NULL) {
        error_set(err, ENOMEM, "assets: no memory for %u", assets_max);
        return NULL;
    }
    table->entries_max = assets_max;
    table->bucket_mask = buckets - 1;
    table->is_replacing = is_replacing;
    table->key = key;
    table->used = 1; /* so that the buckets are emptied */
    asset_table_reset(table);
    table->statistics.memory_bytes = sizeof(*table) + buckets * sizeof(*table->buckets) +
                                     (uint64_t)assets_max * sizeof(*table->entries);
    return TAKE(table);
}

void asset_table_free(struct asset_table *table)
{
    if (table != NULL) {
        free(table->entries);
        free(table->buckets);
        free(table);
    }
}

static uint32_t bucket_of(const struct asset_table *table, const struct asset_key *key)
{
    return (uint32_t)hash_bytes(table->key, key, sizeof(*key)) & table->bucket_mask;
}

static uint32_t find(const struct asset_table *table, const struct asset_key *key, uint32_t bucket)
{
    uint32_t at = table->buckets[bucket];

    while (at != NONE && memcmp(&table->entries[at].asset.key, key, sizeof(*key)) != 0) {
        at = table->entries[at].next;
    }
    return at;
}

/* ---- order of last sight ---- */

static void order_remove(struct asset_table *table, uint32_t slot)
{
    const struct entry *entry = &table->entries[slot];

    if (entry->older == NONE) {
        table->oldest = entry->younger;
    } else {
        table->entries[entry->older].younger = entry->younger;
    }
    if (entry->younger == NONE) {
        table->youngest = entry->older;
    } else {
        table->entries[entry->younger].older = entry->older;
    }
}

/* From the young end, since what comes is new by and large. */
static void order_insert(struct asset_table *table, uint32_t slot)
{
    struct entry *entry = &table->entries[slot];
    uint32_t older = table->youngest, younger = NONE;

    while (older != NONE && table->entries[older].asset.last_ns > entry->asset.last_ns) {
        younger = older;
        older = table->entries[older].older;
    }
    entry->older = older;
    entry->younger = younger;
    if (older == NONE) {
        table->oldest = slot;
    } else {
        table->entries[older].younger = slot;
    }
    if (younger == NONE) {
        table->youngest = slot;
    } else {
        table->entries[younger].older = slot;
    }
}

/* ---- adding ---- */

static uint32_t take_slot(struct asset_table *table)
{
    if (table->used < table->entries_max) {
        return table->used++;
    }
    if (!table->is_replacing) {
        table->statistics.refused++;
        return NONE;
    }
    const uint32_t slot = table->oldest;
    uint32_t *link = &table->buckets[table->entries[slot].bucket];

    while (*link != slot) {
        link = &table->entries[*link].next;
    }
    *link = table->entries[slot].next;
    order_remove(table, slot);
    table->statistics.replaced++;
    return slot;
}

static bool is_other(const struct asset_text *text, const struct asset_text *told)
{
    return told->length > 0 &&
           (text->length != told->length || memcmp(text->bytes, told->bytes, told->length) != 0);
}

static bool is_news(const struct asset *asset, const struct asset *told)
{
    return (told->sources & ~asset->sources) != 0 || (told->roles & ~asset->roles) != 0 ||
           is_other(&asset->host_name, &told->host_name) ||
           is_other(&asset->vendor_class, &told->vendor_class) ||
           is_other(&asset->fingerprint, &told->fingerprint);
}

uint64_t asset_table_stamp(const struct asset_table *table)
{
    return table->stamp;
}

uint64_t asset_stamp(const struct asset *asset, bool is_by_sight)
{
    const struct entry *entry = (const struct entry *)asset;

    return is_by_sight ? entry->seen : entry->changed;
}

void asset_table_add(struct asset_table *table, const struct asset *asset)
{
    const uint32_t bucket = bucket_of(table, &asset->key);
    uint32_t slot = find(table, &asset->key, bucket);
    bool is_changed = true;

    if (slot != NONE) {
        is_changed = is_news(&table->entries[slot].asset, asset);
        order_remove(table, slot);
        asset_merge(&table->entries[slot].asset, asset);
    } else {
        slot = take_slot(table);
        if (slot == NONE) {
            return;
        }
        table->entries[slot] =
            (struct entry){.asset = *asset, .next = table->buckets[bucket], .bucket = bucket};
        table->buckets[bucket] = slot;
    }
    table->entries[slot].seen = ++table->stamp;
    if (is_changed) {
        table->entries[slot].changed = table->stamp;
    }
    order_insert(table, slot);
}

void asset_table_merge(struct asset_table *into, const struct asset_table *from)
{
    for (uint32_t at = from->oldest; at != NONE; at = from->entries[at].younger) {
        asset_table_add(into, &from->entries[at].asset);
    }
    into->statistics.refused += from->statistics.refused;
}

uint32_t asset_table_count(const struct asset_table *table)
{
    return table->used;
}

const struct asset *asset_table_find(const struct asset_table *table, const struct asset_key *key)
{
    const uint32_t slot = find(table, key, bucket_of(table, key));

    return slot == NONE ? NULL : &table->entries[slot].asset;
}

void asset_table_each(const struct asset_table *table,
                      void (*each)(void *context, const struct asset *asset), void *context)
{
    for (uint32_t i = 0; i < table->used; i++) {
        each(context, &table->entries[i].asset);
    }
}

struct asset_table_statistics asset_table_statistics(const struct asset_table *table)
{
    return table->statistics;
}
