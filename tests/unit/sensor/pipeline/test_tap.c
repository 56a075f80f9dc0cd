/* Captures on request without a pipeline: what passes, in which order, within which limits, and how
 * shards and a capture that ends meet. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "sensor/capture/pcap_writer.h"
#include "sensor/pipeline/tap.h"
#include "tests/support/packet_builder.h"

#define PACKETS_MAX 70000

static const struct tap_policy policy = {.mode = TAP_FULL,
                                         .at_once = 2,
                                         .snaplen_bytes = 262144,
                                         .packets_max = 1000000,
                                         .bytes_max = 1 << 30,
                                         .duration_ns = 60 * NS_PER_SEC,
                                         .queue_bytes = 1 << 20};
static _Atomic bool input_is_over;

static void name_of(void *context, uint16_t interface, char *out, size_t capacity)
{
    (void)context;
    (void)snprintf(out, capacity, "if%u", interface);
}

static const char *over(void *context)
{
    (void)context;
    return input_is_over ? "input_ended" : NULL;
}

static struct tap_source source_of(uint32_t interfaces)
{
    struct tap_source source = {.interfaces_count = interfaces,
                                .link_type = LINK_ETHERNET,
                                .is_mixed = true,
                                .name_of = name_of,
                                .over = over};

    for (uint32_t i = 0; i < interfaces; i++) {
        source.interfaces[i] =
            (struct tap_interface){.number = (uint16_t)i, .link_type = LINK_ETHERNET};
        name_of(NULL, (uint16_t)i, source.interfaces[i].name, TAP_NAME_BYTES);
    }
    return source;
}

static uint8_t bytes[2][256];
static struct frame frames[2]; /* UDP to port 53, TCP to port 80 */
static struct packet packets[2];

static int build(void **state)
{
    static const uint8_t data[100] = {1};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct packet_builder b;

        build_start(&b, bytes[i], sizeof(bytes[i]));
        build_ethernet(&b);
        build_ipv4(&b, (struct build_ip){.source = "10.0.0.1", .target = "10.0.0.2"});
        if (i == 0) {
            build_udp(&b, 4000, 53);
        } else {
            build_tcp(&b, (struct build_tcp){.source_port = 4000, .target_port = 80, .flags = 2});
        }
        build_bytes(&b, data, sizeof(data));
        frames[i] = build_frame(&b, 1);
        assert_true(packet_decode(&frames[i], 0, &packets[i]) == PACKET_OK);
    }
    input_is_over = false;
    return 0;
}

/* One packet: 0 UDP, 1 TCP. */
static void offer(struct tap_set *set, uint32_t shard, int kind, uint64_t time_ns,
                  uint16_t interface)
{
    struct frame frame = frames[kind];

    frame.time_ns = time_ns;
    frame.interface = interface;
    if (tap_set_is_open(set)) {
        tap_set_offer(set, shard, &frame, &packets[kind], 1);
    }
}

struct read_packet {
    uint32_t block, captured, wire;
    uint64_t time_ns;
};

static struct read_packet found[PACKETS_MAX];
static uint32_t found_count, blocks_count;

static uint32_t u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static void read_blocks(const uint8_t *at, size_t length)
{
    while (length > 0) {
        const uint32_t block = u32(at + 4);

        assert_true(block <= length && block % 4 == 0);
        assert_int_equal(u32(at + block - 4), block);
        if (u32(at) == 6) {
            found[found_count++] =
                (struct read_packet){.block = u32(at + 8),
                                     .captured = u32(at + 20),
                                     .wire = u32(at + 24),
                                     .time_ns = (uint64_t)u32(at + 12) << 32 | u32(at + 16)};
        } else {
            blocks_count += u32(at) == 1;
        }
        at += block;
        length -= block;
    }
}

/* All there is now; true: the capture is over. */
static bool read_on(struct tap *tap)
{
    static uint8_t room[TAP_ROOM_BYTES];

    for (size_t length; (length = tap_read(tap, room, sizeof(room))) > 0;) {
        read_blocks(room, length);
    }
    return tap_is_over(tap);
}

static void read_all(struct tap *tap)
{
    while (!read_on(tap)) {
        const struct timespec pause = {0, NS_PER_MS};

        (void)nanosleep(&pause, NULL);
    }
}

struct fixture {
    struct tap_set *set;
    struct tap *tap;
};

static struct fixture start_by(const struct tap_policy *by, uint32_t shards,
                               const struct tap_source *source, const struct tap_request *request)
{
    struct error err = {0};
    struct fixture f = {.set = tap_set_new(by, shards, &err)};

    found_count = blocks_count = 0;
    assert_non_null(f.set);
    f.tap = tap_new(f.set, source, request, &err);
    if (f.tap == NULL || tap_start(f.tap, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return f;
}

static struct fixture start(uint32_t shards, const struct tap_request *request)
{
    const struct tap_source source = source_of(2);

    return start_by(&policy, shards, &source, request);
}

static void stop(struct fixture *f)
{
    tap_free(f->tap);
    assert_false(tap_set_is_open(f->set));
    assert_int_equal(f->set->running, 0);
    tap_set_free(f->set);
}

static struct tap_counts counts_of(const struct fixture *f)
{
    struct tap_counts counts;

    tap_counts_read(f->tap, &counts);
    return counts;
}

/* ---- what passes ---- */

static void the_filter_and_the_interface_decide(void **state)
{
    (void)state;
    struct fixture f = start(1, &(struct tap_request){.filter = "udp", .interface = "if1"});

    for (uint32_t i = 0; i < 40; i++) {
        offer(f.set, 0, (int)(i % 2), 1000 + i, (uint16_t)(i / 2 % 2));
    }
    input_is_over = true;
    read_all(f.tap);
    assert_int_equal(found_count, 10);
    assert_int_equal(blocks_count, 1);
    assert_int_equal(found[0].time_ns, 1002);
    assert_string_equal(tap_reason(f.tap), "input_ended");
    stop(&f);
}

static void nobody_who_captures_means_no_packet_is_looked_at(void **state)
{
    (void)state;
    struct fixture f = start(1, &(struct tap_request){0});

    assert_true(tap_set_is_open(f.set));
    tap_stop(f.tap, "stopped");
    read_all(f.tap);
    assert_false(tap_set_is_open(f.set));
    assert_false(tap_set_is_open(NULL));
    assert_string_equal(tap_reason(f.tap), "stopped");
    assert_int_equal(blocks_count, 2); /* a file without packets names its interfaces */
    stop(&f);
}

/* A sensor whose input has ended stops, too: what comes first is why. */
static void the_end_of_the_input_is_why_even_where_the_capture_is_stopped_behind_it(void **state)
{
    (void)state;
    struct fixture f = start(1, &(struct tap_request){0});

    offer(f.set, 0, 0, 1000, 0);
    input_is_over = true;
    tap_stop(f.tap, "stopped");
    read_all(f.tap);
    assert_int_equal(found_count, 1);
    assert_string_equal(tap_reason(f.tap), "input_ended");
    stop(&f);
}

static void snaplen_and_headers_cut_what_is_kept(void **state)
{
    (void)state;
    struct tap_policy headers = policy;
    const struct tap_source source = source_of(1);

    headers.mode = TAP_HEADERS;
    for (int i = 0; i < 2; i++) {
        struct fixture f = start_by(i == 0 ? &policy : &headers, 1, &source,
                                    &(struct tap_request){.snaplen_bytes = 60});

        offer(f.set, 0, 0, 1, 0);
        tap_stop(f.tap, "stopped");
        read_all(f.tap);
        assert_int_equal(found[0].captured, i == 0 ? 60 : 42);
        assert_int_equal(found[0].wire, frames[0].wire_bytes);
        stop(&f);
    }
}

/* Frames are UDP from port 53 with a payload: a filter of headers finds it, one of the payload not.
 */
static void a_filter_sees_no_more_of_a_packet_than_may_be_kept(void **state)
{
    (void)state;
    const struct tap_source source = source_of(1);
    const struct {
        const char *filter;
        bool is_headers;
        uint32_t found;
    } cases[] = {{"udp", true, 1},
                 {"udp[8:1] >= 0", false, 1},
                 {"udp[8:1] >= 0", true, 0},
                 {"udp[6:2] >= 0", true, 1}};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct fixture f = start_by(&policy, 1, &source,
                                    &(struct tap_request){.filter = cases[i].filter,
                                                          .is_headers = cases[i].is_headers,
                                                          .snaplen_bytes = 20});

        offer(f.set, 0, 0, 1, 0);
        tap_stop(f.tap, "stopped");
        read_all(f.tap);
        assert_int_equal(found_count, cases[i].found);
        if (found_count > 0) {
            assert_int_equal(found[0].captured, 20);
        }
        stop(&f);
    }
}

static void a_link_type_that_the_filter_cannot_be_asked_for_counts_as_dropped(void **state)
{
    (void)state;
    struct tap_source file = source_of(0);
    struct fixture f =
        start_by(&policy, 1, &file, &(struct tap_request){.filter = "ether host 2:0:0:0:0:1"});
    struct frame other = frames[0];

    other.link_type = 147; /* DLT_USER0 */
    offer(f.set, 0, 0, 1, 0);
    tap_set_offer(f.set, 0, &other, &packets[0], 1);
    tap_stop(f.tap, "stopped");
    read_all(f.tap);
    assert_int_equal(counts_of(&f).dropped, 1);
    assert_int_equal(found_count, 1);
    stop(&f);
}

/* ---- order ---- */

static void packets_of_several_shards_come_out_by_time(void **state)
{
    (void)state;
    struct tap_source source = source_of(2);

    source.is_timed = true;
    source.window_ns = 100;
    struct fixture f = start_by(&policy, 3, &source, &(struct tap_request){0});

    for (uint64_t i = 0; i < 300; i++) {
        offer(f.set, 0, 0, 3000 + 3 * i, 0);
    }
    tap_set_reached(f.set, 0, 3900);
    read_on(f.tap);
    assert_int_equal(found_count, 0); /* older ones may still come */
    for (uint64_t i = 0; i < 300; i++) {
        offer(f.set, 1, 0, 3001 + 3 * i, 1);
        offer(f.set, 2, 0, 3002 + 3 * i, 0);
    }
    tap_set_reached(f.set, 1, 3500);
    tap_set_reached(f.set, 2, UINT64_MAX);
    (void)read_on(f.tap);
    assert_int_equal(found_count, 400); /* from before 3500 less the window */
    tap_set_reached(f.set, 0, UINT64_MAX);
    tap_set_reached(f.set, 1, UINT64_MAX);
    (void)read_on(f.tap);
    assert_int_equal(found_count, 900);
    for (uint32_t i = 0; i < 900; i++) {
        assert_int_equal(found[i].time_ns, 3000 + i);
    }
    tap_stop(f.tap, "stopped");
    read_all(f.tap);
    stop(&f);
}

static void a_queue_half_full_does_not_wait(void **state)
{
    (void)state;
    struct tap_source source = source_of(1);

    source.is_timed = true; /* and the shard never tells how far it is */
    struct fixture f = start_by(&policy, 1, &source, &(struct tap_request){0});

    for (uint64_t i = 0; i < 3500; i++) { /* of 168 bytes in the queue */
        offer(f.set, 0, 0, 1 + i, 0);
    }
    (void)read_on(f.tap);
    assert_in_range(found_count, 1, 3499);
    assert_int_equal(counts_of(&f).dropped, 0);
    stop(&f);
}

static void a_source_that_is_not_mixed_keeps_its_order(void **state)
{
    (void)state;
    struct tap_source source = source_of(0);

    source.is_mixed = false;
    struct fixture f = start_by(&policy, 1, &source, &(struct tap_request){0});

    for (uint64_t i = 0; i < 500; i++) {
        offer(f.set, 0, 0, 1000 - i, 0);
    }
    tap_stop(f.tap, "stopped");
    read_all(f.tap);
    for (uint32_t i = 0; i < 500; i++) {
        assert_int_equal(found[i].time_ns, 1000 - i);
    }
    stop(&f);
}

/* ---- limits ---- */

static void a_full_queue_drops_and_counts(void **state)
{
    (void)state;
    struct fixture f = start(1, &(struct tap_request){0});

    for (uint64_t i = 0; i < 20000; i++) {
        offer(f.set, 0, 0, 1 + i, 0);
    }
    tap_stop(f.tap, "stopped");
    read_all(f.tap);
    assert_in_range(found_count, 5000, 8000);
    assert_int_equal(found_count + counts_of(&f).dropped, 20000);
    stop(&f);
}

static void a_request_raises_no_limit_of_the_policy(void **state)
{
    (void)state;
    struct tap_policy small = policy;
    const struct tap_source source = source_of(1);

    small.packets_max = 7;
    small.snaplen_bytes = 50;
    struct fixture f = start_by(&small, 1, &source,
                                &(struct tap_request){.packets_max = 1000, .snaplen_bytes = 99});

    for (uint64_t i = 0; i < 20; i++) {
        offer(f.set, 0, 0, 1 + i, 0);
    }
    read_all(f.tap);
    assert_int_equal(found_count, 7);
    assert_int_equal(found[0].captured, 50);
    assert_string_equal(tap_reason(f.tap), "packets.capture_max_packets");
    stop(&f);
}

static void bytes_are_those_of_the_file_and_never_more_than_asked(void **state)
{
    (void)state;
    for (uint64_t most = 1; most < 3000; most += 97) {
        struct fixture f = start(1, &(struct tap_request){.bytes_max = most});

        for (uint64_t i = 0; i < 20; i++) {
            offer(f.set, 0, 0, 1 + i, 0);
        }
        read_all(f.tap);
        assert_string_equal(tap_reason(f.tap), "max_bytes");
        assert_true(counts_of(&f).bytes <= most || found_count == 0);
        stop(&f);
    }
}

static void time_ends_a_capture_and_cuts_what_is_later(void **state)
{
    (void)state;
    struct tap_source source = source_of(1);

    source.is_timed = true;
    const uint64_t began_ns = clock_wall_ns();
    struct fixture f =
        start_by(&policy, 1, &source, &(struct tap_request){.duration_ns = 50 * NS_PER_MS});

    (void)read_on(f.tap);
    (void)nanosleep(&(struct timespec){0, 70 * NS_PER_MS}, NULL);
    (void)read_on(f.tap);
    offer(f.set, 0, 0, began_ns + 10 * NS_PER_MS, 0); /* late, and of its time */
    offer(f.set, 0, 0, began_ns + 90 * NS_PER_MS, 0);
    assert_false(read_on(f.tap)); /* the shard may still put some */
    tap_set_reached(f.set, 0, began_ns + 90 * NS_PER_MS);
    assert_true(read_on(f.tap));
    assert_int_equal(found_count, 1);
    assert_string_equal(tap_reason(f.tap), "max_duration");
    stop(&f);
}

/* ---- history ---- */

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
    struct frame frame = frames[kind];

    frame.time_ns = time_ns;
    assert_int_equal(pcap_writer_offer(writer, 0, &frame, 1, &err), 0);
    offer(set, 0, kind, time_ns, 0);
}

static void history_comes_first_and_no_packet_twice_or_never_at_the_seam(void **state)
{
    (void)state;
    char path[] = "/tmp/netscope-tap-XXXXXX";
    const int file = mkstemp(path);
    struct error err = {0};
    const struct pcap_writer_settings settings = {
        .path = path, .producers = 1, .link_type = LINK_ETHERNET, .is_nanosecond = true};
    struct tap_source source = source_of(1);

    assert_true(file >= 0);
    writer = pcap_writer_open(&settings, &err);
    assert_non_null(writer);
    source.is_timed = true;
    source.window_ns = 5 * NS_PER_MS;
    source.history =
        (struct tap_history){.path = path, .segments = segments_of, .flush = flush_writer};
    struct fixture f =
        start_by(&policy, 1, &source, &(struct tap_request){.filter = "udp", .has_history = true});
    const uint64_t began_ns = clock_wall_ns() - 1000;
    uint32_t sent = 0;

    assert_false(tap_set_is_open(f.set)); /* before reading has caught up nothing is put */
    for (; sent < 1000; sent++) {
        offer_both(f.set, 0, began_ns + sent);
        offer_both(f.set, 1, began_ns + sent);
    }
    flush_writer(NULL);
    for (int i = 0; i < 100; i++) {
        (void)read_on(f.tap);
        for (int j = 0; j < 10; j++, sent++) { /* in time, and some that come late */
            offer_both(f.set, 0, clock_wall_ns() - (uint64_t)(j % 3) * NS_PER_MS);
        }
        tap_set_reached(f.set, 0, clock_wall_ns());
        (void)nanosleep(&(struct timespec){0, NS_PER_MS}, NULL);
    }
    assert_true(tap_set_is_open(f.set));
    assert_true(flushes >= 2);
    tap_stop(f.tap, "stopped");
    read_all(f.tap);
    assert_int_equal(found_count, sent);
    assert_int_equal(blocks_count, 1); /* the file's interface is the one there is */
    stop(&f);
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
        struct frame frame = frames[0];

        frame.time_ns = last_ns - (uint64_t)(count - 1 - i) * NS_PER_SEC;
        assert_int_equal(pcap_writer_offer(writer, 0, &frame, 1, &err), 0);
    }
    flush_writer(NULL);
    *source = source_of(1);
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
    struct fixture f = start_by(&policy, 1, &source,
                                &(struct tap_request){.has_history = true,
                                                      .from_ns = first_ns + 10 * NS_PER_SEC,
                                                      .until_ns = first_ns + 20 * NS_PER_SEC,
                                                      .duration_ns = 60 * NS_PER_SEC});

    read_all(f.tap);
    assert_int_equal(found_count, 10);
    assert_int_equal(found[0].time_ns, first_ns + 10 * NS_PER_SEC);
    assert_int_equal(found[9].time_ns, first_ns + 19 * NS_PER_SEC);
    assert_string_equal(tap_reason(f.tap), "packets_until");
    stop(&f);

    /* The end is the last second's: all files are read, and the capture ends behind them. */
    f = start_by(&policy, 1, &source,
                 &(struct tap_request){.has_history = true,
                                       .from_ns = last_ns - 4 * NS_PER_SEC,
                                       .until_ns = last_ns,
                                       .duration_ns = 60 * NS_PER_SEC});
    tap_set_reached(f.set, 0, clock_wall_ns());
    read_all(f.tap);
    assert_int_equal(found_count, 4);
    assert_string_equal(tap_reason(f.tap), "packets_until");
    stop(&f);
    assert_int_equal(pcap_writer_close(writer, NULL, &err), 0);
    (void)close(file);
    (void)unlink(path);
}

static void live_packets_end_where_their_time_does(void **state)
{
    (void)state;
    struct tap_source source = source_of(1);
    const uint64_t until_ns = clock_wall_ns() + 50 * NS_PER_MS;

    source.is_timed = true;
    struct fixture f =
        start_by(&policy, 1, &source,
                 &(struct tap_request){.until_ns = until_ns, .duration_ns = 60 * NS_PER_SEC});

    offer(f.set, 0, 0, until_ns - 1, 0);
    offer(f.set, 0, 0, until_ns, 0);
    tap_set_reached(f.set, 0, until_ns + 1);
    read_all(f.tap);
    assert_int_equal(found_count, 1);
    assert_string_equal(tap_reason(f.tap), "packets_until");
    stop(&f);
}

static void a_time_without_a_packet_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct tap_source source = source_of(1);
    struct tap_set *set = tap_set_new(&policy, 1, &err);

    assert_null(tap_new(set, &source, &(struct tap_request){.from_ns = 7, .until_ns = 7}, &err));
    assert_int_equal(err.code, ERANGE);
    assert_non_null(strstr(err.message, "packets_until"));
    tap_set_free(set);
}

static void history_is_refused_where_none_is_kept(void **state)
{
    (void)state;
    struct error err = {0};
    struct tap_source source = source_of(1);
    struct tap_set *set = tap_set_new(&policy, 1, &err);
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

/* ---- refusals ---- */

static void refusals_name_the_cause(void **state)
{
    (void)state;
    struct error err = {0};
    struct tap_policy off = policy;
    const struct tap_source source = source_of(2);
    struct tap_set *set = tap_set_new(&policy, 1, &err);
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
        offer(set, 0, 0, i, 0);
    }
    return NULL;
}

static void captures_come_and_go_beside_a_running_shard(void **state)
{
    (void)state;
    struct error err = {0};
    const struct tap_source source = source_of(1);
    struct tap_set *set = tap_set_new(&policy, 1, &err);
    pthread_t thread;

    assert_non_null(set);
    threads_end = false;
    assert_int_equal(pthread_create(&thread, NULL, run_shard, set), 0);
    for (int i = 0; i < 50; i++) {
        struct tap *tap =
            tap_new(set, &source, &(struct tap_request){.filter = "udp", .packets_max = 100}, &err);

        assert_non_null(tap);
        assert_int_equal(tap_start(tap, &err), 0);
        found_count = 0;
        if (i % 2 == 0) {
            read_all(tap);
            assert_int_equal(found_count, 100);
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
        cmocka_unit_test_setup(the_filter_and_the_interface_decide, build),
        cmocka_unit_test_setup(nobody_who_captures_means_no_packet_is_looked_at, build),
        cmocka_unit_test_setup(
            the_end_of_the_input_is_why_even_where_the_capture_is_stopped_behind_it, build),
        cmocka_unit_test_setup(snaplen_and_headers_cut_what_is_kept, build),
        cmocka_unit_test_setup(a_filter_sees_no_more_of_a_packet_than_may_be_kept, build),
        cmocka_unit_test_setup(a_link_type_that_the_filter_cannot_be_asked_for_counts_as_dropped,
                               build),
        cmocka_unit_test_setup(packets_of_several_shards_come_out_by_time, build),
        cmocka_unit_test_setup(a_queue_half_full_does_not_wait, build),
        cmocka_unit_test_setup(a_source_that_is_not_mixed_keeps_its_order, build),
        cmocka_unit_test_setup(a_full_queue_drops_and_counts, build),
        cmocka_unit_test_setup(a_request_raises_no_limit_of_the_policy, build),
        cmocka_unit_test_setup(bytes_are_those_of_the_file_and_never_more_than_asked, build),
        cmocka_unit_test_setup(time_ends_a_capture_and_cuts_what_is_later, build),
        cmocka_unit_test_setup(history_comes_first_and_no_packet_twice_or_never_at_the_seam, build),
        cmocka_unit_test_setup(of_history_the_time_that_is_asked_for_is_sent, build),
        cmocka_unit_test_setup(live_packets_end_where_their_time_does, build),
        cmocka_unit_test_setup(a_time_without_a_packet_is_refused, build),
        cmocka_unit_test_setup(history_is_refused_where_none_is_kept, build),
        cmocka_unit_test_setup(refusals_name_the_cause, build),
        cmocka_unit_test_setup(captures_come_and_go_beside_a_running_shard, build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
