/* What the operator says of networks: which are inside, and what they are called. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/app_private.h"

int app_read_internal(const struct sensor_settings *settings, struct ip_prefix **out,
                      struct error *err)
{
    const struct config_list *list = &settings->networks.internal;

    *out = NULL;
    if (list->count == 0) {
        return 0;
    }
    struct ip_prefix *prefixes = calloc(list->count, sizeof(*prefixes));
    if (prefixes == NULL) {
        return error_set(err, ENOMEM, "networks.internal: no memory");
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (!prefix_parse(list->items[i], strlen(list->items[i]), &prefixes[i])) {
            free(prefixes);
            return error_set(err, EINVAL, "networks.internal: '%s' is no prefix such as 10.0.0.0/8",
                             list->items[i]);
        }
    }
    *out = prefixes;
    return 0;
}

struct netlabels *app_read_labels(const struct sensor_settings *settings, struct error *err)
{
    const struct networks_section *from = &settings->networks;

    return netlabels_new(
        &(struct netlabel_settings){.lines = (const char *const *)from->labels.items,
                                    .lines_count = from->labels.count,
                                    .file = from->labels_file,
                                    .names = (const char *const *)from->names.items,
                                    .names_count = from->names.count,
                                    .names_file = from->names_file,
                                    .databases = (const char *const *)from->databases.items,
                                    .databases_count = from->databases.count,
                                    .prefixes_max = (uint32_t)from->labels_max},
        err);
}

int app_open_labels(struct app *app, struct error *err)
{
    AUTO(netlabels) labels = app_read_labels(app->settings, err);

    if (labels == NULL) {
        return -err->code;
    }
    /* Of a file nobody can name networks later: its records need no room for that. */
    if (!app->is_live && !app->is_service && !netlabels_has_any(labels)) {
        return 0;
    }
    app->labels = label_source_new(labels, err);
    if (app->labels == NULL) {
        return -err->code;
    }
    (void)TAKE(labels);
    app->pipeline_settings.labels = app->labels;
    return 0;
}
