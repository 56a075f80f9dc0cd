/* What `observe` chose, shared by its two sources: a server and a file.
 *
 * Depends on: proto, proto/filter. Threads: main. */
#pragma once

#include <stdint.h>

#include "ctl/command.h"
#include "ctl/stop.h"
#include "proto/filter/filter.h"

struct observe_choice {
    uint64_t first, last;        /* 0: no bound */
    uint64_t since_ns, until_ns; /* of the records' ends; 0: no bound */
};

/* Without any bound the last 20. 0 or -EINVAL. */
MUST_USE int observe_choose(const struct ctl_options *options, uint64_t now_ns,
                            struct observe_choice *choice, struct error *err);
MUST_USE enum ctl_exit observe_file(struct ctl *ctl, const struct filter *filter,
                                    const struct observe_choice *choice, struct error *err);
