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
    case LINK_MFR:
        return LAYER_MFR;
    case LINK_MPLS:
        return LAYER_MPLS;
    case LINK_SLIP:
        return LAYER_SLIP;
    case LINK_ATM_CLIP:
    case LINK_SUNATM:
        return LAYER_ATM;
    case LINK_ERF:
        return LAYER_ERF;
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
    case LINK_JUNIPER_ETHERNET:
    case LINK_JUNIPER_PPP:
    case LINK_JUNIPER_FRAME_RELAY:
    case LINK_JUNIPER_HDLC:
        return LAYER_JUNIPER;
    case LINK_ENC:
    case LINK_PFLOG:
    case LINK_IPNET:
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

bool packet_link_is_read(uint16_t link_type)
{
    return layer_of(link_type) != LAYER_NONE;
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
