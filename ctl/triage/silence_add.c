/* `netscopectl silences add`: hides incidents of a choice, or says what that would hide. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/collector.h"
#include "ctl/json_list.h"
#include "ctl/message.h"
#include "ctl/output.h"
#include "ctl/show.h"

#define PATH "/netscope.v1.AlertService/CreateSilence"

static int check(const struct ctl_options *o, struct error *err)
{
    if (o->kind == NULL && o->subject == NULL && o->attacker == NULL && o->victim == NULL &&
        o->sensor == NULL && o->severity == NULL) {
        return error_set(err, EINVAL,
                         "silences add: of what? --kind, --subject, --attacker, --victim, --sensor "
                         "or --max-severity");
    }
    if (o->duration_ns > 0 && o->until != NULL) {
        return error_set(err, EINVAL, "--duration and --until exclude each other");
    }
    if (!o->dry_run && o->duration_ns == 0 && o->until == NULL) {
        return error_set(err, EINVAL, "silences add: for how long? --duration 2h, or --until TIME");
    }
    if (!o->dry_run && o->reason == NULL) {
        return error_set(err, EINVAL, "silences add: why? --reason TEXT, for whoever finds it");
    }
    return 0;
}

/* The end, which lies ahead: an age cannot be meant. */
static int read_end(const struct ctl_options *o, uint64_t *until_ns, struct error *err)
{
    const uint64_t now_ns = clock_wall_ns();

    *until_ns = 0;
    if (o->until == NULL) {
        return 0;
    }
    if (time_parse("--until", o->until, now_ns, until_ns, err) != 0) {
        return -err->code;
    }
    return *until_ns > now_ns
               ? 0
               : error_set(
                     err, EINVAL,
                     "--until %s: a silence ends later than now; --duration 2h is from now on",
                     o->until);
}

static int fill(const struct ctl *ctl, struct request *request, struct error *err)
{
    const struct ctl_options *o = &ctl->options;
    uint64_t until_ns = 0;

    if (read_end(o, &until_ns, err) != 0) {
        return -err->code;
    }
    request_begin(request, "CreateSilenceRequest", err);
    request_set_choices(request, "kinds", "ALERT_KIND_", "--kind", o->kind);
    request_set_choices(request, "max_severity", "SEVERITY_", "--max-severity", o->severity);
    request_set_each(request, "subjects", o->subject);
    request_set_each(request, "attackers", o->attacker);
    request_set_each(request, "victims", o->victim);
    request_set_each(request, "sensor_ids", o->sensor);
    request_set(request, "reason", o->reason);
    request_set_duration(request, "duration", o->duration_ns);
    request_set_time(request, "expire_time", until_ns);
    request_set_true(request, "dry_run", o->dry_run);
    return request_is_whole(request) ? 0 : -err->code;
}

/* The id is all that standard output gets. */
static void summarize(struct ctl *ctl, const struct view *answer)
{
    const struct view silence = view_message(answer, "silence");
    char id[160] = "";
    struct show show = SHOW_OVER(id);

    show_name(&show, view_text(&silence, "silence_id"));
    if (!ctl->options.dry_run) {
        output_write(&ctl->out, id, strlen(id));
        output_write(&ctl->out, "\n", 1);
        output_flush(&ctl->out);
    }
    tell("%s %llu of %llu incidents of the last 24 hours, %llu of them open now",
         ctl->options.dry_run ? "it would hide" : "it hides",
         (unsigned long long)view_number(answer, "matched"),
         (unsigned long long)view_number(answer, "total"),
         (unsigned long long)view_number(answer, "matched_open"));
}

static enum ctl_exit add(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct answer answer = {0};
    struct request request = {0};

    if (fill(ctl, &request, err) != 0) {
        return CTL_USAGE;
    }
    enum ctl_exit status = ask(connection, PATH, request.bytes, request.length, &answer, err);
    const struct view view = view_of("CreateSilenceResponse", answer.bytes, answer.length);

    if (status == CTL_OK && ctl->options.form == FORM_JSON) {
        status = json_object_put(&ctl->out, &view, err) ? CTL_OK : CTL_FAILED;
    } else if (status == CTL_OK) {
        summarize(ctl, &view);
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    uint64_t ignored = 0;

    return check(&ctl->options, err) == 0 && read_end(&ctl->options, &ignored, err) == 0
               ? collector_run(ctl, "silences", add, err)
               : CTL_USAGE;
}

const struct ctl_command silences_add_command = {
    .name = "silences add",
    .bit = FOR_SILENCES_ADD,
    .summary = "hides incidents of a choice for a while, or says what that would hide",
    .examples =
        "  netscopectl silences add --kind port_scan_vertical --attacker 10.0.9.66 --dry-run\n"
        "  netscopectl silences add --kind port_scan_vertical --attacker 10.0.9.66 --duration 8h "
        "\\\n"
        "      --reason 'our own scanner, ticket 4711'\n"
        "\nAll that is given must fit. The id of the silence is on standard output.\n",
    .run = run,
};
