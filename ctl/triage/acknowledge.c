/* `netscopectl alerts ack`: somebody has seen incidents, or takes that back. */
#include <errno.h>
#include <stdlib.h>

#include "ctl/collector.h"
#include "ctl/json_list.h"
#include "ctl/message.h"
#include "ctl/output.h"
#include "ctl/report.h"

#define PATH "/netscope.v1.AlertService/AcknowledgeAlert"

/* "018f...: acknowledged by ops at 2026-..., silenced" */
static void put_note(struct output *out, const struct view *note)
{
    const struct view seen = view_message(note, "acknowledgement");
    struct line line;

    line_begin(&line, out);
    show_name(&line.show, view_text(note, "alert_id"));
    if (view_bool(note, "is_acknowledged")) {
        show_text(&line.show, ": acknowledged by ");
        show_name(&line.show, view_text(&seen, "who"));
        show_text(&line.show, " at ");
        show_time(&line.show, view_ns(&seen, "time"));
    } else {
        show_text(&line.show, ": not acknowledged");
    }
    if (view_text(note, "silence_id").length > 0) {
        show_text(&line.show, ", silenced until ");
        show_time(&line.show, view_ns(note, "silence_expire_time"));
    }
    line_end(&line);
}

static enum ctl_exit acknowledge(struct ctl *ctl, struct connection *connection, struct error *err)
{
    const struct ctl_options *o = &ctl->options;
    struct answer answer = {0};
    struct request request;
    struct view each;

    request_begin(&request, "AcknowledgeAlertRequest", err);
    for (unsigned i = 0; i < o->operands_count; i++) {
        request_set(&request, "alert_ids", o->operands[i]);
    }
    request_set(&request, "comment", o->comment);
    request_set_true(&request, "undo", o->undo);
    if (!request_is_whole(&request)) {
        return CTL_USAGE;
    }
    enum ctl_exit status = ask(connection, PATH, request.bytes, request.length, &answer, err);
    const struct view view = view_of("AcknowledgeAlertResponse", answer.bytes, answer.length);

    if (status == CTL_OK && form_is_json(o->form)) {
        status = json_list_put_all(&ctl->out, o->form, &view, "notes", err) ? CTL_OK : CTL_FAILED;
    } else if (status == CTL_OK) {
        struct view_list list = view_list_of(&view, "notes");

        while (view_list_next(&list, &each)) {
            put_note(&ctl->out, &each);
        }
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    if (ctl->options.undo && ctl->options.comment != NULL) {
        (void)error_set(err, EINVAL, "--undo and --comment exclude each other");
        return CTL_USAGE;
    }
    return collector_run(ctl, "acknowledgements", acknowledge, err);
}

const struct ctl_command alerts_ack_command = {
    .name = "alerts ack",
    .bit = FOR_ALERTS_ACK,
    .operand = "ID...",
    .operands_min = 1,
    .operands_max = 200,
    .summary = "says that somebody has seen incidents, or takes that back",
    .examples =
        "  netscopectl alerts ack 018f0000-0000-7000-8000-000000000001 --comment 'our scanner'\n"
        "  netscopectl alerts ack 018f0000-0000-7000-8000-000000000001 --undo\n"
        "\nThe id is the last word of a line of netscopectl alerts. An incident that becomes "
        "worse\n"
        "counts as not acknowledged.\n",
    .run = run,
};
