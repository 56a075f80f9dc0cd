#include "base/clock.h"

#include <stddef.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now); /* cannot fail: both clocks always exist on Linux */
    return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

static uint64_t system_monotonic_ns(void *context)
{
    (void)context;
    return clock_monotonic_ns();
}

static uint64_t system_wall_ns(void *context)
{
    (void)context;
    return clock_wall_ns();
}

const struct clock clock_system = {system_monotonic_ns, system_wall_ns, NULL};

static char *put_digits(char *out, uint32_t value, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + digits;
}

unsigned clock_text(uint64_t wall_ns, unsigned digits, char *out)
{
    const uint64_t seconds = wall_ns / NS_PER_SEC;
    const uint32_t day_seconds = (uint32_t)(seconds % 86400);
    /* Days to a civil date in years that begin in March, eras of 400 years (Gregorian, all days
     * after 1970). */
    const uint32_t days = (uint32_t)(seconds / 86400) + 719468;
    const uint32_t era = days / 146097;
    const uint32_t era_day = days % 146097;
    const uint32_t era_year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
    const uint32_t year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    const uint32_t shifted = (5 * year_day + 2) / 153;
    const uint32_t month = shifted < 10 ? shifted + 3 : shifted - 9;
    const uint32_t year = era * 400 + era_year + (month <= 2 ? 1 : 0);

    char *p = put_digits(out, year, 4);
    *p++ = '-';
    p = put_digits(p, month, 2);
    *p++ = '-';
    p = put_digits(p, year_day - (153 * shifted + 2) / 5 + 1, 2);
    *p++ = 'T';
    p = put_digits(p, day_seconds / 3600, 2);
    *p++ = ':';
    p = put_digits(p, day_seconds / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, day_seconds % 60, 2);
    if (digits > 9) {
        digits = 9;
    }
    if (digits > 0) {
        uint32_t fraction = (uint32_t)(wall_ns % NS_PER_SEC);
        for (unsigned i = digits; i < 9; i++) {
            fraction /= 10;
        }
        *p++ = '.';
        p = put_digits(p, fraction, digits);
    }
    *p++ = 'Z';
    *p = '\0';
    return (unsigned)(p - out);
}
