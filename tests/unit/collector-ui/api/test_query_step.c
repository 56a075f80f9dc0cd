/* How fine an answer by time may be, and what is said of one that is too fine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "collector-ui/api/query_step.h"

#define SECOND UINT64_C(1000000000)
#define DAY    (86400 * SECOND)

static void a_step_that_is_too_fine_is_refused_with_one_that_would_do(void **state)
{
    const uint64_t from_ns = 20000 * DAY;
    char detail[QUERY_STEP_BYTES];

    (void)state;
    assert_true(query_step_fits(from_ns, from_ns + DAY, 0, 1001, detail));
    assert_true(query_step_fits(from_ns, from_ns + DAY, 60 * SECOND, 11, detail));
    assert_false(query_step_fits(from_ns, from_ns + 7 * DAY, 60 * SECOND, 11, detail));
    assert_non_null(strstr(detail, "10080 buckets of 11 rows are more than 20000"));
    assert_non_null(strstr(detail, "a step of 600.000s would do"));
    assert_true(query_step_fits(from_ns, from_ns + 7 * DAY, 600 * SECOND, 11, detail));
    assert_false(query_step_fits(from_ns, from_ns + 7 * DAY, 1, 1, detail));
}

static void the_step_that_is_named_fits_any_range(void **state)
{
    static const uint64_t ranges_ns[] = {1,        SECOND,    3601 * SECOND,  DAY + 1,
                                         90 * DAY, 366 * DAY, 100 * 366 * DAY};
    char detail[QUERY_STEP_BYTES];

    (void)state;
    for (unsigned i = 0; i < sizeof(ranges_ns) / sizeof(ranges_ns[0]); i++) {
        for (uint64_t rows = 1; rows <= 1001; rows += 10) {
            const uint64_t to_ns = 12345 * DAY + 6789 + ranges_ns[i];
            const uint64_t step_ns =
                query_step_that_fits(12345 * DAY + 6789, to_ns, QUERY_ROWS_MAX / rows);

            /* With a thousand rows each, a century has no step of a year or less. */
            if (rows < 100 || i + 1 < sizeof(ranges_ns) / sizeof(ranges_ns[0])) {
                assert_true(query_step_fits(12345 * DAY + 6789, to_ns, step_ns, rows, detail));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_that_is_too_fine_is_refused_with_one_that_would_do),
        cmocka_unit_test(the_step_that_is_named_fits_any_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
