/* Captures on request without a pipeline: what passes, in which order, within which limits, and how
 * shards and a capture that ends meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tap_bench.h"
#include "tests/support/packet_builder.h"

/* ---- what passes ---- */

static void the_filter_and_the_interface_decide(void **state)
{
    (void)state;
    struct tap_bench f = bench_start(1, &(struct tap_request){.filter = "udp", .interface = "if1"});

    for (uint32_t i = 0; i < 40; i++) {
        bench_offer(f.set, 0, (int)(i % 2), 1000 + i, (uint16_t)(i / 2 % 2));
    }
    bench_input_is_over = true;
    bench_read_all(f.tap);
    assert_int_equal(bench_found_count, 10);
    assert_int_equal(bench_blocks_count, 1);
    assert_int_equal(bench_found[0].time_ns, 1002);
    assert_string_equal(tap_reason(f.tap), "input_ended");
    bench_stop(&f);
}

static void nobody_who_captures_means_no_packet_is_looked_at(void **state)
{
    (void)state;
    struct tap_bench f = bench_start(1, &(struct tap_request){0});

    assert_true(tap_set_is_open(f.set));
    tap_stop(f.tap, "stopped");
    bench_read_all(f.tap);
    assert_false(tap_set_is_open(f.set));
    assert_false(tap_set_is_open(NULL));
    assert_string_equal(tap_reason(f.tap), "stopped");
    assert_int_equal(bench_blocks_count, 2); /* a file without packets names its interfaces */
    bench_stop(&f);
}

/* A sensor whose input has ended stops, too: what comes first is why. */
static void the_end_of_the_input_is_why_even_where_the_capture_is_stopped_behind_it(void **state)
{
    (void)state;
    struct tap_bench f = bench_start(1, &(struct tap_request){0});

    bench_offer(f.set, 0, 0, 1000, 0);
    bench_input_is_over = true;
    tap_stop(f.tap, "stopped");
    bench_read_all(f.tap);
    assert_int_equal(bench_found_count, 1);
    assert_string_equal(tap_reason(f.tap), "input_ended");
    bench_stop(&f);
}

static void snaplen_and_headers_cut_what_is_kept(void **state)
{
    (void)state;
    struct tap_policy headers = bench_policy;
    const struct tap_source source = bench_source_of(1);

    headers.mode = TAP_HEADERS;
    for (int i = 0; i < 2; i++) {
        struct tap_bench f = bench_start_by(i == 0 ? &bench_policy : &headers, 1, &source,
                                            &(struct tap_request){.snaplen_bytes = 60});

        bench_offer(f.set, 0, 0, 1, 0);
        tap_stop(f.tap, "stopped");
        bench_read_all(f.tap);
        assert_int_equal(bench_found[0].captured, i == 0 ? 60 : 42);
        assert_int_equal(bench_found[0].wire, bench_frames[0].wire_bytes);
        bench_stop(&f);
    }
}

/* Frames are UDP from port 53 with a payload: a filter of headers finds it, one of the payload not.
 */
static void a_filter_sees_no_more_of_a_packet_than_may_be_kept(void **state)
{
    (void)state;
    const struct tap_source source = bench_source_of(1);
    const struct {
        const char *filter;
        bool is_headers;
        uint32_t found;
    } cases[] = {{"udp", true, 1},
                 {"udp[8:1] >= 0", false, 1},
                 {"udp[8:1] >= 0", true, 0},
                 {"udp[6:2] >= 0", true, 1}};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct tap_bench f = bench_start_by(&bench_policy, 1, &source,
                                            &(struct tap_request){.filter = cases[i].filter,
                                                                  .is_headers = cases[i].is_headers,
                                                                  .snaplen_bytes = 20});

        bench_offer(f.set, 0, 0, 1, 0);
        tap_stop(f.tap, "stopped");
        bench_read_all(f.tap);
        assert_int_equal(bench_found_count, cases[i].found);
        if (bench_found_count > 0) {
            assert_int_equal(bench_found[0].captured, 20);
        }
        bench_stop(&f);
    }
}

static void a_link_type_that_the_filter_cannot_be_asked_for_counts_as_dropped(void **state)
{
    (void)state;
    struct tap_source file = bench_source_of(0);
    struct tap_bench f = bench_start_by(&bench_policy, 1, &file,
                                        &(struct tap_request){.filter = "ether host 2:0:0:0:0:1"});
    struct frame other = bench_frames[0];

    other.link_type = 147; /* DLT_USER0 */
    bench_offer(f.set, 0, 0, 1, 0);
    tap_set_offer(f.set, 0, &other, &bench_packets[0], 1);
    tap_stop(f.tap, "stopped");
    bench_read_all(f.tap);
    assert_int_equal(bench_counts_of(&f).dropped, 1);
    assert_int_equal(bench_found_count, 1);
    bench_stop(&f);
}

/* ---- order ---- */

static void packets_of_several_shards_come_out_by_time(void **state)
{
    (void)state;
    struct tap_source source = bench_source_of(2);

    source.is_timed = true;
    source.window_ns = 100;
    struct tap_bench f = bench_start_by(&bench_policy, 3, &source, &(struct tap_request){0});

    for (uint64_t i = 0; i < 300; i++) {
        bench_offer(f.set, 0, 0, 3000 + 3 * i, 0);
    }
    tap_set_reached(f.set, 0, 3900);
    bench_read_on(f.tap);
    assert_int_equal(bench_found_count, 0); /* older ones may still come */
    for (uint64_t i = 0; i < 300; i++) {
        bench_offer(f.set, 1, 0, 3001 + 3 * i, 1);
        bench_offer(f.set, 2, 0, 3002 + 3 * i, 0);
    }
    tap_set_reached(f.set, 1, 3500);
    tap_set_reached(f.set, 2, UINT64_MAX);
    (void)bench_read_on(f.tap);
    assert_int_equal(bench_found_count, 400); /* from before 3500 less the window */
    tap_set_reached(f.set, 0, UINT64_MAX);
    tap_set_reached(f.set, 1, UINT64_MAX);
    (void)bench_read_on(f.tap);
    assert_int_equal(bench_found_count, 900);
    for (uint32_t i = 0; i < 900; i++) {
        assert_int_equal(bench_found[i].time_ns, 3000 + i);
    }
    tap_stop(f.tap, "stopped");
    bench_read_all(f.tap);
    bench_stop(&f);
}

static void a_queue_half_full_does_not_wait(void **state)
{
    (void)state;
    struct tap_source source = bench_source_of(1);

    source.is_timed = true; /* and the shard never tells how far it is */
    struct tap_bench f = bench_start_by(&bench_policy, 1, &source, &(struct tap_request){0});

    for (uint64_t i = 0; i < 3500; i++) { /* of 168 bytes in the queue */
        bench_offer(f.set, 0, 0, 1 + i, 0);
    }
    (void)bench_read_on(f.tap);
    assert_in_range(bench_found_count, 1, 3499);
    assert_int_equal(bench_counts_of(&f).dropped, 0);
    bench_stop(&f);
}

static void a_source_that_is_not_mixed_keeps_its_order(void **state)
{
    (void)state;
    struct tap_source source = bench_source_of(0);

    source.is_mixed = false;
    struct tap_bench f = bench_start_by(&bench_policy, 1, &source, &(struct tap_request){0});

    for (uint64_t i = 0; i < 500; i++) {
        bench_offer(f.set, 0, 0, 1000 - i, 0);
    }
    tap_stop(f.tap, "stopped");
    bench_read_all(f.tap);
    for (uint32_t i = 0; i < 500; i++) {
        assert_int_equal(bench_found[i].time_ns, 1000 - i);
    }
    bench_stop(&f);
}

/* ---- limits ---- */

static void a_full_queue_drops_and_counts(void **state)
{
    (void)state;
    struct tap_bench f = bench_start(1, &(struct tap_request){0});

    for (uint64_t i = 0; i < 20000; i++) {
        bench_offer(f.set, 0, 0, 1 + i, 0);
    }
    tap_stop(f.tap, "stopped");
    bench_read_all(f.tap);
    assert_in_range(bench_found_count, 5000, 8000);
    assert_int_equal(bench_found_count + bench_counts_of(&f).dropped, 20000);
    bench_stop(&f);
}

static void a_request_raises_no_limit_of_the_policy(void **state)
{
    (void)state;
    struct tap_policy small = bench_policy;
    const struct tap_source source = bench_source_of(1);

    small.packets_max = 7;
    small.snaplen_bytes = 50;
    struct tap_bench f = bench_start_by(
        &small, 1, &source, &(struct tap_request){.packets_max = 1000, .snaplen_bytes = 99});

    for (uint64_t i = 0; i < 20; i++) {
        bench_offer(f.set, 0, 0, 1 + i, 0);
    }
    bench_read_all(f.tap);
    assert_int_equal(bench_found_count, 7);
    assert_int_equal(bench_found[0].captured, 50);
    assert_string_equal(tap_reason(f.tap), "packets.capture_max_packets");
    bench_stop(&f);
}

static void bytes_are_those_of_the_file_and_never_more_than_asked(void **state)
{
    (void)state;
    for (uint64_t most = 1; most < 3000; most += 97) {
        struct tap_bench f = bench_start(1, &(struct tap_request){.bytes_max = most});

        for (uint64_t i = 0; i < 20; i++) {
            bench_offer(f.set, 0, 0, 1 + i, 0);
        }
        bench_read_all(f.tap);
        assert_string_equal(tap_reason(f.tap), "max_bytes");
        assert_true(bench_counts_of(&f).bytes <= most || bench_found_count == 0);
        bench_stop(&f);
    }
}

static void time_ends_a_capture_and_cuts_what_is_later(void **state)
{
    (void)state;
    struct tap_source source = bench_source_of(1);

    source.is_timed = true;
    const uint64_t began_ns = clock_wall_ns();
    struct tap_bench f = bench_start_by(&bench_policy, 1, &source,
                                        &(struct tap_request){.duration_ns = 50 * NS_PER_MS});

    (void)bench_read_on(f.tap);
    (void)nanosleep(&(struct timespec){0, 70 * NS_PER_MS}, NULL);
    (void)bench_read_on(f.tap);
    bench_offer(f.set, 0, 0, began_ns + 10 * NS_PER_MS, 0); /* late, and of its time */
    bench_offer(f.set, 0, 0, began_ns + 90 * NS_PER_MS, 0);
    assert_false(bench_read_on(f.tap)); /* the shard may still put some */
    tap_set_reached(f.set, 0, began_ns + 90 * NS_PER_MS);
    assert_true(bench_read_on(f.tap));
    assert_int_equal(bench_found_count, 1);
    assert_string_equal(tap_reason(f.tap), "max_duration");
    bench_stop(&f);
}

/* ---- refusals ---- */

static void refusals_name_the_cause(void **state)
{
    (void)state;
    struct error err = {0};
    struct tap_policy off = bench_policy;
    const struct tap_source source = bench_source_of(2);
    struct tap_set *set = tap_set_new(&bench_policy, 1, &err);
    struct tap *first = tap_new(set, &source, &(struct tap_request){.filter = "tcp ("}, &err);
    struct tap *second = tap_new(set, &source, &(struct tap_request){0}, &err);

    assert_non_null(first);
    assert_non_null(second);
    assert_null(tap_new(set, &source, &(struct tap_request){0}, &err));
    assert_int_equal(err.code, EBUSY);
    assert_int_equal(tap_start(first, &err), -EINVAL);
    assert_non_null(strstr(err.message, "syntax error"));
    assert_false(tap_set_is_open(set));
    tap_free(first);
    assert_null(tap_new(set, &source, &(struct tap_request){.interface = "eth9"}, &err));
    assert_int_equal(err.code, ENODEV);
    assert_non_null(strstr(err.message, "if0, if1"));
    tap_free(second);
    assert_int_equal(set->running, 0);
    assert_int_equal(counter_get(&set->refused), 1);
    tap_set_free(set);

    off.mode = TAP_OFF;
    set = tap_set_new(&off, 1, &err);
    assert_null(tap_new(set, &source, &(struct tap_request){0}, &err));
    assert_int_equal(err.code, EPERM);
    tap_set_free(set);
}

/* ---- threads ---- */

static atomic_bool threads_end;

static void *run_shard(void *argument)
{
    struct tap_set *set = argument;

    for (uint64_t i = 1; !threads_end; i++) {
        bench_offer(set, 0, 0, i, 0);
    }
    return NULL;
}

static void captures_come_and_go_beside_a_running_shard(void **state)
{
    (void)state;
    struct error err = {0};
    const struct tap_source source = bench_source_of(1);
    struct tap_set *set = tap_set_new(&bench_policy, 1, &err);
    pthread_t thread;

    assert_non_null(set);
    threads_end = false;
    assert_int_equal(pthread_create(&thread, NULL, run_shard, set), 0);
    for (int i = 0; i < 50; i++) {
        struct tap *tap =
            tap_new(set, &source, &(struct tap_request){.filter = "udp", .packets_max = 100}, &err);

        assert_non_null(tap);
        assert_int_equal(tap_start(tap, &err), 0);
        bench_found_count = 0;
        if (i % 2 == 0) {
            bench_read_all(tap);
            assert_int_equal(bench_found_count, 100);
        }
        tap_free(tap);
    }
    threads_end = true;
    (void)pthread_join(thread, NULL);
    tap_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_filter_and_the_interface_decide, bench_build),
        cmocka_unit_test_setup(nobody_who_captures_means_no_packet_is_looked_at, bench_build),
        cmocka_unit_test_setup(
            the_end_of_the_input_is_why_even_where_the_capture_is_stopped_behind_it, bench_build),
        cmocka_unit_test_setup(snaplen_and_headers_cut_what_is_kept, bench_build),
        cmocka_unit_test_setup(a_filter_sees_no_more_of_a_packet_than_may_be_kept, bench_build),
        cmocka_unit_test_setup(a_link_type_that_the_filter_cannot_be_asked_for_counts_as_dropped,
                               bench_build),
        cmocka_unit_test_setup(packets_of_several_shards_come_out_by_time, bench_build),
        cmocka_unit_test_setup(a_queue_half_full_does_not_wait, bench_build),
        cmocka_unit_test_setup(a_source_that_is_not_mixed_keeps_its_order, bench_build),
        cmocka_unit_test_setup(a_full_queue_drops_and_counts, bench_build),
        cmocka_unit_test_setup(a_request_raises_no_limit_of_the_policy, bench_build),
        cmocka_unit_test_setup(bytes_are_those_of_the_file_and_never_more_than_asked, bench_build),
        cmocka_unit_test_setup(time_ends_a_capture_and_cuts_what_is_later, bench_build),
        cmocka_unit_test_setup(refusals_name_the_cause, bench_build),
        cmocka_unit_test_setup(captures_come_and_go_beside_a_running_shard, bench_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
