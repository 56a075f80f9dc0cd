/* Who reads the log beside its own thread finds what is on disk, in its order, from any place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/ingest_fixture.h"

#define WAIT_NS (10 * NS_PER_SEC)

static int set_up(void **state)
{
    struct ingest_fixture *f = ingest_fixture_new();

    ingest_fixture_open(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    ingest_fixture_free(*state);
    return 0;
}

/* Two records from `first_seq` on, on disk when it returns. */
static void give(struct ingest_fixture *f, uint64_t first_seq)
{
    static const uint8_t record[] = {0x20, 0x01}; /* some field */
    const struct codec_slice records[] = {{record, sizeof(record)}, {record, sizeof(record)}};
    uint32_t taken = 0;
    const struct ingest_lane_batch batch = {.sensor_id = "sensor",
                                            .boot_id = "boot",
                                            .peer = "test",
                                            .stream = RECORD_FLOWS,
                                            .lane = 1,
                                            .first_seq = first_seq,
                                            .records = records,
                                            .record_count = 2,
                                            .sent_ns = clock_wall_ns()};

    assert_int_equal(ingest_lane_take(f->ingest, &batch, &taken), INGEST_LANE_TAKEN);
    assert_int_equal(ingest_lane_wait(f->ingest, WAIT_NS), 0);
}

static void assert_next(struct ingest_reader *reader, uint64_t until, uint64_t first_seq)
{
    struct ingest_batch batch;
    struct error err = {0};

    assert_int_equal(ingest_reader_next(reader, until, &batch, &err), 1);
    assert_string_equal(batch.sensor_id, "sensor");
    assert_string_equal(batch.boot_id, "boot");
    assert_int_equal(batch.stream, RECORD_FLOWS);
    assert_int_equal(batch.lane, 1);
    assert_int_equal(batch.first_seq, first_seq);
    assert_int_equal(batch.record_count, 2);
    assert_int_equal(batch.records[1].length, 2);
    assert_int_equal(batch.log_position, ingest_reader_position(reader));
}

static void assert_no_more(struct ingest_reader *reader, uint64_t until)
{
    struct ingest_batch batch;
    struct error err = {0};

    assert_int_equal(ingest_reader_next(reader, until, &batch, &err), 0);
    assert_int_equal(ingest_reader_missing(reader), 0);
}

static struct ingest_reader *reader_at(const struct ingest_fixture *f, uint64_t position)
{
    struct error err = {0};
    struct ingest_reader *reader = ingest_reader_new(f->ingest, position, &err);

    assert_non_null(reader);
    return reader;
}

static void what_comes_is_read_in_its_order_while_it_comes(void **state)
{
    struct ingest_fixture *f = *state;
    struct ingest_reader *reader = reader_at(f, 0);

    assert_no_more(reader, 0);
    for (uint64_t seq = 1; seq < 20; seq += 2) {
        give(f, seq);
        assert_next(reader, 0, seq);
        assert_no_more(reader, 0);
        assert_int_equal(ingest_reader_position(reader), ingest_log_end(f->ingest));
    }
    ingest_reader_free(reader);
}

static void reading_goes_on_from_a_place_that_was_kept_and_ends_at_one(void **state)
{
    struct ingest_fixture *f = *state;

    give(f, 1);
    const uint64_t second = ingest_log_end(f->ingest);

    give(f, 3);
    const uint64_t third = ingest_log_end(f->ingest);

    give(f, 5);
    struct ingest_reader *reader = reader_at(f, second);

    assert_next(reader, third, 3);
    assert_no_more(reader, third);
    assert_int_equal(ingest_reader_position(reader), third);
    assert_next(reader, 0, 5);
    assert_no_more(reader, 0);
    ingest_reader_free(reader);
    ingest_free(f->ingest);
    ingest_fixture_open(f); /* another life */
    reader = reader_at(f, third);
    assert_next(reader, 0, 5);
    assert_no_more(reader, 0);
    ingest_reader_free(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_comes_is_read_in_its_order_while_it_comes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(reading_goes_on_from_a_place_that_was_kept_and_ends_at_one,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
