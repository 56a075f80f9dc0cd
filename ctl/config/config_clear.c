/* `netscopectl config clear`: settings are wanted no more. */
#include <stdlib.h>

#include "ctl/collector.h"
#include "ctl/json_list.h"
#include "ctl/message.h"
#include "ctl/output.h"

#define PATH "/netscope.v1.FleetService/ClearDesiredConfig"

static enum ctl_exit clear(struct ctl *ctl, struct connection *connection, const char *id,
                           struct error *err)
{
    struct request request;
    struct answer answer = {0};

    request_begin(&request, "ClearDesiredConfigRequest", err);
    request_set(&request, "config_id", id);
    if (!request_is_whole(&request)) {
        return CTL_USAGE;
    }
    enum ctl_exit status = ask(connection, PATH, request.bytes, request.length, &answer, err);

    if (status == CTL_OK && ctl->options.form == FORM_JSON) {
        const struct view view = view_of("ClearDesiredConfigResponse", answer.bytes, answer.length);

        status = json_object_put(&ctl->out, &view, err) ? CTL_OK : CTL_FAILED;
    } else if (status == CTL_OK) {
        tell("%s is wanted no more: sensors that have it go back to their own files", id);
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    return collector_each(ctl, "settings of a fleet", clear, err);
}

const struct ctl_command config_clear_command = {
    .name = "config clear",
    .bit = FOR_CONFIG_CLEAR,
    .operand = "ID...",
    .operands_min = 1,
    .operands_max = 64,
    .summary = "pushed settings are wanted no more: sensors go back to their own files",
    .examples = "  netscopectl config list\n"
                "  netscopectl config clear 018f0000000070008000000000000001\n",
    .run = run,
};
