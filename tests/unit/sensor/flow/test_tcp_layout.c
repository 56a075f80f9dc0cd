/* What is packed of a TCP connection, at the limits of its fields: round trips, times, letters and
 * flags without number, and a SYN alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sensor/flow/flow_tcp_internal.h"
#include "tests/unit/sensor/flow/flow_harness.h"

#define HOUR (3600 * SECOND)
/* An acknowledgement after minutes and hours, more than the 40 bits of a segment's time tell, with
 * packets in between and without. */
static void round_trips_of_hours_are_exact(void **state)
{
    static const uint64_t gaps_ns[] = {30 * SECOND,       280 * SECOND,  UINT64_C(1) << 39,
                                       825 * SECOND + 7,  1090 * SECOND, (UINT64_C(1) << 40) - 1,
                                       UINT64_C(1) << 40, 1110 * SECOND, (UINT64_C(3) << 40) + 5,
                                       5 * HOUR + 1,      60 * HOUR};

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(gaps_ns) + ARRAY_COUNT(gaps_ns); i++) {
        const uint64_t gap_ns = gaps_ns[i / 2], start = 77 * SECOND + 5;
        struct harness h;
        struct flow_settings settings = harness_settings();

        settings.idle_timeout_ns = 0;
        settings.first_update_ns = settings.active_timeout_ns = i % 3 == 0 ? 0 : 20 * HOUR;
        harness_start(&h, &settings);
        harness_tcp(&h, (struct segment){start, 1, TCP_ACK, 5001, 1001, 0, 0});
        harness_tcp(&h, (struct segment){start, 0, TCP_ACK, 1001, 5001, 0, 100});
        for (uint64_t at = 400 * SECOND; i % 2 == 1 && at < gap_ns; at += 400 * SECOND) {
            harness_tcp(&h, (struct segment){start + at, 0, TCP_ACK, 1101, 5001, 0, 0});
            while (!flow_table_advance(h.table, start + at, 1000)) {
            }
        }
        harness_tcp(&h, (struct segment){start + gap_ns, 1, TCP_ACK, 5001, 1101, 0, 0});
        harness_finish(&h, 0);
        const struct flow_record *record = harness_last(&h);
        assert_int_equal(record->tcp.server_rtt.samples, 1);
        assert_true(record->tcp.server_rtt.mean_ns == gap_ns);
        assert_int_equal(record->tcp.client_rtt.samples, 0);
        harness_stop(&h);
    }
}

/* The time of the first request is 40 bits behind the flow's begin, or whole. */
static void a_response_is_timed_however_late_the_request_comes(void **state)
{
    static const uint64_t gaps_ns[] = {0,
                                       5,
                                       SECOND,
                                       UINT32_MAX,
                                       (UINT64_C(1) << FLOW_REQUEST_BITS) - 1,
                                       UINT64_C(1) << FLOW_REQUEST_BITS,
                                       5 * HOUR + 1};

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(gaps_ns); i++) {
        const uint64_t start = 77 * SECOND + 5, at = start + gaps_ns[i];
        struct harness h;
        struct flow_settings settings = harness_settings();

        settings.idle_timeout_ns = settings.first_update_ns = settings.active_timeout_ns = 0;
        harness_start(&h, &settings);
        harness_tcp(&h, (struct segment){start, 0, TCP_ACK, 1001, 5001, 0, 0});
        harness_tcp(&h, (struct segment){at, 0, TCP_ACK, 1001, 5001, 0, 100});
        harness_tcp(&h, (struct segment){at + 160007, 1, TCP_ACK, 5001, 1101, 0, 10});
        harness_finish(&h, 0);
        assert_true(harness_last(&h)->tcp.has_response);
        assert_int_equal(harness_last(&h)->tcp.response_ns, 160000);
        harness_stop(&h);
    }
}

/* Of any length, as they come. */
static void round_trips_are_told_alike_however_many(void **state)
{
    static const uint64_t times_ns[] = {7,  12345,    3 * MILLI + 15, 1, 900 * MILLI + 1,
                                        31, 2 * MILLI};
    const uint64_t near_ns = (UINT64_C(1) << FLOW_RTT_UNIT_BITS) * FLOW_ROUND_TRIP_UNIT_NS;
    const uint64_t first_ns[] = {100,         UINT32_MAX, UINT64_C(1) + UINT32_MAX,
                                 near_ns - 1, near_ns,    70 * SECOND};
    const unsigned samples = 2 * FLOW_RTT_SAMPLES_MAX;

    (void)state;
    for (unsigned round = 0; round < 2 * ARRAY_COUNT(first_ns); round++) {
        const int side = round % 2 == 0;
        struct harness h;
        struct flow_settings settings = harness_settings();
        uint64_t at = SECOND, sum = 0, ewma = 0, most = 0, least = UINT64_MAX;
        uint32_t seq = 1000;

        settings.idle_timeout_ns = settings.first_update_ns = settings.active_timeout_ns = 0;
        harness_start(&h, &settings);
        for (unsigned i = 0; i < samples; i++) {
            const uint64_t ns = i == 0 ? first_ns[round / 2] : times_ns[i % ARRAY_COUNT(times_ns)];
            const uint64_t units = ns / 16 < UINT32_MAX ? ns / 16 : UINT32_MAX;
            struct flow_record record = {0};

            harness_tcp(&h, (struct segment){at, side, TCP_ACK, seq, 5000, 0, 10});
            seq += 10;
            at += ns;
            harness_tcp(&h, (struct segment){at++, !side, TCP_ACK, 5000, seq, 0, 0});
            sum += ns;
            ewma = i == 0 ? units : (ewma * 7 + units) / 8;
            most = units > most ? units : most;
            least = units < least ? units : least;
            flow_fill_record(h.table, harness_flow(h.table), FLOW_EVENT_NONE, FLOW_END_NONE,
                             FLOW_DETAIL_NONE, &record);
            const struct flow_round_trip *told =
                side == 0 ? &record.tcp.server_rtt : &record.tcp.client_rtt;
            assert_int_equal(told->samples, i + 1);
            assert_true(told->mean_ns == sum / (i + 1));
            assert_true(told->last_ns == units * 16);
            assert_true(told->ewma_ns == ewma * 16);
            assert_true(told->max_ns == most * 16 && told->min_ns == least * 16);
            assert_int_equal((side == 0 ? record.tcp.client_rtt : record.tcp.server_rtt).samples,
                             0);
        }
        /* The other side's, behind those. */
        harness_tcp(&h, (struct segment){at, !side, TCP_ACK, 5000, seq, 0, 10});
        harness_tcp(&h, (struct segment){at + 160, side, TCP_ACK, seq, 5010, 0, 0});
        struct flow_tcp_rtt all;
        assert_true(flow_tcp_round_trips(h.table, harness_flow(h.table), &all));
        assert_int_equal(all.side[side].samples, samples);
        assert_true(all.sum_ns[side] == sum);
        assert_int_equal(all.side[!side].samples, 1);
        assert_int_equal(all.side[!side].ewma, 10);
        harness_finish(&h, 0);
        assert_int_equal(h.table->parts[FLOW_PART_RTT].fresh, 2); /* one, which went back */
        assert_int_equal(h.table->parts[FLOW_PART_RTT].free_head, 1);
        harness_stop(&h);
    }
}

/* A SYN takes no more than a flow's first lines, tells all of itself from there, and is where it
 * would be with the next segment, however late. */
static void a_syn_alone_is_kept_in_few_bytes(void **state)
{
    static const uint64_t later_ns[] = {MILLI, 280 * SECOND, UINT64_C(1) << 40, 5 * HOUR + 1};

    (void)state;
    for (unsigned i = 0; i < 16 * ARRAY_COUNT(later_ns); i++) {
        const uint64_t start = 77 * SECOND + 5, at = start + later_ns[i / 16];
        const bool has_stamps = i % 2 != 0, has_scale = (i & 2) != 0;
        const struct optioned_segment syn = {.at_ns = start,
                                             .flags = TCP_SYN,
                                             .seq = 1000,
                                             .window = 4321,
                                             .stamp = has_stamps ? 99 : 0,
                                             .sack_permitted = (i & 4) != 0,
                                             .scale = has_scale ? 8 : 0,
                                             .ip_id = 7};
        struct harness h;
        struct flow_settings settings = harness_settings();
        struct flow_record alone = {0};

        settings.idle_timeout_ns = settings.first_update_ns = settings.active_timeout_ns = 0;
        harness_start(&h, &settings);
        harness_tcp_options(&h, syn);
        const uint64_t bytes = flow_table_memory_bytes(h.table);
        flow_fill_record(h.table, harness_flow(h.table), FLOW_EVENT_NONE, FLOW_END_NONE,
                         FLOW_DETAIL_NONE, &alone);
        assert_string_equal(alone.tcp.conn_state, "S0");
        assert_string_equal(alone.tcp.history, "S");
        assert_int_equal(alone.tcp.state, TCP_SYN_SENT);
        assert_int_equal(alone.tcp.forward.syn_count, 1);
        assert_int_equal(alone.tcp.forward.initial_window, 4321);
        assert_true(alone.tcp.forward.has_initial_window && !alone.tcp.forward.has_mss);
        assert_int_equal(alone.tcp.forward.timestamps, has_stamps);
        assert_int_equal(alone.tcp.forward.has_window_scale, has_scale);
        assert_int_equal(alone.tcp.forward.window_scale, has_scale ? 7 : 0);
        assert_int_equal(alone.tcp.forward.sack_permitted, (i & 4) != 0);
        assert_int_equal(flow_tcp_initial_seq(h.table, harness_flow(h.table), 0), 1000);
        assert_int_equal(flow_tcp_initial_seq(h.table, harness_flow(h.table), 1), 0);
        assert_int_equal(flow_tcp_flags(h.table, harness_flow(h.table), 0, TCP_FLAG_SYN), 1);
        assert_int_equal(flow_tcp_flags(h.table, harness_flow(h.table), 0, TCP_FLAG_RST), 0);
        assert_int_equal(flow_tcp_endings(h.table, harness_flow(h.table)), 0);
        assert_false(
            flow_tcp_round_trips(h.table, harness_flow(h.table), &(struct flow_tcp_rtt){0}));

        if ((i & 8) != 0) { /* the same frame again is a copy */
            harness_tcp_options(&h, syn);
        }
        harness_tcp_options(&h, (struct optioned_segment){.at_ns = at,
                                                          .side = 1,
                                                          .flags = TCP_SYN | TCP_ACK,
                                                          .seq = 5000,
                                                          .ack = 1001,
                                                          .window = 1234,
                                                          .stamp = has_stamps ? 5 : 0,
                                                          .echo = has_stamps ? 99 : 0});
        assert_true(flow_table_memory_bytes(h.table) >=
                    bytes + sizeof(struct flow_tcp_part) + sizeof(struct flow_tcp_rest));
        harness_tcp(&h, (struct segment){at + MILLI, 0, TCP_ACK, 1001, 5001, 0, 0});
        harness_finish(&h, 0);
        const struct flow_record *record = harness_last(&h);
        assert_string_equal(record->tcp.conn_state, "S1");
        assert_string_equal(record->tcp.history, "ShA");
        assert_true(record->tcp.handshake_ns == (later_ns[i / 16] + MILLI) / 16 * 16 ||
                    later_ns[i / 16] > UINT32_MAX);
        assert_int_equal(record->tcp.server_rtt.samples, 1); /* a copy leaves it alone */
        assert_true(record->tcp.server_rtt.mean_ns == later_ns[i / 16]);
        assert_int_equal(record->tcp.forward.duplicate_packets, (i & 8) != 0 ? 1 : 0);
        assert_int_equal(record->tcp.forward.initial_window, 4321);
        assert_int_equal(record->tcp.forward.timestamps, has_stamps);
        assert_int_equal(record->tcp.forward.window_scale, has_scale ? 7 : 0);
        assert_int_equal(record->tcp.forward.sack_permitted, (i & 4) != 0);
        assert_int_equal(record->tcp.reverse.initial_window, 1234);
        assert_false(record->tcp.reverse.has_mss);
        harness_stop(&h);
    }
}

/* What only the segments behind it need of a SYN, and what is in no SYN but few. */
static void a_connection_goes_on_from_all_that_its_syn_told(void **state)
{
    static const struct {
        struct optioned_segment syn;
        const char *alone, *history;
        uint32_t samples; /* where the answer echoes the first of two SYNs */
    } of[] = {{{.window = 500, .mss = 1400, .stamp = 99}, "S", "Sh", 1},
              {{.window = 500, .mss = 1400}, "S", "Sh", 0},
              {{.window = 500, .mss = 1400, .stamp = 99, .payload = 10}, "S", "STh", 1},
              {{.window = 1, .mss = 1400, .stamp = 99}, "SW", "SWh", 1}}; /* 1: a window of zero */

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(of); i++) {
        struct optioned_segment syn = of[i].syn;
        struct harness h;
        struct flow_settings settings = harness_settings();
        struct flow_record alone = {0};

        syn.at_ns = SECOND;
        syn.flags = TCP_SYN;
        syn.seq = 1000;
        harness_start(&h, &settings);
        harness_tcp_options(&h, syn);
        flow_fill_record(h.table, harness_flow(h.table), FLOW_EVENT_NONE, FLOW_END_NONE,
                         FLOW_DETAIL_NONE, &alone);
        assert_string_equal(alone.tcp.history, of[i].alone);
        assert_true(alone.tcp.forward.has_mss);
        assert_int_equal(alone.tcp.forward.mss, 1400);
        syn.at_ns += SECOND;
        syn.mss = 0;
        syn.stamp += syn.stamp != 0;
        harness_tcp_options(&h, syn);
        harness_tcp_options(&h, (struct optioned_segment){.at_ns = syn.at_ns + MILLI,
                                                          .side = 1,
                                                          .flags = TCP_SYN | TCP_ACK,
                                                          .seq = 5000,
                                                          .ack = 1001 + syn.payload,
                                                          .window = 1234,
                                                          .stamp = syn.stamp != 0 ? 5 : 0,
                                                          .echo = of[i].syn.stamp});
        harness_finish(&h, 0);
        const struct flow_record *record = harness_last(&h);

        assert_string_equal(record->tcp.history, of[i].history);
        assert_true(record->tcp.forward.has_mss);
        assert_int_equal(record->tcp.forward.mss, 1400);
        assert_int_equal(record->tcp.forward.syn_count, 2);
        assert_int_equal(record->tcp.forward.retransmitted_segments, 1);
        assert_int_equal(record->forward.missed_bytes, 0);
        assert_int_equal(record->tcp.server_rtt.samples, of[i].samples);
        assert_true(of[i].samples == 0 || record->tcp.server_rtt.mean_ns == SECOND + MILLI);
        harness_stop(&h);
    }
}

/* As many letters as there is room for, in the entry and behind it. */
static void a_history_of_many_letters_is_whole(void **state)
{
    static const uint8_t flags[] = {
        TCP_SYN,           TCP_SYN | TCP_ACK, TCP_ACK,           TCP_ACK,
        TCP_FIN | TCP_ACK, TCP_SYN | TCP_FIN, TCP_FIN | TCP_RST, TCP_RST};
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    for (unsigned i = 0; i < ARRAY_COUNT(flags); i++) {
        for (int side = 1; side >= 0; side--) {
            harness_tcp(&h,
                        (struct segment){SECOND + i, side, flags[i], 100, 200, 0, i == 3 ? 5 : 0});
        }
    }
    struct flow_record record = {0};
    flow_fill_record(h.table, harness_flow(h.table), FLOW_EVENT_NONE, FLOW_END_NONE,
                     FLOW_DETAIL_NONE, &record);
    assert_string_equal(record.tcp.history, "SsHghGAaDTdtFfQqIiRr");
    harness_stop(&h);
}

/* A few bits tell 7 of them, or 3, what goes on stands elsewhere: no number is left out on the way.
 */
static void flags_are_counted_up_to_their_bound(void **state)
{
    static const uint32_t counts[] = {1, 2, 3, 4, 6, 7, 8, 9, 700, 65534, 65535, 65536, 70000};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        const uint16_t want = counts[i] < UINT16_MAX ? (uint16_t)counts[i] : UINT16_MAX;
        struct harness h;
        struct flow_settings settings = harness_settings();

        settings.first_update_ns = settings.active_timeout_ns = 0;
        harness_start(&h, &settings);
        for (uint32_t j = 0; j < counts[i]; j++) {
            harness_tcp(&h, (struct segment){SECOND, 0, TCP_SYN, 1000, 0, 0, 0});
            harness_tcp(&h, (struct segment){SECOND, 1, TCP_RST, 5000, 0, 0, 0});
        }
        const struct flow *flow = harness_flow(h.table);
        assert_int_equal(flow_tcp_flags(h.table, flow, 0, TCP_FLAG_SYN), want);
        assert_int_equal(flow_tcp_flags(h.table, flow, 1, TCP_FLAG_RST), want);
        assert_int_equal(flow_tcp_flags(h.table, flow, 0, TCP_FLAG_RST), 0);
        assert_int_equal(flow_tcp_endings(h.table, flow), want);
        harness_finish(&h, 0);
        assert_int_equal(harness_last(&h)->tcp.forward.syn_count, want);
        assert_int_equal(harness_last(&h)->tcp.reverse.rst_count, want);
        assert_int_equal(harness_last(&h)->tcp.forward.fin_count, 0);
        harness_stop(&h);

        harness_start(&h, &settings);
        harness_tcp(&h, (struct segment){SECOND, 0, TCP_SYN, 1000, 0, 0, 0});
        for (uint32_t j = 0; j < counts[i]; j++) {
            harness_tcp(&h, (struct segment){SECOND, 0, TCP_FIN | TCP_ACK, 1001, 1, 0, 0});
        }
        assert_int_equal(flow_tcp_flags(h.table, harness_flow(h.table), 0, TCP_FLAG_FIN), want);
        assert_int_equal(flow_tcp_flags(h.table, harness_flow(h.table), 0, TCP_FLAG_SYN), 1);
        assert_int_equal(flow_tcp_flags(h.table, harness_flow(h.table), 0, TCP_FLAG_RST), 0);
        assert_int_equal(flow_tcp_endings(h.table, harness_flow(h.table)), want);
        harness_stop(&h);
    }
}

/* 32 bits tell 4 s behind the flow's begin. */
static void the_last_syn_begins_the_handshake_however_late(void **state)
{
    static const uint64_t late[] = {0, MILLI, UINT32_MAX, UINT64_C(1) << 32, 20 * SECOND};

    (void)state;
    for (size_t i = 0; i < sizeof(late) / sizeof(*late); i++) {
        struct harness h;
        const struct flow_settings settings = harness_settings();
        const uint64_t at = SECOND + late[i];

        harness_start(&h, &settings);
        harness_tcp(&h, (struct segment){SECOND, 0, TCP_SYN, 1000, 0, 0, 0});
        harness_tcp(&h, (struct segment){at, 0, TCP_SYN, 1000, 0, 0, 0});
        harness_tcp(&h, (struct segment){at + MILLI, 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0});
        harness_tcp(&h, (struct segment){at + 3 * MILLI, 0, TCP_ACK, 1001, 5001, 0, 0});
        harness_finish(&h, 0);
        assert_true(harness_last(&h)->tcp.has_handshake);
        assert_int_equal(harness_last(&h)->tcp.handshake_ns, 3 * MILLI);
        harness_stop(&h);
    }
}

/* It stands with the faults where there are any: from before the SYN-ACK on, from before the ACK
 * that ends the handshake, from behind it, never. */
static void a_handshake_is_timed_whenever_faults_begin(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        struct harness h;
        struct flow_settings settings = harness_settings();
        uint64_t at = SECOND;

        harness_start(&h, &settings);
        harness_tcp(&h, (struct segment){at, 0, TCP_SYN, 1000, 0, 0, 0});
        if ((i & 1) != 0) {
            at += MILLI;
            harness_tcp(&h, (struct segment){at, 0, TCP_SYN, 1000, 0, 0, 0});
        }
        harness_tcp(&h, (struct segment){at + MILLI, 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0});
        if ((i & 2) != 0) {
            harness_tcp(&h,
                        (struct segment){at + 2 * MILLI, 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0});
        }
        harness_tcp(&h, (struct segment){at + 3 * MILLI, 0, TCP_ACK, 1001, 5001, 0, 0});
        harness_tcp(&h, (struct segment){at + 4 * MILLI, 0, TCP_ACK, 1001, 5001, 0, 10});
        if ((i & 4) != 0) {
            harness_tcp(&h, (struct segment){at + 300 * MILLI, 0, TCP_ACK, 1001, 5001, 0, 10});
        }
        if ((i & 8) != 0) { /* a RST too much for its count */
            for (unsigned j = 0; j < 9; j++) {
                harness_tcp(&h, (struct segment){at + 301 * MILLI, 1, TCP_RST, 5001, 0, 0, 0});
            }
        }
        assert_int_equal(flow_tcp_has_faults(flow_tcp(h.table, harness_flow(h.table))), i != 0);
        harness_finish(&h, 0);
        assert_true(harness_last(&h)->tcp.has_handshake);
        assert_int_equal(harness_last(&h)->tcp.handshake_ns, 3 * MILLI);
        harness_stop(&h);
    }
}

/* What a SYN offers is told of the side that offered it. */
static void options_of_a_handshake_are_told_of_their_side(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        struct harness h;
        struct flow_settings settings = harness_settings();

        harness_start(&h, &settings);
        for (int side = 0; side < 2; side++) {
            harness_tcp_options(
                &h, (struct optioned_segment){.at_ns = SECOND + (uint64_t)side * MILLI,
                                              .side = side,
                                              .flags = side == 0 ? TCP_SYN : TCP_SYN | TCP_ACK,
                                              .seq = 1000,
                                              .ack = side == 0 ? 0 : 1001,
                                              .mss = (i >> (2 * side) & 1) != 0 ? 1460 : 0,
                                              .sack_permitted = (i >> (2 * side) & 2) != 0});
        }
        harness_finish(&h, 2 * SECOND);
        const struct flow_tcp *tcp = &harness_last(&h)->tcp;
        assert_int_equal(tcp->forward.has_mss, (i & 1) != 0);
        assert_int_equal(tcp->forward.sack_permitted, (i & 2) != 0);
        assert_int_equal(tcp->reverse.has_mss, (i & 4) != 0);
        assert_int_equal(tcp->reverse.sack_permitted, (i & 8) != 0);
        harness_stop(&h);
    }
}

/* Of a clock that went back between the two there is no time; of one that did so before, there is.
 */
static void a_response_before_its_request_has_no_time(void **state)
{
    static const uint64_t times_ns[][2] = {{5 * SECOND, 5 * SECOND - 1},
                                           {5 * SECOND, 5 * SECOND + 160},
                                           {SECOND - MILLI, SECOND - MILLI - 1},
                                           {SECOND - MILLI, SECOND - MILLI + 160}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(times_ns); i++) {
        struct harness h;
        struct flow_settings settings = harness_settings();

        harness_start(&h, &settings);
        harness_handshake(&h, SECOND);
        harness_tcp(&h, (struct segment){times_ns[i][0], 0, TCP_ACK, 1001, 5001, 0, 10});
        harness_tcp(&h, (struct segment){times_ns[i][1], 1, TCP_ACK, 5001, 1011, 0, 10});
        harness_finish(&h, 10 * SECOND);
        assert_int_equal(harness_last(&h)->tcp.has_response, i % 2 != 0);
        assert_int_equal(harness_last(&h)->tcp.response_ns, i % 2 != 0 ? 160 : 0);
        harness_stop(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_of_hours_are_exact),
        cmocka_unit_test(a_response_is_timed_however_late_the_request_comes),
        cmocka_unit_test(round_trips_are_told_alike_however_many),
        cmocka_unit_test(a_syn_alone_is_kept_in_few_bytes),
        cmocka_unit_test(a_connection_goes_on_from_all_that_its_syn_told),
        cmocka_unit_test(a_history_of_many_letters_is_whole),
        cmocka_unit_test(flags_are_counted_up_to_their_bound),
        cmocka_unit_test(the_last_syn_begins_the_handshake_however_late),
        cmocka_unit_test(a_handshake_is_timed_whenever_faults_begin),
        cmocka_unit_test(options_of_a_handshake_are_told_of_their_side),
        cmocka_unit_test(a_response_before_its_request_has_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
