/* `netscopectl captures start`: has sensors capture into a file at the collector. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/captures/capture_file.h"
#include "ctl/captures/capture_show.h"
#include "ctl/choice.h"
#include "ctl/collector.h"
#include "ctl/json_list.h"
#include "ctl/message.h"
#include "ctl/output.h"

#define PATH     "/netscope.v1.CaptureService/StartCapture"
#define ID_BYTES 128

static int check(const struct ctl *ctl, struct error *err)
{
    const struct ctl_options *o = &ctl->options;
    const int subjects = (o->filter != NULL) + (o->flow != NULL) + (o->alert != NULL);

    if (subjects > 1) {
        return error_set(err, EINVAL, "--filter, --flow and --alert exclude each other");
    }
    if (o->sensor == NULL && o->labels == NULL && o->flow == NULL && o->alert == NULL) {
        return error_set(err, EINVAL,
                         "captures start: who captures? --sensor NAMES or --labels EXPR; or --flow "
                         "ID or --alert ID, whose sensors are known");
    }
    if (o->write != NULL && !o->follow) {
        return error_set(err, EINVAL,
                         "-w: goes with --follow; a file is had later by netscopectl "
                         "captures download");
    }
    struct choice_range range;

    if (choice_read_range(o, clock_wall_ns(), &range, err) != 0) {
        return -err->code;
    }
    return o->follow ? capture_file_check(ctl, err) : 0;
}

static int fill(const struct ctl *ctl, struct request *request, struct error *err)
{
    const struct ctl_options *o = &ctl->options;
    struct choice_range range;
    const bool is_one = o->sensor != NULL && o->labels == NULL && strpbrk(o->sensor, ",*") == NULL;

    if (choice_read_range(o, clock_wall_ns(), &range, err) != 0) {
        return -err->code;
    }
    request_begin(request, "StartCaptureRequest", err);
    if (is_one) { /* also one that is not known: the refusal names it */
        request_set(request, "sensor_id", o->sensor);
    } else {
        choice_sensors(request, o);
    }
    request_set(request, "bpf", o->filter);
    request_set(request, "flow_id", o->flow);
    request_set(request, "alert_id", o->alert);
    request_set(request, "interface", o->interface);
    request_set_number(request, "snaplen", o->snaplen);
    request_set_number(request, "max_packets", o->max_packets);
    request_set_number(request, "max_bytes", o->max_bytes);
    request_set_number(request, "sensor_max_packets", o->sensor_max_packets);
    request_set_number(request, "sensor_max_bytes", o->sensor_max_bytes);
    request_set_duration(request, "max_duration", o->duration_ns);
    request_set_true(request, "include_history", o->history || o->since != NULL);
    request_set_time(request, "packets_from", range.since_ns);
    request_set_time(request, "packets_until", range.until_ns);
    return request_is_whole(request) ? 0 : -err->code;
}

/* The id is all that standard output gets, so that a script can go on with it. */
static enum ctl_exit tell_start(struct ctl *ctl, const struct view *answer, char id[ID_BYTES],
                                struct error *err)
{
    const struct view capture = view_message(answer, "capture");
    const struct record_text text = view_text(&capture, "capture_id");

    (void)snprintf(id, ID_BYTES, "%.*s", (int)text.length, text.data);
    capture_show_troubles(&capture);
    if (ctl->options.follow) {
        tell("capture %s", id);
        return CTL_OK;
    }
    if (ctl->options.form == FORM_JSON) {
        return json_object_put(&ctl->out, &capture, err) ? CTL_OK : CTL_FAILED;
    }
    output_write(&ctl->out, id, strlen(id));
    output_write(&ctl->out, "\n", 1);
    return CTL_OK;
}

static enum ctl_exit start(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct request request = {0};
    struct answer answer = {0};
    char id[ID_BYTES] = "";

    if (fill(ctl, &request, err) != 0) {
        return CTL_USAGE;
    }
    enum ctl_exit status = ask(connection, PATH, request.bytes, request.length, &answer, err);

    if (status == CTL_OK) {
        const struct view view = view_of("StartCaptureResponse", answer.bytes, answer.length);

        status = tell_start(ctl, &view, id, err);
    }
    free(answer.bytes);
    return status == CTL_OK && ctl->options.follow
               ? capture_file_write(ctl, connection, id, true, err)
               : status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    return check(ctl, err) == 0 ? collector_run(ctl, "captures that are kept", start, err)
                                : CTL_USAGE;
}

const struct ctl_command captures_start_command = {
    .name = "captures start",
    .bit = FOR_CAPTURES_START,
    .summary = "has sensors capture into a file at the collector",
    .examples =
        "  netscopectl captures start --sensor edge-1,edge-2 --filter 'tcp port 443' --duration "
        "1m\n"
        "  netscopectl captures start --alert 018f0000-0000-7000-8000-000000000001 --history\n"
        "  netscopectl captures start --sensor edge-1 --since 10m --until 5m\n"
        "  netscopectl captures start --labels site=berlin --follow | wireshark -k -i -\n"
        "\nPackets of several sensors come into one file. It goes on without this command: its id\n"
        "is on standard output, for captures follow, download, stop and delete.\n",
    .run = run,
};
