/* The assets of the whole sensor: the publisher adds each second's, anybody may read them page by
 * page. Depends on: inspect/asset_table.h. Threads: any; a lock inside, off the packet path. */
#pragma once

#include "sensor/inspect/asset_table.h"

struct asset_list;

struct asset_list_sum {
    uint32_t count, max;
    uint64_t replaced, refused; /* as in asset_table.h; refused by the shards' seconds */
    uint64_t memory_bytes;
};

MUST_USE struct asset_list *asset_list_new(uint32_t assets_max, struct error *err);
void asset_list_free(struct asset_list *list); /* NULL is allowed */
DEFINE_AUTO(asset_list, asset_list_free);

void asset_list_add(struct asset_list *list, const struct asset_table *second);

/* Copies assets in order of interface, VLAN, address and MAC, from behind `after` (NULL: the first
 * on), each with the names that its MAC alone is known by. Returns how many; fills `sum`. With
 * `out_max` 0 only that. */
uint32_t asset_list_read(struct asset_list *list, const struct asset_key *after, struct asset *out,
                         uint32_t out_max, struct asset_list_sum *sum);
