/* The ring of bytes between a shard and whoever takes its frames: order, wrapping, frames let go in
 * any order, and two threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "sensor/capture/frame_queue.h"

static uint8_t pattern[300000];

static struct frame_queue *new_queue(uint64_t bytes)
{
    struct frame_queue *queue = aligned_alloc(CACHE_LINE, sizeof(*queue));

    assert_non_null(queue);
    memset(queue, 0, sizeof(*queue));
    assert_int_equal(frame_queue_init(queue, bytes), 0);
    return queue;
}

static void free_queue(struct frame_queue *queue)
{
    frame_queue_fini(queue);
    free(queue);
}

static struct frame frame_of(uint32_t number, uint32_t bytes)
{
    return (struct frame){.bytes = pattern + number % 251,
                          .captured_bytes = bytes,
                          .wire_bytes = bytes + number,
                          .time_ns = number,
                          .link_type = (uint16_t)(number % 7),
                          .interface = (uint16_t)(number % 5)};
}

static void assert_frame(const struct frame *frame, uint32_t number, uint32_t bytes)
{
    const struct frame wanted = frame_of(number, bytes);

    assert_int_equal(frame->time_ns, wanted.time_ns);
    assert_int_equal(frame->captured_bytes, wanted.captured_bytes);
    assert_int_equal(frame->wire_bytes, wanted.wire_bytes);
    assert_int_equal(frame->link_type, wanted.link_type);
    assert_int_equal(frame->interface, wanted.interface);
    assert_memory_equal(frame->bytes, wanted.bytes, bytes);
}

static uint32_t length_of(uint32_t number)
{
    return number % 11 == 0 ? 262144 : number * 37 % 3000;
}

static void frames_come_out_as_they_went_in_over_many_turns_of_the_ring(void **state)
{
    (void)state;
    struct frame_queue *queue = new_queue(0);
    uint32_t put = 0;

    for (uint32_t taken = 0; taken < 3000; taken++) {
        struct frame frame = frame_of(put, length_of(put));

        while (frame_queue_put(queue, &frame)) {
            put++;
            frame = frame_of(put, length_of(put));
        }
        assert_true(put - taken >= 1);
        assert_true(frame_queue_first(queue, &frame));
        assert_frame(&frame, taken, length_of(taken));
        frame_queue_drop_first(queue);
    }
    free_queue(queue);
}

static void a_full_queue_refuses_and_what_is_in_it_stays(void **state)
{
    (void)state;
    struct frame_queue *queue = new_queue(0);
    uint32_t put = 0;
    struct frame frame = frame_of(0, 1000);

    while (frame_queue_put(queue, &frame)) {
        frame = frame_of(++put, 1000);
    }
    assert_in_range(put, 1000, 1048);
    assert_in_range(frame_queue_used(queue), FRAME_QUEUE_BYTES_MIN - 2048, FRAME_QUEUE_BYTES_MIN);
    for (uint32_t i = 0; i < put; i++) {
        assert_true(frame_queue_first(queue, &frame));
        assert_frame(&frame, i, 1000);
        frame_queue_drop_first(queue);
    }
    assert_false(frame_queue_first(queue, &frame));
    assert_int_equal(frame_queue_used(queue), 0);
    free_queue(queue);
}

/* Frames are looked at ahead and let go from a window in a mixed order, as a merge does it. */
static void frames_let_go_in_any_order_free_the_room_in_the_order_of_the_queue(void **state)
{
    (void)state;
    enum { WINDOW = 16, ROUNDS = 4000 };
    struct frame_queue *queue = new_queue(0);
    uint64_t look = 0, places[WINDOW];
    uint32_t numbers[WINDOW], held = 0, put = 0, seen = 0, seed = 1;
    struct frame frame;

    for (uint32_t round = 0; round < ROUNDS; round++) {
        frame = frame_of(put, length_of(put));
        while (frame_queue_put(queue, &frame)) {
            put++;
            frame = frame_of(put, length_of(put));
        }
        while (held < WINDOW && frame_queue_next(queue, &look, &places[held], &frame)) {
            assert_frame(&frame, seen, length_of(seen));
            numbers[held++] = seen++;
        }
        seed = seed * 1664525 + 1013904223;
        const uint32_t which = (seed >> 8) % held;

        frame_queue_at(queue, places[which], &frame);
        assert_frame(&frame, numbers[which], length_of(numbers[which]));
        frame_queue_release(queue, places[which]);
        held--;
        places[which] = places[held];
        numbers[which] = numbers[held];
    }
    assert_true(seen >= ROUNDS);
    while (held > 0) {
        frame_queue_release(queue, places[--held]);
    }
    while (frame_queue_next(queue, &look, &places[0], &frame)) {
        frame_queue_release(queue, places[0]);
    }
    assert_int_equal(frame_queue_used(queue), 0);
    free_queue(queue);
}

#define SENT 200000U

static void *put_all(void *argument)
{
    struct frame_queue *queue = argument;

    for (uint32_t i = 0; i < SENT;) {
        const struct frame frame = frame_of(i, i * 13 % 1500);

        if (frame_queue_put(queue, &frame)) {
            i++;
        } else {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void two_threads_lose_nothing(void **state)
{
    (void)state;
    struct frame_queue *queue = new_queue(0);
    uint64_t look = 0, at;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, put_all, queue), 0);
    for (uint32_t i = 0; i < SENT;) {
        struct frame frame;

        if (frame_queue_next(queue, &look, &at, &frame)) {
            assert_frame(&frame, i, i * 13 % 1500);
            frame_queue_release(queue, at);
            i++;
        } else {
            (void)sched_yield();
        }
    }
    (void)pthread_join(thread, NULL);
    free_queue(queue);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)(i * 31 + i / 251);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_as_they_went_in_over_many_turns_of_the_ring),
        cmocka_unit_test(a_full_queue_refuses_and_what_is_in_it_stays),
        cmocka_unit_test(frames_let_go_in_any_order_free_the_room_in_the_order_of_the_queue),
        cmocka_unit_test(two_threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
