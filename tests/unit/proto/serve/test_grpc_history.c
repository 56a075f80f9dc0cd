/* The ring behind the streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/serve/grpc_history.h"

static uint64_t next_evicted;

static void on_evict(void *context, struct grpc_history *history, uint64_t from, uint64_t to)
{
    (void)context;
    assert_int_equal(from, history->first);
    assert_true(to <= history->end);
    for (uint64_t at = from; at < to; at++) {
        assert_int_equal(grpc_history_at(history, at)->seq, ++next_evicted);
    }
}

static void add(struct grpc_history *history, uint64_t first_seq, uint32_t count, uint32_t length)
{
    static uint8_t bytes[65536];
    struct grpc_parcel *parcel = grpc_parcel_new(1, count, (size_t)count * length);

    assert_non_null(parcel);
    for (uint32_t i = 0; i < count; i++) {
        grpc_parcel_add(parcel, bytes, length, first_seq + i, first_seq + i);
    }
    grpc_history_add(history, parcel);
}

static void the_ring_holds_the_last_records_and_no_more(void **state)
{
    struct grpc_history history;
    struct error err = {0};
    uint64_t seq = 1;

    (void)state;
    assert_int_equal(grpc_history_init(&history, 100, 1U << 20, &err), 0);
    history.on_evict = on_evict;
    next_evicted = 0;
    for (uint32_t count = 1; count < 60; count++) {
        add(&history, seq, count, 10);
        seq += count;
        assert_true(history.end - history.first <= 100);
        assert_int_equal(grpc_history_at(&history, history.end - 1)->seq, seq - 1);
        assert_int_equal(history.last_seq, seq - 1);
    }
    assert_int_equal(history.end - history.first, 100);
    assert_int_equal(next_evicted, seq - 1 - 100);
    grpc_history_fini(&history);
}

static void a_parcel_larger_than_the_ring_leaves_its_end(void **state)
{
    struct grpc_history history;
    struct error err = {0};

    (void)state;
    assert_int_equal(grpc_history_init(&history, 3, 1U << 20, &err), 0);
    add(&history, 1, 512, 10);
    assert_int_equal(history.end - history.first, 3);
    assert_int_equal(grpc_history_at(&history, history.first)->seq, 510);
    grpc_history_fini(&history);
}

static void bytes_bound_the_ring_too(void **state)
{
    struct grpc_history history;
    struct error err = {0};

    (void)state;
    assert_int_equal(grpc_history_init(&history, 65536, 100000, &err), 0);
    for (uint64_t seq = 1; seq < 1000; seq += 10) {
        add(&history, seq, 10, 1000);
        assert_true(history.bytes <= 100000);
    }
    assert_true(history.end - history.first >= 80);
    grpc_history_fini(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ring_holds_the_last_records_and_no_more),
        cmocka_unit_test(a_parcel_larger_than_the_ring_leaves_its_end),
        cmocka_unit_test(bytes_bound_the_ring_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
