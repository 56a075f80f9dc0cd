/* The common way of a TCP segment (tcp_count_plain) against the long one (tcp_measure): random
 * connections, most of whose segments are in order, are played to two tables, one of which takes
 * the long way for all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/flow/tcp_plain_internal.h"
#include "tests/unit/sensor/flow/flow_harness.h"

#define CONNECTIONS 400
#define SEGMENTS    300

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 20) % below);
}

/* What one side of a connection has sent. */
struct side {
    uint32_t seq, ack;
    uint16_t window;
};

static struct model {
    struct harness plain, whole;
    struct side sides[2];
    uint64_t now_ns;
    bool has_stamps;
    uint32_t fault;     /* in 1000: a segment is any */
    bool is_mild;       /* such faults take no struct flow_tcp_faults */
    uint64_t long_ways; /* the longest round trip */
} m;

static void play(struct optioned_segment segment)
{
    harness_tcp_options(&m.plain, segment);
    harness_tcp_options(&m.whole, segment);
}

static void start_table(struct harness *h, bool is_plain)
{
    struct flow_settings settings = harness_settings();

    settings.idle_timeout_ns = 0;
    harness_start(h, &settings);
    if (!is_plain) {
        h->table->plain_flags = UINT8_MAX;
    }
}

static void start(uint64_t seed)
{
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    m.now_ns = SECOND * (1 + draw(1000)) + draw(1000000);
    m.has_stamps = draw(2) == 0;
    m.fault = (uint32_t[]){0, 10, 200}[draw(3)];
    m.is_mild = draw(2) == 0;
    m.long_ways = (uint64_t[]){MILLI, 100 * MILLI, 9 * SECOND, 400 * SECOND}[draw(4)];
    m.sides[0] = (struct side){.seq = draw(2) == 0 ? UINT32_MAX - draw(5000) : draw(UINT32_MAX),
                               .window = (uint16_t)(1000 + draw(60000))};
    m.sides[1] = (struct side){.seq = draw(UINT32_MAX), .window = (uint16_t)(1000 + draw(60000))};
    m.sides[0].ack = m.sides[1].seq;
    m.sides[1].ack = m.sides[0].seq;
    start_table(&m.plain, true);
    start_table(&m.whole, false);
}

static struct optioned_segment segment_of(int direction, uint8_t flags, uint32_t payload)
{
    return (struct optioned_segment){.at_ns = m.now_ns,
                                     .side = direction,
                                     .flags = flags,
                                     .seq = m.sides[direction].seq,
                                     .ack = m.sides[direction].ack,
                                     .window = m.sides[direction].window,
                                     .payload = payload,
                                     .stamp = m.has_stamps ? (uint32_t)(m.now_ns / MILLI) : 0,
                                     .ip_id = (uint16_t)draw(65536)};
}

static void send_syn(void)
{
    struct optioned_segment syn = segment_of(0, TCP_SYN, 0);

    syn.ack = 0;
    syn.scale = (uint8_t)draw(9);
    syn.payload = draw(8) == 0 ? 10 : 0; /* RFC 7413 */
    play(syn);
    m.sides[0].seq += 1 + syn.payload;
    m.sides[1].ack = m.sides[0].seq;
    m.now_ns += draw((uint32_t)MILLI);
}

static void handshake(void)
{
    send_syn();
    if (draw(8) == 0) { /* seen too early */
        struct optioned_segment early = segment_of(0, TCP_ACK, 0);

        early.ack++;
        play(early);
    }
    struct optioned_segment answer = segment_of(1, TCP_SYN | TCP_ACK, 0);

    answer.scale = (uint8_t)draw(9);
    play(answer);
    m.sides[1].seq++;
    m.sides[0].ack = m.sides[1].seq;
    play(segment_of(0, TCP_ACK, 0));
}

/* The server's SYN is never seen, and the client is the first to go. */
static void half_open(void)
{
    send_syn();
    for (unsigned i = 0; i < 3; i++) {
        m.sides[1].ack = m.sides[0].seq;
        play(segment_of(1, TCP_ACK, 0));
        m.sides[0].ack = m.sides[1].seq;
        play(segment_of(0, TCP_ACK, 0));
    }
    if (draw(2) == 0) {
        play(segment_of(0, TCP_ACK | TCP_FIN, 0));
        m.sides[0].seq++;
        m.sides[1].ack = m.sides[0].seq;
        play(segment_of(1, TCP_ACK, 0));
    }
}

/* `direction` sends as much as its peer has room for, where that told no scale. */
static void fill_window(int direction)
{
    struct side *side = &m.sides[direction], *peer = &m.sides[!direction];

    peer->ack = side->seq;
    peer->window = (uint16_t)(2 + draw(1400));
    play(segment_of(!direction, TCP_ACK, 0));
    play(segment_of(direction, TCP_ACK, peer->window));
    side->seq += peer->window;
}

/* What a sensor may see of a connection that is none. */
static void spoil(struct optioned_segment *segment)
{
    struct optioned_segment next = *segment;

    switch (draw(m.is_mild ? 3 : 10)) {
    case 0:
        segment->at_ns -= draw(2 * (uint32_t)MILLI);
        break;
    case 1:
        segment->window = (uint16_t)draw(65536);
        break;
    case 2:
        next.at_ns += 1000;
        play(*segment); /* twice */
        *segment = next;
        break;
    case 3:
        segment->seq -= draw(3000);
        break;
    case 4:
        segment->seq += draw(3000);
        break;
    case 5:
        segment->ack += draw(3000);
        break;
    case 6:
        segment->ack -= draw(3000);
        break;
    case 7:
        segment->window = 1; /* that is none */
        break;
    case 8:
        segment->flags = (uint8_t)draw(64);
        break;
    default:
        segment->sack_left = segment->ack + draw(3000);
        segment->sack_right = segment->sack_left + draw(3000);
        break;
    }
}

static void next_segment(void)
{
    const int direction = (int)draw(2);
    struct side *side = &m.sides[direction];
    static const uint32_t payloads[] = {0, 0, 1, 6, 100, 1400};
    const uint32_t payload = payloads[draw(ARRAY_COUNT(payloads))];

    m.now_ns += (uint64_t)draw(1000) * draw(1000) * (m.long_ways / 1000000);
    if (draw(3) != 0) {
        side->ack = m.sides[!direction].seq;
    }
    if (draw(8) == 0) {
        side->window = (uint16_t)(2 + draw(65000));
    }
    struct optioned_segment segment = segment_of(direction, TCP_ACK, payload);

    if (draw(1000) < m.fault) {
        spoil(&segment);
    }
    play(segment);
    if (segment.seq == side->seq) {
        side->seq += payload;
    }
}

static void assert_same_sums(void)
{
    const struct flow_table_statistics a = flow_table_statistics(m.plain.table);
    const struct flow_table_statistics b = flow_table_statistics(m.whole.table);

    assert_memory_equal(&a, &b, sizeof(a));
}

/* All that is known of the connection, told or not. */
static void assert_same_flows(void)
{
    assert_int_equal(m.plain.table->count, m.whole.table->count);
    if (m.plain.table->count != 1) {
        return;
    }
    const struct flow *a = harness_flow(m.plain.table), *b = harness_flow(m.whole.table);

    assert_memory_equal(a, b, sizeof(*a));
    if (flow_has_tcp_part(a)) {
        assert_memory_equal(flow_tcp_part(m.plain.table, a), flow_tcp_part(m.whole.table, b),
                            sizeof(struct flow_tcp_part));
    }
}

static void finish(void)
{
    assert_same_flows();
    harness_finish(&m.plain, 0);
    harness_finish(&m.whole, 0);
    assert_int_equal(m.plain.count, m.whole.count);
    for (uint32_t i = 0; i < m.plain.count; i++) {
        assert_memory_equal(&m.plain.records[i], &m.whole.records[i], sizeof(m.plain.records[i]));
    }
    assert_same_sums();
    harness_stop(&m.plain);
    harness_stop(&m.whole);
}

static void both_ways_of_a_segment_give_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= CONNECTIONS; seed++) {
        start(seed);
        switch (draw(5)) {
        case 0: /* it is met in its midst */
            break;
        case 1:
            half_open();
            break;
        default:
            handshake();
        }
        for (uint32_t left = draw(4) == 0 ? draw(4) : SEGMENTS; left > 0; left--) {
            next_segment();
            if (draw(50) == 0) {
                fill_window((int)draw(2));
            }
        }
        assert_same_sums();
        finish();
    }
}

/* The test above would hold if nothing went the common way. */
static void most_segments_of_a_transfer_go_the_common_way(void **state)
{
    struct optioned_segment segment;
    unsigned plain = 0;

    (void)state;
    start(1);
    m.has_stamps = false;
    handshake();
    for (unsigned i = 0; i < 100; i++) {
        const int direction = (int)(i & 1);
        const struct packet packet = {.time_ns = m.now_ns,
                                      .tcp_flags = TCP_ACK,
                                      .tcp_seq = m.sides[direction].seq,
                                      .tcp_ack = m.sides[!direction].seq,
                                      .tcp_window = 2000,
                                      .payload_bytes = 100};

        plain += i >= 4 && tcp_is_plain(m.plain.table,
                                        flow_tcp_part(m.plain.table, harness_flow(m.plain.table)),
                                        &packet, direction, TCP_ESTABLISHED);
        m.sides[direction].ack = m.sides[!direction].seq;
        m.sides[direction].window = 2000;
        segment = segment_of(direction, TCP_ACK, 100);
        play(segment);
        m.sides[direction].seq += 100;
        m.now_ns += 10 * MILLI;
    }
    assert_int_equal(plain, 96);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_of_a_segment_give_the_same),
        cmocka_unit_test(most_segments_of_a_transfer_go_the_common_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
