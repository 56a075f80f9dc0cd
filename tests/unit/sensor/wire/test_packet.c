/* The walk over link, network and fragment headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/ethernet.h"
#include "sensor/wire/packet.h"
#include "tests/support/packet_builder.h"

static const struct build_ip ip4 = {.source = "10.0.0.1", .target = "192.0.2.9"};
static const struct build_ip ip6 = {.source = "2001:db8::1", .target = "2001:db8::2"};
static const struct build_tcp syn = {
    .source_port = 40000, .target_port = 443, .seq = 7, .flags = TCP_SYN};

static uint8_t buffer[4096];
static struct packet_builder b;
static struct packet packet;

static void start(void)
{
    build_start(&b, buffer, sizeof(buffer));
}

static enum packet_verdict decode(unsigned options)
{
    const struct frame frame = build_frame(&b, 5);

    return packet_decode(&frame, options, &packet);
}

static void assert_addresses_and_ports(void)
{
    const struct ip_address source = packet_source(&packet);
    struct ip_address expected;

    assert_true(address_parse(packet.ip_version == 4 ? "10.0.0.1" : "2001:db8::1",
                              packet.ip_version == 4 ? 8 : 11, &expected));
    assert_true(address_equal(&source, &expected));
    assert_int_equal(packet.source_port, 40000);
    assert_int_equal(packet.target_port, 443);
    assert_int_equal(packet.tcp_flags, TCP_SYN);
    assert_int_equal(packet.tcp_seq, 7);
}

static void a_plain_tcp_frame_shows_all_its_fields(void **state)
{
    (void)state;
    start();
    build_ethernet(&b);
    build_ipv4(&b, (struct build_ip){.source = "10.0.0.1",
                                     .target = "192.0.2.9",
                                     .ttl = 63,
                                     .traffic_class = 0xb9,
                                     .id = 77});
    build_tcp(&b, syn);
    build_text(&b, "hello");
    assert_int_equal(decode(0), PACKET_OK);
    assert_addresses_and_ports();
    assert_int_equal(packet.protocol, IP_PROTOCOL_TCP);
    assert_int_equal(packet.ttl, 63);
    assert_int_equal(packet.dscp, 46);
    assert_int_equal(packet.ecn, 1);
    assert_int_equal(packet.ip_id, 77);
    assert_int_equal(packet.ip_bytes, 45);
    assert_int_equal(packet.wire_bytes, 59);
    assert_int_equal(packet.network_offset, 14);
    assert_int_equal(packet.transport_offset, 34);
    assert_int_equal(packet.payload_offset, 54);
    assert_int_equal(packet.payload_bytes, 5);
    assert_int_equal(packet.payload_captured_bytes, 5);
    assert_int_equal(packet.time_ns, 5);
    assert_int_equal(packet.facts, PACKET_HAS_PORTS | PACKET_HAS_TCP | PACKET_HAS_MACS);
}

static void ethernet_padding_is_no_payload(void **state)
{
    (void)state;
    start();
    build_ethernet(&b);
    build_ipv4(&b, ip4);
    build_tcp(&b, syn);
    build_finish(&b);
    build_zeros(&b, 6);
    const struct frame frame = {
        .bytes = buffer, .captured_bytes = 60, .wire_bytes = 60, .link_type = LINK_ETHERNET};
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_OK);
    assert_int_equal(packet.payload_bytes, 0);
    assert_int_equal(packet.payload_captured_bytes, 0);
}

static void vlan_tags_are_stepped_over_and_named_outer_first(void **state)
{
    (void)state;
    start();
    build_ethernet(&b);
    build_service_vlan(&b, 100);
    build_vlan(&b, 200);
    build_vlan(&b, 300);
    build_ipv6(&b, ip6);
    build_tcp(&b, syn);
    assert_int_equal(decode(0), PACKET_OK);
    assert_addresses_and_ports();
    assert_int_equal(packet.vlan_count, 3);
    assert_int_equal(packet.vlan_ids[0], 100);
    assert_int_equal(packet.vlan_ids[1], 300);
    assert_int_equal(packet.ethertype, ETHERTYPE_IPV6);
}

static void more_vlan_tags_than_the_bound_are_malformed(void **state)
{
    (void)state;
    start();
    build_ethernet(&b);
    for (unsigned i = 0; i <= VLAN_TAGS_MAX; i++) {
        build_vlan(&b, 1);
    }
    build_ipv4(&b, ip4);
    assert_int_equal(decode(0), PACKET_MALFORMED);
}

static void every_link_type_leads_to_the_same_packet(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 7; kind++) {
        start();
        switch (kind) {
        case 0:
            build_sll(&b);
            break;
        case 1:
            build_sll2(&b);
            break;
        case 2:
            build_null(&b, 2, false);
            break;
        case 3:
            build_null(&b, 2, true);
            break;
        case 4:
            build_raw(&b);
            break;
        case 5:
            build_raw(&b);
            b.link_type = LINK_RAW_BSD;
            break;
        default:
            build_raw(&b);
            b.link_type = LINK_IPV4;
            break;
        }
        build_ipv4(&b, ip4);
        build_tcp(&b, syn);
        assert_int_equal(decode(0), PACKET_OK);
        assert_addresses_and_ports();
    }
}

static void ipv6_families_of_every_system_are_known_on_loopback(void **state)
{
    static const uint32_t families[] = {10, 24, 28, 30};

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        start();
        build_null(&b, families[i / 2], i % 2 != 0);
        build_ipv6(&b, ip6);
        build_tcp(&b, syn);
        assert_int_equal(decode(0), PACKET_OK);
        assert_addresses_and_ports();
    }
}

static void arp_is_not_ip_and_an_unknown_link_is_said_to_be_one(void **state)
{
    (void)state;
    start();
    build_ethernet(&b);
    build_set_ethertype(&b, ETHERTYPE_ARP);
    build_zeros(&b, 46);
    assert_int_equal(decode(0), PACKET_NOT_IP);
    assert_int_equal(packet.ethertype, ETHERTYPE_ARP);
    assert_int_equal(packet.ip_version, 0);

    b.link_type = 12345;
    assert_int_equal(decode(0), PACKET_UNSUPPORTED_LINK);
}

static void ip_behind_llc_snap_is_found(void **state)
{
    static const uint8_t snap[8] = {0xaa, 0xaa, 3, 0, 0, 0, 8, 0};
    uint8_t frame_bytes[256];

    (void)state;
    start();
    build_raw(&b);
    build_ipv4(&b, ip4);
    build_tcp(&b, syn);
    build_finish(&b);
    memset(frame_bytes, 0, 14);
    frame_bytes[13] = (uint8_t)(b.length + 8); /* IEEE 802.3: a length */
    memcpy(frame_bytes + 14, snap, 8);
    memcpy(frame_bytes + 22, buffer, b.length);
    const struct frame frame = {.bytes = frame_bytes,
                                .captured_bytes = (uint32_t)b.length + 22,
                                .wire_bytes = (uint32_t)b.length + 22,
                                .link_type = LINK_ETHERNET};
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_OK);
    assert_addresses_and_ports();
}

static void every_ipv6_extension_header_is_stepped_over(void **state)
{
    (void)state;
    start();
    build_ethernet(&b);
    build_ipv6(&b, ip6);
    build_extension(&b, IP_PROTOCOL_HOP_BY_HOP, 8);
    build_extension(&b, IP_PROTOCOL_ROUTING, 24);
    build_fragment(&b, 0, false, 9);
    build_extension(&b, IP_PROTOCOL_AH, 24);
    build_extension(&b, IP_PROTOCOL_DESTINATION, 16);
    build_extension(&b, IP_PROTOCOL_MOBILITY, 8);
    build_tcp(&b, syn);
    build_text(&b, "abc");
    assert_int_equal(decode(0), PACKET_OK);
    assert_addresses_and_ports();
    assert_int_equal(packet.payload_bytes, 3);
    assert_int_equal(packet.ip_id, 9);
    assert_true(packet.facts & PACKET_HAS_IP_OPTIONS);
    assert_true(packet.facts & PACKET_IS_FRAGMENT);
    assert_false(packet.facts & PACKET_IS_LATER_FRAGMENT);
}

static void an_endless_chain_of_extension_headers_is_malformed(void **state)
{
    (void)state;
    start();
    build_ethernet(&b);
    build_ipv6(&b, ip6);
    for (unsigned i = 0; i < 17; i++) {
        build_extension(&b, IP_PROTOCOL_DESTINATION, 8);
    }
    build_tcp(&b, syn);
    assert_int_equal(decode(0), PACKET_MALFORMED);
    assert_int_equal(packet.ip_version, 6); /* still counted by its addresses */
}

static void later_fragments_have_no_ports(void **state)
{
    (void)state;
    start();
    build_ethernet(&b);
    build_ipv4(&b, (struct build_ip){.source = "10.0.0.1",
                                     .target = "192.0.2.9",
                                     .protocol = 17,
                                     .id = 5,
                                     .fragment_offset_bytes = 1480,
                                     .has_more_fragments = true});
    build_text(&b, "not a header");
    assert_int_equal(decode(0), PACKET_OK);
    assert_int_equal(packet.source_port, 0);
    assert_int_equal(packet.fragment_offset_bytes, 1480);
    assert_int_equal(packet.payload_bytes, 12);
    assert_int_equal(packet.facts & (PACKET_HAS_PORTS | PACKET_IS_FRAGMENT |
                                     PACKET_IS_LATER_FRAGMENT | PACKET_HAS_MORE_FRAGMENTS),
                     PACKET_IS_FRAGMENT | PACKET_IS_LATER_FRAGMENT | PACKET_HAS_MORE_FRAGMENTS);

    start();
    build_ethernet(&b);
    build_ipv6(&b, ip6);
    build_fragment(&b, 1232, false, 0xabcdef01);
    build_text(&b, "the middle");
    assert_int_equal(decode(0), PACKET_OK);
    assert_true(packet.facts & PACKET_IS_LATER_FRAGMENT);
    assert_int_equal(packet.ip_id, 0xabcdef01);
}

static void ipv4_options_are_stepped_over_and_told(void **state)
{
    static const uint8_t router_alert[4] = {0x94, 4, 0, 0};

    (void)state;
    start();
    build_ethernet(&b);
    build_ipv4(&b, (struct build_ip){.source = "10.0.0.1",
                                     .target = "192.0.2.9",
                                     .options = router_alert,
                                     .options_length = 4});
    build_tcp(&b, syn);
    assert_int_equal(decode(PACKET_CHECKSUMS), PACKET_OK);
    assert_addresses_and_ports();
    assert_true(packet.facts & PACKET_HAS_IP_OPTIONS);
    assert_true(packet.facts & PACKET_CHECKSUM_SEEN);
    assert_false(packet.facts & PACKET_CHECKSUM_BAD);
}

static void a_wrong_ipv4_checksum_is_a_mark_and_no_verdict(void **state)
{
    struct frame frame;

    (void)state;
    start();
    frame = build_tcp_frame(&b, "10.0.0.1", "192.0.2.9", syn, NULL, 0, 0);
    buffer[14 + 10] ^= 1;
    assert_int_equal(packet_decode(&frame, PACKET_CHECKSUMS, &packet), PACKET_OK);
    assert_true(packet.facts & PACKET_CHECKSUM_BAD);
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_OK);
    assert_false(packet.facts & (PACKET_CHECKSUM_SEEN | PACKET_CHECKSUM_BAD));
    memset(buffer + 14 + 10, 0, 2); /* offload */
    assert_int_equal(packet_decode(&frame, PACKET_CHECKSUMS, &packet), PACKET_OK);
    assert_false(packet.facts & PACKET_CHECKSUM_BAD);
}

static void an_ip_length_of_zero_takes_the_frame(void **state)
{
    struct frame frame;

    (void)state;
    start();
    frame = build_tcp_frame(&b, "10.0.0.1", "192.0.2.9", syn, "0123456789", 10, 0);
    memset(buffer + 14 + 2, 0, 2);
    frame.wire_bytes += 90;
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_OK);
    assert_int_equal(packet.ip_bytes, 20 + 20 + 100);
    assert_int_equal(packet.payload_bytes, 100);
    assert_int_equal(packet.payload_captured_bytes, 10);
    assert_true(packet.facts & PACKET_LENGTH_UNKNOWN);
    assert_true(packet.facts & PACKET_IS_CUT);
}

static void ip_headers_that_contradict_themselves_are_malformed(void **state)
{
    struct frame frame;

    (void)state;
    start();
    frame = build_tcp_frame(&b, "10.0.0.1", "192.0.2.9", syn, NULL, 0, 0);
    buffer[14] = 0x44; /* header of 16 bytes */
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_MALFORMED);
    assert_int_equal(packet.ip_version, 0);
    buffer[14] = 0x55; /* version 5 */
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_MALFORMED);
    buffer[14] = 0x45;
    buffer[14 + 3] = 19; /* total length below the header's */
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_MALFORMED);
}

/* Each short capture has a heap block of exactly its size: one byte too far and ASan stops us. */
static void decode_all_cuts(const struct frame *whole, uint32_t headers_bytes)
{
    for (uint32_t kept = 0; kept < whole->captured_bytes; kept++) {
        uint8_t *bytes = malloc(kept > 0 ? kept : 1);
        struct frame cut = *whole;

        assert_non_null(bytes);
        memcpy(bytes, whole->bytes, kept);
        cut.bytes = bytes;
        cut.captured_bytes = kept;
        const enum packet_verdict verdict = packet_decode(&cut, PACKET_CHECKSUMS, &packet);
        assert_int_equal(verdict, kept < headers_bytes ? PACKET_TRUNCATED : PACKET_OK);
        assert_true(packet.payload_captured_bytes <= kept);
        if (kept >= headers_bytes) {
            assert_true(packet.facts & PACKET_IS_CUT);
            assert_int_equal(packet.payload_captured_bytes, kept - headers_bytes);
        }
        free(bytes);
    }
}

static void a_capture_that_ends_in_a_header_is_truncated(void **state)
{
    static const uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
    const struct build_tcp tcp = {
        .source_port = 1, .target_port = 2, .options = options, .options_length = 12};
    struct frame frame;

    (void)state;
    start();
    build_ethernet(&b);
    build_vlan(&b, 9);
    build_ipv4(&b, (struct build_ip){.source = "10.0.0.1",
                                     .target = "192.0.2.9",
                                     .options = (const uint8_t[]){1, 1, 1, 0},
                                     .options_length = 4});
    build_tcp(&b, tcp);
    build_text(&b, "payload");
    frame = build_frame(&b, 0);
    decode_all_cuts(&frame, 14 + 4 + 24 + 32);

    start();
    build_sll2(&b);
    build_ipv6(&b, ip6);
    build_extension(&b, IP_PROTOCOL_HOP_BY_HOP, 16);
    build_extension(&b, IP_PROTOCOL_AH, 24);
    build_udp(&b, 5, 6);
    build_text(&b, "payload");
    frame = build_frame(&b, 0);
    decode_all_cuts(&frame, 20 + 40 + 16 + 24 + 8);

    start();
    build_null(&b, 2, false);
    build_ipv4(&b, ip4);
    build_tcp(&b, tcp);
    frame = build_frame(&b, 0);
    decode_all_cuts(&frame, 4 + 20 + 32);

    start();
    build_sll(&b);
    build_ipv4(&b, ip4);
    build_udp(&b, 5, 6);
    build_text(&b, "x");
    frame = build_frame(&b, 0);
    decode_all_cuts(&frame, 16 + 20 + 8);
}

static void a_cut_transport_header_still_shows_ports_that_are_there(void **state)
{
    struct frame frame;

    (void)state;
    start();
    frame = build_tcp_frame(&b, "10.0.0.1", "192.0.2.9", syn, NULL, 0, 0);
    frame.captured_bytes = 14 + 20 + 4;
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_TRUNCATED);
    assert_int_equal(packet.source_port, 40000);
    assert_int_equal(packet.facts & (PACKET_HAS_PORTS | PACKET_HAS_TCP), PACKET_HAS_PORTS);
    frame.captured_bytes--;
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_TRUNCATED);
    assert_int_equal(packet.facts & PACKET_HAS_PORTS, 0);
    assert_int_equal(packet.ip_version, 4);
}

static void cut_options_of_tcp_leave_the_payload_known_and_those_before_the_cut(void **state)
{
    static const uint8_t options[12] = {2, 4, 5, 180, 8, 10, 0, 0, 0, 1, 0, 0};
    const struct build_tcp tcp = {
        .source_port = 1, .target_port = 2, .options = options, .options_length = 12};
    struct frame frame;

    (void)state;
    start();
    build_ethernet(&b);
    build_ipv4(&b, ip4);
    build_tcp(&b, tcp);
    build_text(&b, "payload");
    frame = build_frame(&b, 0);
    frame.captured_bytes = 14 + 20 + 20 + 8;
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_TRUNCATED);
    assert_int_equal(packet.payload_bytes, 7);
    assert_int_equal(packet.payload_captured_bytes, 0);
    assert_int_equal(packet.tcp_options, TCP_OPTION_MSS);
    assert_int_equal(packet.tcp_mss, 1460);
    frame.captured_bytes = 14 + 20 + 20;
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_TRUNCATED);
    assert_int_equal(packet.payload_bytes, 7);
    assert_int_equal(packet.tcp_options, 0);
    frame.captured_bytes--; /* how long the header is was not captured */
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_TRUNCATED);
    assert_int_equal(packet.payload_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_tcp_frame_shows_all_its_fields),
        cmocka_unit_test(ethernet_padding_is_no_payload),
        cmocka_unit_test(vlan_tags_are_stepped_over_and_named_outer_first),
        cmocka_unit_test(more_vlan_tags_than_the_bound_are_malformed),
        cmocka_unit_test(every_link_type_leads_to_the_same_packet),
        cmocka_unit_test(ipv6_families_of_every_system_are_known_on_loopback),
        cmocka_unit_test(arp_is_not_ip_and_an_unknown_link_is_said_to_be_one),
        cmocka_unit_test(ip_behind_llc_snap_is_found),
        cmocka_unit_test(every_ipv6_extension_header_is_stepped_over),
        cmocka_unit_test(an_endless_chain_of_extension_headers_is_malformed),
        cmocka_unit_test(later_fragments_have_no_ports),
        cmocka_unit_test(ipv4_options_are_stepped_over_and_told),
        cmocka_unit_test(a_wrong_ipv4_checksum_is_a_mark_and_no_verdict),
        cmocka_unit_test(an_ip_length_of_zero_takes_the_frame),
        cmocka_unit_test(ip_headers_that_contradict_themselves_are_malformed),
        cmocka_unit_test(a_capture_that_ends_in_a_header_is_truncated),
        cmocka_unit_test(a_cut_transport_header_still_shows_ports_that_are_there),
        cmocka_unit_test(cut_options_of_tcp_leave_the_payload_known_and_those_before_the_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
