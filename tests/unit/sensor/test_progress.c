#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/progress.h"

static char *drawn;
static size_t drawn_bytes;
static FILE *out;
static struct progress progress;

static int begin(void **state)
{
    (void)state;
    drawn_bytes = 0;
    out = open_memstream(&drawn, &drawn_bytes);
    progress_init(&progress, out, NS_PER_SEC);
    return out == NULL ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    progress_fini(&progress);
    fclose(out);
    free(drawn);
    return 0;
}

static void draw(uint64_t ms, uint64_t done, uint64_t total, uint64_t packets)
{
    progress_draw(&progress, &(struct progress_facts){done, total, packets},
                  NS_PER_SEC + ms * NS_PER_MS);
}

static void share_rates_and_time_left_are_told(void **state)
{
    (void)state;
    draw(1000, 250 * 1000 * 1000, 1000 * 1000 * 1000, 1234567);
    assert_string_equal(drawn, "\r 25 %  1.23 Mpackets/s  250 MB/s  0:03 left\x1b[K");
}

static void a_total_that_is_unknown_gives_an_amount(void **state)
{
    (void)state;
    draw(1000, 2500 * 1000, 0, 999);
    assert_string_equal(drawn, "\r2.50 MB  999 packets/s  2.50 MB/s\x1b[K");
}

static void a_short_file_needs_no_line(void **state)
{
    (void)state;
    draw(499, 100, 1000, 10);
    assert_int_equal(drawn_bytes, 0);
    progress_clear(&progress);
    assert_int_equal(drawn_bytes, 0);
    draw(500, 100, 1000, 10);
    assert_true(drawn_bytes > 0);
}

static void it_is_drawn_five_times_a_second_at_most(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms <= 2000; ms += 10) {
        draw(ms, ms * 10, 100000, ms);
    }
    size_t times = 0;
    for (size_t i = 0; i < drawn_bytes; i++) {
        times += drawn[i] == '\r';
    }
    assert_int_equal(times, 8);
}

static void the_line_goes_before_other_text_comes(void **state)
{
    (void)state;
    draw(1000, 100, 1000, 10);
    const size_t before = drawn_bytes;
    progress_clear(&progress);
    assert_string_equal(drawn + before, "\r\x1b[K");
    progress_clear(&progress);
    assert_int_equal(drawn_bytes, before + 4);
}

static void long_waits_and_files_that_grew_are_shown_within_bounds(void **state)
{
    (void)state;
    draw(1000, 1, UINT64_MAX, 1);
    assert_non_null(strstr(drawn, "99:59:59 left"));
    draw(2000, 2000, 1000, 1000000000000);
    assert_non_null(strstr(drawn, "100 %"));
    draw(3000, 1000, 1000, 1000); /* begun again: nothing is drawn from it */
    assert_non_null(strstr(drawn, "100 %"));
    assert_true(strlen(drawn) < 2 * PROGRESS_TEXT_BYTES);
}

static void what_is_no_terminal_gets_none(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_false(progress_is_wanted(file));
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(share_rates_and_time_left_are_told, begin, end),
        cmocka_unit_test_setup_teardown(a_total_that_is_unknown_gives_an_amount, begin, end),
        cmocka_unit_test_setup_teardown(a_short_file_needs_no_line, begin, end),
        cmocka_unit_test_setup_teardown(it_is_drawn_five_times_a_second_at_most, begin, end),
        cmocka_unit_test_setup_teardown(the_line_goes_before_other_text_comes, begin, end),
        cmocka_unit_test_setup_teardown(long_waits_and_files_that_grew_are_shown_within_bounds,
                                        begin, end),
        cmocka_unit_test(what_is_no_terminal_gets_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
