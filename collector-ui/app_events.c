/* Detection over the fleet, and what ingest tells the other parts. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "collector-ui/app_private.h"
#include "proto/ingest_message.h"

#define SCRATCH_BYTES ((size_t)1 << 20)

/* ---- detection over the fleet ---- */

/* The same after a restart, or sensors would have to begin their windows anew. */
static int read_seed(const struct app *app, uint64_t *seed, struct error *err)
{
    char path[PATH_BYTES];
    char text[32] = "";

    (void)snprintf(path, sizeof(path), "%s/sketch_seed", app->directory);
    FILE *file = fopen(path, "re");

    if (file != NULL) {
        const bool is_read = fgets(text, sizeof(text), file) != NULL;
        const unsigned long long value = is_read ? strtoull(text, NULL, 16) : 0;

        (void)fclose(file);
        if (value != 0) {
            *seed = value;
            return 0;
        }
    }
    const int handle = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    *seed = hash_key_random().a | 1;
    if (handle < 0 || dprintf(handle, "%016llx\n", (unsigned long long)*seed) < 0) {
        const int code = errno;

        if (handle >= 0) {
            (void)close(handle);
        }
        return error_set(err, code, "write %s: %s", path, strerror(code));
    }
    (void)close(handle);
    return 0;
}

/* What is a hint by its detector's mode. */
static void log_incident(const struct alert_record *alert)
{
    log_info("detect", alert->description, "scope=fleet kind=%s state=%s severity=%s alert_id=%s",
             alert_kind_name((enum alert_kind)alert->kind),
             alert_state_name((enum alert_state)alert->state),
             severity_name((enum severity)alert->severity), alert->alert_id);
}

int app_open_push(struct app *app, struct error *err)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/desired_configs", app->directory);
    app->push = config_push_open(&app->settings->push, (uint32_t)app->settings->ingest.sensors_max,
                                 path, err);
    if (app->push == NULL) {
        return -err->code;
    }
    history_each_position(app->history, app_know_sensor, app);
    return 0;
}

static bool send_offer(void *context, const char *sensor_id,
                       const struct ingest_config_offer *offer)
{
    const struct app *app = context;
    char id[2 * INGEST_SENSOR_ID_BYTES];

    if (!ingest_offer_config(app->ingest, sensor_id, offer)) {
        return false;
    }
    log_info("push", "a sensor is offered settings", "sensor=%s offer=%s bytes=%zu",
             log_quote(sensor_id, id, sizeof(id)),
             offer->offer_id[0] != '\0' ? offer->offer_id : "none", offer->yaml_bytes);
    return true;
}

void app_tick_push(struct app *app)
{
    config_push_tick(app->push, send_offer, app);
}

static void store_alert(void *context, const struct alert_record *alert)
{
    struct app *app = context;

    if (alert->is_logged) {
        log_incident(alert);
        return;
    }
    uint8_t *bytes = malloc(CODEC_ALERT_BYTES_MAX);
    const size_t length =
        bytes == NULL ? 0 : codec_encode_alert(alert, bytes, CODEC_ALERT_BYTES_MAX);

    if (length == 0 || !ingest_local(app->ingest, RECORD_ALERTS, bytes, (uint32_t)length)) {
        log_warn("detect", "a fleet alert was lost: the log takes nothing", NULL);
    }
    free(bytes);
}

/* Nobody has given it what the operator wants to stand in alerts. */
static void store_silence(void *context, const struct alert_record *alert)
{
    const struct app *app = context;
    struct alert_record *noted = malloc(sizeof(*noted));

    if (noted == NULL) {
        store_alert(context, alert);
        return;
    }
    *noted = *alert;
    alert_notes_put(app->notes, noted);
    store_alert(context, noted);
    free(noted);
}

int app_open_watch(struct app *app, struct error *err)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/expected_sensors", app->directory);
    const struct sensor_watch_parts parts = {.registry = app->registry,
                                             .heartbeat_ns = app->settings->ingest.heartbeat_ns,
                                             .path = path,
                                             .emit = store_silence,
                                             .context = app};

    app->watch =
        sensor_watch_new(&app->settings->fleet, &parts, clock_wall_ns(), clock_monotonic_ns(), err);
    return app->watch == NULL ? -err->code : 0;
}

/* In the data directory, unless it is off. */
static int keep_learnt(struct app *app, struct error *err)
{
    const struct analysis_section *analysis = &app->settings->analysis;
    const struct learnt_file_settings learnt = {.path = app->learnt_path,
                                                .interval_ns = analysis->learnt_interval_ns,
                                                .max_age_ns = analysis->learnt_max_age_ns};

    (void)snprintf(app->learnt_path, sizeof(app->learnt_path), "%s/learnt", app->directory);
    return app->detection.keeps_learnt ? fleet_detector_keep(app->fleet, &learnt, err) : 0;
}

int app_open_fleet(struct app *app, struct error *err)
{
    if (detection_compile(&app->settings->anomalies, app->config, &app->detection, err) != 0) {
        return -err->code;
    }
    app->notes = &app->detection.notes;
    if (!app->detection.enabled) {
        return 0;
    }
    app->detection.scope = ALERT_FLEET_SCOPE;
    app->detection.identity = hash_mix(ALERT_FLEET_SCOPE);
    app->detection.keeps_learnt = app->settings->analysis.keep_learnt;
    config_hash_text(app->config, app->detection.config_hash);
    app->scratch = arena_new(SCRATCH_BYTES);
    if (app->scratch == NULL) {
        return error_set(err, ENOMEM, "detection: no memory");
    }
    if (read_seed(app, &app->detection.seed, err) != 0) {
        return -err->code;
    }
    app->fleet = fleet_detector_new(&app->detection, store_alert, app, err);
    if (app->fleet == NULL || keep_learnt(app, err) != 0) {
        return -err->code;
    }
    struct fleet_counts counts;

    fleet_detector_counts(app->fleet, &counts);
    log_info("detect", "fleet detectors sized", "memory_bytes=%llu",
             (unsigned long long)counts.memory_bytes);
    return 0;
}

static void count_learnt(const struct learnt_file_counts *from, struct api_detection_counts *out)
{
    out->learnt.is_kept = true;
    out->learnt.saved = counter_get(&from->saved);
    out->learnt.failed = counter_get(&from->failed);
    out->learnt.refused = counter_get(&from->refused);
    out->learnt.subjects = counter_get(&from->subjects);
    out->learnt.left_out = counter_get(&from->left_out);
    out->learnt.bytes = counter_get(&from->bytes);
    out->learnt.saved_wall_sec = counter_get(&from->saved_wall_sec);
}

void app_count_detection(void *context, struct api_detection_counts *out)
{
    const struct app *app = context;
    static_assert(ARRAY_COUNT(out->frames) >= FLEET_VERDICT_COUNT, "a row each");
    static_assert(ARRAY_COUNT(out->detectors) >= DETECTORS_MAX, "a row each");
    struct fleet_counts counts;

    if (app->fleet == NULL) {
        return;
    }
    fleet_detector_counts(app->fleet, &counts);
    out->is_on = true;
    for (uint32_t i = 0; i < FLEET_VERDICT_COUNT; i++) {
        out->frames[i].verdict = fleet_verdict_name((enum fleet_verdict)i);
        out->frames[i].count = counts.sketches[i];
    }
    out->frames_count = FLEET_VERDICT_COUNT;
    out->seconds = counts.seconds;
    out->alerts = counts.alerts;
    out->sensors = counts.sensors;
    out->memory_bytes = counts.memory_bytes;
    memcpy(out->detectors, counts.detectors, sizeof(counts.detectors));
    out->detectors_count = counts.detectors_count;
    if (fleet_detector_learnt(app->fleet) != NULL) {
        count_learnt(fleet_detector_learnt(app->fleet), out);
    }
}

/* What to look at: a sensor whose sketches are refused is missing in what the fleet detects. */
static const char *sketch_cure(enum fleet_verdict verdict)
{
    switch (verdict) {
    case FLEET_AHEAD:
        return "its clock is ahead of this machine's by more than half a minute: synchronise both "
               "(NTP)";
    case FLEET_LATE:
        return "its clock is behind, or its records come late";
    case FLEET_MALFORMED:
    case FLEET_OTHER_ENCODING:
        return "sensor and collector are of different versions";
    default:
        return "it goes on with the collector's seed when it connects again";
    }
}

static void tell_sketch(void *context, const struct ingest_sketch_told *told)
{
    static struct log_limit limit;
    const struct app *app = context;

    if (app->fleet == NULL || told->kind != INGEST_SKETCH_DETECTION_FRAME) {
        return;
    }
    const enum fleet_verdict verdict =
        fleet_detector_sketch(app->fleet, &(struct fleet_sketch){.sensor_id = told->sensor_id,
                                                                 .epoch = told->epoch,
                                                                 .seed_id = told->seed_id,
                                                                 .encoding = told->encoding,
                                                                 .bytes = told->bytes,
                                                                 .length = told->length,
                                                                 .wall_ns = clock_wall_ns(),
                                                                 .now_ns = clock_monotonic_ns()});

    if (verdict != FLEET_TAKEN && log_allowed(&limit, 10 * NS_PER_SEC, NULL)) {
        char id[258], cure[160];

        log_warn("detect", "a sketch was refused", "sensor=%s reason=%s cure=%s",
                 log_quote(told->sensor_id, id, sizeof(id)), fleet_verdict_name(verdict),
                 log_quote(sketch_cure(verdict), cure, sizeof(cure)));
    }
}

/* ---- captures ---- */

static int send_command(void *context, const char *sensor_id, const struct ingest_command *command)
{
    const struct app *app = context;

    return ingest_command(app->ingest, sensor_id, command);
}

static enum rpc_status bind_call(void *context, struct rpc_call *call, const char *sensor_id,
                                 struct error *reason)
{
    const struct app *app = context;

    return ingest_bind(app->ingest, call, sensor_id, reason);
}

int app_open_captures(struct app *app, struct error *err)
{
    const struct captures_parts parts = {
        .runtime = app->runtime, .send = send_command, .bind = bind_call, .context = app};

    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/captures", app->directory);
    app->captures = captures_new(&app->settings->captures, &parts, err);
    if (app->captures != NULL) {
        app->files = capture_files_open(&app->settings->captures, path, app->captures, err);
    }
    return app->files == NULL ? -err->code : 0;
}

/* ---- ingest tells history and registry ---- */

static bool store_batch(void *context, const struct ingest_batch *batch)
{
    struct app *app = context;
    struct history_batch out = {.sensor_id = {batch->sensor_id, (uint32_t)strlen(batch->sensor_id)},
                                .stream = batch->stream,
                                .lane = batch->lane,
                                .first_seq = batch->first_seq,
                                .record_count = batch->record_count,
                                .receive_ns = batch->receive_ns,
                                .log_position = batch->log_position,
                                .message = batch->message,
                                .length = batch->length};

    (void)snprintf(out.boot_id, sizeof(out.boot_id), "%s", batch->boot_id);
    if (batch->stream == RECORD_ALERTS) {
        app_take_alerts(app, batch);
    }
    if (app->grpc != NULL) {
        fleet_grpc_feed(app->grpc, batch->sensor_id, batch->message, batch->length);
    }
    app_note_clickhouse(app, batch);
    return history_offer(app->history, &out);
}

static uint64_t stored_position(void *context)
{
    const struct app *app = context;

    return history_log_position(app->history);
}

static uint64_t needed_position(void *context)
{
    const struct app *app = context;

    return app_clickhouse_position(app, history_log_position(app->history));
}

static void each_position(void *context,
                          void (*each)(void *argument, const char *sensor_id, const char *boot_id,
                                       enum record_stream stream, uint32_t lane, uint64_t next_seq),
                          void *argument)
{
    const struct app *app = context;

    history_each_position(app->history, each, argument);
}

static void tell_gap(void *context, const char *sensor_id, const char *boot_id,
                     enum record_stream stream, uint64_t from_seq, uint64_t to_seq)
{
    const struct app *app = context;

    history_gap(app->history, sensor_id, boot_id, stream, from_seq, to_seq);
}

static bool tell_connected(void *context, const struct ingest_peer *peer)
{
    const struct app *app = context;
    struct sensor_info info = {.connected_ns = peer->connected_ns, .is_relayed = peer->is_relayed};

    (void)snprintf(info.sensor_id, sizeof(info.sensor_id), "%s", peer->sensor_id);
    (void)snprintf(info.boot_id, sizeof(info.boot_id), "%s", peer->boot_id);
    (void)snprintf(info.version, sizeof(info.version), "%s", peer->version);
    (void)snprintf(info.host_name, sizeof(info.host_name), "%s", peer->host_name);
    (void)snprintf(info.peer, sizeof(info.peer), "%s", peer->peer);
    (void)snprintf(info.config_hash, sizeof(info.config_hash), "%s", peer->config_hash);
    if (!sensor_registry_connected(app->registry, &info)) {
        return false;
    }
    config_push_connected(app->push, peer->sensor_id, peer->boot_id, peer->labels);
    return true;
}

static void tell_disconnected(void *context, const char *sensor_id, const char *boot_id)
{
    const struct app *app = context;

    sensor_registry_disconnected(app->registry, sensor_id, boot_id);
    config_push_disconnected(app->push, sensor_id, boot_id);
    captures_disconnected(app->captures, sensor_id);
}

static void tell_config_status(void *context, const char *sensor_id,
                               const struct ingest_config_status *status)
{
    const struct app *app = context;

    config_push_told(app->push, sensor_id, status);
}

static void tell_goodbye(void *context, const char *sensor_id)
{
    const struct app *app = context;

    sensor_registry_goodbye(app->registry, sensor_id);
}

static void tell_seen(void *context, const char *sensor_id, uint64_t now_ns)
{
    const struct app *app = context;

    sensor_registry_seen(app->registry, sensor_id, now_ns);
}

static void tell_clock(void *context, const char *sensor_id, double offset_ms)
{
    const struct app *app = context;

    sensor_registry_clock(app->registry, sensor_id, offset_ms);
}

static void tell_records(void *context, const char *sensor_id, uint64_t received,
                         uint64_t duplicate, uint64_t lost)
{
    const struct app *app = context;

    sensor_registry_records(app->registry, sensor_id, received, duplicate, lost);
}

static void tell_stats(void *context, const char *sensor_id, const struct stats_record *stats)
{
    const struct app *app = context;

    sensor_registry_stats(app->registry, sensor_id, stats);
}

static void tell_result(void *context, const char *sensor_id,
                        const struct ingest_command_result *result)
{
    const struct app *app = context;

    captures_result(app->captures, sensor_id, result);
}

static void tell_assets(void *context, const char *sensor_id, const uint8_t *bytes, size_t length)
{
    const struct app *app = context;

    fleet_assets_take(app->assets, sensor_id, bytes, length, clock_wall_ns());
}

static enum rpc_status admit(void *context, struct rpc_call *call, const char *path,
                             struct error *reason)
{
    const struct app *app = context;

    return fleet_grpc_authorize(app->grpc, call, path, reason);
}

int app_open_revocations(struct app *app, struct error *err)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/revocations", app->directory);
    app->revocations = revocations_open(path, err);
    return app->revocations == NULL ? -err->code : 0;
}

static uint64_t revoked_since(void *context, const char *name)
{
    const struct app *app = context;
    struct revocation one;

    return revocations_find(app->revocations, name, &one) ? one.time_ns : 0;
}

uint32_t app_check_streams(void *context)
{
    const struct app *app = context;

    return ingest_check_streams(app->ingest);
}

void app_fill_events(struct app *app)
{
    app->events = (struct ingest_events){
        .context = app,
        .store = store_batch,
        .stored_position = stored_position,
        .needed_position = needed_position,
        .each_position = each_position,
        .gap = tell_gap,
        .connected = tell_connected,
        .disconnected = tell_disconnected,
        .goodbye = tell_goodbye,
        .seen = tell_seen,
        .clock = tell_clock,
        .records = tell_records,
        .stats = tell_stats,
        .sketch = tell_sketch,
        .config_status = tell_config_status,
        .command_result = tell_result,
        .revoked = revoked_since,
        .assets = app->settings->assets.assets_max > 0 ? tell_assets : NULL,
        .admit_other = strcmp(app->settings->grpc.enabled, "on") == 0 ? admit : NULL,
        .sketch_seed = app->fleet != NULL ? app->detection.seed : 0};
}

/* Sensors that reported in an earlier life are known as offline. */
void app_know_sensor(void *context, const char *sensor_id, const char *boot_id,
                     enum record_stream stream, uint32_t lane, uint64_t next_seq)
{
    struct app *app = context;
    struct sensor_info info = {0};

    (void)stream, (void)lane, (void)next_seq;
    if (strcmp(sensor_id, INGEST_LOCAL_SENSOR) == 0) {
        return; /* the collector itself */
    }
    (void)snprintf(info.sensor_id, sizeof(info.sensor_id), "%s", sensor_id);
    (void)snprintf(info.boot_id, sizeof(info.boot_id), "%s", boot_id);
    if (!sensor_registry_connected(app->registry, &info)) {
        log_warn("app", "the store knows more sensors than ingest.sensors_max", NULL);
    }
    config_push_know(app->push, sensor_id);
}
