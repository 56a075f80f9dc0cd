/* Settings read again while the sensor runs: by SIGHUP or by ConfigService. Nothing of it touches
 * the packet path but a pointer that each shard takes up at its next second, and a question that it
 * answers between two batches. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/service/audit.h"
#include "base/service/notify.h"
#include "base/service/reload.h"
#include "sensor/app_private.h"

/* Rules that shards may still work by: kept until the end, 150 KiB a reload that changes something.
 */
struct generation {
    struct generation *next;
    struct detection_settings rules;
};

struct app_reload {
    struct generation *generations;
    struct sensor_settings candidate; /* of the reload that is under way */
    struct grpc_access *access;       /* read for it; NULL: no tokens are wanted */
    uint32_t kept_secrets;
    bool is_offer; /* of the collector, over the file */
};

static struct config *make(void *context, struct error *err)
{
    struct app *app = context;

    memset(&app->reload->candidate, 0, sizeof(app->reload->candidate));
    return sensor_settings_new(&app->reload->candidate, err);
}

static void discard(void *context, struct config *candidate)
{
    (void)context;
    config_free(candidate);
}

static int load(void *context, struct config *candidate, const char *yaml, size_t length,
                struct error *err)
{
    struct app *app = context;
    int result = app->reload->is_offer
                     ? sensor_command_load_over(app->command, candidate, yaml, length, err)
                     : sensor_command_load(app->command, candidate, yaml, length, err);

    app->reload->kept_secrets = 0;
    if (result == 0 && yaml != NULL) { /* a text that was printed has none */
        result = config_keep_secrets(candidate, app->config, &app->reload->kept_secrets, err);
    }
    return result;
}

/* A text of the collector must be as good as the file at a start, and change nothing locked. What
 * it changes is told by the file without it. */
static int check_offer(const struct app *app, struct config *candidate, struct error *err)
{
    struct sensor_settings *settings = calloc(1, sizeof(*settings));
    AUTO(config) alone = settings == NULL ? NULL : sensor_settings_new(settings, err);
    uint32_t secrets;
    int result = alone == NULL ? error_set(err, ENOMEM, "no memory") : 0;

    if (result == 0) {
        result = sensor_command_load(app->command, alone, NULL, 0, err);
    }
    if (result == 0) {
        result = config_keep_secrets(alone, app->config, &secrets, err);
    }
    if (result == 0) {
        result = app_offer_judge(&app->reload->candidate, candidate, alone,
                                 &app->settings->collector.locked_keys, err);
    }
    config_free(TAKE(alone)); /* before what it fills */
    free(settings);
    return result;
}

static int check(void *context, struct config *candidate, struct error *err)
{
    const struct app *app = context;

    grpc_access_free(app->reload->access);
    app->reload->access = NULL;
    if (app->grpc != NULL && grpc_server_has_token(app->grpc)) {
        app->reload->access = grpc_access_read(app->settings->grpc.token_file, err);
        if (app->reload->access == NULL) {
            return -err->code;
        }
    }
    const int result = app_check_settings(&app->reload->candidate, candidate, err);

    return result == 0 && app->reload->is_offer ? check_offer(app, candidate, err) : result;
}

/* What is not a setting stays as it was at the start: seed, identity, warm-up. */
static void use_rules(struct app *app)
{
    const struct detection_settings *before = &app->pipeline_settings.detection;
    struct generation *next = calloc(1, sizeof(*next));
    struct error err = {0};
    char quoted[512];

    if (next == NULL ||
        detection_compile(&app->settings->anomalies, app->config, &next->rules, &err) != 0) {
        log_error("config", "the detectors go on with the rules before", "reason=%s",
                  log_quote(next == NULL ? "no memory" : err.message, quoted, sizeof(quoted)));
        free(next);
        return;
    }
    next->rules.seed = before->seed;
    next->rules.community_id = before->community_id;
    next->rules.community_id_seed = before->community_id_seed;
    next->rules.identity = before->identity;
    next->rules.keeps_learnt = before->keeps_learnt;
    next->rules.learnt_context = before->learnt_context;
    next->rules.warm_up_ns = before->warm_up_ns;
    next->rules.scope = before->scope;
    config_hash_text(app->config, next->rules.config_hash);
    next->next = app->reload->generations;
    app->reload->generations = next;
    pipeline_use_rules(app->pipeline, &next->rules, next->rules.config_hash);
}

/* Also where no setting is another one: the files may be. */
static void use_labels(struct app *app)
{
    struct error err = {0};
    char quoted[512];

    if (app->labels == NULL) {
        return;
    }
    struct netlabels *labels = app_read_labels(app->settings, &err);

    if (labels != NULL) {
        label_source_use(app->labels, labels);
    } else { /* another file since it was checked */
        log_error("config", "networks keep the labels that they have", "reason=%s",
                  log_quote(err.message, quoted, sizeof(quoted)));
    }
}

void app_settings_changed(struct app *app, struct reload_result *result)
{
    const struct sensor_settings *settings = app->settings;

    if (app->reload->access != NULL) {
        grpc_server_use_access(app->grpc, app->reload->access);
        app->reload->access = NULL;
    }
    use_labels(app);
    if (result->applied.count == 0) {
        return;
    }
    app_set_log(settings, app->command);
    use_rules(app);
    config_hash_text(app->config, app->hash_now);
    const struct shard_tuning tuning = {
        .idle_timeout_ns = settings->flow.idle_timeout_ns,
        .active_timeout_ns = settings->flow.active_timeout_ns,
        .samples_per_second = app->pipeline_settings.samples_per_second > 0 || app->is_service
                                  ? settings->packets.samples_per_second
                                  : 0};

    if (pipeline_tune(app->pipeline, &tuning) != 0) {
        log_error("config", "no memory: the shards go on with the times before", NULL);
    }
    if (app->collector != NULL) {
        collector_sink_use_hash(app->collector, app->hash_now);
    }
    if (app->grpc != NULL) {
        grpc_server_retune(app->grpc,
                           &(struct grpc_tuning){.config_hash = app->hash_now,
                                                 .idle_timeout_ns = tuning.idle_timeout_ns,
                                                 .active_timeout_ns = tuning.active_timeout_ns});
    }
}

static void apply(void *context, struct reload_result *result)
{
    app_settings_changed(context, result);
}

uint32_t app_settings_kept_secrets(const struct app *app)
{
    return app->reload->kept_secrets;
}

static void run_settings(struct app *app, const char *yaml, size_t length, bool does_apply,
                         bool is_offer, struct reload_result *result)
{
    struct reload_ops ops = {.context = app,
                             .make = make,
                             .discard = discard,
                             .load = load,
                             .check = check,
                             .apply = apply,
                             .file = is_offer       ? SENSOR_OFFER_NAME
                                     : yaml != NULL ? SENSOR_REQUEST_NAME
                                                    : reload_file_name(app->command->config_path)};

    if (app->reload == NULL) {
        app->reload = calloc(1, sizeof(*app->reload));
    }
    if (app->reload == NULL) {
        *result = (struct reload_result){.is_refused = true};
        (void)snprintf(result->issue.reason, sizeof(result->issue.reason), "no memory");
        return;
    }
    app->reload->is_offer = is_offer;
    reload_run(&ops, app->config, yaml, length, does_apply, result);
}

void app_settings_run(struct app *app, const char *yaml, size_t length, bool does_apply,
                      struct reload_result *result)
{
    run_settings(app, yaml, length, does_apply, false, result);
}

void app_settings_run_offer(struct app *app, const char *yaml, size_t length, bool does_apply,
                            struct reload_result *result)
{
    run_settings(app, yaml, length, does_apply, true, result);
}

static void reload_now(struct app *app, struct reload_result *result)
{
    notify_reloading();
    app_settings_run(app, NULL, 0, true, result);
    if (!result->is_refused) {
        app_apply_reloaded(app);
        app_offer_reloaded(app);
    }
    audit_reopen();
    reload_log(result, "settings read again", app->hash_now);
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

void app_answer_control(struct app *app)
{
    struct control_request *request;

    while ((request = control_take(&app->control)) != NULL) {
        char *text = NULL;

        request->text = NULL;
        switch (request->kind) {
        case CONTROL_GET: {
            request->is_pending = app_apply_is_pending(app);
            FILE *out = open_memstream(&text, &request->text_bytes);

            if (out != NULL) {
                config_print_yaml(app->config, out);
                request->text = fclose(out) == 0 ? text : NULL;
            }
            break;
        }
        case CONTROL_VALIDATE:
            app_settings_run(app, request->yaml, request->yaml_bytes, false, &request->result);
            break;
        case CONTROL_RELOAD:
            reload_now(app, &request->result);
            break;
        case CONTROL_APPLY:
            app_apply(app, request);
            break;
        case CONTROL_CONFIRM:
            app_confirm(app, request);
            break;
        case CONTROL_OFFER:
            app_offer_take(app, request);
            break;
        }
        memcpy(request->hash, app->hash_now, sizeof(request->hash));
        request->answer(request); /* it may free the request */
        free(text);
    }
}

void app_reload_free(struct app *app)
{
    control_close(&app->control);
    while (app->reload != NULL && app->reload->generations != NULL) {
        struct generation *next = app->reload->generations->next;

        free(app->reload->generations);
        app->reload->generations = next;
    }
    if (app->reload != NULL) {
        grpc_access_free(app->reload->access);
    }
    free(app->reload);
    app->reload = NULL;
}
