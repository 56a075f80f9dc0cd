/* Which alerts somebody wants: by kind, state, severity and who takes part. One meaning for
 * requests, streams and receivers. Depends on: base, record.h. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "proto/record.h"

/* What an alert must be to pass. Empty: all. */
struct alert_choice {
    uint32_t kinds;  /* bit n: kind n; 0 = all */
    uint32_t states; /* bit n: state n; 0 = all */
    uint8_t min_severity;
    uint32_t subjects_count;
    struct ip_prefix *subjects; /* one of its attackers or victims; owned by whoever made it */
};

bool alert_choice_passes(const struct alert_choice *choice, const struct alert_record *alert);
