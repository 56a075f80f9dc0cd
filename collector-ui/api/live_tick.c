/* What one tick of the live feed holds: the window of the store, and what is made of it once for
 * all clients. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "collector-ui/api/live_private.h"
#include "proto/codec.h"
#include "proto/json/transcoder.h"

#define ALERT_ARENA_BYTES ((size_t)1 << 20)
#define SITES_EVERY_NS    (5 * NS_PER_SEC)

void live_tick_fini(struct live_tick *tick)
{
    for (uint32_t i = 0;
         tick->alerts != NULL && tick->window != NULL && i < tick->window->alerts_count; i++) {
        free(tick->alerts[i]);
        free(tick->notes == NULL ? NULL : tick->notes[i]);
    }
    live_window_free(tick->window);
    free(tick->apps);
    free(tick->sensors);
    free(tick->states);
    free(tick->alerts);
    free(tick->alert_bytes);
    free(tick->notes);
    free(tick->note_bytes);
    sensor_sites_fini(&tick->sites);
    memset(tick, 0, sizeof *tick);
}

static void write_alert(void *context, struct json_writer *out)
{
    const struct live_alert *const alert = context;
    rest_record(out, "netscope.v1.AlertRecord",
                &(struct history_bytes){alert->record, alert->length});
}

static void write_note(void *context, struct json_writer *out)
{
    rest_record(out, "netscope.v1.AlertNote", context);
}

/* What people have said of the alerts of the tick. Without memory it is read by the next GET. */
static void tick_notes(struct live_feed *feed, struct live_tick *tick)
{
    struct triage *const triage = atomic_load(&feed->api->triage);
    const struct live_window *const w = tick->window;
    tick->said = triage == NULL ? 0 : triage_revision(triage);
    if (triage == NULL || w->alerts_count == 0) {
        return;
    }
    struct alert_record *const alert = malloc(sizeof *alert);
    AUTO(arena) arena = arena_new(ALERT_ARENA_BYTES);
    for (uint32_t i = 0; alert != NULL && arena != NULL && i < w->alerts_count; i++) {
        struct triage_note note;
        uint8_t bytes[API_NOTE_BYTES];
        arena_reset(arena);
        if (codec_decode_alert(w->alerts[i].record, w->alerts[i].length, arena, alert) &&
            triage_look(triage, alert, clock_wall_ns(), &note)) {
            struct history_bytes record = {
                bytes, (uint32_t)api_note_encode(&note, alert->alert_id, bytes)};
            tick->notes[i] = json_grown(write_note, &record, &tick->note_bytes[i]);
        }
    }
    free(alert);
}

static void sensor_states(struct live_feed *feed, struct live_tick *tick)
{
    uint32_t count;
    struct sensor_info *const list =
        sensor_registry_all(feed->api->registry, clock_wall_ns(), &count);
    for (uint32_t i = 0; i < tick->window->sensors_count; i++) {
        for (uint32_t n = 0; n < count; n++) {
            if (strcmp(list[n].sensor_id, tick->window->sensors[i].sensor_id) == 0) {
                tick->states[i] = list[n].state == SENSOR_LIVE    ? 0
                                  : list[n].state == SENSOR_STALE ? 1
                                                                  : 2;
                break;
            }
        }
    }
    free(list);
}

bool live_tick_make(struct live_feed *feed, double win_ms, struct live_tick *tick)
{
    memset(tick, 0, sizeof *tick);
    tick->window = history_take_live(feed->api->history);
    if (tick->window == NULL) {
        return false;
    }
    const struct live_window *const w = tick->window;
    tick->ts_ms = clock_wall_ns() / NS_PER_MS;
    tick->win_ms = win_ms;
    tick->apps = calloc((size_t)w->apps_count + 1, sizeof *tick->apps);
    tick->sensors = calloc((size_t)w->sensors_count + 1, sizeof *tick->sensors);
    tick->states = calloc((size_t)w->sensors_count + 1, sizeof *tick->states);
    tick->alerts = calloc((size_t)w->alerts_count + 1, sizeof *tick->alerts);
    tick->alert_bytes = calloc((size_t)w->alerts_count + 1, sizeof *tick->alert_bytes);
    tick->notes = calloc((size_t)w->alerts_count + 1, sizeof *tick->notes);
    tick->note_bytes = calloc((size_t)w->alerts_count + 1, sizeof *tick->note_bytes);
    if (tick->apps == NULL || tick->sensors == NULL || tick->states == NULL ||
        tick->alerts == NULL || tick->alert_bytes == NULL || tick->notes == NULL ||
        tick->note_bytes == NULL) {
        live_tick_fini(tick);
        return false;
    }
    for (uint32_t i = 0; i < w->alerts_count; i++) {
        tick->alerts[i] = json_grown(write_alert, &w->alerts[i], &tick->alert_bytes[i]);
    }
    tick_notes(feed, tick);
    sensor_states(feed, tick);
    const uint64_t now_ns = clock_monotonic_ns();
    if (now_ns >= feed->sites_due_ns && sensor_sites_read(feed->api, &tick->sites) == 0) {
        feed->sites_due_ns = now_ns + SITES_EVERY_NS;
    }
    return true;
}

void live_tick_name(struct live_feed *feed, struct live_tick *tick)
{
    const struct live_window *const w = tick->window;
    for (uint32_t i = 0; i < w->apps_count; i++) {
        tick->apps[i] = live_dict_app(&feed->dict, w->apps[i].name);
    }
    for (uint32_t i = 0; i < w->sensors_count; i++) {
        tick->sensors[i] = live_dict_sensor(&feed->dict, w->sensors[i].sensor_id);
        for (uint32_t n = 0; n < w->sensors[i].flows_count; n++) {
            (void)live_dict_app(&feed->dict, w->sensors[i].flows[n].app);
        }
    }
    for (uint32_t i = 0; i < tick->sites.count; i++) {
        live_dict_site(&feed->dict, tick->sites.items[i].sensor_id, tick->sites.items[i].site);
    }
    sensor_sites_fini(&tick->sites);
}
