/* Who is who on the links of the fleet: the assets that sensors tell, each sensor's for itself.
 *
 * Told by ingest over Connect (AssetReport), asked by the API; kept over restarts in a file. A
 * sensor is not trusted: what it may hold is bounded, and a newcomer makes room among its own or,
 * when all is full, among those of whoever holds most. Depends on: base, base/config, proto.
 * Threads: any (one lock); the file: the thread of the ticks. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/counter.h"
#include "base/error.h"
#include "proto/asset_message.h"

/* The section `assets`. */
struct fleet_assets_settings {
    uint64_t assets_max; /* 0: none are kept */
    uint64_t sensor_assets_max;
    uint64_t keep_ns;
};
extern const struct config_field fleet_assets_fields[];

struct fleet_assets;

/* What an asset is known by; a page ends with one. Sensors and interfaces by numbers that hold as
 * long as the process. No padding. */
struct fleet_asset_key {
    uint8_t ip[16];
    uint8_t mac[6];
    uint16_t vlan_id;
    uint32_t sensor;
    uint16_t interface;
    uint8_t ip_version;
    uint8_t has_vlan;
};
static_assert(sizeof(struct fleet_asset_key) == 32, "compared and hashed as bytes");

/* Memory for all now; `settings` is borrowed for life. NULL with `err`. */
MUST_USE struct fleet_assets *fleet_assets_new(const struct fleet_assets_settings *settings,
                                               uint32_t sensors_max, struct error *err);
void fleet_assets_free(struct fleet_assets *assets); /* NULL is allowed */
DEFINE_AUTO(fleet_assets, fleet_assets_free);

/* An AssetReport of a sensor; what is malformed in it is counted and left out. */
void fleet_assets_take(struct fleet_assets *assets, const char *sensor_id, const uint8_t *bytes,
                       size_t length, uint64_t now_ns);
/* Forgets what nobody has told anew for settings.keep_ns. Once a second, or seldomer. */
void fleet_assets_tick(struct fleet_assets *assets, uint64_t now_ns);

struct fleet_assets_query {
    /* Whether a sensor's are wanted; NULL: all. Asked once a sensor. */
    bool (*chooses)(void *context, const char *sensor_id, size_t length);
    void *context;
    struct asset_choice choice;
    const struct fleet_asset_key *after; /* NULL: from the first on */
    uint32_t page_size;                  /* 1 to 1000 */
};
struct fleet_assets_page {
    uint32_t count, total; /* shown, and that fit the query */
    bool has_more;
    struct fleet_asset_key last; /* of those shown */
};
/* Calls `each` for a page in order of sensor, interface, VLAN, address and MAC, with the lock: it
 * calls nothing of this. The asset is borrowed for the call. O(all). */
void fleet_assets_list(struct fleet_assets *assets, const struct fleet_assets_query *query,
                       void (*each)(void *context, const struct asset_message *asset),
                       void *context, struct fleet_assets_page *page);

struct fleet_assets_counts {
    uint64_t assets, sensors; /* now */
    uint64_t reports, told;   /* reports, and assets in them */
    uint64_t malformed, replaced, expired;
    uint64_t memory_bytes;
};
void fleet_assets_counts_read(struct fleet_assets *assets, struct fleet_assets_counts *out);

/* Adds what the file holds: before anything is told. A file that is not there is no error; one that
 * is damaged or of another version is: then nothing of it is known. 0 or -errno with `err`. */
MUST_USE int fleet_assets_load(struct fleet_assets *assets, const char *path, uint64_t now_ns,
                               struct error *err);
/* Replaces the file where something has changed since the last time. 0 or -errno with `err`. */
MUST_USE int fleet_assets_save(struct fleet_assets *assets, const char *path, struct error *err);
