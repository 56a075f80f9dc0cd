/* How fine an answer by time may be.
 *
 * Depends on: history. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define QUERY_ROWS_MAX   20000 /* of an answer by time */
#define QUERY_STEP_BYTES 256

/* Whether buckets of `step_ns` (0: one) with `rows` rows each are within QUERY_ROWS_MAX; `detail`
 * says otherwise which step would do. */
bool query_step_fits(uint64_t from_ns, uint64_t to_ns, uint64_t step_ns, uint64_t rows,
                     char detail[QUERY_STEP_BYTES]);
/* The smallest of the usual steps (1 ms to a year) of which at most `buckets_max` touch a range. */
uint64_t query_step_that_fits(uint64_t from_ns, uint64_t to_ns, uint64_t buckets_max);
