/* Lanes: what comes in them goes into the log once, whatever is brought again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config/config.h"
#include "base/log.h"
#include "tests/support/ingest_fixture.h"

#define WAIT_NS (10 * NS_PER_SEC)

static int set_up(void **state)
{
    struct ingest_fixture *f = ingest_fixture_new();
    struct error err = {0};

    assert_int_equal(config_set(f->config, "ingest.sensors_max", "2", "test", &err), 0);
    ingest_fixture_open(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    ingest_fixture_free(*state);
    return 0;
}

static enum ingest_lane_verdict give(struct ingest_fixture *f, const char *sensor, uint32_t lane,
                                     uint64_t first_seq, uint32_t count, uint32_t taken_expected)
{
    static const uint8_t record[] = {0x20, 0x01}; /* some field */
    struct codec_slice records[64];
    uint32_t taken = UINT32_MAX;

    assert_true(count <= 64);
    for (uint32_t i = 0; i < count; i++) {
        records[i] = (struct codec_slice){record, sizeof(record)};
    }
    const enum ingest_lane_verdict verdict =
        ingest_lane_take(f->ingest,
                         &(struct ingest_lane_batch){.sensor_id = sensor,
                                                     .boot_id = "boot",
                                                     .peer = "test",
                                                     .stream = RECORD_FLOWS,
                                                     .lane = lane,
                                                     .first_seq = first_seq,
                                                     .records = records,
                                                     .record_count = count,
                                                     .sent_ns = clock_wall_ns()},
                         &taken);

    assert_int_equal(taken, taken_expected);
    return verdict;
}

static void settle(struct ingest_fixture *f)
{
    assert_int_equal(ingest_lane_wait(f->ingest, WAIT_NS), 0);
}

/* The store has a batch a moment after the disk. */
static void await_stored(struct ingest_fixture *f, uint64_t records)
{
    for (int i = 0; i < 10000 && atomic_load(&f->store.records) < records; i++) {
        (void)usleep(1000);
    }
    assert_int_equal(atomic_load(&f->store.records), records);
}

static void numbers_of_a_lane_rise_and_holes_in_them_are_no_loss(void **state)
{
    struct ingest_fixture *f = *state;

    assert_int_equal(give(f, "a", 1, 5, 3, 3), INGEST_LANE_TAKEN);  /* 5 to 7 */
    assert_int_equal(give(f, "a", 1, 20, 2, 2), INGEST_LANE_TAKEN); /* 20, 21 */
    assert_int_equal(give(f, "a", 1, 6, 2, 0), INGEST_LANE_KNOWN);
    assert_int_equal(give(f, "a", 1, 20, 5, 3), INGEST_LANE_TAKEN); /* 22 to 24 */
    assert_int_equal(give(f, "a", 2, 6, 2, 2), INGEST_LANE_TAKEN);  /* of another lane */
    settle(f);
    await_stored(f, 10);
    assert_int_equal(f->store.duplicate, 4);
    assert_int_equal(f->store.lost, 0);
    assert_int_equal(f->store.connected, 2); /* once for each lane */
}

static void a_restart_knows_what_was_taken(void **state)
{
    struct ingest_fixture *f = *state;

    assert_int_equal(give(f, "a", 7, 10, 10, 10), INGEST_LANE_TAKEN);
    settle(f);
    ingest_free(f->ingest);
    ingest_fixture_open(f); /* reads the log */
    assert_int_equal(give(f, "a", 7, 10, 10, 0), INGEST_LANE_KNOWN);
    assert_int_equal(give(f, "a", 7, 15, 10, 5), INGEST_LANE_TAKEN);
    assert_int_equal(give(f, "a", 8, 10, 10, 10), INGEST_LANE_TAKEN);
    settle(f);
}

static void names_and_numbers_that_cannot_be_are_refused(void **state)
{
    struct ingest_fixture *f = *state;

    assert_int_equal(give(f, "", 1, 1, 1, 0), INGEST_LANE_BAD_NAME);
    assert_int_equal(give(f, "a b", 1, 1, 1, 0), INGEST_LANE_BAD_NAME);
    assert_int_equal(give(f, "a\n", 1, 1, 1, 0), INGEST_LANE_BAD_NAME);
    assert_int_equal(give(f, INGEST_LOCAL_SENSOR, 1, 1, 1, 0), INGEST_LANE_BAD_NAME);
    assert_int_equal(give(f, "a", 0, 1, 1, 0), INGEST_LANE_BAD_NAME);
    assert_int_equal(give(f, "a", INGEST_LANE_MAX + 1, 1, 1, 0), INGEST_LANE_BAD_NAME);
    assert_int_equal(give(f, "a", 1, 0, 1, 0), INGEST_LANE_BAD_NAME);
    assert_int_equal(give(f, "a", 1, UINT64_MAX - 1, 1, 0), INGEST_LANE_BAD_NAME);
    settle(f);
    assert_int_equal(f->store.records, 0);
}

static void there_is_room_for_so_many_sensors(void **state)
{
    struct ingest_fixture *f = *state;

    assert_int_equal(give(f, "a", 1, 1, 1, 1), INGEST_LANE_TAKEN);
    assert_int_equal(give(f, "b", 1, 1, 1, 1), INGEST_LANE_TAKEN);
    assert_int_equal(give(f, "c", 1, 1, 1, 0), INGEST_LANE_NO_ROOM);
    atomic_store(&f->store.refuses_sensors, true); /* the registry is full */
    assert_int_equal(give(f, "a", 2, 1, 1, 0), INGEST_LANE_NO_ROOM);
    assert_int_equal(give(f, "a", 1, 2, 1, 1), INGEST_LANE_TAKEN);
    settle(f);
}

static void a_store_that_has_failed_takes_nothing(void **state)
{
    struct ingest_fixture *f = *state;

    atomic_store(&f->store.refuses, true);
    assert_int_equal(give(f, "a", 1, 1, 1, 1), INGEST_LANE_TAKEN);
    settle(f); /* on disk: a restart gives it to the store */
    while (ingest_failure(f->ingest) == NULL) {
        (void)usleep(1000);
    }
    assert_int_equal(give(f, "a", 1, 2, 1, 0), INGEST_LANE_CLOSED);
    settle(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_of_a_lane_rise_and_holes_in_them_are_no_loss,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_restart_knows_what_was_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_and_numbers_that_cannot_be_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(there_is_room_for_so_many_sensors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_store_that_has_failed_takes_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
