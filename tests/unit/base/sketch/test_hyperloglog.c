#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/sketch/hyperloglog.h"

static struct hyperloglog new_sketch(unsigned precision)
{
    struct hyperloglog sketch;
    void *memory = malloc(
        hyperloglog_bytes(precision)); /* of exact size: one byte too far and ASan stops us */
    assert_non_null(memory);
    hyperloglog_init(&sketch, memory, precision);
    return sketch;
}

static void up_to_256_values_are_counted_exactly(void **state)
{
    (void)state;
    for (unsigned precision = HYPERLOGLOG_PRECISION_MIN; precision <= HYPERLOGLOG_PRECISION_MAX;
         precision++) {
        struct hyperloglog sketch = new_sketch(precision);
        assert_true(hyperloglog_estimate(&sketch) == 0);
        for (uint64_t i = 0; i < HYPERLOGLOG_EXACT_MAX; i++) {
            for (int again = 0; again < 3; again++) {
                hyperloglog_add(&sketch, i == 0 ? 0 : hash_mix(i));
            }
            assert_true(hyperloglog_estimate(&sketch) == (double)(i + 1));
        }
        assert_true(hyperloglog_standard_error(&sketch) == 0);
        hyperloglog_add(&sketch, hash_mix(1));
        assert_false(sketch.is_dense);
        hyperloglog_add(&sketch, hash_mix(1000));
        assert_true(sketch.is_dense);
        hyperloglog_reset(&sketch);
        assert_true(hyperloglog_estimate(&sketch) == 0);
        free(sketch.memory);
    }
}

/* Over many seeds: the errors scatter as promised and around nothing but the truth. */
static void an_estimate_lies_within_its_standard_error(void **state)
{
    (void)state;
    static const uint64_t counts[] = {257, 1000, 5000, 40000};
    static const unsigned precisions[] = {6, 10, 12, 14};
    enum { SEEDS = 60 };
    for (size_t p = 0; p < 4; p++) {
        for (size_t c = 0; c < 4; c++) {
            struct hyperloglog sketch = new_sketch(precisions[p]);
            double squares = 0, sum = 0;
            for (uint64_t seed = 0; seed < SEEDS; seed++) {
                hyperloglog_reset(&sketch);
                for (uint64_t i = 0; i < counts[c]; i++) {
                    hyperloglog_add(&sketch, hash_mix((seed << 32) + i + 1));
                }
                const double error = hyperloglog_estimate(&sketch) / (double)counts[c] - 1;
                sum += error;
                squares += error * error;
            }
            const double bound = hyperloglog_standard_error(&sketch);
            assert_true(sqrt(squares / SEEDS) < 1.3 * bound);
            assert_true(fabs(sum / SEEDS) < 4 * bound / sqrt(SEEDS));
            free(sketch.memory);
        }
    }
}

static void merged_shards_equal_one_sketch(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const unsigned precision = 4 + (unsigned)(seed % 11);
        const uint64_t count = seed % 3 == 0 ? 200 : seed % 3 == 1 ? 300 : 20000;
        const unsigned shards = 1 + (unsigned)(seed % 5);
        struct hyperloglog whole = new_sketch(precision), merged = new_sketch(precision);
        struct hyperloglog parts[5];
        for (unsigned s = 0; s < shards; s++) {
            parts[s] = new_sketch(precision);
        }
        for (uint64_t i = 0; i < count; i++) {
            const uint64_t hash = hash_mix(seed * 1000000 + i % (count - 20));
            hyperloglog_add(&whole, hash);
            hyperloglog_add(&parts[hash_mix(i) % shards], hash);
        }
        for (unsigned s = shards; s > 0; s--) {
            hyperloglog_merge(&merged, &parts[s - 1]);
            free(parts[s - 1].memory);
        }
        assert_int_equal(merged.is_dense, whole.is_dense);
        assert_int_equal(merged.exact_count, whole.exact_count);
        if (whole.is_dense) {
            assert_memory_equal(merged.memory, whole.memory, (size_t)1 << precision);
        }
        assert_true(hyperloglog_estimate(&merged) == hyperloglog_estimate(&whole));
        free(whole.memory);
        free(merged.memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_to_256_values_are_counted_exactly),
        cmocka_unit_test(an_estimate_lies_within_its_standard_error),
        cmocka_unit_test(merged_shards_equal_one_sketch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
