#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sensor/flow/flow_harness.h"

static void both_directions_are_one_flow_with_the_syn_sender_as_client(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    harness_handshake(&h, SECOND);
    assert_int_equal(flow_table_count(h.table), 1);
    harness_finish(&h, 0);
    const struct flow_record *r = harness_last(&h);
    assert_int_equal(h.count, 1);
    assert_int_equal(r->event, FLOW_END);
    assert_int_equal(r->end_reason, FLOW_END_FORCED);
    assert_int_equal(r->initiator, INITIATOR_SYN);
    assert_int_equal(r->client.port, 40000);
    assert_int_equal(r->server.port, 443);
    assert_int_equal(r->client.scope, SCOPE_INTERNAL);
    assert_int_equal(r->server.scope, SCOPE_EXTERNAL);
    assert_int_equal(r->forward.total_packets, 2);
    assert_int_equal(r->reverse.total_packets, 1);
    assert_int_equal(r->start_ns, SECOND);
    assert_int_equal(r->end_ns, SECOND + 30 * MILLI);
    assert_true(r->client.has_mac && r->server.has_mac);
    assert_int_equal(r->client.mac[5], 1);
    assert_int_equal(r->server.mac[5], 1); /* its own packet counts, not the one sent to it */
    harness_stop(&h);
}

static void the_receiver_of_a_first_syn_ack_is_the_client(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    harness_tcp(&h, (struct segment){SECOND, 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0});
    harness_finish(&h, 0);
    assert_int_equal(harness_last(&h)->client.port, 40000);
    assert_int_equal(harness_last(&h)->initiator, INITIATOR_SYN);
    assert_true((harness_last(&h)->flags & FLOW_FLAG_MIDSTREAM) != 0);
    harness_stop(&h);
}

static void a_first_sender_on_a_server_port_is_taken_for_the_server(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    harness_udp(&h, SECOND, "192.0.2.53", 53, "10.0.0.1", 5353, 40);
    harness_finish(&h, 0);
    assert_int_equal(harness_last(&h)->initiator, INITIATOR_PORT_GUESS);
    assert_int_equal(harness_last(&h)->server.port, 53);
    assert_int_equal(harness_last(&h)->reverse.total_packets, 1);
    harness_stop(&h);
}

static void a_silent_flow_ends_by_the_wheel_and_by_its_next_packet_alike(void **state)
{
    struct harness by_wheel, by_packet;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&by_wheel, &settings);
    harness_start(&by_packet, &settings);
    harness_udp(&by_wheel, SECOND, "10.0.0.1", 31000, "10.0.0.2", 32000, 10);
    harness_udp(&by_packet, SECOND, "10.0.0.1", 31000, "10.0.0.2", 32000, 10);
    for (uint64_t now = SECOND; now < 70 * SECOND; now += SECOND / 10) {
        assert_true(flow_table_advance(by_wheel.table, now, 1000));
    }
    assert_int_equal(by_wheel.count, 2); /* UPDATE at 5 s, END at 60 s of silence */
    harness_udp(&by_packet, 70 * SECOND, "10.0.0.1", 31000, "10.0.0.2", 32000, 10);
    assert_int_equal(by_packet.count, 2);
    assert_memory_equal(by_wheel.records, by_packet.records, 2 * sizeof(struct flow_record));
    assert_int_equal(by_wheel.records[0].event, FLOW_UPDATE);
    assert_int_equal(by_wheel.records[0].forward.delta_packets, 1);
    assert_int_equal(by_wheel.records[1].event, FLOW_END);
    assert_int_equal(by_wheel.records[1].end_reason, FLOW_END_IDLE);
    assert_int_equal(by_wheel.records[1].forward.delta_packets, 0);
    assert_int_equal(by_wheel.records[1].forward.total_packets, 1);
    assert_int_equal(flow_table_count(by_wheel.table), 0);
    assert_int_equal(flow_table_count(by_packet.table), 1);
    harness_stop(&by_wheel);
    harness_stop(&by_packet);
}

static void a_long_flow_is_told_after_5_s_and_then_each_active_timeout(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();
    static const uint64_t cuts[] = {5, 65, 125};

    (void)state;
    harness_start(&h, &settings);
    for (uint64_t s = 0; s <= 130; s++) {
        harness_udp(&h, s * SECOND, "10.0.0.1", 31000, "10.0.0.2", 32000, 10);
    }
    harness_finish(&h, 0);
    assert_int_equal(h.count, 4);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(h.records[i].event, FLOW_UPDATE);
        assert_int_equal(h.records[i].update_index, i);
        assert_int_equal(h.records[i].end_ns, (cuts[i] - 1) * SECOND); /* packets before the cut */
        assert_int_equal(h.records[i + 1].delta_start_ns, cuts[i] * SECOND);
        assert_true(h.records[i].flow_id == h.records[3].flow_id);
    }
    assert_int_equal(h.records[0].forward.delta_packets, 5);
    assert_int_equal(h.records[1].forward.delta_packets, 60);
    assert_int_equal(h.records[3].forward.total_packets, 131);
    harness_stop(&h);
}

static void an_idle_timeout_of_0_never_ends_a_flow(void **state)
{
    struct harness h;
    struct flow_settings settings = harness_settings();

    (void)state;
    settings.idle_timeout_ns = 0;
    harness_start(&h, &settings);
    harness_udp(&h, 0, "10.0.0.1", 31000, "10.0.0.2", 32000, 10);
    harness_udp(&h, 100000 * SECOND, "10.0.0.1", 31000, "10.0.0.2", 32000, 10);
    while (!flow_table_advance(h.table, 900000 * SECOND, 100)) {
    }
    assert_int_equal(flow_table_count(h.table), 1);
    harness_finish(&h, 0);
    assert_int_equal(harness_last(&h)->forward.total_packets, 2);
    harness_stop(&h);
}

static void a_full_table_ends_the_longest_idle_in_reach_and_says_so(void **state)
{
    struct harness h;
    struct flow_settings settings = harness_settings();

    (void)state;
    settings.flows_max = 4; /* one bucket: the reach is the whole table */
    harness_start(&h, &settings);
    for (uint16_t i = 0; i < 5; i++) {
        harness_udp(&h, i * MILLI, "10.0.0.1", (uint16_t)(2000 + i), "10.0.0.2", 3000, 10);
    }
    assert_int_equal(flow_table_count(h.table), 4);
    assert_int_equal(flow_table_statistics(h.table).flows_evicted, 1);
    assert_int_equal(h.count, 1);
    assert_int_equal(h.records[0].client.port, 2000);
    assert_int_equal(h.records[0].end_reason, FLOW_END_LACK_OF_RESOURCES);
    assert_int_equal(h.records[0].end_detail, FLOW_DETAIL_TABLE_FULL);
    assert_true((h.records[0].flags & FLOW_FLAG_TRUNCATED_TABLE) != 0);
    harness_stop(&h);
}

static void tables_share_one_budget_and_give_it_back(void **state)
{
    struct flow_budget budget;
    struct harness a, b;
    struct flow_settings settings = harness_settings();

    (void)state;
    flow_budget_init(&budget, 640);
    settings.flows_max = 640;
    settings.budget = &budget;
    harness_start(&a, &settings);
    harness_start(&b, &settings);
    for (uint16_t i = 0; i < 2000; i++) {
        harness_udp(&a, i, "10.0.0.1", (uint16_t)(2000 + i), "10.0.0.2", 3000, 10);
    }
    harness_udp(&b, 1, "10.0.0.1", 2000, "10.0.0.2", 3000, 10);
    assert_int_equal(flow_table_count(a.table), 630); /* all but the first chunk of b */
    assert_int_equal(flow_table_count(b.table), 1);
    harness_finish(&a, 0);
    for (uint16_t i = 0; i < 600; i++) {
        harness_udp(&b, i, "10.0.0.1", (uint16_t)(2000 + i), "10.0.0.2", 3000, 10);
    }
    assert_int_equal(flow_table_count(b.table), 600);
    assert_int_equal(flow_table_statistics(b.table).flows_evicted, 0);
    harness_stop(&a);
    harness_stop(&b);
    assert_int_equal(atomic_load(&budget.remaining), 640);
}

static void a_budget_without_room_for_a_table_is_refused(void **state)
{
    struct flow_budget budget;
    struct flow_settings settings = harness_settings();
    const struct flow_observer nobody = {.context = NULL};
    struct error err = {0};

    (void)state;
    flow_budget_init(&budget, 1);
    settings.budget = &budget;
    assert_null(flow_table_new(&settings, &nobody, &err));
    assert_int_equal(err.code, 22);
    settings.budget = NULL;
    settings.flows_max = 0;
    assert_null(flow_table_new(&settings, &nobody, &err));
    assert_non_null(strstr(err.message, "flow.max_flows"));
}

#define AHEAD_FLOWS 20
#define AHEAD_PORT  2000 /* of the first; every other flow has a handle */

struct ahead_log {
    char told[AHEAD_FLOWS][32]; /* '0' and '1': the steps ahead; 'u' and 'e': update and end */
};

static void tell_ahead(struct ahead_log *log, const struct flow *flow, char what)
{
    char *told = log->told[flow_client_port(flow) - AHEAD_PORT];
    const size_t at = strlen(told);

    assert_true(at + 1 < sizeof(log->told[0]));
    told[at] = what;
}

static void give_handle(void *context, const struct packet *packet, const uint8_t *frame_bytes,
                        struct flow *flow, bool is_new, int direction)
{
    (void)context, (void)packet, (void)frame_bytes, (void)is_new, (void)direction;
    flow->app = flow_client_port(flow) % 2;
}

static void note_ahead(void *context, const struct flow *flow, unsigned step)
{
    assert_int_not_equal(flow->app, 0);
    tell_ahead(context, flow, (char)('0' + step));
}

static void note_record(void *context, struct flow *flow, enum flow_event event,
                        enum flow_end_reason reason, enum flow_end_detail detail)
{
    (void)reason, (void)detail;
    tell_ahead(context, flow, event == FLOW_END ? 'e' : 'u');
}

static void who_keeps_memory_is_told_in_two_steps_before_a_flow_ends(void **state)
{
    const struct flow_settings settings = harness_settings();

    (void)state;
    for (int is_silent = 0; is_silent < 2; is_silent++) { /* ends by the input's end, the wheel */
        struct ahead_log log = {0};
        const struct flow_observer observer = {&log, give_handle, note_record};
        struct harness h = {0};
        struct error err;

        h.table = flow_table_new(&settings, &observer, &err);
        assert_non_null(h.table);
        flow_table_set_ahead(h.table, note_ahead, &log);
        for (uint16_t i = 0; i < AHEAD_FLOWS; i++) {
            harness_udp(&h, SECOND, "10.0.0.1", (uint16_t)(AHEAD_PORT + i), "10.0.0.2", 3000, 10);
        }
        while (is_silent && !flow_table_advance(h.table, 200 * SECOND, 10000)) {
        }
        flow_table_finish(h.table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
        for (unsigned i = 0; i < AHEAD_FLOWS; i++) {
            const char *end = strchr(log.told[i], 'e');

            assert_non_null(end);
            while (end > log.told[i] && end[-1] == 'u') { /* both records of one look */
                end--;
            }
            if (i % 2 == 0) {
                assert_null(strchr(log.told[i], '1')); /* without a handle */
            } else if (is_silent || i >= 2 * 8) {      /* the first are ended at once */
                assert_true(end >= log.told[i] + 2 && end[-2] == '0' && end[-1] == '1');
            }
        }
        harness_stop(&h);
    }
}

static void a_clock_that_steps_back_is_marked_and_does_not_hold_flows(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    harness_udp(&h, 100000 * SECOND, "10.0.0.1", 31000, "10.0.0.2", 32000, 10);
    assert_true(flow_table_advance(h.table, 100000 * SECOND, 10000));
    for (uint64_t s = 0; s < 300; s++) {
        while (!flow_table_advance(h.table, (50000 + s) * SECOND, 10000)) {
        }
    }
    assert_int_equal(flow_table_count(h.table), 0);
    assert_int_equal(harness_last(&h)->end_reason, FLOW_END_IDLE);
    assert_true((harness_last(&h)->flags & FLOW_FLAG_CLOCK_STEP) != 0);
    assert_int_equal(flow_table_statistics(h.table).clock_steps, 1);
    harness_stop(&h);
}

struct tick_sums {
    unsigned flows;
    uint64_t packets, reverse_packets, bytes[2];
};

static void sum_flow(void *context, struct flow *flow, const struct flow_tick_delta *delta)
{
    struct tick_sums *sums = context;

    (void)flow;
    sums->flows++;
    sums->packets += delta->packets;
    sums->reverse_packets += delta->reverse_packets;
    sums->bytes[0] += delta->bytes[0];
    sums->bytes[1] += delta->bytes[1];
}

static void a_tick_gives_the_flows_of_that_tick_alone(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();
    struct tick_sums seen = {0};

    (void)state;
    harness_start(&h, &settings);
    for (uint16_t i = 0; i < 100; i++) {
        harness_udp(&h, i, "10.0.0.1", (uint16_t)(2000 + i), "10.0.0.2", 3000, 10);
    }
    flow_table_tick(h.table, true, sum_flow, &seen);
    assert_int_equal(seen.flows, 100);
    assert_int_equal(seen.packets, 100);
    assert_int_equal(seen.reverse_packets, 0);
    seen = (struct tick_sums){0};
    harness_udp(&h, SECOND, "10.0.0.1", 2000, "10.0.0.2", 3000, 10);
    harness_udp(&h, SECOND, "10.0.0.2", 3000, "10.0.0.1", 2000, 10);
    flow_table_tick(h.table, true, sum_flow, &seen);
    assert_int_equal(seen.flows, 1);
    assert_int_equal(seen.packets, 2);
    assert_int_equal(seen.reverse_packets, 1);
    assert_true(seen.bytes[0] == seen.bytes[1] && seen.bytes[0] > 0);
    harness_stop(&h);
}

static void an_echo_and_its_reply_are_one_flow(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    for (int i = 0; i < 2; i++) {
        build_start(&h.builder, h.buffer, sizeof(h.buffer));
        build_ethernet(&h.builder);
        build_ipv4(&h.builder, (struct build_ip){.source = i == 0 ? "10.0.0.9" : "10.0.0.2",
                                                 .target = i == 0 ? "10.0.0.2" : "10.0.0.9"});
        build_icmp(&h.builder, i == 0 ? 8 : 0, 0, 7, 1);
        const struct frame frame = build_frame(&h.builder, SECOND);
        harness_add_frame(&h, &frame);
    }
    harness_finish(&h, 0);
    assert_int_equal(h.count, 1);
    assert_true(h.records[0].has_icmp);
    assert_int_equal(h.records[0].icmp_type, 8);
    assert_int_equal(h.records[0].client.port, 0);
    assert_int_equal(h.records[0].reverse.total_packets, 1);
    harness_stop(&h);
}

static void a_delta_is_cut_before_it_leaves_32_bits(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();
    uint64_t sum = 0;

    (void)state;
    harness_start(&h, &settings);
    build_start(&h.builder, h.buffer, sizeof(h.buffer));
    struct frame frame = build_udp_frame(&h.builder, "10.0.0.1", 1, "10.0.0.2", 2, "x", 1, SECOND);
    frame.wire_bytes = 0xfffffff0;
    for (int i = 0; i < 3; i++) {
        harness_add_frame(&h, &frame);
    }
    harness_finish(&h, 0);
    assert_int_equal(h.count, 3);
    for (uint32_t i = 0; i < h.count; i++) {
        sum += h.records[i].forward.delta_bytes;
    }
    assert_true(sum == UINT64_C(0xfffffff0) * 3);
    assert_true(harness_last(&h)->forward.total_bytes == sum);
    harness_stop(&h);
}

/* Whether the index is cleared flow by flow or, of many, as a whole. */
static void a_table_that_was_emptied_finds_flows_anew(void **state)
{
    static const uint16_t counts[] = {1, 10, 146, 147, 1000};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        const struct flow_settings settings = harness_settings();
        struct harness h;

        harness_start(&h, &settings);
        for (unsigned round = 0; round < 6; round++) { /* each flow has two packets, then it ends */
            for (uint16_t port = 1; port <= counts[i]; port++) {
                harness_udp(&h, SECOND + round * MILLI, "10.0.0.1", port, "10.0.0.2", 9, 1);
            }
            assert_int_equal(flow_table_count(h.table), counts[i]);
            if (round == 1) {
                flow_table_step_clock(h.table, 2 * SECOND, SECOND);
            } else if (round % 2 == 1) {
                harness_finish(&h, 0);
            }
            assert_int_equal(flow_table_count(h.table), round % 2 == 1 ? 0 : counts[i]);
        }
        assert_int_equal(h.count, 3 * counts[i]);
        for (uint32_t j = 0; j < h.count; j++) {
            assert_int_equal(h.records[j].forward.total_packets, 2);
        }
        harness_stop(&h);
    }
}

static void compact_entries_take_less_and_keep_state_and_counts(void **state)
{
    struct flow_settings settings = harness_settings();
    const uint64_t full = flow_table_memory_needed(&settings);
    struct harness h;

    (void)state;
    settings.flows_max = 100000;
    const uint64_t full_large = flow_table_memory_needed(&settings);
    settings.measure_rtt = settings.measure_retransmissions = settings.measure_out_of_order = false;
    const uint64_t compact_large = flow_table_memory_needed(&settings);
    assert_true(compact_large < full + UINT64_C(160) * settings.flows_max);
    assert_true(full_large < full + UINT64_C(312) * settings.flows_max);
    assert_true(compact_large * 9 < full_large * 5);
    settings.flows_max = 16;
    harness_start(&h, &settings);
    harness_handshake(&h, SECOND);
    harness_finish(&h, 0);
    assert_true(harness_last(&h)->has_tcp);
    assert_false(harness_last(&h)->tcp.is_measured);
    assert_int_equal(harness_last(&h)->tcp.state, TCP_ESTABLISHED);
    assert_string_equal(harness_last(&h)->tcp.conn_state, "S1");
    harness_stop(&h);
}

static void a_start_record_comes_when_asked_for_and_holds_the_first_packet(void **state)
{
    struct harness h;
    struct flow_settings settings = harness_settings();

    (void)state;
    settings.emit_start = true;
    harness_start(&h, &settings);
    harness_handshake(&h, SECOND);
    assert_int_equal(h.count, 1);
    assert_int_equal(h.records[0].event, FLOW_START);
    assert_int_equal(h.records[0].forward.delta_packets, 1);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_are_one_flow_with_the_syn_sender_as_client),
        cmocka_unit_test(the_receiver_of_a_first_syn_ack_is_the_client),
        cmocka_unit_test(a_first_sender_on_a_server_port_is_taken_for_the_server),
        cmocka_unit_test(a_silent_flow_ends_by_the_wheel_and_by_its_next_packet_alike),
        cmocka_unit_test(a_long_flow_is_told_after_5_s_and_then_each_active_timeout),
        cmocka_unit_test(an_idle_timeout_of_0_never_ends_a_flow),
        cmocka_unit_test(a_full_table_ends_the_longest_idle_in_reach_and_says_so),
        cmocka_unit_test(tables_share_one_budget_and_give_it_back),
        cmocka_unit_test(a_budget_without_room_for_a_table_is_refused),
        cmocka_unit_test(who_keeps_memory_is_told_in_two_steps_before_a_flow_ends),
        cmocka_unit_test(a_clock_that_steps_back_is_marked_and_does_not_hold_flows),
        cmocka_unit_test(a_tick_gives_the_flows_of_that_tick_alone),
        cmocka_unit_test(an_echo_and_its_reply_are_one_flow),
        cmocka_unit_test(a_delta_is_cut_before_it_leaves_32_bits),
        cmocka_unit_test(a_table_that_was_emptied_finds_flows_anew),
        cmocka_unit_test(compact_entries_take_less_and_keep_state_and_counts),
        cmocka_unit_test(a_start_record_comes_when_asked_for_and_holds_the_first_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
