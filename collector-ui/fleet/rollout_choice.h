/* Which sensors: by patterns of ids and by labels. Depends on: proto. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

struct rollout_choice {
    uint32_t patterns_count; /* 0: each id */
    char **patterns;
    char *labels; /* a selector that has been checked (sensor_labels.h); NULL or "": any labels */
};

/* A deep copy. False: no memory; then rollout_choice_fini, as always. */
MUST_USE bool rollout_choice_copy(struct rollout_choice *out, const struct rollout_choice *from);
void rollout_choice_fini(struct rollout_choice *choice);
/* `set_labels` stand over `labels`; NULL: none. */
bool rollout_choice_takes(const struct rollout_choice *choice, const char *sensor_id,
                          const char *set_labels, const char *labels);
