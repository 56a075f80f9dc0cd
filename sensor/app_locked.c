/* What the collector may not change, and what else settings that it offers must be. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sensor/app_private.h"

static bool is_below(const char *path, const char *section)
{
    const size_t length = strlen(section);

    return strncmp(path, section, length) == 0 && (path[length] == '\0' || path[length] == '.');
}

struct search {
    const struct config_list *locked;
    char *found; /* "": none yet */
};

static void look_at(void *context, const char *path, bool is_hot)
{
    const struct search *search = context;
    bool is_locked = is_below(path, "collector");

    (void)is_hot;
    for (uint32_t i = 0; i < search->locked->count && !is_locked; i++) {
        is_locked = is_below(path, search->locked->items[i]);
    }
    if (is_locked && search->found[0] == '\0') {
        (void)snprintf(search->found, CONFIG_PATH_BYTES, "%s", path);
    }
}

int app_offer_judge(const struct sensor_settings *wanted, const struct config *candidate,
                    const struct config *alone, const struct config_list *locked, struct error *err)
{
    char path[CONFIG_PATH_BYTES] = "";
    struct search search = {.locked = locked, .found = path};

    (void)config_compare(alone, candidate, look_at, &search);
    if (path[0] != '\0') {
        (void)error_set(err, EPERM,
                        "%s is locked by this sensor's own file (locked_keys): the collector may "
                        "not change it",
                        path);
        return config_refuse(candidate, path, err);
    }
    if (app_check_filter(wanted, NULL, err) != 0) {
        error_prefix(err, "capture.filter");
        return config_refuse(candidate, "capture.filter", err);
    }
    return app_check_addresses(wanted, err);
}

/* A slip of the pen would leave open what was meant to be locked. */
int app_offer_check(const struct sensor_settings *settings, const struct config *config,
                    struct error *err)
{
    const struct config_list *locked = &settings->collector.locked_keys;

    for (uint32_t i = 0; i < locked->count; i++) {
        if (!config_is_known(config, locked->items[i])) {
            (void)error_set(err, EINVAL,
                            "collector.locked_keys: '%.128s' is neither a section nor a setting",
                            locked->items[i]);
            return config_refuse(config, "collector.locked_keys", err);
        }
    }
    if (strcmp(settings->collector.apply_config, "file") == 0 &&
        app_state_directory(settings)[0] == '\0') {
        (void)error_set(err, EINVAL,
                        "collector.apply_config: file keeps settings in the state directory: set "
                        "sensor.state_directory");
        return config_refuse(config, "collector.apply_config", err);
    }
    return 0;
}
