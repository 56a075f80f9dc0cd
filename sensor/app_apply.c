/* Settings from a request: in force at once where they may be, in the file where that is allowed,
 * and gone again where they had to be confirmed and were not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/service/audit.h"
#include "base/service/settings_file.h"
#include "sensor/app_private.h"

/* Rules of detectors are kept until the end: a caller must not fill the memory with them. */
#define CHANGES_MAX 256

struct app_apply {
    struct settings_file file;
    uint32_t changes;
    /* What waits to be confirmed. */
    bool is_offer;        /* of the collector: app_offer.c decides */
    uint64_t deadline_ns; /* monotonic; 0: nothing does */
    struct sensor_settings before_settings;
    struct config *before;       /* the values before of `changed` */
    struct reload_paths changed; /* in force */
    char *yaml;                  /* for the file; NULL: it stays as it is */
    char hash_before[17];
};

static void forget(struct app_apply *apply)
{
    config_free(apply->before);
    apply->before = NULL;
    reload_paths_free(&apply->changed);
    free(apply->yaml);
    apply->yaml = NULL;
    apply->deadline_ns = 0;
    apply->is_offer = false;
}

static bool writes_file(const struct app *app)
{
    return strcmp(app->settings->grpc.apply_config, "file") == 0;
}

void app_apply_begin(struct app *app)
{
    struct error err = {0};
    char quoted[512];

    app->apply = calloc(1, sizeof(*app->apply));
    if (app->apply != NULL) {
        app->apply->file.path = app->command->config_path;
        settings_file_note(&app->apply->file);
        if (writes_file(app) && settings_file_check(&app->apply->file, &err) != 0) {
            log_warn("config", "grpc.apply_config is file, and the file cannot be written",
                     "reason=%s", log_quote(err.message, quoted, sizeof(quoted)));
        }
    }
}

void app_apply_free(struct app *app)
{
    if (app->apply != NULL) {
        forget(app->apply);
        free(app->apply);
        app->apply = NULL;
    }
}

void app_apply_reloaded(struct app *app)
{
    if (app->apply == NULL) {
        return;
    }
    if (app->apply->deadline_ns != 0 && !app->apply->is_offer) {
        log_note("config", "what waited to be confirmed gives way to the file", NULL);
    }
    forget(app->apply);
    settings_file_note(&app->apply->file);
}

/* False, for whoever stops. */
static bool stop_at(struct control_request *request, enum control_verdict verdict,
                    const char *reason)
{
    request->verdict = verdict;
    (void)snprintf(request->reason, sizeof(request->reason), "%s", reason);
    return false;
}

/* ---- going back ---- */

/* Values of `changed` as they are now, to go back to. False: no memory. */
static bool keep_before(struct app *app, const struct reload_paths *changed)
{
    struct app_apply *apply = app->apply;
    struct error err = {0};

    memset(&apply->before_settings, 0, sizeof(apply->before_settings));
    apply->before = sensor_settings_new(&apply->before_settings, &err);
    if (apply->before == NULL || reload_adopt(apply->before, app->config, changed, &err) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < changed->count; i++) {
        reload_add(&apply->changed, changed->items[i]);
    }
    memcpy(apply->hash_before, app->hash_now, sizeof(apply->hash_before));
    return apply->changed.count == changed->count;
}

static void go_back(struct app *app)
{
    struct reload_result result = {.applied = app->apply->changed};
    struct error err = {0};
    char quoted[512];

    if (reload_adopt(app->config, app->apply->before, &app->apply->changed, &err) != 0) {
        log_error("config", "the settings before are in force in part: restart", "reason=%s",
                  log_quote(err.message, quoted, sizeof(quoted)));
    }
    app_settings_changed(app, &result);
    app->apply->changes++;
}

void app_apply_tick(struct app *app)
{
    struct app_apply *apply = app->apply;
    char hash[17], paths[512], detail[700];

    if (apply == NULL || apply->deadline_ns == 0 || apply->is_offer ||
        clock_monotonic_ns() < apply->deadline_ns) {
        return;
    }
    memcpy(hash, app->hash_now, sizeof(hash));
    go_back(app);
    counter_add(&app->control.rolled_back, 1);
    (void)reload_text(&apply->changed, paths, sizeof(paths));
    log_warn("config", "nobody confirmed the settings: those before are in force again",
             "back=%s config_hash=%s", paths, app->hash_now);
    (void)snprintf(detail, sizeof(detail), "hash=%s->%s back=%s", hash, app->hash_now, paths);
    audit_line("timer", NULL, "ConfigService/ApplyConfig", "rolled back", detail);
    forget(apply);
}

/* ---- a request ---- */

/* False: the request has ended. */
static bool may_change(const struct app *app, struct control_request *request)
{
    if (strcmp(app->settings->grpc.apply_config, "off") == 0) {
        return stop_at(request, CONTROL_OFF,
                       "grpc.apply_config is off: this sensor takes its settings from its file "
                       "alone");
    }
    if (app->apply->deadline_ns != 0) {
        return stop_at(request, CONTROL_PENDING,
                       app->apply->is_offer
                           ? "settings of the collector are on trial: ReloadConfig or wait"
                           : "settings wait to be confirmed: ConfirmConfig, ReloadConfig or wait");
    }
    return app->apply->changes < CHANGES_MAX ||
           stop_at(request, CONTROL_NO_ROOM,
                   "as many changes as one run takes: restart the sensor");
}

static bool may_apply(const struct app *app, struct control_request *request)
{
    if (strcmp(request->expected_hash, app->hash_now) != 0) {
        return stop_at(request, CONTROL_STALE,
                       "the settings in force have another hash: GetConfig");
    }
    if (app->apply == NULL) {
        return stop_at(request, CONTROL_NO_ROOM, "no memory");
    }
    return request->is_dry_run || may_change(app, request);
}

/* The request's text takes the place of the file's. False: it stays, `request` says why. */
static bool write_file(struct app *app, struct control_request *request, const char *yaml)
{
    struct error err = {0};

    if (settings_file_write(&app->apply->file, yaml, strlen(yaml), &err) != 0) {
        return stop_at(request, CONTROL_NOT_WRITTEN, err.message);
    }
    request->is_written = true;
    return true;
}

/* What is written is the request's text: a secret of the file that it does not name would be lost.
 */
static bool loses_secrets(const struct app *app, struct control_request *request)
{
    if (!writes_file(app) || app_settings_kept_secrets(app) == 0) {
        return false;
    }
    (void)stop_at(
        request, CONTROL_NOT_WRITTEN,
        "the file holds a secret that the text masks or lacks: name it, or keep it in a file "
        "of its own");
    return true;
}

static void put_in_force(struct app *app, struct control_request *request)
{
    struct app_apply *apply = app->apply;
    char *yaml = strdup(request->yaml);

    if (yaml == NULL || !keep_before(app, &request->result.applied)) {
        (void)stop_at(request, CONTROL_NO_ROOM, "no memory");
        free(yaml);
        forget(apply);
        return;
    }
    apply->yaml = yaml;
    reload_result_free(&request->result);
    app_settings_run(app, request->yaml, request->yaml_bytes, true, &request->result);
    apply->changes += apply->changed.count > 0;
    if (request->result.is_refused ||
        (writes_file(app) && request->confirm_ns == 0 && !write_file(app, request, yaml))) {
        go_back(app);
        forget(apply);
    } else if (request->confirm_ns == 0) {
        forget(apply);
    } else {
        apply->deadline_ns = clock_monotonic_ns() + request->confirm_ns;
        request->is_pending = true;
    }
}

void app_apply(struct app *app, struct control_request *request)
{
    memcpy(request->hash_before, app->hash_now, sizeof(request->hash_before));
    if (!may_apply(app, request)) {
        counter_add(&app->control.refused, 1);
        return;
    }
    app_settings_run(app, request->yaml, request->yaml_bytes, false, &request->result);
    if (!request->result.is_refused && !request->is_dry_run && !loses_secrets(app, request)) {
        put_in_force(app, request);
    }
    const bool is_refused = request->result.is_refused || request->verdict != CONTROL_DONE;

    if (request->is_dry_run) {
        return;
    }
    counter_add(is_refused ? &app->control.refused : &app->control.applied, 1);
    if (!is_refused) {
        reload_log(&request->result, "settings taken from a request", app->hash_now);
    }
}

bool app_apply_is_pending(const struct app *app)
{
    return app->apply != NULL && app->apply->deadline_ns != 0;
}

void app_confirm(struct app *app, struct control_request *request)
{
    struct app_apply *apply = app->apply;

    memcpy(request->hash_before, app->hash_now, sizeof(request->hash_before));
    if (apply == NULL || apply->deadline_ns == 0 || apply->is_offer) {
        (void)stop_at(request, CONTROL_NOTHING,
                      "nothing waits to be confirmed: it is in force, or was "
                      "not confirmed in time; GetConfig tells");
    } else if (strcmp(request->expected_hash, app->hash_now) != 0) {
        (void)stop_at(request, CONTROL_STALE, "the settings in force have another hash: GetConfig");
    } else if (!writes_file(app) || write_file(app, request, apply->yaml)) {
        counter_add(&app->control.confirmed, 1);
        log_note("config", "the settings are confirmed", "config_hash=%s file_written=%s",
                 app->hash_now, request->is_written ? "yes" : "no");
        forget(apply);
    }
}

/* ---- likewise of the collector ---- */

bool app_trial_is_spent(const struct app *app)
{
    return app->apply == NULL || app->apply->changes >= CHANGES_MAX;
}

bool app_trial_begin(struct app *app, const struct reload_paths *changed)
{
    struct app_apply *apply = app->apply;

    if (apply == NULL || apply->deadline_ns != 0 || !keep_before(app, changed)) {
        if (apply != NULL && apply->deadline_ns == 0) {
            forget(apply);
        }
        return false;
    }
    apply->is_offer = true;
    apply->deadline_ns = UINT64_MAX;
    apply->changes++;
    return true;
}

void app_trial_go_back(struct app *app)
{
    go_back(app);
    forget(app->apply);
}

void app_trial_drop(struct app *app)
{
    forget(app->apply);
}
