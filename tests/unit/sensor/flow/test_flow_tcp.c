#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/flow/flow_tcp_internal.h"
#include "tests/unit/sensor/flow/flow_harness.h"

/* Runs one connection and gives its last record; the harness is the caller's to stop. */
static const struct flow_record *run(struct harness *h, const struct segment *segments,
                                     size_t count)
{
    const struct flow_settings settings = harness_settings();

    harness_start(h, &settings);
    harness_handshake(h, SECOND);
    for (size_t i = 0; i < count; i++) {
        harness_tcp(h, segments[i]);
    }
    harness_finish(h, 0);
    return harness_last(h);
}

#define T(ms) (SECOND + (ms)*MILLI)
#define A     TCP_ACK
#define PA    (TCP_PSH | TCP_ACK)
#define FA    (TCP_FIN | TCP_ACK)
#define RUN(h, ...)                                                                                \
    run(h, (const struct segment[]){__VA_ARGS__},                                                  \
        sizeof((const struct segment[]){__VA_ARGS__}) / sizeof(struct segment))

static void a_whole_connection_is_sf_with_its_times(void **state)
{
    struct harness h;
    const struct flow_record *r =
        RUN(&h, {T(40), 0, PA, 1001, 5001, 0, 100}, {T(50), 1, A, 5001, 1101, 0, 0},
            {T(90), 1, PA, 5001, 1101, 0, 200}, {T(110), 0, A, 1101, 5201, 0, 0},
            {T(120), 0, FA, 1101, 5201, 0, 0}, {T(130), 1, FA, 5201, 1102, 0, 0},
            {T(150), 0, A, 1102, 5202, 0, 0});

    (void)state;
    assert_string_equal(r->tcp.conn_state, "SF");
    assert_string_equal(r->tcp.history, "ShADadFf");
    assert_int_equal(r->tcp.state, TCP_CLOSED);
    assert_int_equal(r->end_reason, FLOW_END_END_OF_FLOW);
    assert_int_equal(r->end_detail, FLOW_DETAIL_TCP_FIN);
    assert_int_equal(r->tcp.handshake_ns, 30 * MILLI);
    assert_int_equal(r->tcp.response_ns, 50 * MILLI);
    /* towards the server: SYN 10 ms, request 10 ms, FIN 10 ms; the client answers in 20 ms */
    assert_int_equal(r->tcp.server_rtt.samples, 3);
    assert_int_equal(r->tcp.server_rtt.min_ns, 10 * MILLI);
    assert_int_equal(r->tcp.server_rtt.max_ns, 10 * MILLI);
    assert_int_equal(r->tcp.client_rtt.samples, 3);
    assert_int_equal(r->tcp.client_rtt.mean_ns, 20 * MILLI);
    assert_int_equal(r->tcp.client_rtt.ewma_ns, 20 * MILLI);
    assert_int_equal(r->tcp.forward.retransmitted_segments, 0);
    assert_int_equal(r->tcp.forward.fin_count, 1);
    assert_int_equal(r->forward.total_payload_bytes, 100);
    harness_stop(&h);
}

static void a_repeated_segment_is_a_retransmission_without_a_sample(void **state)
{
    struct harness h;
    const struct flow_record *r =
        RUN(&h, {T(40), 0, PA, 1001, 5001, 0, 100}, {T(340), 0, PA, 1001, 5001, 0, 100},
            {T(350), 1, A, 5001, 1101, 0, 0});

    (void)state;
    assert_int_equal(r->tcp.forward.retransmitted_segments, 1);
    assert_int_equal(r->tcp.forward.retransmitted_bytes, 100);
    assert_int_equal(r->tcp.forward.out_of_order_segments, 0);
    assert_int_equal(r->tcp.server_rtt.samples, 1); /* of the SYN alone: Karn */
    harness_stop(&h);
}

static void a_late_segment_in_a_hole_is_out_of_order_within_the_round_trip(void **state)
{
    struct harness h;
    const struct flow_record *r =
        RUN(&h, {T(40), 0, PA, 1101, 5001, 0, 100}, {T(41), 0, PA, 1001, 5001, 0, 100});

    (void)state;
    assert_int_equal(r->tcp.forward.out_of_order_segments, 1);
    assert_int_equal(r->tcp.forward.retransmitted_segments, 0);
    harness_stop(&h);
    r = RUN(&h, {T(40), 0, PA, 1101, 5001, 0, 100}, {T(140), 0, PA, 1001, 5001, 0, 100});
    assert_int_equal(r->tcp.forward.out_of_order_segments, 0);
    assert_int_equal(r->tcp.forward.retransmitted_segments, 1);
    harness_stop(&h);
}

static void a_keep_alive_is_no_retransmission(void **state)
{
    struct harness h;
    const struct flow_record *r =
        RUN(&h, {T(1000), 0, A, 1000, 5001, 0, 0}, {T(1010), 1, A, 5001, 1001, 0, 0},
            {T(2000), 0, A, 1000, 5001, 0, 1});

    (void)state;
    assert_int_equal(r->tcp.forward.keepalives, 2);
    assert_int_equal(r->tcp.forward.retransmitted_segments, 0);
    harness_stop(&h);
}

static void a_syn_sent_again_is_a_retransmission_of_the_same_flow(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    harness_tcp(&h, (struct segment){T(0), 0, TCP_SYN, 1000, 0, 0, 0});
    harness_tcp(&h, (struct segment){T(1000), 0, TCP_SYN, 1000, 0, 0, 0});
    harness_finish(&h, 0);
    assert_int_equal(h.count, 1);
    assert_int_equal(harness_last(&h)->tcp.forward.retransmitted_segments, 1);
    assert_int_equal(harness_last(&h)->tcp.forward.syn_count, 2);
    assert_string_equal(harness_last(&h)->tcp.conn_state, "S0");
    harness_stop(&h);
}

/* flow_fill_syn: the harness compares what it tells with the whole record. */
static void a_lone_syn_is_told_in_brief_and_what_is_more_is_not(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    harness_tcp(&h, (struct segment){T(0), 0, TCP_SYN, 1000, 0, 0, 0});
    harness_finish(&h, 30 * SECOND); /* an UPDATE, and an END with nothing new */
    assert_int_equal(h.count, 2);
    assert_int_equal(h.syns, 2);
    assert_int_equal(harness_last(&h)->forward.delta_packets, 0);
    harness_tcp(&h, (struct segment){T(40000), 0, TCP_SYN, 1000, 0, 0, 0});
    harness_finish(&h, 41 * SECOND); /* all at its end */
    assert_int_equal(h.count, 3);
    assert_int_equal(h.syns, 3);
    harness_tcp(&h, (struct segment){T(50000), 0, TCP_SYN, 1000, 0, 0, 0});
    harness_tcp(&h, (struct segment){T(50001), 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0});
    harness_finish(&h, 51 * SECOND);
    harness_tcp(&h, (struct segment){T(60000), 0, TCP_SYN, 1000, 0, 0, 5}); /* with payload */
    harness_finish(&h, 61 * SECOND);
    harness_tcp(&h, (struct segment){T(70000), 0, TCP_ACK, 1000, 0, 0, 0});
    harness_finish(&h, 71 * SECOND);
    assert_int_equal(h.count, 6);
    assert_int_equal(h.syns, 3);
    harness_stop(&h);
}

static void a_sequence_that_wraps_is_in_order(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    harness_tcp(&h, (struct segment){T(0), 0, A, 0xffffffc0, 1, 0, 100});
    harness_tcp(&h, (struct segment){T(1), 0, A, 0x24, 1, 0, 100});
    harness_tcp(&h, (struct segment){T(2), 1, A, 1, 0x88, 0, 0});
    harness_tcp(&h, (struct segment){T(400), 0, A, 0xffffffc0, 1, 0, 100});
    harness_finish(&h, 0);
    assert_int_equal(harness_last(&h)->tcp.forward.retransmitted_segments, 1);
    assert_int_equal(harness_last(&h)->tcp.forward.out_of_order_segments, 0);
    assert_int_equal(harness_last(&h)->forward.missed_bytes, 0);
    assert_int_equal(harness_last(&h)->tcp.server_rtt.samples, 1);
    harness_stop(&h);
}

static void bytes_acknowledged_and_never_seen_are_missed(void **state)
{
    struct harness h;
    const struct flow_record *r =
        RUN(&h, {T(40), 1, PA, 5001, 1001, 0, 100}, {T(41), 1, PA, 5301, 1001, 0, 100},
            {T(42), 0, A, 1001, 5901, 0, 0});

    (void)state;
    assert_int_equal(r->reverse.missed_bytes, 200 + 500);
    assert_int_equal(r->forward.missed_bytes, 0);
    harness_stop(&h);
}

static void duplicate_acks_and_zero_windows_are_counted(void **state)
{
    struct harness h;
    const struct flow_record *r =
        RUN(&h, {T(40), 1, PA, 5001, 1001, 0, 100}, {T(41), 1, PA, 5201, 1001, 0, 100},
            {T(42), 0, A, 1001, 5101, 0, 0}, {T(43), 0, A, 1001, 5101, 0, 0},
            {T(44), 0, A, 1001, 5101, 0, 0}, {T(45), 0, A, 1001, 5101, 1, 0},
            {T(46), 0, A, 1001, 5101, 1, 0});

    (void)state;
    assert_int_equal(r->tcp.forward.zero_window_events, 1);
    assert_int_equal(r->tcp.forward.duplicate_acks, 2); /* the rest change or close the window */
    assert_non_null(strchr(r->tcp.history, 'W'));
    harness_stop(&h);
}

struct ending {
    const char *conn_state;
    uint8_t state;
    struct segment segments[4];
};

static void conn_states_are_those_of_zeek(void **state)
{
    static const struct ending endings[] = {
        {"S0", TCP_SYN_SENT, {{T(0), 0, TCP_SYN, 1000, 0, 0, 0}}},
        {"REJ",
         TCP_RESET,
         {{T(0), 0, TCP_SYN, 1000, 0, 0, 0}, {T(1), 1, TCP_RST | TCP_ACK, 0, 1001, 0, 0}}},
        {"RSTOS0",
         TCP_RESET,
         {{T(0), 0, TCP_SYN, 1000, 0, 0, 0}, {T(1), 0, TCP_RST, 1001, 0, 0, 0}}},
        {"SH",
         TCP_FIN_WAIT,
         {{T(0), 0, TCP_SYN, 1000, 0, 0, 0}, {T(1), 0, TCP_FIN | TCP_ACK, 1001, 1, 0, 0}}},
        {"SHR",
         TCP_FIN_WAIT,
         {{T(0), 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0}, {T(1), 1, FA, 5001, 1001, 0, 0}}},
        {"RSTRH",
         TCP_RESET,
         {{T(0), 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0}, {T(1), 1, TCP_RST, 5001, 0, 0, 0}}},
        {"S1",
         TCP_SYN_ACK,
         {{T(0), 0, TCP_SYN, 1000, 0, 0, 0}, {T(1), 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0}}},
        {"S2",
         TCP_FIN_WAIT,
         {{T(0), 0, TCP_SYN, 1000, 0, 0, 0},
          {T(1), 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0},
          {T(2), 0, FA, 1001, 5001, 0, 0}}},
        {"S3",
         TCP_FIN_WAIT,
         {{T(0), 0, TCP_SYN, 1000, 0, 0, 0},
          {T(1), 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0},
          {T(2), 1, FA, 5001, 1001, 0, 0}}},
        {"RSTO",
         TCP_RESET,
         {{T(0), 0, TCP_SYN, 1000, 0, 0, 0},
          {T(1), 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0},
          {T(2), 0, TCP_RST, 1001, 0, 0, 0}}},
        {"RSTR",
         TCP_RESET,
         {{T(0), 0, TCP_SYN, 1000, 0, 0, 0},
          {T(1), 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0},
          {T(2), 1, TCP_RST, 5001, 0, 0, 0}}},
        {"OTH", TCP_ESTABLISHED, {{T(0), 0, A, 1000, 5000, 0, 10}}},
    };
    const struct flow_settings settings = harness_settings();

    (void)state;
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        struct harness h;
        harness_start(&h, &settings);
        for (int s = 0; s < 4 && endings[i].segments[s].at_ns != 0; s++) {
            harness_tcp(&h, endings[i].segments[s]);
        }
        harness_finish(&h, 0);
        assert_string_equal(harness_last(&h)->tcp.conn_state, endings[i].conn_state);
        assert_int_equal(harness_last(&h)->tcp.state, endings[i].state);
        harness_stop(&h);
    }
}

static void a_closed_connection_goes_after_a_second_with_what_trails(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    harness_handshake(&h, SECOND);
    harness_tcp(&h, (struct segment){T(100), 0, FA, 1001, 5001, 0, 0});
    harness_tcp(&h, (struct segment){T(110), 1, FA, 5001, 1002, 0, 0});
    harness_tcp(&h, (struct segment){T(900), 0, A, 1002, 5002, 0, 0});
    assert_true(flow_table_advance(h.table, T(1800), 10000));
    assert_int_equal(h.count, 0);
    assert_true(flow_table_advance(h.table, T(2200), 10000));
    assert_int_equal(h.count, 1);
    assert_int_equal(harness_last(&h)->end_detail, FLOW_DETAIL_TCP_FIN);
    assert_int_equal(harness_last(&h)->forward.total_packets, 4);
    harness_stop(&h);
}

static void a_new_syn_over_closed_ports_is_a_new_flow(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    harness_handshake(&h, SECOND);
    harness_tcp(&h, (struct segment){T(100), 1, TCP_RST, 5001, 0, 0, 0});
    harness_tcp(&h, (struct segment){T(200), 0, TCP_SYN, 777000, 0, 0, 0});
    assert_int_equal(h.count, 1);
    assert_int_equal(h.records[0].end_detail, FLOW_DETAIL_PORT_REUSE);
    assert_int_equal(h.records[0].tcp.state, TCP_RESET);
    harness_finish(&h, 0);
    assert_int_equal(h.count, 2);
    assert_true(h.records[0].flow_id != h.records[1].flow_id);
    assert_int_equal(h.records[1].forward.total_packets, 1);
    harness_stop(&h);
}

/* The builder's IP id is what the test sets: the same segment within microseconds and late. */
static void a_copy_of_the_switch_is_told_from_a_retransmission_by_id_and_time(void **state)
{
    static const uint64_t times[] = {T(0), T(0) + 5000, T(300)};
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    for (size_t i = 0; i < 3; i++) {
        build_start(&h.builder, h.buffer, sizeof(h.buffer));
        build_ethernet(&h.builder);
        build_ipv4(&h.builder,
                   (struct build_ip){.source = "10.0.0.1", .target = "192.0.2.1", .id = 77});
        build_tcp(&h.builder, (struct build_tcp){
                                  .source_port = 40000, .target_port = 443, .seq = 9, .flags = A});
        build_text(&h.builder, "hello");
        const struct frame frame = build_frame(&h.builder, times[i]);
        harness_add_frame(&h, &frame);
    }
    harness_finish(&h, 0);
    assert_int_equal(harness_last(&h)->tcp.forward.duplicate_packets, 1);
    assert_int_equal(harness_last(&h)->tcp.forward.retransmitted_segments, 1);
    assert_int_equal(harness_last(&h)->forward.total_packets, 3);
    harness_stop(&h);
}

static void one_direction_alone_is_marked(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    harness_tcp(&h, (struct segment){T(0), 0, A, 1000, 5000, 0, 10});
    harness_tcp(&h, (struct segment){T(1), 0, A, 1010, 5400, 0, 10});
    harness_finish(&h, 0);
    assert_true((harness_last(&h)->flags & FLOW_FLAG_ASYMMETRIC) != 0);
    assert_true((harness_last(&h)->flags & FLOW_FLAG_MIDSTREAM) != 0);
    assert_int_equal(harness_last(&h)->reverse.missed_bytes, 400);
    harness_stop(&h);
}

/* The bounds in whole units are those that consumers are told in seconds. */
static void a_round_trip_counts_up_to_its_bound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < STATS_RTT_BOUNDS; i++) {
        const uint64_t units =
            (uint64_t)(stats_rtt_bounds_seconds[i] * 1e9 / FLOW_ROUND_TRIP_UNIT_NS + 0.5);
        assert_int_equal(flow_rtt_bucket(units), i);
        assert_int_equal(flow_rtt_bucket(units + 1), i + 1);
    }
    assert_int_equal(flow_rtt_bucket(0), 0);
    assert_int_equal(flow_rtt_bucket(UINT64_C(2) * UINT32_MAX), STATS_RTT_BOUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_connection_is_sf_with_its_times),
        cmocka_unit_test(a_repeated_segment_is_a_retransmission_without_a_sample),
        cmocka_unit_test(a_late_segment_in_a_hole_is_out_of_order_within_the_round_trip),
        cmocka_unit_test(a_keep_alive_is_no_retransmission),
        cmocka_unit_test(a_syn_sent_again_is_a_retransmission_of_the_same_flow),
        cmocka_unit_test(a_sequence_that_wraps_is_in_order),
        cmocka_unit_test(bytes_acknowledged_and_never_seen_are_missed),
        cmocka_unit_test(duplicate_acks_and_zero_windows_are_counted),
        cmocka_unit_test(conn_states_are_those_of_zeek),
        cmocka_unit_test(a_closed_connection_goes_after_a_second_with_what_trails),
        cmocka_unit_test(a_lone_syn_is_told_in_brief_and_what_is_more_is_not),
        cmocka_unit_test(a_new_syn_over_closed_ports_is_a_new_flow),
        cmocka_unit_test(a_copy_of_the_switch_is_told_from_a_retransmission_by_id_and_time),
        cmocka_unit_test(one_direction_alone_is_marked),
        cmocka_unit_test(a_round_trip_counts_up_to_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
