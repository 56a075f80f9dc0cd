/* `netscopectl config show`, `check`, `apply`, `confirm` and `reload`: the settings of one sensor.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/config/config_text.h"
#include "ctl/connection.h"
#include "ctl/json_list.h"
#include "ctl/output.h"
#include "ctl/show.h"

#define GET      "/netscope.v1.ConfigService/GetConfig"
#define VALIDATE "/netscope.v1.ConfigService/ValidateConfig"
#define APPLY    "/netscope.v1.ConfigService/ApplyConfig"
#define CONFIRM  "/netscope.v1.ConfigService/ConfirmConfig"
#define RELOAD   "/netscope.v1.ConfigService/ReloadConfig"

#define HASH_BYTES          80
#define CONFIRM_MAX_SECONDS 3600

/* One question to a sensor. `text` NULL: the request is whole as it is. */
struct question {
    const char *path, *answer_name;
    struct request request;
    const struct config_text *text;
    bool may_reject; /* the answer may have keys that were refused */
    bool needs_hash; /* `expected_hash`: of what is in force now */
    bool is_change;  /* of a sensor alone: a collector's settings are in its file */
    /* How the answer is shown; the status to exit with. */
    enum ctl_exit (*show)(struct ctl *ctl, const struct view *answer, struct error *err);
};

static enum ctl_exit ask_with_text(struct connection *connection, const struct question *question,
                                   struct answer *answer, struct error *err)
{
    size_t length = 0;

    if (question->text == NULL) {
        return ask(connection, question->path, question->request.bytes, question->request.length,
                   answer, err);
    }
    uint8_t *bytes = config_text_request(question->text, &question->request, &length, err);
    const enum ctl_exit status =
        bytes == NULL ? CTL_FAILED : ask(connection, question->path, bytes, length, answer, err);

    free(bytes);
    return status;
}

/* Whoever names no hash means the settings that are in force now. */
static enum ctl_exit add_hash(struct connection *connection, struct request *request,
                              struct error *err)
{
    struct answer answer = {0};
    struct request get;
    char hash[HASH_BYTES];

    request_begin(&get, "GetConfigRequest", err);
    const enum ctl_exit status = ask(connection, GET, get.bytes, get.length, &answer, err);
    const struct view view = view_of("GetConfigResponse", answer.bytes, answer.length);
    const struct record_text text = view_text(&view, "config_hash");

    (void)snprintf(hash, sizeof(hash), "%.*s", (int)text.length, text.data);
    if (status == CTL_OK) {
        request_set(request, "expected_hash", hash);
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit put_question(struct ctl *ctl, struct question *question, struct error *err)
{
    struct connection connection;
    struct answer answer = {0};
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);

    status = status == CTL_OK && question->is_change ? connection_needs_sensor(&connection, err)
                                                     : status;
    status = status == CTL_OK && question->needs_hash
                 ? add_hash(&connection, &question->request, err)
                 : status;
    status = status == CTL_OK ? ask_with_text(&connection, question, &answer, err) : status;
    if (status == CTL_OK) {
        const struct view view = view_of(question->answer_name, answer.bytes, answer.length);

        status = ctl->options.form == FORM_JSON
                     ? json_object_put(&ctl->out, &view, err) ? CTL_OK : CTL_FAILED
                     : question->show(ctl, &view, err);
        if (question->may_reject && view_list_any(&view, "rejected")) {
            status = CTL_NOT_APPLIED;
        }
    }
    free(answer.bytes);
    connection_close(&connection);
    return status;
}

/* ---- show ---- */

static enum ctl_exit show_settings(struct ctl *ctl, const struct view *answer, struct error *err)
{
    const struct record_text yaml = view_text(answer, "yaml");
    char hash[HASH_BYTES] = "";
    struct show show = SHOW_OVER(hash);

    (void)err;
    output_write(&ctl->out, yaml.data, yaml.length);
    output_flush(&ctl->out);
    show_name(&show, view_text(answer, "config_hash"));
    tell("hash %s%s", hash,
         view_bool(answer, "confirm_pending")
             ? ": on trial, they go back unless netscopectl config confirm comes"
             : "");
    return CTL_OK;
}

static enum ctl_exit run_show(struct ctl *ctl, struct error *err)
{
    struct question question = {
        .path = GET, .answer_name = "GetConfigResponse", .show = show_settings};

    request_begin(&question.request, "GetConfigRequest", err);
    return put_question(ctl, &question, err);
}

/* ---- what a text does, or would do ---- */

static void put_keys(struct output *out, const struct view *answer, const char *field,
                     const char *words)
{
    struct view_list list = view_list_of(answer, field);
    struct record_text key;
    char line[400];

    while (view_list_text(&list, &key)) {
        struct show show = SHOW_OVER(line);

        line[0] = '\0';
        show_name(&show, key);
        show_text(&show, ": %s\n", words);
        output_write(out, line, show.length);
    }
}

/* "sensor.yaml:3: flow.idle_timeout: expected a duration", as compilers say it. */
static void tell_rejected(const struct ctl *ctl, const struct view *answer)
{
    const char *file = ctl->options.operands_count > 0 ? ctl->options.operands[0] : "its file";
    struct view_list list = view_list_of(answer, "rejected");
    struct view each;

    while (view_list_next(&list, &each)) {
        char text[600] = "";
        struct show show = SHOW_OVER(text);

        show_name(&show, view_text(&each, "path"));
        show_text(&show, "%s", show.length > 0 ? ": " : "");
        show_name(&show, view_text(&each, "reason"));
        tell("%s:%llu: %s", strcmp(file, "-") == 0 ? "standard input" : file,
             (unsigned long long)view_number(&each, "line"), text);
    }
}

/* `verb`: "change" of what would be, "changed" of what was. */
static void put_changes(struct ctl *ctl, const struct view *answer, bool is_done)
{
    if (view_list_any(answer, "rejected")) {
        output_flush(&ctl->out);
        tell_rejected(ctl, answer);
        tell("refused: nothing %s", is_done ? "has changed" : "would change");
        return;
    }
    put_keys(&ctl->out, answer, "applied", is_done ? "in force" : "would change at once");
    put_keys(&ctl->out, answer, "needs_restart",
             is_done ? "kept as it is until a restart" : "would need a restart");
    output_flush(&ctl->out);
    if (!view_list_any(answer, "applied") && !view_list_any(answer, "needs_restart")) {
        tell("nothing %s: these settings are in force", is_done ? "has changed" : "would change");
    }
}

static enum ctl_exit show_check(struct ctl *ctl, const struct view *answer, struct error *err)
{
    (void)err;
    put_changes(ctl, answer, false);
    return CTL_OK;
}

static enum ctl_exit show_apply(struct ctl *ctl, const struct view *answer, struct error *err)
{
    char hash[HASH_BYTES] = "";
    struct show show = SHOW_OVER(hash);

    (void)err;
    show_name(&show, view_text(answer, "config_hash"));
    put_changes(ctl, answer, !ctl->options.dry_run);
    if (ctl->options.dry_run || view_list_any(answer, "rejected")) {
        return CTL_OK;
    }
    if (view_bool(answer, "confirm_pending")) {
        tell("on trial: they go back unless this comes in time: netscopectl config confirm %s",
             hash);
    } else {
        tell("hash %s, %s", hash,
             view_bool(answer, "file_written")
                 ? "and the sensor's file has them"
                 : "until the sensor is restarted or reads its file again");
    }
    return CTL_OK;
}

/* Reads the file, asks, and lets it go. */
static enum ctl_exit put_file(struct ctl *ctl, struct question *question, struct error *err)
{
    struct config_text text;
    enum ctl_exit status = CTL_USAGE;

    if (config_text_read(&text, ctl->options.operands[0], err) == 0 &&
        request_is_whole(&question->request)) {
        question->text = &text;
        status = put_question(ctl, question, err);
        question->text = NULL;
    }
    config_text_fini(&text);
    return status;
}

static enum ctl_exit run_check(struct ctl *ctl, struct error *err)
{
    struct question question = {.path = VALIDATE,
                                .answer_name = "ValidateConfigResponse",
                                .show = show_check,
                                .may_reject = true};

    request_begin(&question.request, "ValidateConfigRequest", err);
    return put_file(ctl, &question, err);
}

static enum ctl_exit run_apply(struct ctl *ctl, struct error *err)
{
    const struct ctl_options *o = &ctl->options;
    struct question question = {.path = APPLY,
                                .answer_name = "ApplyConfigResponse",
                                .show = show_apply,
                                .may_reject = true,
                                .needs_hash = o->if_hash == NULL,
                                .is_change = true};

    if (o->confirm_ns > 0 &&
        (o->confirm_ns < NS_PER_SEC || o->confirm_ns > CONFIRM_MAX_SECONDS * NS_PER_SEC)) {
        (void)error_set(err, EINVAL, "--confirm-timeout: within 1s to 1h");
        return CTL_USAGE;
    }
    request_begin(&question.request, "ApplyConfigRequest", err);
    request_set(&question.request, "expected_hash", o->if_hash);
    request_set_true(&question.request, "dry_run", o->dry_run);
    request_set_duration(&question.request, "confirm_timeout", o->confirm_ns);
    return put_file(ctl, &question, err);
}

/* ---- confirm, reload ---- */

static enum ctl_exit show_confirm(struct ctl *ctl, const struct view *answer, struct error *err)
{
    (void)ctl;
    (void)err;
    tell("they stay%s", view_bool(answer, "file_written") ? ", and the sensor's file has them"
                                                          : " until the sensor is restarted");
    return CTL_OK;
}

static enum ctl_exit run_confirm(struct ctl *ctl, struct error *err)
{
    struct question question = {.path = CONFIRM,
                                .answer_name = "ConfirmConfigResponse",
                                .show = show_confirm,
                                .is_change = true};

    request_begin(&question.request, "ConfirmConfigRequest", err);
    request_set(&question.request, "config_hash", ctl->options.operands[0]);
    return request_is_whole(&question.request) ? put_question(ctl, &question, err) : CTL_USAGE;
}

static enum ctl_exit show_reload(struct ctl *ctl, const struct view *answer, struct error *err)
{
    (void)err;
    put_changes(ctl, answer, true);
    return CTL_OK;
}

static enum ctl_exit run_reload(struct ctl *ctl, struct error *err)
{
    struct question question = {.path = RELOAD,
                                .answer_name = "ReloadConfigResponse",
                                .show = show_reload,
                                .may_reject = true};

    request_begin(&question.request, "ReloadConfigRequest", err);
    return put_question(ctl, &question, err);
}

const struct ctl_command config_show_command = {
    .name = "config show",
    .bit = FOR_CONFIG_SHOW,
    .summary = "the settings in force at a sensor or collector, secrets masked",
    .examples = "  netscopectl config show -s unix:/run/netscope/sensor.sock\n"
                "  netscopectl config show -s edge-1:50051 > edge-1.yaml\n"
                "  netscopectl config show -s collector.example:50052\n",
    .run = run_show,
};

const struct ctl_command config_check_command = {
    .name = "config check",
    .bit = FOR_CONFIG_CHECK,
    .operand = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .summary =
        "whether a sensor or collector would accept a file of settings, and what would change",
    .examples = "  netscopectl config check sensor.yaml -s edge-1:50051\n",
    .run = run_check,
};

const struct ctl_command config_apply_command = {
    .name = "config apply",
    .bit = FOR_CONFIG_APPLY,
    .operand = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "puts a whole file of settings in force at one sensor",
    .examples =
        "  netscopectl config show > edge.yaml; vi edge.yaml; netscopectl config apply edge.yaml\n"
        "  netscopectl config apply edge.yaml --dry-run\n"
        "  netscopectl config apply edge.yaml --confirm-timeout 5m --if-hash 0123456789abcdef\n"
        "\nThe file has all settings: what it does not name gets its default. FILE - is standard\n"
        "input. The sensor must allow it (grpc.apply_config). Fragments go to a fleet: config "
        "push.\n",
    .run = run_apply,
};

const struct ctl_command config_confirm_command = {
    .name = "config confirm",
    .bit = FOR_CONFIG_CONFIRM,
    .operand = "HASH",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "what was applied with --confirm-timeout stays",
    .examples = "  netscopectl config confirm 0123456789abcdef\n",
    .run = run_confirm,
};

const struct ctl_command config_reload_command = {
    .name = "config reload",
    .bit = FOR_CONFIG_RELOAD,
    .summary = "a sensor or collector reads its file of settings again",
    .examples = "  netscopectl config reload -s unix:/run/netscope/sensor.sock\n",
    .run = run_reload,
};
