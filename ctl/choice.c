#include "ctl/choice.h"

#include <errno.h>
#include <string.h>

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

int choice_check_groups(const struct ctl_options *options, unsigned max, struct error *err)
{
    const char *seen = options->by != NULL ? options->by : "";
    unsigned count = 0;

    for (const char *at = seen; *at != '\0';) {
        const size_t length = strcspn(at, ",");

        for (const char *before = seen; before < at; before += strcspn(before, ",") + 1) {
            if (strcspn(before, ",") == length && strncmp(before, at, length) == 0) {
                return error_set(err, EINVAL, "--by %s: %.*s stands there twice", options->by,
                                 (int)length, at);
            }
        }
        count++;
        at += length + (at[length] == ',' ? 1 : 0);
    }
    return count <= max ? 0 : error_set(err, EINVAL, "--by %s: at most %u", options->by, max);
}

void choice_sensors(struct request *request, const struct ctl_options *options)
{
    request_set_each(request, "sensor_selector.sensor_ids", options->sensor);
    request_set(request, "sensor_selector.labels", options->labels);
}
