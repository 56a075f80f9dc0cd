/* Every link type, and what may stand between Ethernet and IP. */
#include "sensor/wire/ethernet.h"
#include "tests/unit/sensor/wire/walk_check.h"

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define MACS       2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1
#define SNAP       0xaa, 0xaa, 3, 0, 0, 0
#define ADDRESSES  2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 8
#define ZEROS_16   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define ZEROS_128  ZEROS_16, ZEROS_16, ZEROS_16, ZEROS_16, ZEROS_16, ZEROS_16, ZEROS_16, ZEROS_16
#define ALL_16                                                                                     \
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
#define ALL_128 ALL_16, ALL_16, ALL_16, ALL_16, ALL_16, ALL_16, ALL_16, ALL_16
/* Time, type, flags, length of the record, what was lost, length on the wire. */
#define ERF_OF(type) 1, 2, 3, 4, 5, 6, 7, 8, type, 4, 0, 128, 0, 0, 0, 64

/* Headers in front of an IPv4 packet of 35 bytes. */
static const struct {
    const char *name;
    uint16_t link_type;
    const uint8_t *bytes;
    size_t length;
} cases[] = {
    {"PPP", LINK_PPP, BYTES(0xff, 3, 0, 0x21)},
    {"PPP without address and control", LINK_PPP, BYTES(0, 0x21)},
    {"PPP, compressed protocol", LINK_PPP, BYTES(0xff, 3, 0x21)},
    {"PPP, long multilink header", LINK_PPP, BYTES(0xff, 3, 0, 0x3d, 0xc0, 0, 0, 1, 0, 0x21)},
    {"PPP, short multilink header", LINK_PPP, BYTES(0xff, 3, 0, 0x3d, 0xc1, 1, 0, 0x21)},
    {"PPP, bridged", LINK_PPP, BYTES(0, 0x31, 0, 1, MACS, 8, 0)},
    {"PPP serial", LINK_PPP_SERIAL, BYTES(0xff, 3, 0, 0x21)},
    {"HDLC as PPP serial", LINK_PPP_SERIAL, BYTES(0x0f, 0, 8, 0)},
    {"PPP with direction", LINK_PPP_WITH_DIR, BYTES(1, 0xff, 3, 0, 0x21)},
    {"pppd", LINK_PPP_PPPD, BYTES(1, 3, 0, 0x21)},
    {"PPPoE as link", LINK_PPP_ETHER, BYTES(0x11, 0, 0, 7, 0, 37, 0, 0x21)},
    {"Cisco HDLC", LINK_HDLC, BYTES(0x0f, 0, 8, 0)},
    {"Cisco HDLC on a link of PPP", LINK_PPP, BYTES(0x0f, 0, 8, 0)},
    {"Cisco HDLC to all on a link of PPP", LINK_PPP, BYTES(0x8f, 0, 8, 0)},
    {"Cisco HDLC with direction", LINK_HDLC_WITH_DIR, BYTES(1, 0x8f, 0, 8, 0)},
    {"Frame Relay, NLPID", LINK_FRAME_RELAY, BYTES(0x18, 0x41, 3, 0xcc)},
    {"Frame Relay, SNAP", LINK_FRAME_RELAY, BYTES(0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0)},
    {"Frame Relay, Cisco", LINK_FRAME_RELAY, BYTES(0x18, 0x41, 8, 0)},
    {"Frame Relay, long address", LINK_FRAME_RELAY, BYTES(0x18, 0x40, 0x40, 0x01, 3, 0xcc)},
    {"Frame Relay with direction", LINK_FRAME_RELAY_WITH_DIR, BYTES(0, 0x18, 0x41, 3, 0xcc)},
    {"FDDI", LINK_FDDI, BYTES(0x50, MACS, SNAP, 8, 0)},
    {"token ring", LINK_TOKEN_RING, BYTES(0x10, 0x40, MACS, SNAP, 8, 0)},
    {"token ring with a route", LINK_TOKEN_RING,
     BYTES(0x10, 0x40, 2, 0, 0, 0, 0, 2, 0x82, 0, 0, 0, 0, 1, 6, 0x10, 0, 0x11, 0, 0x20, SNAP, 8,
           0)},
    {"LLC over ATM", LINK_ATM_LLC, BYTES(SNAP, 8, 0)},
    {"LLC over ATM, routed", LINK_ATM_LLC, BYTES(0xfe, 0xfe, 3, 0xcc)},
    {"LLC over ATM, bridged", LINK_ATM_LLC, BYTES(0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7, MACS, 8, 0)},
    {"802.11 to the system", LINK_WLAN, BYTES(8, 1, 0, 0, ADDRESSES, 0, 0, SNAP, 8, 0)},
    {"802.11 QoS", LINK_WLAN, BYTES(0x88, 2, 0, 0, ADDRESSES, 0, 0, 0, 0, SNAP, 8, 0)},
    {"802.11 QoS, HT control", LINK_WLAN,
     BYTES(0x88, 0x82, 0, 0, ADDRESSES, 0, 0, 0, 0, 0, 0, 0, 0, SNAP, 8, 0)},
    {"802.11 four addresses", LINK_WLAN,
     BYTES(8, 3, 0, 0, ADDRESSES, 0, 0, 2, 0, 0, 0, 0, 7, SNAP, 8, 0)},
    {"802.11 four addresses, QoS", LINK_WLAN,
     BYTES(0x88, 3, 0, 0, ADDRESSES, 0, 0, 2, 0, 0, 0, 0, 7, 0, 0, SNAP, 8, 0)},
    {"802.11 A-MSDU", LINK_WLAN,
     BYTES(0x88, 1, 0, 0, ADDRESSES, 0, 0, 0x80, 0, MACS, 0, 43, SNAP, 8, 0)},
    {"radiotap", LINK_RADIOTAP,
     BYTES(0, 0, 8, 0, 0, 0, 0, 0, 8, 1, 0, 0, ADDRESSES, 0, 0, SNAP, 8, 0)},
    {"radiotap, padded header", LINK_RADIOTAP,
     BYTES(0, 0, 17, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0x88, 2, 0, 0, ADDRESSES, 0, 0, 0,
           0, 0, 0, SNAP, 8, 0)},
    {"PPI", LINK_PPI, BYTES(0, 0, 8, 0, 105, 0, 0, 0, 8, 1, 0, 0, ADDRESSES, 0, 0, SNAP, 8, 0)},
    {"PPI around Ethernet", LINK_PPI, BYTES(0, 0, 8, 0, 1, 0, 0, 0, MACS, 8, 0)},
    {"Prism", LINK_PRISM, BYTES(ZEROS_128, ZEROS_16, 8, 1, 0, 0, ADDRESSES, 0, 0, SNAP, 8, 0)},
    {"AVS", LINK_WLAN_AVS,
     BYTES(0x80, 0x21, 0x10, 1, 0, 0, 0, 24, ZEROS_16, 8, 1, 0, 0, ADDRESSES, 0, 0, SNAP, 8, 0)},
    {"AVS under the number of Prism", LINK_PRISM,
     BYTES(0x80, 0x21, 0x10, 2, 0, 0, 0, 24, ZEROS_16, 8, 1, 0, 0, ADDRESSES, 0, 0, SNAP, 8, 0)},
    {"NFLOG, little-endian", LINK_NFLOG, BYTES(2, 0, 0, 1, 8, 0, 1, 0, 0, 0, 0, 0, 39, 0, 9, 0)},
    {"NFLOG, big-endian", LINK_NFLOG, BYTES(2, 0, 0, 1, 0, 6, 0, 10, 0, 0, 0, 0, 0, 39, 0, 9)},
    {"IPoIB", LINK_IPOIB, BYTES(ZEROS_16, ZEROS_16, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0)},
    {"PKTAP around Ethernet", LINK_PKTAP, BYTES(12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, MACS, 8, 0)},
    {"PKTAP around raw IP", LINK_PKTAP, BYTES(12, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0)},
    {"DSA", LINK_DSA, BYTES(MACS, 0x60, 0, 0, 9, 8, 0)},
    {"EDSA", LINK_EDSA, BYTES(MACS, 0xda, 0xda, 0, 0, 0x40, 0, 0, 0, 8, 0)},
    {"EDSA in plain Ethernet", LINK_ETHERNET, BYTES(MACS, 0xda, 0xda, 0, 0, 0x40, 0, 0, 0, 8, 0)},
    {"Broadcom tag", LINK_DSA_BROADCOM, BYTES(MACS, 0x20, 0, 0, 1, 8, 0)},
    {"Broadcom tag before", LINK_DSA_BROADCOM_PREPEND, BYTES(0x20, 0, 0, 1, MACS, 8, 0)},
    {"DOCSIS", LINK_DOCSIS, BYTES(0, 0, 0, 49, 0, 0, MACS, 8, 0)},
    {"DOCSIS, extended", LINK_DOCSIS, BYTES(1, 2, 0, 49, 7, 7, 0, 0, MACS, 8, 0)},
    {"OpenBSD enc", LINK_ENC, BYTES(2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)},
    {"pflog", LINK_PFLOG,
     BYTES(61, 2, 0, 0, ZEROS_16, ZEROS_16, ZEROS_16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)},
    {"Solaris ipnet", LINK_IPNET, BYTES(1, 2, 0, 0, ZEROS_16, 0, 0, 0, 0)},
    {"Juniper Ethernet", LINK_JUNIPER_ETHERNET, BYTES('M', 'G', 'C', 0, MACS, 8, 0)},
    {"Juniper Ethernet with more", LINK_JUNIPER_ETHERNET,
     BYTES('M', 'G', 'C', 0x80, 0, 6, 3, 1, 1, 6, 1, 14, MACS, 8, 0)},
    {"Juniper without link header", LINK_JUNIPER_ETHERNET, BYTES('M', 'G', 'C', 2, 2, 0, 0, 0)},
    {"Juniper PPP", LINK_JUNIPER_PPP, BYTES('M', 'G', 'C', 1, 0, 0x21)},
    {"Juniper Frame Relay", LINK_JUNIPER_FRAME_RELAY, BYTES('M', 'G', 'C', 1, 0x18, 0x41, 3, 0xcc)},
    {"Juniper HDLC", LINK_JUNIPER_HDLC, BYTES('M', 'G', 'C', 1, 0x0f, 0, 8, 0)},
    {"IP over Fibre Channel", LINK_IP_OVER_FC, BYTES(ZEROS_16, SNAP, 8, 0)},
    {"IP over FireWire", LINK_FIREWIRE, BYTES(ZEROS_16, 8, 0)},
    {"netANALYZER", LINK_NETANALYZER, BYTES(0, 0, 0, 0, MACS, 8, 0)},
    {"netANALYZER with preamble", LINK_NETANALYZER_TRANSPARENT,
     BYTES(0, 0, 0, 0, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5, MACS, 8, 0)},
    {"Ethernet mPacket", LINK_ETHERNET_MPACKET,
     BYTES(0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5, MACS, 8, 0)},
    {"multilink Frame Relay", LINK_MFR, BYTES(0xc1, 7, 0x18, 0x41, 3, 0xcc)},
    {"MPLS as link", LINK_MPLS, BYTES(0, 1, 0, 64, 0, 2, 1, 64)},
    {"SLIP", LINK_SLIP, BYTES(0, 0x45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)},
    {"SLIP, sent, of a compressed line", LINK_SLIP,
     BYTES(1, 0x9b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)},
    {"classical IP over ATM", LINK_ATM_CLIP, BYTES(SNAP, 8, 0)},
    {"classical IP over ATM without LLC", LINK_ATM_CLIP, NULL, 0},
    {"SunATM, LLC", LINK_SUNATM, BYTES(0x82, 0, 0, 33, SNAP, 8, 0)},
    {"SunATM, LLC, bridged", LINK_SUNATM,
     BYTES(2, 0, 0, 33, 0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7, MACS, 8, 0)},
    {"SunATM, LAN emulation", LINK_SUNATM, BYTES(1, 0, 0, 33, 0, 5, MACS, 8, 0)},
    {"ERF", LINK_ERF, BYTES(ERF_OF(2), 0, 0, MACS, 8, 0)},
    {"ERF with a colour", LINK_ERF, BYTES(ERF_OF(11), 0, 0, MACS, 8, 0)},
    {"ERF with a colour by DSM", LINK_ERF, BYTES(ERF_OF(16), 0, 0, MACS, 8, 0)},
    {"ERF with a hash", LINK_ERF, BYTES(ERF_OF(20), 0, 0, MACS, 0x81, 0, 0, 5, 8, 0)},
    {"ERF, two extensions", LINK_ERF,
     BYTES(ERF_OF(0x82), 0x83, 1, 2, 3, 4, 5, 6, 7, 4, 1, 2, 3, 4, 5, 6, 7, 0, 0, MACS, 8, 0)},
    {"ERF, HDLC", LINK_ERF, BYTES(ERF_OF(1), 0x0f, 0, 8, 0)},
    {"ERF, HDLC with a colour", LINK_ERF, BYTES(ERF_OF(10), 0x8f, 0, 8, 0)},
    {"ERF, PPP with a colour by DSM", LINK_ERF, BYTES(ERF_OF(15), 0xff, 3, 0, 0x21)},
    {"ERF, PPP with a hash", LINK_ERF, BYTES(ERF_OF(19), 0xff, 3, 0, 0x21)},
    {"ERF, a channel of HDLC", LINK_ERF, BYTES(ERF_OF(5), 0, 0, 0, 9, 0x0f, 0, 8, 0)},
    {"ERF, a channel of HDLC with a colour", LINK_ERF,
     BYTES(ERF_OF(17), 0, 0, 0, 9, 0xff, 3, 0, 0x21)},
    {"ERF, IPv4", LINK_ERF, BYTES(ERF_OF(22))},
    {"loopback with a foreign header", LINK_NULL, BYTES(0x0f, 0, 8, 0)},
    {"SLL, LLC", LINK_SLL, BYTES(0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 4, SNAP, 8, 0)},
    {"SLL2, a tag of Linux 6.10 left in the packet", LINK_SLL2,
     BYTES(8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 3, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 20, 8, 0)},
    {"SLL, the same behind one that was put back", LINK_SLL,
     BYTES(0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x81, 0, 0, 10, 8, 0, 0, 20, 8, 0)},
    {"SLL, the same with a priority that looks like a version", LINK_SLL,
     BYTES(0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0, 0x40, 20, 8, 0)},
    /* On Ethernet. */
    {"802.3 SNAP", LINK_ETHERNET, BYTES(MACS, 0, 43, SNAP, 8, 0)},
    {"802.3, LLC of IP", LINK_ETHERNET, BYTES(MACS, 0, 38, 6, 6, 3)},
    {"jumbo LLC", LINK_ETHERNET, BYTES(MACS, 0x88, 0x70, SNAP, 8, 0)},
    {"0x9100", LINK_ETHERNET, BYTES(MACS, 0x91, 0, 0, 5, 0x81, 0, 0, 6, 8, 0)},
    {"VN-Tag", LINK_ETHERNET, BYTES(MACS, 0x89, 0x26, 0, 1, 0, 2, 8, 0)},
    {"VN-Tag and VLAN", LINK_ETHERNET, BYTES(MACS, 0x89, 0x26, 0, 1, 0, 2, 0x81, 0, 0, 9, 8, 0)},
    {"802.1BR", LINK_ETHERNET, BYTES(MACS, 0x89, 0x3f, 0, 1, 0, 2, 0, 0, 8, 0)},
    {"HSR", LINK_ETHERNET, BYTES(MACS, 0x89, 0x2f, 0x10, 43, 0, 7, 8, 0)},
    {"HSR behind VLAN", LINK_ETHERNET,
     BYTES(MACS, 0x81, 0, 0, 5, 0x89, 0x2f, 0x10, 43, 0, 7, 8, 0)},
    {"HSR, SNAP", LINK_ETHERNET, BYTES(MACS, 0x89, 0x2f, 0x10, 51, 0, 7, 0, 43, SNAP, 8, 0)},
    {"802.1ah", LINK_ETHERNET,
     BYTES(MACS, 0x88, 0xa8, 0, 7, 0x88, 0xe7, 0, 0, 0x12, 0x34, MACS, 8, 0)},
    {"MACsec, clear", LINK_ETHERNET, BYTES(MACS, 0x88, 0xe5, 0, 0, 0, 0, 0, 1, 8, 0)},
    {"MACsec, clear, with SCI", LINK_ETHERNET,
     BYTES(MACS, 0x88, 0xe5, 0x20, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 0, 1, 8, 0)},
    {"Arista timestamp of 64 bits", LINK_ETHERNET,
     BYTES(MACS, 0xd2, 0x8b, 0, 1, 0, 0x10, 1, 2, 3, 4, 5, 6, 7, 8, 8, 0)},
    {"Arista timestamp of 48 bits, UTC", LINK_ETHERNET,
     BYTES(MACS, 0xd2, 0x8b, 0, 1, 1, 0x20, 1, 2, 3, 4, 5, 6, 8, 0)},
    {"Cisco metadata", LINK_ETHERNET, BYTES(MACS, 0x89, 9, 1, 1, 0, 1, 0, 9, 8, 0)},
    {"FabricPath", LINK_ETHERNET, BYTES(MACS, 0x89, 3, 0, 0x60, MACS, 8, 0)},
    {"ISL", LINK_ETHERNET,
     BYTES(1, 0, 0x0c, 0, 0, 0, 0, 0, 0x0c, 0, 0, 1, 0, 77, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0, 0x0e, 0,
           1, 0, 0, MACS, 8, 0)},
    {"PPPoE", LINK_ETHERNET, BYTES(MACS, 0x88, 0x64, 0x11, 0, 0, 7, 0, 37, 0, 0x21)},
    {"PPPoE over VLAN", LINK_ETHERNET,
     BYTES(MACS, 0x81, 0, 0, 5, 0x88, 0x64, 0x11, 0, 0, 7, 0, 37, 0, 0x21)},
};

static void every_link_and_tag_leads_to_the_packet(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_start(cases[i].link_type);
        check_add(cases[i].bytes, cases[i].length);
        check_add_inside(false);
        if (check_decode(NULL) != PACKET_OK || check_packet.source_port != 40000) {
            fail_msg("%s: %s, %s in %s", cases[i].name,
                     packet_verdict_name((enum packet_verdict)check_packet.verdict),
                     decode_reason_name((enum decode_reason)check_packet.fault_reason),
                     wire_layer_name((enum wire_layer)check_packet.fault_layer));
        }
        check_is_inside();
        assert_true(check_tree.layer_count >= 3);
        check_cuts();
    }
}

static void no_link_or_tag_is_deeper_than_the_rules_say(void **state)
{
    struct packet_rules rules = packet_rules_default;

    (void)state;
    rules.layers_max = 1; /* the link's own header or the tag, and nothing behind it */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_start(cases[i].link_type);
        check_add(cases[i].bytes, cases[i].length);
        check_add_inside(false);
        assert_int_equal(check_decode(&rules), PACKET_MALFORMED);
        assert_int_equal(check_packet.fault_reason, DECODE_TOO_DEEP);
        assert_int_equal(check_packet.ip_version, 0);
    }
}

static void padding_behind_a_link_with_a_length_is_no_payload(void **state)
{
    (void)state;
    check_start(LINK_ETHERNET);
    check_add(BYTES(MACS, 0, 43, SNAP, 8, 0));
    check_add_inside(false);
    build_finish(&check_builder);
    build_zeros(&check_builder, 9);
    const struct frame frame = {.bytes = check_builder.bytes,
                                .captured_bytes = (uint32_t)check_builder.length,
                                .wire_bytes = (uint32_t)check_builder.length,
                                .link_type = LINK_ETHERNET};
    (void)check_frame(NULL, &frame);
    check_is_inside();
}

static void the_links_that_are_read_are_known(void **state)
{
    static const uint16_t read[] = {LINK_NULL, LINK_ETHERNET, LINK_SLIP,
                                    LINK_RAW,  LINK_ERF,      LINK_EDSA};
    static const uint16_t unread[] = {102, 103, 147, 195, 200, 65535};

    (void)state;
    for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++) {
        assert_true(packet_link_is_read(read[i]));
    }
    for (size_t i = 0; i < sizeof(unread) / sizeof(unread[0]); i++) {
        assert_false(packet_link_is_read(unread[i]));
    }
}

/* Redundancy control trailer of PRP: sequence, LAN and size, 88 fb. */
static void a_trailer_of_prp_is_no_payload(void **state)
{
    const struct {
        const uint8_t *bytes;
        size_t length;
        bool is_ipv6;
    } heads[] = {
        {BYTES(MACS, 8, 0), false},
        {BYTES(MACS, 0x86, 0xdd), true},
        {BYTES(MACS, 0x81, 0, 0, 5, 8, 0), false},
        {BYTES(MACS, 0, 43, SNAP, 8, 0), false},
        {BYTES(MACS, 0x88, 0x47, 0, 1, 1, 64), false},
    };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(heads) / sizeof(heads[0]); i++) {
        check_start(LINK_ETHERNET);
        check_add(heads[i / 2].bytes, heads[i / 2].length);
        check_add_inside(heads[i / 2].is_ipv6);
        build_finish(&check_builder);
        build_zeros(&check_builder, i % 2 != 0 ? 11 : 0); /* short frames are padded first */
        build_zeros(&check_builder, 6);
        memcpy(check_builder.bytes + check_builder.length - 6,
               (const uint8_t[]){0, 7, 0xa0, 41, 0x88, 0xfb}, 6);
        const struct frame frame = {.bytes = check_builder.bytes,
                                    .captured_bytes = (uint32_t)check_builder.length,
                                    .wire_bytes = (uint32_t)check_builder.length,
                                    .link_type = LINK_ETHERNET};
        assert_int_equal(check_frame(NULL, &frame), PACKET_OK);
        check_is_inside();
        assert_int_equal(check_packet.facts & PACKET_IS_CUT, 0);
    }
}

static void macs_are_found_where_the_link_has_them(void **state)
{
    static const uint8_t source[6] = {2, 0, 0, 0, 0, 1};

    (void)state;
    check_start(LINK_FDDI);
    check_add(BYTES(0x50, MACS, SNAP, 8, 0));
    check_add_inside(false);
    (void)check_decode(NULL);
    assert_true(check_packet.facts & PACKET_HAS_MACS);
    assert_memory_equal(check_builder.bytes + check_packet.mac_offset + 6, source, 6);

    check_start(LINK_WLAN); /* to the system: the sender is the second address */
    check_add(BYTES(8, 1, 0, 0, ADDRESSES, 0, 0, SNAP, 8, 0));
    check_add_inside(false);
    (void)check_decode(NULL);
    assert_true(check_packet.facts & PACKET_HAS_SLL_SOURCE);
    assert_memory_equal(check_builder.bytes + check_packet.mac_offset, source, 6);

    check_start(LINK_ETHERNET); /* the customer's, not the provider's */
    check_add(BYTES(4, 0, 0, 0, 0, 2, 4, 0, 0, 0, 0, 1, 0x88, 0xe7, 0, 0, 0x12, 0x34, MACS, 8, 0));
    check_add_inside(false);
    (void)check_decode(NULL);
    assert_memory_equal(check_builder.bytes + check_packet.mac_offset + 6, source, 6);
    assert_int_equal(check_packet.tunnel_types[0], TUNNEL_PBB);
    assert_int_equal(check_packet.tunnel_ids[0], 0x1234);
    assert_int_equal(check_packet.tunnel_offsets[0], PACKET_NO_OUTER_IP);
}

static void tags_of_switches_and_isl_tell_their_vlan(void **state)
{
    (void)state;
    check_start(LINK_DSA);
    check_add(BYTES(MACS, 0x60, 0, 0, 9, 8, 0));
    check_add_inside(false);
    (void)check_decode(NULL);
    assert_int_equal(check_packet.vlan_count, 1);
    assert_int_equal(check_packet.vlan_ids[0], 9);

    check_start(LINK_ETHERNET);
    check_add(BYTES(1, 0, 0x0c, 0, 0, 0, 0, 0, 0x0c, 0, 0, 1, 0, 77, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0,
                    0x0e, 0, 1, 0, 0, MACS, 8, 0));
    check_add_inside(false);
    (void)check_decode(NULL);
    assert_int_equal(check_packet.vlan_ids[0], 7);
}

/* Frames that end without IP, and what is said of them. */
static const struct {
    const char *name;
    uint16_t link_type;
    const uint8_t *bytes;
    size_t length;
    enum packet_verdict verdict;
    enum wire_layer layer;
    enum decode_reason reason;
} ends[] = {
    {"802.11 beacon", LINK_WLAN, BYTES(0x80, 0, 0, 0, ADDRESSES, 0, 0, 1, 2, 3), PACKET_NOT_IP,
     LAYER_NONE, DECODE_WHOLE},
    {"802.11 null function", LINK_WLAN, BYTES(0x48, 1, 0, 0, ADDRESSES, 0, 0), PACKET_NOT_IP,
     LAYER_NONE, DECODE_WHOLE},
    {"802.11 protected", LINK_WLAN, BYTES(8, 0x41, 0, 0, ADDRESSES, 0, 0, SNAP, 8, 0),
     PACKET_NOT_IP, LAYER_WLAN, DECODE_PROTECTED},
    {"802.11 later fragment", LINK_WLAN, BYTES(8, 1, 0, 0, ADDRESSES, 1, 0, SNAP, 8, 0),
     PACKET_NOT_IP, LAYER_WLAN, DECODE_UNSUPPORTED},
    {"radiotap of 3 bytes", LINK_RADIOTAP, BYTES(0, 0, 3, 0, 0, 0, 0, 0, 8, 1), PACKET_MALFORMED,
     LAYER_RADIO, DECODE_MALFORMED},
    {"PPI of an unknown link", LINK_PPI, BYTES(0, 0, 8, 0, 0xff, 0xff, 0, 0, 1, 2, 3, 4),
     PACKET_UNSUPPORTED_LINK, LAYER_LINK, DECODE_UNSUPPORTED},
    {"LCP", LINK_PPP, BYTES(0xff, 3, 0xc0, 0x21, 1, 1, 0, 4), PACKET_NOT_IP, LAYER_NONE,
     DECODE_WHOLE},
    {"PPP, compressed TCP", LINK_PPP, BYTES(0xff, 3, 0, 0x2d, 1, 1, 0, 4), PACKET_NOT_IP, LAYER_PPP,
     DECODE_UNSUPPORTED},
    {"PPP, MPPE", LINK_PPP, BYTES(0xff, 3, 0, 0xfd, 0x90, 1, 0, 4), PACKET_NOT_IP, LAYER_PPP,
     DECODE_PROTECTED},
    {"multilink, later fragment", LINK_PPP, BYTES(0xff, 3, 0, 0x3d, 0x40, 0, 0, 1, 9, 9, 9, 9),
     PACKET_NOT_IP, LAYER_PPP, DECODE_UNSUPPORTED},
    {"PPPoE of version 2", LINK_ETHERNET, BYTES(MACS, 0x88, 0x64, 0x21, 0, 0, 7, 0, 2, 0, 0x21),
     PACKET_MALFORMED, LAYER_PPPOE, DECODE_MALFORMED},
    {"PPPoE discovery", LINK_ETHERNET, BYTES(MACS, 0x88, 0x63, 0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0),
     PACKET_NOT_IP, LAYER_NONE, DECODE_WHOLE},
    {"NFLOG object of 3 bytes", LINK_NFLOG, BYTES(2, 0, 0, 1, 3, 0, 1, 0, 0), PACKET_MALFORMED,
     LAYER_NFLOG, DECODE_MALFORMED},
    {"NFLOG without a packet", LINK_NFLOG, BYTES(2, 0, 0, 1, 8, 0, 1, 0, 0, 0, 0, 0),
     PACKET_TRUNCATED, LAYER_NFLOG, DECODE_TRUNCATED},
    {"PKTAP of 4 bytes", LINK_PKTAP, BYTES(4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, MACS, 8, 0),
     PACKET_MALFORMED, LAYER_PKTAP, DECODE_MALFORMED},
    {"DOCSIS management", LINK_DOCSIS, BYTES(0xc2, 0, 0, 0, 0, 0, MACS, 8, 0), PACKET_NOT_IP,
     LAYER_NONE, DECODE_WHOLE},
    {"MACsec, encrypted", LINK_ETHERNET, BYTES(MACS, 0x88, 0xe5, 0x0c, 0, 0, 0, 0, 1, 8, 0),
     PACKET_NOT_IP, LAYER_MACSEC, DECODE_PROTECTED},
    {"HSR around ARP", LINK_ETHERNET,
     BYTES(MACS, 0x89, 0x2f, 0x10, 34, 0, 7, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1), PACKET_NOT_IP,
     LAYER_NONE, DECODE_WHOLE},
    {"HSR of 4 bytes", LINK_ETHERNET, BYTES(MACS, 0x89, 0x2f, 0x10, 34, 0, 7), PACKET_TRUNCATED,
     LAYER_HSR, DECODE_TRUNCATED},
    {"spanning tree", LINK_ETHERNET, BYTES(MACS, 0, 7, 0x42, 0x42, 3, 0, 0, 0, 0), PACKET_NOT_IP,
     LAYER_NONE, DECODE_WHOLE},
    {"CDP", LINK_ETHERNET, BYTES(MACS, 0, 9, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 1), PACKET_NOT_IP,
     LAYER_NONE, DECODE_WHOLE},
    {"netlink", LINK_SLL, BYTES(0, 4, 3, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 1, 2),
     PACKET_NOT_IP, LAYER_NONE, DECODE_WHOLE},
    {"raw, no IP", LINK_RAW, BYTES(0x15, 0, 0, 0), PACKET_MALFORMED, LAYER_RAW, DECODE_MALFORMED},
    {"Frame Relay without an end of its address", LINK_FRAME_RELAY, BYTES(0, 0, 0, 0),
     PACKET_TRUNCATED, LAYER_FRAME_RELAY, DECODE_TRUNCATED},
    {"multilink Frame Relay, later fragment", LINK_MFR, BYTES(0x41, 7, 0x18, 0x41, 3, 0xcc),
     PACKET_NOT_IP, LAYER_MFR, DECODE_UNSUPPORTED},
    {"multilink Frame Relay, control", LINK_MFR, BYTES(0xe1, 0, 4, 1, 3, 9), PACKET_NOT_IP,
     LAYER_NONE, DECODE_WHOLE},
    {"Frame Relay as multilink", LINK_MFR, BYTES(0x18, 0x41, 3, 0xcc), PACKET_MALFORMED, LAYER_MFR,
     DECODE_MALFORMED},
    {"MPLS as link without a bottom", LINK_MPLS, BYTES(0, 1, 0, 64, 0, 2, 0, 64), PACKET_TRUNCATED,
     LAYER_MPLS, DECODE_TRUNCATED},
    {"SLIP, no IP", LINK_SLIP, BYTES(ZEROS_16, 0x15, 0, 0, 0), PACKET_MALFORMED, LAYER_SLIP,
     DECODE_MALFORMED},
    {"SLIP of 15 bytes", LINK_SLIP, BYTES(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
     PACKET_TRUNCATED, LAYER_SLIP, DECODE_TRUNCATED},
    {"classical IP over ATM, no IP", LINK_ATM_CLIP, BYTES(0xaa, 0xaa, 4, 0), PACKET_MALFORMED,
     LAYER_ATM, DECODE_MALFORMED},
    {"SunATM, raw", LINK_SUNATM, BYTES(0, 0, 0, 33, 0x45, 0, 0, 20), PACKET_NOT_IP, LAYER_ATM,
     DECODE_UNSUPPORTED},
    {"SunATM, signalling", LINK_SUNATM, BYTES(6, 0, 0, 5, 9, 3, 0, 0), PACKET_NOT_IP, LAYER_NONE,
     DECODE_WHOLE},
    {"SunATM, control of LAN emulation", LINK_SUNATM,
     BYTES(1, 0, 0, 33, 0xff, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 2, 8, 0), PACKET_NOT_IP,
     LAYER_NONE, DECODE_WHOLE},
    {"SunATM, a ring emulated", LINK_SUNATM, BYTES(1, 0, 0, 33, 0, 5, 0x10, 0x40, MACS, SNAP, 8, 0),
     PACKET_NOT_IP, LAYER_ATM, DECODE_UNSUPPORTED},
    {"ERF, ATM", LINK_ERF, BYTES(ERF_OF(3), 0, 0, 0, 0), PACKET_NOT_IP, LAYER_ERF,
     DECODE_UNSUPPORTED},
    {"ERF, a frame without its beginning", LINK_ERF, BYTES(ERF_OF(2), 4, 0, MACS, 8, 0),
     PACKET_NOT_IP, LAYER_ERF, DECODE_UNSUPPORTED},
    {"ERF, a channel of another link", LINK_ERF, BYTES(ERF_OF(5), 0, 0, 0, 9, 0x18, 0x41, 3, 0xcc),
     PACKET_NOT_IP, LAYER_ERF, DECODE_UNSUPPORTED},
    {"ERF, record of 8 bytes", LINK_ERF,
     BYTES(0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 0, 8, 0, 0, 0, 64, 0, 0, MACS, 8, 0), PACKET_MALFORMED,
     LAYER_ERF, DECODE_MALFORMED},
    {"ERF, extensions without end", LINK_ERF, BYTES(ERF_OF(0x82), ALL_128, ALL_16),
     PACKET_MALFORMED, LAYER_ERF, DECODE_TOO_DEEP},
    {"Juniper of another magic", LINK_JUNIPER_ETHERNET, BYTES('M', 'G', 'D', 0, MACS, 8, 0),
     PACKET_MALFORMED, LAYER_JUNIPER, DECODE_MALFORMED},
    {"Juniper with more than there is", LINK_JUNIPER_ETHERNET,
     BYTES('M', 'G', 'C', 0x80, 0xff, 0xff, MACS, 8, 0), PACKET_TRUNCATED, LAYER_JUNIPER,
     DECODE_TRUNCATED},
    {"ERF, IP of no version", LINK_ERF, BYTES(ERF_OF(22), 0x15, 0, 0, 0), PACKET_MALFORMED,
     LAYER_ERF, DECODE_MALFORMED},
    {"one byte of Ethernet", LINK_ETHERNET, BYTES(1), PACKET_TRUNCATED, LAYER_ETHERNET,
     DECODE_TRUNCATED},
};

static void what_is_no_ip_is_said_with_layer_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        check_start(ends[i].link_type);
        check_add(ends[i].bytes, ends[i].length);
        const enum packet_verdict verdict = check_decode(NULL);
        if (verdict != ends[i].verdict || check_packet.fault_layer != ends[i].layer ||
            check_packet.fault_reason != ends[i].reason) {
            fail_msg("%s: %s, %s in %s", ends[i].name, packet_verdict_name(verdict),
                     decode_reason_name((enum decode_reason)check_packet.fault_reason),
                     wire_layer_name((enum wire_layer)check_packet.fault_layer));
        }
        assert_int_equal(check_packet.ip_version, 0);
        check_cuts();
    }
}

static void a_layer_that_is_switched_off_is_not_opened(void **state)
{
    struct packet_rules rules = packet_rules_default;

    (void)state;
    packet_rules_disable(&rules, LAYER_VLAN);
    packet_rules_disable(&rules, LAYER_WLAN);
    packet_rules_disable(&rules, LAYER_HSR);
    check_start(LINK_ETHERNET);
    check_add(BYTES(MACS, 0x81, 0, 0, 5, 8, 0));
    check_add_inside(false);
    assert_int_equal(check_decode(&rules), PACKET_NOT_IP);
    assert_int_equal(check_packet.ethertype, ETHERTYPE_VLAN);
    assert_int_equal(check_packet.vlan_count, 0);
    check_start(LINK_ETHERNET);
    check_add(BYTES(MACS, 0x89, 0x2f, 0x10, 43, 0, 7, 8, 0));
    check_add_inside(false);
    assert_int_equal(check_decode(&rules), PACKET_NOT_IP);
    assert_int_equal(check_packet.ethertype, ETHERTYPE_HSR);
    check_start(LINK_WLAN);
    check_add(BYTES(8, 1, 0, 0, ADDRESSES, 0, 0, SNAP, 8, 0));
    check_add_inside(false);
    assert_int_equal(check_decode(&rules), PACKET_UNSUPPORTED_LINK);
}

static void a_link_that_is_switched_off_has_no_decoder(void **state)
{
    static const struct {
        enum wire_layer layer;
        uint16_t link_type;
    } links[] = {
        {LAYER_MFR, LINK_MFR},    {LAYER_SLIP, LINK_SLIP}, {LAYER_ATM, LINK_ATM_CLIP},
        {LAYER_ATM, LINK_SUNATM}, {LAYER_ERF, LINK_ERF},   {LAYER_MPLS, LINK_MPLS},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        struct packet_rules rules = packet_rules_default;
        uint32_t seen = 0;

        packet_rules_disable(&rules, links[i].layer);
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
            if (cases[c].link_type == links[i].link_type) {
                check_start(cases[c].link_type);
                check_add(cases[c].bytes, cases[c].length);
                check_add_inside(false);
                assert_int_equal(check_decode(&rules), PACKET_UNSUPPORTED_LINK);
                check_fault(LAYER_LINK, DECODE_UNSUPPORTED);
                seen++;
            }
        }
        assert_true(seen > 0);
    }
}

static void a_layer_behind_a_link_that_is_switched_off_is_not_opened(void **state)
{
    const struct {
        enum wire_layer layer;
        uint16_t link_type;
        const uint8_t *bytes;
        size_t length;
    } links[] = {
        {LAYER_LLC, LINK_ATM_CLIP, BYTES(SNAP, 8, 0)},
        {LAYER_LLC, LINK_SUNATM, BYTES(2, 0, 0, 33, SNAP, 8, 0)},
        {LAYER_FRAME_RELAY, LINK_MFR, BYTES(0xc1, 7, 0x18, 0x41, 3, 0xcc)},
        {LAYER_PPP, LINK_ERF, BYTES(ERF_OF(1), 0xff, 3, 0, 0x21)},
        {LAYER_HDLC, LINK_ERF, BYTES(ERF_OF(1), 0x0f, 0, 8, 0)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        struct packet_rules rules = packet_rules_default;

        packet_rules_disable(&rules, links[i].layer);
        check_start(links[i].link_type);
        check_add(links[i].bytes, links[i].length);
        check_add_inside(false);
        assert_int_equal(check_decode(&rules), PACKET_NOT_IP);
        assert_int_equal(check_packet.ip_version, 0);
    }
}

static void names_of_layers_are_read_back(void **state)
{
    enum wire_layer layer;

    (void)state;
    for (unsigned i = LAYER_NONE + 1; i < LAYER_COUNT; i++) {
        const char *name = wire_layer_name((enum wire_layer)i);

        assert_true(wire_layer_parse(name, strlen(name), &layer));
        assert_int_equal(layer, i);
    }
    assert_false(wire_layer_parse("none", 4, &layer));
    assert_false(wire_layer_parse("vxla", 4, &layer));
    assert_false(wire_layer_parse("", 0, &layer));
    assert_true(wire_layer_is_optional(LAYER_VLAN));
    assert_false(wire_layer_is_optional(LAYER_IPV4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_links_that_are_read_are_known),
        cmocka_unit_test(every_link_and_tag_leads_to_the_packet),
        cmocka_unit_test(no_link_or_tag_is_deeper_than_the_rules_say),
        cmocka_unit_test(padding_behind_a_link_with_a_length_is_no_payload),
        cmocka_unit_test(a_trailer_of_prp_is_no_payload),
        cmocka_unit_test(macs_are_found_where_the_link_has_them),
        cmocka_unit_test(tags_of_switches_and_isl_tell_their_vlan),
        cmocka_unit_test(what_is_no_ip_is_said_with_layer_and_reason),
        cmocka_unit_test(a_layer_that_is_switched_off_is_not_opened),
        cmocka_unit_test(a_link_that_is_switched_off_has_no_decoder),
        cmocka_unit_test(a_layer_behind_a_link_that_is_switched_off_is_not_opened),
        cmocka_unit_test(names_of_layers_are_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
