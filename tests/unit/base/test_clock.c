#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static void a_time_is_written_as_rfc_3339(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_BYTES];
    assert_int_equal(clock_text(0, 0, text), 20);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    assert_int_equal(clock_text(UINT64_C(1767323045678901234), 9, text), 30);
    assert_string_equal(text, "2026-01-02T03:04:05.678901234Z");
    (void)clock_text(UINT64_C(1767323045678901234), 3, text);
    assert_string_equal(text, "2026-01-02T03:04:05.678Z");
    (void)clock_text(UINT64_MAX, 9, text);
    assert_string_equal(text, "2554-07-21T23:34:33.709551615Z");
}

static void every_day_has_the_date_of_the_libc(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 213503; day++) {
        char text[CLOCK_TEXT_BYTES];
        char expected[CLOCK_TEXT_BYTES];
        const time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm parts;
        assert_non_null(gmtime_r(&seconds, &parts));
        assert_true(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%SZ", &parts) > 0);
        (void)clock_text((uint64_t)seconds * NS_PER_SEC, 0, text);
        assert_string_equal(text, expected);
    }
}

static void the_monotonic_clock_does_not_go_back(void **state)
{
    (void)state;
    const uint64_t before = clock_system.monotonic_ns(clock_system.context);
    assert_true(clock_monotonic_ns() >= before);
    assert_true(clock_system.wall_ns(clock_system.context) > UINT64_C(1700000000) * NS_PER_SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_written_as_rfc_3339),
        cmocka_unit_test(every_day_has_the_date_of_the_libc),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
