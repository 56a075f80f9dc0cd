/* `netscopectl config push`: settings for a fleet, over each sensor's own file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config/config_units.h"
#include "ctl/choice.h"
#include "ctl/config/config_text.h"
#include "ctl/config/config_wait.h"
#include "ctl/connection.h"
#include "ctl/json_list.h"
#include "ctl/output.h"
#include "ctl/show.h"

#define PATH        "/netscope.v1.FleetService/SetDesiredConfig"
#define ID_BYTES    128
#define NAMES_SHOWN 20

/* "0s" counts, too: no hold, no end. */
static void set_time(struct request *request, const char *path, const char *flag, const char *text)
{
    char seconds[48];
    uint64_t ns = 0;

    if (text == NULL || !request_is_whole(request)) {
        return;
    }
    if (config_read_duration(text, NULL, &ns) != CONFIG_UNIT_OK) {
        (void)error_set(request->err, EINVAL,
                        "%s %s: give a duration with its unit, such as 30s or 5m", flag, text);
        return;
    }
    (void)snprintf(seconds, sizeof(seconds), "%llu.%09llus", (unsigned long long)(ns / NS_PER_SEC),
                   (unsigned long long)(ns % NS_PER_SEC));
    request_set(request, path, seconds);
}

static int fill(const struct ctl *ctl, struct request *request, struct error *err)
{
    const struct ctl_options *o = &ctl->options;

    if (o->sensor == NULL && o->labels == NULL && !o->all) {
        return error_set(err, EINVAL,
                         "config push: for whom? --sensor NAMES, --labels EXPR, or --all for every "
                         "sensor, also those that come later");
    }
    if (o->wait && o->dry_run) {
        return error_set(err, EINVAL, "--wait and --dry-run exclude each other");
    }
    request_begin(request, "SetDesiredConfigRequest", err);
    choice_sensors(request, o);
    request_set_number(request, "canary", o->canary);
    request_set_each(request, "canary_selector.sensor_ids", o->canary_sensor);
    request_set(request, "canary_selector.labels", o->canary_labels);
    set_time(request, "hold_time", "--hold", o->hold);
    set_time(request, "answer_timeout", "--answer-timeout", o->answer_timeout);
    request_set_true(request, "dry_run", o->dry_run);
    return request_is_whole(request) ? 0 : -err->code;
}

/* "edge-1, edge-2 and 7 more" */
static void put_names(struct show *show, const struct view *answer, const char *field,
                      uint64_t total)
{
    struct view_list list = view_list_of(answer, field);
    struct record_text name;
    uint64_t shown = 0, there = 0;

    while (view_list_text(&list, &name)) {
        there++;
        if (shown < NAMES_SHOWN) {
            show_text(show, "%s", shown == 0 ? "" : ", ");
            show_name(show, name);
            shown++;
        }
    }
    total = total > there ? total : there;
    if (total > shown) {
        show_text(show, " and %llu more", (unsigned long long)(total - shown));
    }
}

/* Whom it concerns, in words on standard error; the id is all that standard output gets. */
static void summarize(struct ctl *ctl, const struct view *answer, const char *config_id)
{
    const uint64_t sensors = view_number(answer, "sensors");
    char names[2500] = "", first[2500] = "";
    struct show all = SHOW_OVER(names), some = SHOW_OVER(first);

    put_names(&all, answer, "sensor_ids", sensors);
    put_names(&some, answer, "canary_sensor_ids", 0);
    if (ctl->options.dry_run) {
        tell("%llu sensor%s known now would be concerned%s%s", (unsigned long long)sensors,
             sensors == 1 ? "" : "s", sensors > 0 ? ": " : "", names);
    } else {
        output_write(&ctl->out, config_id, strlen(config_id));
        output_write(&ctl->out, "\n", 1);
        output_flush(&ctl->out);
        tell("wanted as %s of %llu sensor%s known now%s%s", config_id, (unsigned long long)sensors,
             sensors == 1 ? "" : "s", sensors > 0 ? ": " : "", names);
    }
    if (first[0] != '\0') {
        tell("of these first: %s", first);
    } else if (ctl->options.canary > 0) {
        tell("of these first: %llu that are connected", (unsigned long long)ctl->options.canary);
    }
}

static enum ctl_exit push(struct ctl *ctl, struct connection *connection, const uint8_t *bytes,
                          size_t length, struct error *err)
{
    struct answer answer = {0};
    char config_id[ID_BYTES] = "";
    enum ctl_exit status = ask(connection, PATH, bytes, length, &answer, err);

    if (status == CTL_OK) {
        const struct view view = view_of("SetDesiredConfigResponse", answer.bytes, answer.length);
        const struct view desired = view_message(&view, "desired_config");
        const struct record_text id = view_text(&desired, "config_id");

        (void)snprintf(config_id, sizeof(config_id), "%.*s", (int)id.length, id.data);
        if (ctl->options.form == FORM_JSON) {
            status = json_object_put(&ctl->out, &view, err) ? CTL_OK : CTL_FAILED;
            output_flush(&ctl->out);
        } else {
            summarize(ctl, &view, config_id);
        }
    }
    free(answer.bytes);
    return status == CTL_OK && ctl->options.wait ? config_wait(ctl, connection, config_id, err)
                                                 : status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    struct connection connection;
    struct request request;
    struct config_text text;
    size_t length = 0;
    uint8_t *bytes = NULL;

    if (fill(ctl, &request, err) != 0) {
        return CTL_USAGE;
    }
    if (config_text_read(&text, ctl->options.operands[0], err) == 0) {
        bytes = config_text_request(&text, &request, &length, err);
    }
    config_text_fini(&text);
    if (bytes == NULL) {
        return CTL_USAGE;
    }
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);

    status = status == CTL_OK ? connection_needs_collector(&connection, "settings of a fleet", err)
                              : status;
    status = status == CTL_OK ? push(ctl, &connection, bytes, length, err) : status;
    connection_close(&connection);
    free(bytes);
    return status;
}

const struct ctl_command config_push_command = {
    .name = "config push",
    .bit = FOR_CONFIG_PUSH,
    .operand = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "settings for sensors of a fleet, a few of them first",
    .examples =
        "  netscopectl config push idle.yaml --labels site=berlin --dry-run\n"
        "  netscopectl config push idle.yaml --sensor 'edge-*' --canary 2 --hold 10m --wait\n"
        "  netscopectl config push idle.yaml --all --canary-labels role=lab --wait --deadline 1h\n"
        "\nFILE (- is standard input) is a fragment: what it does not name stays as the sensor's "
        "own\n"
        "file has it. The sensors must allow it (collector.apply_config). With --wait the exit "
        "status\n"
        "is 0 in force everywhere, 5 refused or stopped, 6 rolled back, 7 --deadline came "
        "before.\n",
    .run = run,
};
