/* Sensors that are dialed: numbers follow each other, holes are told, and nobody counts twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "collector-ui/ingest/ingest_dial.h"
#include "tests/support/ingest_fixture.h"

struct fixture {
    struct ingest_fixture *f;
    struct ingest_dial *one, *two;
    uint64_t next[RECORD_STREAM_COUNT];
    atomic_uint settled;
};

static void settled(void *context)
{
    struct fixture *x = context;

    (void)atomic_fetch_add(&x->settled, 1);
}

static void open_dials(struct fixture *x)
{
    struct error err = {0};

    x->one = ingest_dial_new(x->f->ingest, settled, x, &err);
    x->two = ingest_dial_new(x->f->ingest, settled, x, &err);
    assert_non_null(x->one);
    assert_non_null(x->two);
}

static void close_dials(struct fixture *x)
{
    ingest_dial_bye(x->one, false);
    ingest_dial_bye(x->two, false);
    ingest_dial_free(x->one);
    ingest_dial_free(x->two);
}

static int set_up(void **state)
{
    struct fixture *x = calloc(1, sizeof(*x));

    assert_non_null(x);
    x->f = ingest_fixture_new();
    ingest_fixture_open(x->f);
    open_dials(x);
    *state = x;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *x = *state;

    close_dials(x);
    ingest_fixture_free(x->f);
    free(x);
    return 0;
}

static enum ingest_dial_verdict hello(struct fixture *x, struct ingest_dial *dial,
                                      const char *sensor, const char *boot)
{
    return ingest_dial_hello(dial,
                             &(struct ingest_peer){.sensor_id = sensor,
                                                   .boot_id = boot,
                                                   .version = "",
                                                   .host_name = "",
                                                   .config_hash = "",
                                                   .peer = "test",
                                                   .connected_ns = clock_wall_ns()},
                             x->next);
}

static const uint8_t record[] = {0x20, 0x01}; /* some field */

static enum ingest_dial_verdict give(struct ingest_dial *dial, uint64_t first_seq, uint32_t count,
                                     struct ingest_dial_taken *out)
{
    struct codec_slice records[64];

    assert_true(count <= 64);
    for (uint32_t i = 0; i < count; i++) {
        records[i] = (struct codec_slice){record, sizeof(record)};
    }
    return ingest_dial_take(dial,
                            &(struct ingest_dial_batch){.stream = RECORD_FLOWS,
                                                        .first_seq = first_seq,
                                                        .records = records,
                                                        .record_count = count},
                            out);
}

static void await_disk(struct ingest_dial *dial)
{
    for (int i = 0; i < 10000 && ingest_dial_waiting(dial) > 0; i++) {
        (void)usleep(1000);
    }
    assert_int_equal(ingest_dial_waiting(dial), 0);
}

static void await_stored(struct fixture *x, uint64_t records)
{
    for (int i = 0; i < 10000 && atomic_load(&x->f->store.records) < records; i++) {
        (void)usleep(1000);
    }
    assert_int_equal(atomic_load(&x->f->store.records), records);
}

static void holes_are_told_but_for_what_was_before_the_first_meeting(void **state)
{
    struct fixture *x = *state;
    struct ingest_dial_taken taken;

    assert_int_equal(hello(x, x->one, "a", "b1"), INGEST_DIAL_TAKEN);
    assert_int_equal(x->next[RECORD_FLOWS], 1);
    assert_int_equal(give(x->one, 100, 10, &taken), INGEST_DIAL_TAKEN);
    assert_int_equal(taken.before, 99);
    assert_int_equal(taken.lost, 0);
    assert_int_equal(give(x->one, 115, 5, &taken), INGEST_DIAL_TAKEN);
    assert_int_equal(taken.lost, 5);
    assert_int_equal(give(x->one, 112, 3, &taken), INGEST_DIAL_KNOWN); /* what was told is over */
    assert_int_equal(taken.known, 3);
    assert_int_equal(give(x->one, 118, 4, &taken), INGEST_DIAL_TAKEN);
    assert_int_equal(taken.taken, 2);
    assert_int_equal(taken.known, 2);
    await_disk(x->one);
    await_stored(x, 17);
    assert_int_equal(x->f->store.lost, 5);
    assert_int_equal(x->f->store.gap_records, 5);
    assert_int_equal(x->f->store.duplicate, 5);
    assert_true(atomic_load(&x->settled) >= 4);
}

static void what_a_sensor_tells_as_lost_counts_once(void **state)
{
    struct fixture *x = *state;
    struct ingest_dial_taken taken;

    assert_int_equal(hello(x, x->one, "a", "b1"), INGEST_DIAL_TAKEN);
    assert_int_equal(ingest_dial_lose(x->one, RECORD_FLOWS, 4, 6, "slow_reader"),
                     3); /* 1 to 3 were before */
    assert_int_equal(give(x->one, 7, 4, &taken), INGEST_DIAL_TAKEN);
    assert_int_equal(taken.lost + taken.before, 0);
    assert_int_equal(ingest_dial_lose(x->one, RECORD_FLOWS, 11, 20, "slow_reader"), 10);
    assert_int_equal(ingest_dial_lose(x->one, RECORD_FLOWS, 11, 20, "slow_reader"), 0);
    assert_int_equal(ingest_dial_lose(x->one, RECORD_FLOWS, 25, 30, "slow_reader"),
                     0); /* not next */
    assert_int_equal(give(x->one, 31, 1, &taken), INGEST_DIAL_TAKEN);
    assert_int_equal(taken.lost, 10);
    await_disk(x->one);
    assert_int_equal(x->f->store.lost, 23);
}

static void a_stream_that_ran_without_a_record_misses_all(void **state)
{
    struct fixture *x = *state;
    struct ingest_dial_taken taken;

    assert_int_equal(hello(x, x->one, "a", "b1"), INGEST_DIAL_TAKEN);
    ingest_dial_met(x->one);
    ingest_dial_bye(x->one, false);
    assert_int_equal(hello(x, x->one, "a", "b1"), INGEST_DIAL_TAKEN);
    assert_int_equal(give(x->one, 7, 1, &taken), INGEST_DIAL_TAKEN);
    assert_int_equal(taken.lost, 6);
    await_disk(x->one);
}

static void another_process_of_a_known_sensor_is_missed_from_its_first_record(void **state)
{
    struct fixture *x = *state;
    struct ingest_dial_taken taken;

    assert_int_equal(hello(x, x->one, "a", "b1"), INGEST_DIAL_TAKEN);
    assert_int_equal(give(x->one, 7, 1, &taken), INGEST_DIAL_TAKEN);
    ingest_dial_bye(x->one, false);
    assert_int_equal(hello(x, x->one, "a", "b2"), INGEST_DIAL_TAKEN);
    assert_int_equal(give(x->one, 7, 1, &taken), INGEST_DIAL_TAKEN);
    assert_int_equal(taken.before, 0);
    assert_int_equal(taken.lost, 6);
    await_disk(x->one);
}

static void a_restart_knows_what_was_taken_and_lost(void **state)
{
    struct fixture *x = *state;
    struct ingest_dial_taken taken;

    assert_int_equal(hello(x, x->one, "a", "b1"), INGEST_DIAL_TAKEN);
    assert_int_equal(give(x->one, 1, 10, &taken), INGEST_DIAL_TAKEN);
    assert_int_equal(give(x->one, 21, 10, &taken), INGEST_DIAL_TAKEN);
    await_disk(x->one);
    close_dials(x);
    ingest_free(x->f->ingest);
    ingest_fixture_open(x->f); /* reads the log */
    open_dials(x);
    assert_int_equal(hello(x, x->one, "a", "b1"), INGEST_DIAL_TAKEN);
    assert_int_equal(x->next[RECORD_FLOWS], 31);
    assert_int_equal(give(x->one, 11, 30, &taken), INGEST_DIAL_TAKEN);
    assert_int_equal(taken.known, 20);
    assert_int_equal(taken.taken, 10);
    assert_int_equal(taken.lost, 0);
    await_disk(x->one);
}

static void a_sensor_has_one_dial_and_comes_by_one_way(void **state)
{
    struct fixture *x = *state;
    const struct codec_slice slice = {record, sizeof(record)};
    struct ingest_lane_batch lane = {.sensor_id = "k",
                                     .boot_id = "b1",
                                     .peer = "kafka",
                                     .stream = RECORD_FLOWS,
                                     .lane = 1,
                                     .first_seq = 1,
                                     .records = &slice,
                                     .record_count = 1,
                                     .sent_ns = clock_wall_ns()};
    uint32_t count;

    assert_int_equal(ingest_lane_take(x->f->ingest, &lane, &count), INGEST_LANE_TAKEN);
    assert_int_equal(hello(x, x->one, "k", "b1"), INGEST_DIAL_BY_KAFKA);
    assert_int_equal(hello(x, x->one, "a", "b1"), INGEST_DIAL_TAKEN);
    assert_int_equal(hello(x, x->two, "a", "b1"), INGEST_DIAL_TWICE);
    assert_int_equal(hello(x, x->two, "a", "b2"), INGEST_DIAL_TWICE);
    lane.sensor_id = "a";
    assert_int_equal(ingest_lane_take(x->f->ingest, &lane, &count), INGEST_LANE_BY_OTHER);
    lane.lane = INGEST_LANE_DIAL;
    assert_int_equal(ingest_lane_take(x->f->ingest, &lane, &count), INGEST_LANE_BAD_NAME);
    ingest_dial_bye(x->one, false);
    assert_int_equal(hello(x, x->two, "a", "b1"), INGEST_DIAL_TAKEN);
    assert_int_equal(x->f->store.disconnected, 1);
    assert_int_equal(ingest_lane_wait(x->f->ingest, 10 * NS_PER_SEC), 0);
}

static void who_is_let_go_is_not_missed(void **state)
{
    struct fixture *x = *state;

    assert_int_equal(hello(x, x->one, "a", "b1"), INGEST_DIAL_TAKEN);
    ingest_dial_bye(x->one, false);
    assert_int_equal(x->f->store.goodbyes, 0);
    ingest_dial_bye(x->one, true);
    assert_int_equal(x->f->store.goodbyes, 1);
    assert_int_equal(x->f->store.disconnected, 1);
}

static void names_and_numbers_that_cannot_be_are_refused(void **state)
{
    struct fixture *x = *state;
    struct ingest_dial_taken taken;

    assert_int_equal(hello(x, x->one, "a b", "b1"), INGEST_DIAL_BAD_NAME);
    assert_int_equal(hello(x, x->one, "a", ""), INGEST_DIAL_BAD_NAME);
    assert_int_equal(hello(x, x->one, INGEST_LOCAL_SENSOR, "b1"), INGEST_DIAL_BAD_NAME);
    assert_int_equal(hello(x, x->one, "a", "b1"), INGEST_DIAL_TAKEN);
    assert_int_equal(give(x->one, 0, 1, &taken), INGEST_DIAL_BAD_NAME);
    assert_int_equal(give(x->one, UINT64_MAX - 1, 2, &taken), INGEST_DIAL_BAD_NAME);
    assert_int_equal(ingest_dial_lose(x->one, RECORD_FLOWS, 1, UINT64_MAX, "x"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(holes_are_told_but_for_what_was_before_the_first_meeting,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_sensor_tells_as_lost_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stream_that_ran_without_a_record_misses_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            another_process_of_a_known_sensor_is_missed_from_its_first_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_restart_knows_what_was_taken_and_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sensor_has_one_dial_and_comes_by_one_way, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_is_let_go_is_not_missed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_and_numbers_that_cannot_be_are_refused, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
