/* Pages of the assets. */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/fleet/fleet_assets_private.h"

/* ---- order ---- */

static const char *interface_of(const struct fleet_assets *assets,
                                const struct fleet_asset_key *key)
{
    uint32_t length;

    return name_table_text(assets->sensors[key->sensor].interfaces, key->interface, &length);
}

static int compare_keys(const struct fleet_assets *assets, const struct fleet_asset_key *a,
                        const struct fleet_asset_key *b)
{
    int order = a->sensor == b->sensor
                    ? 0
                    : strcmp(assets->sensors[a->sensor].id, assets->sensors[b->sensor].id);

    if (order == 0 && a->interface != b->interface) {
        order = strcmp(interface_of(assets, a), interface_of(assets, b));
    }
    if (order == 0 && a->has_vlan != b->has_vlan) {
        order = a->has_vlan < b->has_vlan ? -1 : 1;
    }
    if (order == 0 && a->vlan_id != b->vlan_id) {
        order = a->vlan_id < b->vlan_id ? -1 : 1;
    }
    if (order == 0 && a->ip_version != b->ip_version) {
        order = a->ip_version < b->ip_version ? -1 : 1;
    }
    if (order == 0) {
        order = memcmp(a->ip, b->ip, sizeof(a->ip));
    }
    return order != 0 ? order : memcmp(a->mac, b->mac, sizeof(a->mac));
}

/* ---- what fits ---- */

static struct ip_address ip_of(const struct fleet_asset_key *key)
{
    struct ip_address ip = {.version = key->ip_version};

    memcpy(ip.bytes, key->ip, sizeof(ip.bytes));
    return ip;
}

static bool fits(const struct fleet_assets *assets, const struct asset_entry *entry,
                 const struct fleet_assets_query *query)
{
    const struct asset_choice *choice = &query->choice;
    struct asset_message shown;

    if (!entry->is_used || !assets->sensors[entry->key.sensor].is_chosen ||
        (choice->ip.version != 0 &&
         memcmp(entry->key.ip, choice->ip.bytes, sizeof(entry->key.ip)) != 0)) {
        return false; /* most go here */
    }
    fleet_assets_show(assets, entry, &shown);
    return asset_choice_fits(choice, &shown);
}

/* ---- the first of those that fit: the last of them stands at the top of a heap ---- */

static bool is_before(const struct fleet_assets *assets, uint32_t a, uint32_t b)
{
    return compare_keys(assets, &assets->entries[a].key, &assets->entries[b].key) < 0;
}

static void sift_up(struct fleet_assets *assets, uint32_t at)
{
    uint32_t *heap = assets->heap;

    while (at > 0 && is_before(assets, heap[(at - 1) / 2], heap[at])) {
        const uint32_t slot = heap[at];

        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = slot;
        at = (at - 1) / 2;
    }
}

static void sift_down(struct fleet_assets *assets, uint32_t count)
{
    uint32_t *heap = assets->heap;

    for (uint32_t at = 0, child = 1; child < count; child = 2 * at + 1) {
        child += child + 1 < count && is_before(assets, heap[child], heap[child + 1]);
        if (!is_before(assets, heap[at], heap[child])) {
            return;
        }
        const uint32_t slot = heap[at];

        heap[at] = heap[child];
        heap[child] = slot;
        at = child;
    }
}

/* Fills the heap with the first `most`; returns how many. */
static uint32_t gather(struct fleet_assets *assets, const struct fleet_assets_query *query,
                       uint32_t most, uint32_t *total)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < assets->used; i++) {
        const struct asset_entry *entry = &assets->entries[i];

        if (!fits(assets, entry, query)) {
            continue;
        }
        (*total)++;
        if (query->after != NULL && compare_keys(assets, &entry->key, query->after) <= 0) {
            continue;
        }
        if (count < most) {
            assets->heap[count] = i;
            sift_up(assets, count++);
        } else if (is_before(assets, i, assets->heap[0])) {
            assets->heap[0] = i;
            sift_down(assets, count);
        }
    }
    return count;
}

static int compare_slots(const void *a, const void *b, void *context)
{
    const uint32_t *left = a, *right = b;
    const struct fleet_assets *assets = context;

    return compare_keys(assets, &assets->entries[*left].key, &assets->entries[*right].key);
}

static struct record_text text_of(const struct asset_name *name)
{
    return (struct record_text){name->bytes, name->length};
}

void fleet_assets_show(const struct fleet_assets *assets, const struct asset_entry *entry,
                       struct asset_message *out)
{
    const struct asset_sensor *sensor = &assets->sensors[entry->key.sensor];
    const char *interface = interface_of(assets, &entry->key);

    *out = (struct asset_message){.sensor_id = {sensor->id, (uint32_t)strlen(sensor->id)},
                                  .interface = {interface, (uint32_t)strlen(interface)},
                                  .has_vlan = entry->key.has_vlan != 0,
                                  .vlan_id = entry->key.vlan_id,
                                  .ip = ip_of(&entry->key),
                                  .sources = entry->sources,
                                  .is_router = entry->is_router,
                                  .is_dhcp_server = entry->is_dhcp_server,
                                  .first_ns = entry->first_ns,
                                  .last_ns = entry->last_ns,
                                  .sightings = entry->sightings_before + entry->sightings,
                                  .host_name = text_of(&entry->host_name),
                                  .vendor_class = text_of(&entry->vendor_class),
                                  .fingerprint = text_of(&entry->fingerprint)};
    memcpy(out->mac, entry->key.mac, sizeof(out->mac));
}

/* A token may come from anybody. */
static bool is_key(const struct fleet_assets *assets, const struct fleet_asset_key *key)
{
    return key == NULL || key->sensor < assets->sensors_count;
}

void fleet_assets_list(struct fleet_assets *assets, const struct fleet_assets_query *query,
                       void (*each)(void *context, const struct asset_message *asset),
                       void *context, struct fleet_assets_page *page)
{
    *page = (struct fleet_assets_page){0};
    (void)pthread_mutex_lock(&assets->lock);
    for (uint32_t i = 0; i < assets->sensors_count; i++) {
        struct asset_sensor *sensor = &assets->sensors[i];

        sensor->is_chosen = query->chooses == NULL ||
                            query->chooses(query->context, sensor->id, strlen(sensor->id));
    }
    const uint32_t found = is_key(assets, query->after)
                               ? gather(assets, query, query->page_size + 1, &page->total)
                               : 0;

    if (found > 0) {
        qsort_r(assets->heap, found, sizeof(*assets->heap), compare_slots, assets);
    }
    page->has_more = found > query->page_size;
    page->count = page->has_more ? query->page_size : found;
    for (uint32_t i = 0; i < page->count; i++) {
        const struct asset_entry *entry = &assets->entries[assets->heap[i]];
        struct asset_message shown;

        fleet_assets_show(assets, entry, &shown);
        each(context, &shown);
        page->last = entry->key;
    }
    (void)pthread_mutex_unlock(&assets->lock);
}
