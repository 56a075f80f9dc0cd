/* What the files of fleet_assets share. Private to collector-ui/fleet/fleet_assets*.c. */
#pragma once

#include <pthread.h>

#include "base/hash.h"
#include "base/name_table.h"
#include "collector-ui/fleet/fleet_assets.h"

#define ASSETS_NONE UINT32_MAX

struct asset_name {
    uint8_t length;
    char bytes[ASSET_MESSAGE_TEXT_MAX];
};

/* Used or free; all numbers of others are places in `entries`. */
struct asset_entry {
    struct fleet_asset_key key;
    uint32_t next;           /* in its bucket; of those that are free */
    uint32_t older, younger; /* of its sensor, by `told_ns` */
    uint8_t sources;
    bool is_used, is_router, is_dhcp_server;
    uint64_t first_ns, last_ns;
    uint64_t sightings, sightings_before; /* of the sensor's process, and of those before it */
    uint64_t told_ns;                     /* when something new was told of it */
    struct asset_name host_name, vendor_class, fingerprint;
};

struct asset_sensor {
    char *id;
    struct name_table *interfaces;
    uint32_t interfaces_count;
    uint32_t count, oldest, youngest;
    bool is_chosen; /* of the query that runs */
};

struct fleet_assets {
    const struct fleet_assets_settings *settings;
    pthread_mutex_t lock;
    struct hash_key hash_key;
    struct asset_entry *entries;
    uint32_t *buckets;
    uint32_t *heap; /* room for a page */
    uint32_t entries_max, used, free, bucket_mask;
    struct asset_sensor *sensors;
    uint32_t *sensor_buckets; /* number + 1; 0: free */
    uint32_t sensors_max, sensors_count, sensor_mask;
    struct fleet_assets_counts counts;
    uint64_t changes, changes_saved;
};

/* fleet_assets.c, with the lock. */

/* The sensor of that id, made if new; ASSETS_NONE: no room. */
uint32_t fleet_assets_sensor(struct fleet_assets *assets, const char *id, size_t length);
/* Adds what is told of one; its place. */
uint32_t fleet_assets_add(struct fleet_assets *assets, uint32_t sensor,
                          const struct asset_message *told, uint64_t told_ns);
/* As it is shown. */
void fleet_assets_show(const struct fleet_assets *assets, const struct asset_entry *entry,
                       struct asset_message *out);
