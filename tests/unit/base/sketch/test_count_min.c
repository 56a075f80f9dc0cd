#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/sketch/count_min.h"

enum { KEYS = 5000 };

static struct count_min new_sketch(uint32_t width, uint32_t depth)
{
    struct count_min sketch;
    void *memory = malloc(count_min_bytes(width, depth));
    assert_non_null(memory);
    count_min_init(&sketch, memory, width, depth);
    return sketch;
}

static void an_estimate_is_never_too_small_and_rarely_too_large(void **state)
{
    (void)state;
    static uint64_t truth[KEYS];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct count_min sketch = new_sketch(1024, 4);
        memset(truth, 0, sizeof(truth));
        for (uint64_t i = 0; i < 20000; i++) {
            const uint64_t random = hash_mix(seed * 1000000 + i);
            const uint64_t key =
                (random >> 20) % KEYS % (1 + random % KEYS); /* some are much heavier */
            const uint64_t by = 1 + random % 100;
            truth[key] += by;
            assert_true(count_min_add(&sketch, hash_mix((seed << 32) + key), by) >= truth[key]);
        }
        unsigned beyond = 0;
        uint64_t total = 0;
        for (uint64_t key = 0; key < KEYS; key++) {
            const uint64_t estimate = count_min_estimate(&sketch, hash_mix((seed << 32) + key));
            assert_true(estimate >= truth[key]);
            beyond += (double)(estimate - truth[key]) > count_min_error(&sketch);
            total += truth[key];
        }
        assert_int_equal(sketch.total, total);
        assert_true(beyond <= KEYS * exp(-4));
        free(sketch.cells);
    }
}

static void merged_shards_equal_one_sketch(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct count_min whole = new_sketch(256, 3), merged = new_sketch(256, 3), parts[3];
        for (unsigned s = 0; s < 3; s++) {
            parts[s] = new_sketch(256, 3);
        }
        for (uint64_t i = 0; i < 3000; i++) {
            const uint64_t hash = hash_mix(seed * 100000 + i % 700);
            (void)count_min_add(&whole, hash, i);
            (void)count_min_add(&parts[hash_mix(i) % 3], hash, i);
        }
        for (unsigned s = 3; s > 0; s--) {
            count_min_merge(&merged, &parts[s - 1]);
            free(parts[s - 1].cells);
        }
        assert_memory_equal(merged.cells, whole.cells, count_min_bytes(256, 3));
        assert_int_equal(merged.total, whole.total);
        count_min_reset(&whole);
        assert_int_equal(count_min_estimate(&whole, 1), 0);
        free(whole.cells);
        free(merged.cells);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_estimate_is_never_too_small_and_rarely_too_large),
        cmocka_unit_test(merged_shards_equal_one_sketch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
