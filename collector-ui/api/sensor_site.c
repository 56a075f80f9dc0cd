#include "collector-ui/api/sensor_site.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/api_private.h"

void sensor_site_read(struct api *api, const char *sensor_id, char site[SENSOR_LABEL_BYTES])
{
    static const struct sensor_label wanted = {.key = "site", .key_length = 4};
    struct config_push *const push = atomic_load(&api->push);
    struct config_push_labels labels = {0};
    struct sensor_label found = {0};

    if (push != NULL) {
        config_push_labels_read(push, sensor_id, &labels);
    }
    if (!sensor_labels_find(labels.set, &wanted, &found) &&
        !sensor_labels_find(labels.own, &wanted, &found)) {
        found.value_length = 0;
    }
    (void)snprintf(site, SENSOR_LABEL_BYTES, "%.*s", (int)found.value_length,
                   found.value_length > 0 ? found.value : "");
}

int sensor_sites_read(struct api *api, struct sensor_sites *out)
{
    uint32_t count = 0;
    struct sensor_info *const list = sensor_registry_all(api->registry, clock_wall_ns(), &count);

    *out = (struct sensor_sites){.items = calloc((size_t)count + 1, sizeof(*out->items))};
    if (list == NULL || out->items == NULL) {
        free(list);
        sensor_sites_fini(out);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct sensor_site *const one = &out->items[out->count++];

        memcpy(one->sensor_id, list[i].sensor_id, sizeof(one->sensor_id));
        sensor_site_read(api, one->sensor_id, one->site);
    }
    free(list);
    return 0;
}

void sensor_sites_fini(struct sensor_sites *sites)
{
    free(sites->items);
    *sites = (struct sensor_sites){0};
}

static int by_id(const void *sensor_id, const void *item)
{
    return strcmp(sensor_id, ((const struct sensor_site *)item)->sensor_id);
}

const char *sensor_sites_find(const struct sensor_sites *sites, const char *sensor_id)
{
    const struct sensor_site *const found =
        sites->count == 0
            ? NULL
            : bsearch(sensor_id, sites->items, sites->count, sizeof(*sites->items), by_id);

    return found != NULL ? found->site : "";
}
