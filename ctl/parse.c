/* Times, numbers and sizes of the command line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config/config_units.h"
#include "ctl/show.h"
#include "proto/json/special_form.h"

int time_parse(const char *flag, const char *text, uint64_t now_ns, uint64_t *wall_ns,
               struct error *err)
{
    uint64_t age_ns = 0;
    int64_t seconds = 0;
    int32_t nanos = 0;

    if (strcmp(text, "now") == 0) {
        *wall_ns = now_ns;
        return 0;
    }
    /* "-15m" is what other tools call fifteen minutes ago. */
    if (config_read_duration(text[0] == '-' ? text + 1 : text, NULL, &age_ns) == CONFIG_UNIT_OK) {
        *wall_ns = age_ns < now_ns ? now_ns - age_ns : 1;
        return 0;
    }
    if (!parse_timestamp(text, strlen(text), &seconds, &nanos) || seconds < 0 ||
        seconds > INT64_C(9223372036)) {
        return error_set(err, EINVAL,
                         "%s %s: give an age (10m, -2h, 1d), \"now\", or a time such as "
                         "2026-01-02T03:04:05Z",
                         flag, text);
    }
    *wall_ns = (uint64_t)seconds * NS_PER_SEC + (uint64_t)nanos;
    return 0;
}

int number_parse(const char *flag, const char *text, uint64_t min, uint64_t max, uint64_t *number,
                 struct error *err)
{
    char *end = NULL;

    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < min ||
        value > max) {
        return error_set(err, EINVAL, "%s %s: give a whole number from %llu to %llu", flag, text,
                         (unsigned long long)min, (unsigned long long)max);
    }
    *number = value;
    return 0;
}

int duration_parse(const char *flag, const char *text, uint64_t *ns, struct error *err)
{
    return config_read_duration(text, NULL, ns) == CONFIG_UNIT_OK && *ns > 0
               ? 0
               : error_set(err, EINVAL, "%s %s: give a duration with its unit, such as 30s or 5m",
                           flag, text);
}

int size_parse(const char *flag, const char *text, uint64_t *bytes, struct error *err)
{
    return config_read_bytes(text, NULL, bytes) == CONFIG_UNIT_OK && *bytes > 0
               ? 0
               : error_set(err, EINVAL, "%s %s: give a size with its unit, such as 64MiB", flag,
                           text);
}
