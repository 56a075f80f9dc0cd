/* Assets of the fleet: their file, and when it is written. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/app_private.h"

#define SAVE_NS (300 * NS_PER_SEC)

static void path_of(const struct app *app, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/assets", app->directory);
}

int app_open_assets(struct app *app, struct error *err)
{
    char path[PATH_BYTES], aside[PATH_BYTES + 16], quoted[512];
    struct error fault = {0};

    app->assets =
        fleet_assets_new(&app->settings->assets, (uint32_t)app->settings->ingest.sensors_max, err);
    if (app->assets == NULL) {
        return -err->code;
    }
    path_of(app, path);
    if (app->settings->assets.assets_max > 0 &&
        fleet_assets_load(app->assets, path, clock_wall_ns(), &fault) != 0) {
        (void)snprintf(aside, sizeof(aside), "%s.damaged", path);
        (void)rename(path, aside);
        log_warn("assets", "assets of before are not known: sensors tell theirs anew",
                 "kept_as=%s reason=%s", aside, log_quote(fault.message, quoted, sizeof(quoted)));
    }
    return 0;
}

void app_save_assets(struct app *app)
{
    char path[PATH_BYTES], quoted[512];
    struct error err = {0};

    if (app->assets == NULL || app->settings->assets.assets_max == 0) {
        return;
    }
    path_of(app, path);
    const int code = -fleet_assets_save(app->assets, path, &err);

    if (code != 0 && code != app->assets_trouble) {
        log_warn("assets", "assets are not kept for the next start", "reason=%s",
                 log_quote(err.message, quoted, sizeof(quoted)));
    }
    app->assets_trouble = code;
}

void app_tick_assets(struct app *app, uint64_t now_ns)
{
    fleet_assets_tick(app->assets, clock_wall_ns());
    if (now_ns >= app->assets_due_ns) {
        if (app->assets_due_ns != 0) {
            app_save_assets(app);
        }
        app->assets_due_ns = now_ns + SAVE_NS;
    }
}
