#include "sensor/wire/ethernet.h"
#include "sensor/wire/walk.h"

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

#define JUNIPER_MAGIC    0x4d4743U /* "MGC" */
#define JUNIPER_HAS_MORE 0x80
#define JUNIPER_NO_LINK  0x02

/* What Juniper's routers write before a frame: a magic, flags, with one of them a list of further
 * facts; with another no link's header stands before IP, but its protocol in four bytes. */
void walk_juniper(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 6) {
        walk_short(walk, LAYER_JUNIPER);
        return;
    }
    if (wire_u32(at) >> 8 != JUNIPER_MAGIC) {
        walk_fault(walk, LAYER_JUNIPER, DECODE_MALFORMED);
        return;
    }
    const bool has_link = (at[3] & JUNIPER_NO_LINK) == 0;
    const uint32_t header_bytes =
        ((at[3] & JUNIPER_HAS_MORE) != 0 ? 6U + wire_u16(at + 4) : 4U) + (has_link ? 0U : 4U);

    if (walk_take(walk, header_bytes) == NULL) {
        walk_short(walk, LAYER_JUNIPER);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "Juniper", at, header_bytes);
        tree_field(walk->tree, "flags", at + 3, 1, "0x%02x", at[3]);
    }
    if (!has_link) {
        walk_ip(walk);
        return;
    }
    switch (walk->link_type) {
    case LINK_JUNIPER_PPP:
        walk_link(walk, LINK_PPP);
        break;
    case LINK_JUNIPER_FRAME_RELAY:
        walk_link(walk, LINK_FRAME_RELAY);
        break;
    case LINK_JUNIPER_HDLC:
        walk_link(walk, LINK_HDLC);
        break;
    default:
        walk->next = LAYER_ETHERNET;
        break;
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
    case LINK_IPNET: /* Solaris: version, family, hook, length, interfaces and zones of both ends */
        return 24;
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
    case LINK_IPNET:
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
