#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/pipeline/batch.h"

static void a_pool_lends_each_batch_once_and_takes_it_back(void **state)
{
    (void)state;
    struct batch_pool *pool = batch_pool_new(2, 1024, 64, NULL);
    struct record_batch *a = batch_take(pool);
    struct record_batch *b = batch_take(pool);

    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    assert_null(batch_take(pool));
    assert_int_equal(batch_pool_used(pool), 2);
    batch_unref(a);
    struct record_batch *again = batch_take(pool);

    assert_ptr_equal(again, a);
    batch_unref(again);
    batch_unref(b);
    assert_int_equal(batch_pool_used(pool), 0);
    batch_pool_free(pool);
}

/* Its lines are in some cache; those of one that nobody has had are in none. */
static void the_batch_that_came_back_last_is_lent_first(void **state)
{
    (void)state;
    struct batch_pool *pool = batch_pool_new(4, 1024, 64, NULL);
    struct record_batch *a = batch_take(pool);
    struct record_batch *b = batch_take(pool);

    batch_unref(a);
    batch_unref(b);
    assert_ptr_equal(batch_take(pool), b);
    assert_ptr_equal(batch_take(pool), a);
    struct record_batch *c = batch_take(pool);
    struct record_batch *d = batch_take(pool);

    assert_non_null(c);
    assert_non_null(d);
    assert_null(batch_take(pool));
    batch_unref(c);
    assert_ptr_equal(batch_take(pool), c);
    batch_unref(a);
    batch_unref(b);
    batch_unref(c);
    batch_unref(d);
    batch_pool_free(pool);
}

static void a_batch_comes_back_with_its_last_reference(void **state)
{
    (void)state;
    struct batch_pool *pool = batch_pool_new(1, 1024, 64, NULL);
    struct record_batch *batch = batch_take(pool);

    batch_ref(batch);
    batch_unref(batch);
    assert_null(batch_take(pool));
    batch_unref(batch);
    batch = batch_take(pool);
    assert_non_null(batch);
    batch_unref(batch);
    batch_pool_free(pool);
}

static void records_keep_room_for_their_identity(void **state)
{
    (void)state;
    struct batch_pool *pool = batch_pool_new(1, 1024, 100, NULL);
    struct record_batch *batch = batch_take(pool);
    uint32_t count = 0;

    while (batch_reserve(batch, 200) != NULL) {
        const struct batch_entry *entry = batch_commit(batch, 150);

        assert_int_equal(entry->offset, count * 250);
        assert_true(entry->offset + entry->length + 100 <= batch->capacity);
        count++;
    }
    /* 1024 bytes: after three records of 150 + 100 there are 274 left, less than 200 + 100. */
    assert_int_equal(count, 3);
    batch_unref(batch);
    batch_pool_free(pool);
}

static void a_batch_is_full_at_its_count_of_records(void **state)
{
    (void)state;
    struct batch_pool *pool = batch_pool_new(1, 1 << 20, 0, NULL);
    struct record_batch *batch = batch_take(pool);

    for (uint32_t i = 0; i < BATCH_RECORDS_MAX; i++) {
        assert_non_null(batch_reserve(batch, 8));
        (void)batch_commit(batch, 8);
    }
    assert_null(batch_reserve(batch, 8));
    batch_unref(batch);
    batch_pool_free(pool);
}

#define TURNS 20000

static struct record_batch *handed[TURNS];
static atomic_int handed_count;

static void *give_back(void *argument)
{
    (void)argument;
    for (int i = 0; i < TURNS; i++) {
        while (atomic_load(&handed_count) <= i) {
        }
        batch_unref(handed[i]);
    }
    return NULL;
}

static void batches_return_from_another_thread(void **state)
{
    (void)state;
    struct batch_pool *pool = batch_pool_new(4, 1024, 0, NULL);
    pthread_t thread;

    atomic_store(&handed_count, 0);
    assert_int_equal(pthread_create(&thread, NULL, give_back, NULL), 0);
    for (int i = 0; i < TURNS;) {
        struct record_batch *batch = batch_take(pool);

        if (batch != NULL) {
            batch->bytes[0] = (uint8_t)i;
            handed[i++] = batch;
            atomic_store(&handed_count, i);
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(batch_pool_used(pool), 0);
    batch_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_lends_each_batch_once_and_takes_it_back),
        cmocka_unit_test(the_batch_that_came_back_last_is_lent_first),
        cmocka_unit_test(a_batch_comes_back_with_its_last_reference),
        cmocka_unit_test(records_keep_room_for_their_identity),
        cmocka_unit_test(a_batch_is_full_at_its_count_of_records),
        cmocka_unit_test(batches_return_from_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
