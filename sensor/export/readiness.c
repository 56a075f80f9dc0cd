#include "sensor/export/readiness.h"

#include <stdio.h>

static char *reason_room(struct readiness *out)
{
    return out->count < READINESS_REASONS_MAX ? out->reasons[out->count++] : NULL;
}

void readiness_read(struct pipeline *pipeline, struct readiness *out)
{
    struct stats_interface interfaces[READINESS_REASONS_MAX];
    char *room;

    out->count = 0;
    if (pipeline == NULL) {
        room = reason_room(out);
        (void)snprintf(room, sizeof(out->reasons[0]), "the capture has not started yet");
        return;
    }
    if (pipeline_is_finished(pipeline)) {
        room = reason_room(out);
        (void)snprintf(room, sizeof(out->reasons[0]), "the input has ended");
        return;
    }
    const uint32_t count = pipeline_interfaces(pipeline, interfaces, READINESS_REASONS_MAX);

    for (uint32_t i = 0; i < count; i++) {
        room = interfaces[i].up ? NULL : reason_room(out);
        if (room != NULL) {
            (void)snprintf(room, sizeof(out->reasons[0]), "interface %.*s is down",
                           interfaces[i].name.length > 100 ? 100 : (int)interfaces[i].name.length,
                           interfaces[i].name.data);
        }
    }
}
