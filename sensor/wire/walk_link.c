#include "sensor/wire/ethernet.h"
#include "sensor/wire/walk.h"

/* ---- link types ---- */

static enum wire_layer layer_of(uint32_t link_type)
{
    switch (link_type) {
    case LINK_ETHERNET:
    case LINK_EDSA: /* the tag is behind an ethertype of its own */
        return LAYER_ETHERNET;
    case LINK_SLL:
    case LINK_SLL2:
        return LAYER_SLL;
    case LINK_NULL:
    case LINK_LOOP:
        return LAYER_LOOPBACK;
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_IPV4:
    case LINK_IPV6:
        return LAYER_RAW;
    case LINK_PPP:
    case LINK_PPP_SERIAL:
    case LINK_PPP_PPPD:
    case LINK_PPP_WITH_DIR:
        return LAYER_PPP;
    case LINK_PPP_ETHER:
        return LAYER_PPPOE;
    case LINK_HDLC:
    case LINK_HDLC_WITH_DIR:
        return LAYER_HDLC;
    case LINK_FRAME_RELAY:
    case LINK_FRAME_RELAY_WITH_DIR:
        return LAYER_FRAME_RELAY;
    case LINK_FDDI:
        return LAYER_FDDI;
    case LINK_TOKEN_RING:
        return LAYER_TOKEN_RING;
    case LINK_WLAN:
        return LAYER_WLAN;
    case LINK_RADIOTAP:
    case LINK_PRISM:
    case LINK_WLAN_AVS:
    case LINK_PPI:
        return LAYER_RADIO;
    case LINK_NFLOG:
        return LAYER_NFLOG;
    case LINK_IPOIB:
        return LAYER_IPOIB;
    case LINK_PKTAP:
        return LAYER_PKTAP;
    case LINK_DSA:
    case LINK_DSA_BROADCOM:
        return LAYER_DSA;
    case LINK_DOCSIS:
        return LAYER_DOCSIS;
    case LINK_ATM_LLC:
        return LAYER_LLC;
    case LINK_ENC:
    case LINK_PFLOG:
    case LINK_IP_OVER_FC:
    case LINK_FIREWIRE:
    case LINK_NETANALYZER:
    case LINK_NETANALYZER_TRANSPARENT:
    case LINK_ETHERNET_MPACKET:
    case LINK_DSA_BROADCOM_PREPEND:
        return LAYER_WRAPPER;
    default:
        return LAYER_NONE;
    }
}

void walk_link(struct walk *walk, uint32_t link_type)
{
    const enum wire_layer layer = layer_of(link_type);

    walk->link_type = (uint16_t)link_type;
    walk->ethertype = 0;
    walk->is_padded = walk->is_swapped = false;
    if (layer == LAYER_NONE || !walk_is_open(walk, layer)) {
        if (walk->tree != NULL) {
            tree_layer(walk->tree, "Data", walk->at.at, walk_left(walk));
            tree_field(walk->tree, "link_type", NULL, 0, "%u (no decoder)", link_type);
        }
        walk_fault(walk, LAYER_LINK, DECODE_UNSUPPORTED);
        return;
    }
    walk->next = (uint8_t)layer;
}

/* The sender's MAC alone is there. */
static void note_source_mac(struct walk *walk, const uint8_t *at)
{
    walk->out->mac_offset = (uint16_t)(at - walk->frame->bytes);
    walk->out->facts |= PACKET_HAS_SLL_SOURCE;
}

/* Target and source MAC, one behind the other. */
static void note_macs(struct walk *walk, const uint8_t *at)
{
    walk->out->mac_offset = (uint16_t)(at - walk->frame->bytes);
    walk->out->facts |= PACKET_HAS_MACS;
    if (walk->tree != NULL) {
        tree_mac(walk->tree, "target", at);
        tree_mac(walk->tree, "source", at + 6);
    }
}

/* ---- Linux cooked capture, loopback ---- */

enum arphrd {
    ARPHRD_RADIOTAP = 803,
    ARPHRD_NETLINK = 824,
};

enum sll_protocol { /* below 0x600 no ethertypes, but Linux' own numbers */
                    SLL_802_3 = 1,
                    SLL_802_2 = 4,
};

struct sll {
    const char *name;
    uint16_t packet_type; /* 0 to us, 1 broadcast, 2 multicast, 3 to another host, 4 sent by us */
    uint16_t arphrd_type;
    uint16_t protocol;
    const uint8_t *source; /* NULL: no MAC */
};

static void go_on_behind_sll(struct walk *walk, const struct sll *sll)
{
    if (sll->source != NULL) {
        note_source_mac(walk, sll->source);
    }
    if (walk->tree != NULL) {
        tree_field(walk->tree, "packet_type", NULL, 0, "%u", sll->packet_type);
        tree_field(walk->tree, "arphrd_type", NULL, 0, "%u", sll->arphrd_type);
        if (sll->source != NULL) {
            tree_mac(walk->tree, "source", sll->source);
        }
    }
    if (sll->arphrd_type == ARPHRD_RADIOTAP) {
        walk_link(walk, LINK_RADIOTAP);
    } else if (sll->arphrd_type == ARPHRD_NETLINK) {
        walk_not_ip(walk);
    } else if (sll->protocol == SLL_802_2) {
        walk->ethertype = 0;
        walk_to(walk, LAYER_LLC);
    } else if (sll->protocol < 0x600) {
        walk->ethertype = sll->protocol;
        walk_not_ip(walk);
    } else {
        walk_ethertype(walk, sll->protocol);
    }
}

void walk_sll(struct walk *walk)
{
    const bool is_first = walk->link_type == LINK_SLL;
    const uint32_t header_bytes = is_first ? 16 : 20;
    const uint8_t *at = walk_take(walk, header_bytes);
    struct sll sll;

    if (at == NULL) {
        walk_short(walk, LAYER_SLL);
        return;
    }
    if (is_first) {
        sll = (struct sll){.packet_type = wire_u16(at),
                           .arphrd_type = wire_u16(at + 2),
                           .protocol = wire_u16(at + 14),
                           .source = wire_u16(at + 4) == 6 ? at + 6 : NULL};
    } else {
        sll = (struct sll){.packet_type = at[10],
                           .arphrd_type = wire_u16(at + 8),
                           .protocol = wire_u16(at),
                           .source = at[11] == 6 ? at + 12 : NULL};
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, is_first ? "Linux cooked" : "Linux cooked v2", at, header_bytes);
        if (!is_first) {
            tree_field(walk->tree, "interface", at + 4, 4, "%u", wire_u32(at + 4));
        }
        tree_field(walk->tree, "ethertype", is_first ? at + 14 : at, 2, "0x%04x", sll.protocol);
    }
    go_on_behind_sll(walk, &sll);
}

void walk_loopback(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 4);

    if (at == NULL) {
        walk_short(walk, LAYER_LOOPBACK);
        return;
    }
    uint32_t family = wire_u32(at);
    if (family > 0xffff) { /* families are small, so a large one was written in the other order */
        family = __builtin_bswap32(family);
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "Loopback", at, 4);
        tree_field(walk->tree, "family", at, 4, "%u", family);
    }
    switch (family) {
    case 2: /* AF_INET everywhere */
        walk_ethertype(walk, ETHERTYPE_IPV4);
        break;
    case 10: /* Linux */
    case 23: /* Windows */
    case 24: /* NetBSD, OpenBSD */
    case 28: /* FreeBSD */
    case 30: /* macOS */
        walk_ethertype(walk, ETHERTYPE_IPV6);
        break;
    default: /* some writers put another link's header here */
        walk->ethertype = 0;
        if (walk_is_ip(walk)) {
            walk_ip(walk);
        } else {
            walk_not_ip(walk);
        }
        break;
    }
}

/* ---- records around IP or a frame ---- */

#define NFLOG_PAYLOAD     9
#define NFLOG_OBJECTS_MAX 64

/* A list of objects (length and type in the order of the host that captured), one of them the
 * packet. */
void walk_nflog(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 4); /* family, version, resource */

    if (at == NULL) {
        walk_short(walk, LAYER_NFLOG);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "NFLOG", at, 4);
        tree_field(walk->tree, "family", at, 1, "%u", at[0]);
    }
    for (unsigned i = 0; i < NFLOG_OBJECTS_MAX; i++) {
        const uint8_t *object = walk_take(walk, 4);

        if (object == NULL) {
            break; /* no packet in it */
        }
        uint32_t length = wire_u16(object);
        uint32_t type = wire_u16(object + 2);

        if (object[1] == 0 || object[3] == 0) { /* types are small: a little-endian host */
            if (object[3] == 0 && type > 255) {
                length = object[0] | (uint32_t)object[1] << 8;
                type = object[2];
            }
        }
        if (length < 4) {
            walk_fault(walk, LAYER_NFLOG, DECODE_MALFORMED);
            return;
        }
        if (type == NFLOG_PAYLOAD) {
            walk_limit(walk, length - 4);
            walk_ip(walk);
            return;
        }
        if (walk_take(walk, (length - 4 + 3) & ~3U) == NULL) {
            break;
        }
    }
    walk_short(walk, LAYER_NFLOG);
}

/* A pseudo header of 40 bytes (GRH) before that of RFC 4391 section 6. */
void walk_ipoib(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 44);

    if (at == NULL) {
        walk_short(walk, LAYER_IPOIB);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "IPoIB", at, 44);
        tree_field(walk->tree, "ethertype", at + 40, 2, "0x%04x", wire_u16(at + 40));
    }
    walk_ethertype(walk, wire_u16(at + 40));
}

static uint32_t little_u32(const uint8_t *at)
{
    return __builtin_bswap32(wire_u32(at));
}

/* macOS: its header tells its own length and the link type behind it. */
void walk_pktap(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 12) {
        walk_short(walk, LAYER_PKTAP);
        return;
    }
    const uint32_t header_bytes = little_u32(at);
    const uint32_t link_type = little_u32(at + 8);

    if (header_bytes < 12) {
        walk_fault(walk, LAYER_PKTAP, DECODE_MALFORMED);
        return;
    }
    if (walk_take(walk, header_bytes) == NULL) {
        walk_short(walk, LAYER_PKTAP);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "PKTAP", at, header_bytes);
        tree_field(walk->tree, "link_type", at + 8, 4, "%u", link_type);
    }
    walk_link(walk, link_type);
}

/* Cable modems: a packet PDU is an Ethernet frame behind a short header (MULPI 6.2). */
void walk_docsis(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 6) {
        walk_short(walk, LAYER_DOCSIS);
        return;
    }
    const uint32_t extended_bytes = (at[0] & 1) != 0 ? at[1] : 0;
    const bool is_packet = (at[0] & 0xfe) == 0; /* frame type 0, parameter 0 */

    if (walk_take(walk, 6 + extended_bytes) == NULL) {
        walk_short(walk, LAYER_DOCSIS);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "DOCSIS", at, 6 + extended_bytes);
        tree_field(walk->tree, "frame_control", at, 1, "0x%02x", at[0]);
    }
    if (is_packet) {
        walk->next = LAYER_ETHERNET;
    } else {
        walk_not_ip(walk);
    }
}

/* ---- fixed headers ---- */

static uint32_t wrapper_bytes(const struct walk *walk)
{
    switch (walk->link_type) {
    case LINK_ENC: /* OpenBSD: family, SPI, flags */
        return 12;
    case LINK_PFLOG: /* its own length, without the padding to four bytes */
        return walk_left(walk) > 0 ? (*walk->at.at + 3U) & ~3U : 4;
    case LINK_IP_OVER_FC: /* RFC 2625 network header */
        return 16;
    case LINK_FIREWIRE:
        return 18;
    case LINK_NETANALYZER_TRANSPARENT:
        return 12;
    case LINK_ETHERNET_MPACKET: /* the preamble */
        return 8;
    default:
        return 4;
    }
}

void walk_wrapper(struct walk *walk)
{
    const uint32_t header_bytes = wrapper_bytes(walk);
    const uint8_t *at = walk_take(walk, header_bytes);

    if (at == NULL || header_bytes == 0) {
        walk_short(walk, LAYER_WRAPPER);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "Link header", at, header_bytes);
        tree_field(walk->tree, "link_type", NULL, 0, "%u", walk->link_type);
    }
    switch (walk->link_type) {
    case LINK_ENC:
    case LINK_PFLOG:
        walk_ip(walk);
        break;
    case LINK_IP_OVER_FC:
        walk_to(walk, LAYER_LLC);
        break;
    case LINK_FIREWIRE:
        walk_ethertype(walk, wire_u16(at + 16));
        break;
    default:
        walk->next = LAYER_ETHERNET;
        break;
    }
}

/* ---- rings ---- */

void walk_fddi(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 13);

    if (at == NULL) {
        walk_short(walk, LAYER_FDDI);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "FDDI", at, 13);
        tree_field(walk->tree, "frame_control", at, 1, "0x%02x", at[0]);
    }
    note_macs(walk, at + 1);
    if ((at[0] & 0x70) == 0x50) { /* LLC, with either address length of which 6 is used */
        walk_to(walk, LAYER_LLC);
    } else {
        walk_not_ip(walk);
    }
}

void walk_token_ring(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 14);

    if (at == NULL) {
        walk_short(walk, LAYER_TOKEN_RING);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "Token ring", at, 14);
        tree_field(walk->tree, "frame_control", at + 1, 1, "0x%02x", at[1]);
    }
    note_macs(walk, at + 2);
    if ((at[8] & 0x80) != 0) { /* source routing: its length is in the first byte */
        const uint32_t route_bytes = walk_left(walk) > 0 ? *walk->at.at & 0x1fU : 2;

        if (route_bytes < 2 || walk_take(walk, route_bytes) == NULL) {
            walk_short(walk, LAYER_TOKEN_RING);
            return;
        }
    }
    if ((at[1] & 0xc0) == 0x40) {
        walk_to(walk, LAYER_LLC);
    } else {
        walk_not_ip(walk);
    }
}
