/* Alerts of sensors and of the fleet on their way into the store: to detection over the fleet,
 * which may explain them, and to the receivers. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "collector-ui/app_private.h"

static void recall(void *context, const uint8_t *record, size_t length)
{
    const struct app *app = context;

    router_recall(app->router, record, length);
}

static struct route_said look(void *context, const struct alert_record *alert, uint64_t wall_ns)
{
    const struct app *app = context;
    struct triage_note note;

    (void)triage_look(app->triage, alert, wall_ns, &note);
    return (struct route_said){.is_silenced = note.silence_id[0] != '\0',
                               .is_acknowledged = note.is_acknowledged};
}

static uint64_t revision(void *context)
{
    const struct app *app = context;

    return triage_revision(app->triage);
}

int app_open_router(struct app *app, struct error *err)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/route", app->directory);
    app->said = (struct route_triage){.context = app, .look = look, .revision = revision};
    app->router = router_new(&app->settings->route, path, &app->said, err);
    if (app->router == NULL) {
        return -err->code;
    }
    history_each_open_alert(app->history, recall, app);
    return 0;
}

/* The record with the identity that its batch has left out. */
static void offer(const struct app *app, const struct ingest_batch *batch,
                  const struct codec_slice *record, uint64_t seq)
{
    static uint8_t whole[CODEC_ALERT_BYTES_MAX + CODEC_IDENTITY_BYTES_MAX]; /* of the log thread */
    const struct record_identity identity = {
        .sensor_id = {batch->sensor_id, (uint32_t)strlen(batch->sensor_id)},
        .boot_id = {batch->boot_id, (uint32_t)strlen(batch->boot_id)},
        .seq = seq};

    if (record->length > CODEC_ALERT_BYTES_MAX) {
        return; /* none of ours: the store counts it as undecodable, too */
    }
    memcpy(whole, record->bytes, record->length);
    const size_t more =
        codec_append_identity(&identity, whole + record->length, CODEC_IDENTITY_BYTES_MAX);

    if (more > 0) {
        router_offer(app->router, whole, record->length + more, batch->receive_ns);
    }
}

void app_take_alerts(struct app *app, const struct ingest_batch *batch)
{
    struct codec_batch head;

    if ((app->fleet == NULL && app->router == NULL) ||
        !codec_decode_batch(batch->message, batch->length, &head, app->slices, NOTED_RECORDS_MAX)) {
        return;
    }
    for (uint32_t i = 0; i < head.record_count; i++) {
        const struct codec_slice *record = &app->slices[i];

        if (app->fleet != NULL) {
            arena_reset(app->scratch);
            if (codec_decode_alert(record->bytes, record->length, app->scratch, &app->noted)) {
                fleet_detector_note(app->fleet, batch->sensor_id, &app->noted);
            }
        }
        if (app->router != NULL) {
            offer(app, batch, record, batch->first_seq + i);
        }
    }
}

uint32_t app_count_receivers(void *context, struct api_receiver_counts out[API_RECEIVERS_MAX])
{
    static_assert(API_RECEIVERS_MAX >= ROUTE_RECEIVERS_MAX, "a row each");
    const struct app *app = context;
    struct route_counts counts[ROUTE_RECEIVERS_MAX];
    const uint32_t count = app->router == NULL ? 0 : router_counts(app->router, counts);

    for (uint32_t i = 0; i < count; i++) {
        out[i] = (struct api_receiver_counts){.name = counts[i].name,
                                              .taken = counts[i].taken,
                                              .sent = counts[i].sent,
                                              .passed_over = counts[i].passed_over,
                                              .silenced = counts[i].silenced,
                                              .refused = counts[i].refused,
                                              .expired = counts[i].expired,
                                              .dropped = counts[i].dropped,
                                              .waiting = counts[i].waiting,
                                              .repeated = counts[i].repeated,
                                              .retries = counts[i].retries,
                                              .forgotten = counts[i].forgotten,
                                              .is_failing = counts[i].is_failing};
    }
    return count;
}
