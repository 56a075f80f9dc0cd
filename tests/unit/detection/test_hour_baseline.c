/* What hosts send at each hour of the day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detection/hour_baseline.h"

#define HOUR  UINT64_C(3600)
#define DAY   (24 * HOUR)
#define START (UINT64_C(19675) * DAY) /* midnight */
#define MB    1e6

static struct hour_baseline baseline;

static int empty(void **state)
{
    (void)state;
    memset(&baseline, 0, sizeof(baseline));
    return 0;
}

static struct ip_address host(uint32_t number)
{
    return (struct ip_address){.bytes = {10, 0, (uint8_t)(number >> 8), (uint8_t)number},
                               .version = 4};
}

static double usual(uint32_t number, uint64_t second)
{
    const struct ip_address address = host(number);

    return hour_baseline_usual(&baseline, &address, second);
}

static bool told(uint32_t number, uint64_t second, double bytes)
{
    const struct ip_address address = host(number);

    return hour_baseline_note(&baseline, &address, second, bytes);
}

static void the_most_of_an_hour_is_usual_from_the_next_day_on(void **state)
{
    (void)state;
    assert_true(told(1, START + 2 * HOUR, 50 * MB));
    assert_true(told(1, START + 2 * HOUR + 600, 80 * MB));
    assert_true(told(1, START + 2 * HOUR + 900, 60 * MB));
    assert_true(usual(1, START + 2 * HOUR + 950) == 0); /* it is not over */
    assert_true(usual(1, START + 3 * HOUR) == 0);
    const double next = usual(1, START + DAY + 2 * HOUR);

    assert_true(next > 75 * MB && next < 80 * MB);
    assert_true(usual(2, START + DAY + 2 * HOUR) == 0);
}

static void the_hours_beside_count_and_others_do_not(void **state)
{
    (void)state;
    (void)told(1, START + 23 * HOUR, 80 * MB);
    assert_true(usual(1, START + DAY + 22 * HOUR) > 75 * MB);
    assert_true(usual(1, START + 2 * DAY) > 75 * MB); /* over midnight */
    assert_true(usual(1, START + DAY + 21 * HOUR) == 0);
    assert_true(usual(1, START + 2 * DAY + HOUR) == 0);
}

static void two_weeks_take_half(void **state)
{
    (void)state;
    (void)told(1, START, 80 * MB);
    assert_true(usual(1, START + 14 * DAY) == 40 * MB);
    assert_true(usual(1, START + 28 * DAY) == 20 * MB);
    (void)told(1, START + 14 * DAY, 10 * MB); /* less than what is usual changes nothing */
    assert_true(usual(1, START + 28 * DAY) == 20 * MB);
    (void)told(1, START + 28 * DAY, 30 * MB);
    assert_true(usual(1, START + 42 * DAY) == 15 * MB);
}

static void what_is_ahead_of_the_clock_is_not_known(void **state)
{
    (void)state;
    (void)told(1, START + DAY, 80 * MB);
    assert_true(usual(1, START) == 0);
    (void)told(1, START, 10 * MB); /* set back for good */
    const double next = usual(1, START + DAY);

    assert_true(next > 9 * MB && next < 10 * MB);
}

static void a_full_one_forgets_the_host_that_was_told_of_longest_ago(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < HOUR_BASELINE_HOSTS_MAX; i++) {
        assert_true(told(i, START + (i == 700 ? 0 : HOUR), 80 * MB));
    }
    assert_false(told(5000, START + 2 * HOUR, 80 * MB));
    assert_true(usual(700, START + DAY) == 0);
    assert_true(usual(701, START + DAY) > 0);
    assert_true(usual(5000, START + DAY + 2 * HOUR) > 0);
}

static void it_is_read_as_it_was_written(void **state)
{
    struct hour_baseline *other = calloc(1, sizeof(*other));
    uint8_t *bytes = malloc(HOUR_BASELINE_BYTES);
    struct byte_writer w = {bytes, bytes + HOUR_BASELINE_BYTES};

    (void)state;
    assert_non_null(other);
    assert_non_null(bytes);
    for (uint32_t i = 0; i < HOUR_BASELINE_HOSTS_MAX; i++) {
        for (uint64_t hour = 0; hour < 30; hour++) {
            (void)told(i, START + hour * HOUR, (100 + i) * MB);
        }
        baseline.hosts[i].address.version = 6; /* the longest */
    }
    hour_baseline_write(&baseline, &w);
    assert_int_equal(byte_left(&w), 0);
    struct byte_reader r = {bytes, w.at, true};

    assert_true(hour_baseline_read(other, &r));
    assert_ptr_equal(r.at, r.end);
    assert_memory_equal(other, &baseline, sizeof(baseline));
    for (size_t length = 0; length < 700; length++) {
        struct byte_reader part = {bytes, bytes + length, true};

        assert_false(hour_baseline_read(NULL, &part));
    }
    free(other);
    free(bytes);
}

static void an_hour_that_comes_twice_and_too_many_hosts_are_refused(void **state)
{
    uint8_t bytes[64] = {1, 0, 0, 0, 4, 10, 0, 0, 1, 2, 48, 0, 0, 0, [22] = 72};
    const uint8_t many[] = {1, 4, 0, 0}; /* 1025 */
    struct byte_reader twice = {bytes, bytes + 34, true};
    struct byte_reader hosts = {many, many + 4, true};

    (void)state;
    assert_false(hour_baseline_read(NULL, &twice));
    bytes[22] = 73;
    twice = (struct byte_reader){bytes, bytes + 34, true};
    assert_true(hour_baseline_read(NULL, &twice));
    assert_false(hour_baseline_read(NULL, &hosts));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, empty)
    const struct CMUnitTest tests[] = {
        TEST(the_most_of_an_hour_is_usual_from_the_next_day_on),
        TEST(the_hours_beside_count_and_others_do_not),
        TEST(two_weeks_take_half),
        TEST(what_is_ahead_of_the_clock_is_not_known),
        TEST(a_full_one_forgets_the_host_that_was_told_of_longest_ago),
        TEST(it_is_read_as_it_was_written),
        TEST(an_hour_that_comes_twice_and_too_many_hosts_are_refused),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
