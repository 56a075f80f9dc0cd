/* What many commands choose by alike: a range of time, and sensors.
 *
 * Depends on: ctl/command, ctl/message. Threads: main. */
#pragma once

#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/command.h"
#include "ctl/message.h"

struct choice_range {
    uint64_t since_ns, until_ns; /* wall clock; 0: not given */
};

/* --since and --until. 0 or -EINVAL with `err`, also where nothing lies between them. */
MUST_USE int choice_read_range(const struct ctl_options *options, uint64_t now_ns,
                               struct choice_range *range, struct error *err);
/* --by names at most `max` things, each once. 0 or -EINVAL with `err`. */
MUST_USE int choice_check_groups(const struct ctl_options *options, unsigned max,
                                 struct error *err);
/* --sensor and --labels into `sensor_selector` of the request. */
void choice_sensors(struct request *request, const struct ctl_options *options);
