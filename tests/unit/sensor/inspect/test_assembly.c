#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/assembly_script.h"

#define FIRST PLAY_MARGIN /* index of the byte with the sequence number `isn` */

static uint32_t isn;

static void start(enum play_behaviour behaviour)
{
    play_start(16384, 1 << 20);
    play.behaviour = (int)behaviour;
}

static void finish(void)
{
    play_finish();
    play_stop();
}

/* Each byte of [from, to) was offered. */
static void assert_offered(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        assert_true(play.offered[i]);
    }
}

static void in_order_bytes_that_are_consumed_are_never_held(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_ALL);
    play.expects_no_gap = true;
    for (uint32_t i = 0; i < 20; i++) {
        play_segment(isn, FIRST + i * 1400, 1400, 0, 0);
    }
    assert_int_equal(play.calls, 20);
    assert_int_equal(play.inspect.held.used_bytes_peak, 0);
    assert_offered(FIRST, FIRST + 20 * 1400);
    finish();
}

static void segments_out_of_order_wait_for_the_missing_one(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_ALL);
    play.expects_no_gap = true;
    play_segment(isn, FIRST, 100, 0, 0);
    play_segment(isn, FIRST + 200, 100, 0, 0);
    play_segment(isn, FIRST + 300, 100, 0, 0);
    assert_int_equal(play.calls, 1);
    play_segment(isn, FIRST + 100, 100, 0, 0);
    assert_int_equal(play.calls, 2);
    assert_offered(FIRST, FIRST + 400);
    assert_int_equal(play.inspect.held.used_bytes, 0);
    finish();
}

static void what_a_handler_leaves_is_offered_again_longer(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_NOTHING);
    play.expects_no_gap = true;
    for (uint32_t i = 0; i < 10; i++) {
        play_segment(isn, FIRST + i, 1, 0, 0);
        assert_int_equal(play.fresh, i);
    }
    assert_int_equal(play.calls, 10);
    assert_int_equal(window_bytes(&play_side()->window, &play.inspect.held).length, 10);
    finish();
    assert_int_equal(play.calls, 11); /* the last look */
}

static void without_a_syn_earlier_bytes_come_before_those_seen_first(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_NOTHING);
    play_segment(isn, FIRST + 500, 500, 0, 0);
    play_segment(isn, FIRST, 500, 0, 0);
    assert_int_equal(window_bytes(&play_side()->window, &play.inspect.held).length, 1000);
    play.behaviour = PLAY_CONSUMES_ALL;
    play_segment(isn, FIRST + 1000, 1, 0, 0);
    assert_offered(FIRST, FIRST + 1001);
    play_segment(isn, FIRST - 100, 100, 0, 0); /* too late now */
    assert_false(play.offered[FIRST - 1]);
    assert_int_equal(play.inspect.statistics.stream_gaps, 0);
    finish();
}

static void a_hole_is_given_up_when_the_receiver_acknowledges_beyond_it(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_ALL);
    play_segment(isn, FIRST, 100, 0, 0);
    play_segment(isn, FIRST + 200, 100, 0, 0);
    play_ack(isn, FIRST + 100);
    assert_int_equal(play.inspect.statistics.stream_gaps, 0);
    assert_int_not_equal(play.flow.bits & INSPECT_WAITS, 0);
    play_ack(isn, FIRST + 300);
    assert_int_equal(play.inspect.statistics.stream_gaps, 1);
    assert_int_equal(play.flow.bits & INSPECT_WAITS, 0);
    assert_offered(FIRST + 200, FIRST + 300);
    play_segment(isn, FIRST + 100, 100, 0, 0); /* late: before what was consumed */
    assert_false(play.offered[FIRST + 100]);
    finish();
}

static void a_hole_is_given_up_after_many_segments_or_a_full_window(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_ALL);
    play_segment(isn, FIRST, 1, 0, 0);
    for (uint32_t i = 0; i < ASSEMBLY_WAITING_MAX; i++) {
        assert_int_equal(play.inspect.statistics.stream_gaps, 0);
        play_segment(isn, FIRST + 2 + i, 1, 0, 0);
    }
    assert_int_equal(play.inspect.statistics.stream_gaps, 1);
    assert_offered(FIRST + 2, FIRST + 2 + ASSEMBLY_WAITING_MAX);
    finish();

    start(PLAY_CONSUMES_ALL);
    play_segment(isn, FIRST, 1, 0, 0);
    for (uint32_t i = 0; i < 13; i++) {
        play_segment(isn, FIRST + 2 + i * 1400, 1400, 0, 0);
    }
    assert_int_equal(play.inspect.statistics.stream_gaps, 1);
    assert_offered(FIRST + 2, FIRST + 2 + 13 * 1400);
    finish();

    start(PLAY_CONSUMES_ALL);
    play_segment(isn, FIRST, 1, 0, 0);
    for (uint32_t i = 0; i < WINDOW_RANGES_MAX + 1; i++) {
        play_segment(isn, FIRST + 2 + i * 2, 1, 0, 0);
    }
    assert_int_equal(play.inspect.statistics.stream_gaps, 1);
    finish();
}

static void a_segment_cut_by_the_capture_is_a_gap_at_once(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_NOTHING);
    play_segment(isn, FIRST, 1400, 1370, 0);
    assert_int_equal(play.calls, 2); /* the second is the last look */
    assert_int_equal(play.inspect.held.used_bytes, 0);
    play.behaviour = PLAY_CONSUMES_ALL;
    play_segment(isn, FIRST + 1400, 50, 0, 0);
    assert_int_equal(play.calls, 3);
    assert_int_equal(play.inspect.statistics.stream_gaps, 1);
    assert_offered(FIRST + 1400, FIRST + 1450);
    finish();

    start(PLAY_CONSUMES_ALL);
    play_segment(isn, FIRST, 1400, 1370, 0);
    assert_int_equal(play.inspect.statistics.stream_gaps, 1);
    play_segment(isn, FIRST + 1400, 50, 0, 0);
    assert_offered(FIRST + 1400, FIRST + 1450);
    finish();
}

/* As far as it says, which no real one goes. */
static void a_cut_segment_may_declare_most_sequence_numbers(void **state)
{
    const struct packet packet = {.protocol = IP_PROTOCOL_TCP,
                                  .facts = PACKET_HAS_TCP | PACKET_HAS_PORTS,
                                  .tcp_flags = TCP_ACK,
                                  .tcp_seq = isn,
                                  .payload_bytes = UINT32_C(3) << 30,
                                  .payload_captured_bytes = 1};

    (void)state;
    start(PLAY_CONSUMES_ALL);
    play_segment(isn, FIRST, 30, 0, 0);
    assembly_segment(&play.inspect, &play.flow, &packet,
                     &(struct wire_span){(const uint8_t *)"x", 1}, 0);
    assert_int_equal(play_side()->window.base, isn + packet.payload_bytes);
    assert_int_equal(play.inspect.statistics.stream_gaps, 1);
    assert_int_equal(play.calls, 1);
    assembly_drop(&play.inspect, &play.flow);
    play_stop();
}

static void what_waits_at_the_end_of_the_flow_is_offered(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_ALL);
    play_segment(isn, FIRST, 10, 0, 0);
    play_segment(isn, FIRST + 20, 10, 0, 0);
    play_segment(isn, FIRST + 40, 10, 0, 0);
    play_finish();
    assert_offered(FIRST + 20, FIRST + 30);
    assert_offered(FIRST + 40, FIRST + 50);
    play_stop();
}

static void a_window_full_of_what_is_not_consumed_is_dropped_after_a_last_look(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_NOTHING);
    for (uint32_t i = 0; i < 30; i++) {
        play_segment(isn, FIRST + i * 1400, 1400, 0, 0);
    }
    assert_true(play.inspect.statistics.stream_overflows >= 2);
    assert_true(play.inspect.held.used_bytes_peak <= 16384 + 8192); /* while it grows: both */
    finish();
}

static void a_handshake_handler_sees_the_first_16_kib_of_a_direction(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_ALL);
    play.is_handshake = true;
    for (uint32_t i = 0; i < 30; i++) {
        play_segment(isn, FIRST + i * 1400, 1400, 0, 0);
    }
    assert_int_equal(play.calls, 12);
    assert_int_equal(play.flow.bits & INSPECT_DONE_BOTH, INSPECT_DONE_CLIENT);
    finish();
}

static bool is_open(void)
{
    return (play.flow.bits & INSPECT_DONE_CLIENT) == 0;
}

/* One that leaves all bytes sees 16 KiB from `at` on, and no more. */
static void assert_counts_from(uint32_t at)
{
    play.behaviour = PLAY_CONSUMES_NOTHING;
    play.is_handshake = true;
    play_segment(isn, at, 8000, 0, 0);
    play_segment(isn, at + 8000, 8383, 0, 0);
    assert_true(is_open());
    play_segment(isn, at + 16383, 1, 0, 0);
    assert_false(is_open());
}

static void a_handshake_is_counted_from_the_earliest_byte(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_NOTHING);
    play.is_handshake = true;
    play_segment(isn, FIRST + 1000, 10, 0, 0);
    assert_counts_from(FIRST);
    finish();
}

/* Whichever side spoke the word. */
static void a_handshake_behind_a_hand_over_is_counted_from_there(void **state)
{
    const struct packet word = {.protocol = IP_PROTOCOL_TCP,
                                .facts = PACKET_HAS_TCP | PACKET_HAS_PORTS,
                                .tcp_seq = 77,
                                .payload_bytes = 4,
                                .payload_captured_bytes = 4};

    (void)state;
    start(PLAY_CONSUMES_ALL);
    play_segment(isn, FIRST, 10000, 0, 0);
    play.hands_over = true;
    play_segment(isn, FIRST + 10000, 2000, 0, 0);
    assert_counts_from(FIRST + 12000);
    finish();

    start(PLAY_CONSUMES_ALL);
    play_segment(isn, FIRST, 10000, 0, 0);
    play.hands_over = true;
    assembly_segment(&play.inspect, &play.flow, &word,
                     &(struct wire_span){(const uint8_t *)"word", 4}, 1);
    assert_false(play.hands_over);
    assert_counts_from(FIRST + 10000);
    finish();
}

static void the_bytes_seen_first_stand_and_others_are_counted(void **state)
{
    (void)state;
    start(PLAY_CONSUMES_NOTHING);
    play_segment(isn, FIRST, 100, 0, 0);
    play_segment(isn, FIRST + 50, 100, 0, 0x55);
    assert_int_equal(play.inspect.statistics.stream_conflicts, 1);
    assert_int_not_equal(play.flow.bits & INSPECT_SAW_CONFLICT, 0);
    play_segment(isn, FIRST + 120, 10, 0, 0x55); /* the same again */
    assert_int_equal(play.inspect.statistics.stream_conflicts, 1);
    assert_int_equal(play.inspect.statistics.stream_overlaps, 2);
    finish();
}

static void a_keep_alive_and_a_reset_add_no_bytes(void **state)
{
    const uint8_t text[] = "connection refused";
    const struct wire_span span = {text, sizeof(text)};
    const struct packet reset = {.protocol = IP_PROTOCOL_TCP,
                                 .facts = PACKET_HAS_TCP | PACKET_HAS_PORTS,
                                 .tcp_flags = TCP_RST,
                                 .tcp_seq = isn + 100,
                                 .payload_bytes = sizeof(text),
                                 .payload_captured_bytes = sizeof(text)};

    (void)state;
    start(PLAY_CONSUMES_NOTHING);
    play_segment(isn, FIRST, 100, 0, 0);
    play_segment(isn, FIRST - 1, 1, 0, 0x55);
    assembly_segment(&play.inspect, &play.flow, &reset, &span, 0);
    assert_int_equal(play.calls, 1);
    finish();
}

static void a_full_pool_of_bytes_makes_gaps_and_no_harm(void **state)
{
    (void)state;
    play_start(16384, 65536);
    uint32_t taken = byte_pool_take(&play.inspect.held, 65536);
    play.foreign_bytes = 65536;
    play.behaviour = PLAY_CONSUMES_NOTHING;
    play_segment(isn, FIRST, 100, 0, 0);
    assert_int_equal(play.calls, 2);
    play_segment(isn, FIRST + 200, 100, 0, 0);
    assert_int_equal(play.calls, 4);
    assert_int_equal(play.inspect.statistics.stream_gaps, 3);
    assert_true(play.inspect.held.refused > 0);
    play_finish();
    byte_pool_give(&play.inspect.held, taken);
    play_stop();
}

static void any_segments_give_what_the_plain_assembler_gives(void **state)
{
    static const uint32_t isns[] = {0, 1000, UINT32_MAX - 2000, 0x7fffff00};
    uint8_t script[1500];

    (void)state;
    for (unsigned seed = 1; seed <= 2000; seed++) {
        uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15);
        for (size_t i = 0; i < sizeof(script); i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            script[i] = (uint8_t)(x >> 24);
        }
        play.seed = seed;
        play_script(script, sizeof(script), isns[seed % 4]);
    }
}

/* Shuffled within the window, some twice: every byte comes, in order, without a gap. */
static void a_shuffled_stream_comes_out_whole(void **state)
{
    enum { SEGMENTS = 30 };

    (void)state;
    for (unsigned seed = 1; seed <= 500; seed++) {
        uint32_t order[SEGMENTS];

        srand(seed);
        start(seed % 2 == 0 ? PLAY_CONSUMES_ALL : PLAY_CONSUMES_NOTHING);
        play.seed = seed;
        play.expects_no_gap = true;
        for (uint32_t i = 0; i < SEGMENTS; i++) {
            order[i] = i;
        }
        for (uint32_t i = 1; i + 1 < SEGMENTS; i++) { /* the first stays first */
            const uint32_t j = i + (uint32_t)rand() % (SEGMENTS - i < 4 ? SEGMENTS - i : 4);
            const uint32_t other = order[i];
            order[i] = order[j];
            order[j] = other;
        }
        for (uint32_t i = 0; i < SEGMENTS; i++) {
            const uint32_t from = order[i] * 500;
            const uint32_t more = rand() % 3 == 0 && order[i] > 0 ? (uint32_t)rand() % 400 : 0;
            play_segment(UINT32_MAX - 5000, FIRST + from - more, 500 + more, 0, 0);
        }
        assert_int_equal(play.inspect.statistics.stream_gaps, 0);
        assert_offered(FIRST, FIRST + SEGMENTS * 500);
        finish();
    }
}

/* The stream stands elsewhere than the flow's other parts, and counts as one of them. */
static void a_stream_leads_the_parts_of_its_flow(void **state)
{
    struct flow other = {0};

    (void)state;
    play_start(4096, 65536);
    void *tls = inspect_part(&play.inspect, &play.flow, PART_TLS);
    void *stream = inspect_part(&play.inspect, &play.flow, PART_STREAM);
    assert_non_null(tls);
    assert_non_null(stream);
    assert_ptr_equal(inspect_find(&play.inspect, &play.flow, PART_TLS), tls);
    assert_ptr_equal(inspect_part(&play.inspect, &play.flow, PART_STREAM), stream);
    assert_int_equal(inspect_parts(&play.inspect, &play.flow), 1U << PART_TLS | 1U << PART_STREAM);

    /* Two states are all there is, of either sort. */
    assert_null(inspect_part(&play.inspect, &other, PART_STREAM));
    assert_null(inspect_part(&play.inspect, &play.flow, PART_HTTP));
    assert_int_equal(play.inspect.statistics.pool_full, 2);

    memset(stream, 0xff, INSPECT_STREAM_PART_BYTES);
    inspect_drop(&play.inspect, &play.flow, PART_STREAM);
    assert_null(inspect_find(&play.inspect, &play.flow, PART_STREAM));
    assert_ptr_equal(inspect_find(&play.inspect, &play.flow, PART_TLS), tls);
    other.bits = 0;
    assert_ptr_equal(inspect_part(&play.inspect, &other, PART_STREAM), stream);
    assert_memory_equal(stream, &(struct assembly){0}, sizeof(struct assembly));
    inspect_drop(&play.inspect, &other, PART_TLS); /* it has none */
    inspect_drop(&play.inspect, &play.flow, PART_TLS);
    assert_ptr_equal(inspect_part(&play.inspect, &other, PART_HTTP), tls);
    inspect_drop_all(&play.inspect, &other);
    assert_int_equal(other.app, INSPECT_NONE);
    play_stop();
}

int main(void)
{
    /* Of each position: in the middle, and with the wrap of numbers, or of their sign, within. */
    static const uint32_t isns[] = {1000,     0U - 5,    0U - 50,   0U - 150,
                                    0U - 250, 0U - 1350, 0U - 9000, 0x80000000 - 150};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_bytes_that_are_consumed_are_never_held),
        cmocka_unit_test(segments_out_of_order_wait_for_the_missing_one),
        cmocka_unit_test(what_a_handler_leaves_is_offered_again_longer),
        cmocka_unit_test(without_a_syn_earlier_bytes_come_before_those_seen_first),
        cmocka_unit_test(a_hole_is_given_up_when_the_receiver_acknowledges_beyond_it),
        cmocka_unit_test(a_hole_is_given_up_after_many_segments_or_a_full_window),
        cmocka_unit_test(a_segment_cut_by_the_capture_is_a_gap_at_once),
        cmocka_unit_test(a_cut_segment_may_declare_most_sequence_numbers),
        cmocka_unit_test(what_waits_at_the_end_of_the_flow_is_offered),
        cmocka_unit_test(a_window_full_of_what_is_not_consumed_is_dropped_after_a_last_look),
        cmocka_unit_test(a_handshake_handler_sees_the_first_16_kib_of_a_direction),
        cmocka_unit_test(a_handshake_is_counted_from_the_earliest_byte),
        cmocka_unit_test(a_handshake_behind_a_hand_over_is_counted_from_there),
        cmocka_unit_test(the_bytes_seen_first_stand_and_others_are_counted),
        cmocka_unit_test(a_keep_alive_and_a_reset_add_no_bytes),
        cmocka_unit_test(a_full_pool_of_bytes_makes_gaps_and_no_harm),
    };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(any_segments_give_what_the_plain_assembler_gives),
        cmocka_unit_test(a_shuffled_stream_comes_out_whole),
        cmocka_unit_test(a_stream_leads_the_parts_of_its_flow),
    };

    int failed = cmocka_run_group_tests(others, NULL, NULL);

    for (size_t i = 0; i < sizeof(isns) / sizeof(*isns); i++) {
        isn = isns[i];
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
