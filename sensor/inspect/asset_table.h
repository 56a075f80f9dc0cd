/* Bounded table of assets: of one second in a shard, and of the whole sensor at the publisher.
 *
 * Full, the one unseen for the longest makes room, or the new one is refused; counted either way.
 * All memory is taken in asset_table_new; the hash is keyed. Depends on: asset.h. Threads: one at a
 * time. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/hash.h"
#include "sensor/inspect/asset.h"

struct asset_table;

/* `is_replacing`: a full table gives up the oldest, else it refuses. NULL with `err`: ENOMEM. */
MUST_USE struct asset_table *asset_table_new(uint32_t assets_max, bool is_replacing,
                                             struct hash_key key, struct error *err);
void asset_table_free(struct asset_table *table); /* NULL is allowed */
DEFINE_AUTO(asset_table, asset_table_free);

void asset_table_add(struct asset_table *table, const struct asset *asset);
/* All of `from` into `into`. */
void asset_table_merge(struct asset_table *into, const struct asset_table *from);
void asset_table_reset(struct asset_table *table); /* empties it, and its counts */

uint32_t asset_table_count(const struct asset_table *table);
/* NULL: not there. */
const struct asset *asset_table_find(const struct asset_table *table, const struct asset_key *key);
/* Calls `each` in no order. */
void asset_table_each(const struct asset_table *table,
                      void (*each)(void *context, const struct asset *asset), void *context);

/* Each change of the table has a number, from 1 on: the last one, and that of an asset of this
 * table (one that _find or _each gave): when something new was told of it, or also (`is_by_sight`)
 * when it was seen. */
uint64_t asset_table_stamp(const struct asset_table *table);
uint64_t asset_stamp(const struct asset *asset, bool is_by_sight);

struct asset_table_statistics {
    uint64_t replaced, refused; /* for want of room, since the start */
    uint64_t memory_bytes;
};
struct asset_table_statistics asset_table_statistics(const struct asset_table *table);
