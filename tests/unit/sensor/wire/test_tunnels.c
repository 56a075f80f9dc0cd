/* Tunnels: the packet inside keys the flow, what is around it is listed, and what only looks like a
 * tunnel is left as payload. */
#include "sensor/wire/ethernet.h"
#include "tests/unit/sensor/wire/walk_check.h"

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define MACS       2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1
/* A header of 20 bytes and four bytes behind it, which says `length`. */
#define IPV4_OF(length)                                                                            \
    0x45, 0, 0, length, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0

static const struct build_ip outside = {.source = "198.51.100.1", .target = "198.51.100.2"};
static const struct build_ip outside_6 = {.source = "2001:db8:f::1", .target = "2001:db8:f::2"};

static struct build_ip outside_with(uint8_t protocol)
{
    struct build_ip ip = outside;

    ip.protocol = protocol;
    return ip;
}

/* What stands between the outer IP header and the packet inside. */
struct tunnel_case {
    const char *name;
    uint8_t protocol; /* 17: UDP to `port` first */
    uint16_t port;
    const uint8_t *bytes;
    size_t length;
    size_t length_at, length_without; /* a length field to patch */
    enum tunnel_type type;
    uint32_t id;
    bool is_ipv6; /* inside */
};

static const struct tunnel_case cases[] = {
    {"IP in IP", 4, 0, NULL, 0, 0, 0, TUNNEL_IP_IN_IP, 0, false},
    {"6in4", 41, 0, NULL, 0, 0, 0, TUNNEL_IP_IN_IP, 0, true},
    {"IPIP", 94, 0, NULL, 0, 0, 0, TUNNEL_IP_IN_IP, 0, false},
    {"GRE", 47, 0, BYTES(0, 0, 8, 0), 0, 0, TUNNEL_GRE, 0, false},
    {"GRE around IPv6", 47, 0, BYTES(0, 0, 0x86, 0xdd), 0, 0, TUNNEL_GRE, 0, true},
    {"GRE, checksum, key, sequence", 47, 0,
     BYTES(0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1), 0, 0, TUNNEL_GRE, 9, false},
    {"GRE, routing", 47, 0, BYTES(0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 4, 10, 0, 0, 1, 0, 0, 0, 0),
     0, 0, TUNNEL_GRE, 0, false},
    {"GRE around Ethernet", 47, 0, BYTES(0, 0, 0x65, 0x58, MACS, 8, 0), 0, 0, TUNNEL_GRE, 0, false},
    {"NVGRE", 47, 0, BYTES(0x20, 0, 0x65, 0x58, 0, 0x10, 7, 1, MACS, 8, 0), 0, 0, TUNNEL_NVGRE,
     0x1007, false},
    {"a small key around Ethernet", 47, 0, BYTES(0x20, 0, 0x65, 0x58, 0, 0, 7, 1, MACS, 8, 0), 0, 0,
     TUNNEL_GRE, 0x701, false},
    {"GRE over UDP", 17, 4754, BYTES(0, 0, 8, 0), 0, 0, TUNNEL_GRE, 0, false},
    {"PPTP", 47, 0, BYTES(0x30, 1, 0x88, 0x0b, 0, 39, 0, 5, 0, 0, 0, 1, 0xff, 3, 0, 0x21), 0, 0,
     TUNNEL_PPTP, 5, false},
    {"PPTP with acknowledgement", 47, 0,
     BYTES(0x30, 0x81, 0x88, 0x0b, 0, 36, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0x21), 0, 0, TUNNEL_PPTP, 5,
     false},
    {"MPLS in IP", 137, 0, BYTES(0, 1, 0x01, 64), 0, 0, TUNNEL_MPLS, 16, false},
    {"MPLS in UDP", 17, 6635, BYTES(0, 1, 0x00, 64, 0, 2, 0x01, 64), 0, 0, TUNNEL_MPLS, 32, false},
    {"VXLAN", 17, 4789, BYTES(8, 0, 0, 0, 0, 0, 7, 0, MACS, 8, 0), 0, 0, TUNNEL_VXLAN, 7, false},
    {"VXLAN with a group", 17, 8472, BYTES(0x88, 0, 0, 5, 0, 0, 7, 0, MACS, 8, 0), 0, 0,
     TUNNEL_VXLAN, 7, false},
    {"VXLAN around VLAN", 17, 4789, BYTES(8, 0, 0, 0, 0, 0, 7, 0, MACS, 0x81, 0, 0, 3, 8, 0), 0, 0,
     TUNNEL_VXLAN, 7, false},
    {"VXLAN-GPE around IPv6", 17, 4790, BYTES(0x0c, 0, 0, 2, 0, 0, 7, 0), 0, 0, TUNNEL_VXLAN_GPE, 7,
     true},
    {"VXLAN-GPE around Ethernet", 17, 4790, BYTES(0x0c, 0, 0, 3, 0, 0, 7, 0, MACS, 8, 0), 0, 0,
     TUNNEL_VXLAN_GPE, 7, false},
    {"VXLAN-GPE without protocol", 17, 4790, BYTES(8, 0, 0, 0, 0, 0, 7, 0, MACS, 8, 0), 0, 0,
     TUNNEL_VXLAN_GPE, 7, false},
    {"Geneve around IP", 17, 6081, BYTES(0, 0, 8, 0, 0, 0, 7, 0), 0, 0, TUNNEL_GENEVE, 7, false},
    {"Geneve with options", 17, 6081,
     BYTES(2, 0x40, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 1, 4, 5, 6, 7, MACS, 8, 0), 0, 0,
     TUNNEL_GENEVE, 7, false},
    {"GTP-U", 17, 2152, BYTES(0x30, 0xff, 0, 0, 0, 0, 0, 9), 2, 8, TUNNEL_GTP_U, 9, false},
    {"GTP-U around IPv6", 17, 2152, BYTES(0x30, 0xff, 0, 0, 0, 0, 0, 9), 2, 8, TUNNEL_GTP_U, 9,
     true},
    {"GTP-U, sequence", 17, 2152, BYTES(0x32, 0xff, 0, 0, 0, 0, 0, 9, 0, 1, 0, 0), 2, 8,
     TUNNEL_GTP_U, 9, false},
    {"GTP-U, extension headers", 17, 2152,
     BYTES(0x34, 0xff, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0xc0, 1, 0, 1, 0x85, 1, 0x10, 9, 0), 2, 8,
     TUNNEL_GTP_U, 9, false},
    {"GTP version 0", 17, 3386,
     BYTES(0x1e, 0xff, 0, 0, 0, 1, 0, 9, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8), 2, 20,
     TUNNEL_GTP_U, 9, false},
    {"Teredo", 17, 3544, NULL, 0, 0, 0, TUNNEL_TEREDO, 0, true},
    {"Teredo with origin", 17, 3544, BYTES(0, 0, 0x12, 0x34, 1, 2, 3, 4), 0, 0, TUNNEL_TEREDO, 0,
     true},
    {"Teredo with authentication and origin", 17, 3544,
     BYTES(0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0x12, 0x34, 1, 2, 3, 4), 0, 0,
     TUNNEL_TEREDO, 0, true},
    {"AYIYA", 17, 5072,
     BYTES(0x41, 0x52, 0x11, 41, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
           0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19),
     0, 0, TUNNEL_AYIYA, 0, true},
    {"L2TP", 17, 1701, BYTES(0, 2, 0, 3, 0, 4, 0xff, 3, 0, 0x21), 0, 0, TUNNEL_L2TP, 0x30004,
     false},
    {"L2TP, length, sequence, offset", 17, 1701,
     BYTES(0x4a, 2, 0, 0, 0, 3, 0, 4, 0, 1, 0, 1, 0, 2, 9, 9, 0, 0x21), 2, 0, TUNNEL_L2TP, 0x30004,
     false},
    {"L2TPv3 over UDP", 17, 1701, BYTES(0, 3, 0, 0, 0, 0, 0, 7, MACS, 8, 0), 0, 0, TUNNEL_L2TP, 7,
     false},
    {"L2TPv3 over IP", 115, 0, BYTES(0, 0, 0, 7, MACS, 8, 0), 0, 0, TUNNEL_L2TP, 7, false},
    {"L2TPv3, cookie and sublayer", 115, 0,
     BYTES(0, 0, 0, 7, 9, 9, 9, 9, 9, 9, 9, 9, 0x40, 0, 0, 1, MACS, 8, 0), 0, 0, TUNNEL_L2TP, 7,
     false},
    {"L2TPv3 around HDLC", 115, 0, BYTES(0, 0, 0, 7, 0x0f, 0, 8, 0), 0, 0, TUNNEL_L2TP, 7, false},
    {"NSH", 145, 0, BYTES(0x0f, 0xc2, 2, 1, 0, 0, 7, 0xff), 0, 0, TUNNEL_NSH, 7, false},
    {"EtherIP", 97, 0, BYTES(0x30, 0, MACS, 8, 0), 0, 0, TUNNEL_ETHERIP, 0, false},
    {"Ethernet in IP", 143, 0, BYTES(MACS, 8, 0), 0, 0, TUNNEL_ETHERIP, 0, false},
    {"CAPWAP, 802.3", 17, 5247, BYTES(0, 0x10, 0x40, 0, 0, 0, 0, 0, MACS, 8, 0), 0, 0,
     TUNNEL_CAPWAP, 1, false},
    {"CAPWAP, 802.11", 17, 5247,
     BYTES(0, 0x10, 0x43, 0, 0, 0, 0, 0, 8, 1, 0, 0, MACS, 2, 0, 0, 0, 0, 8, 0, 0, 0xaa, 0xaa, 3, 0,
           0, 0, 8, 0),
     0, 0, TUNNEL_CAPWAP, 1, false},
    {"CAPWAP, 802.11 with swapped control", 17, 5247,
     BYTES(0, 0x10, 0x43, 0, 0, 0, 0, 0, 1, 8, 0, 0, MACS, 2, 0, 0, 0, 0, 8, 1, 0x10, 0xaa, 0xaa, 3,
           0, 0, 0, 8, 0),
     0, 0, TUNNEL_CAPWAP, 1, false},
    {"TZSP", 17, 37008, BYTES(1, 0, 0, 1, 0, 10, 1, 5, 1, MACS, 8, 0), 0, 0, TUNNEL_TZSP, 0, false},
    {"LISP", 17, 4341, BYTES(0, 0, 0, 0, 0, 0, 0, 0), 0, 0, TUNNEL_LISP, 0, false},
    {"LISP, nonce and locators", 17, 4341, BYTES(0xc0, 1, 2, 3, 0, 0, 0, 7), 0, 0, TUNNEL_LISP, 0,
     false},
    {"LISP, instance, around IPv6", 17, 4341, BYTES(0xc8, 1, 2, 3, 0, 0, 7, 1), 0, 0, TUNNEL_LISP,
     7, true},
    {"LISP with a protocol", 17, 4341, BYTES(0x0c, 0, 0, 1, 0, 0, 7, 0), 0, 0, TUNNEL_LISP, 7,
     false},
    {"LISP with the protocol IPv6", 17, 4341, BYTES(0x0c, 0, 0, 2, 0, 0, 7, 0), 0, 0, TUNNEL_LISP,
     7, true},
    {"LISP around Ethernet", 17, 4341, BYTES(0x0c, 0, 0, 3, 0, 0, 7, 0, MACS, 8, 0), 0, 0,
     TUNNEL_LISP, 7, false},
    {"GUE", 17, 6080, BYTES(0, 4, 0, 0), 0, 0, TUNNEL_GUE, 0, false},
    {"GUE around IPv6, private flags", 17, 6080, BYTES(2, 41, 0, 1, 0x80, 0, 0, 0, 0, 24, 0, 30), 0,
     0, TUNNEL_GUE, 0, true},
    {"GUE without a header", 17, 6080, NULL, 0, 0, 0, TUNNEL_GUE, 0, false},
    {"GUE without a header, IPv6", 17, 6080, NULL, 0, 0, 0, TUNNEL_GUE, 0, true},
    {"PIM register", 103, 0, BYTES(0x21, 0, 0xde, 0xff, 0, 0, 0, 0), 0, 0, TUNNEL_PIM, 0, false},
    {"PIM register of a border, IPv6", 103, 0, BYTES(0x21, 0, 0x5e, 0xff, 0x80, 0, 0, 0), 0, 0,
     TUNNEL_PIM, 0, true},
};

static void build_case(const struct tunnel_case *c, bool is_over_6)
{
    struct packet_builder *b = check_start(LINK_ETHERNET);
    struct build_ip ip = is_over_6 ? outside_6 : outside;

    ip.protocol = c->protocol;
    build_ethernet(b);
    if (is_over_6) {
        build_ipv6(b, ip);
    } else {
        build_ipv4(b, ip);
    }
    if (c->protocol == 17) {
        build_udp(b, 50000, c->port);
    }
    if (c->length > 0) {
        build_header(b, (struct build_header){.bytes = c->bytes,
                                              .length = c->length,
                                              .length_at = c->length_at,
                                              .length_without = c->length_without});
    }
    check_add_inside(c->is_ipv6);
}

static void every_tunnel_is_opened_and_listed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        const struct tunnel_case *c = &cases[i / 2];

        build_case(c, i % 2 != 0);
        if (check_decode(NULL) != PACKET_OK || check_packet.source_port != 40000) {
            fail_msg("%s: %s, %s in %s", c->name,
                     packet_verdict_name((enum packet_verdict)check_packet.verdict),
                     decode_reason_name((enum decode_reason)check_packet.fault_reason),
                     wire_layer_name((enum wire_layer)check_packet.fault_layer));
        }
        check_is_inside();
        assert_int_equal(check_packet.tunnel_count, 1);
        assert_string_equal(tunnel_type_name((enum tunnel_type)check_packet.tunnel_types[0]),
                            tunnel_type_name(c->type));
        assert_int_equal(check_packet.tunnel_ids[0], c->id);
        assert_int_equal(check_packet.tunnel_offsets[0], ETHERNET_HEADER_BYTES);
        check_cuts();
    }
}

static void no_tunnel_is_deeper_than_the_rules_say(void **state)
{
    struct packet_rules rules = packet_rules_default;

    (void)state;
    rules.layers_max = 1; /* the tunnel's own header, and none inside */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        build_case(&cases[i], false);
        assert_int_equal(check_decode(&rules), PACKET_MALFORMED);
        assert_int_equal(check_packet.fault_reason, DECODE_TOO_DEEP);
        assert_int_equal(check_packet.source_ip[0], 198);
        assert_int_equal(check_packet.tunnel_count, 0);
    }
}

static void nothing_of_the_outer_header_is_left(void **state)
{
    (void)state;
    build_case(&cases[0], true); /* IPv4 in IPv6 */
    (void)check_decode(NULL);
    for (int i = 4; i < 16; i++) {
        assert_int_equal(check_packet.source_ip[i] | check_packet.target_ip[i], 0);
    }
    assert_int_equal(check_packet.ip_bytes, 35);
    assert_int_equal(check_packet.flow_label, 0);
}

static void erspan_of_all_types_is_opened(void **state)
{
    const struct {
        const uint8_t *bytes;
        size_t length;
        uint32_t session;
        uint8_t count;
    } kinds[] = {
        {BYTES(0, 0, 0x88, 0xbe, MACS, 8, 0), 0, 2},
        {BYTES(0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0, 0x65, 0, 0, 0, 0, MACS, 8, 0), 0x65, 2},
        {BYTES(0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 0x65, 0, 0, 0, 0, 0, 0, 0, 0, MACS, 8,
               0),
         0x65, 2},
        {BYTES(0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 0x65, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
               0, 0, 0, 0, 0, MACS, 8, 0),
         0x65, 2},
        {BYTES(0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 0x65, 0, 0, 0, 0, 0, 0, 8, 0), 0x65, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct packet_builder *b = check_start(LINK_ETHERNET);

        build_ethernet(b);
        build_ipv4(b, outside_with(47));
        check_add(kinds[i].bytes, kinds[i].length);
        check_add_inside(false);
        assert_int_equal(check_decode(NULL), PACKET_OK);
        check_is_inside();
        assert_int_equal(check_packet.tunnel_count, kinds[i].count);
        assert_int_equal(check_packet.tunnel_types[0], TUNNEL_GRE);
        assert_int_equal(check_packet.tunnel_types[1], TUNNEL_ERSPAN);
        assert_int_equal(check_packet.tunnel_ids[1], kinds[i].session);
        check_cuts();
    }
}

static void mpls_is_opened_by_what_follows_it(void **state)
{
    const struct {
        const uint8_t *bytes;
        size_t length;
    } kinds[] = {
        {BYTES(MACS, 0x88, 0x47, 0, 1, 0x01, 64)},
        {BYTES(MACS, 0x88, 0x48, 0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64)},
        {BYTES(MACS, 0x88, 0x47, 0, 1, 0x01, 64, 0, 0, 0, 7, MACS, 8, 0)}, /* control word */
        {BYTES(MACS, 0x88, 0x47, 0, 1, 0x01, 64, MACS, 8, 0)},
        {BYTES(MACS, 0x88, 0x47, 0, 1, 0x01, 64, 0, 0x1b, 0x21, 1, 2, 3, 0, 0x1b, 0x21, 4, 5, 6, 8,
               0)},
        {BYTES(MACS, 0x88, 0x47, 0, 1, 0x01, 64, 0x42, 0, 0x21, 1, 2, 3, 0, 0x1b, 0x21, 4, 5, 6, 8,
               0)}, /* an address that looks like IPv4 */
        {BYTES(MACS, 0x81, 0, 0, 9, 0x88, 0x47, 0, 0, 0x01, 64)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        check_start(LINK_ETHERNET);
        check_add(kinds[i].bytes, kinds[i].length);
        check_add_inside(false);
        assert_int_equal(check_decode(NULL), PACKET_OK);
        check_is_inside();
        assert_int_equal(check_packet.tunnel_types[0], TUNNEL_MPLS);
        assert_int_equal(check_packet.tunnel_offsets[0], PACKET_NO_OUTER_IP);
        check_cuts();
    }
}

static void wccp_of_both_versions_is_opened(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct packet_builder *b = check_start(LINK_ETHERNET);

        build_ethernet(b);
        build_ipv4(b, outside_with(47));
        check_add(BYTES(0, 0, 0x88, 0x3e));
        if (version == 2) {
            check_add(BYTES(0, 0, 0, 0));
        }
        check_add_inside(false);
        assert_int_equal(check_decode(NULL), PACKET_OK);
        check_is_inside();
        assert_int_equal(check_packet.tunnel_types[1], TUNNEL_WCCP);
        check_cuts();
    }
}

static void tunnels_nest_and_the_outermost_four_are_listed(void **state)
{
    struct packet_builder *b = check_start(LINK_ETHERNET);

    (void)state;
    build_ethernet(b);
    build_pppoe(b, 5);
    build_ipv4(b, outside);
    build_gre_key(b, 6);
    build_ipv6(b, outside_6);
    build_vxlan_udp(b, 7);
    build_ethernet(b);
    build_mpls(b, 8, true);
    build_ipv4(b, outside);
    build_gtp_udp(b, 9);
    check_add_inside(true);
    assert_int_equal(check_decode(NULL), PACKET_OK);
    check_is_inside();
    assert_int_equal(check_packet.tunnel_count, 5);
    assert_int_equal(check_packet.tunnel_types[0], TUNNEL_PPPOE);
    assert_int_equal(check_packet.tunnel_types[1], TUNNEL_GRE);
    assert_int_equal(check_packet.tunnel_types[2], TUNNEL_VXLAN);
    assert_int_equal(check_packet.tunnel_types[3], TUNNEL_MPLS);
    assert_int_equal(check_packet.tunnel_offsets[0], PACKET_NO_OUTER_IP);
    assert_int_equal(check_builder.bytes[check_packet.tunnel_offsets[1]] >> 4, 4);
    assert_int_equal(check_builder.bytes[check_packet.tunnel_offsets[2]] >> 4, 6);
    assert_int_equal(check_packet.tunnel_offsets[2], check_packet.tunnel_offsets[3]);
    check_cuts();
}

/* ---- what is no tunnel ---- */

static void other_messages_of_pim_are_its_own(void **state)
{
    static const struct {
        uint8_t type, flags, version;
    } others[] = {
        {0x20, 0, 0x45},    /* Hello */
        {0x21, 0x40, 0x45}, /* Null-Register */
        {0x11, 0, 0x45},    /* version 1 */
        {0x21, 0, 0x15},    /* no IP in it */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct packet_builder *b = check_start(LINK_ETHERNET);

        build_ethernet(b);
        build_ipv4(b, (struct build_ip){
                          .source = "198.51.100.1", .target = "198.51.100.2", .protocol = 103});
        check_add(BYTES(others[i].type, 0, 0, 0, others[i].flags, 0, 0, 0, others[i].version, 0, 0,
                        20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 239, 0, 0, 1));
        assert_int_equal(check_decode(NULL), PACKET_OK);
        assert_int_equal(check_packet.protocol, 103);
        assert_int_equal(check_packet.tunnel_count, 0);
        check_cuts();
    }
}

static const struct {
    const char *name;
    uint8_t protocol;
    uint16_t port;
    const uint8_t *bytes;
    size_t length;
    enum wire_layer layer;
    enum decode_reason reason;
} others[] = {
    {"VXLAN without its flag", 17, 4789, BYTES(0, 0, 0, 0, 0, 0, 7, 0, MACS, 8, 0), LAYER_VXLAN,
     DECODE_REFUSED},
    {"VXLAN of 3 bytes", 17, 4789, BYTES(8, 0, 0), LAYER_VXLAN, DECODE_MALFORMED},
    {"VXLAN around ARP", 17, 4789, BYTES(8, 0, 0, 0, 0, 0, 7, 0, MACS, 8, 6, 0, 1), LAYER_NONE,
     DECODE_WHOLE},
    {"Geneve of version 1", 17, 6081, BYTES(0x40, 0, 8, 0, 0, 0, 7, 0, 0x45), LAYER_GENEVE,
     DECODE_REFUSED},
    {"Geneve with options beyond its end", 17, 6081, BYTES(0x3f, 0, 8, 0, 0, 0, 7, 0, 0x45),
     LAYER_GENEVE, DECODE_REFUSED},
    {"GTP'", 17, 3386, BYTES(0x0f, 0xff, 0, 4, 0, 0, 1, 2, 3, 4), LAYER_GTP_U, DECODE_REFUSED},
    {"GTP-U longer than the datagram", 17, 2152, BYTES(0x30, 0xff, 1, 0, 0, 0, 0, 9, 0x45),
     LAYER_GTP_U, DECODE_REFUSED},
    {"GTP-U, extension of length 0", 17, 2152,
     BYTES(0x34, 0xff, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0xc0, 0, 0, 0, 0), LAYER_GTP_U, DECODE_REFUSED},
    {"GTP-U around anything", 17, 2152,
     BYTES(0x30, 0xff, 0, 40, 0, 0, 0, 9, 0x45, 0, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
           0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
     LAYER_GTP_U, DECODE_REFUSED},
    {"GTP-U echo", 17, 2152, BYTES(0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0), LAYER_NONE,
     DECODE_WHOLE},
    {"Teredo's port, other bytes", 17, 3544, BYTES(0x60, 0, 0, 0, 1, 2, 3, 4), LAYER_TEREDO,
     DECODE_REFUSED},
    {"L2TP control", 17, 1701, BYTES(0xc8, 2, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0), LAYER_NONE,
     DECODE_WHOLE},
    {"L2F", 17, 1701, BYTES(0, 1, 0, 0, 0, 0, 0, 0), LAYER_L2TP, DECODE_REFUSED},
    {"L2TP longer than the datagram", 17, 1701, BYTES(0x40, 2, 1, 0, 0, 1, 0, 1, 0, 0x21),
     LAYER_L2TP, DECODE_REFUSED},
    {"L2TPv3 control", 115, 0, BYTES(0, 0, 0, 0, 1, 2, 3, 4), LAYER_NONE, DECODE_WHOLE},
    {"L2TPv3 around anything", 115, 0, BYTES(0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8), LAYER_L2TP,
     DECODE_UNSUPPORTED},
    {"AYIYA without a packet", 17, 5072, BYTES(0, 0, 0, 59, 0, 0, 0, 0, 1), LAYER_NONE,
     DECODE_WHOLE},
    {"GRE of version 3", 47, 0, BYTES(0, 3, 8, 0, 0x45), LAYER_GRE, DECODE_MALFORMED},
    {"GRE without end of its routes", 47, 0, BYTES(0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 4),
     LAYER_GRE, DECODE_MALFORMED},
    {"GRE keepalive", 47, 0, BYTES(0, 0, 0, 0), LAYER_NONE, DECODE_WHOLE},
    {"GRE around OSI", 47, 0, BYTES(0, 0, 0, 0xfe, 1, 2, 3), LAYER_GRE, DECODE_UNSUPPORTED},
    {"PPTP acknowledgement", 47, 0, BYTES(0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 5, 0, 0, 0, 1),
     LAYER_NONE, DECODE_WHOLE},
    {"ERSPAN II of version 7", 47, 0,
     BYTES(0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x70, 5, 0, 0x65, 0, 0, 0, 0, MACS, 8, 0), LAYER_ERSPAN,
     DECODE_MALFORMED},
    {"EtherIP of version 4", 97, 0, BYTES(0x40, 0, MACS, 8, 0), LAYER_ETHERIP, DECODE_MALFORMED},
    {"NSH of 4 bytes", 145, 0, BYTES(0x0f, 0xc1, 2, 1, 0, 0, 7, 0xff), LAYER_NSH, DECODE_MALFORMED},
    {"NSH around BIER", 145, 0, BYTES(0x0f, 0xc2, 2, 9, 0, 0, 7, 0xff), LAYER_NSH,
     DECODE_UNSUPPORTED},
    {"CAPWAP under DTLS", 17, 5247, BYTES(1, 0, 0, 0, 22, 0xfe, 0xff, 0), LAYER_CAPWAP,
     DECODE_PROTECTED},
    {"CAPWAP keepalive", 17, 5247, BYTES(0, 0x10, 0x42, 8, 0, 0, 0, 0), LAYER_CAPWAP,
     DECODE_UNSUPPORTED},
    {"CAPWAP, a later fragment of 802.11", 17, 5247,
     BYTES(0, 0x10, 0x43, 0, 0, 0, 0, 0, 8, 1, 0, 0, MACS, 2, 0, 0, 0, 0, 8, 1, 0x10, 0xaa, 0xaa, 3,
           0, 0, 0, 8, 0),
     LAYER_WLAN, DECODE_UNSUPPORTED},
    {"CAPWAP, a later fragment of 802.11 with swapped control", 17, 5247,
     BYTES(0, 0x10, 0x43, 0, 0, 0, 0, 0, 1, 8, 0, 0, MACS, 2, 0, 0, 0, 0, 8, 0x10, 1, 0xaa, 0xaa, 3,
           0, 0, 0, 8, 0),
     LAYER_WLAN, DECODE_UNSUPPORTED},
    {"TZSP without end of its tags", 17, 37008, BYTES(1, 0, 0, 1, 0, 0, 0), LAYER_TZSP,
     DECODE_MALFORMED},
    {"LISP around a packet that ends before", 17, 4341,
     BYTES(0, 0, 0, 0, 0, 0, 0, 0, IPV4_OF(24), 0), LAYER_LISP, DECODE_REFUSED},
    {"LISP around a packet that ends behind", 17, 4341,
     BYTES(0, 0, 0, 0, 0, 0, 0, 0, IPV4_OF(26), 0), LAYER_LISP, DECODE_REFUSED},
    {"LISP around anything", 17, 4341, BYTES(0, 0, 0, 0, 0, 0, 0, 0, 0x55, 0, 0, 4), LAYER_LISP,
     DECODE_REFUSED},
    {"LISP around another version than it says", 17, 4341,
     BYTES(4, 0, 0, 2, 0, 0, 0, 0, IPV4_OF(25), 0), LAYER_LISP, DECODE_REFUSED},
    {"LISP around NSH", 17, 4341, BYTES(4, 0, 0, 4, 0, 0, 0, 0, IPV4_OF(25), 0), LAYER_LISP,
     DECODE_REFUSED},
    {"LISP around Ethernet of no ethertype in use", 17, 4341,
     BYTES(4, 0, 0, 3, 0, 0, 0, 0, MACS, 0x99, 0x99, 0, 0), LAYER_LISP, DECODE_REFUSED},
    {"LISP, encrypted", 17, 4341, BYTES(1, 0, 0, 0, 0, 0, 0, 0, IPV4_OF(25), 0), LAYER_LISP,
     DECODE_PROTECTED},
    {"LISP of 7 bytes", 17, 4341, BYTES(0, 0, 0, 0, 0, 0, 0), LAYER_LISP, DECODE_MALFORMED},
    {"LISP without a packet", 17, 4341, BYTES(0, 0, 0, 0, 0, 0, 0, 0), LAYER_LISP, DECODE_REFUSED},
    {"LISP control, encapsulated", 17, 4342, BYTES(0x80, 0, 0, 0, IPV4_OF(25), 0), LAYER_NONE,
     DECODE_WHOLE},
    {"GUE control", 17, 6080, BYTES(0x20, 0, 0, 0, IPV4_OF(25), 0), LAYER_NONE, DECODE_WHOLE},
    {"GUE around UDP", 17, 6080, BYTES(0, 17, 0, 0, IPV4_OF(25), 0), LAYER_GUE, DECODE_UNSUPPORTED},
    {"GUE longer than the datagram", 17, 6080, BYTES(0x1f, 4, 0, 0, IPV4_OF(25), 0), LAYER_GUE,
     DECODE_REFUSED},
    {"GUE around a packet that ends before", 17, 6080, BYTES(0, 4, 0, 0, IPV4_OF(24), 0), LAYER_GUE,
     DECODE_REFUSED},
    {"GUE around IPv4 as IPv6", 17, 6080, BYTES(0, 41, 0, 0, IPV4_OF(25), 0), LAYER_GUE,
     DECODE_REFUSED},
    {"GUE without a header, a packet that ends behind", 17, 6080, BYTES(IPV4_OF(26), 0), LAYER_GUE,
     DECODE_REFUSED},
    {"GUE of variant 2", 17, 6080, BYTES(0x80, 4, 0, 0, IPV4_OF(25), 0), LAYER_GUE, DECODE_REFUSED},
    {"IP in IP, no IP", 4, 0, BYTES(0x15, 0, 0, 0), LAYER_IP_IN_IP, DECODE_MALFORMED},
    {"IP in IP, header length 0", 4, 0,
     BYTES(0x40, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), LAYER_IPV4,
     DECODE_MALFORMED},
    {"MPLS around anything", 137, 0, BYTES(0, 1, 1, 64, 0x90, 1, 2, 3), LAYER_PSEUDOWIRE,
     DECODE_UNSUPPORTED},
};

static void what_cannot_be_opened_stays_with_the_outer_flow(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct packet_builder *b = check_start(LINK_ETHERNET);

        build_ethernet(b);
        build_ipv4(b, outside_with(others[i].protocol));
        if (others[i].protocol == 17) {
            build_udp(b, 50000, others[i].port);
        }
        check_add(others[i].bytes, others[i].length);
        (void)check_decode(NULL);
        if (check_packet.fault_layer != others[i].layer ||
            check_packet.fault_reason != others[i].reason) {
            fail_msg("%s: %s in %s", others[i].name,
                     decode_reason_name((enum decode_reason)check_packet.fault_reason),
                     wire_layer_name((enum wire_layer)check_packet.fault_layer));
        }
        assert_int_equal(check_packet.ip_version, 4);
        assert_int_equal(check_packet.source_ip[0], 198);
        assert_int_equal(check_packet.protocol, others[i].protocol);
        assert_int_equal(check_packet.tunnel_count, 0);
        assert_int_equal(check_packet.tenant, 0);
        assert_int_equal(check_packet.payload_captured_bytes, others[i].length);
        assert_int_equal(check_packet.verdict,
                         others[i].reason == DECODE_MALFORMED ? PACKET_MALFORMED : PACKET_OK);
        check_cuts();
    }
}

static void errors_of_icmp_are_not_opened(void **state)
{
    struct packet_builder *b = check_start(LINK_ETHERNET);

    (void)state;
    build_ethernet(b);
    build_ipv4(b, outside);
    build_icmp(b, 3, 3, 0, 0);
    check_add_inside(false);
    assert_int_equal(check_decode(NULL), PACKET_OK);
    assert_int_equal(check_packet.protocol, IP_PROTOCOL_ICMP);
    assert_int_equal(check_packet.source_ip[0], 198);
    assert_int_equal(check_packet.facts & PACKET_HAS_PORTS, 0);
}

static void a_later_fragment_of_a_tunnel_is_not_opened_and_the_first_is_known(void **state)
{
    struct packet_builder *b = check_start(LINK_ETHERNET);
    struct build_ip ip = outside_with(17);

    (void)state;
    ip.fragment_offset_bytes = 8;
    build_ethernet(b);
    build_ipv4(b, ip);
    build_vxlan_udp(b, 7);
    build_ethernet(b);
    check_add_inside(false);
    assert_int_equal(check_decode(NULL), PACKET_OK);
    assert_int_equal(check_packet.source_ip[0], 198);
    assert_true(check_packet.facts & PACKET_IS_LATER_FRAGMENT);

    b = check_start(LINK_ETHERNET);
    ip.fragment_offset_bytes = 0;
    ip.has_more_fragments = true;
    build_ethernet(b);
    build_ipv4(b, ip);
    build_vxlan_udp(b, 7);
    build_ethernet(b);
    check_add_inside(false);
    assert_int_equal(check_decode(NULL), PACKET_OK);
    check_is_inside();
    assert_int_equal(check_packet.facts & (PACKET_IS_FRAGMENT | PACKET_OUTER_FRAGMENT),
                     PACKET_OUTER_FRAGMENT);
    assert_int_equal(check_packet.outer_fragment_offset, 14);
}

static void a_cut_inside_of_lisp_and_gue_is_cut_and_not_refused(void **state)
{
    static const uint16_t ports[] = {4341, 6080};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct packet_builder *b = check_start(LINK_ETHERNET);

        build_ethernet(b);
        build_ipv4(b, outside);
        build_udp(b, 50000, ports[i]);
        check_add((const uint8_t[]){0, 4, 0, 0, 0, 0, 0, 0}, i == 0 ? 8 : 4);
        check_add_inside(false);
        struct frame frame = build_frame(b, 5);
        const uint32_t inside_at = 14 + 20 + 8 + (i == 0 ? 8 : 4);
        frame.captured_bytes = inside_at + 19; /* its header, but for a byte */
        assert_int_equal(check_frame(NULL, &frame), PACKET_TRUNCATED);
        check_fault(i == 0 ? LAYER_LISP : LAYER_GUE, DECODE_TRUNCATED);
        frame.captured_bytes++;
        assert_int_equal(check_frame(NULL, &frame), PACKET_TRUNCATED);
        check_fault(LAYER_UDP, DECODE_TRUNCATED);
        assert_int_equal(check_packet.tunnel_count, 1);
    }
}

static void a_first_fragment_of_lisp_is_opened(void **state)
{
    struct packet_builder *b = check_start(LINK_ETHERNET);
    struct build_ip ip = outside_with(17);

    (void)state;
    ip.has_more_fragments = true;
    build_ethernet(b);
    build_ipv4(b, ip);
    build_udp(b, 50000, 4341);
    check_add(BYTES(8, 0, 0, 0, 0, 0, 7, 0));
    check_add_inside(false);
    build_finish(b);
    b->bytes[14 + 20 + 8 + 8 + 3] += 8; /* the packet inside goes on in the next one */
    b->bytes[14 + 20 + 4 + 1] += 8;     /* and so does the datagram */
    const struct frame frame = {.bytes = b->bytes,
                                .captured_bytes = (uint32_t)b->length,
                                .wire_bytes = (uint32_t)b->length,
                                .link_type = LINK_ETHERNET};
    assert_int_equal(check_frame(NULL, &frame), PACKET_OK);
    assert_int_equal(check_packet.tunnel_ids[0], 7);
    assert_int_equal(check_packet.source_ip[0], 10);
    assert_true(check_packet.facts & PACKET_OUTER_FRAGMENT);
}

/* ---- rules ---- */

static void a_tunnel_that_is_switched_off_leaves_the_outer_flow(void **state)
{
    static const enum wire_layer layers[] = {LAYER_VXLAN, LAYER_GRE,  LAYER_IP_IN_IP,
                                             LAYER_GTP_U, LAYER_LISP, LAYER_GUE};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t l = 0; l < sizeof(layers) / sizeof(layers[0]); l++) {
            struct packet_rules rules = packet_rules_default;
            const bool is_off = (layers[l] == LAYER_VXLAN && cases[i].type == TUNNEL_VXLAN) ||
                                (layers[l] == LAYER_GRE &&
                                 (cases[i].type == TUNNEL_GRE || cases[i].type == TUNNEL_NVGRE ||
                                  cases[i].type == TUNNEL_PPTP)) ||
                                (layers[l] == LAYER_IP_IN_IP && cases[i].type == TUNNEL_IP_IN_IP) ||
                                (layers[l] == LAYER_GTP_U && cases[i].type == TUNNEL_GTP_U) ||
                                (layers[l] == LAYER_LISP && cases[i].type == TUNNEL_LISP) ||
                                (layers[l] == LAYER_GUE && cases[i].type == TUNNEL_GUE);

            packet_rules_disable(&rules, layers[l]);
            build_case(&cases[i], false);
            assert_int_equal(check_decode(&rules), PACKET_OK);
            assert_int_equal(check_packet.tunnel_count, is_off ? 0 : 1);
            assert_int_equal(check_packet.source_ip[0] == 198, is_off);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tunnel_is_opened_and_listed),
        cmocka_unit_test(other_messages_of_pim_are_its_own),
        cmocka_unit_test(no_tunnel_is_deeper_than_the_rules_say),
        cmocka_unit_test(nothing_of_the_outer_header_is_left),
        cmocka_unit_test(erspan_of_all_types_is_opened),
        cmocka_unit_test(mpls_is_opened_by_what_follows_it),
        cmocka_unit_test(wccp_of_both_versions_is_opened),
        cmocka_unit_test(tunnels_nest_and_the_outermost_four_are_listed),
        cmocka_unit_test(what_cannot_be_opened_stays_with_the_outer_flow),
        cmocka_unit_test(errors_of_icmp_are_not_opened),
        cmocka_unit_test(a_cut_inside_of_lisp_and_gue_is_cut_and_not_refused),
        cmocka_unit_test(a_first_fragment_of_lisp_is_opened),
        cmocka_unit_test(a_later_fragment_of_a_tunnel_is_not_opened_and_the_first_is_known),
        cmocka_unit_test(a_tunnel_that_is_switched_off_leaves_the_outer_flow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
