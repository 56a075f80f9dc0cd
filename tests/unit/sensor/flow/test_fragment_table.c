/* Fragments find their flow in any order; what lies, overlaps or never ends is counted once too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/flow/fragment_table.h"
#include "tests/support/packet_builder.h"

#define SECOND UINT64_C(1000000000)
#define MILLI  UINT64_C(1000000)
#define START  (UINT64_C(1700000000) * SECOND)

static struct fragment_table *table;
static uint8_t buffer[4096];
static struct packet_builder b;
static struct packet packet;

static void start(uint32_t datagrams, uint32_t held)
{
    const struct fragment_settings settings = {.datagrams_max = datagrams,
                                               .held_max = held,
                                               .timeout_v4_ns = 30 * SECOND,
                                               .timeout_v6_ns = 60 * SECOND,
                                               .key = {1, 2}};
    struct error err = {0};

    fragment_table_free(table);
    table = fragment_table_new(&settings, &err);
    assert_non_null(table);
}

static int stop(void **state)
{
    (void)state;
    fragment_table_free(table);
    table = NULL;
    return 0;
}

struct piece {
    uint64_t at_ns; /* after START */
    uint16_t id;
    uint32_t offset, bytes; /* of the datagram's data: a UDP header stands in the first 8 */
    bool is_last;
    uint16_t source_port; /* of a first one; 0: 4000 */
    const char *source;   /* NULL: 10.0.0.1 */
};

/* The frame of a piece of a UDP datagram to 10.0.0.2:53, in `buffer`. */
static struct frame frame_of(struct piece p)
{
    const uint16_t port = p.source_port != 0 ? p.source_port : 4000;
    uint8_t data[2048] = {(uint8_t)(port >> 8), (uint8_t)port, 0, 53, 0x10, 0};

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_ipv4(&b, (struct build_ip){.source = p.source != NULL ? p.source : "10.0.0.1",
                                     .target = "10.0.0.2",
                                     .protocol = 17,
                                     .id = p.id,
                                     .fragment_offset_bytes = (uint16_t)p.offset,
                                     .has_more_fragments = !p.is_last});
    build_bytes(&b, p.offset == 0 ? data : data + 8, p.bytes);
    return build_frame(&b, START + p.at_ns);
}

static enum fragment_verdict add(struct piece p)
{
    const struct frame frame = frame_of(p);

    (void)packet_decode(&frame, 0, &packet);
    assert_true(fragment_table_wants(&packet));
    if (fragment_table_due_ns(table) <= frame.time_ns) {
        fragment_table_expire(table, frame.time_ns);
    }
    return fragment_table_add(table, &packet, frame.bytes);
}

/* The next one let go, as it is. */
static const struct packet *next(void)
{
    struct packet *out;
    const uint8_t *frame;

    return fragment_table_next(table, &out, &frame) ? out : NULL;
}

static uint64_t count(const struct counter *counter)
{
    return counter_get(counter);
}

static void a_later_fragment_gets_the_ports_of_the_first(void **state)
{
    (void)state;
    start(16, 16);
    assert_int_equal(add((struct piece){.id = 7, .bytes = 800}), FRAGMENT_COUNT);
    assert_int_equal(packet.source_port, 4000);
    assert_int_equal(add((struct piece){1, 7, 800, 100, true, 0, NULL}), FRAGMENT_COUNT);
    assert_int_equal(packet.facts & PACKET_HAS_PORTS, PACKET_HAS_PORTS);
    assert_int_equal(packet.facts & PACKET_IS_LATER_FRAGMENT, PACKET_IS_LATER_FRAGMENT);
    assert_int_equal(packet.facts & (PACKET_WAS_HELD | PACKET_FRAGMENT_FAULT), 0);
    assert_int_equal(packet.source_port, 4000);
    assert_int_equal(packet.target_port, 53);
    const struct fragment_counts *counts = fragment_table_counts(table);

    assert_int_equal(count(&counts->fragments), 2);
    assert_int_equal(count(&counts->datagrams), 1);
    assert_int_equal(count(&counts->completed), 1);
    assert_int_equal(count(&counts->attributed), 1);
    assert_int_equal(count(&counts->held), 0);
}

static void another_id_or_sender_is_another_datagram(void **state)
{
    (void)state;
    start(16, 16);
    (void)add((struct piece){.id = 7, .bytes = 800});
    assert_int_equal(add((struct piece){1, 8, 800, 100, true, 0, NULL}), FRAGMENT_HELD);
    assert_int_equal(add((struct piece){1, 7, 800, 100, true, 0, "10.0.0.9"}), FRAGMENT_HELD);
}

static void fragments_before_the_first_wait_for_it(void **state)
{
    (void)state;
    start(16, 16);
    assert_int_equal(add((struct piece){1, 7, 1600, 100, true, 0, NULL}), FRAGMENT_HELD);
    assert_int_equal(add((struct piece){2, 7, 800, 800, false, 0, NULL}), FRAGMENT_HELD);
    assert_null(next());
    assert_int_equal(count(&fragment_table_counts(table)->held_now), 2);
    assert_int_equal(add((struct piece){5, 7, 0, 800, false, 0, NULL}), FRAGMENT_COUNT);
    for (uint64_t seen = 1; seen <= 2; seen++) {
        struct packet *out;
        const uint8_t *frame;

        assert_true(fragment_table_next(table, &out, &frame));
        assert_int_equal(out->source_port, 4000);
        assert_int_equal(out->facts & PACKET_WAS_HELD, PACKET_WAS_HELD);
        assert_int_equal(out->held_since_ns, START + seen);
        assert_int_equal(out->time_ns, START + 5); /* counted when it is known */
        assert_non_null(frame);                    /* and its bytes are there */
        assert_int_equal(frame[out->network_offset] >> 4, 4);
    }
    assert_null(next());
    assert_int_equal(count(&fragment_table_counts(table)->held_now), 0);
    assert_int_equal(count(&fragment_table_counts(table)->held), 2);
    assert_int_equal(count(&fragment_table_counts(table)->attributed), 2);
    assert_int_equal(count(&fragment_table_counts(table)->completed), 1);
}

static void what_never_gets_its_first_comes_back_without_ports(void **state)
{
    (void)state;
    start(16, 16);
    (void)add((struct piece){0, 7, 800, 100, true, 0, NULL});
    assert_int_equal(fragment_table_due_ns(table), START + 30 * SECOND);
    fragment_table_expire(table, START + 29 * SECOND);
    assert_null(next());
    fragment_table_expire(table, START + 45 * SECOND);
    const struct packet *out = next();

    assert_non_null(out);
    assert_int_equal(out->facts & PACKET_HAS_PORTS, 0);
    assert_int_equal(out->time_ns, START + 30 * SECOND); /* at its deadline, not at the call */
    assert_int_equal(out->held_since_ns, START);
    assert_null(next());
    assert_int_equal(count(&fragment_table_counts(table)->unattributed_timeout), 1);
    assert_int_equal(fragment_table_due_ns(table), UINT64_MAX);
}

static void the_end_of_the_input_lets_everything_go(void **state)
{
    (void)state;
    start(16, 16);
    (void)add((struct piece){0, 7, 800, 100, true, 0, NULL});
    (void)add((struct piece){1, 8, 800, 100, true, 0, NULL});
    fragment_table_finish(table, START + 5);
    assert_non_null(next());
    assert_non_null(next());
    assert_null(next());
    assert_int_equal(count(&fragment_table_counts(table)->unattributed_end), 2);
    assert_int_equal(count(&fragment_table_counts(table)->held_now), 0);
}

static void a_full_table_gives_up_the_oldest(void **state)
{
    (void)state;
    start(2, 16);
    (void)add((struct piece){0, 1, 800, 100, true, 0, NULL});
    (void)add((struct piece){1, 2, 800, 100, true, 0, NULL});
    (void)add((struct piece){2, 3, 800, 100, true, 0, NULL});
    const struct packet *out = next();

    assert_non_null(out);
    assert_int_equal(out->ip_id, 1);
    assert_int_equal(out->time_ns, START + 2);
    assert_null(next());
    assert_int_equal(count(&fragment_table_counts(table)->evicted), 1);
    assert_int_equal(count(&fragment_table_counts(table)->unattributed_evicted), 1);
}

static void without_room_to_hold_a_fragment_counts_at_once(void **state)
{
    (void)state;
    start(16, 1);
    assert_int_equal(add((struct piece){0, 1, 800, 100, false, 0, NULL}), FRAGMENT_HELD);
    assert_int_equal(add((struct piece){0, 2, 800, 100, false, 0, NULL}), FRAGMENT_COUNT);
    assert_int_equal(packet.facts & PACKET_HAS_PORTS, 0);
    assert_int_equal(count(&fragment_table_counts(table)->unattributed_full), 1);
}

/* Faults, one a case: two fragments, the second of which is called evasive. */
static void fragments_that_evade_are_flagged(void **state)
{
    const struct fragment_counts *counts;
    static const struct {
        struct piece first, second;
        size_t counter;
        const char *what;
    } cases[] = {
        {{0, 1, 0, 80, false, 0, NULL},
         {1, 1, 40, 80, false, 0, NULL},
         offsetof(struct fragment_counts, overlaps),
         "overlap"},
        {{0, 1, 0, 80, false, 0, NULL},
         {1, 1, 24, 8, true, 0, NULL},
         offsetof(struct fragment_counts, overlaps),
         "teardrop: inside the first"},
        {{0, 1, 0, 80, false, 0, NULL},
         {1, 1, 0, 80, false, 4001, NULL},
         offsetof(struct fragment_counts, overlaps),
         "two beginnings"},
        {{0, 1, 0, 80, false, 0, NULL},
         {1, 1, 80, 81, false, 0, NULL},
         offsetof(struct fragment_counts, odd),
         "odd length"},
        {{0, 1, 0, 80, false, 0, NULL},
         {1, 1, 65528, 100, true, 0, NULL},
         offsetof(struct fragment_counts, oversized),
         "ping of death"},
        {{0, 1, 0, 80, false, 0, NULL},
         {1, 1, 80, 0, true, 0, NULL},
         offsetof(struct fragment_counts, empty),
         "no data"},
        {{0, 1, 80, 80, true, 0, NULL},
         {1, 1, 160, 80, true, 0, NULL},
         offsetof(struct fragment_counts, contradictory),
         "two ends"},
        {{0, 1, 160, 80, false, 0, NULL},
         {1, 1, 80, 8, true, 0, NULL},
         offsetof(struct fragment_counts, contradictory),
         "an end before others"},
        {{0, 1, 80, 80, true, 0, NULL},
         {1, 1, 0, 4, false, 0, NULL},
         offsetof(struct fragment_counts, tiny),
         "a first one without its header"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start(16, 16);
        (void)add(cases[i].first);
        assert_int_equal(packet.facts & PACKET_FRAGMENT_FAULT, 0);
        const enum fragment_verdict verdict = add(cases[i].second);

        counts = fragment_table_counts(table);
        if (verdict == FRAGMENT_COUNT && (packet.facts & PACKET_FRAGMENT_FAULT) == 0) {
            fail_msg("%s: not flagged", cases[i].what);
        }
        if (count((const struct counter *)(const void *)((const char *)counts +
                                                         cases[i].counter)) != 1) {
            fail_msg("%s: not counted", cases[i].what);
        }
    }
}

static void a_copy_of_a_fragment_is_no_fault(void **state)
{
    (void)state;
    start(16, 16);
    for (int i = 0; i < 2; i++) {
        (void)add((struct piece){0, 1, 0, 80, false, 0, NULL});
        assert_int_equal(add((struct piece){1, 1, 80, 80, true, 0, NULL}), FRAGMENT_COUNT);
        assert_int_equal(packet.facts & PACKET_FRAGMENT_FAULT, 0);
    }
    assert_int_equal(count(&fragment_table_counts(table)->duplicates), 2);
    assert_int_equal(count(&fragment_table_counts(table)->datagrams), 1);
}

static void an_id_used_again_begins_another_datagram(void **state)
{
    (void)state;
    start(16, 16);
    (void)add((struct piece){0, 1, 0, 80, false, 4000, NULL});
    (void)add((struct piece){1, 1, 80, 80, true, 0, NULL});
    (void)add((struct piece){2, 1, 0, 80, false, 4001, NULL}); /* whole before: another flow */
    assert_int_equal(packet.facts & PACKET_FRAGMENT_FAULT, 0);
    (void)add((struct piece){3, 1, 80, 80, true, 0, NULL});
    assert_int_equal(packet.source_port, 4001);
    (void)add((struct piece){4, 2, 0, 80, false, 4002, NULL});              /* never whole, ... */
    (void)add((struct piece){4 + 2 * SECOND, 2, 0, 80, false, 4003, NULL}); /* ... but at rest */
    assert_int_equal(packet.facts & PACKET_FRAGMENT_FAULT, 0);
    (void)add((struct piece){5 + 2 * SECOND, 2, 80, 80, true, 0, NULL});
    assert_int_equal(packet.source_port, 4003);
}

static void more_pieces_than_are_told_apart_are_counted(void **state)
{
    (void)state;
    start(16, 16);
    for (uint32_t i = 0; i < 70; i++) {
        assert_int_equal(add((struct piece){i, 1, i * 8, 8, i == 69, 0, NULL}), FRAGMENT_COUNT);
        assert_int_equal(packet.source_port, 4000);
    }
    assert_int_equal(count(&fragment_table_counts(table)->too_many), 1);
    assert_int_equal(count(&fragment_table_counts(table)->attributed), 69);
}

static struct frame v6_piece(uint16_t offset, bool has_more, uint64_t at_ns)
{
    static const uint8_t data[64] = {0x0f, 0xa0, 0, 53, 0, 64};

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_ipv6(&b, (struct build_ip){.source = "2001:db8::1", .target = "2001:db8::2"});
    build_fragment(&b, offset, has_more, 0xabcdef01);
    if (offset == 0 && has_more) {
        build_udp(&b, 4000, 53);
        build_bytes(&b, data, 56);
    } else {
        build_bytes(&b, data, 64);
    }
    return build_frame(&b, START + at_ns);
}

static void ipv6_fragments_are_known_by_addresses_and_id_alone(void **state)
{
    (void)state;
    start(16, 16);
    struct frame frame = v6_piece(64, false, 1);

    buffer[14 + 40] = 59; /* next header of a later fragment: means nothing (RFC 8200 4.5) */
    (void)packet_decode(&frame, 0, &packet);
    assert_int_equal(fragment_table_add(table, &packet, frame.bytes), FRAGMENT_HELD);
    assert_int_equal(fragment_table_due_ns(table), START + 1 + 60 * SECOND);
    frame = v6_piece(0, true, 2);
    (void)packet_decode(&frame, 0, &packet);
    assert_int_equal(fragment_table_add(table, &packet, frame.bytes), FRAGMENT_COUNT);
    const struct packet *out = next();

    assert_non_null(out);
    assert_int_equal(out->protocol, 17);
    assert_int_equal(out->source_port, 4000);
    assert_int_equal(count(&fragment_table_counts(table)->completed), 1);
}

static void an_atomic_fragment_is_a_whole_datagram(void **state)
{
    (void)state;
    start(16, 16);
    struct frame frame;

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_ipv6(&b, (struct build_ip){.source = "2001:db8::1", .target = "2001:db8::2"});
    build_fragment(&b, 0, false, 9);
    build_udp(&b, 4000, 53);
    frame = build_frame(&b, START);
    (void)packet_decode(&frame, 0, &packet);
    assert_int_equal(fragment_table_add(table, &packet, frame.bytes), FRAGMENT_COUNT);
    assert_int_equal(count(&fragment_table_counts(table)->atomic), 1);
    assert_int_equal(count(&fragment_table_counts(table)->fragments), 0);
    assert_int_equal(fragment_table_due_ns(table), UINT64_MAX);
}

/* Any order, any loss: each fragment comes out once, by add or by next, and the counters agree. */
static void every_fragment_is_counted_once(void **state)
{
    uint32_t seed = 11;
    uint64_t in = 0, out = 0;

    (void)state;
    start(64, 16);
    for (uint32_t i = 0; i < 20000; i++) {
        seed = seed * 1664525U + 1013904223U;
        const uint32_t part = seed >> 8 & 3;
        const struct piece p = {.at_ns = i * 3 * MILLI,
                                .id = (uint16_t)(i / 40 + (seed >> 12 & 15)),
                                .offset = part * 64,
                                .bytes = seed >> 20 & 1 ? 64 : 48,
                                .is_last = part == 3,
                                .source_port = (uint16_t)(4000 + (seed >> 16 & 1))};

        in++;
        out += add(p) == FRAGMENT_COUNT;
        while (next() != NULL) {
            out++;
        }
    }
    fragment_table_finish(table, START + 1000 * SECOND);
    while (next() != NULL) {
        out++;
    }
    const struct fragment_counts *counts = fragment_table_counts(table);

    assert_int_equal(in, out);
    assert_int_equal(count(&counts->fragments), in);
    assert_int_equal(count(&counts->held_now), 0);
    assert_true(count(&counts->evicted) > 0);
    assert_true(count(&counts->unattributed_full) > 0);
    assert_true(count(&counts->attributed) > 0);
}

/* A fragment of an outer packet: the first one with a tunnel and a packet inside, the later one
 * with bytes. With `vni` the outer packet is in a VXLAN itself. */
static enum fragment_verdict add_outer(uint32_t vni, bool has_inner_vlan, bool is_first)
{
    static const uint8_t rest[64];

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    if (vni != 0) {
        build_ipv4(&b, (struct build_ip){.source = "198.51.100.1", .target = "198.51.100.2"});
        build_vxlan_udp(&b, vni);
        build_ethernet(&b);
    }
    build_ipv4(&b, (struct build_ip){.source = "10.9.0.1",
                                     .target = "10.9.0.2",
                                     .protocol = 17,
                                     .id = 77,
                                     .fragment_offset_bytes = is_first ? 0 : 400,
                                     .has_more_fragments = is_first});
    if (is_first) {
        build_vxlan_udp(&b, 3);
        build_ethernet(&b);
        if (has_inner_vlan) {
            build_vlan(&b, 5);
        }
        build_ipv4(&b, (struct build_ip){.source = "10.0.0.1", .target = "10.0.0.2"});
        build_udp(&b, 40000, 7777);
    }
    build_bytes(&b, rest, sizeof(rest));
    const struct frame frame = build_frame(&b, START);

    (void)packet_decode(&frame, 0, &packet);
    assert_true(fragment_table_wants(&packet));
    return fragment_table_add(table, &packet, frame.bytes);
}

static void what_is_inside_does_not_hide_an_outer_first_fragment(void **state)
{
    (void)state;
    start(16, 16);
    assert_int_equal(add_outer(0, true, true), FRAGMENT_COUNT);
    assert_int_equal(add_outer(0, true, false), FRAGMENT_COUNT);
    assert_int_equal(packet.source_port, 40000);
}

static void an_outer_fragment_is_found_in_its_network_alone(void **state)
{
    (void)state;
    start(16, 16);
    assert_int_equal(add_outer(7, false, true), FRAGMENT_COUNT);
    assert_int_equal(add_outer(8, false, false), FRAGMENT_HELD);
    assert_int_equal(add_outer(7, false, false), FRAGMENT_COUNT);
    assert_int_equal(packet.source_port, 40000);
    assert_int_equal(packet.facts & PACKET_OUTER_FRAGMENT, PACKET_OUTER_FRAGMENT);
}

static void no_room_for_datagrams_is_refused(void **state)
{
    const struct fragment_settings settings = {.held_max = 1};
    struct error err = {0};

    (void)state;
    assert_null(fragment_table_new(&settings, &err));
    assert_int_equal(err.code, 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_fragment_gets_the_ports_of_the_first),
        cmocka_unit_test(another_id_or_sender_is_another_datagram),
        cmocka_unit_test(fragments_before_the_first_wait_for_it),
        cmocka_unit_test(what_never_gets_its_first_comes_back_without_ports),
        cmocka_unit_test(the_end_of_the_input_lets_everything_go),
        cmocka_unit_test(a_full_table_gives_up_the_oldest),
        cmocka_unit_test(without_room_to_hold_a_fragment_counts_at_once),
        cmocka_unit_test(fragments_that_evade_are_flagged),
        cmocka_unit_test(a_copy_of_a_fragment_is_no_fault),
        cmocka_unit_test(an_id_used_again_begins_another_datagram),
        cmocka_unit_test(more_pieces_than_are_told_apart_are_counted),
        cmocka_unit_test(ipv6_fragments_are_known_by_addresses_and_id_alone),
        cmocka_unit_test(an_atomic_fragment_is_a_whole_datagram),
        cmocka_unit_test(every_fragment_is_counted_once),
        cmocka_unit_test(what_is_inside_does_not_hide_an_outer_first_fragment),
        cmocka_unit_test(an_outer_fragment_is_found_in_its_network_alone),
        cmocka_unit_test(no_room_for_datagrams_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, stop);
}
