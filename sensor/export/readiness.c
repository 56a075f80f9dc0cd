#include "sensor/export/readiness.h"

#include <stdio.h>

#include "sensor/pipeline/publisher.h"

static char *reason_room(struct readiness *out)
{
    return out->count < READINESS_REASONS_MAX ? out->reasons[out->count++] : NULL;
}

/* Records are safe in memory for now; a person must look after the disk. */
static void spool_reasons(struct pipeline *pipeline, struct readiness *out)
{
    struct stats_sink rows[PUBLISHER_SINKS_MAX] = {0};
    const uint32_t count = pipeline_sink_rows(pipeline, rows, PUBLISHER_SINKS_MAX);

    for (uint32_t i = 0; i < count; i++) {
        char *room = rows[i].spool_trouble[0] == '\0' ? NULL : reason_room(out);

        if (room != NULL) {
            (void)snprintf(room, sizeof(out->reasons[0]), "the spool of %.20s: %.120s",
                           rows[i].name, rows[i].spool_trouble);
        }
    }
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
    spool_reasons(pipeline, out);
    const uint32_t count = pipeline_interfaces(pipeline, interfaces, READINESS_REASONS_MAX);

    for (uint32_t i = 0; i < count; i++) {
        room = interfaces[i].up ? NULL : reason_room(out);
        if (room != NULL) {
            (void)snprintf(room, sizeof(out->reasons[0]), "interface %.*s is down or gone",
                           interfaces[i].name.length > 100 ? 100 : (int)interfaces[i].name.length,
                           interfaces[i].name.data);
        }
    }
}
