#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/counter.h"
#include "base/metrics.h"

static void a_page_has_the_prometheus_form(void **state)
{
    (void)state;
    struct metrics_page page;
    metrics_page_init(&page, 65536);
    metrics_family(&page, "netscope_packets_total", METRICS_COUNTER, "Packets \\ read.\nAll.");
    metrics_u64(&page, "netscope_packets_total",
                METRICS_LABELS("interface", "eth0", "note", "a\"b\\c\n"), 7);
    metrics_family(&page, "netscope_load", METRICS_GAUGE, "Load.");
    metrics_double(&page, "netscope_load", NULL, 0.1);
    metrics_double(&page, "netscope_load", NULL, INFINITY);
    metrics_double(&page, "netscope_load", NULL, NAN);
    assert_string_equal(page.text,
                        "# HELP netscope_packets_total Packets \\\\ read.\\nAll.\n"
                        "# TYPE netscope_packets_total counter\n"
                        "netscope_packets_total{interface=\"eth0\",note=\"a\\\"b\\\\c\\n\"} 7\n"
                        "# HELP netscope_load Load.\n# TYPE netscope_load gauge\n"
                        "netscope_load 0.1\nnetscope_load +Inf\nnetscope_load NaN\n");
    assert_int_equal(page.overflow, 0);
    metrics_page_fini(&page);
}

static void a_full_page_keeps_whole_lines_and_counts_the_rest(void **state)
{
    (void)state;
    struct metrics_page page;
    metrics_page_init(&page, 10000);
    for (uint64_t i = 0; i < 1000; i++) {
        metrics_u64(&page, "netscope_samples", METRICS_LABELS("i", "some label value"), i);
    }
    assert_true(page.length < 10000);
    assert_true(page.overflow > 0);
    assert_int_equal(page.text[page.length - 1], '\n');
    size_t lines = 0;
    for (size_t i = 0; i < page.length; i++) {
        lines += page.text[i] == '\n';
    }
    assert_int_equal(lines + (size_t)page.overflow, 1000);
    metrics_page_fini(&page);
    metrics_page_init(&page, 0);
    metrics_u64(&page, "a", NULL, 1);
    assert_int_equal(page.overflow, 1);
    metrics_page_fini(&page);
}

static void a_counter_adds_up(void **state)
{
    (void)state;
    struct counter counter = {0};
    counter_add(&counter, 5);
    counter_add_shared(&counter, 6);
    assert_int_equal(counter_get(&counter), 11);
    counter_set(&counter, 1);
    assert_int_equal(counter_get(&counter), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_has_the_prometheus_form),
        cmocka_unit_test(a_full_page_keeps_whole_lines_and_counts_the_rest),
        cmocka_unit_test(a_counter_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
