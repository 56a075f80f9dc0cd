#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/fleet/fleet_assets_private.h"

#define REPORT_ASSETS_MAX 4096 /* of one message */
#define INTERFACES_MAX    64   /* of one sensor */
#define SENSOR_ID_MAX     128
#define PAGE_MAX          1000

#define FIELD(member) offsetof(struct fleet_assets_settings, member)

const struct config_field fleet_assets_fields[] = {
    {.type = CONFIG_U64,
     .key = "max",
     .offset = FIELD(assets_max),
     .value = "65536",
     .max = 4194304,
     .help = "Pairs of address and MAC known from all sensors together, some 350 bytes each; 0: "
             "none. Full: the one unseen for the longest of the sensor with the most makes room."},
    {.type = CONFIG_U64,
     .key = "sensor_max",
     .offset = FIELD(sensor_assets_max),
     .value = "16384",
     .min = 1,
     .max = 4194304,
     .help = "The same of one sensor, among its own."},
    {.type = CONFIG_DURATION,
     .key = "keep",
     .offset = FIELD(keep_ns),
     .value = "30d",
     .min = 6e10,
     .max = 3.1536e17,
     .help = "Those of which nothing new was told for so long are forgotten."},
    {0},
};

/* ---- life ---- */

static uint32_t power_of_two(uint32_t least)
{
    uint32_t size = 16;

    while (size < least && size < UINT32_C(1) << 30) {
        size *= 2;
    }
    return size;
}

static bool take_memory(struct fleet_assets *assets)
{
    const uint32_t buckets = power_of_two(assets->entries_max);
    const uint32_t places = power_of_two(2 * assets->sensors_max);

    assets->entries = calloc(assets->entries_max, sizeof(*assets->entries));
    assets->buckets = malloc(buckets * sizeof(*assets->buckets));
    assets->heap = calloc(PAGE_MAX + 1, sizeof(*assets->heap));
    assets->sensors = calloc(assets->sensors_max, sizeof(*assets->sensors));
    assets->sensor_buckets = calloc(places, sizeof(*assets->sensor_buckets));
    if (assets->entries == NULL || assets->buckets == NULL || assets->heap == NULL ||
        assets->sensors == NULL || assets->sensor_buckets == NULL) {
        return false;
    }
    memset(assets->buckets, 0xff, buckets * sizeof(*assets->buckets));
    assets->bucket_mask = buckets - 1;
    assets->sensor_mask = places - 1;
    assets->counts.memory_bytes = sizeof(*assets) +
                                  (uint64_t)assets->entries_max * sizeof(*assets->entries) +
                                  buckets * sizeof(*assets->buckets) +
                                  (uint64_t)assets->sensors_max * sizeof(*assets->sensors) +
                                  places * sizeof(*assets->sensor_buckets);
    return true;
}

struct fleet_assets *fleet_assets_new(const struct fleet_assets_settings *settings,
                                      uint32_t sensors_max, struct error *err)
{
    AUTO(fleet_assets) assets = calloc(1, sizeof(*assets));

    if (assets == NULL) {
        error_set(err, ENOMEM, "assets: no memory");
        return NULL;
    }
    (void)pthread_mutex_init(&assets->lock, NULL);
    assets->settings = settings;
    assets->hash_key = hash_key_random();
    assets->entries_max = settings->assets_max > 0 ? (uint32_t)settings->assets_max : 1;
    assets->sensors_max = sensors_max > 0 ? sensors_max : 1;
    assets->free = ASSETS_NONE;
    if (!take_memory(assets)) {
        error_set(err, ENOMEM, "assets: no memory for %u (assets.max)", assets->entries_max);
        return NULL;
    }
    return TAKE(assets);
}

void fleet_assets_free(struct fleet_assets *assets)
{
    if (assets == NULL) {
        return;
    }
    for (uint32_t i = 0; i < assets->sensors_count; i++) {
        name_table_free(assets->sensors[i].interfaces);
        free(assets->sensors[i].id);
    }
    free(assets->sensor_buckets);
    free(assets->sensors);
    free(assets->heap);
    free(assets->buckets);
    free(assets->entries);
    (void)pthread_mutex_destroy(&assets->lock);
    free(assets);
}

/* ---- sensors ---- */

uint32_t fleet_assets_sensor(struct fleet_assets *assets, const char *id, size_t length)
{
    uint32_t place = (uint32_t)hash_bytes(assets->hash_key, id, length) & assets->sensor_mask;

    for (; assets->sensor_buckets[place] != 0; place = (place + 1) & assets->sensor_mask) {
        const uint32_t number = assets->sensor_buckets[place] - 1;

        if (strlen(assets->sensors[number].id) == length &&
            memcmp(assets->sensors[number].id, id, length) == 0) {
            return number;
        }
    }
    if (assets->sensors_count == assets->sensors_max || length == 0 || length > SENSOR_ID_MAX) {
        return ASSETS_NONE;
    }
    struct asset_sensor *sensor = &assets->sensors[assets->sensors_count];

    *sensor = (struct asset_sensor){.id = strndup(id, length),
                                    .interfaces = name_table_new(INTERFACES_MAX),
                                    .oldest = ASSETS_NONE,
                                    .youngest = ASSETS_NONE};
    if (sensor->id == NULL || sensor->interfaces == NULL) {
        free(sensor->id);
        name_table_free(sensor->interfaces);
        return ASSETS_NONE;
    }
    assets->sensor_buckets[place] = ++assets->sensors_count;
    return assets->sensors_count - 1;
}

/* ---- a sensor's own, by when something new was told ---- */

static void order_remove(struct fleet_assets *assets, uint32_t slot)
{
    const struct asset_entry *entry = &assets->entries[slot];
    struct asset_sensor *sensor = &assets->sensors[entry->key.sensor];

    *(entry->older == ASSETS_NONE ? &sensor->oldest : &assets->entries[entry->older].younger) =
        entry->younger;
    *(entry->younger == ASSETS_NONE ? &sensor->youngest : &assets->entries[entry->younger].older) =
        entry->older;
}

static void order_append(struct fleet_assets *assets, uint32_t slot)
{
    struct asset_entry *entry = &assets->entries[slot];
    struct asset_sensor *sensor = &assets->sensors[entry->key.sensor];

    entry->older = sensor->youngest;
    entry->younger = ASSETS_NONE;
    *(entry->older == ASSETS_NONE ? &sensor->oldest : &assets->entries[entry->older].younger) =
        slot;
    sensor->youngest = slot;
}

static uint32_t bucket_of(const struct fleet_assets *assets, const struct fleet_asset_key *key)
{
    return (uint32_t)hash_bytes(assets->hash_key, key, sizeof(*key)) & assets->bucket_mask;
}

static uint32_t find(const struct fleet_assets *assets, const struct fleet_asset_key *key)
{
    uint32_t at = assets->buckets[bucket_of(assets, key)];

    while (at != ASSETS_NONE && memcmp(&assets->entries[at].key, key, sizeof(*key)) != 0) {
        at = assets->entries[at].next;
    }
    return at;
}

static void drop(struct fleet_assets *assets, uint32_t slot)
{
    struct asset_entry *entry = &assets->entries[slot];
    uint32_t *link = &assets->buckets[bucket_of(assets, &entry->key)];

    while (*link != slot) {
        link = &assets->entries[*link].next;
    }
    *link = entry->next;
    order_remove(assets, slot);
    assets->sensors[entry->key.sensor].count--;
    entry->is_used = false;
    entry->next = assets->free;
    assets->free = slot;
    assets->counts.assets--;
    assets->changes++;
}

/* Of whoever holds most. */
static uint32_t largest_sensor(const struct fleet_assets *assets)
{
    uint32_t most = 0;

    for (uint32_t i = 1; i < assets->sensors_count; i++) {
        most = assets->sensors[i].count > assets->sensors[most].count ? i : most;
    }
    return most;
}

static uint32_t take_slot(struct fleet_assets *assets, uint32_t sensor)
{
    const bool is_sensor_full =
        assets->sensors[sensor].count >= assets->settings->sensor_assets_max;

    if (is_sensor_full || (assets->free == ASSETS_NONE && assets->used == assets->entries_max)) {
        drop(assets, assets->sensors[is_sensor_full ? sensor : largest_sensor(assets)].oldest);
        assets->counts.replaced++;
    }
    if (assets->free == ASSETS_NONE) {
        return assets->used++;
    }
    const uint32_t slot = assets->free;

    assets->free = assets->entries[slot].next;
    return slot;
}

static uint32_t make(struct fleet_assets *assets, const struct fleet_asset_key *key)
{
    const uint32_t slot = take_slot(assets, key->sensor);
    uint32_t *bucket = &assets->buckets[bucket_of(assets, key)];

    assets->entries[slot] = (struct asset_entry){.key = *key, .next = *bucket, .is_used = true};
    *bucket = slot;
    assets->sensors[key->sensor].count++;
    assets->counts.assets++;
    order_append(assets, slot);
    return slot;
}

/* ---- telling ---- */

/* What is told last counts; nothing told leaves what was. True: it is another. */
static bool take_name(struct asset_name *into, struct record_text text)
{
    if (text.length == 0 ||
        (into->length == text.length && memcmp(into->bytes, text.data, text.length) == 0)) {
        return false;
    }
    into->length = (uint8_t)text.length;
    memcpy(into->bytes, text.data, text.length);
    return true;
}

/* True where it is news. */
static bool merge(struct asset_entry *entry, const struct asset_message *told)
{
    const struct asset_entry before = *entry;
    bool is_news = take_name(&entry->host_name, told->host_name);

    is_news |= take_name(&entry->vendor_class, told->vendor_class);
    is_news |= take_name(&entry->fingerprint, told->fingerprint);
    entry->sources |= told->sources;
    entry->is_router = entry->is_router || told->is_router;
    entry->is_dhcp_server = entry->is_dhcp_server || told->is_dhcp_server;
    if (told->first_ns != 0 && (entry->first_ns == 0 || told->first_ns < entry->first_ns)) {
        entry->first_ns = told->first_ns;
    }
    if (told->last_ns > entry->last_ns) {
        entry->last_ns = told->last_ns;
    }
    if (told->sightings < entry->sightings) { /* another process of the sensor counts anew */
        entry->sightings_before += entry->sightings;
    }
    entry->sightings = told->sightings;
    return is_news || entry->sources != before.sources || entry->is_router != before.is_router ||
           entry->is_dhcp_server != before.is_dhcp_server || entry->first_ns != before.first_ns ||
           entry->last_ns != before.last_ns || entry->sightings != before.sightings;
}

uint32_t fleet_assets_add(struct fleet_assets *assets, uint32_t sensor,
                          const struct asset_message *told, uint64_t told_ns)
{
    struct asset_sensor *from = &assets->sensors[sensor];
    struct fleet_asset_key key = {
        .sensor = sensor,
        .interface = name_table_add(from->interfaces, told->interface.data, told->interface.length),
        .ip_version = told->ip.version,
        .has_vlan = told->has_vlan,
        .vlan_id = told->vlan_id};

    memcpy(key.ip, told->ip.bytes, sizeof(key.ip));
    memcpy(key.mac, told->mac, sizeof(key.mac));
    uint32_t slot = find(assets, &key);

    if (slot == ASSETS_NONE) {
        slot = make(assets, &key);
        assets->entries[slot].told_ns = told_ns;
        (void)merge(&assets->entries[slot], told);
        assets->changes++;
    } else if (merge(&assets->entries[slot], told)) {
        assets->entries[slot].told_ns = told_ns;
        order_remove(assets, slot);
        order_append(assets, slot);
        assets->changes++;
    }
    return slot;
}

void fleet_assets_take(struct fleet_assets *assets, const char *sensor_id, const uint8_t *bytes,
                       size_t length, uint64_t now_ns)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    uint32_t count = 0;

    if (assets->settings->assets_max == 0) {
        return;
    }
    (void)pthread_mutex_lock(&assets->lock);
    const uint32_t sensor = fleet_assets_sensor(assets, sensor_id, strlen(sensor_id));

    assets->counts.reports++;
    while (wire_next(&r, &f)) {
        struct asset_message told;

        if (f.number != ASSET_REPORT_ASSETS || f.type != WIRE_BYTES) {
            continue;
        }
        assets->counts.told++;
        if (sensor == ASSETS_NONE || count++ >= REPORT_ASSETS_MAX ||
            !asset_message_read(f.bytes, f.length, &told)) {
            assets->counts.malformed++;
            continue;
        }
        (void)fleet_assets_add(assets, sensor, &told, now_ns);
    }
    assets->counts.malformed += !r.ok;
    (void)pthread_mutex_unlock(&assets->lock);
}

void fleet_assets_tick(struct fleet_assets *assets, uint64_t now_ns)
{
    (void)pthread_mutex_lock(&assets->lock);
    for (uint32_t i = 0; i < assets->sensors_count; i++) {
        const struct asset_sensor *sensor = &assets->sensors[i];

        while (sensor->oldest != ASSETS_NONE &&
               assets->entries[sensor->oldest].told_ns + assets->settings->keep_ns < now_ns) {
            drop(assets, sensor->oldest);
            assets->counts.expired++;
        }
    }
    (void)pthread_mutex_unlock(&assets->lock);
}

void fleet_assets_counts_read(struct fleet_assets *assets, struct fleet_assets_counts *out)
{
    (void)pthread_mutex_lock(&assets->lock);
    *out = assets->counts;
    out->sensors = 0;
    for (uint32_t i = 0; i < assets->sensors_count; i++) {
        out->sensors += assets->sensors[i].count > 0;
    }
    (void)pthread_mutex_unlock(&assets->lock);
}
