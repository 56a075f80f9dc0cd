/* What is packed in an entry of the flow table, at the limits of its fields: sums that are carried,
 * hop limits that differ, deadlines beyond the 16 bits of a tick, links without number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sensor/flow/flow_table_internal.h"
#include "tests/unit/sensor/flow/flow_harness.h"

#define HOUR (3600 * SECOND)
/* Without what fills it up. */
#define TOLD_BYTES (offsetof(struct flow_reported, update_index) + sizeof(uint32_t))

static const struct flow *the_flow;

static void keep_flow(void *context, const struct flow *flow)
{
    (void)context;
    the_flow = flow;
}

static const struct flow *flow_in(const struct flow_table *table)
{
    uint32_t cursor = 0;

    the_flow = NULL;
    while (flow_table_iterate(table, &cursor, 1024, keep_flow, NULL)) {
    }
    assert_non_null(the_flow);
    return the_flow;
}

/* A packet of one flow with sums of its own. */
static void add_sized(struct harness *h, uint64_t at_ns, int direction, uint32_t wire, uint32_t ip,
                      uint32_t payload, uint8_t ttl)
{
    struct packet packet = {.ip_version = 4,
                            .protocol = IP_PROTOCOL_UDP,
                            .facts = PACKET_HAS_PORTS,
                            .source_ip = {10, 0, 0, (uint8_t)(1 + direction)},
                            .target_ip = {10, 0, 0, (uint8_t)(2 - direction)},
                            .source_port = (uint16_t)(5000 + direction),
                            .target_port = (uint16_t)(5001 - direction),
                            .time_ns = at_ns,
                            .wire_bytes = wire,
                            .ip_bytes = ip,
                            .payload_bytes = payload,
                            .ttl = ttl};

    assert_int_equal(flow_table_add_batch(h->table, &packet, NULL, 1), 1);
}

static void take_delta(void *context, struct flow *flow, const struct flow_tick_delta *delta)
{
    (void)flow;
    *(struct flow_tick_delta *)context = *delta;
}

/* Sizes around each field's half and whole, and beyond any of them. */
static void sums_are_exact_whatever_is_carried(void **state)
{
    static const uint32_t sizes[] = {1,     60,    1500,   9000,   32767,  32768,      65535,
                                     65536, 65537, 131071, 131072, 131073, 0x3fffffff, 0x3ffffffe};
    struct harness h;
    struct flow_settings settings = harness_settings();
    uint64_t want[2][4] = {{0}}, state_of_random = 1;

    (void)state;
    settings.idle_timeout_ns = settings.first_update_ns = settings.active_timeout_ns = 0;
    harness_start(&h, &settings);
    for (uint32_t i = 0; i < 30000; i++) {
        struct flow_tick_delta delta = {0};
        uint64_t tick[2][2] = {{0}};

        for (unsigned j = 0; j < 1 + i % 3 * 700; j++) {
            state_of_random = state_of_random * UINT64_C(6364136223846793005) + 1;
            const uint64_t r = state_of_random >> 33;
            const int d = (int)(r & 1);
            const uint32_t limit = r % 64 == 0 ? 14 : 5;
            const uint32_t wire = sizes[(r >> 8) % limit];
            const uint32_t ip = sizes[(r >> 12) % limit], payload = sizes[(r >> 16) % limit];

            add_sized(&h, SECOND + i, d, wire, ip, payload, 64);
            want[d][FLOW_SUM_PACKETS]++;
            want[d][FLOW_SUM_BYTES] += wire;
            want[d][FLOW_SUM_IP] += ip;
            want[d][FLOW_SUM_PAYLOAD] += payload;
            tick[d][0]++;
            tick[d][1] += wire;
        }
        const struct flow *flow = flow_in(h.table);
        for (int d = 0; d < 2; d++) {
            for (unsigned j = 0; j < 4; j++) {
                assert_true(flow_total(h.table, flow, d, (enum flow_sum)j) == want[d][j]);
            }
            const uint64_t packets = want[d][FLOW_SUM_PACKETS], payload = want[d][FLOW_SUM_PAYLOAD];
            assert_true(packets < FLOW_PACKETS_EXACT
                            ? flow_packets_of(flow, d) == packets
                            : flow_packets_of(flow, d) >= FLOW_PACKETS_EXACT);
            assert_true(payload < FLOW_PAYLOAD_EXACT
                            ? flow_payload_of(flow, d) == payload
                            : flow_payload_of(flow, d) >= FLOW_PAYLOAD_EXACT);
        }
        flow_table_tick(h.table, true, take_delta, &delta);
        assert_true(delta.packets == tick[0][0] + tick[1][0]);
        assert_true(delta.reverse_packets == tick[1][0]);
        assert_true(delta.bytes[0] == tick[0][1] && delta.bytes[1] == tick[1][1]);
        if (i > 40) {
            i += 997;
        }
    }
    harness_finish(&h, 0);
    uint64_t told[2] = {0};
    for (uint32_t i = 0; i < h.count; i++) { /* a record is cut before its delta leaves 32 bits */
        assert_true(h.records[i].forward.delta_bytes <= UINT32_MAX);
        told[0] += h.records[i].forward.delta_bytes;
        told[1] += h.records[i].reverse.delta_bytes;
    }
    const struct flow_record *last = harness_last(&h);
    assert_true(last->forward.total_bytes == want[0][FLOW_SUM_BYTES]);
    assert_true(last->reverse.total_ip_bytes == want[1][FLOW_SUM_IP]);
    assert_true(last->forward.total_packets == want[0][FLOW_SUM_PACKETS]);
    assert_true(told[0] == want[0][FLOW_SUM_BYTES] && told[1] == want[1][FLOW_SUM_BYTES]);
    harness_stop(&h);
}

/* A capture may tell a length of nearly 4 GiB: the delta that it fills takes nothing more. */
static void deltas_of_huge_lengths_stay_within_32_bits(void **state)
{
    static const uint32_t sizes[] = {1,          60,         100,        65536,      0x3fffffff,
                                     0x40000000, 0x7fffffff, 0x80000000, 0xffffff00, 0xffffffff};
    const size_t count = sizeof(sizes) / sizeof(*sizes);
    uint64_t state_of_random = 1;

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        struct harness h;
        const struct flow_settings settings = harness_settings();
        uint64_t want[2][3] = {{0}}, told[2][3] = {{0}};

        harness_start(&h, &settings);
        for (unsigned i = 0; i < 40; i++) {
            state_of_random = state_of_random * UINT64_C(6364136223846793005) + 1;
            const uint64_t r = state_of_random >> 33;
            const int d = i == 0 ? 0 : (int)(r & 1); /* the client is the first */
            const uint32_t wire = sizes[(r >> 8) % count], ip = sizes[(r >> 13) % count];
            const uint32_t payload = sizes[(r >> 18) % count];

            add_sized(&h, SECOND + (i ^ round % 2), d, wire, ip, payload, 64);
            want[d][0] += wire;
            want[d][1] += ip;
            want[d][2] += payload;
        }
        harness_finish(&h, 0);
        for (uint32_t i = 0; i < h.count; i++) {
            for (int d = 0; d < 2; d++) {
                const struct flow_counters *c =
                    d == 0 ? &h.records[i].forward : &h.records[i].reverse;
                told[d][0] += c->delta_bytes;
                told[d][1] += c->delta_ip_bytes;
                told[d][2] += c->delta_payload_bytes;
            }
        }
        assert_memory_equal(told, want, sizeof(told));
        harness_stop(&h);
    }
}

static void hop_limits_are_told_from_the_lowest_to_the_highest(void **state)
{
    static const uint8_t ttls[] = {64, 64, 63, 70, 1, 255, 0, 64};
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    for (unsigned i = 0; i < 8; i++) {
        add_sized(&h, SECOND + i, 0, 60, 46, 4, ttls[i]);
        add_sized(&h, SECOND + i, 1, 60, 46, 4, 128);
        struct flow_record record = {0};
        uint8_t least = 255, most = 0;

        for (unsigned j = 0; j <= i; j++) {
            least = ttls[j] < least ? ttls[j] : least;
            most = ttls[j] > most ? ttls[j] : most;
        }
        flow_fill_record(h.table, flow_in(h.table), FLOW_EVENT_NONE, FLOW_END_NONE,
                         FLOW_DETAIL_NONE, &record);
        assert_int_equal(record.forward.ttl_min, least);
        assert_int_equal(record.forward.ttl_max, most);
        assert_int_equal(record.reverse.ttl_min, 128);
        assert_int_equal(record.reverse.ttl_max, 128);
    }
    harness_stop(&h);
}

/* UPDATE deadlines far beyond what a tick of 16 bits tells (73 minutes), with packets often,
 * seldom, and at last after more than two turns of it. */
static void deadlines_of_hours_are_kept_to_the_packet(void **state)
{
    static const uint64_t steps_ns[] = {SECOND / 2,    7 * SECOND,    300 * SECOND, 1000 * SECOND,
                                        2300 * SECOND, 5000 * SECOND, 9000 * SECOND};

    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        struct harness h;
        struct flow_settings settings = harness_settings();
        const uint64_t first = 3 * HOUR + 1, each = 5 * HOUR + 7, start = 11 * SECOND + 3;
        uint64_t packets = 0, at;

        settings.idle_timeout_ns = 0;
        settings.first_update_ns = first;
        settings.active_timeout_ns = each;
        harness_start(&h, &settings);
        for (at = start; at < start + 50 * HOUR; at += steps_ns[i]) {
            add_sized(&h, at, 0, 60, 46, 4, 64);
            packets++;
        }
        harness_finish(&h, at);
        uint64_t deadline = start + first, told = 0;
        for (uint32_t j = 0; j < h.count; j++) {
            const struct flow_record *record = &h.records[j];
            told += record->forward.delta_packets;
            if (record->event != FLOW_UPDATE) {
                continue;
            }
            assert_int_equal(record->update_index, j);
            assert_true(record->start_ns == start);
            assert_true(record->end_ns < deadline && deadline - record->end_ns <= steps_ns[i]);
            deadline += each;
        }
        assert_int_equal(h.count, 1 + (50 * HOUR - first) / each + 1);
        assert_int_equal(told, packets);
        harness_stop(&h);
    }
}

/* What was promised to a flow stays, however often the limits change. */
static void changed_timeouts_leave_the_deadline_of_a_flow(void **state)
{
    struct harness h;
    struct flow_settings settings = harness_settings();

    (void)state;
    settings.first_update_ns = 0;
    settings.active_timeout_ns = 10 * SECOND;
    harness_start(&h, &settings);
    add_sized(&h, SECOND, 0, 60, 46, 4, 64);
    for (uint64_t i = 0; i < 9; i++) {
        flow_table_set_timeouts(h.table, 60 * SECOND, (20 + i) * SECOND);
        add_sized(&h, (2 + i) * SECOND, 0, 60, 46, 4, 64);
    }
    assert_int_equal(h.count, 0);
    add_sized(&h, 11 * SECOND, 0, 60, 46, 4, 64);
    assert_int_equal(h.count, 1); /* ten seconds, as when it began */
    assert_int_equal(h.records[0].forward.delta_packets, 10);
    add_sized(&h, 38 * SECOND, 0, 60, 46, 4, 64);
    assert_int_equal(h.count, 1);
    add_sized(&h, 39 * SECOND, 0, 60, 46, 4, 64);
    assert_int_equal(h.count, 2); /* and the new limit from there */
    harness_stop(&h);
}

static void a_clock_that_goes_back_finds_flows_due_within_its_new_time(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    for (uint16_t i = 0; i < 200; i++) {
        harness_udp(&h, 100000 * SECOND + i * SECOND / 4, "10.0.0.1", (uint16_t)(2000 + i),
                    "10.0.0.2", 3000, 10);
        while (!flow_table_advance(h.table, 100000 * SECOND + i * SECOND / 4, 100)) {
        }
    }
    for (uint64_t i = 0; i < UINT64_C(8) * 210; i++) {
        while (!flow_table_advance(h.table, 500 * SECOND + i * SECOND / 8, 100)) {
        }
    }
    assert_int_equal(flow_table_count(h.table), 0);
    harness_stop(&h);
}

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
            flow_fill_record(h.table, flow_in(h.table), FLOW_EVENT_NONE, FLOW_END_NONE,
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
        assert_true(flow_tcp_round_trips(h.table, flow_in(h.table), &all));
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
        flow_fill_record(h.table, flow_in(h.table), FLOW_EVENT_NONE, FLOW_END_NONE,
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
        assert_int_equal(flow_tcp_initial_seq(h.table, flow_in(h.table), 0), 1000);
        assert_int_equal(flow_tcp_initial_seq(h.table, flow_in(h.table), 1), 0);
        assert_int_equal(flow_tcp_flags(h.table, flow_in(h.table), 0, TCP_FLAG_SYN), 1);
        assert_int_equal(flow_tcp_flags(h.table, flow_in(h.table), 0, TCP_FLAG_RST), 0);
        assert_int_equal(flow_tcp_endings(h.table, flow_in(h.table)), 0);
        assert_false(flow_tcp_round_trips(h.table, flow_in(h.table), &(struct flow_tcp_rtt){0}));

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
        assert_int_equal(record->tcp.server_rtt.samples, (i & 8) != 0 ? 0 : 1);
        assert_true((i & 8) != 0 || record->tcp.server_rtt.mean_ns == later_ns[i / 16]);
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
        flow_fill_record(h.table, flow_in(h.table), FLOW_EVENT_NONE, FLOW_END_NONE,
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
    flow_fill_record(h.table, flow_in(h.table), FLOW_EVENT_NONE, FLOW_END_NONE, FLOW_DETAIL_NONE,
                     &record);
    assert_string_equal(record.tcp.history, "SsHghGAaDTdtFfQqIiRr");
    harness_stop(&h);
}

static struct flow_link link_of(uint64_t number)
{
    struct flow_link link = {.bits = LINK_HAS_MAC_CLIENT, .interface = (uint16_t)(number % 7)};

    memcpy(link.macs[0], &number, 6);
    return link;
}

static void links_are_counted_and_come_back_whatever_their_number(void **state)
{
    enum { MANY = 20000 };
    struct flow_link_entry *entries = calloc(MANY + 2, sizeof(*entries));
    uint32_t *heads = calloc(MANY + FLOW_LISTS_MIN, sizeof(*heads));
    uint32_t *numbers = calloc(MANY, sizeof(*numbers));
    struct flow_links links;

    (void)state;
    if (entries == NULL || heads == NULL || numbers == NULL) {
        abort();
    }
    flow_links_init(&links, entries, heads, (struct hash_key){1, 2});
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < MANY; i++) {
            const struct flow_link link = link_of(i);
            numbers[i] = flow_links_take(&links, &link);
            assert_int_not_equal(numbers[i], 0);
            assert_memory_equal(flow_links_at(&links, numbers[i]), &link, sizeof(link));
        }
        assert_int_equal(links.count, MANY);
        for (uint32_t i = 0; i < MANY; i++) {
            const struct flow_link link = link_of(i);
            assert_int_equal(flow_links_take(&links, &link), numbers[i]);
        }
        for (uint32_t i = 0; i < MANY; i++) {
            flow_links_give(&links, numbers[i]);
        }
        assert_int_equal(links.count, MANY);
        for (uint32_t i = 0; i < MANY; i++) {
            flow_links_give(&links, numbers[(i * 7919U) % MANY]);
        }
        assert_int_equal(links.count, 0);
        assert_int_equal(links.fresh, MANY + 1); /* no more than there were at once */
    }
    free(entries);
    free(heads);
    free(numbers);
}

/* Each flow with addresses and tags of its own. */
static void records_tell_the_link_of_each_flow(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    for (uint16_t i = 0; i < 500; i++) {
        uint8_t frame[12] = {2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i,
                             6, 0, 0, 1, (uint8_t)(i >> 8), (uint8_t)i};
        const uint8_t *frames[1] = {frame};
        struct packet packet = {.ip_version = 4,
                                .protocol = IP_PROTOCOL_UDP,
                                .facts = PACKET_HAS_PORTS | PACKET_HAS_MACS,
                                .source_ip = {10, 0, 0, 1},
                                .target_ip = {10, 0, 0, 2},
                                .source_port = (uint16_t)(2000 + i),
                                .target_port = 3000,
                                .time_ns = SECOND + i,
                                .vlan_count = 2,
                                .vlan_ids = {(uint16_t)(i * 8), i},
                                .dscp = (uint8_t)(i % 64),
                                .ttl = 64};

        assert_int_equal(flow_table_add_batch(h.table, &packet, frames, 1), 1);
        const struct packet asked = packet; /* the answer differs by its DSCP alone */

        memcpy(packet.source_ip, asked.target_ip, 4);
        memcpy(packet.target_ip, asked.source_ip, 4);
        packet.source_port = asked.target_port;
        packet.target_port = asked.source_port;
        packet.dscp = (uint8_t)(63 - i % 64);
        memcpy(frame, (const uint8_t[]){6, 0, 0, 1}, 4);
        memcpy(frame + 6, (const uint8_t[]){2, 0, 0, 0}, 4);
        assert_int_equal(flow_table_add_batch(h.table, &packet, frames, 1), 1);
    }
    harness_finish(&h, 0);
    assert_int_equal(h.count, 500);
    for (uint32_t i = 0; i < h.count; i++) {
        const struct flow_record *record = &h.records[i];
        const uint16_t number = (uint16_t)(record->client.port - 2000);

        assert_int_equal(record->client.mac[4] << 8 | record->client.mac[5], number);
        assert_int_equal(record->server.mac[4] << 8 | record->server.mac[5], number);
        assert_int_equal(record->client.mac[0], 6);
        assert_int_equal(record->server.mac[0], 2);
        assert_int_equal(record->vlan_id, number);
        assert_int_equal(record->outer_vlan_id, number * 8);
        assert_int_equal(record->forward.dscp, number % 64);
        assert_int_equal(record->reverse.dscp, 63 - number % 64);
    }
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
        const struct flow *flow = flow_in(h.table);
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
        assert_int_equal(flow_tcp_flags(h.table, flow_in(h.table), 0, TCP_FLAG_FIN), want);
        assert_int_equal(flow_tcp_flags(h.table, flow_in(h.table), 0, TCP_FLAG_SYN), 1);
        assert_int_equal(flow_tcp_flags(h.table, flow_in(h.table), 0, TCP_FLAG_RST), 0);
        assert_int_equal(flow_tcp_endings(h.table, flow_in(h.table)), want);
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
        assert_int_equal(flow_tcp_has_faults(flow_tcp(h.table, flow_in(h.table))), i != 0);
        harness_finish(&h, 0);
        assert_true(harness_last(&h)->tcp.has_handshake);
        assert_int_equal(harness_last(&h)->tcp.handshake_ns, 3 * MILLI);
        harness_stop(&h);
    }
}

static struct flow_cold *cold_in(const struct flow_table *table)
{
    return flow_cold(table, flow_in(table));
}

/* Whether packed sums have room for it, with fields of these widths. */
static bool has_room(const struct flow_reported *told, unsigned packets, unsigned link,
                     unsigned headers, unsigned payload)
{
    bool has = true;

    for (int i = 0; i < 2; i++) {
        const uint32_t *sums = told->sums[i];

        has &= sums[FLOW_SUM_PACKETS] < packets &&
               sums[FLOW_SUM_BYTES] - sums[FLOW_SUM_IP] < link &&
               sums[FLOW_SUM_IP] - sums[FLOW_SUM_PAYLOAD] < headers &&
               sums[FLOW_SUM_PAYLOAD] < payload;
    }
    return has;
}

/* What stands there, in the shortest form that has room for it. */
static void check_told(const struct flow_table *table, const struct flow_cold *cold,
                       const struct flow_reported *told, unsigned passed, bool may_be_short)
{
    const uint32_t most = passed > told->update_index ? passed : told->update_index;
    struct flow_reported seen;

    flow_get_reported(table, cold, &seen);
    assert_memory_equal(&seen, told, TOLD_BYTES);
    assert_true(flow_next_update_ns(table, cold) == told->next_update_ns);
    if (may_be_short) {
        const bool is_tiny = most < 4 && has_room(told, 16, 256, 512, 512);
        const bool is_brief = most < 256 && has_room(told, 256, 65536, 65536, 65536);
        assert_true(flow_past_is(cold, is_tiny    ? FLOW_PAST_TINY
                                       : is_brief ? FLOW_PAST_BRIEF
                                                  : FLOW_PAST_TOLD));
    } else {
        assert_false(cold->past == 0 || flow_past_is_short(cold));
    }
}

/* Around what each form has room for: it is told again as it was told, and what outgrows one goes
 * to the next, and gives its room back. */
static void what_was_told_is_exact_in_any_form(void **state)
{
    /* Deadlines that have passed, and what is beside them. */
    static const uint64_t passed[] = {0, 1, 2, 3, 4, 255, 256, 7, 7};
    static const uint32_t packets[] = {0, 1, 15, 16, 255, 256, 1023};
    static const uint32_t sums[] = {0, 1, 255, 256, 511, 512, 65535};
    static const uint32_t indexes[] = {0, 1, 3, 4, 255, 256, 70000};
    struct harness h;
    struct flow_settings settings = harness_settings();
    uint64_t random = 1;
    unsigned forms[4] = {0}, times[2] = {0};

    (void)state;
    settings.first_update_ns = 5 * SECOND;
    settings.active_timeout_ns = 60 * SECOND;
    harness_start(&h, &settings);
    add_sized(&h, SECOND, 0, 60, 46, 18, 64);
    struct flow_cold *cold = cold_in(h.table);
    for (unsigned i = 0; i < 60000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1;
        uint64_t r = random >> 20;
        const unsigned limit = r % 3 == 0 ? 7 : 4; /* of which field, and seldom all at once */
        const unsigned start = (unsigned)(r / 3 % (limit + 2));
        const bool is_late = start > 6; /* no deadline was then */
        const uint64_t delta_s = 1 + (passed[start] == 0 ? 0 : 5 + (passed[start] - 1) * 60);
        struct flow_reported told = {.delta_start_ns = (delta_s + is_late) * SECOND,
                                     .update_index = indexes[r / 27 % limit]};

        told.next_update_ns = start == 8 ? UINT64_MAX : (1 + 5 + passed[start] * 60) * SECOND;
        r = random >> 32;
        for (int d = 0; d < 2; d++) {
            const uint32_t payload = sums[r % limit], headers = sums[r / 7 % limit];
            told.sums[d][FLOW_SUM_PACKETS] = packets[r / 49 % limit];
            told.sums[d][FLOW_SUM_PAYLOAD] = payload;
            told.sums[d][FLOW_SUM_IP] = payload + headers;
            told.sums[d][FLOW_SUM_BYTES] = payload + headers;
            if (payload + headers <= UINT16_MAX) {
                told.sums[d][FLOW_SUM_BYTES] += sums[r / 343 % limit];
            } else if (r % 5 == 0 && headers > 0) {
                told.sums[d][FLOW_SUM_BYTES]--; /* lengths of a crafted packet */
            }
            r /= 2401;
        }
        const bool may_be_short = !is_late && (cold->past == 0 || flow_past_is_short(cold));
        flow_set_reported(h.table, cold, &told);
        check_told(h.table, cold, &told, (unsigned)passed[start], may_be_short);
        forms[cold->past >> FLOW_PAST_SHIFT]++;
        times[is_late]++;
        /* One told at last stands as it is when its deadlines are changed, over and over. */
        for (unsigned j = 1; i % 97 == 0 && j < 2 * FLOW_ROUNDS; j++) {
            flow_table_set_timeouts(h.table, 0, (60 - j) * SECOND);
            struct flow_reported seen;
            flow_get_reported(h.table, cold, &seen);
            assert_memory_equal(&seen, &told, TOLD_BYTES);
        }
        for (unsigned j = 0; j < 3; j++) { /* what it had before went back */
            const struct flow_pool *pool = &h.table->parts[FLOW_PART_TOLD + j];
            assert_true(pool->fresh <= 2);
            assert_true(pool->free_head == 1 || pool->fresh == 1 ||
                        cold->past >> FLOW_PAST_SHIFT == j);
        }
        if (i % 97 == 0) {
            harness_finish(&h, 0);
            harness_stop(&h);
            harness_start(&h, &settings);
            add_sized(&h, SECOND, 0, 60, 46, 18, 64);
            cold = cold_in(h.table);
        } else if (i % 3 != 0 && !flow_past_is_short(cold)) { /* else the longer form stays */
            flow_give_told(h.table, cold->past);
            cold->past = 0;
        }
    }
    assert_true(forms[FLOW_PAST_TINY] > 1000 && forms[FLOW_PAST_BRIEF] > 1000);
    assert_true(forms[FLOW_PAST_TOLD] > 1000 && forms[FLOW_PAST_LARGE] > 100);
    assert_true(times[false] > 1000 && times[true] > 1000);
    harness_stop(&h);
}

/* One of 300 flows of each kind. */
static void add_of_kind(struct harness *h, uint64_t at_ns, unsigned kind, unsigned number)
{
    const bool is_tcp = (kind & FLOW_KIND_TCP) != 0;
    const struct packet packet = {.ip_version = (kind & FLOW_KIND_WIDE) != 0 ? 6 : 4,
                                  .protocol = is_tcp ? IP_PROTOCOL_TCP : IP_PROTOCOL_UDP,
                                  .facts =
                                      (uint16_t)(PACKET_HAS_PORTS | (is_tcp ? PACKET_HAS_TCP : 0)),
                                  .source_ip = {10, 0, 0, 1},
                                  .target_ip = {10, 0, 0, 2},
                                  .source_port = (uint16_t)(2000 + number),
                                  .target_port = 5000,
                                  .time_ns = at_ns,
                                  .wire_bytes = 60,
                                  .ip_bytes = 46,
                                  .tcp_flags = TCP_ACK};

    assert_int_equal(flow_table_add_batch(h->table, &packet, NULL, 1), 1);
}

/* What happens to flows that are told, grow and are told again. */
enum fate { FATE_NONE, FATE_CLOCK_STEP, FATE_NEW_TIMEOUTS, FATE_EVICTED, FATE_REUSED, FATE_COUNT };

/* Flows of a kind, of a packet at first and of megabytes at last; `sent` has what was counted. */
static void grow_flows(struct harness *h, unsigned kind, enum fate fate, uint64_t sent[2][4])
{
    const bool is_tcp = (kind & FLOW_KIND_TCP) != 0;
    uint64_t at = 1000 * SECOND;

    for (unsigned i = 0; i < 400; i++) {
        const int d = i % 3 == 2;
        const uint32_t payload = i < 30 ? i : i < 60 ? 20 * i : 100 * i;
        struct packet packet = {.ip_version = (kind & FLOW_KIND_WIDE) != 0 ? 6 : 4,
                                .protocol = is_tcp ? IP_PROTOCOL_TCP : IP_PROTOCOL_UDP,
                                .facts =
                                    (uint16_t)(PACKET_HAS_PORTS | (is_tcp ? PACKET_HAS_TCP : 0)),
                                .source_ip = {10, 0, 0, (uint8_t)(1 + d)},
                                .target_ip = {10, 0, 0, (uint8_t)(2 - d)},
                                .source_port = d == 0 ? 2000 : 5000,
                                .target_port = d == 0 ? 5000 : 2000,
                                .payload_bytes = payload,
                                .ip_bytes = payload + 40,
                                .wire_bytes = payload + 60,
                                .ttl = 64,
                                .tcp_flags = i == 0 ? TCP_SYN : TCP_ACK,
                                .tcp_window = 1000};

        at += (i % 50 == 0 ? 70 : i % 5) * SECOND;
        at -= fate == FATE_CLOCK_STEP && i % 40 == 20 ? 600 * SECOND : 0;
        packet.time_ns = at;
        if (fate == FATE_REUSED && i % 25 >= 23) {
            packet.tcp_flags = TCP_FIN | TCP_ACK;
        } else if (fate == FATE_REUSED && i % 25 == 0) {
            packet.tcp_flags = TCP_SYN;
        }
        if (fate == FATE_EVICTED) { /* one of 6 flows, where 4 have room */
            *(d == 0 ? &packet.source_port : &packet.target_port) = (uint16_t)(2000 + i / 7 % 6);
        }
        if (fate == FATE_NEW_TIMEOUTS && i % 9 == 0) {
            flow_table_set_timeouts(h->table, 60 * SECOND, (20 + i % 4) * SECOND);
        }
        assert_int_equal(flow_table_add_batch(h->table, &packet, NULL, 1), 1);
        sent[d][FLOW_SUM_PACKETS]++;
        sent[d][FLOW_SUM_BYTES] += packet.wire_bytes;
        sent[d][FLOW_SUM_IP] += packet.ip_bytes;
        sent[d][FLOW_SUM_PAYLOAD] += packet.payload_bytes;
        (void)flow_table_advance(h->table, at, UINT32_MAX);
    }
}

static void deltas_add_up_whatever_becomes_of_a_flow(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FLOW_KINDS * FATE_COUNT * 2; i++) {
        struct harness h;
        struct flow_settings settings = harness_settings();
        const enum fate fate = (enum fate)(i / FLOW_KINDS % FATE_COUNT);
        const bool is_compact = i / FLOW_KINDS / FATE_COUNT != 0;
        uint64_t sent[2][4] = {{0}}, told[2][4] = {{0}};

        settings.flows_max = fate == FATE_EVICTED ? 4 : 64;
        if (is_compact) {
            settings.measure_rtt = false;
            settings.measure_retransmissions = settings.measure_out_of_order = false;
        }
        harness_start(&h, &settings);
        grow_flows(&h, i % FLOW_KINDS, fate, sent);
        harness_finish(&h, 0);
        assert_true(h.count > 20);
        for (uint32_t j = 0; j < h.count; j++) {
            for (int d = 0; d < 2; d++) {
                const struct flow_record *record = &h.records[j];
                const bool is_turned = (record->client.port == 5000) != (d == 1);
                const struct flow_counters *c = is_turned ? &record->reverse : &record->forward;

                told[d][FLOW_SUM_PACKETS] += c->delta_packets;
                told[d][FLOW_SUM_BYTES] += c->delta_bytes;
                told[d][FLOW_SUM_IP] += c->delta_ip_bytes;
                told[d][FLOW_SUM_PAYLOAD] += c->delta_payload_bytes;
            }
        }
        assert_memory_equal(told, sent, sizeof(told));
        harness_stop(&h);
    }
}

static void count_tick(void *context, struct flow *flow, const struct flow_tick_delta *delta)
{
    unsigned(*seen)[300] = context;

    assert_int_equal(delta->packets, 2);
    seen[flow_kind_of(flow)][flow_client_port(flow) - 2000]++;
}

static void a_tick_tells_each_flow_with_packets_once(void **state)
{
    struct harness h;
    struct flow_settings settings = harness_settings();

    (void)state;
    settings.flows_max = 4096;
    harness_start(&h, &settings);
    for (unsigned every = 1; every < 90; every += 11) {
        unsigned seen[FLOW_KINDS][300] = {{0}};

        for (unsigned i = 0; i < 300 * FLOW_KINDS * 2; i++) {
            const unsigned number = i / FLOW_KINDS % 300;
            if (number % every == 0) {
                add_of_kind(&h, SECOND + every, i % FLOW_KINDS, number);
            }
        }
        flow_table_tick(h.table, true, count_tick, seen);
        for (unsigned i = 0; i < 300 * FLOW_KINDS; i++) {
            const unsigned number = i / FLOW_KINDS;
            assert_int_equal(seen[i % FLOW_KINDS][number], number % every == 0);
        }
        memset(seen, 0, sizeof(seen));
        flow_table_tick(h.table, false, count_tick, seen); /* the next has none */
        for (unsigned i = 0; i < 300 * FLOW_KINDS; i++) {
            assert_int_equal(seen[i % FLOW_KINDS][i / FLOW_KINDS], 0);
        }
    }
    harness_stop(&h);
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

static void a_flow_in_the_place_of_one_that_ended_is_told_by_the_tick(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    for (unsigned ticks = 0; ticks < 2; ticks++) { /* between the two */
        unsigned seen[FLOW_KINDS][300] = {{0}};

        harness_start(&h, &settings);
        add_of_kind(&h, SECOND, 0, 1);
        const struct flow *first = flow_in(h.table);
        harness_finish(&h, SECOND);
        for (unsigned i = 0; i < ticks; i++) {
            flow_table_tick(h.table, true, count_tick, seen);
        }
        add_of_kind(&h, SECOND, 0, 2);
        add_of_kind(&h, SECOND, 0, 2);
        assert_ptr_equal(flow_in(h.table), first);
        flow_table_tick(h.table, true, count_tick, seen);
        assert_int_equal(seen[0][1], 0);
        assert_int_equal(seen[0][2], 1);
        harness_stop(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_exact_whatever_is_carried),
        cmocka_unit_test(deltas_of_huge_lengths_stay_within_32_bits),
        cmocka_unit_test(hop_limits_are_told_from_the_lowest_to_the_highest),
        cmocka_unit_test(deadlines_of_hours_are_kept_to_the_packet),
        cmocka_unit_test(changed_timeouts_leave_the_deadline_of_a_flow),
        cmocka_unit_test(a_clock_that_goes_back_finds_flows_due_within_its_new_time),
        cmocka_unit_test(round_trips_of_hours_are_exact),
        cmocka_unit_test(a_response_is_timed_however_late_the_request_comes),
        cmocka_unit_test(round_trips_are_told_alike_however_many),
        cmocka_unit_test(a_syn_alone_is_kept_in_few_bytes),
        cmocka_unit_test(a_connection_goes_on_from_all_that_its_syn_told),
        cmocka_unit_test(a_history_of_many_letters_is_whole),
        cmocka_unit_test(links_are_counted_and_come_back_whatever_their_number),
        cmocka_unit_test(flags_are_counted_up_to_their_bound),
        cmocka_unit_test(the_last_syn_begins_the_handshake_however_late),
        cmocka_unit_test(a_handshake_is_timed_whenever_faults_begin),
        cmocka_unit_test(records_tell_the_link_of_each_flow),
        cmocka_unit_test(options_of_a_handshake_are_told_of_their_side),
        cmocka_unit_test(a_response_before_its_request_has_no_time),
        cmocka_unit_test(a_flow_in_the_place_of_one_that_ended_is_told_by_the_tick),
        cmocka_unit_test(what_was_told_is_exact_in_any_form),
        cmocka_unit_test(deltas_add_up_whatever_becomes_of_a_flow),
        cmocka_unit_test(a_tick_tells_each_flow_with_packets_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
