/* Rings between shards: in order, whole, bounded, and told when there is no room. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/pipeline/handover.h"

static struct handover *handover;
static atomic_uint wakes[4];

static void wake(void *context, uint32_t shard)
{
    (void)context;
    atomic_fetch_add(&wakes[shard], 1);
}

static void start(uint32_t shards)
{
    struct error err = {0};

    handover_free(handover);
    memset((void *)wakes, 0, sizeof(wakes));
    handover = handover_new(shards, 1, wake, NULL, &err); /* the smallest rings: 256 KiB */
    assert_non_null(handover);
}

static int stop(void **state)
{
    (void)state;
    handover_free(handover);
    handover = NULL;
    return 0;
}

static uint8_t bytes[70000];

static bool push(uint32_t from, uint32_t to, uint64_t number, uint32_t length)
{
    const struct packet packet = {.time_ns = number, .captured_bytes = length};
    const struct handover_item item = {&packet, length > 0 ? bytes : NULL, number % 2 != 0};

    memset(bytes, (int)(number & 255), length);
    return handover_push(handover, from, to, &item);
}

static void check(const struct handover_item *item, uint64_t number, uint32_t length)
{
    assert_int_equal(item->packet->time_ns, number);
    assert_int_equal(item->is_settled, number % 2 != 0);
    assert_int_equal(item->bytes != NULL, length > 0);
    for (uint32_t i = 0; i < length; i++) {
        assert_int_equal(item->bytes[i], number & 255);
    }
}

static void nothing_is_seen_before_it_is_published(void **state)
{
    struct handover_item items[HANDOVER_BATCH_MAX];

    (void)state;
    start(2);
    assert_true(push(0, 1, 1, 100));
    assert_int_equal(handover_take(handover, 1, items), 0);
    assert_int_equal(atomic_load(&wakes[1]), 0);
    handover_publish(handover, 0);
    handover_publish(handover, 0);
    assert_int_equal(atomic_load(&wakes[1]), 1); /* once, until it has looked */
    assert_false(handover_is_empty(handover, 1));
    assert_int_equal(handover_held(handover), 1);
    assert_int_equal(handover_take(handover, 1, items), 1);
    check(&items[0], 1, 100);
    handover_done(handover, 1);
    assert_true(handover_is_empty(handover, 1));
    assert_int_equal(handover_held(handover), 0);
}

static void a_full_ring_refuses_and_counts(void **state)
{
    struct handover_item items[HANDOVER_BATCH_MAX];
    uint64_t pushed = 0, taken = 0;

    (void)state;
    start(2);
    while (push(0, 1, pushed, 1500)) {
        pushed++;
    }
    assert_in_range(pushed, 100, 256 * 1024 / 1500);
    assert_int_equal(handover_counts(handover, 0)->dropped.value, 1);
    assert_int_equal(handover_counts(handover, 0)->pushed.value, pushed);
    assert_true(handover_counts(handover, 0)->high_water_bytes.value > 200 * 1024);
    handover_publish(handover, 0);
    for (uint32_t count; (count = handover_take(handover, 1, items)) > 0;) {
        for (uint32_t i = 0; i < count; i++) {
            check(&items[i], taken++, 1500);
        }
        handover_done(handover, 1);
    }
    assert_int_equal(taken, pushed);
    assert_true(push(0, 1, 7, 1500)); /* room again */
}

static void what_could_never_fit_is_refused(void **state)
{
    const struct packet packet = {.captured_bytes = 200000};
    uint8_t *large = calloc(1, packet.captured_bytes);
    const struct handover_item item = {&packet, large, true};

    (void)state;
    start(2);
    assert_non_null(large);
    assert_false(handover_push(handover, 0, 1, &item));
    free(large);
}

static void every_writer_is_heard(void **state)
{
    struct handover_item items[HANDOVER_BATCH_MAX];

    (void)state;
    start(3);
    for (uint32_t from = 1; from < 3; from++) {
        assert_true(push(from, 0, from, 10));
        handover_publish(handover, from);
    }
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(handover_take(handover, 0, items), 1);
        handover_done(handover, 0);
    }
    assert_int_equal(handover_take(handover, 0, items), 0);
}

static void time_is_that_of_the_slowest_and_never_goes_back(void **state)
{
    (void)state;
    start(3);
    for (uint32_t shard = 0; shard < 3; shard++) {
        assert_int_equal(handover_reached_by_all(handover, HANDOVER_RECEIVED), 0);
        handover_reached(handover, shard, HANDOVER_RECEIVED, 100 + shard);
    }
    assert_int_equal(handover_reached_by_all(handover, HANDOVER_RECEIVED), 100);
    handover_reached(handover, 0, HANDOVER_RECEIVED, 50);
    assert_int_equal(handover_reached_by_all(handover, HANDOVER_RECEIVED), 100);
    assert_int_equal(handover_reached_by_all(handover, HANDOVER_SETTLED), 0);
}

/* ---- two threads ---- */

#define NUMBERS 200000

static uint32_t length_of(uint64_t number)
{
    return (uint32_t)(number * 2654435761U >> 7 & 2047) * (number % 97 != 0);
}

static void *write_numbers(void *argument)
{
    (void)argument;
    for (uint64_t number = 0; number < NUMBERS; number++) {
        while (!push(0, 1, number, length_of(number))) {
            handover_publish(handover, 0);
        }
        if (number % 13 == 0) {
            handover_publish(handover, 0);
            handover_reached(handover, 0, HANDOVER_RECEIVED, number);
        }
    }
    handover_publish(handover, 0);
    handover_reached(handover, 0, HANDOVER_RECEIVED, UINT64_MAX);
    return NULL;
}

static void between_two_threads_nothing_is_lost_or_turned_round(void **state)
{
    struct handover_item items[HANDOVER_BATCH_MAX];
    pthread_t writer;
    uint64_t taken = 0;

    (void)state;
    start(2);
    handover_reached(handover, 1, HANDOVER_RECEIVED, UINT64_MAX);
    assert_int_equal(pthread_create(&writer, NULL, write_numbers, NULL), 0);
    for (bool is_over = false; !is_over;) {
        const uint64_t reached = handover_reached_by_all(handover, HANDOVER_RECEIVED);

        for (uint32_t count; (count = handover_take(handover, 1, items)) > 0;) {
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(items[i].packet->time_ns, taken);
                assert_int_equal(items[i].packet->captured_bytes, length_of(taken));
                assert_true(items[i].bytes == NULL || items[i].bytes[0] == (taken & 255));
                taken++;
            }
            handover_done(handover, 1);
        }
        is_over = reached == UINT64_MAX;
        assert_true(is_over || reached == 0 || taken > reached); /* all up to there was there */
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(taken, NUMBERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_seen_before_it_is_published),
        cmocka_unit_test(a_full_ring_refuses_and_counts),
        cmocka_unit_test(what_could_never_fit_is_refused),
        cmocka_unit_test(every_writer_is_heard),
        cmocka_unit_test(time_is_that_of_the_slowest_and_never_goes_back),
        cmocka_unit_test(between_two_threads_nothing_is_lost_or_turned_round),
    };

    return cmocka_run_group_tests(tests, NULL, stop);
}
