/* What is told of a connection beyond its counts: kinds of retransmissions, SACK, windows, time
 * stamps, unusual openings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sensor/flow/flow_harness.h"

#define T(ms) (SECOND + (ms)*MILLI)
#define A     TCP_ACK
#define PA    (TCP_PSH | TCP_ACK)
#define FA    (TCP_FIN | TCP_ACK)
#define SA    (TCP_SYN | TCP_ACK)
#define SEGMENT(...)                                                                               \
    harness_tcp_options(&h, (struct optioned_segment){__VA_ARGS__, .is_last_member = true})

static struct harness h;

static void start(void)
{
    const struct flow_settings settings = harness_settings();

    harness_start(&h, &settings);
}

static const struct flow_record *finish(void)
{
    harness_finish(&h, 0);
    return harness_last(&h);
}

static void what_two_duplicate_acks_ask_for_is_fast_and_a_timeout_is_not(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        start();
        harness_handshake(&h, SECOND);
        for (uint32_t i = 0; i < 4; i++) {
            SEGMENT(T(40 + i), 0, A, 1001 + 100 * i, 5001, 0, 100);
        }
        for (uint64_t i = 0; i < 3; i++) { /* the second one was lost behind the sensor */
            SEGMENT(T(50 + i), 1, A, 5001, 1101, 0, 0);
        }
        SEGMENT(T(late ? 400 : 60), 0, A, 1101, 5001, 0, 100);
        SEGMENT(T(late ? 410 : 70), 1, A, 5001, 1401, 0, 0);
        const struct flow_record *r = finish();
        assert_int_equal(r->tcp.reverse.duplicate_acks, 2);
        assert_int_equal(r->tcp.forward.retransmitted_segments, 1);
        assert_int_equal(r->tcp.forward.fast_retransmissions, late ? 0 : 1);
        assert_int_equal(r->tcp.forward.spurious_retransmissions, 0);
        harness_stop(&h);
    }
}

static void a_hole_that_sack_told_is_fast_and_what_it_covers_is_spurious(void **state)
{
    (void)state;
    start();
    SEGMENT(T(0), 0, TCP_SYN, 1000, 0, .sack_permitted = true);
    SEGMENT(T(10), 1, SA, 5000, 1001, .sack_permitted = true);
    SEGMENT(T(30), 0, A, 1001, 5001);
    for (uint32_t i = 0; i < 6; i++) {
        SEGMENT(T(40 + i), 0, A, 1001 + 100 * i, 5001, .payload = 100);
    }
    /* 1001 and 1201 were lost; windows change all the time */
    SEGMENT(T(50), 1, A, 5001, 1001, .window = 1000, .sack_left = 1101, .sack_right = 1201);
    SEGMENT(T(51), 1, A, 5001, 1001, .window = 1001, .sack_left = 1301, .sack_right = 1401);
    SEGMENT(T(52), 1, A, 5001, 1001, .window = 1002, .sack_left = 1301, .sack_right = 1601);
    SEGMENT(T(60), 0, A, 1001, 5001, .payload = 100);
    SEGMENT(T(61), 0, A, 1201, 5001, .payload = 100);
    SEGMENT(T(62), 0, A, 1401, 5001, .payload = 100); /* the receiver has it */
    const struct flow_record *r = finish();
    assert_true(r->tcp.forward.sack_permitted);
    assert_true(r->tcp.reverse.sack_permitted);
    assert_int_equal(r->tcp.reverse.sack_acks, 3);
    assert_int_equal(r->tcp.reverse.duplicate_acks, 3);
    assert_int_equal(r->tcp.forward.retransmitted_segments, 3);
    assert_int_equal(r->tcp.forward.fast_retransmissions, 2);
    assert_int_equal(r->tcp.forward.spurious_retransmissions, 1);
    harness_stop(&h);
}

static void bytes_acknowledged_before_are_spurious(void **state)
{
    (void)state;
    start();
    harness_handshake(&h, SECOND);
    SEGMENT(T(40), 0, PA, 1001, 5001, 0, 100);
    SEGMENT(T(50), 1, A, 5001, 1101, 0, 0);
    SEGMENT(T(240), 0, PA, 1001, 5001, 0, 100);
    const struct flow_record *r = finish();
    assert_int_equal(r->tcp.forward.retransmitted_segments, 1);
    assert_int_equal(r->tcp.forward.spurious_retransmissions, 1);
    assert_int_equal(r->tcp.forward.fast_retransmissions, 0);
    harness_stop(&h);
}

static void a_block_below_the_acknowledgement_is_no_sack_of_new_bytes(void **state)
{
    (void)state;
    start();
    harness_handshake(&h, SECOND);
    SEGMENT(T(40), 0, PA, 1001, 5001, 0, 100);
    SEGMENT(T(41), 0, PA, 1101, 5001, 0, 100);
    /* RFC 2883: it came twice */
    SEGMENT(T(50), 1, A, 5001, 1101, .sack_left = 1001, .sack_right = 1101);
    SEGMENT(T(51), 0, PA, 1101, 5001, 0, 100, .ip_id = 3);
    const struct flow_record *r = finish();
    assert_int_equal(r->tcp.reverse.sack_acks, 1);
    assert_int_equal(r->tcp.forward.spurious_retransmissions, 0);
    harness_stop(&h);
}

static void the_last_byte_of_a_window_fills_it_with_its_scale(void **state)
{
    (void)state;
    for (int scaled = 0; scaled < 2; scaled++) {
        start();
        SEGMENT(T(0), 0, TCP_SYN, 1000, 0, .scale = 1);
        SEGMENT(T(10), 1, SA, 5000, 1001, .scale = scaled ? 3 : 0, .window = 500);
        SEGMENT(T(30), 0, A, 1001, 5001);
        SEGMENT(T(35), 1, A, 5001, 1001, .window = 200);
        SEGMENT(T(40), 0, A, 1001, 5001, .payload = 200);
        SEGMENT(T(41), 0, A, 1201, 5001, .payload = 600); /* up to 4 * 200 */
        const struct flow_record *r = finish();
        assert_int_equal(r->tcp.forward.window_full_events, 1);
        harness_stop(&h);
    }
}

static void what_fills_the_window_again_fills_it(void **state)
{
    (void)state;
    start();
    harness_handshake(&h, SECOND);
    SEGMENT(T(35), 1, A, 5001, 1001, .window = 200);
    SEGMENT(T(40), 0, A, 1001, 5001, .payload = 100);
    SEGMENT(T(41), 0, A, 1101, 5001, .payload = 100);
    SEGMENT(T(300), 0, A, 1101, 5001, .payload = 100, .ip_id = 7);
    SEGMENT(T(600), 0, A, 1001, 5001, .payload = 100, .ip_id = 8); /* its end is not the window's */
    const struct flow_record *r = finish();
    assert_int_equal(r->tcp.forward.retransmitted_segments, 2);
    assert_int_equal(r->tcp.forward.window_full_events, 2);
    harness_stop(&h);
}

static void without_the_handshake_the_scale_is_unknown(void **state)
{
    (void)state;
    start();
    SEGMENT(T(35), 1, A, 5001, 1001, .window = 200);
    SEGMENT(T(40), 0, A, 1001, 5001, .payload = 200);
    assert_int_equal(finish()->tcp.forward.window_full_events, 0);
    harness_stop(&h);
}

static void bytes_into_a_closed_window_are_probes(void **state)
{
    (void)state;
    start();
    harness_handshake(&h, SECOND);
    SEGMENT(T(40), 0, A, 1001, 5001, 0, 100);
    SEGMENT(T(50), 1, A, 5001, 1101, 1, 0); /* window 0 */
    SEGMENT(T(1000), 0, A, 1101, 5001, 0, 1);
    SEGMENT(T(1010), 1, A, 5001, 1101, 1, 0);
    SEGMENT(T(3000), 0, A, 1101, 5001, 0, 1);
    SEGMENT(T(3010), 1, A, 5001, 1101, 1, 0);
    SEGMENT(T(3500), 1, A, 5001, 1101, 900, 0);
    SEGMENT(T(3510), 0, A, 1101, 5001, 0, 100);
    SEGMENT(T(3520), 1, A, 5001, 1201, 900, 0);
    const struct flow_record *r = finish();
    assert_int_equal(r->tcp.forward.zero_window_probes, 2);
    assert_int_equal(r->tcp.forward.retransmitted_segments, 0);
    assert_int_equal(r->tcp.forward.keepalives, 0);
    assert_int_equal(r->tcp.reverse.zero_window_events, 1);
    assert_int_equal(r->tcp.reverse.duplicate_acks, 0);
    assert_int_equal(r->forward.missed_bytes, 0);
    assert_string_equal(r->tcp.history, "ShADaw");
    harness_stop(&h);
}

static void what_a_switch_shows_twice_leaves_the_round_trip(void **state)
{
    (void)state;
    start();
    harness_handshake(&h, SECOND);
    SEGMENT(T(40), 0, PA, 1001, 5001, .payload = 100, .ip_id = 7);
    SEGMENT(T(40) + 20000, 0, PA, 1001, 5001, .payload = 100, .ip_id = 7);
    SEGMENT(T(52), 1, A, 5001, 1101, .ip_id = 9);
    SEGMENT(T(52) + 20000, 1, A, 5001, 1101, .ip_id = 9);
    const struct flow_record *r = finish();
    assert_int_equal(r->tcp.forward.duplicate_packets, 1);
    assert_int_equal(r->tcp.forward.retransmitted_segments, 0);
    assert_int_equal(r->tcp.server_rtt.last_ns, 12 * MILLI);
    harness_stop(&h);
}

static void without_an_ip_id_what_comes_again_at_once_is_a_copy(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        start();
        harness_handshake(&h, SECOND);
        SEGMENT(T(40), 0, PA, 1001, 5001, .payload = 100);
        SEGMENT(T(40) + (late ? 2 * MILLI : 20000), 0, PA, 1001, 5001, .payload = 100);
        SEGMENT(T(52), 1, A, 5001, 1101);
        const struct flow_record *r = finish();
        assert_int_equal(r->tcp.forward.duplicate_packets, late ? 0 : 1);
        assert_int_equal(r->tcp.forward.retransmitted_segments, late ? 1 : 0);
        harness_stop(&h);
    }
}

/* RFC 7323 3: the stamp tells which of two copies was acknowledged. */
static void a_time_stamp_saves_the_sample_of_data_sent_again(void **state)
{
    static const struct {
        uint32_t echo;
        uint32_t samples, stamped;
    } cases[] = {{100, 2, 1}, {400, 1, 0}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        start();
        harness_handshake(&h, SECOND); /* one sample: the SYN's */
        SEGMENT(T(100), 0, PA, 1001, 5001, .payload = 100, .stamp = 100, .echo = 1);
        SEGMENT(T(400), 0, PA, 1001, 5001, .payload = 100, .stamp = 400, .echo = 1);
        SEGMENT(T(450), 1, A, 5001, 1101, .stamp = 9, .echo = cases[i].echo);
        const struct flow_record *r = finish();
        assert_int_equal(r->tcp.server_rtt.samples, cases[i].samples);
        assert_int_equal(r->tcp.server_rtt.timestamp_samples, cases[i].stamped);
        assert_int_equal(r->tcp.server_rtt.max_ns, (i == 0 ? 350 : 10) * MILLI);
        harness_stop(&h);
    }
}

static void a_copy_with_the_same_stamp_tells_nothing(void **state)
{
    (void)state;
    start();
    harness_handshake(&h, SECOND);
    SEGMENT(T(100), 0, PA, 1001, 5001, .payload = 100, .stamp = 100, .echo = 1);
    SEGMENT(T(104), 0, PA, 1001, 5001, .payload = 100, .stamp = 100, .echo = 1);
    SEGMENT(T(150), 1, A, 5001, 1101, .stamp = 9, .echo = 100);
    assert_int_equal(finish()->tcp.server_rtt.samples, 1);
    harness_stop(&h);
}

static void sack_ends_a_measurement_before_the_hole_is_filled(void **state)
{
    (void)state;
    start();
    harness_handshake(&h, SECOND);
    SEGMENT(T(100), 0, PA, 1101, 5001, .payload = 100); /* 1001 was lost before the sensor */
    SEGMENT(T(112), 1, A, 5001, 1001, .sack_left = 1101, .sack_right = 1201);
    SEGMENT(T(400), 0, PA, 1001, 5001, .payload = 100);
    SEGMENT(T(411), 1, A, 5001, 1201);
    const struct flow_record *r = finish();
    assert_int_equal(r->tcp.server_rtt.samples, 2);
    assert_int_equal(r->tcp.server_rtt.max_ns, 12 * MILLI);
    assert_int_equal(r->tcp.forward.sequence_gaps, 1);
    harness_stop(&h);
}

static void both_sides_may_open_at_once(void **state)
{
    (void)state;
    start();
    SEGMENT(T(0), 0, TCP_SYN, 1000, 0);
    SEGMENT(T(5), 1, TCP_SYN, 5000, 0);
    SEGMENT(T(20), 0, SA, 1000, 5001);
    SEGMENT(T(25), 1, SA, 5000, 1001);
    SEGMENT(T(40), 0, PA, 1001, 5001, .payload = 10);
    const struct flow_record *r = finish();
    assert_int_equal(h.count, 1);
    assert_true(r->tcp.simultaneous_open);
    assert_string_equal(r->tcp.conn_state, "S1");
    assert_int_equal(r->tcp.state, TCP_ESTABLISHED);
    assert_int_equal(r->tcp.handshake_ns, 25 * MILLI);
    assert_string_equal(r->tcp.history, "SsHhD");
    harness_stop(&h);
}

static void a_handshake_that_is_not_completed_is_half_open(void **state)
{
    (void)state;
    start();
    SEGMENT(T(0), 0, TCP_SYN, 1000, 0);
    SEGMENT(T(10), 1, SA, 5000, 1001);
    SEGMENT(T(1010), 1, SA, 5000, 1001);
    const struct flow_record *r = finish();
    assert_int_equal(r->tcp.state, TCP_SYN_ACK);
    assert_false(r->tcp.has_handshake);
    assert_int_equal(r->tcp.reverse.retransmitted_segments, 1);
    assert_string_equal(r->tcp.history, "Sh");
    harness_stop(&h);
}

static void a_connection_picked_up_midstream_says_so(void **state)
{
    (void)state;
    start();
    SEGMENT(T(0), 0, PA, 70000, 90000, .payload = 10);
    SEGMENT(T(10), 1, PA, 90000, 70010, .payload = 20);
    SEGMENT(T(20), 0, FA, 70010, 90020);
    SEGMENT(T(30), 1, FA, 90020, 70011);
    const struct flow_record *r = finish();
    assert_int_equal(r->flags & FLOW_FLAG_MIDSTREAM, FLOW_FLAG_MIDSTREAM);
    assert_string_equal(r->tcp.conn_state, "SF");
    assert_string_equal(r->tcp.history, "DdFf");
    assert_int_equal(r->forward.missed_bytes + r->reverse.missed_bytes, 0);
    assert_int_equal(r->tcp.server_rtt.samples, 2);
    harness_stop(&h);
}

static void a_flow_over_ports_used_again_is_marked(void **state)
{
    (void)state;
    start();
    harness_handshake(&h, SECOND);
    SEGMENT(T(40), 0, TCP_RST, 1001, 0);
    SEGMENT(T(50), 0, TCP_SYN, 99000, 0);
    (void)finish();
    assert_int_equal(h.count, 2);
    assert_int_equal(h.records[0].end_detail, FLOW_DETAIL_PORT_REUSE);
    assert_int_equal(h.records[0].flags & FLOW_FLAG_PORT_REUSED, 0);
    assert_int_equal(h.records[1].flags & FLOW_FLAG_PORT_REUSED, FLOW_FLAG_PORT_REUSED);
    harness_stop(&h);
}

static void letters_come_again_at_powers_of_ten(void **state)
{
    (void)state;
    start();
    harness_handshake(&h, SECOND);
    SEGMENT(T(40), 0, A, 1001, 5001, .payload = 100);
    for (uint16_t i = 0; i < 105; i++) {
        SEGMENT(T(100 + 20 * (uint64_t)i), 0, A, 1001, 5001, .payload = 100);
    }
    const struct flow_record *r = finish();
    assert_string_equal(r->tcp.history, "ShADTTT");
    assert_int_equal(r->tcp.forward.retransmitted_segments, 105);
    harness_stop(&h);
}

static void flags_that_do_not_belong_together_have_their_letters(void **state)
{
    (void)state;
    start();
    SEGMENT(T(0), 0, TCP_SYN | TCP_FIN, 1000, 0);
    SEGMENT(T(1), 1, TCP_FIN | TCP_RST, 0, 1001);
    assert_string_equal(finish()->tcp.history, "Qi");
    harness_stop(&h);
}

static void the_answer_first_turns_the_direction(void **state)
{
    (void)state;
    start();
    SEGMENT(T(0), 1, SA, 5000, 1001);
    SEGMENT(T(10), 0, A, 1001, 5001);
    const struct flow_record *r = finish();
    assert_string_equal(r->tcp.history, "^hA");
    assert_string_equal(r->tcp.conn_state, "S1"); /* the SYN alone was missed */
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_two_duplicate_acks_ask_for_is_fast_and_a_timeout_is_not),
        cmocka_unit_test(a_hole_that_sack_told_is_fast_and_what_it_covers_is_spurious),
        cmocka_unit_test(bytes_acknowledged_before_are_spurious),
        cmocka_unit_test(a_block_below_the_acknowledgement_is_no_sack_of_new_bytes),
        cmocka_unit_test(the_last_byte_of_a_window_fills_it_with_its_scale),
        cmocka_unit_test(what_fills_the_window_again_fills_it),
        cmocka_unit_test(what_a_switch_shows_twice_leaves_the_round_trip),
        cmocka_unit_test(without_an_ip_id_what_comes_again_at_once_is_a_copy),
        cmocka_unit_test(without_the_handshake_the_scale_is_unknown),
        cmocka_unit_test(bytes_into_a_closed_window_are_probes),
        cmocka_unit_test(a_time_stamp_saves_the_sample_of_data_sent_again),
        cmocka_unit_test(a_copy_with_the_same_stamp_tells_nothing),
        cmocka_unit_test(sack_ends_a_measurement_before_the_hole_is_filled),
        cmocka_unit_test(both_sides_may_open_at_once),
        cmocka_unit_test(a_handshake_that_is_not_completed_is_half_open),
        cmocka_unit_test(a_connection_picked_up_midstream_says_so),
        cmocka_unit_test(a_flow_over_ports_used_again_is_marked),
        cmocka_unit_test(letters_come_again_at_powers_of_ten),
        cmocka_unit_test(flags_that_do_not_belong_together_have_their_letters),
        cmocka_unit_test(the_answer_first_turns_the_direction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
