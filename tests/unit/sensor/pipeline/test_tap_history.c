/* A capture on request begins with what the files hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sensor/capture/pcap_writer.h"
#include "tap_bench.h"

static struct pcap_writer *writer;
static _Atomic uint32_t flushes;

static void segments_of(void *context, uint32_t *oldest, uint32_t *now)
{
    struct pcap_writer_counts counts;

    (void)context;
    pcap_writer_counts_read(writer, &counts);
    *oldest = counts.oldest_number;
    *now = counts.number;
}

static void flush_writer(void *context)
{
    (void)context;
    const uint64_t ticket = pcap_writer_flush(writer);

    while (!pcap_writer_is_flushed(writer, ticket)) {
        (void)nanosleep(&(struct timespec){0, NS_PER_MS}, NULL);
    }
    flushes++;
}

/* To the file and to captures, as a shard does it. */
static void offer_both(struct tap_set *set, int kind, uint64_t time_ns)
{
    struct error err = {0};
    struct frame frame = bench_frames[kind];

    frame.time_ns = time_ns;
    assert_int_equal(pcap_writer_offer(writer, 0, &frame, 1, &err), 0);
    bench_offer(set, 0, kind, time_ns, 0);
}

static void history_comes_first_and_no_packet_twice_or_never_at_the_seam(void **state)
{
    (void)state;
    char path[] = "/tmp/netscope-tap-XXXXXX";
    const int file = mkstemp(path);
    struct error err = {0};
    const struct pcap_writer_settings settings = {
        .path = path, .producers = 1, .link_type = LINK_ETHERNET, .is_nanosecond = true};
    struct tap_source source = bench_source_of(1);

    assert_true(file >= 0);
    writer = pcap_writer_open(&settings, &err);
    assert_non_null(writer);
    source.is_timed = true;
    source.window_ns = 5 * NS_PER_MS;
    source.history =
        (struct tap_history){.path = path, .segments = segments_of, .flush = flush_writer};
    struct tap_bench f = bench_start_by(
        &bench_policy, 1, &source, &(struct tap_request){.filter = "udp", .has_history = true});
    const uint64_t began_ns = clock_wall_ns() - 1000;
    uint32_t sent = 0;

    assert_false(tap_set_is_open(f.set)); /* before reading has caught up nothing is put */
    for (; sent < 1000; sent++) {
        offer_both(f.set, 0, began_ns + sent);
        offer_both(f.set, 1, began_ns + sent);
    }
    flush_writer(NULL);
    for (int i = 0; i < 100; i++) {
        (void)bench_read_on(f.tap);
        for (int j = 0; j < 10; j++, sent++) { /* in time, and some that come late */
            offer_both(f.set, 0, clock_wall_ns() - (uint64_t)(j % 3) * NS_PER_MS);
        }
        tap_set_reached(f.set, 0, clock_wall_ns());
        (void)nanosleep(&(struct timespec){0, NS_PER_MS}, NULL);
    }
    assert_true(tap_set_is_open(f.set));
    assert_true(flushes >= 2);
    tap_stop(f.tap, "stopped");
    bench_read_all(f.tap);
    assert_int_equal(bench_found_count, sent);
    assert_int_equal(bench_blocks_count, 1); /* the file's interface is the one there is */
    bench_stop(&f);
    assert_int_equal(pcap_writer_close(writer, NULL, &err), 0);
    (void)close(file);
    (void)unlink(path);
}

/* A sensor that has kept packets 0, 1, ... `count` - 1 of one second each; the last was `age_ns`
 * ago. Fills what asks for them. */
static void keep_seconds(const char *path, uint32_t count, uint64_t last_ns,
                         struct tap_source *source)
{
    const struct pcap_writer_settings settings = {
        .path = path, .producers = 1, .link_type = LINK_ETHERNET, .is_nanosecond = true};
    struct error err = {0};

    writer = pcap_writer_open(&settings, &err);
    assert_non_null(writer);
    for (uint32_t i = 0; i < count; i++) {
        struct frame frame = bench_frames[0];

        frame.time_ns = last_ns - (uint64_t)(count - 1 - i) * NS_PER_SEC;
        assert_int_equal(pcap_writer_offer(writer, 0, &frame, 1, &err), 0);
    }
    flush_writer(NULL);
    *source = bench_source_of(1);
    source->is_timed = true;
    source->history =
        (struct tap_history){.path = path, .segments = segments_of, .flush = flush_writer};
}

static void of_history_the_time_that_is_asked_for_is_sent(void **state)
{
    (void)state;
    char path[] = "/tmp/netscope-tap-XXXXXX";
    const int file = mkstemp(path);
    struct error err = {0};
    struct tap_source source;
    const uint64_t last_ns = clock_wall_ns() - NS_PER_SEC, first_ns = last_ns - 59 * NS_PER_SEC;

    assert_true(file >= 0);
    keep_seconds(path, 60, last_ns, &source);

    /* Both ends have passed: nothing live is waited for, though the time would allow a minute. */
    struct tap_bench f =
        bench_start_by(&bench_policy, 1, &source,
                       &(struct tap_request){.has_history = true,
                                             .from_ns = first_ns + 10 * NS_PER_SEC,
                                             .until_ns = first_ns + 20 * NS_PER_SEC,
                                             .duration_ns = 60 * NS_PER_SEC});

    bench_read_all(f.tap);
    assert_int_equal(bench_found_count, 10);
    assert_int_equal(bench_found[0].time_ns, first_ns + 10 * NS_PER_SEC);
    assert_int_equal(bench_found[9].time_ns, first_ns + 19 * NS_PER_SEC);
    assert_string_equal(tap_reason(f.tap), "packets_until");
    bench_stop(&f);

    /* The end is the last second's: all files are read, and the capture ends behind them. */
    f = bench_start_by(&bench_policy, 1, &source,
                       &(struct tap_request){.has_history = true,
                                             .from_ns = last_ns - 4 * NS_PER_SEC,
                                             .until_ns = last_ns,
                                             .duration_ns = 60 * NS_PER_SEC});
    tap_set_reached(f.set, 0, clock_wall_ns());
    bench_read_all(f.tap);
    assert_int_equal(bench_found_count, 4);
    assert_string_equal(tap_reason(f.tap), "packets_until");
    bench_stop(&f);
    assert_int_equal(pcap_writer_close(writer, NULL, &err), 0);
    (void)close(file);
    (void)unlink(path);
}

static void live_packets_end_where_their_time_does(void **state)
{
    (void)state;
    struct tap_source source = bench_source_of(1);
    const uint64_t until_ns = clock_wall_ns() + 50 * NS_PER_MS;

    source.is_timed = true;
    struct tap_bench f =
        bench_start_by(&bench_policy, 1, &source,
                       &(struct tap_request){.until_ns = until_ns, .duration_ns = 60 * NS_PER_SEC});

    bench_offer(f.set, 0, 0, until_ns - 1, 0);
    bench_offer(f.set, 0, 0, until_ns, 0);
    tap_set_reached(f.set, 0, until_ns + 1);
    bench_read_all(f.tap);
    assert_int_equal(bench_found_count, 1);
    assert_string_equal(tap_reason(f.tap), "packets_until");
    bench_stop(&f);
}

static void a_time_without_a_packet_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct tap_source source = bench_source_of(1);
    struct tap_set *set = tap_set_new(&bench_policy, 1, &err);

    assert_null(tap_new(set, &source, &(struct tap_request){.from_ns = 7, .until_ns = 7}, &err));
    assert_int_equal(err.code, ERANGE);
    assert_non_null(strstr(err.message, "packets_until"));
    tap_set_free(set);
}

static void history_is_refused_where_none_is_kept(void **state)
{
    (void)state;
    struct error err = {0};
    struct tap_source source = bench_source_of(1);
    struct tap_set *set = tap_set_new(&bench_policy, 1, &err);
    const struct tap_request request = {.has_history = true};

    source.is_timed = true;
    assert_null(tap_new(set, &source, &request, &err));
    assert_int_equal(err.code, ENODATA);
    assert_non_null(strstr(err.message, "output.write_pcap"));
    source.is_timed = false;
    source.history.path = "x.pcap";
    assert_null(tap_new(set, &source, &request, &err));
    assert_non_null(strstr(err.message, "paced"));
    tap_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(history_comes_first_and_no_packet_twice_or_never_at_the_seam,
                               bench_build),
        cmocka_unit_test_setup(of_history_the_time_that_is_asked_for_is_sent, bench_build),
        cmocka_unit_test_setup(live_packets_end_where_their_time_does, bench_build),
        cmocka_unit_test_setup(a_time_without_a_packet_is_refused, bench_build),
        cmocka_unit_test_setup(history_is_refused_where_none_is_kept, bench_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
