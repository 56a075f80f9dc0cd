/* TCP with its options, UDP, ICMP, and protocols known by their addresses alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/icmp.h"
#include "sensor/wire/packet.h"
#include "sensor/wire/tcp.h"
#include "sensor/wire/udp.h"
#include "tests/support/packet_builder.h"

static const struct build_ip ip4 = {.source = "10.0.0.1", .target = "192.0.2.9"};
static const struct build_ip ip6 = {.source = "2001:db8::1", .target = "2001:db8::2"};

static uint8_t buffer[4096];
static struct packet_builder b;
static struct packet packet;

static enum packet_verdict decode(void)
{
    const struct frame frame = build_frame(&b, 0);

    return packet_decode(&frame, 0, &packet);
}

static void start_ipv4(void)
{
    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_ipv4(&b, ip4);
}

static void the_options_of_a_syn_are_read(void **state)
{
    static const uint8_t options[20] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0,
                                        0, 9, 0,    0,    0, 8, 1, 3,  3, 7};

    (void)state;
    start_ipv4();
    build_tcp(&b, (struct build_tcp){.source_port = 1,
                                     .target_port = 2,
                                     .flags = TCP_SYN | TCP_ECE,
                                     .window = 64240,
                                     .options = options,
                                     .options_length = sizeof(options)});
    assert_int_equal(decode(), PACKET_OK);
    assert_int_equal(packet.tcp_mss, 1460);
    assert_int_equal(packet.tcp_window_scale, 7);
    assert_int_equal(packet.tcp_timestamp_value, 9);
    assert_int_equal(packet.tcp_timestamp_echo, 8);
    assert_int_equal(packet.tcp_options, TCP_OPTION_MSS | TCP_OPTION_WINDOW_SCALE |
                                             TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMPS);
    assert_int_equal(packet.tcp_window, 64240);
    assert_int_equal(packet.tcp_flags, TCP_SYN | TCP_ECE);
    assert_int_equal(packet.tcp_header_bytes, 40);
}

static void an_option_list_that_lies_is_marked_and_read_up_to_there(void **state)
{
    static const uint8_t broken[][8] = {
        {2, 4, 5, 180, 3, 0, 7, 0},  /* length 0 */
        {2, 4, 5, 180, 3, 1, 7, 0},  /* length 1 */
        {2, 4, 5, 180, 3, 99, 7, 0}, /* past the end */
        {2, 4, 5, 180, 1, 1, 1, 8},  /* no length at all */
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct tcp_options options;

        tcp_options_parse(broken[i], 8, &options);
        assert_int_equal(options.present, TCP_OPTION_MSS | TCP_OPTION_BROKEN);
        assert_int_equal(options.mss, 1460);
    }
}

static void every_cut_of_an_option_list_is_survived(void **state)
{
    static const uint8_t options[] = {2, 4,  5, 180, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2,
                                      5, 10, 0, 0,   0, 1,  0, 0, 0, 2, 3, 3, 15};

    (void)state;
    for (uint32_t kept = 0; kept <= sizeof(options); kept++) {
        struct tcp_options read;
        uint8_t *bytes = malloc(kept > 0 ? kept : 1);

        assert_non_null(bytes);
        memcpy(bytes, options, kept);
        tcp_options_parse(bytes, kept, &read);
        assert_true(kept < 4 || read.mss == 1460);
        assert_true(kept < sizeof(options) || read.window_scale == 14); /* RFC 7323: no more */
        free(bytes);
    }
}

static void a_tcp_header_shorter_or_longer_than_it_may_be_is_malformed(void **state)
{
    (void)state;
    start_ipv4();
    build_tcp(&b, (struct build_tcp){.source_port = 1, .target_port = 2});
    buffer[14 + 20 + 12] = 0x40;
    assert_int_equal(decode(), PACKET_MALFORMED);
    assert_true(packet.facts & PACKET_HAS_PORTS);
    buffer[14 + 20 + 12] = 0xf0; /* 60 bytes, but the IP packet ends after 20 */
    assert_int_equal(decode(), PACKET_MALFORMED);
    assert_int_equal(packet.target_port, 2);
    assert_int_equal(packet.payload_captured_bytes, 0);
}

static void a_udp_length_narrows_the_payload_or_is_malformed(void **state)
{
    (void)state;
    start_ipv4();
    build_udp(&b, 5000, 6000);
    build_text(&b, "0123456789");
    struct frame frame = build_frame(&b, 0);
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_OK);
    assert_int_equal(packet.payload_bytes, 10);
    assert_int_equal(packet.source_port, 5000);

    buffer[14 + 20 + 5] = 12;
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_OK);
    assert_int_equal(packet.payload_bytes, 4);
    assert_int_equal(packet.payload_captured_bytes, 4);
    buffer[14 + 20 + 5] = 7;
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_MALFORMED);
    assert_int_equal(packet.source_port, 5000);
    buffer[14 + 20 + 5] = 0; /* a jumbogram's, or offload */
    assert_int_equal(packet_decode(&frame, 0, &packet), PACKET_OK);
    assert_int_equal(packet.payload_bytes, 10);
}

static void a_capture_that_ends_in_the_udp_header_is_truncated(void **state)
{
    static const uint8_t header[UDP_HEADER_BYTES] = {0, 53, 0, 54, 0, 8, 0, 0};

    (void)state;
    for (size_t kept = 1; kept < UDP_HEADER_BYTES; kept++) {
        uint8_t *bytes = malloc(kept);
        assert_non_null(bytes);
        memcpy(bytes, header, kept);
        struct cursor in = cursor_over(bytes, kept);
        struct udp udp;

        assert_int_equal(udp_parse(&in, &udp), WIRE_TRUNCATED);
        assert_ptr_equal(in.at, bytes); /* the caller's cursor has not moved */
        free(bytes);
    }
}

static void icmp_types_stand_apart_from_ports(void **state)
{
    (void)state;
    start_ipv4();
    build_icmp(&b, 8, 0, 0x1234, 1);
    build_zeros(&b, 56);
    assert_int_equal(decode(), PACKET_OK);
    assert_int_equal(packet.icmp_type, 8);
    assert_int_equal(packet.icmp_id, 0x1234);
    assert_int_equal(packet.source_port, 0);
    assert_int_equal(packet.payload_bytes, 56);
    assert_int_equal(packet.facts, PACKET_HAS_ICMP | PACKET_HAS_MACS);

    build_start(&b, buffer, sizeof(buffer));
    build_raw(&b);
    build_ipv6(&b, ip6);
    build_icmpv6(&b, 135, 0, 0, 0);
    assert_int_equal(decode(), PACKET_OK);
    assert_int_equal(packet.icmp_type, 135);
    assert_int_equal(packet.icmp_id, 0);
}

static void the_packet_that_an_icmp_error_quotes_is_payload(void **state)
{
    (void)state;
    start_ipv4();
    build_icmp(&b, 3, 3, 0, 0);
    build_bytes(&b, buffer + 14, 20); /* an IP header */
    build_zeros(&b, 8);
    assert_int_equal(decode(), PACKET_OK);
    assert_int_equal(packet.protocol, IP_PROTOCOL_ICMP);
    assert_int_equal(packet.icmp_code, 3);
    assert_int_equal(packet.payload_bytes, 28);
    assert_int_equal(packet.facts & PACKET_HAS_PORTS, 0);
}

static void icmp_of_every_length_is_survived(void **state)
{
    (void)state;
    for (unsigned length = 0; length < 12; length++) {
        build_start(&b, buffer, sizeof(buffer));
        build_raw(&b);
        build_ipv4(&b,
                   (struct build_ip){.source = "10.0.0.1", .target = "192.0.2.9", .protocol = 1});
        build_zeros(&b, length);
        assert_int_equal(decode(), length < 4 ? PACKET_MALFORMED : PACKET_OK);
        assert_int_equal(packet.payload_bytes, length > 8 ? length - 8 : 0);
    }
}

static void other_protocols_are_known_by_address_and_sctp_by_port(void **state)
{
    (void)state;
    build_start(&b, buffer, sizeof(buffer));
    build_raw(&b);
    build_ipv4(&b, (struct build_ip){.source = "10.0.0.1", .target = "192.0.2.9", .protocol = 89});
    build_zeros(&b, 44);
    assert_int_equal(decode(), PACKET_OK);
    assert_int_equal(packet.protocol, 89);
    assert_int_equal(packet.payload_bytes, 44);
    assert_int_equal(packet.facts, 0);

    build_start(&b, buffer, sizeof(buffer));
    build_raw(&b);
    build_ipv4(&b, (struct build_ip){.source = "10.0.0.1", .target = "192.0.2.9", .protocol = 132});
    build_bytes(&b, (const uint8_t[]){0x0b, 0x59, 0x0b, 0x5a}, 4);
    build_zeros(&b, 20);
    assert_int_equal(decode(), PACKET_OK);
    assert_int_equal(packet.source_port, 2905);
    assert_int_equal(packet.target_port, 2906);
}

static void icmp_requests_and_replies_are_paired(void **state)
{
    (void)state;
    assert_int_equal(icmp_reply_type(IP_PROTOCOL_ICMP, 8), 0);
    assert_int_equal(icmp_reply_type(IP_PROTOCOL_ICMP, 0), 8);
    assert_int_equal(icmp_reply_type(IP_PROTOCOL_ICMP, 3), -1);
    assert_int_equal(icmp_reply_type(IP_PROTOCOL_ICMPV6, 136), 135);
    assert_int_equal(icmp_reply_type(IP_PROTOCOL_ICMPV6, 8), -1);
}

static void protocol_names_are_given_where_known(void **state)
{
    (void)state;
    assert_string_equal(ip_protocol_name(6), "TCP");
    assert_string_equal(ip_protocol_name(58), "ICMPv6");
    assert_null(ip_protocol_name(254));
    assert_string_equal(icmp_type_name(4, 8), "echo request");
    assert_string_equal(icmp_type_name(6, 128), "echo request");
    assert_null(icmp_type_name(4, 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_options_of_a_syn_are_read),
        cmocka_unit_test(an_option_list_that_lies_is_marked_and_read_up_to_there),
        cmocka_unit_test(every_cut_of_an_option_list_is_survived),
        cmocka_unit_test(a_tcp_header_shorter_or_longer_than_it_may_be_is_malformed),
        cmocka_unit_test(a_udp_length_narrows_the_payload_or_is_malformed),
        cmocka_unit_test(a_capture_that_ends_in_the_udp_header_is_truncated),
        cmocka_unit_test(icmp_types_stand_apart_from_ports),
        cmocka_unit_test(the_packet_that_an_icmp_error_quotes_is_payload),
        cmocka_unit_test(icmp_of_every_length_is_survived),
        cmocka_unit_test(other_protocols_are_known_by_address_and_sctp_by_port),
        cmocka_unit_test(icmp_requests_and_replies_are_paired),
        cmocka_unit_test(protocol_names_are_given_where_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
