#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector-ui/access/attempts.h"

#define SECOND UINT64_C(1000000000)
#define START  (1000 * SECOND)

static struct attempts attempts;

static int begin(void **state)
{
    (void)state;
    memset(&attempts, 0, sizeof(attempts));
    attempts.burst = 3;
    attempts.interval_ns = 10 * SECOND;
    return 0;
}

static void some_may_fail_at_once_and_then_one_each_interval(void **state)
{
    uint64_t wait_ns = 0;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(attempts_take(&attempts, 7, START, &wait_ns));
    }
    assert_false(attempts_take(&attempts, 7, START, &wait_ns));
    assert_int_equal(wait_ns, 10 * SECOND);
    assert_false(attempts_take(&attempts, 7, START + 10 * SECOND - 1, &wait_ns));
    assert_int_equal(wait_ns, 1);
    assert_true(attempts_take(&attempts, 7, START + 10 * SECOND, &wait_ns));
    assert_false(attempts_take(&attempts, 7, START + 10 * SECOND, &wait_ns));
    /* Asking in vain costs nothing, and after a rest all are back. */
    for (unsigned i = 0; i < 3; i++) {
        assert_true(attempts_take(&attempts, 7, START + 60 * SECOND, &wait_ns));
    }
    assert_false(attempts_take(&attempts, 7, START + 60 * SECOND, &wait_ns));
}

static void one_key_does_not_cost_another(void **state)
{
    uint64_t wait_ns = 0;

    (void)state;
    while (attempts_take(&attempts, 7, START, &wait_ns)) {
    }
    assert_true(attempts_take(&attempts, 8, START, &wait_ns));
}

static void a_good_one_is_given_back(void **state)
{
    uint64_t wait_ns = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        assert_true(attempts_take(&attempts, 7, START, &wait_ns));
        attempts_return(&attempts, 7);
    }
    attempts_return(&attempts, 99); /* which nobody has taken */
    for (unsigned i = 0; i < 3; i++) {
        assert_true(attempts_take(&attempts, 7, START, &wait_ns));
    }
    assert_false(attempts_take(&attempts, 7, START, &wait_ns));
}

/* More keys than places: the newest are remembered, and nothing grows. */
static void a_full_table_forgets_the_key_that_has_waited_longest(void **state)
{
    uint64_t wait_ns = 0;

    (void)state;
    for (uint64_t key = 1; key <= UINT64_C(100) * ATTEMPTS_SETS * ATTEMPTS_WAYS; key++) {
        assert_true(attempts_take(&attempts, key, START + key, &wait_ns));
    }
    const uint64_t last = UINT64_C(100) * ATTEMPTS_SETS * ATTEMPTS_WAYS;

    assert_true(attempts_take(&attempts, last, START + last, &wait_ns));
    assert_true(attempts_take(&attempts, last, START + last, &wait_ns));
    assert_false(attempts_take(&attempts, last, START + last, &wait_ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(some_may_fail_at_once_and_then_one_each_interval, begin),
        cmocka_unit_test_setup(one_key_does_not_cost_another, begin),
        cmocka_unit_test_setup(a_good_one_is_given_back, begin),
        cmocka_unit_test_setup(a_full_table_forgets_the_key_that_has_waited_longest, begin)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
