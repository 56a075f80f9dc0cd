/* Random connections of a model whose truth is known, against tcp_track.
 *
 * A client sends segments to a server; the sensor stands between. Before and behind the sensor a
 * packet may be lost, held up or doubled; the client sends again after three duplicate ACKs and
 * after a timeout; the server acknowledges at once, with SACK. What the sensor saw is counted
 * beside it with plain 64-bit positions and a set of bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sensor/flow/flow_harness.h"

#define SEGMENTS_MAX 400
#define EVENTS_MAX   20000
#define WINDOW       12
#define RTO_NS       (300 * MILLI)
#define HOP_NS       (8 * MILLI) /* sensor to server, one way; the client is as near */

struct rules {
    uint32_t loss_before, loss_behind, loss_acks; /* in 1000; data before and behind the sensor */
    uint32_t hidden;                              /* in 1000: passes, but is not captured */
    uint32_t held_up;                             /* in 1000: comes to the sensor 1 ms later */
    uint32_t doubled;                             /* in 1000: the switch shows it twice */
    bool one_loss_at_once;
    bool early_timeouts; /* some segments are sent again for nothing */
    bool has_sack, has_stamps;
    uint32_t initial_seq;
    uint32_t segment_bytes;
    uint32_t segments;
};

enum event_kind { DATA_AT_SENSOR, DATA_AT_SERVER, ACK_AT_SENSOR, ACK_AT_CLIENT, TIMER };

struct event {
    uint64_t at_ns, order;
    enum event_kind kind;
    uint32_t segment;  /* DATA, TIMER */
    uint32_t copy;     /* how often it had been sent before */
    uint32_t ack;      /* ACK: segments in a row */
    uint32_t from, to; /* ACK: of SACK, in segments; equal: none */
    uint32_t stamp, echo;
    bool is_early; /* TIMER: for nothing */
};

static struct model {
    struct rules rules;
    uint64_t random;
    struct event events[EVENTS_MAX];
    uint32_t count;
    uint64_t order, now_ns;
    /* client */
    uint32_t next, acked, duplicates, sent[SEGMENTS_MAX], recover;
    /* server */
    bool has[SEGMENTS_MAX];
    uint32_t in_row;
    uint32_t last_stamp;
    bool is_loss_open; /* `lost` has not come since */
    uint32_t lost;
    /* the truth at the sensor */
    bool seen[SEGMENTS_MAX];
    uint32_t highest; /* behind the last segment seen */
    uint32_t ack_seen;
    bool had_ack;
    uint64_t late, again, doubled, spurious, gaps, sent_again, fast, data_seen, acks_with_sack;
    uint64_t missed;
    struct harness harness;
} m;

static uint32_t chance(uint32_t in_1000)
{
    m.random ^= m.random << 13;
    m.random ^= m.random >> 7;
    m.random ^= m.random << 17;
    return in_1000 > 0 && (m.random >> 20) % 1000 < in_1000;
}

static void put(struct event event)
{
    assert_true(m.count < EVENTS_MAX);
    event.order = m.order++;
    uint32_t at = m.count++;
    for (; at > 0 &&
           (m.events[at - 1].at_ns < event.at_ns ||
            (m.events[at - 1].at_ns == event.at_ns && m.events[at - 1].order < event.order));
         at--) { /* the last one is the next */
        m.events[at] = m.events[at - 1];
    }
    m.events[at] = event;
}

static uint32_t stamp_now(void)
{
    return (uint32_t)(m.now_ns / MILLI) + 1;
}

static void send_segment(uint32_t segment)
{
    const uint32_t copy = m.sent[segment]++;

    m.sent_again += copy > 0;
    put((struct event){
        .at_ns = m.now_ns + RTO_NS * (1 + copy), .kind = TIMER, .segment = segment, .copy = copy});
    if (m.rules.early_timeouts && chance(60)) {
        put((struct event){.at_ns = m.now_ns + 40 * MILLI,
                           .kind = TIMER,
                           .segment = segment,
                           .copy = copy,
                           .is_early = true});
    }
    if (chance(m.rules.loss_before)) {
        return;
    }
    const uint64_t held_up = chance(m.rules.held_up) ? MILLI : 0;
    put((struct event){.at_ns = m.now_ns + HOP_NS + held_up,
                       .kind = DATA_AT_SENSOR,
                       .segment = segment,
                       .copy = copy,
                       .stamp = stamp_now()});
}

static void fill_window(void)
{
    while (m.next < m.rules.segments && m.next < m.acked + WINDOW) {
        send_segment(m.next++);
        m.now_ns += 10000; /* one behind the other */
    }
}

static struct optioned_segment frame_of(int side)
{
    return (struct optioned_segment){.at_ns = SECOND + m.now_ns, .side = side, .flags = TCP_ACK};
}

static uint32_t seq_of(uint32_t segment)
{
    return m.rules.initial_seq + 1 + segment * m.rules.segment_bytes;
}

static void see_data(const struct event *e)
{
    static uint16_t ip_id;
    struct optioned_segment frame = frame_of(0);

    frame.seq = seq_of(e->segment);
    frame.ack = 5001;
    frame.payload = m.rules.segment_bytes;
    frame.stamp = m.rules.has_stamps ? e->stamp : 0;
    frame.ip_id = ++ip_id != 0 ? ip_id : ++ip_id;
    const uint32_t shown = 1 + chance(m.rules.doubled);
    for (uint32_t i = 0; i < shown; i++) {
        const bool is_copy = i > 0;
        harness_tcp_options(&m.harness, frame);
        m.data_seen++;
        if (e->segment < m.highest) {
            m.late++;
            m.doubled += is_copy;
            m.again += !is_copy && m.seen[e->segment];
            m.spurious += !is_copy && m.had_ack && e->segment < m.ack_seen;
        } else {
            m.gaps += e->segment > m.highest;
            m.highest = e->segment + 1;
        }
        m.seen[e->segment] = true;
    }
}

static void see_ack(const struct event *e)
{
    struct optioned_segment frame = frame_of(1);

    frame.seq = 5001;
    frame.ack = seq_of(e->ack);
    frame.stamp = m.rules.has_stamps ? e->stamp : 0;
    frame.echo = m.rules.has_stamps ? e->echo : 0;
    if (m.rules.has_sack && e->from != e->to) {
        frame.sack_left = seq_of(e->from);
        frame.sack_right = seq_of(e->to);
        m.acks_with_sack++;
    }
    harness_tcp_options(&m.harness, frame);
    if (m.had_ack && e->ack <= m.ack_seen) {
        return;
    }
    m.had_ack = true;
    m.ack_seen = e->ack;
    if (m.ack_seen >= m.highest) { /* nothing is under way: what was not seen is missed */
        for (uint32_t i = 0; i < m.ack_seen; i++) {
            m.missed += m.seen[i] ? 0 : m.rules.segment_bytes;
            m.seen[i] = true;
        }
        m.highest = m.ack_seen;
    }
}

static void at_server(const struct event *e)
{
    m.has[e->segment] = true;
    if (e->segment <= m.in_row) {
        m.last_stamp = e->stamp; /* RFC 7323 4.3 */
    }
    while (m.in_row < m.rules.segments && m.has[m.in_row]) {
        m.in_row++;
    }
    m.is_loss_open = m.is_loss_open && !m.has[m.lost];
    uint32_t from = e->segment, to = e->segment + 1;
    if (e->segment < m.in_row) {
        from = to = 0;
    } else {
        while (from > m.in_row && m.has[from - 1]) {
            from--;
        }
        while (to < m.rules.segments && m.has[to]) {
            to++;
        }
    }
    put((struct event){.at_ns = m.now_ns + HOP_NS,
                       .kind = ACK_AT_SENSOR,
                       .ack = m.in_row,
                       .from = from,
                       .to = to,
                       .stamp = stamp_now(),
                       .echo = m.last_stamp});
}

static void at_client(const struct event *e)
{
    if (e->ack > m.acked) {
        m.acked = e->ack;
        m.duplicates = 0;
        if (m.acked < m.recover) { /* a partial one: the next hole (RFC 6582) */
            send_segment(m.acked);
        }
    } else if (e->ack == m.acked && m.acked < m.next && ++m.duplicates == 3 &&
               m.acked >= m.recover) {
        m.recover = m.next;
        m.fast++;
        send_segment(m.acked);
    }
    fill_window();
}

static void step(const struct event *e)
{
    struct event next = *e;

    switch (e->kind) {
    case DATA_AT_SENSOR:
        if (!chance(m.rules.hidden)) {
            see_data(e);
        }
        if (m.rules.one_loss_at_once ? !m.is_loss_open && chance(m.rules.loss_behind)
                                     : chance(m.rules.loss_behind)) {
            m.is_loss_open = true;
            m.lost = e->segment;
            return;
        }
        next.kind = DATA_AT_SERVER;
        next.at_ns = m.now_ns + HOP_NS;
        put(next);
        break;
    case DATA_AT_SERVER:
        at_server(e);
        break;
    case ACK_AT_SENSOR:
        see_ack(e);
        if (!chance(m.rules.loss_acks)) {
            next.kind = ACK_AT_CLIENT;
            next.at_ns = m.now_ns + HOP_NS;
            put(next);
        }
        break;
    case ACK_AT_CLIENT:
        at_client(e);
        break;
    case TIMER:
        if (e->segment < m.acked || m.sent[e->segment] != e->copy + 1) {
            break;
        }
        if (e->segment == m.acked || e->is_early) {
            send_segment(e->segment);
        } else { /* one is before it */
            next.at_ns = m.now_ns + 50 * MILLI;
            put(next);
        }
        break;
    }
}

static struct flow_record run(const struct rules *rules, uint64_t seed)
{
    const struct flow_settings settings = harness_settings();

    memset(&m, 0, sizeof(m));
    m.rules = *rules;
    m.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    harness_start(&m.harness, &settings);
    struct optioned_segment open[3] = {frame_of(0), frame_of(1), frame_of(0)};
    open[0].flags = TCP_SYN;
    open[0].seq = rules->initial_seq;
    open[0].ack = 0;
    open[1].flags = TCP_SYN | TCP_ACK;
    open[1].seq = 5000;
    open[1].at_ns += 2 * HOP_NS;
    open[2].seq = rules->initial_seq + 1;
    open[2].ack = 5001;
    open[2].at_ns += 4 * HOP_NS;
    open[1].ack = open[2].seq;
    for (int i = 0; i < 3; i++) {
        open[i].sack_permitted = rules->has_sack && i < 2;
        harness_tcp_options(&m.harness, open[i]);
    }
    m.now_ns = 4 * HOP_NS;
    fill_window();
    while (m.count > 0) {
        const struct event event = m.events[--m.count];
        m.now_ns = event.at_ns > m.now_ns ? event.at_ns : m.now_ns;
        step(&event);
    }
    assert_int_equal(m.acked, rules->segments);
    harness_finish(&m.harness, 0);
    const struct flow_record record = *harness_last(&m.harness);
    assert_int_equal(record.event, FLOW_END);
    return record;
}

/* What holds of every connection. */
static void check(const struct flow_record *r)
{
    const struct flow_tcp_direction *f = &r->tcp.forward;

    assert_int_equal(f->retransmitted_segments + f->out_of_order_segments + f->duplicate_packets,
                     m.late);
    assert_int_equal(f->sequence_gaps, m.gaps);
    assert_int_equal(f->retransmitted_bytes, f->retransmitted_segments * m.rules.segment_bytes);
    assert_true(f->fast_retransmissions + f->spurious_retransmissions <= f->retransmitted_segments);
    assert_true(f->retransmitted_segments + f->duplicate_packets >= m.again);
    assert_int_equal(r->tcp.reverse.retransmitted_segments, 0);
    assert_int_equal(r->tcp.reverse.sack_acks, m.acks_with_sack);
    assert_true(r->tcp.server_rtt.samples > 0);
    if (m.rules.hidden == 0) { /* else a first copy may be unknown: Karn's rule is blind */
        assert_true(r->tcp.server_rtt.min_ns >= 2 * HOP_NS); /* none is faster than the way */
    }
    assert_string_equal(r->tcp.conn_state, "S1");
    assert_int_equal(r->tcp.handshake_ns, 4 * HOP_NS);
    harness_stop(&m.harness);
}

static const struct rules plain = {.initial_seq = 1000, .segment_bytes = 100, .segments = 120};

static void a_clean_connection_has_no_faults(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rules rules = plain;
        rules.has_sack = seed & 1;
        rules.has_stamps = seed & 2;
        const struct flow_record r = run(&rules, seed);
        assert_int_equal(m.late, 0);
        assert_int_equal(r.tcp.reverse.duplicate_acks, 0);
        assert_int_equal(r.forward.missed_bytes, 0);
        assert_int_equal(r.tcp.server_rtt.max_ns, 2 * HOP_NS);
        check(&r);
    }
}

static void losses_behind_the_sensor_are_fast_retransmissions(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rules rules = plain;
        rules.loss_behind = 30;
        rules.one_loss_at_once = true;
        rules.has_sack = seed & 1;
        rules.has_stamps = seed & 2;
        const struct flow_record r = run(&rules, seed);
        assert_int_equal(r.tcp.forward.retransmitted_segments, m.sent_again);
        assert_int_equal(r.tcp.forward.fast_retransmissions, m.fast);
        assert_int_equal(r.tcp.forward.spurious_retransmissions, 0);
        assert_int_equal(r.tcp.forward.out_of_order_segments, 0);
        assert_int_equal(r.forward.missed_bytes, 0);
        check(&r);
    }
}

static void early_timeouts_are_spurious_where_the_sensor_knew_better(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rules rules = plain;
        rules.early_timeouts = true;
        rules.loss_acks = 100;
        rules.has_stamps = seed & 2;
        const struct flow_record r = run(&rules, seed);
        assert_int_equal(r.tcp.forward.retransmitted_segments, m.sent_again);
        assert_int_equal(r.tcp.forward.spurious_retransmissions, m.spurious);
        assert_int_equal(r.tcp.forward.out_of_order_segments, 0);
        assert_int_equal(r.forward.missed_bytes, 0);
        check(&r);
    }
}

static void what_the_capture_lost_is_missed_to_the_byte(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rules rules = plain;
        rules.hidden = 80;
        rules.has_sack = seed & 1;
        const struct flow_record r = run(&rules, seed);
        assert_int_equal(r.forward.missed_bytes, m.missed);
        assert_int_equal(r.tcp.forward.retransmitted_segments, 0);
        check(&r);
    }
}

static void what_the_switch_shows_twice_is_no_retransmission(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct rules rules = plain;
        rules.doubled = 100;
        const struct flow_record r = run(&rules, seed);
        assert_int_equal(r.tcp.forward.duplicate_packets, m.doubled);
        assert_int_equal(r.tcp.forward.retransmitted_segments, 0);
        check(&r);
    }
}

static void what_is_held_up_within_the_round_trip_is_out_of_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rules rules = plain;
        rules.held_up = 20;
        const struct flow_record r = run(&rules, seed);
        /* The client takes three duplicate ACKs for a loss: those copies are sent again. */
        assert_int_equal(r.tcp.forward.out_of_order_segments, m.late - m.again);
        assert_int_equal(r.tcp.forward.retransmitted_segments, m.again);
        check(&r);
    }
}

/* All at once: nothing is counted twice or lost, and the figures do not depend on where in the
 * sequence space the connection begins, so neither on its wrap. */
static void everything_at_once_is_the_same_around_the_wrap(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rules rules = plain;
        rules.loss_before = (uint32_t)(seed % 40);
        rules.loss_behind = (uint32_t)(seed % 30);
        rules.loss_acks = (uint32_t)(seed % 50);
        rules.hidden = seed % 3 == 0 ? 20 : 0;
        rules.held_up = seed % 5 == 0 ? 30 : 0;
        rules.doubled = seed % 7 == 0 ? 50 : 0;
        rules.early_timeouts = seed % 4 == 0;
        rules.has_sack = seed & 1;
        rules.has_stamps = seed & 2;
        struct flow_record r = run(&rules, seed);
        const struct flow_tcp before = r.tcp;
        const uint64_t missed = r.forward.missed_bytes;
        check(&r);
        rules.initial_seq = (uint32_t)(0 - 100 * (seed % 110) - seed % 100);
        r = run(&rules, seed);
        assert_memory_equal(&before, &r.tcp, sizeof(before));
        assert_int_equal(missed, r.forward.missed_bytes);
        check(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_connection_has_no_faults),
        cmocka_unit_test(losses_behind_the_sensor_are_fast_retransmissions),
        cmocka_unit_test(early_timeouts_are_spurious_where_the_sensor_knew_better),
        cmocka_unit_test(what_the_capture_lost_is_missed_to_the_byte),
        cmocka_unit_test(what_the_switch_shows_twice_is_no_retransmission),
        cmocka_unit_test(what_is_held_up_within_the_round_trip_is_out_of_order),
        cmocka_unit_test(everything_at_once_is_the_same_around_the_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
