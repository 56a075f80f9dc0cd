#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attributes.h"
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

    detection_table_add(
        table, detection_table_touch(table, &key, hash_mix(subject + 7), second, second, 1),
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

/* The weights that stand together are what they stand for, and so are the bits of the heads. */
static void check_weights(const struct detection_table *table)
{
    for (uint32_t head = 0; head <= table->entry_mask; head++) {
        assert_int_equal(table->heads_used[head / 64] >> head % 64 & 1,
                         table->entry_heads[head] != 0);
    }
    for (uint32_t at = 0; at < table->entries_used; at++) {
        const struct detection_entry *entry = &table->entries[at];

        assert_int_equal(
            table->weights[at],
            entry->is_live ? entry->members_count +
                                 (table->shape.counters > 0 ? detection_table_sum(table, at, 0) : 0)
                           : DETECTION_WEIGHT_NONE);
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
    check_weights(&table);
    detection_table_reset(&table);
    assert_false(table.is_saturated);
    assert_true(size_of(&table, 1) == 0);
    for (uint32_t i = 0; i <= table.entry_mask; i++) {
        assert_int_equal(table.entry_heads[i], 0);
        assert_int_equal(table.heads_used[i / 64], 0);
    }
    for (uint32_t i = 0; i <= table.member_mask; i++) {
        assert_int_equal(table.member_heads[i], 0);
    }
    detection_table_fini(&table);
}

/* How many of the subjects `first` to `last` - 1 are let in, one after the other. */
static uint32_t let_in(struct detection_table *table, uint32_t first, uint32_t last)
{
    uint32_t in = 0;

    for (uint32_t i = first; i < last; i++) {
        const struct detection_subject key = subject_of(i);

        put(table, i, 1, 5);
        in += detection_table_find(table, &key, hash_mix(i + 7)) != DETECTION_NONE;
    }
    return in;
}

/* Those that are refused leave no trace, and may come in the next time. */
static void a_full_table_lets_in_whoever_is_heavier_and_ever_fewer_others(void **state)
{
    struct detection_table table;
    uint32_t heavier = 0;

    (void)state;
    assert_true(open_table(&table, 64, 300));
    assert_int_equal(let_in(&table, 0, 64), 64);
    /* 64 ln((4 + 4000 / 64) / 4) = 180 are to be expected, 14 of the first 64. */
    assert_in_range(let_in(&table, 64, 128), 6, 24);
    assert_in_range(let_in(&table, 128, 4064), 130, 210);
    check_weights(&table);
    for (uint32_t i = 0; i < 8; i++) {
        const struct detection_subject key = subject_of(i + 5000);
        const uint64_t hash = hash_mix(i + 7);

        heavier += detection_table_touch(&table, &key, hash, 5, 5, 2) != DETECTION_NONE;
    }
    assert_int_equal(heavier, 8);
    detection_table_advance(&table, 6, 0); /* each second begins with one of four */
    assert_in_range(let_in(&table, 6000, 6064), 6, 24);
    for (uint32_t tries = 0; size_of(&table, 9000) == 0; tries++) {
        put(&table, 9000, 1, 5);
        assert_true(tries < 100);
    }
    assert_int_equal(table.entries_live, 64);
    detection_table_fini(&table);
}

/* One large set and many small ones use up the members before the subjects. */
static void a_table_without_members_left_is_full(void **state)
{
    struct detection_table table;

    (void)state;
    assert_true(open_table(&table, 64, 300));
    for (uint64_t i = 0; i < DETECTION_SET_MAX; i++) {
        put(&table, 1, i, 5);
    }
    assert_int_equal(let_in(&table, 2, 46), 44);
    assert_int_equal(table.entries_live, 45);
    assert_in_range(let_in(&table, 64, 4064), 130, 230);
    assert_true(table.is_saturated);
    assert_true(size_of(&table, 1) == DETECTION_SET_MAX);
    check_weights(&table);
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

/* ---- windows ---- */

#define SUBJECTS 40
#define VALUES   6
#define SECONDS  400
#define RING     11

/* What happened, kept whole: what a window should hold is counted from it each time. */
struct history {
    uint64_t sums[SUBJECTS][SECONDS];
    bool members[SUBJECTS][VALUES][SECONDS];
    bool told[SUBJECTS][SECONDS];
};

static struct history history;

static void random_second(struct detection_table *frame, uint32_t second, uint64_t *random)
{
    detection_table_reset(frame);
    for (uint32_t i = 0; i < 12; i++) {
        *random = hash_mix(*random + 1);
        /* The high half of the subjects is seldom seen. */
        const uint32_t number =
            (uint32_t)(*random % (*random >> 60 == 0 ? SUBJECTS : SUBJECTS / 2));
        const uint32_t value = (uint32_t)(*random >> 32 & 1 ? *random >> 40 & 3 : 4);
        const struct detection_subject subject = subject_of(number);
        const uint32_t at =
            detection_table_touch(frame, &subject, hash_mix(number + 1), second, second, 1);

        history.told[number][second] = true;
        if ((*random >> 33 & 3) != 0) {
            detection_table_count(frame, at, 0, *random >> 53 & 7);
            detection_table_count(frame, at, 1, *random >> 50 & 7);
            history.sums[number][second] += *random >> 50 & 7;
        }
        if ((*random >> 35 & 3) == 0) {
            detection_table_add(frame, at,
                                &(struct detection_member){.hash = hash_mix(value + 77),
                                                           .count = 1,
                                                           .attempt_second = second},
                                NULL);
            history.members[number][value][second] = true;
        }
    }
}

/* Sub-buckets begin at multiples of `each`; one is looked at in its first second alone. */
static void check_window(const struct detection_table *window, uint32_t second, uint32_t each,
                         uint32_t span, uint32_t looked)
{
    for (uint32_t number = 0; number < SUBJECTS; number++) {
        const struct detection_subject subject = subject_of(number);
        const uint32_t at = detection_table_find(window, &subject, hash_mix(number + 1));
        const uint32_t oldest = looked > span ? looked - span : 0;
        uint64_t sum = 0, recent = 0;
        uint32_t members = 0;
        bool was_told = false;

        for (uint32_t i = 1; i <= second; i++) {
            const uint32_t age = second / each - i / each;

            sum += age < RING ? history.sums[number][i] : 0;
            recent += age == 0 ? history.sums[number][i] : 0;
            was_told = was_told || (history.told[number][i] && i >= oldest);
        }
        for (uint32_t value = 0; value < VALUES; value++) {
            bool is_there = false;

            for (uint32_t i = oldest; i <= second; i++) {
                is_there = is_there || history.members[number][value][i];
            }
            members += is_there;
        }
        assert_int_equal(at != DETECTION_NONE, was_told || sum > 0 || members > 0);
        if (at != DETECTION_NONE) {
            assert_int_equal(detection_table_sum(window, at, 1), sum);
            assert_int_equal(detection_table_recent(window, at, 1), recent);
            assert_int_equal(window->entries[at].members_count, members);
        }
    }
}

/* Nothing is walked over to find what leaves; still all leaves in its second, over gaps too. */
static void a_window_holds_what_is_in_it_and_nothing_longer(void **state)
{
    static const uint32_t lengths[] = {1, 7};

    (void)state;
    for (uint32_t i = 0; i < 2 * ARRAY_COUNT(lengths); i++) {
        const uint32_t each = lengths[i / 2], span = each * (RING - 1);
        struct detection_table frame, window;
        uint64_t random = 11 * i + 5;
        uint32_t looked = 0;

        memset(&history, 0, sizeof(history));
        assert_true(detection_table_init(&frame, &(struct detection_shape){.entries_max = SUBJECTS,
                                                                           .members_max = 1024,
                                                                           .counters = 2,
                                                                           .ring = 1,
                                                                           .bucket_seconds = 1}));
        assert_true(
            detection_table_init(&window, &(struct detection_shape){.entries_max = SUBJECTS,
                                                                    .members_max = 1024,
                                                                    .counters = 2,
                                                                    .ring = RING,
                                                                    .bucket_seconds = each}));
        for (uint32_t second = 20; second < SECONDS;) {
            detection_table_advance(&window, second, second > span ? second - span : 0);
            looked = second / each != looked / each ? second : looked;
            random_second(&frame, second, &random);
            detection_table_merge(&window, &frame);
            check_window(&window, second, each, span, looked);
            check_weights(&frame);
            check_weights(&window);
            random = hash_mix(random);
            /* In every second one there are gaps, some longer than the window. */
            second += i % 2 == 0 || random % 8 != 0 ? 1 : 1 + (uint32_t)(random >> 32) % (2 * span);
        }
        detection_table_fini(&frame);
        detection_table_fini(&window);
    }
}

static uint32_t count_told(struct detection_table *window, uint64_t since)
{
    uint32_t count = 0;

    for (uint32_t i = detection_table_told(window, 0, since); i != DETECTION_NONE;
         i = detection_table_told(window, i + 1, since)) {
        count++;
    }
    return count;
}

static void a_window_tells_the_subjects_of_late_that_have_what_is_watched_for(void **state)
{
    const struct detection_shape shape = {
        .entries_max = 200, .members_max = 1024, .counters = 2, .ring = 1, .bucket_seconds = 1};
    struct detection_shape ring = shape;
    struct detection_table frame, window;

    (void)state;
    ring.ring = RING;
    assert_true(detection_table_init(&frame, &shape) && detection_table_init(&window, &ring));
    for (uint32_t i = 0; i < 150; i++) { /* sums of 0 to 149 */
        const struct detection_subject subject = subject_of(i);

        detection_table_count(
            &frame, detection_table_touch(&frame, &subject, hash_mix(i + 1), 5, 5, 1), 1, i);
    }
    window.watch = (struct detection_watch){.counter = 1, .sum = 100};
    detection_table_advance(&window, 5, 0);
    detection_table_merge(&window, &frame);
    assert_int_equal(count_told(&window, 3), 50);
    detection_table_tell_all(&window);
    assert_int_equal(count_told(&window, 5), 150);
    assert_int_equal(count_told(&window, 6), 0);
    window.watch.sum = 0;
    window.watch.first_second = 1;
    detection_table_merge(&window, &frame);
    assert_int_equal(count_told(&window, 5), 0);
    detection_table_fini(&frame);
    detection_table_fini(&window);
}

static void answer(struct detection_table *table, uint32_t subject, uint64_t value, uint32_t second)
{
    const struct detection_subject key = subject_of(subject);

    detection_table_add(
        table, detection_table_touch(table, &key, hash_mix(subject + 7), second, second, 1),
        &(struct detection_member){.hash = hash_mix(value + 1), .answer_second = second}, NULL);
}

static void
a_subject_whose_attempts_are_answered_is_not_taken_up_by_a_window_for_others(void **state)
{
    struct detection_shape ring = {.entries_max = 16,
                                   .members_max = 1024,
                                   .ring = RING,
                                   .bucket_seconds = 1,
                                   .needs_unanswered = true};
    struct detection_table frame, window;

    (void)state;
    assert_true(open_table(&frame, 16, 1024) && detection_table_init(&window, &ring));
    put(&frame, 1, 10, 5);
    answer(&frame, 1, 10, 5);
    answer(&frame, 2, 20, 5); /* of an attempt long ago */
    put(&frame, 3, 30, 5);
    answer(&frame, 3, 30, 5);
    put(&frame, 3, 31, 5);
    detection_table_advance(&window, 5, 0);
    detection_table_merge(&window, &frame);
    assert_int_equal(window.entries_live, 1);
    assert_true(size_of(&window, 3) == 2);
    /* It is held: what is answered now counts, and answers what was left open. */
    detection_table_reset(&frame);
    answer(&frame, 3, 31, 6);
    put(&frame, 3, 32, 6);
    answer(&frame, 3, 32, 6);
    detection_table_advance(&window, 6, 0);
    detection_table_merge(&window, &frame);
    assert_true(size_of(&window, 3) == 3);
    const struct detection_subject key = subject_of(3);
    const struct detection_entry *entry =
        &window.entries[detection_table_find(&window, &key, hash_mix(3 + 7))];

    for (const struct detection_member *member = detection_table_first(&window, entry);
         member != NULL; member = detection_table_next(&window, member)) {
        assert_int_not_equal(member->answer_second, 0);
    }
    detection_table_fini(&frame);
    detection_table_fini(&window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_is_exact_up_to_256_and_near_the_truth_beyond),
        cmocka_unit_test(the_error_over_many_seeds_is_within_its_bound),
        cmocka_unit_test(parts_merged_in_any_order_are_the_whole),
        cmocka_unit_test(a_full_table_stays_bounded_says_so_and_keeps_the_heavy),
        cmocka_unit_test(a_full_table_lets_in_whoever_is_heavier_and_ever_fewer_others),
        cmocka_unit_test(a_table_without_members_left_is_full),
        cmocka_unit_test(members_leave_when_the_window_has_passed),
        cmocka_unit_test(a_window_holds_what_is_in_it_and_nothing_longer),
        cmocka_unit_test(a_window_tells_the_subjects_of_late_that_have_what_is_watched_for),
        cmocka_unit_test(
            a_subject_whose_attempts_are_answered_is_not_taken_up_by_a_window_for_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
