#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "sensor/export/record_sorter.h"

#define LENGTH_MAX 700

struct seen {
    uint64_t *keys;
    uint32_t *numbers;
    uint32_t count;
};

/* Records are: key, number, then bytes that follow from the number. */
static uint32_t make(uint8_t *out, uint64_t key, uint32_t number)
{
    const uint32_t length = 12 + number * 7 % (LENGTH_MAX - 12);

    memcpy(out, &key, 8);
    memcpy(out + 8, &number, 4);
    memset(out + 12, (int)(number & 0xff), length - 12);
    return length;
}

static void keep(void *context, const void *bytes, uint32_t length)
{
    struct seen *seen = context;
    uint8_t wanted[LENGTH_MAX];
    uint64_t key = 0;
    uint32_t number = 0;

    memcpy(&key, bytes, 8);
    memcpy(&number, (const uint8_t *)bytes + 8, 4);
    assert_int_equal(make(wanted, key, number), length);
    assert_memory_equal(wanted, bytes, length);
    seen->keys[seen->count] = key;
    seen->numbers[seen->count++] = number;
}

static uint64_t key_of(uint32_t number)
{
    return (number * UINT64_C(2654435761) >> 3) % 50; /* many equal ones */
}

static void sort(uint64_t memory_bytes, uint32_t count, struct seen *out)
{
    struct error err = {0};
    AUTO(record_sorter) sorter = record_sorter_new(memory_bytes, "/tmp", &err);

    assert_non_null(sorter);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t record[LENGTH_MAX];

        assert_int_equal(
            record_sorter_add(sorter, key_of(i), record, make(record, key_of(i), i), &err), 0);
    }
    *out =
        (struct seen){calloc(count + 1, sizeof(uint64_t)), calloc(count + 1, sizeof(uint32_t)), 0};
    assert_int_equal(record_sorter_each(sorter, keep, out, &err), 0);
    assert_int_equal(out->count, count);
}

static void seen_free(struct seen *seen)
{
    free(seen->keys);
    free(seen->numbers);
}

static void records_come_largest_first_and_equal_ones_as_they_came(void **state)
{
    (void)state;
    struct seen seen;

    sort(UINT64_C(64) << 20, 5000, &seen);
    for (uint32_t i = 1; i < seen.count; i++) {
        assert_true(seen.keys[i - 1] > seen.keys[i] ||
                    (seen.keys[i - 1] == seen.keys[i] && seen.numbers[i - 1] < seen.numbers[i]));
    }
    seen_free(&seen);
}

static void runs_on_disk_give_the_order_of_memory(void **state)
{
    (void)state;
    /* 64 KiB: about 140 records a run. 0 is taken as the same. */
    static const uint64_t memories[] = {0, 65536, 100000, 1048576};
    struct seen wanted;

    sort(UINT64_C(64) << 20, 5000, &wanted);
    for (size_t i = 0; i < ARRAY_COUNT(memories); i++) {
        struct seen seen;

        sort(memories[i], 5000, &seen);
        assert_memory_equal(seen.numbers, wanted.numbers, 5000 * sizeof(uint32_t));
        seen_free(&seen);
    }
    seen_free(&wanted);
}

static void nothing_in_gives_nothing_out(void **state)
{
    (void)state;
    struct seen seen;

    sort(0, 0, &seen);
    seen_free(&seen);
}

static void a_record_larger_than_a_run_is_refused_and_the_rest_stays(void **state)
{
    (void)state;
    struct error err = {0};
    AUTO(record_sorter) sorter = record_sorter_new(0, "/tmp", &err);
    uint8_t *large = calloc(1, 1048576);
    uint8_t record[LENGTH_MAX];
    struct seen seen = {calloc(2, sizeof(uint64_t)), calloc(2, sizeof(uint32_t)), 0};

    assert_int_equal(record_sorter_add(sorter, 1, large, 1048576, &err), -EFBIG);
    assert_non_null(strstr(err.message, "1048576 bytes is too large"));
    assert_int_equal(record_sorter_add(sorter, 3, record, make(record, 3, 1), &err), 0);
    assert_int_equal(record_sorter_each(sorter, keep, &seen, &err), 0);
    assert_int_equal(seen.count, 1);
    seen_free(&seen);
    free(large);
}

/* A file size limit stands for the full disk: both make write(2) fail in the middle. */
static void a_disk_that_takes_no_more_is_an_error(void **state)
{
    (void)state;
    struct rlimit before;
    struct error err = {0};
    AUTO(record_sorter) sorter = record_sorter_new(0, "/tmp", &err);
    struct seen seen = {calloc(20000, sizeof(uint64_t)), calloc(20000, sizeof(uint32_t)), 0};
    int result = 0;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {100000, before.rlim_max};

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (uint32_t i = 0; i < 20000 && result == 0; i++) {
        uint8_t record[LENGTH_MAX];

        result = record_sorter_add(sorter, i, record, make(record, i, i), &err);
    }
    if (result == 0) {
        result = record_sorter_each(sorter, keep, &seen, &err);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(result, -EFBIG);
    assert_non_null(strstr(err.message, "temporary file in /tmp: "));
    seen_free(&seen);
}

static void without_the_directory_another_place_is_found(void **state)
{
    (void)state;
    struct error err = {0};
    AUTO(record_sorter) sorter = record_sorter_new(0, "/proc/no/such/folder", &err);
    struct seen seen = {calloc(1000, sizeof(uint64_t)), calloc(1000, sizeof(uint32_t)), 0};

    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t record[LENGTH_MAX];

        assert_int_equal(record_sorter_add(sorter, i, record, make(record, i, i), &err), 0);
    }
    assert_int_equal(record_sorter_each(sorter, keep, &seen, &err), 0);
    assert_int_equal(seen.count, 1000);
    assert_int_equal(seen.numbers[0], 999);
    seen_free(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_largest_first_and_equal_ones_as_they_came),
        cmocka_unit_test(runs_on_disk_give_the_order_of_memory),
        cmocka_unit_test(nothing_in_gives_nothing_out),
        cmocka_unit_test(a_record_larger_than_a_run_is_refused_and_the_rest_stays),
        cmocka_unit_test(a_disk_that_takes_no_more_is_an_error),
        cmocka_unit_test(without_the_directory_another_place_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
