/* The walk, the tree, the line and the hex dump over any bytes: the first byte chooses the link
 * type, the second whether the frame was longer on the wire (bit 0) and by which rules it is walked
 * (bits 1 to 3; 0: the usual ones). Walk and tree must agree to the byte, and stay in the frame.
 * With no corpus, the first inputs are frames of the packet builder: links, tags and tunnels at
 * random, one inside the other. */
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/community_id.h"
#include "sensor/wire/packet_rules.h"
#include "sensor/wire/packet_summary.h"
#include "sensor/wire/packet_tree.h"
#include "tests/fuzz/support/link_types.h"
#include "tests/support/packet_builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static void check(int holds)
{
    if (!holds) {
        abort();
    }
}

static int same_bytes(const void *a, const void *b, size_t length)
{
    return memcmp(a, b, length) == 0;
}

static void check_packet(const struct frame *frame, const struct packet *packet)
{
    check(packet->verdict < PACKET_VERDICT_COUNT);
    check(packet->payload_offset <= frame->captured_bytes);
    check(packet->payload_captured_bytes <= frame->captured_bytes - packet->payload_offset);
    check(packet->transport_offset <= frame->captured_bytes);
    check(packet->verdict != PACKET_OK || packet->ip_version == 4 || packet->ip_version == 6);
    check(packet->verdict != PACKET_OK || packet->payload_captured_bytes <= packet->payload_bytes);
    check(packet->fault_layer < LAYER_COUNT && packet->fault_reason < DECODE_REASON_COUNT);
    check((packet->fault_layer == LAYER_NONE) == (packet->fault_reason == DECODE_WHOLE));
    for (unsigned i = 0; i < packet->tunnel_count && i < PACKET_TUNNELS_MAX; i++) {
        const uint16_t offset = packet->tunnel_offsets[i];

        check(packet->tunnel_types[i] > TUNNEL_NONE && packet->tunnel_types[i] < TUNNEL_TYPE_COUNT);
        if (offset != PACKET_NO_OUTER_IP) { /* flow_tunnels reads the addresses there */
            check(offset < frame->captured_bytes);
            check(offset + (frame->bytes[offset] >> 4 == 4 ? 20U : 40U) <= frame->captured_bytes);
        }
    }
    if ((packet->facts & PACKET_OUTER_FRAGMENT) != 0) {
        check(packet->outer_fragment_offset + 20U <= frame->captured_bytes);
    }
    if ((packet->facts & PACKET_HAS_MACS) != 0) {
        check(packet->mac_offset + 12U <= frame->captured_bytes);
    } else if ((packet->facts & PACKET_HAS_SLL_SOURCE) != 0) {
        check(packet->mac_offset + 6U <= frame->captured_bytes);
    }
}

static void check_tree(const struct frame *frame, const struct packet_tree *tree)
{
    for (uint32_t i = 0; i < tree->layer_count; i++) {
        const struct packet_tree_layer *layer = &tree->layers[i];

        check(layer->offset + layer->length <= frame->captured_bytes);
        check(layer->first_field + layer->field_count <= tree->field_count);
    }
    for (uint32_t i = 0; i < tree->field_count; i++) {
        const struct packet_tree_field *field = &tree->fields[i];

        check(field->offset + field->length <= frame->captured_bytes);
        for (const char *at = field->value; *at != '\0'; at++) {
            check(*at >= 0x20 && *at < 0x7f);
        }
    }
}

/* All open; few layers; all closed that can be; one closed; a port of a tunnel elsewhere. */
static const struct packet_rules *rules_of(unsigned choice)
{
    static struct packet_rules rules;

    rules = packet_rules_default;
    switch (choice) {
    case 0:
        return NULL;
    case 1:
        rules.layers_max = 1;
        break;
    case 2:
        for (unsigned layer = 0; layer < LAYER_COUNT; layer++) {
            if (wire_layer_is_optional((enum wire_layer)layer)) {
                packet_rules_disable(&rules, (enum wire_layer)layer);
            }
        }
        break;
    case 3:
        packet_rules_disable(&rules, LAYER_VLAN);
        break;
    default:
        for (unsigned port = 0; packet_rules_add_port(&rules, (uint16_t)(53 + port), LAYER_VXLAN);
             port++) {
        }
        break;
    }
    return &rules;
}

static void check_id(const struct packet *packet)
{
    const struct community_id_flow flow = {.source = packet_source(packet),
                                           .target = packet_target(packet),
                                           .protocol = packet->protocol,
                                           .source_port = packet->source_port,
                                           .target_port = packet->target_port};
    char id[COMMUNITY_ID_TEXT_BYTES];

    if (packet->ip_version != 0) {
        community_id_v1(&flow, 0, id);
        check(strlen(id) == COMMUNITY_ID_TEXT_BYTES - 1);
    }
    check(decode_reason_name((enum decode_reason)packet->fault_reason) != NULL);
    check(wire_layer_name((enum wire_layer)packet->fault_layer) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct packet_tree tree;
    static char line[PACKET_SUMMARY_BYTES];
    char hex[PACKET_HEX_LINE_BYTES];
    struct packet packet, seen;

    if (size < 2) {
        return 0;
    }
    const struct packet_rules *rules = rules_of(data[1] >> 1 & 7);
    const struct frame frame = {
        .bytes = data + 2,
        .captured_bytes = (uint32_t)(size - 2),
        .wire_bytes = (uint32_t)(size - 2) + (data[1] & 1) * 100,
        .link_type = fuzz_link_types[data[0] % FUZZ_LINK_TYPES],
    };
    (void)packet_decode_by(rules, &frame, PACKET_CHECKSUMS, &packet);
    check_packet(&frame, &packet);
    check_id(&packet);
    check(packet_tree_by(rules, &frame, &seen, &tree) == packet.verdict);
    check(same_bytes(&seen, &packet, sizeof(packet))); /* packet_begin has zeroed the gaps */
    check_tree(&frame, &tree);
    packet_tree(&frame, &tree);
    check_tree(&frame, &tree);
    check(packet_line(1, &frame, &packet, line, sizeof(line)) == strlen(line));
    check(packet_summary(&frame, &packet, line, 20) <= 19);
    for (uint32_t offset = 0; packet_hex_line(&frame, offset, hex); offset += 16) {
    }
    return 0;
}

/* A stream of small numbers from one seed. */
static unsigned draw(uint64_t *random, unsigned below)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*random >> 33) % below;
}

static void build_ip(struct packet_builder *b, uint64_t *random, uint8_t protocol)
{
    if (draw(random, 3) == 0) {
        build_ipv6(b, (struct build_ip){
                          .source = "2001:db8::1", .target = "2001:db8::2", .protocol = protocol});
    } else {
        build_ipv4(b, (struct build_ip){.source = "10.0.0.1",
                                        .target = "10.0.0.2",
                                        .protocol = protocol,
                                        .has_more_fragments = draw(random, 16) == 0});
    }
}

static void build_raw_header(struct packet_builder *b, const uint8_t *bytes, size_t length)
{
    build_header(b, (struct build_header){.bytes = bytes, .length = length});
}

/* The header of a link type that the builder does not know, up to where IP or Ethernet begins. */
static void build_link(struct packet_builder *b, uint16_t link_type)
{
    static const uint8_t wlan[34] = {0x88, 1, [26] = 0xaa, 0xaa, 3, 0, 0, 0, 8, 0};
    static const uint8_t radiotap[8] = {0, 0, 8, 0};
    static const uint8_t ppi[8] = {0, 0, 8, 0, 105};
    static const uint8_t nflog[16] = {2, 0, 0, 1, 8, 0, 1, 0, 0, 0, 0, 0, 200, 0, 9, 0};
    static const uint8_t pktap[12] = {12, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0};
    static const uint8_t ppp[4] = {0xff, 3, 0, 0x21};
    static const uint8_t hdlc[4] = {0x0f, 0, 8, 0};
    static const uint8_t relay[4] = {0x18, 0x41, 3, 0xcc};
    static const uint8_t ipoib[44] = {[40] = 8};

    static const uint8_t erf[26] = {[8] = 0x82, [10] = 1, [25] = 0};
    static const uint8_t slip[16] = {0, 0x45};
    static const uint8_t sunatm[12] = {0x82, 0, 0, 33, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0};
    static const uint8_t mfr[6] = {0xc1, 7, 0x18, 0x41, 3, 0xcc};

    switch (link_type) {
    case LINK_ERF:
        build_raw_header(b, erf, sizeof(erf));
        build_ethernet(b);
        break;
    case LINK_SLIP:
        build_raw_header(b, slip, sizeof(slip));
        break;
    case LINK_SUNATM:
        build_raw_header(b, sunatm, sizeof(sunatm));
        break;
    case LINK_MFR:
        build_raw_header(b, mfr, sizeof(mfr));
        break;
    case LINK_MPLS:
        build_mpls(b, 16, true);
        break;
    case LINK_PPI:
        build_raw_header(b, ppi, sizeof(ppi));
        build_raw_header(b, wlan, sizeof(wlan));
        break;
    case LINK_RADIOTAP:
        build_raw_header(b, radiotap, sizeof(radiotap));
        build_raw_header(b, wlan, sizeof(wlan));
        break;
    case LINK_WLAN:
        build_raw_header(b, wlan, sizeof(wlan));
        break;
    case LINK_NFLOG:
        build_raw_header(b, nflog, sizeof(nflog));
        break;
    case LINK_PKTAP:
        build_raw_header(b, pktap, sizeof(pktap));
        break;
    case LINK_PPP:
    case LINK_PPP_SERIAL:
        build_raw_header(b, ppp, sizeof(ppp));
        break;
    case LINK_HDLC:
        build_raw_header(b, hdlc, sizeof(hdlc));
        break;
    case LINK_FRAME_RELAY:
        build_raw_header(b, relay, sizeof(relay));
        break;
    case LINK_IPOIB:
        build_raw_header(b, ipoib, sizeof(ipoib));
        break;
    default:
        break;
    }
}

/* One tunnel and, where it carries frames, an Ethernet header. */
static void build_tunnel(struct packet_builder *b, uint64_t *random)
{
    static const uint8_t erspan[12] = {0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0, 0x65};
    static const uint8_t l2tp[10] = {0, 2, 0, 3, 0, 4, 0xff, 3, 0, 0x21};
    static const uint8_t l2tp3[4] = {0, 0, 0, 7};
    static const uint8_t teredo[8] = {0, 0, 0x12, 0x34, 1, 2, 3, 4};
    static const uint8_t pptp[16] = {0x30, 1, 0x88, 0x0b, 0,    200, 0, 5,
                                     0,    0, 0,    1,    0xff, 3,   0, 0x21};
    static const uint8_t nsh[8] = {0x0f, 0xc2, 2, 1, 0, 0, 7, 0xff};
    static const uint8_t capwap[8] = {0, 0x10, 0x40};
    static const uint8_t tzsp[5] = {1, 0, 0, 1, 1};
    static const uint8_t lisp[8] = {0xc8, 1, 2, 3, 0, 0, 7, 1};
    static const uint8_t gue[4] = {0, 4};
    static const uint8_t protocols[16] = {0, 0, 0, 0, 0, 0, 47, 0, 115, 0, 47, 145};
    const unsigned kind = draw(random, sizeof(protocols));

    build_ip(b, random, protocols[kind]);
    switch (kind) {
    case 0: /* IP in IP */
        break;
    case 1:
        build_gre_key(b, draw(random, 100));
        break;
    case 2:
        build_vxlan_udp(b, draw(random, 100));
        build_ethernet(b);
        break;
    case 3:
        build_geneve_udp(b, draw(random, 100), (size_t)4 * draw(random, 4));
        break;
    case 4:
        build_gtp_udp(b, draw(random, 100));
        break;
    case 5:
        build_mpls(b, 16, draw(random, 2) == 0);
        build_mpls(b, 17, true);
        break;
    case 6:
        build_raw_header(b, erspan, sizeof(erspan));
        build_zeros(b, 4);
        build_ethernet(b);
        break;
    case 7:
        build_udp(b, 1701, 1701);
        build_raw_header(b, l2tp, sizeof(l2tp));
        break;
    case 8:
        build_raw_header(b, l2tp3, sizeof(l2tp3));
        build_ethernet(b);
        break;
    case 9:
        build_udp(b, 40000, 3544);
        build_raw_header(b, teredo, sizeof(teredo));
        break;
    case 10:
        build_raw_header(b, pptp, sizeof(pptp));
        break;
    case 11:
        build_raw_header(b, nsh, sizeof(nsh));
        break;
    case 12:
        build_udp(b, 5247, 5247);
        build_raw_header(b, capwap, sizeof(capwap));
        build_ethernet(b);
        break;
    case 13:
        build_udp(b, 40000, 4341);
        build_raw_header(b, lisp, sizeof(lisp));
        break;
    case 14:
        build_udp(b, 40000, 6080);
        build_raw_header(b, gue, draw(random, 2) == 0 ? sizeof(gue) : 0);
        break;
    default:
        build_udp(b, 40000, 37008);
        build_raw_header(b, tzsp, sizeof(tzsp));
        build_ethernet(b);
        break;
    }
}

static void build_payload(struct packet_builder *b, uint64_t *random)
{
    switch (draw(random, 4)) {
    case 0:
        build_tcp(b, (struct build_tcp){.source_port = 40000,
                                        .target_port = 443,
                                        .options = (const uint8_t[]){2, 4, 5, 180, 1, 3, 3, 7},
                                        .options_length = 8});
        build_client_hello(b, (struct build_hello){.sni = "www.example.com", .alpn = "h2"});
        break;
    case 1:
        build_udp(b, 53, 40000);
        build_dns(b, (struct build_dns){
                         .name = "www.example.com", .is_response = true, .answer = "192.0.2.1"});
        break;
    case 2:
        build_tcp(b, (struct build_tcp){.source_port = 40000, .target_port = 80});
        build_text(b, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        break;
    default:
        build_icmp(b, 8, 0, 1, 1);
        break;
    }
}

static size_t build(uint8_t *data, size_t size_max, unsigned seed)
{
    static const uint8_t hsr[20] = {2, 0, 0,    0,    0,    2,  2, 0, 0, 0,
                                    0, 1, 0x89, 0x2f, 0x10, 43, 0, 7, 8};
    uint64_t random = seed;
    struct packet_builder b;

    if (size_max < 2048) {
        return 0;
    }
    data[0] = (uint8_t)(draw(&random, 2) == 0 ? 0 : draw(&random, FUZZ_LINK_TYPES));
    data[1] = (uint8_t)(draw(&random, 4) == 0 ? draw(&random, 16) : 0);
    build_start(&b, data + 2, size_max - 2);
    if (data[0] == 0 && draw(&random, 16) == 0) {
        build_raw_header(&b, hsr, sizeof(hsr));
    } else if (data[0] == 0) {
        build_ethernet(&b);
        if (draw(&random, 3) == 0) {
            build_vlan(&b, 7);
        }
        if (draw(&random, 6) == 0) {
            build_pppoe(&b, 5);
        } else if (draw(&random, 6) == 0) {
            build_mpls(&b, 16, true);
        }
    } else {
        build_link(&b, fuzz_link_types[data[0]]);
    }
    for (unsigned depth = draw(&random, 3); depth > 0; depth--) {
        build_tunnel(&b, &random);
    }
    build_ip(&b, &random, 0);
    if (draw(&random, 6) == 0 && b.layers[b.layer_count - 1].kind == BUILD_IPV6) {
        build_extension(&b, 0, 8);
        build_fragment(&b, 0, true, 5);
    }
    build_payload(&b, &random);
    build_finish(&b);
    return b.length + 2;
}

/* Once in a while a new frame of the builder, otherwise the usual mutations. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    if (size < 4 || seed % 64 == 0) {
        const size_t built = build(data, size_max, seed / 64);

        if (built > 0) {
            return built;
        }
    }
    return LLVMFuzzerMutate(data, size, size_max);
}
