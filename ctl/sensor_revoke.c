/* `netscopectl sensors revoke`: credentials that count no more. */
#include <errno.h>
#include <stdlib.h>

#include "ctl/collector.h"
#include "ctl/json_list.h"
#include "ctl/message.h"
#include "ctl/output.h"
#include "ctl/report.h"

#define LIST   "/netscope.v1.FleetService/ListSensors"
#define REVOKE "/netscope.v1.FleetService/RevokeSensor"

static const struct report_column columns[] = {
    {"SENSOR", 38}, {"SINCE", 26}, {"BY", 16}, {"REASON", 1}};

static void put_revocation(struct output *out, const struct view *one)
{
    struct line line;

    line_begin(&line, out);
    show_name(&line.show, view_text(one, "sensor_id"));
    line_cell(&line, columns[0].width);
    show_time(&line.show, view_ns(one, "time"));
    line_cell(&line, columns[1].width);
    show_name(&line.show, view_text(one, "revoked_by"));
    line_cell(&line, columns[2].width);
    show_name(&line.show, view_text(one, "reason"));
    line_end(&line);
}

static enum ctl_exit list_all(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct answer answer = {0};
    struct request request;
    struct view each;

    request_begin(&request, "ListSensorsRequest", err);
    request_set_number(&request, "page_size", 1); /* they are on the first page */
    if (!request_is_whole(&request)) {
        return CTL_USAGE;
    }
    enum ctl_exit status = ask(connection, LIST, request.bytes, request.length, &answer, err);
    const struct view page = view_of("ListSensorsResponse", answer.bytes, answer.length);
    struct view_list list = view_list_of(&page, "revocations");

    if (status == CTL_OK && form_is_json(ctl->options.form)) {
        status = json_list_put_all(&ctl->out, ctl->options.form, &page, "revocations", err)
                     ? CTL_OK
                     : CTL_FAILED;
    } else if (status == CTL_OK) {
        report_header(&ctl->out, columns, ARRAY_COUNT(columns));
        while (view_list_next(&list, &each)) {
            put_revocation(&ctl->out, &each);
        }
    }
    free(answer.bytes);
    return status;
}

static void tell_done(const struct ctl_options *o, const struct view *answer)
{
    const unsigned long long known = view_number(answer, "sensors_known");

    if (o->undo) {
        tell("credentials of %s count again", o->operands[0]);
    } else {
        tell("credentials of %s count no more: %llu streams were ended", o->operands[0],
             (unsigned long long)view_number(answer, "streams_ended"));
    }
    if (known == 0) {
        tell("no sensor of that name is known here: is it spelt as it was enrolled?");
    }
}

static enum ctl_exit change(struct ctl *ctl, struct connection *connection, struct error *err)
{
    const struct ctl_options *o = &ctl->options;
    struct answer answer = {0};
    struct request request;

    request_begin(&request, "RevokeSensorRequest", err);
    request_set(&request, "sensor_id", o->operands[0]);
    request_set(&request, "reason", o->reason);
    request_set_true(&request, "undo", o->undo);
    if (!request_is_whole(&request)) {
        return CTL_USAGE;
    }
    enum ctl_exit status = ask(connection, REVOKE, request.bytes, request.length, &answer, err);

    if (status == CTL_OK) {
        const struct view view = view_of("RevokeSensorResponse", answer.bytes, answer.length);
        const struct view one = view_message(&view, "revocation");

        tell_done(o, &view);
        if (form_is_json(o->form)) {
            status = json_object_put(&ctl->out, &one, err) ? CTL_OK : CTL_FAILED;
        }
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit use(struct ctl *ctl, struct connection *connection, struct error *err)
{
    return ctl->options.operands_count == 0 ? list_all(ctl, connection, err)
                                            : change(ctl, connection, err);
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    const struct ctl_options *o = &ctl->options;

    if (o->operands_count == 0 && (o->undo || o->reason != NULL)) {
        (void)error_set(err, EINVAL, "name the sensor");
        return CTL_USAGE;
    }
    if (o->operands_count == 1 && o->undo == (o->reason != NULL)) {
        (void)error_set(err, EINVAL, "give --reason TEXT, or --undo");
        return CTL_USAGE;
    }
    return collector_run(ctl, "revocations", use, err);
}

const struct ctl_command sensors_revoke_command = {
    .name = "sensors revoke",
    .bit = FOR_SENSORS_REVOKE,
    .operand = "[NAME]",
    .operands_max = 1,
    .summary = "credentials that count no more: of a sensor, or of those that share some",
    .examples = "  netscopectl sensors revoke edge-1 --reason 'stolen with the machine'\n"
                "  netscopectl sensors revoke 'node-*' --reason 'the group certificate leaked'\n"
                "  netscopectl sensors revoke edge-1 --undo\n"
                "  netscopectl sensors revoke                           those that are revoked\n"
                "\nStreams with them end at once. A certificate that is made afterwards\n"
                "(netscope-collector enroll) counts; for the same token --undo is needed.\n",
    .run = run,
};
