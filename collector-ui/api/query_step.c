#include "collector-ui/api/query_step.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "collector-ui/history/query.h"

static const uint64_t usual_ms[] = {
    1,        2,        5,        10,        20,         50,         100,     200,
    500,      1000,     2000,     5000,      10000,      15000,      30000,   60000,
    120000,   300000,   600000,   900000,    1800000,    3600000,    7200000, 10800000,
    21600000, 43200000, 86400000, 604800000, 2592000000, 31536000000};

uint64_t query_step_that_fits(uint64_t from_ns, uint64_t to_ns, uint64_t buckets_max)
{
    for (unsigned i = 0; i < ARRAY_COUNT(usual_ms); i++) {
        const uint64_t step_ns = usual_ms[i] * NS_PER_MS;

        if (history_buckets(from_ns, to_ns, step_ns) <= buckets_max) {
            return step_ns;
        }
    }
    return usual_ms[ARRAY_COUNT(usual_ms) - 1] * NS_PER_MS; /* of a thousand rows: 20 years */
}

bool query_step_fits(uint64_t from_ns, uint64_t to_ns, uint64_t step_ns, uint64_t rows,
                     char detail[QUERY_STEP_BYTES])
{
    const uint64_t buckets = history_buckets(from_ns, to_ns, step_ns);
    const uint64_t buckets_max = QUERY_ROWS_MAX / rows;

    if (buckets <= buckets_max) {
        return true;
    }
    const uint64_t fits_ns = query_step_that_fits(from_ns, to_ns, buckets_max);

    (void)snprintf(detail, QUERY_STEP_BYTES,
                   "step: %" PRIu64 " buckets of %" PRIu64
                   " rows are more than %d; a step of %" PRIu64 ".%03" PRIu64 "s would do%s",
                   buckets, rows, QUERY_ROWS_MAX, fits_ns / NS_PER_SEC,
                   fits_ns % NS_PER_SEC / NS_PER_MS, rows > 2 ? ", or a smaller limit" : "");
    return false;
}
