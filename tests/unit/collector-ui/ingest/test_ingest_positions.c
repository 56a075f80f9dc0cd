#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector-ui/ingest/ingest_positions.h"

static struct ingest_positions *positions_of(uint32_t sensors_max, uint32_t boots_max)
{
    struct error err;
    struct ingest_positions *positions = ingest_positions_new(sensors_max, boots_max, &err);

    assert_non_null(positions);
    return positions;
}

static enum ingest_verdict judge(const struct ingest_place *place, uint64_t first_seq,
                                 uint32_t count, uint32_t skip_expected)
{
    uint32_t skip;
    const enum ingest_verdict verdict = ingest_place_judge(place, first_seq, count, &skip);

    assert_int_equal(skip, skip_expected);
    return verdict;
}

static void a_batch_is_new_double_overlapping_or_behind_a_hole(void **state)
{
    (void)state;
    const struct ingest_place place = {.next_seq = 101};

    assert_int_equal(judge(&place, 101, 10, 0), INGEST_TAKE);
    assert_int_equal(judge(&place, 91, 10, 0), INGEST_DUPLICATE);
    assert_int_equal(judge(&place, 91, 11, 10), INGEST_OVERLAP);
    assert_int_equal(judge(&place, 1, 200, 100), INGEST_OVERLAP);
    assert_int_equal(judge(&place, 102, 10, 0), INGEST_HOLE);
}

static void impossible_ranges_are_nonsense(void **state)
{
    (void)state;
    const struct ingest_place place = {.next_seq = 1};
    uint64_t lost;

    assert_int_equal(judge(&place, 0, 10, 0), INGEST_NONSENSE);
    assert_int_equal(judge(&place, 1, 0, 0), INGEST_NONSENSE);
    assert_int_equal(judge(&place, UINT64_MAX - 1, 10, 0), INGEST_NONSENSE);
    assert_int_equal(ingest_place_judge_gap(&place, 0, 5, &lost), INGEST_NONSENSE);
    assert_int_equal(ingest_place_judge_gap(&place, 5, 4, &lost), INGEST_NONSENSE);
    assert_int_equal(ingest_place_judge_gap(&place, 1, UINT64_MAX, &lost), INGEST_NONSENSE);
}

static void a_gap_counts_only_what_is_missing(void **state)
{
    (void)state;
    const struct ingest_place place = {.next_seq = 11};
    uint64_t lost;

    assert_int_equal(ingest_place_judge_gap(&place, 11, 20, &lost), INGEST_TAKE);
    assert_int_equal(lost, 10);
    assert_int_equal(ingest_place_judge_gap(&place, 1, 20, &lost), INGEST_TAKE);
    assert_int_equal(lost, 10);
    assert_int_equal(ingest_place_judge_gap(&place, 1, 10, &lost), INGEST_DUPLICATE);
    assert_int_equal(lost, 0);
    assert_int_equal(ingest_place_judge_gap(&place, 12, 20, &lost), INGEST_HOLE);
}

static void a_failed_write_voids_what_was_not_durable(void **state)
{
    (void)state;
    struct ingest_place place = {.next_seq = 1};

    ingest_place_accept(&place, 100);
    ingest_place_accept(&place, 200);
    ingest_place_durable(&place, 100);
    ingest_place_reset(&place);
    assert_int_equal(place.next_seq, 101);
    assert_int_equal(place.generation, 1);
    ingest_place_durable(&place, 150); /* was in the same group, in front of the failure */
    assert_int_equal(place.next_seq, 151);
    ingest_place_durable(&place, 120);
    assert_int_equal(place.durable_seq, 150);
}

static void the_boot_used_least_recently_goes_unless_it_is_in_use(void **state)
{
    (void)state;
    AUTO(ingest_positions) positions = positions_of(4, 2);
    struct ingest_boot *first = ingest_positions_boot(positions, "a", "1");

    first->pins++;
    first->places[RECORD_FLOWS].next_seq = 77;
    assert_non_null(ingest_positions_boot(positions, "a", "2"));
    assert_non_null(ingest_positions_boot(positions, "a", "3")); /* drops 2 */
    assert_ptr_equal(ingest_positions_boot(positions, "a", "1"), first);
    assert_int_equal(first->places[RECORD_FLOWS].next_seq, 77);
    ingest_positions_boot(positions, "a", "3")->pins++;
    assert_null(ingest_positions_boot(positions, "a", "4"));
    assert_int_equal(first->sensor->boots_count, 2);
}

static void a_sensor_too_many_has_no_place(void **state)
{
    (void)state;
    AUTO(ingest_positions) positions = positions_of(2, 2);

    assert_non_null(ingest_positions_boot(positions, "a", "1"));
    assert_non_null(ingest_positions_boot(positions, "b", "1"));
    assert_null(ingest_positions_boot(positions, "c", "1"));
    assert_null(ingest_positions_boot(positions, "a", ""));
    assert_null(ingest_positions_boot(positions, "", "1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_new_double_overlapping_or_behind_a_hole),
        cmocka_unit_test(impossible_ranges_are_nonsense),
        cmocka_unit_test(a_gap_counts_only_what_is_missing),
        cmocka_unit_test(a_failed_write_voids_what_was_not_durable),
        cmocka_unit_test(the_boot_used_least_recently_goes_unless_it_is_in_use),
        cmocka_unit_test(a_sensor_too_many_has_no_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
