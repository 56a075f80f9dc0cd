/* `netscopectl captures`, `captures show`, `captures stop` and `captures delete`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/captures/capture_show.h"
#include "ctl/collector.h"
#include "ctl/json_list.h"
#include "ctl/message.h"
#include "ctl/output.h"

#define LIST   "/netscope.v1.CaptureService/ListCaptures"
#define GET    "/netscope.v1.CaptureService/GetCapture"
#define CANCEL "/netscope.v1.CaptureService/CancelCapture"
#define DELETE "/netscope.v1.CaptureService/DeleteCapture"
#define WHAT   "captures that are kept"
/* Of -o csv. */
#define COLUMNS                                                                                    \
    "capture_id,state,sensor_id,sensors.sensor_id,bpf,interface,requester,start_time,end_time,"    \
    "bytes,summary.packets,summary.dropped,summary.reason,flow_id,alert_id,error"

/* Asks of one capture. CTL_OK: the answer is the caller's. */
static enum ctl_exit ask_one(struct connection *connection, const char *path, const char *message,
                             const char *id, struct answer *answer, struct error *err)
{
    struct request request;

    request_begin(&request, message, err);
    request_set(&request, "capture_id", id);
    return request_is_whole(&request)
               ? ask(connection, path, request.bytes, request.length, answer, err)
               : CTL_USAGE;
}

/* ---- the list ---- */

static bool put_list(struct ctl *ctl, const struct view *answer, struct error *err)
{
    AUTO(table) table = table_new(capture_columns, CAPTURE_COLUMNS, err);
    struct view_list list = view_list_of(answer, "captures");
    struct view each;

    if (table == NULL) {
        return false;
    }
    while (view_list_next(&list, &each)) {
        capture_show_row(table, &each);
    }
    return table_write(table, &ctl->out, err);
}

static enum ctl_exit list(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct answer answer = {0};
    struct request request;

    request_begin(&request, "ListCapturesRequest", err);
    request_set(&request, "sensor_id", ctl->options.sensor);
    enum ctl_exit status = request_is_whole(&request)
                               ? ask(connection, LIST, request.bytes, request.length, &answer, err)
                               : CTL_USAGE;

    if (status == CTL_OK) {
        const struct view view = view_of("ListCapturesResponse", answer.bytes, answer.length);
        const bool is_put = form_is_data(ctl->options.form)
                                ? json_list_put_all_with(&ctl->out, ctl->options.form, &view,
                                                         "captures", "Capture", COLUMNS, err)
                                : put_list(ctl, &view, err);

        status = is_put ? CTL_OK : CTL_FAILED;
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit run_list(struct ctl *ctl, struct error *err)
{
    return collector_run(ctl, WHAT, list, err);
}

/* ---- one of them ---- */

static enum ctl_exit show(struct ctl *ctl, struct connection *connection, const char *id,
                          struct error *err)
{
    struct answer answer = {0};
    enum ctl_exit status = ask_one(connection, GET, "GetCaptureRequest", id, &answer, err);

    if (status == CTL_OK) {
        const struct view view = view_of("GetCaptureResponse", answer.bytes, answer.length);
        const struct view capture = view_message(&view, "capture");

        if (ctl->options.form == FORM_JSON) {
            status = json_object_put(&ctl->out, &capture, err) ? CTL_OK : CTL_FAILED;
        } else {
            capture_show_report(&ctl->out, &capture);
        }
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit run_show(struct ctl *ctl, struct error *err)
{
    return collector_each(ctl, WHAT, show, err);
}

static enum ctl_exit stop(struct ctl *ctl, struct connection *connection, const char *id,
                          struct error *err)
{
    struct answer answer = {0};
    const enum ctl_exit status =
        ask_one(connection, CANCEL, "CancelCaptureRequest", id, &answer, err);

    (void)ctl;
    free(answer.bytes);
    if (status == CTL_OK) {
        tell("%s is ended; what its sensors have still comes", id);
    }
    return status;
}

static enum ctl_exit run_stop(struct ctl *ctl, struct error *err)
{
    return collector_each(ctl, WHAT, stop, err);
}

static enum ctl_exit delete (struct ctl *ctl, struct connection *connection, const char *id,
                             struct error *err) {
    struct answer answer = {0};
    const enum ctl_exit status = ask_one(connection, DELETE, "DeleteCaptureRequest", id, &answer,
                                         err);

    (void)ctl; free(answer.bytes); if (status == CTL_OK){tell("%s and its file are gone", id);}
return status;
}

static enum ctl_exit run_delete(struct ctl *ctl, struct error *err)
{
    return collector_each(ctl, WHAT, delete, err);
}

const struct ctl_command captures_command = {
    .name = "captures",
    .bit = FOR_CAPTURES,
    .summary = "captures that a collector keeps, the newest first",
    .examples = "  netscopectl captures\n"
                "  netscopectl captures --sensor edge-1 -o jsonl | jq -r .capture_id\n",
    .run = run_list,
};

const struct ctl_command captures_show_command = {
    .name = "captures show",
    .bit = FOR_CAPTURES_SHOW,
    .operand = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "one of them, with each of its sensors",
    .examples = "  netscopectl captures show 018f0000\n",
    .run = run_show,
};

const struct ctl_command captures_stop_command = {
    .name = "captures stop",
    .bit = FOR_CAPTURES_STOP,
    .operand = "ID...",
    .operands_min = 1,
    .operands_max = 64,
    .summary = "ends captures that run; what has come stays",
    .examples = "  netscopectl captures stop 018f0000\n",
    .run = run_stop,
};

const struct ctl_command captures_delete_command = {
    .name = "captures delete",
    .bit = FOR_CAPTURES_DELETE,
    .operand = "ID...",
    .operands_min = 1,
    .operands_max = 64,
    .summary = "deletes captures and their files; those that run are ended",
    .examples = "  netscopectl captures delete 018f0000\n",
    .run = run_delete,
};
