#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/datagram_script.h"

#define FRAGMENT 496u
#define TOTAL    1800u

/* The n-th fragment of a datagram of TOTAL bytes. */
static struct fragment_sent nth(uint32_t id, uint32_t n)
{
    const uint32_t offset = n * FRAGMENT;
    const bool is_last = offset + FRAGMENT >= TOTAL;

    return (struct fragment_sent){.id = id,
                                  .offset = offset,
                                  .length = is_last ? TOTAL - offset : FRAGMENT,
                                  .total = TOTAL,
                                  .is_last = is_last,
                                  .time_ns = 1000 + n};
}

static void start(uint8_t ip_version, uint8_t protocol)
{
    pieces_start(ip_version, protocol, 16);
    pieces.is_watched = true;
}

static void four_fragments_in_any_order_are_one_datagram(void **state)
{
    (void)state;
    for (uint32_t order = 0; order < 4 * 4 * 4 * 4; order++) {
        const uint32_t n[4] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6};
        if ((1u << n[0] | 1u << n[1] | 1u << n[2] | 1u << n[3]) != 15) {
            continue;
        }
        start(order & 1 ? 4 : 6, order & 2 ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP);
        const uint32_t header = order & 2 ? 8 : 20;
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(pieces.deliveries, 0);
            pieces_send(nth(7, n[i]));
        }
        assert_int_equal(pieces.deliveries, 1);
        assert_int_equal(pieces.delivered_bytes, TOTAL - header);
        assert_int_equal(pieces.source_port, 4000);
        assert_int_equal(pieces.tcp_seq, order & 2 ? 0 : 0x01020304);
        assert_int_equal(pieces.inspect.statistics.datagrams_completed, 1);
        assert_int_equal(pieces.inspect.statistics.states_used, 0);
        pieces_finish();
    }
}

static void two_datagrams_do_not_mix(void **state)
{
    (void)state;
    start(4, IP_PROTOCOL_UDP);
    pieces_send(nth(1, 0));
    pieces_send(nth(2, 1));
    pieces_send(nth(1, 2));
    pieces_send(nth(2, 3));
    pieces_send(nth(1, 3));
    assert_int_equal(pieces.deliveries, 0);
    pieces_send(nth(1, 1));
    assert_int_equal(pieces.deliveries, 1);
    pieces_send(nth(2, 0));
    pieces_send(nth(2, 2));
    assert_int_equal(pieces.deliveries, 2);
    pieces_finish();
    assert_int_equal(pieces.deliveries, 2);
}

static void a_first_fragment_without_the_whole_tcp_header_is_joined(void **state)
{
    (void)state;
    start(4, IP_PROTOCOL_TCP);
    pieces_send((struct fragment_sent){.id = 1, .offset = 0, .length = 8, .total = 60});
    pieces_send((struct fragment_sent){.id = 1, .offset = 8, .length = 16, .total = 60});
    pieces_send(
        (struct fragment_sent){.id = 1, .offset = 24, .length = 36, .total = 60, .is_last = true});
    assert_int_equal(pieces.deliveries, 1);
    assert_int_equal(pieces.delivered_bytes, 40);
    pieces_finish();
}

static void extension_headers_behind_the_fragment_header_are_read(void **state)
{
    (void)state;
    for (uint32_t first = 0; first < 4; first++) {
        start(6, first & 1 ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP);
        pieces.has_extension = true;
        for (uint32_t i = 0; i < 4; i++) {
            pieces_send(nth(9, (first + i) & 3));
        }
        assert_int_equal(pieces.deliveries, 1);
        assert_int_equal(pieces.delivered_bytes, TOTAL - PIECES_EXTENSION - (first & 1 ? 8 : 20));
        assert_int_equal(pieces.source_port, 4000);
        pieces_finish();
    }
}

/* More than a 64 KiB block with its headers holds is given up, not written beyond. */
static void a_datagram_of_the_largest_size_is_no_harm(void **state)
{
    (void)state;
    for (int version = 4; version <= 6; version += 2) {
        start((uint8_t)version, IP_PROTOCOL_UDP);
        pieces.is_watched = false;
        for (uint32_t at = 0; at < 65528; at += 1480) {
            const uint32_t length = 65528 - at < 1480 ? 65528 - at : 1480;
            pieces_send((struct fragment_sent){.id = 3,
                                               .offset = at,
                                               .length = length,
                                               .total = 65528,
                                               .is_last = at + 1480 >= 65528});
        }
        assert_int_equal(pieces.inspect.statistics.datagrams_dropped, 1);
        assert_int_equal(pieces.deliveries, 1); /* what stood whole from the start */
        pieces_finish();
    }
}

static void with_ipv4_the_byte_seen_first_stands(void **state)
{
    struct fragment_sent again = nth(1, 1);

    (void)state;
    start(4, IP_PROTOCOL_UDP);
    pieces_send(nth(1, 1));
    again.offset -= 96;
    again.length += 96;
    again.twist = 0x20;
    pieces_send(again);
    pieces_send(nth(1, 0));
    pieces_send(nth(1, 2));
    pieces_send(nth(1, 3));
    assert_int_equal(pieces.deliveries, 1);
    assert_int_equal(pieces.inspect.statistics.datagram_conflicts, 2);
    assert_int_equal(pieces.inspect.statistics.datagram_overlaps, 2);
    assert_int_not_equal(pieces.flow.bits & INSPECT_SAW_CONFLICT, 0);
    pieces_finish();
}

static void with_ipv6_an_overlap_ends_the_datagram_and_a_copy_does_not(void **state)
{
    struct fragment_sent overlap = nth(1, 1);

    (void)state;
    start(6, IP_PROTOCOL_UDP);
    pieces_send(nth(1, 0));
    pieces_send(nth(1, 0));
    assert_int_equal(pieces.inspect.statistics.datagram_overlaps, 0);
    overlap.offset -= 8;
    pieces_send(overlap);
    assert_int_equal(pieces.inspect.statistics.datagram_overlaps, 1);
    assert_int_equal(pieces.inspect.statistics.datagrams_dropped, 1);
    assert_int_equal(pieces.deliveries, 1); /* what stood whole from the start */
    assert_int_equal(pieces.delivered_bytes, FRAGMENT - 8);
    for (uint32_t n = 0; n < 4; n++) {
        pieces_send(nth(1, n)); /* and nothing more of it */
    }
    assert_int_equal(pieces.deliveries, 1);
    pieces_finish();
    assert_int_equal(pieces.deliveries, 1);
}

static void pieces_that_contradict_each_other_end_the_datagram(void **state)
{
    const struct fragment_sent beyond[] = {
        {.id = 1, .offset = 65528, .length = 8, .is_last = true},           /* too long */
        {.id = 1, .offset = 1000, .length = 8, .is_last = true},            /* a second end */
        {.id = 1, .offset = TOTAL, .length = 8},                            /* beyond the end */
        {.id = 1, .offset = 160, .length = 8, .cut = 5},                    /* cut */
        {.id = 1, .offset = 8, .length = 8, .is_last = true, .twist = 255}, /* an earlier end */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        start(4, IP_PROTOCOL_UDP);
        pieces.is_watched = false;
        pieces_send(nth(1, 0));
        pieces_send(nth(1, 3)); /* the end */
        pieces_send(beyond[i]);
        assert_int_equal(pieces.inspect.statistics.datagrams_dropped, 1);
        assert_int_equal(pieces.deliveries, 1);
        assert_true(pieces.declared_bytes >= pieces.delivered_bytes);
        pieces_finish();
    }
}

static void one_that_is_too_old_is_read_as_far_as_it_goes(void **state)
{
    struct fragment_sent late = nth(2, 1);

    (void)state;
    start(4, IP_PROTOCOL_UDP);
    pieces_send(nth(1, 0));
    late.time_ns = 1000 + 30000;
    pieces_send(late);
    assert_int_equal(pieces.deliveries, 0);
    late.time_ns++;
    pieces_send(late);
    assert_int_equal(pieces.deliveries, 1);
    assert_int_equal(pieces.delivered_bytes, FRAGMENT - 8);
    assert_int_equal(pieces.delivered_ns, 1000);
    assert_int_equal(pieces.inspect.statistics.datagrams_timed_out, 1);
    pieces_finish(); /* the other one has no start */
    assert_int_equal(pieces.deliveries, 1);
}

static void the_end_of_the_flow_reads_what_is_there(void **state)
{
    (void)state;
    start(6, IP_PROTOCOL_UDP);
    pieces_send(nth(1, 0));
    pieces_send(nth(1, 1));
    pieces_finish();
    assert_int_equal(pieces.deliveries, 1);
    assert_int_equal(pieces.delivered_bytes, 2 * FRAGMENT - 8);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    start(4, IP_PROTOCOL_UDP);
    for (uint32_t id = 1; id <= DATAGRAMS_FLOW_MAX + 1; id++) {
        pieces_send(nth(id, 0));
    }
    assert_int_equal(pieces.inspect.statistics.datagrams_evicted, 1);
    assert_int_equal(pieces.inspect.statistics.datagrams_used, DATAGRAMS_FLOW_MAX);
    pieces.inspect.datagrams_max = DATAGRAMS_FLOW_MAX;
    struct flow first = pieces.flow, other = {.key = pieces.flow.key};
    pieces.flow = other;
    pieces_send(nth(1, 0));
    assert_int_equal(pieces.inspect.statistics.datagrams_evicted, 2);
    datagrams_drop(&pieces.inspect, &pieces.flow);
    pieces.flow = first;
    for (uint32_t n = 1; n < 4; n++) {
        pieces_send(nth(5, n));
    }
    assert_int_equal(pieces.deliveries, 1);
    pieces_finish();
}

static void with_no_state_left_the_first_fragment_alone_is_read(void **state)
{
    (void)state;
    start(4, IP_PROTOCOL_UDP);
    pieces.inspect.blocks_max = 0;
    pieces_send(nth(1, 0));
    pieces_send(nth(1, 1));
    assert_int_equal(pieces.deliveries, 1);
    assert_int_equal(pieces.delivered_bytes, FRAGMENT - 8);
    pieces_finish();
}

static void any_fragments_give_the_bytes_seen_first(void **state)
{
    uint8_t script[400];

    (void)state;
    for (unsigned seed = 1; seed <= 5000; seed++) {
        uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15);
        for (size_t i = 0; i < sizeof(script); i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            script[i] = (uint8_t)(x >> 24);
        }
        pieces.seed = seed;
        pieces_script(script, sizeof(script));
    }
}

/* An IPv4 header without offset and without more fragments, with the id of a datagram whose pieces
 * are under way: its bytes are none of that datagram's, and those of the next piece are seen first.
 */
static void a_whole_packet_of_the_same_id_is_no_piece(void **state)
{
    static const uint8_t script[] = {
        0x02, 0, 0, 8,  0,    /* TCP: the first 8 bytes */
        0x03, 0, 0, 21, 0,    /* whole: 21 bytes from the start, nothing behind them */
        0x07, 0, 0, 64, 0xe3, /* 64 bytes from the start that differ, more behind them */
    };

    (void)state;
    pieces_script(script, sizeof(script));
}

/* The header of a datagram put together names another port: nothing of it is delivered, and a piece
 * with its id begins a new one. */
static void a_datagram_of_another_flow_ends_too(void **state)
{
    static const uint8_t script[] = {
        0x00, 0, 0, 3,    0,    /* UDP: the first 3 bytes */
        0x27, 0, 0, 0x3f, 0x11, /* 63 bytes from the start that differ, the port among them */
        0x23, 0, 2, 0x40, 0,    /* the last 64, from the 16th on: whole */
        0x00, 0, 0, 0x17, 0,    /* 23 bytes as they are, more behind them */
    };

    (void)state;
    pieces_script(script, sizeof(script));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_fragments_in_any_order_are_one_datagram),
        cmocka_unit_test(two_datagrams_do_not_mix),
        cmocka_unit_test(a_first_fragment_without_the_whole_tcp_header_is_joined),
        cmocka_unit_test(extension_headers_behind_the_fragment_header_are_read),
        cmocka_unit_test(a_datagram_of_the_largest_size_is_no_harm),
        cmocka_unit_test(with_ipv4_the_byte_seen_first_stands),
        cmocka_unit_test(with_ipv6_an_overlap_ends_the_datagram_and_a_copy_does_not),
        cmocka_unit_test(pieces_that_contradict_each_other_end_the_datagram),
        cmocka_unit_test(one_that_is_too_old_is_read_as_far_as_it_goes),
        cmocka_unit_test(the_end_of_the_flow_reads_what_is_there),
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(with_no_state_left_the_first_fragment_alone_is_read),
        cmocka_unit_test(any_fragments_give_the_bytes_seen_first),
        cmocka_unit_test(a_whole_packet_of_the_same_id_is_no_piece),
        cmocka_unit_test(a_datagram_of_another_flow_ends_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
