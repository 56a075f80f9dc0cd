/* What the last record told of a flow, in the shortest form that has room, and its deadlines beyond
 * the 16 bits of a tick. */
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
            harness_sized(&h, at, 0, 60, 46, 4, 64);
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
    harness_sized(&h, SECOND, 0, 60, 46, 4, 64);
    for (uint64_t i = 0; i < 9; i++) {
        flow_table_set_timeouts(h.table, 60 * SECOND, (20 + i) * SECOND);
        harness_sized(&h, (2 + i) * SECOND, 0, 60, 46, 4, 64);
    }
    assert_int_equal(h.count, 0);
    harness_sized(&h, 11 * SECOND, 0, 60, 46, 4, 64);
    assert_int_equal(h.count, 1); /* ten seconds, as when it began */
    assert_int_equal(h.records[0].forward.delta_packets, 10);
    harness_sized(&h, 38 * SECOND, 0, 60, 46, 4, 64);
    assert_int_equal(h.count, 1);
    harness_sized(&h, 39 * SECOND, 0, 60, 46, 4, 64);
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

static struct flow_cold *cold_in(const struct flow_table *table)
{
    return flow_cold(table, harness_flow(table));
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
    harness_sized(&h, SECOND, 0, 60, 46, 18, 64);
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
            harness_sized(&h, SECOND, 0, 60, 46, 18, 64);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_of_hours_are_kept_to_the_packet),
        cmocka_unit_test(changed_timeouts_leave_the_deadline_of_a_flow),
        cmocka_unit_test(a_clock_that_goes_back_finds_flows_due_within_its_new_time),
        cmocka_unit_test(what_was_told_is_exact_in_any_form),
        cmocka_unit_test(deltas_add_up_whatever_becomes_of_a_flow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
