/* Which alerts somebody wants: by kind, state, severity, who takes part and which sensor saw it.
 * One meaning for requests, streams, receivers and silences. Depends on: base, record.h. Pure, any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "proto/record_alert.h"

/* What an alert must be to pass. Empty: all. The lists are owned by whoever made them. */
struct alert_choice {
    uint32_t kinds;                     /* bit n: kind n; 0 = all */
    uint32_t states;                    /* bit n: state n; 0 = all */
    uint8_t min_severity, max_severity; /* none: no bound */
    uint32_t subjects_count, attackers_count, victims_count, sensors_count;
    struct ip_prefix *subjects;  /* one of its attackers or victims */
    struct ip_prefix *attackers; /* one of these */
    struct ip_prefix *victims;   /* likewise */
    char **sensors;              /* patterns with '*': whose it is, or one that contributed */
};

bool alert_choice_passes(const struct alert_choice *choice, const struct alert_record *alert);
/* `hash` (HASH_FNV1A_START at first) and what the choice says: the same for the same choice written
 * in the same order. Page tokens hold it, so that one of another question is refused. */
uint64_t alert_choice_hash(const struct alert_choice *choice, uint64_t hash);
/* For those whose lists are malloc'ed. */
void alert_choice_fini(struct alert_choice *choice);
