/* The assets of the whole sensor: the publisher adds each second's, anybody may read them page by
 * page. Depends on: inspect/asset_table.h. Threads: any; a lock inside, off the packet path. */
#pragma once

#include "sensor/inspect/asset_table.h"

struct asset_list;

struct asset_list_sum {
    uint32_t count, max;
    uint32_t fitting;           /* of the query, in front of `after` too; without one: all */
    uint64_t stamp;             /* asset_table_stamp */
    uint64_t replaced, refused; /* as in asset_table.h; refused by the shards' seconds */
    uint64_t memory_bytes;
};

MUST_USE struct asset_list *asset_list_new(uint32_t assets_max, struct error *err);
void asset_list_free(struct asset_list *list); /* NULL is allowed */
DEFINE_AUTO(asset_list, asset_list_free);

/* What a shard saw within a second joins what is known; the one unseen for the longest makes room.
 * Publisher. */
void asset_list_add(struct asset_list *list, const struct asset_table *second);

struct asset_list_query {
    const struct asset_key *after; /* those behind it; NULL: from the first on */
    /* Those whose stamp is above `since` and not above `until` (0: whatever it is), where what its
     * MAC alone is known by is a change, too. */
    uint64_t since, until;
    bool is_by_sight;
    bool (*fits)(void *context, const struct asset *asset); /* NULL: all do; with the lock */
    void *context;
};

/* Copies assets in order of interface, VLAN, address and MAC (`query` NULL: all), each with the
 * names that its MAC alone is known by. Returns how many; fills `sum`. With `out_max` 0 only that.
 */
uint32_t asset_list_read(struct asset_list *list, const struct asset_list_query *query,
                         struct asset *out, uint32_t out_max, struct asset_list_sum *sum);
