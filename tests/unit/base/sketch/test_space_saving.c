#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/sketch/space_saving.h"

enum { KEYS = 3000, CAPACITY = 200 };
static const struct hash_key seed_key = {1, 2};
static uint64_t truth[KEYS];

static struct space_saving *new_sketch(uint32_t capacity)
{
    struct space_saving *sketch = space_saving_new(capacity, seed_key);
    assert_non_null(sketch);
    return sketch;
}

static size_t key_text(uint64_t key, char text[SPACE_SAVING_KEY_BYTES_MAX])
{
    return (size_t)snprintf(text, SPACE_SAVING_KEY_BYTES_MAX, "key-%0*llu", (int)(key % 30),
                            (unsigned long long)key);
}

static void add(struct space_saving *sketch, uint64_t key, uint64_t by)
{
    char text[SPACE_SAVING_KEY_BYTES_MAX];
    const size_t length = key_text(key, text);
    space_saving_add(sketch, text, length, by);
}

/* Item `i` of a skewed stream. */
static uint64_t stream_key(uint64_t seed, uint64_t i)
{
    const uint64_t random = hash_mix(seed * 1000000 + i);
    return (random >> 20) % (1 + random % KEYS);
}

/* Bounds that hold for one sketch and for a merged one. */
static void check_bounds(const struct space_saving *sketch)
{
    uint64_t total = 0;
    for (uint64_t key = 0; key < KEYS; key++) {
        char text[SPACE_SAVING_KEY_BYTES_MAX];
        const size_t length = key_text(key, text);
        struct space_saving_entry entry;
        total += truth[key];
        if (space_saving_find(sketch, text, length, &entry)) {
            assert_true(entry.count >= truth[key]);
            assert_true(entry.count - entry.overcount <= truth[key]);
        } else {
            assert_true(truth[key] <= space_saving_unseen_max(sketch));
        }
    }
    assert_int_equal(space_saving_total(sketch), total);
    assert_true(space_saving_unseen_max(sketch) <= total / CAPACITY);
}

static void few_keys_are_counted_exactly(void **state)
{
    (void)state;
    AUTO(space_saving) sketch = new_sketch(10);
    for (uint64_t i = 0; i < 55; i++) {
        add(sketch, i % 10, i);
    }
    assert_int_equal(space_saving_size(sketch), 10);
    struct space_saving_entry top[20];
    assert_int_equal(space_saving_top(sketch, top, 20), 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(top[i].overcount, 0);
        assert_true(i == 0 || top[i - 1].count >= top[i].count);
    }
    assert_memory_equal(top[0].key, "key-", 4);
    assert_int_equal(top[0].count, 4 + 14 + 24 + 34 + 44 + 54);
    assert_int_equal(space_saving_top(sketch, top, 3), 3);
    assert_int_equal(space_saving_top(sketch, top, 0), 0);
    space_saving_reset(sketch);
    assert_int_equal(space_saving_size(sketch), 0);
    assert_null(space_saving_new(0, seed_key));
    assert_null(space_saving_new(UINT32_MAX, seed_key));
}

static void counts_are_bounds_of_the_truth(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        AUTO(space_saving) sketch = new_sketch(CAPACITY);
        memset(truth, 0, sizeof(truth));
        for (uint64_t i = 0; i < 20000; i++) {
            const uint64_t key = stream_key(seed, i);
            truth[key] += 1 + i % 7;
            add(sketch, key, 1 + i % 7);
        }
        check_bounds(sketch);
        struct space_saving_entry all[CAPACITY];
        uint64_t sum = 0;
        assert_int_equal(space_saving_top(sketch, all, CAPACITY), CAPACITY);
        for (unsigned i = 0; i < CAPACITY; i++) {
            sum += all[i].count;
        }
        assert_int_equal(sum, space_saving_total(sketch)); /* no weight is made or lost */
    }
}

static void a_merge_keeps_the_bounds_in_any_order_of_its_inputs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        enum { SHARDS = 4 };
        struct space_saving *parts[SHARDS];
        const struct space_saving *forward[SHARDS], *backward[SHARDS];
        memset(truth, 0, sizeof(truth));
        for (unsigned s = 0; s < SHARDS; s++) {
            parts[s] = new_sketch(CAPACITY);
            forward[s] = parts[s];
            backward[SHARDS - 1 - s] = parts[s];
        }
        for (uint64_t i = 0; i < 10000; i++) {
            const uint64_t key = stream_key(seed, i);
            truth[key]++;
            add(parts[hash_mix(i + seed) % SHARDS], key, 1);
        }
        AUTO(space_saving) merged = new_sketch(CAPACITY);
        AUTO(space_saving) again = new_sketch(CAPACITY);
        space_saving_merge(merged, forward, SHARDS);
        space_saving_merge(again, backward, SHARDS);
        struct space_saving_entry a[CAPACITY], b[CAPACITY];
        assert_int_equal(space_saving_top(merged, a, CAPACITY),
                         space_saving_top(again, b, CAPACITY));
        for (unsigned i = 0; i < CAPACITY; i++) {
            assert_int_equal(a[i].count, b[i].count);
            assert_int_equal(a[i].overcount, b[i].overcount);
            assert_memory_equal(a[i].key, b[i].key, a[i].key_bytes);
        }
        for (uint64_t key = 0; key < KEYS; key++) {
            char text[SPACE_SAVING_KEY_BYTES_MAX];
            const size_t length = key_text(key, text);
            struct space_saving_entry entry;
            if (space_saving_find(merged, text, length, &entry)) {
                assert_true(entry.count >= truth[key] &&
                            entry.count - entry.overcount <= truth[key]);
            } else {
                assert_true(truth[key] <= space_saving_unseen_max(merged));
            }
        }
        assert_int_equal(space_saving_total(merged), 10000);
        for (unsigned s = 0; s < SHARDS; s++) {
            space_saving_free(parts[s]);
        }
    }
}

static void the_same_stream_gives_the_same_sketch(void **state)
{
    (void)state;
    AUTO(space_saving) one = new_sketch(50);
    AUTO(space_saving) two = new_sketch(50);
    for (uint64_t i = 0; i < 5000; i++) {
        add(one, stream_key(9, i), 1);
        add(two, stream_key(9, i), 1);
    }
    struct space_saving_entry a[50], b[50];
    assert_int_equal(space_saving_top(one, a, 50), 50);
    assert_int_equal(space_saving_top(two, b, 50), 50);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(a[i].count, b[i].count);
        assert_memory_equal(a[i].key, b[i].key, a[i].key_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_keys_are_counted_exactly),
        cmocka_unit_test(counts_are_bounds_of_the_truth),
        cmocka_unit_test(a_merge_keeps_the_bounds_in_any_order_of_its_inputs),
        cmocka_unit_test(the_same_stream_gives_the_same_sketch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
