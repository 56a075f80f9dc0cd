/* Settings read again while the collector runs (SIGHUP), shown and checked (ConfigService). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/service/audit.h"
#include "base/service/notify.h"
#include "base/service/reload.h"
#include "collector-ui/app_private.h"

/* Rules that detection may still work by: kept until the end, 150 KiB a reload that changes any. */
struct generation {
    struct generation *next;
    struct detection_settings rules;
};

struct app_reload {
    struct generation *generations;
    bool is_look; /* nothing is put in force: neither are other secrets */
    struct collector_settings_all candidate; /* of the reload that is under way */
};

int app_check_settings(const struct collector_settings_all *settings, const struct config *config,
                       struct error *err)
{
    struct detection_settings *rules = calloc(1, sizeof(*rules));
    const int result = rules == NULL ? error_set(err, ENOMEM, "no memory")
                                     : detection_compile(&settings->anomalies, config, rules, err);

    free(rules);
    return result;
}

int app_check_addresses(const struct collector_settings_all *settings, struct error *err)
{
    int result = ingest_check(&settings->ingest, err);

    if (result == 0) {
        result = kafka_source_check(&settings->kafka_source, err);
    }
    if (result == 0) {
        result = clickhouse_check(&settings->clickhouse, err);
    }
    if (result == 0) {
        result = dial_check(&settings->dial, err);
    }

    if (result == 0) {
        result = api_check(&settings->web, err);
    }
    return result == 0 ? route_check(&settings->route, err) : result;
}

void app_set_log(const struct collector_settings_all *settings,
                 const struct collector_command *command)
{
    static const enum log_level levels[] = {LOG_INFO, LOG_DEBUG, LOG_TRACE};

    log_settings_apply(&settings->log, levels[command->verbosity < 2 ? command->verbosity : 2]);
}

static struct config *make(void *context, struct error *err)
{
    struct app *app = context;

    memset(&app->reload->candidate, 0, sizeof(app->reload->candidate));
    return collector_settings_new(&app->reload->candidate, err);
}

static void discard(void *context, struct config *candidate)
{
    (void)context;
    config_free(candidate);
}

static int load(void *context, struct config *candidate, const char *yaml, size_t length,
                struct error *err)
{
    const struct app *app = context;
    uint32_t kept;
    const int result = collector_command_load(app->command, candidate, yaml, length, err);

    return result == 0 && yaml != NULL /* a text that was printed has no secrets */
               ? config_keep_secrets(candidate, app->config, &kept, err)
               : result;
}

static int check(void *context, struct config *candidate, struct error *err)
{
    const struct app *app = context;

    if (app_check_settings(&app->reload->candidate, candidate, err) != 0 ||
        app_check_addresses(&app->reload->candidate, err) != 0) {
        return -err->code;
    }
    if (app->reload->is_look) {
        return 0;
    }
    if (ingest_read_tokens(app->ingest, err) != 0 ||
        (app->grpc != NULL && fleet_grpc_read_tokens(app->grpc, err) != 0)) {
        return -err->code;
    }
    return api_reload_users(app->api, err); /* last: it changes them at once */
}

static void use_rules(struct app *app)
{
    struct error err = {0};
    char quoted[512];

    struct generation *next = calloc(1, sizeof(*next));

    if (next == NULL ||
        detection_compile(&app->settings->anomalies, app->config, &next->rules, &err) != 0) {
        log_error("config", "the detectors go on with the rules before", "reason=%s",
                  log_quote(next == NULL ? "no memory" : err.message, quoted, sizeof(quoted)));
        free(next);
        return;
    }
    next->rules.scope = app->detection.scope;
    next->rules.identity = app->detection.identity;
    next->rules.seed = app->detection.seed;
    next->rules.keeps_learnt = app->detection.keeps_learnt;
    config_hash_text(app->config, next->rules.config_hash);
    next->next = app->reload->generations;
    app->reload->generations = next;
    app->notes = &next->rules.notes;
    if (app->fleet != NULL) {
        fleet_detector_use(app->fleet, &next->rules);
    }
}

/* Sensors are sent elsewhere, or stay again: what somebody must be able to account for. */
static void retune_ingest(struct app *app)
{
    struct ingest_counts before, after;
    char detail[320];

    ingest_counts_read(app->ingest, &before);
    const uint32_t sent = ingest_retune(app->ingest);

    ingest_counts_read(app->ingest, &after);
    if (before.is_draining == after.is_draining && sent == 0) {
        return;
    }
    (void)snprintf(detail, sizeof(detail), "redirect_to=%s sensors=%u",
                   app->settings->ingest.redirect_to, sent);
    log_note("ingest",
             after.is_draining ? "sensors are sent to another collector"
                               : "sensors are no longer sent to another collector",
             "%s", detail);
    audit_line("signal", NULL, "Redirect", "ok", detail);
}

static void use_dials(struct app *app)
{
    struct error err = {0};
    char quoted[512];

    if (dial_source_use(app->dials, &app->settings->dial, &err) != 0) {
        log_error("config", "sensors are dialed as before", "reason=%s",
                  log_quote(err.message, quoted, sizeof(quoted)));
    }
}

static void apply(void *context, struct reload_result *result)
{
    struct app *app = context;

    ingest_use_tokens(app->ingest);
    if (app->grpc != NULL) {
        fleet_grpc_use_tokens(app->grpc);
    }
    if (result->applied.count > 0) {
        app_set_log(app->settings, app->command);
        use_rules(app);
        retune_ingest(app);
        use_dials(app);
    }
}

/* `yaml` in place of the file (NULL: the file); looks, or puts in force. */
static void run_settings(struct app *app, const char *yaml, size_t length, bool does_apply,
                         struct reload_result *result)
{
    const struct reload_ops ops = {.context = app,
                                   .make = make,
                                   .discard = discard,
                                   .load = load,
                                   .check = check,
                                   .apply = apply,
                                   .file = yaml != NULL
                                               ? COLLECTOR_REQUEST_NAME
                                               : reload_file_name(app->command->config_path)};

    if (app->reload == NULL) {
        app->reload = calloc(1, sizeof(*app->reload));
    }
    if (app->reload == NULL) {
        *result = (struct reload_result){.is_refused = true};
        (void)snprintf(result->issue.reason, sizeof(result->issue.reason), "no memory");
        return;
    }
    app->reload->is_look = !does_apply;
    reload_run(&ops, app->config, yaml, length, does_apply, result);
}

static void reload_now(struct app *app, struct reload_result *result)
{
    notify_reloading();
    run_settings(app, NULL, 0, true, result);
    audit_reopen();
    reload_log(result, "settings read again", NULL);
    notify_ready();
}

void app_reload(struct app *app)
{
    struct reload_result result;

    reload_now(app, &result);
    audit_line("signal", NULL, "SIGHUP", result.is_refused ? "refused" : "ok",
               result.is_refused ? result.issue.reason : NULL);
    reload_result_free(&result);
}

/* ---- ConfigService ---- */

/* Whoever could change a collector's settings could let himself in: they are in its file alone. */
static void refuse_apply(struct control_request *request)
{
    request->verdict = CONTROL_OFF;
    (void)snprintf(request->reason, sizeof(request->reason),
                   "a collector's settings are changed in its file, then ReloadConfig or SIGHUP");
}

static void answer(struct app *app, struct control_request *request)
{
    char *text = NULL;

    request->text = NULL;
    if (request->kind == CONTROL_GET) {
        FILE *out = open_memstream(&text, &request->text_bytes);

        if (out != NULL) {
            config_print_yaml(app->config, out);
            request->text = fclose(out) == 0 ? text : NULL;
        }
    } else if (request->kind == CONTROL_VALIDATE) {
        run_settings(app, request->yaml, request->yaml_bytes, false, &request->result);
    } else if (request->kind == CONTROL_RELOAD) {
        reload_now(app, &request->result);
    } else {
        refuse_apply(request);
    }
    config_hash_text(app->config, request->hash);
    request->answer(request); /* it may free the request */
    free(text);
}

void app_answer_control(struct app *app)
{
    struct control_request *request;

    while ((request = control_take(&app->control)) != NULL) {
        answer(app, request);
    }
}

void app_reload_free(struct app *app)
{
    while (app->reload != NULL && app->reload->generations != NULL) {
        struct generation *next = app->reload->generations->next;

        free(app->reload->generations);
        app->reload->generations = next;
    }
    free(app->reload);
    app->reload = NULL;
}
