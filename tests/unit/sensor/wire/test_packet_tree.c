/* What people see of a packet: the tree, the line, the hex dump. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/packet_summary.h"
#include "sensor/wire/packet_tree.h"
#include "tests/support/packet_builder.h"

static const struct build_ip ip4 = {.source = "10.0.0.1", .target = "192.0.2.9"};
static uint8_t buffer[4096];
static struct packet_builder b;
static struct packet_tree tree;
static struct packet packet;
static char line[PACKET_SUMMARY_BYTES];

static const struct packet_tree_field *find(const char *layer, const char *field)
{
    for (uint32_t i = 0; i < tree.layer_count; i++) {
        const struct packet_tree_layer *at = &tree.layers[i];

        for (uint32_t k = 0; strcmp(at->name, layer) == 0 && k < at->field_count; k++) {
            if (strcmp(tree.fields[at->first_field + k].name, field) == 0) {
                return &tree.fields[at->first_field + k];
            }
        }
    }
    return NULL;
}

static void assert_field(const char *layer, const char *name, const char *value)
{
    const struct packet_tree_field *field = find(layer, name);

    assert_non_null(field);
    assert_string_equal(field->value, value);
}

static struct frame hello_frame(void)
{
    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_vlan(&b, 7);
    build_ipv4(&b, ip4);
    build_tcp(&b, (struct build_tcp){.source_port = 40000,
                                     .target_port = 443,
                                     .seq = 1,
                                     .ack = 2,
                                     .flags = TCP_ACK | TCP_PSH});
    build_client_hello(&b, (struct build_hello){.sni = "example.com", .alpn = "h2"});
    return build_frame(&b, 45296123456000);
}

static const char *summary(const struct frame *frame)
{
    (void)packet_decode(frame, PACKET_CHECKSUMS, &packet);
    const size_t length = packet_summary(frame, &packet, line, sizeof(line));
    assert_int_equal(length, strlen(line));
    return line;
}

static void the_tree_holds_every_layer_with_values_and_places(void **state)
{
    const struct frame frame = hello_frame();

    (void)state;
    packet_tree(&frame, &tree);
    assert_int_equal(tree.layer_count, 5);
    assert_false(tree.is_cut);
    assert_field("Ethernet", "source", "02:00:00:00:00:01");
    assert_field("802.1Q", "id", "7");
    assert_field("IPv4", "source", "10.0.0.1");
    assert_field("IPv4", "protocol", "6 TCP");
    assert_field("TCP", "flags", "0x18 PSH ACK");
    assert_field("TLS ClientHello", "sni", "example.com");
    assert_field("TLS ClientHello", "alpn", "h2");
    assert_int_equal(find("IPv4", "source")->offset, 18 + 12);
    assert_int_equal(find("IPv4", "source")->length, 4);
    const struct packet_tree_field *sni = find("TLS ClientHello", "sni");
    assert_memory_equal(frame.bytes + sni->offset, "example.com", sni->length);
}

/* `head` of the link, or behind UDP to `port`, and a packet inside. */
static void make_tree_of(uint16_t link_type, uint16_t port, const uint8_t *head, size_t length)
{
    build_start(&b, buffer, sizeof(buffer));
    b.link_type = link_type;
    if (port != 0) {
        build_ethernet(&b);
        build_ipv4(&b, (struct build_ip){.source = "198.51.100.1", .target = "198.51.100.2"});
        build_udp(&b, 50000, port);
    }
    build_header(&b, (struct build_header){.bytes = head, .length = length});
    build_ipv4(&b, ip4);
    build_udp(&b, 40000, 7777);
    const struct frame frame = build_frame(&b, 5);
    packet_tree(&frame, &tree);
    assert_string_equal(tree.layers[tree.layer_count - 1].name, "UDP");
}

static void links_and_tunnels_show_the_fields_of_their_headers(void **state)
{
    static const uint8_t lisp[8] = {0x8c, 0, 5, 1, 0, 0, 7, 1};
    static const uint8_t gue[8] = {1, 4, 0, 1};
    static const uint8_t hsr[20] = {[12] = 0x89, 0x2f, 0x20, 43, 1, 2, 8};
    static const uint8_t mfr[6] = {0xc3, 7, 0x18, 0x41, 3, 0xcc};
    static const uint8_t slip[16] = {1, 0x45};
    static const uint8_t sunatm[12] = {0x82, 3, 0, 33, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0};
    static const uint8_t erf[28] = {[8] = 0x81, 4, 0, 80, 0, 0, 0, 64, 5, [24] = 0x0f, 0, 8, 0};

    (void)state;
    make_tree_of(LINK_ETHERNET, 4341, lisp, sizeof(lisp));
    assert_field("LISP", "flags", "0x8c");
    assert_field("LISP", "next_protocol", "1");
    assert_field("LISP", "instance", "7");
    assert_int_equal(find("LISP", "instance")->offset, 14 + 20 + 8 + 4);
    make_tree_of(LINK_ETHERNET, 6080, gue, sizeof(gue));
    assert_field("GUE", "variant", "0");
    assert_field("GUE", "protocol", "4");
    assert_field("GUE", "flags", "0x0001");
    make_tree_of(LINK_ETHERNET, 6080, NULL, 0);
    assert_field("GUE", "variant", "1");
    make_tree_of(LINK_ETHERNET, 0, hsr, sizeof(hsr));
    assert_field("HSR", "path", "2");
    assert_field("HSR", "size", "43");
    assert_field("HSR", "sequence", "258");
    assert_field("HSR", "ethertype", "0x0800");
    make_tree_of(LINK_MFR, 0, mfr, sizeof(mfr));
    assert_field("Multilink Frame Relay", "flags", "0xc3");
    assert_field("Multilink Frame Relay", "sequence", "263");
    make_tree_of(LINK_SLIP, 0, slip, sizeof(slip));
    assert_field("SLIP", "direction", "1");
    assert_field("SLIP", "kind", "0x45");
    make_tree_of(LINK_SUNATM, 0, sunatm, sizeof(sunatm));
    assert_field("SunATM", "traffic", "2");
    assert_field("SunATM", "vpi", "3");
    assert_field("SunATM", "vci", "33");
    make_tree_of(LINK_ERF, 0, erf, sizeof(erf));
    assert_field("ERF", "type", "1");
    assert_field("ERF", "record_bytes", "80");
    assert_field("ERF", "wire_bytes", "64");
    assert_field("ERF", "extensions", "1");
    assert_int_equal(find("Cisco HDLC", "protocol")->offset, 26);
}

static void the_line_joins_the_layers(void **state)
{
    const struct frame frame = hello_frame();

    (void)state;
    assert_string_equal(
        summary(&frame),
        "Ethernet 02:00:00:00:00:01 > 02:00:00:00:00:02 | VLAN 7 | IPv4 10.0.0.1 > 192.0.2.9 "
        "ttl=64 "
        "len=127 | TCP 40000 > 443 [PSH,ACK] seq=1 ack=2 win=65535 len=87 | TLS ClientHello "
        "sni=example.com (TLS 1.2)");
    (void)packet_line(12, &frame, &packet, line, sizeof(line));
    assert_memory_equal(line, "12 12:34:56.123456 Ethernet ", 28);
}

static void dns_is_shown_with_question_and_answers(void **state)
{
    struct frame frame;

    (void)state;
    build_start(&b, buffer, sizeof(buffer));
    build_raw(&b);
    build_ipv4(&b, ip4);
    build_udp(&b, 53, 40000);
    build_dns(
        &b, (struct build_dns){.name = "example.com", .is_response = true, .answer = "192.0.2.1"});
    frame = build_frame(&b, 0);
    assert_non_null(strstr(summary(&frame), " | UDP 53 > 40000 len=45 | DNS response example.com A "
                                            "NOERROR answers=1"));
    packet_tree(&frame, &tree);
    assert_field("DNS", "question", "A example.com");
    assert_field("DNS", "answer", "A example.com ttl=300s 192.0.2.1");
}

static void hostile_names_reach_no_terminal(void **state)
{
    struct frame frame;

    (void)state;
    build_start(&b, buffer, sizeof(buffer));
    build_raw(&b);
    build_ipv4(&b, ip4);
    build_tcp(&b, (struct build_tcp){.source_port = 40000, .target_port = 443});
    build_client_hello(&b, (struct build_hello){.sni = "a\x1b[31m\n"});
    frame = build_frame(&b, 0);
    assert_non_null(strstr(summary(&frame), "sni(not a host name)=a\\x1b[31m\\x0a"));
    packet_tree(&frame, &tree);
    assert_field("TLS ClientHello", "sni_not_a_host_name", "a\\x1b[31m\\x0a");
}

static void icmp_fragments_and_faults_are_said(void **state)
{
    struct frame frame;

    (void)state;
    build_start(&b, buffer, sizeof(buffer));
    build_raw(&b);
    build_ipv4(&b, ip4);
    build_icmp(&b, 8, 0, 5, 1);
    frame = build_frame(&b, 0);
    assert_string_equal(summary(&frame), "Raw IP | IPv4 10.0.0.1 > 192.0.2.9 ttl=64 len=28 | ICMP "
                                         "type=8 code=0 (echo request) id=5 len=0");
    buffer[10] ^= 1;
    assert_non_null(strstr(summary(&frame), "bad-checksum"));
    frame.captured_bytes = 21;
    assert_non_null(strstr(summary(&frame), " | truncated"));
    packet_tree(&frame, &tree);
    assert_string_equal(tree.layers[tree.layer_count - 1].name, "Truncated");
    frame.link_type = 999;
    assert_string_equal(summary(&frame), "Link type 999 | unsupported_link");
}

static void every_cut_of_a_frame_makes_a_tree_within_it(void **state)
{
    const struct frame whole = hello_frame();

    (void)state;
    for (uint32_t kept = 0; kept <= whole.captured_bytes; kept++) {
        uint8_t *bytes = malloc(kept > 0 ? kept : 1);
        struct frame cut = whole;

        assert_non_null(bytes);
        memcpy(bytes, whole.bytes, kept);
        cut.bytes = bytes;
        cut.captured_bytes = kept;
        packet_tree(&cut, &tree);
        assert_true(tree.layer_count > 0);
        for (uint32_t i = 0; i < tree.field_count; i++) {
            assert_true(tree.fields[i].offset + tree.fields[i].length <= kept);
        }
        (void)summary(&cut);
        free(bytes);
    }
}

static void a_frame_with_more_to_say_than_fits_is_cut(void **state)
{
    struct frame frame;

    (void)state;
    build_start(&b, buffer, sizeof(buffer));
    build_raw(&b);
    build_ipv4(&b, ip4);
    build_udp(&b, 53, 40000);
    build_bytes(&b, (const uint8_t[]){0, 1, 1, 0, 1, 0x2c, 0, 0, 0, 0, 0, 0}, 12);
    for (unsigned i = 0; i < 300; i++) {
        build_bytes(&b, (const uint8_t[]){1, 'a', 0, 0, 1, 0, 1}, 7);
    }
    frame = build_frame(&b, 0);
    packet_tree(&frame, &tree);
    assert_true(tree.field_count <= PACKET_TREE_FIELDS_MAX);
    assert_true(tree.text_bytes <= PACKET_TREE_TEXT_BYTES);
    assert_int_equal(packet_summary(&frame, &packet, line, 10), 9);
}

static void the_hex_dump_shows_bytes_and_text(void **state)
{
    static const uint8_t bytes[18] = "GET / HTTP/1.1\r\n\x7f";
    const struct frame frame = {.bytes = bytes, .captured_bytes = 17};
    char hex[PACKET_HEX_LINE_BYTES];

    (void)state;
    assert_true(packet_hex_line(&frame, 0, hex));
    assert_string_equal(hex,
                        "0000  47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a  GET / HTTP/1.1..");
    assert_true(packet_hex_line(&frame, 16, hex));
    assert_string_equal(hex, "0010  7f                                               .");
    assert_false(packet_hex_line(&frame, 32, hex));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_holds_every_layer_with_values_and_places),
        cmocka_unit_test(links_and_tunnels_show_the_fields_of_their_headers),
        cmocka_unit_test(the_line_joins_the_layers),
        cmocka_unit_test(dns_is_shown_with_question_and_answers),
        cmocka_unit_test(hostile_names_reach_no_terminal),
        cmocka_unit_test(icmp_fragments_and_faults_are_said),
        cmocka_unit_test(every_cut_of_a_frame_makes_a_tree_within_it),
        cmocka_unit_test(a_frame_with_more_to_say_than_fits_is_cut),
        cmocka_unit_test(the_hex_dump_shows_bytes_and_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
