/* Sensors that are dialed: their start, and what is told of them. */
#include <assert.h>
#include <string.h>

#include "collector-ui/app_private.h"

int app_open_dials(struct app *app, struct error *err)
{
    app->dials = dial_source_new(&app->settings->dial, app->ingest, app->runtime, err);
    if (app->dials == NULL) {
        return -err->code;
    }
    api_tell_dials(app->api, app_count_dials);
    return 0;
}

uint32_t app_count_dials(void *context, struct api_dial_counts out[API_DIALS_MAX])
{
    static_assert(API_DIALS_MAX >= DIALS_MAX, "a row each");
    const struct app *app = context;
    struct dial_counts counts[DIALS_MAX];
    const uint32_t count = dial_source_counts(app->dials, counts);

    for (uint32_t i = 0; i < count; i++) {
        const struct dial_counts *c = &counts[i];

        out[i] = (struct api_dial_counts){.is_connected = c->state == DIAL_STREAMING,
                                          .attempts = c->attempts,
                                          .connections = c->connected,
                                          .disconnections = c->lost_connections,
                                          .messages = c->messages,
                                          .undecodable = c->undecodable,
                                          .taken = c->taken,
                                          .known = c->known,
                                          .lost = c->lost,
                                          .passed = c->passed,
                                          .refused = c->refused,
                                          .before = c->before};
        memcpy(out[i].name, c->name, sizeof(out[i].name));
        memcpy(out[i].sensor_id, c->sensor_id, sizeof(out[i].sensor_id));
    }
    return count;
}
