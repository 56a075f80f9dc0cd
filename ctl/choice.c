#include "ctl/choice.h"

#include <errno.h>

#include "ctl/show.h"

int choice_read_range(const struct ctl_options *options, uint64_t now_ns,
                      struct choice_range *range, struct error *err)
{
    *range = (struct choice_range){0};
    if (options->since != NULL &&
        time_parse("--since", options->since, now_ns, &range->since_ns, err) != 0) {
        return -err->code;
    }
    if (options->until != NULL &&
        time_parse("--until", options->until, now_ns, &range->until_ns, err) != 0) {
        return -err->code;
    }
    if (range->until_ns != 0 && range->until_ns <= range->since_ns) {
        return error_set(err, EINVAL, "--until is not after --since: there is nothing in between");
    }
    return 0;
}

void choice_sensors(struct request *request, const struct ctl_options *options)
{
    request_set_each(request, "sensor_selector.sensor_ids", options->sensor);
    request_set(request, "sensor_selector.labels", options->labels);
}
