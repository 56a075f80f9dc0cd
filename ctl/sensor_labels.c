/* `netscopectl sensors label`: labels that the collector gives a sensor, by which others choose it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"
#include "ctl/collector.h"
#include "ctl/json_list.h"
#include "ctl/output.h"
#include "ctl/report.h"
#include "proto/json/descriptor_index.h"

#define GET    "/netscope.v1.FleetService/GetSensor"
#define UPDATE "/netscope.v1.FleetService/UpdateSensor"

enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 }; /* of a map */

/* "site=berlin" sets, "site-" takes away; the first operand is the sensor. */
struct change {
    const char *key;
    size_t key_length;
    const char *value; /* NULL: away with it */
};

static int read_change(const char *text, struct change *change, struct error *err)
{
    const size_t length = strlen(text);
    const char *equal = strchr(text, '=');

    *change = (struct change){.key = text};
    if (equal != NULL && equal > text) {
        change->key_length = (size_t)(equal - text);
        change->value = equal + 1;
        return 0;
    }
    if (equal == NULL && length > 1 && text[length - 1] == '-') {
        change->key_length = length - 1;
        return 0;
    }
    return error_set(err, EINVAL, "%s: give KEY=VALUE, or KEY- to take one away", text);
}

/* Whether an operand says something of this key. */
static bool is_changed(const struct ctl_options *o, struct record_text key)
{
    struct error ignored = {0};
    struct change change;

    for (unsigned i = 1; i < o->operands_count; i++) {
        if (read_change(o->operands[i], &change, &ignored) == 0 &&
            change.key_length == key.length && memcmp(change.key, key.data, key.length) == 0) {
            return true;
        }
    }
    return false;
}

/* The labels that were set before with the changes, as the request wants all of them. */
static int fill(const struct ctl *ctl, const struct view *sensor, struct request *request,
                struct error *err)
{
    struct view_list list = view_list_of(sensor, "set_labels");
    struct wire_writer w;
    struct view each;

    request_begin(request, "UpdateSensorRequest", err);
    request_set(request, "sensor_id", ctl->options.operands[0]);
    const uint32_t number =
        message_field_named(request->message, "labels", strlen("labels"))->number;

    w = wire_writer_over(request->bytes + request->length, REQUEST_BYTES - request->length);
    while (view_list_next(&list, &each)) {
        if (!is_changed(&ctl->options, view_text(&each, "key"))) {
            wire_write_bytes(&w, number, each.bytes, each.length);
        }
    }
    for (unsigned i = 1; request_is_whole(request) && i < ctl->options.operands_count; i++) {
        struct change change;

        if (read_change(ctl->options.operands[i], &change, err) == 0 && change.value != NULL) {
            const struct wire_mark mark = wire_begin(&w, number, 1);

            wire_write_bytes(&w, ENTRY_KEY, change.key, change.key_length);
            wire_write_text(&w, ENTRY_VALUE, change.value);
            wire_end(&w, mark);
        }
    }
    if (!w.ok) {
        (void)error_set(err, EFBIG, "labels of more than %d bytes", REQUEST_BYTES);
    }
    request->length += wire_written(&w);
    return request_is_whole(request) ? 0 : -err->code;
}

/* "site=berlin", and whether it was set here. */
static void put_labels(struct output *out, const struct view *sensor)
{
    struct view_list list = view_list_of(sensor, "labels");
    struct view each;

    while (view_list_next(&list, &each)) {
        const struct record_text key = view_text(&each, "key");
        struct view_list set = view_list_of(sensor, "set_labels");
        struct view one;
        struct line line;
        bool is_set = false;

        while (view_list_next(&set, &one)) {
            const struct record_text other = view_text(&one, "key");

            is_set |= other.length == key.length && memcmp(other.data, key.data, key.length) == 0;
        }
        line_begin(&line, out);
        show_name(&line.show, key);
        show_text(&line.show, "=");
        show_name(&line.show, view_text(&each, "value"));
        show_text(&line.show, "%s", is_set ? "" : " (its own)");
        line_end(&line);
    }
}

static enum ctl_exit put_answer(struct ctl *ctl, const struct view *sensor, struct error *err)
{
    if (ctl->options.form == FORM_JSON) {
        return json_object_put(&ctl->out, sensor, err) ? CTL_OK : CTL_FAILED;
    }
    put_labels(&ctl->out, sensor);
    return CTL_OK;
}

static enum ctl_exit update(struct ctl *ctl, struct connection *connection,
                            const struct view *sensor, struct error *err)
{
    struct answer answer = {0};
    struct request request;

    if (fill(ctl, sensor, &request, err) != 0) {
        return CTL_USAGE;
    }
    enum ctl_exit status = ask(connection, UPDATE, request.bytes, request.length, &answer, err);

    if (status == CTL_OK) {
        const struct view view = view_of("UpdateSensorResponse", answer.bytes, answer.length);
        const struct view now = view_message(&view, "sensor");

        status = put_answer(ctl, &now, err);
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit use(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct answer answer = {0};
    struct request request;

    request_begin(&request, "GetSensorRequest", err);
    request_set(&request, "sensor_id", ctl->options.operands[0]);
    enum ctl_exit status = request_is_whole(&request)
                               ? ask(connection, GET, request.bytes, request.length, &answer, err)
                               : CTL_USAGE;

    if (status == CTL_OK) {
        const struct view view = view_of("GetSensorResponse", answer.bytes, answer.length);
        const struct view sensor = view_message(&view, "sensor");

        status = ctl->options.operands_count > 1 ? update(ctl, connection, &sensor, err)
                                                 : put_answer(ctl, &sensor, err);
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    struct change change;

    for (unsigned i = 1; i < ctl->options.operands_count; i++) {
        if (read_change(ctl->options.operands[i], &change, err) != 0) {
            return CTL_USAGE;
        }
    }
    return collector_run(ctl, "labels of sensors", use, err);
}

const struct ctl_command sensors_label_command = {
    .name = "sensors label",
    .bit = FOR_SENSORS_LABEL,
    .operand = "SENSOR [KEY=VALUE|KEY-]...",
    .operands_min = 1,
    .operands_max = 33,
    .summary = "labels of a sensor, by which --labels chooses: shown, set, taken away",
    .examples = "  netscopectl sensors label edge-1                      those that it has\n"
                "  netscopectl sensors label edge-1 site=berlin role=edge\n"
                "  netscopectl sensors label edge-1 role-\n",
    .run = run,
};
