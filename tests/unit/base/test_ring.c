#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/ring.h"

static void items_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    AUTO(ring) ring = ring_new(5);
    assert_non_null(ring);
    assert_int_equal(ring_capacity(ring), 8);
    int items[100];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 8; i++) {
            assert_true(ring_push(ring, &items[round * 8 + i]));
        }
        assert_int_equal(ring_used(ring), 8);
        for (int i = 0; i < 8; i++) {
            assert_ptr_equal(ring_pop(ring), &items[round * 8 + i]);
        }
    }
}

static void a_full_ring_refuses_and_an_empty_one_gives_null(void **state)
{
    (void)state;
    AUTO(ring) ring = ring_new(0);
    assert_non_null(ring);
    int item;
    assert_null(ring_pop(ring));
    assert_true(ring_push(ring, &item));
    assert_true(ring_push(ring, &item));
    assert_false(ring_push(ring, &item));
    assert_ptr_equal(ring_pop(ring), &item);
    assert_true(ring_push(ring, &item));
    assert_null(ring_new(UINT32_MAX));
    ring_free(NULL);
}

#define ITEMS 300000

struct numbered {
    uint32_t number; /* plain memory: its hand-over is what the thread sanitizer watches */
};

static void *produce(void *argument)
{
    struct ring *ring = argument;
    for (uint32_t i = 0; i < ITEMS; i++) {
        struct numbered *item = malloc(sizeof(*item));
        if (item == NULL) {
            return NULL;
        }
        item->number = i;
        while (!ring_push(ring, item)) {
            (void)sched_yield();
        }
    }
    return ring;
}

static void two_threads_lose_and_reorder_nothing(void **state)
{
    (void)state;
    AUTO(ring) ring = ring_new(64);
    assert_non_null(ring);
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
    for (uint32_t i = 0; i < ITEMS;) {
        struct numbered *item = ring_pop(ring);
        if (item == NULL) {
            (void)sched_yield();
            continue;
        }
        assert_int_equal(item->number, i);
        assert_true(ring_used(ring) <= ring_capacity(ring));
        free(item);
        i++;
    }
    void *result;
    assert_int_equal(pthread_join(producer, &result), 0);
    assert_non_null(result);
    assert_null(ring_pop(ring));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_the_order_they_went_in),
        cmocka_unit_test(a_full_ring_refuses_and_an_empty_one_gives_null),
        cmocka_unit_test(two_threads_lose_and_reorder_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
