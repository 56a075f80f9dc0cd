/* Sums of records by what they have in common. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/collector-ui/history/history_harness.h"

#define SECOND UINT64_C(1000000000)

struct asked {
    struct history_groups_query query;
    struct history_limits limits;
    struct history_groups groups;
    struct history_cost cost;
};

static void run(struct history_reader *reader, void *context)
{
    struct asked *asked = context;

    history_reader_limit(reader, &asked->limits);
    assert_int_equal(history_query_groups(reader, &asked->query, &asked->groups), 0);
    history_reader_cost(reader, &asked->cost);
}

static struct history_groups ask(struct harness *h, enum history_group group, uint32_t limit,
                                 uint64_t from_s, uint64_t to_s)
{
    struct asked asked = {.query = {.from_ns = HARNESS_TIME_NS + from_s * SECOND,
                                    .to_ns = HARNESS_TIME_NS + to_s * SECOND,
                                    .group = group,
                                    .limit = limit}};

    harness_query(h, run, &asked);
    return asked.groups;
}

static void the_largest_flows_come_first_with_their_records(void **state)
{
    struct harness h;

    (void)state;
    harness_open(&h);
    harness_flows(&h, "s-1", 1, 10, 0x100, 10); /* flow n: n + 1 packets of 100 bytes */
    harness_wait(&h, 10);
    struct history_groups top = ask(&h, GROUP_FLOW, 3, 0, 3600);

    assert_int_equal(top.count, 3);
    assert_string_equal(top.rows[0].key, "0000000000000109");
    assert_int_equal(top.rows[0].packets, 10);
    assert_int_equal(top.rows[0].bytes, 1000);
    assert_int_equal(top.rows[2].bytes, 800);
    assert_int_equal(top.records.count, 3);
    assert_false(top.is_full);
    history_groups_fini(&top);
    harness_remove(&h);
}

static void flows_found_before_a_bound_was_met_have_their_records(void **state)
{
    struct harness h;
    struct asked asked = {.query = {.from_ns = HARNESS_TIME_NS,
                                    .to_ns = HARNESS_TIME_NS + 3600 * SECOND,
                                    .group = GROUP_FLOW,
                                    .limit = 10},
                          .limits = {.rows_max = 4}};

    (void)state;
    harness_open(&h);
    harness_flows(&h, "s-1", 1, 10, 0x100, 10);
    harness_wait(&h, 10);
    harness_query(&h, run, &asked);
    assert_true(asked.cost.is_partial);
    assert_true(asked.groups.count > 0 && asked.groups.count < 10);
    assert_int_equal(asked.groups.records.count, asked.groups.count);
    history_groups_fini(&asked.groups);
    harness_remove(&h);
}

static void one_id_of_two_sensors_is_two_flows(void **state)
{
    struct harness h;

    (void)state;
    harness_open(&h);
    harness_flows(&h, "s-1", 1, 4, 0x100, 10);
    harness_flows(&h, "s-2", 1, 4, 0x100, 10);
    harness_wait(&h, 8);
    struct history_groups flows = ask(&h, GROUP_FLOW, 100, 0, 3600);
    struct history_groups sensors = ask(&h, GROUP_SENSOR, 100, 0, 3600);

    assert_int_equal(flows.count, 8);
    assert_int_equal(sensors.count, 2);
    assert_int_equal(sensors.rows[0].flows, 4);
    assert_int_equal(sensors.rows[0].bytes, 100 + 200 + 300 + 400);
    assert_string_equal(sensors.rows[0].key, "s-1"); /* equal sums: by name */
    history_groups_fini(&flows);
    history_groups_fini(&sensors);
    harness_remove(&h);
}

static void groups_of_a_range_hold_the_records_that_end_in_it(void **state)
{
    struct harness h;

    (void)state;
    harness_open(&h);
    harness_flows(&h, "s-1", 1, 10, 0x100, 10); /* flow n ends at second 10 + n */
    harness_wait(&h, 10);
    struct history_groups some = ask(&h, GROUP_SENSOR, 10, 12, 15);

    assert_int_equal(some.count, 1);
    assert_int_equal(some.rows[0].packets, 3 + 4 + 5);
    assert_int_equal(some.rows[0].flows, 3);
    assert_true(some.rows[0].bytes_before <= some.rows[0].bytes);
    history_groups_fini(&some);
    struct history_groups none = ask(&h, GROUP_SENSOR, 10, 100, 200);

    assert_int_equal(none.count, 0);
    history_groups_fini(&none);
    harness_remove(&h);
}

/* Half of the bucket from 50 to 100 ms is 75 ms and a binary tail. */
static void a_median_round_trip_is_told_to_the_microsecond(void **state)
{
    const struct rollup_sums none = {0};
    struct rollup_sums sums = {0};
    double ms = 0;

    (void)state;
    assert_false(rollup_rtt_median_ms(&none, &ms));
    sums.rtt_counts[7] = 2;
    assert_true(rollup_rtt_median_ms(&sums, &ms));
    assert_true(ms == 75);
    sums.rtt_counts[7] = 3000;
    sums.rtt_counts[8] = 1;
    assert_true(rollup_rtt_median_ms(&sums, &ms));
    assert_true(ms == 75.008);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_flows_come_first_with_their_records),
        cmocka_unit_test(flows_found_before_a_bound_was_met_have_their_records),
        cmocka_unit_test(one_id_of_two_sensors_is_two_flows),
        cmocka_unit_test(a_median_round_trip_is_told_to_the_microsecond),
        cmocka_unit_test(groups_of_a_range_hold_the_records_that_end_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
