/* What hosts send at each hour of the day: the most of days before, which loses half in two weeks
 * without.
 *
 * Hours are of UTC and counted from 1970, so that neither a restart nor what a clock is set by
 * moves them; summer time is one of the hours beside. Memory is fixed: where it is full, the host
 * that was told of longest ago goes. Depends on: base. Threads: one object, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "detection/byte_form.h"

#define HOUR_BASELINE_HOURS     24
#define HOUR_BASELINE_HOSTS_MAX 1024
/* The most that _write needs. */
#define HOUR_BASELINE_BYTES                                                                        \
    (4 + HOUR_BASELINE_HOSTS_MAX * (17 + 1 + HOUR_BASELINE_HOURS * (size_t)12))

/* All zero is an empty one. */
struct hour_baseline {
    uint32_t hosts_count;
    struct hour_baseline_host {
        struct ip_address address;
        uint32_t last_hour;
        struct {
            uint32_t hour;      /* since 1970, of `peak_kb`; 0: nothing was told so far */
            uint32_t peak_kb;   /* the most of that hour */
            uint32_t before_kb; /* what was usual before it */
        } slots[HOUR_BASELINE_HOURS];
    } hosts[HOUR_BASELINE_HOSTS_MAX];
};

/* What was usual for the host at this hour, the one before and the one behind, without the last
 * twelve hours; 0: nothing is known of it. Bytes. */
double hour_baseline_usual(const struct hour_baseline *baseline, const struct ip_address *host,
                           uint64_t second);
/* So much of the host was seen at `second`. False: another host had to go for it. */
bool hour_baseline_note(struct hour_baseline *baseline, const struct ip_address *host,
                        uint64_t second, double bytes);

/* As bytes: there is room for HOUR_BASELINE_BYTES. */
void hour_baseline_write(const struct hour_baseline *baseline, struct byte_writer *out);
/* `out` NULL: only looked at. False: it is not what _write writes. */
bool hour_baseline_read(struct hour_baseline *out, struct byte_reader *in);
