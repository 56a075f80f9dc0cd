/* Settings that the collector offers over its stream: looked at whole, in force on trial, and gone
 * again where the stream does not hold afterwards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/service/audit.h"
#include "sensor/app_private.h"

#define ASK_NS     NS_PER_SEC /* between two questions whether the collector is there */
#define LOOK_NS    NS_PER_SEC /* likewise at what is lost on trial */
#define AUDIT_WHAT "ConfigOffer"

struct offered {
    char id[INGEST_OFFER_ID_BYTES];
    char *yaml; /* owned; NULL: none */
};

struct app_offer {
    struct offered held;  /* in force */
    struct offered trial; /* in force until the stream has held, or not */
    struct offered next;  /* waits for what ApplyConfig has on trial */
    uint64_t since_ns, deadline_ns, asked_ns, looked_ns;
    bool is_restart_due; /* of the trial: a part of it needs one */
    bool is_proving; /* the run was started with what is held, and the stream has not held yet */
    bool is_told;    /* the first status, once there is a sink */
    struct ingest_config_status status;
};

static void drop(struct offered *offered)
{
    free(offered->yaml);
    *offered = (struct offered){0};
}

static void move(struct offered *to, struct offered *from)
{
    drop(to);
    *to = *from;
    *from = (struct offered){0};
}

void app_offer_begin(struct app *app)
{
    struct app_offer *offer = calloc(1, sizeof(*offer));

    app->offer = offer;
    if (offer == NULL || !app_kept_take(app->command, offer->held.id)) {
        return;
    }
    offer->held.yaml = strdup(app->command->kept_offer);
    offer->is_proving = true;
    offer->status.state = INGEST_CONFIG_APPLYING;
    memcpy(offer->status.offer_id, offer->held.id, sizeof(offer->status.offer_id));
}

void app_offer_free(struct app *app)
{
    if (app->offer != NULL) {
        drop(&app->offer->held);
        drop(&app->offer->trial);
        drop(&app->offer->next);
        free(app->offer);
        app->offer = NULL;
    }
}

/* ---- telling ---- */

static void note(const struct app *app, const char *result, const char *detail)
{
    audit_line("collector", app->settings->collector.address, AUDIT_WHAT, result, detail);
}

static void tell(struct app *app)
{
    struct ingest_config_status *status = &app->offer->status;

    memcpy(status->config_hash, app->hash_now, sizeof(status->config_hash));
    if (app->collector != NULL) {
        collector_sink_tell_config(app->collector, status);
    }
}

static void tell_state(struct app *app, const char *id, enum ingest_config_state state,
                       const char *reason)
{
    struct ingest_config_status *status = &app->offer->status;

    *status = (struct ingest_config_status){.state = state};
    (void)snprintf(status->offer_id, sizeof(status->offer_id), "%s", id);
    (void)snprintf(status->reason, sizeof(status->reason), "%s", reason);
    tell(app);
}

/* Nothing has changed. */
static void fail(struct app *app, const char *id, const struct config_issue *issue)
{
    char quoted[700], detail[800];
    struct ingest_config_status *status = &app->offer->status;

    *status = (struct ingest_config_status){.state = INGEST_CONFIG_FAILED, .line = issue->line};
    (void)snprintf(status->offer_id, sizeof(status->offer_id), "%s", id);
    (void)snprintf(status->path, sizeof(status->path), "%s", issue->path);
    (void)snprintf(status->reason, sizeof(status->reason), "%s", issue->reason);
    tell(app);
    counter_add(&app->control.refused, 1);
    log_warn("config", "settings of the collector are refused; those before stay in force",
             "offer=%s reason=%s", id, log_quote(issue->reason, quoted, sizeof(quoted)));
    (void)snprintf(detail, sizeof(detail), "offer=%s %.640s", id, issue->reason);
    note(app, "refused", detail);
}

static void fail_for(struct app *app, const char *id, const char *reason)
{
    struct config_issue issue = {0};

    (void)snprintf(issue.reason, sizeof(issue.reason), "%s", reason);
    fail(app, id, &issue);
}

/* ---- the end of a trial ---- */

static enum ingest_config_state final_state(const struct app_offer *offer)
{
    return offer->is_restart_due ? INGEST_CONFIG_NEEDS_RESTART : INGEST_CONFIG_APPLIED;
}

/* Likewise for the next start, where that is wanted. */
static void hold(struct app *app, struct offered *offered)
{
    struct app_offer *offer = app->offer;
    struct error err = {0};
    char quoted[700];

    move(&offer->held, offered);
    offer->is_proving = false;
    if (app_kept_write(app->settings, offer->held.id, offer->held.yaml, &err) != 0) {
        log_warn("config", "settings of the collector are not kept for the next start",
                 "offer=%s reason=%s", offer->held.id,
                 log_quote(err.message, quoted, sizeof(quoted)));
        (void)snprintf(offer->status.reason, sizeof(offer->status.reason),
                       "in force, and not kept for the next start: %.500s", err.message);
    }
}

static void keep(struct app *app)
{
    struct app_offer *offer = app->offer;

    app_trial_drop(app);
    app_loss_reset(app);
    offer->status.state = final_state(offer);
    counter_add(&app->control.confirmed, 1);
    log_note("config", "the settings of the collector stay: its stream has held",
             "offer=%s config_hash=%s", offer->trial.id, app->hash_now);
    note(app, "confirmed", offer->trial.id);
    hold(app, &offer->trial);
    tell(app);
}

static void give_up(struct app *app, const char *reason)
{
    struct app_offer *offer = app->offer;
    char hash[17], detail[480];

    memcpy(hash, app->hash_now, sizeof(hash));
    app_trial_go_back(app);
    app_loss_reset(app);
    counter_add(&app->control.rolled_back, 1);
    log_warn("config", "the settings before those of the collector are in force again",
             "offer=%s reason=\"%s\" config_hash=%s", offer->trial.id, reason, app->hash_now);
    (void)snprintf(detail, sizeof(detail), "offer=%s hash=%s->%s %s", offer->trial.id, hash,
                   app->hash_now, reason);
    note(app, "rolled back", detail);
    tell_state(app, offer->trial.id, INGEST_CONFIG_ROLLED_BACK, reason);
    drop(&offer->trial);
}

/* The stream has held when the collector says something after so long on one call. */
static bool has_held(struct app *app, uint64_t now_ns)
{
    struct app_offer *offer = app->offer;
    struct collector_link link;

    collector_sink_link(app->collector, &link);
    const uint64_t from_ns =
        link.welcomed_ns > offer->since_ns ? link.welcomed_ns : offer->since_ns;
    const uint64_t held_ns = from_ns + app->settings->collector.apply_hold_ns;

    if (link.welcomed_ns != 0 && now_ns >= held_ns && now_ns >= offer->asked_ns + ASK_NS) {
        offer->asked_ns = now_ns;
        collector_sink_ask(app->collector);
    }
    return link.welcomed_ns != 0 && link.heard_ns >= held_ns;
}

static void watch_trial(struct app *app)
{
    const uint64_t now_ns = clock_monotonic_ns();
    struct app_offer *offer = app->offer;
    const bool is_held = has_held(app, now_ns);
    char reason[256];

    if (is_held || now_ns >= offer->looked_ns + LOOK_NS) {
        offer->looked_ns = now_ns;
        if (app_loss_is_worse(app, reason, sizeof(reason))) {
            give_up(app, reason);
            return;
        }
    }
    if (is_held) {
        keep(app);
    } else if (now_ns >= offer->deadline_ns) {
        give_up(app, "the stream to the collector did not hold within collector.apply_timeout");
    }
}

/* Of a start with kept settings. Without a stream it goes on with them, and the next one without.
 */
static void watch_start(struct app *app)
{
    struct app_offer *offer = app->offer;

    if (has_held(app, clock_monotonic_ns())) {
        app_kept_proved(app->settings);
        offer->is_proving = false;
        offer->status.state = INGEST_CONFIG_APPLIED;
        log_note("config", "the start with kept settings of the collector was well", "offer=%s",
                 offer->held.id);
        tell(app);
    }
}

/* ---- an offer ---- */

/* The collector wants nothing any more: the file is what was trusted before. */
static void take_nothing(struct app *app)
{
    struct reload_result result;

    if (app->offer->trial.yaml != NULL) {
        app_trial_go_back(app);
        app_loss_reset(app);
        drop(&app->offer->trial);
    }
    if (app->offer->held.yaml != NULL) {
        app_settings_run(app, NULL, 0, true, &result);
        reload_log(&result, "the collector wants no settings any more: the file holds alone",
                   app->hash_now);
        note(app, result.is_refused ? "refused" : "ok", "own settings again");
        reload_result_free(&result);
        drop(&app->offer->held);
        app->offer->is_proving = false;
        app_kept_drop(app->settings);
    }
    tell_state(app, "", INGEST_CONFIG_UNSET, "");
}

static void start_trial(struct app *app, struct offered *offered, struct reload_result *result)
{
    struct app_offer *offer = app->offer;
    char paths[512], detail[700];

    move(&offer->trial, offered);
    offer->since_ns = clock_monotonic_ns();
    offer->looked_ns = offer->since_ns;
    offer->deadline_ns = offer->since_ns + app->settings->collector.apply_timeout_ns;
    offer->asked_ns = 0;
    counter_add(&app->control.applied, 1);
    reload_log(result, "settings of the collector are in force on trial", app->hash_now);
    (void)snprintf(detail, sizeof(detail), "offer=%s hash=%s applied=%s", offer->trial.id,
                   app->hash_now, reload_text(&result->applied, paths, sizeof(paths)));
    note(app, "on trial", detail);
}

/* What may change at once does, and can go back. False: told. */
static bool put_in_force(struct app *app, struct offered *offered, struct reload_result *result)
{
    if (app_trial_is_spent(app)) {
        fail_for(app, offered->id, "as many changes as one run takes: restart the sensor");
        return false;
    }
    if (!app_trial_begin(app, &result->applied)) {
        fail_for(app, offered->id, "no memory");
        return false;
    }
    reload_result_free(result);
    app_loss_begin(app);
    app_settings_run_offer(app, offered->yaml, strlen(offered->yaml), true, result);
    if (result->is_refused) {
        app_trial_go_back(app);
        fail(app, offered->id, &result->issue);
        return false;
    }
    return true;
}

static void apply(struct app *app, struct offered *offered, struct reload_result *result)
{
    struct app_offer *offer = app->offer;
    const bool is_trial = result->applied.count > 0;

    if (is_trial && !put_in_force(app, offered, result)) {
        return;
    }
    offer->is_restart_due = result->needs_restart.count > 0;
    offer->status = (struct ingest_config_status){.state = INGEST_CONFIG_APPLYING};
    memcpy(offer->status.offer_id, offered->id, sizeof(offer->status.offer_id));
    if (offer->is_restart_due) {
        (void)reload_text(&result->needs_restart, offer->status.needs_restart,
                          sizeof(offer->status.needs_restart));
        (void)snprintf(offer->status.reason, sizeof(offer->status.reason),
                       strcmp(app->settings->collector.apply_config, "file") == 0
                           ? "these settings are in force from the next start of the sensor on"
                           : "these settings need a restart of the sensor, and its "
                             "collector.apply_config is run: they belong into its own file");
    }
    if (is_trial) {
        start_trial(app, offered, result);
    } else {
        offer->status.state = final_state(offer);
        reload_log(result, "settings of the collector change nothing at once", app->hash_now);
        note(app, "ok", offered->id);
        hold(app, offered);
    }
    tell(app);
}

static void take(struct app *app, struct offered *offered)
{
    struct app_offer *offer = app->offer;
    struct reload_result result;

    if (strcmp(app->settings->collector.apply_config, "off") == 0) {
        fail_for(app, offered->id,
                 "collector.apply_config is off: this sensor takes no settings of the collector");
        return;
    }
    if (offer->trial.yaml != NULL) {
        give_up(app, "newer settings were offered");
    }
    app_settings_run_offer(app, offered->yaml, strlen(offered->yaml), false, &result);
    if (result.is_refused) {
        fail(app, offered->id, &result.issue);
    } else {
        apply(app, offered, &result);
    }
    reload_result_free(&result);
}

void app_offer_take(struct app *app, struct control_request *request)
{
    struct app_offer *offer = app->offer;
    const struct ingest_config_status *status = offer == NULL ? NULL : &offer->status;

    if (offer == NULL) {
        return;
    }
    if (request->yaml[0] == '\0') {
        drop(&offer->next);
        take_nothing(app);
    } else if (strcmp(request->offer_id, status->offer_id) == 0) {
        tell(app); /* it was tried */
    } else {
        drop(&offer->next);
        memcpy(offer->next.id, request->offer_id, sizeof(offer->next.id));
        offer->next.yaml = TAKE(request->yaml);
    }
}

void app_offer_tick(struct app *app)
{
    struct app_offer *offer = app->offer;

    if (offer == NULL || app->collector == NULL) {
        return;
    }
    if (offer->is_proving && !offer->is_told) {
        offer->is_told = true;
        tell(app);
    }
    if (offer->trial.yaml != NULL) {
        watch_trial(app);
    } else {
        app_loss_note(app, clock_monotonic_ns());
        if (offer->is_proving) {
            watch_start(app);
        }
    }
    if (offer->next.yaml != NULL && (offer->trial.yaml != NULL || !app_apply_is_pending(app))) {
        struct offered next = {0};

        move(&next, &offer->next);
        take(app, &next);
        drop(&next);
    }
}

void app_offer_reloaded(struct app *app)
{
    struct app_offer *offer = app->offer;
    struct offered *from = offer == NULL               ? NULL
                           : offer->trial.yaml != NULL ? &offer->trial
                                                       : &offer->held;

    if (from == NULL || from->yaml == NULL || offer->next.yaml != NULL) {
        return;
    }
    move(&offer->next, from); /* over what the file says now */
    drop(&offer->trial);
}

/* ---- from the sink's thread ---- */

static void answered(struct control_request *request)
{
    free(request->yaml);
    free(request);
}

/* A NUL becomes what YAML refuses, too. */
static char *copy_text(const struct ingest_config_offer *offer)
{
    char *copy = malloc(offer->yaml_bytes + 1);

    for (size_t i = 0; copy != NULL && i < offer->yaml_bytes; i++) {
        copy[i] = offer->yaml[i];
        if (copy[i] == '\0') {
            copy[i] = '\1';
        }
    }
    if (copy != NULL) {
        copy[offer->yaml_bytes] = '\0';
    }
    return copy;
}

void app_on_offer(void *context, const struct ingest_config_offer *offer)
{
    struct app *app = context;
    struct control_request *request = calloc(1, sizeof(*request));

    if (request == NULL) {
        return; /* the collector offers it again on the next stream */
    }
    request->kind = CONTROL_OFFER;
    request->answer = answered;
    request->yaml = copy_text(offer);
    memcpy(request->offer_id, offer->offer_id, sizeof(request->offer_id));
    if (request->yaml == NULL || !control_ask(&app->control, request)) {
        answered(request);
    }
}
