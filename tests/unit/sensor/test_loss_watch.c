/* Loss on trial beside loss before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/loss_watch.h"

static const struct loss_limits limits = {.ratio = 2, .share = 0.001, .lost_least = 100};
static char reason[256];

/* Kernel drops alone. */
static struct loss_sample kernel(uint64_t lost, uint64_t all)
{
    struct loss_sample sample = {0};

    sample.lost[LOSS_KERNEL] = lost;
    sample.all[LOSS_KERNEL] = all;
    return sample;
}

/* Whether `lost` of `all` on trial is too much after `lost_before` of `all_before`. */
static bool is_worse(uint64_t lost_before, uint64_t all_before, uint64_t lost, uint64_t all)
{
    struct loss_watch watch = {0};
    const struct loss_sample first = kernel(7, 1000);
    const struct loss_sample begun = kernel(7 + lost_before, 1000 + all_before);
    const struct loss_sample now =
        kernel(begun.lost[LOSS_KERNEL] + lost, begun.all[LOSS_KERNEL] + all);

    loss_watch_add(&watch, &first);
    loss_watch_begin(&watch, &begun);
    return loss_watch_is_worse(&watch, &now, &limits, reason, sizeof(reason));
}

static void what_was_never_lost_before_is_too_much_when_it_is(void **state)
{
    (void)state;
    assert_true(is_worse(0, 50000, 2500, 10000));
    assert_string_equal(reason,
                        "more was lost on trial than before: kernel drops (ring_full) 25% (2500 of "
                        "10000 packets), before 0% (0 of 50000)");
}

static void what_was_lost_before_too_is_no_fault_of_the_trial(void **state)
{
    (void)state;
    assert_false(is_worse(5000, 50000, 2000, 10000)); /* twice is not more than twice */
    assert_true(is_worse(5000, 50000, 2001, 10000));
    assert_false(is_worse(50000, 50000, 10000, 10000));
}

static void few_of_an_idle_link_and_a_small_share_are_noise(void **state)
{
    (void)state;
    assert_false(is_worse(0, 0, 99, 99));
    assert_true(is_worse(0, 0, 100, 100));
    assert_false(is_worse(0, 1000000, 1000, 1000000)); /* 0.001 is not more than 0.001 */
    assert_true(is_worse(0, 1000000, 1001, 1000000));
}

static void nothing_is_looked_at_without_a_ratio(void **state)
{
    (void)state;
    const struct loss_limits off = {.ratio = 0, .share = 0, .lost_least = 1};
    const struct loss_sample none = {0}, now = kernel(500, 1000);
    struct loss_watch watch = {0};

    loss_watch_begin(&watch, &none);
    assert_false(loss_watch_is_worse(&watch, &now, &off, reason, sizeof(reason)));
    assert_true(loss_watch_is_worse(&watch, &now, &limits, reason, sizeof(reason)));
}

static void the_time_before_reaches_back_so_many_samples(void **state)
{
    (void)state;
    struct loss_watch watch = {0};

    for (uint64_t i = 0; i <= 3 * LOSS_SAMPLES; i++) {
        const struct loss_sample sample = kernel(10 * i, 100 * i);

        loss_watch_add(&watch, &sample);
    }
    const struct loss_sample now = kernel(30 * LOSS_SAMPLES, 300 * LOSS_SAMPLES);

    loss_watch_begin(&watch, &now);
    assert_int_equal(watch.all_before[LOSS_KERNEL], 100 * (LOSS_SAMPLES - 1));
    assert_int_equal(watch.lost_before[LOSS_KERNEL], 10 * (LOSS_SAMPLES - 1));
    loss_watch_reset(&watch);
    loss_watch_begin(&watch, &now);
    assert_int_equal(watch.all_before[LOSS_KERNEL], 0);
}

static void samples_are_due_evenly(void **state)
{
    (void)state;
    struct loss_watch watch = {0};

    assert_true(loss_watch_is_due(&watch, LOSS_SAMPLES * NS_PER_SEC, 5 * NS_PER_SEC));
    assert_false(loss_watch_is_due(&watch, LOSS_SAMPLES * NS_PER_SEC, 6 * NS_PER_SEC - 1));
    assert_true(loss_watch_is_due(&watch, LOSS_SAMPLES * NS_PER_SEC, 6 * NS_PER_SEC));
}

static void a_counter_that_began_anew_has_lost_nothing(void **state)
{
    (void)state;
    struct loss_watch watch = {0};
    const struct loss_sample begun = kernel(5000, 9000), now = kernel(4000, 8000);

    loss_watch_begin(&watch, &begun);
    assert_false(loss_watch_is_worse(&watch, &now, &limits, reason, sizeof(reason)));
}

static void rows_of_the_ledger_are_told_apart_by_kind(void **state)
{
    (void)state;
    struct stats_ledger_row rows[9] = {
        {.stage = LEDGER_INTERFACE, .in = 100}, {.stage = LEDGER_KERNEL, .in = 90},
        {.stage = LEDGER_KERNEL, .in = 10},     {.stage = LEDGER_DECODE, .in = 80},
        {.stage = LEDGER_FLOW, .in = 70},       {.stage = LEDGER_PUBLISH, .in = 60},
        {.stage = LEDGER_SINK, .in = 50},       {.stage = LEDGER_SPOOL, .in = 50},
        {.stage = LEDGER_CAPTURE, .in = 1}};
    struct loss_sample sample;

    stats_ledger_add(&rows[0], "interface_dropped", 1);
    stats_ledger_add(&rows[1], "ring_full", 2);
    stats_ledger_add(&rows[1], "before_start", 1000); /* nobody was asked for it */
    stats_ledger_add(&rows[2], "ring_full", 3);
    stats_ledger_add(&rows[3], "non_ip", 1000);
    stats_ledger_add(&rows[3], "handover_full", 4);
    stats_ledger_add(&rows[4], "no_batch", 5);
    stats_ledger_add(&rows[5], "no_batch", 6);
    stats_ledger_add(&rows[6], "sink_full", 7);
    stats_ledger_add(&rows[7], "given_up_unsent", 8);
    stats_ledger_add(&rows[8], "count_reached", 1000);
    loss_sample_from(&sample, rows, 9);
    const uint64_t lost[LOSS_KINDS] = {1, 5, 4, 5, 6, 15},
                   all[LOSS_KINDS] = {100, 100, 80, 70, 60, 50};

    assert_memory_equal(sample.lost, lost, sizeof(lost));
    assert_memory_equal(sample.all, all, sizeof(all));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_never_lost_before_is_too_much_when_it_is),
        cmocka_unit_test(what_was_lost_before_too_is_no_fault_of_the_trial),
        cmocka_unit_test(few_of_an_idle_link_and_a_small_share_are_noise),
        cmocka_unit_test(nothing_is_looked_at_without_a_ratio),
        cmocka_unit_test(the_time_before_reaches_back_so_many_samples),
        cmocka_unit_test(samples_are_due_evenly),
        cmocka_unit_test(a_counter_that_began_anew_has_lost_nothing),
        cmocka_unit_test(rows_of_the_ledger_are_told_apart_by_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
