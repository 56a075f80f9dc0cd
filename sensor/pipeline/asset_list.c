#include "sensor/pipeline/asset_list.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct asset_list {
    pthread_mutex_t lock;
    struct asset_table *table;
    const struct asset **sorted; /* room for a reader, under the lock */
    uint32_t max;
};

struct asset_list *asset_list_new(uint32_t assets_max, struct error *err)
{
    AUTO(asset_list) list = calloc(1, sizeof(*list));

    if (list == NULL) {
        error_set(err, ENOMEM, "assets: no memory");
        return NULL;
    }
    (void)pthread_mutex_init(&list->lock, NULL);
    list->max = assets_max;
    list->table = asset_table_new(assets_max, true, hash_key_random(), err);
    list->sorted = malloc(assets_max * sizeof(struct asset *));
    if (list->table != NULL && list->sorted == NULL) {
        error_set(err, ENOMEM, "assets: no memory for %u", assets_max);
    }
    return list->table == NULL || list->sorted == NULL ? NULL : TAKE(list);
}

void asset_list_free(struct asset_list *list)
{
    if (list != NULL) {
        (void)pthread_mutex_destroy(&list->lock);
        asset_table_free(list->table);
        free(list->sorted);
        free(list);
    }
}

void asset_list_add(struct asset_list *list, const struct asset_table *second)
{
    (void)pthread_mutex_lock(&list->lock);
    asset_table_merge(list->table, second);
    (void)pthread_mutex_unlock(&list->lock);
}

static int compare(const struct asset_key *a, const struct asset_key *b)
{
    if (a->interface != b->interface) {
        return a->interface < b->interface ? -1 : 1;
    }
    if (a->has_vlan != b->has_vlan) {
        return a->has_vlan < b->has_vlan ? -1 : 1;
    }
    if (a->vlan_id != b->vlan_id) {
        return a->vlan_id < b->vlan_id ? -1 : 1;
    }
    if (a->ip_version != b->ip_version) {
        return a->ip_version < b->ip_version ? -1 : 1;
    }
    const int by_ip = memcmp(a->ip, b->ip, sizeof(a->ip));

    return by_ip != 0 ? by_ip : memcmp(a->mac, b->mac, sizeof(a->mac));
}

static int compare_pointers(const void *a, const void *b)
{
    const struct asset *const *left = a;
    const struct asset *const *right = b;

    return compare(&(*left)->key, &(*right)->key);
}

static const struct asset *told_by_mac(const struct asset_list *list, const struct asset *asset)
{
    struct asset_key by_mac = asset->key;

    if (by_mac.ip_version == 0) {
        return NULL;
    }
    by_mac.ip_version = 0;
    memset(by_mac.ip, 0, sizeof(by_mac.ip));
    return asset_table_find(list->table, &by_mac);
}

/* What a client said of itself before it had an address. */
static void take_names(const struct asset_list *list, struct asset *asset)
{
    const struct asset *told = told_by_mac(list, asset);

    if (told != NULL) {
        const struct asset kept = *asset;

        asset_merge(asset, told); /* its texts alone */
        asset->sources = kept.sources;
        asset->roles = kept.roles;
        asset->first_ns = kept.first_ns;
        asset->last_ns = kept.last_ns;
        asset->sightings = kept.sightings;
    }
}

/* ---- reading ---- */

struct walk {
    struct asset_list *list;
    const struct asset_list_query *query;
    uint32_t count, fitting;
};

static bool is_of_time(const struct walk *walk, const struct asset *asset)
{
    const struct asset_list_query *query = walk->query;

    if (query->until == 0) {
        return true;
    }
    const struct asset *told = told_by_mac(walk->list, asset);
    const uint64_t own = asset_stamp(asset, query->is_by_sight);
    const uint64_t other = told != NULL ? asset_stamp(told, false) : 0;
    const uint64_t stamp = own > other ? own : other;

    return stamp > query->since && stamp <= query->until;
}

static bool is_fitting(const struct walk *walk, const struct asset *asset)
{
    if (walk->query == NULL) {
        return true;
    }
    if (!is_of_time(walk, asset)) {
        return false;
    }
    if (walk->query->fits == NULL) {
        return true;
    }
    struct asset named = *asset;

    take_names(walk->list, &named);
    return walk->query->fits(walk->query->context, &named);
}

static void collect(void *context, const struct asset *asset)
{
    struct walk *walk = context;
    const struct asset_key *after = walk->query != NULL ? walk->query->after : NULL;

    if (!is_fitting(walk, asset)) {
        return;
    }
    walk->fitting++;
    if (after == NULL || compare(&asset->key, after) > 0) {
        walk->list->sorted[walk->count++] = asset;
    }
}

uint32_t asset_list_read(struct asset_list *list, const struct asset_list_query *query,
                         struct asset *out, uint32_t out_max, struct asset_list_sum *sum)
{
    struct walk walk = {.list = list, .query = query};

    (void)pthread_mutex_lock(&list->lock);
    const struct asset_table_statistics statistics = asset_table_statistics(list->table);

    *sum = (struct asset_list_sum){.count = asset_table_count(list->table),
                                   .max = list->max,
                                   .stamp = asset_table_stamp(list->table),
                                   .replaced = statistics.replaced,
                                   .refused = statistics.refused,
                                   .memory_bytes = statistics.memory_bytes};
    if (out_max > 0) {
        asset_table_each(list->table, collect, &walk);
        sum->fitting = walk.fitting;
        if (walk.count > 0) {
            qsort(list->sorted, walk.count, sizeof(void *), compare_pointers);
        }
    }
    const uint32_t count = walk.count < out_max ? walk.count : out_max;

    for (uint32_t i = 0; i < count; i++) {
        out[i] = *list->sorted[i];
        take_names(list, &out[i]);
    }
    (void)pthread_mutex_unlock(&list->lock);
    return count;
}
