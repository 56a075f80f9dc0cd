#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "detection/detection_table.h"

static bool open_table(struct detection_table *table, uint32_t entries, uint32_t members)
{
    return detection_table_init(
        table, &(struct detection_shape){
                   .entries_max = entries, .members_max = members, .ring = 1, .bucket_seconds = 1});
}

static struct detection_subject subject_of(uint32_t number)
{
    return (struct detection_subject){.port = (uint16_t)number,
                                      .reserved = (uint8_t)(number >> 16)};
}

static void put(struct detection_table *table, uint32_t subject, uint64_t value, uint32_t second)
{
    const struct detection_subject key = subject_of(subject);

    detection_table_add(table,
                        detection_table_touch(table, &key, hash_mix(subject + 7), second, second),
                        &(struct detection_member){.hash = hash_mix(value + 1),
                                                   .count = 1,
                                                   .first_second = second,
                                                   .attempt_second = second},
                        NULL);
}

static double size_of(const struct detection_table *table, uint32_t subject)
{
    const struct detection_subject key = subject_of(subject);
    const uint32_t number = detection_table_find(table, &key, hash_mix(subject + 7));

    if (number == DETECTION_NONE) {
        return 0;
    }
    const struct detection_entry *entry = &table->entries[number];

    return (double)entry->members_count * (double)(UINT64_C(1) << entry->level);
}

static void a_set_is_exact_up_to_256_and_near_the_truth_beyond(void **state)
{
    struct detection_table table;

    (void)state;
    assert_true(open_table(&table, 16, 1024));
    for (uint64_t i = 0; i < DETECTION_SET_MAX; i++) {
        put(&table, 1, i, 5);
        put(&table, 1, i, 5);
        assert_true(size_of(&table, 1) == (double)(i + 1));
    }
    for (uint64_t i = DETECTION_SET_MAX; i < 100000; i++) {
        put(&table, 1, i, 5);
    }
    assert_true(size_of(&table, 1) > 80000 && size_of(&table, 1) < 120000);
    assert_false(table.is_saturated);
    detection_table_fini(&table);
}

/* Over many seeds the mean of the estimates is the truth, and their spread is within the standard
 * error that alerts tell (1.2 / sqrt(256)). */
static void the_error_over_many_seeds_is_within_its_bound(void **state)
{
    static const uint32_t sizes[] = {300, 1000, 10000, 60000};
    const double bound = 1.2 / 16;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        double sum = 0, squares = 0;

        for (uint64_t seed = 1; seed <= 200; seed++) {
            struct detection_table table;

            assert_true(open_table(&table, 4, 1024));
            for (uint64_t value = 0; value < sizes[i]; value++) {
                put(&table, 1, hash_mix(seed << 32 ^ value), 5);
            }
            const double error = size_of(&table, 1) / sizes[i] - 1;

            sum += error;
            squares += error * error;
            detection_table_fini(&table);
        }
        assert_true(sum / 200 > -0.02 && sum / 200 < 0.02);
        assert_true(squares / 200 < bound * bound * 1.3 * 1.3);
    }
}

static void parts_merged_in_any_order_are_the_whole(void **state)
{
    struct detection_table whole, part[3], merged;

    (void)state;
    assert_true(open_table(&whole, 16, 2048));
    assert_true(open_table(&merged, 16, 2048));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(open_table(&part[i], 16, 2048));
    }
    for (uint64_t i = 0; i < 20000; i++) {
        put(&whole, (uint32_t)(i % 4), i / (1 + i % 4 * 50), 5);
        put(&part[hash_mix(i) % 3], (uint32_t)(i % 4), i / (1 + i % 4 * 50), 5);
    }
    for (unsigned i = 0; i < 3; i++) {
        detection_table_merge(&merged, &part[2 - i]);
    }
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(size_of(&merged, i) == size_of(&whole, i));
        assert_true(size_of(&whole, i) > 0);
    }
    detection_table_fini(&whole);
    detection_table_fini(&merged);
    for (unsigned i = 0; i < 3; i++) {
        detection_table_fini(&part[i]);
    }
}

static void a_full_table_stays_bounded_says_so_and_keeps_the_heavy(void **state)
{
    struct detection_table table;

    (void)state;
    assert_true(open_table(&table, 64, 300));
    for (uint64_t i = 0; i < 40; i++) {
        put(&table, 1, i, 5);
    }
    assert_false(table.is_saturated);
    for (uint32_t i = 2; i < 60000; i++) {
        put(&table, i, i, 5);
        assert_true(table.entries_live <= 64);
    }
    assert_true(table.is_saturated);
    assert_true(size_of(&table, 1) == 40);
    detection_table_reset(&table);
    assert_false(table.is_saturated);
    assert_true(size_of(&table, 1) == 0);
    for (uint32_t i = 0; i <= table.entry_mask; i++) {
        assert_int_equal(table.entry_heads[i], 0);
    }
    for (uint32_t i = 0; i <= table.member_mask; i++) {
        assert_int_equal(table.member_heads[i], 0);
    }
    detection_table_fini(&table);
}

static void members_leave_when_the_window_has_passed(void **state)
{
    struct detection_table table;

    (void)state;
    assert_true(open_table(&table, 16, 1024));
    put(&table, 1, 1, 5);
    put(&table, 1, 2, 7);
    detection_table_advance(&table, 8, 6);
    assert_true(size_of(&table, 1) == 1);
    detection_table_advance(&table, 9, 8);
    assert_int_equal(table.entries_live, 0);
    detection_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_is_exact_up_to_256_and_near_the_truth_beyond),
        cmocka_unit_test(the_error_over_many_seeds_is_within_its_bound),
        cmocka_unit_test(parts_merged_in_any_order_are_the_whole),
        cmocka_unit_test(a_full_table_stays_bounded_says_so_and_keeps_the_heavy),
        cmocka_unit_test(members_leave_when_the_window_has_passed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
