#include "sensor/wire/ethernet.h"
#include "sensor/wire/walk.h"

/* RFC 1661, 1662: PPP in HDLC-like framing; protocol numbers of IANA. */
enum ppp_protocol {
    PPP_IPV4 = 0x0021,
    PPP_VJ_COMPRESSED = 0x002d,
    PPP_VJ_UNCOMPRESSED = 0x002f,
    PPP_BRIDGING = 0x0031,  /* RFC 3518 */
    PPP_MULTILINK = 0x003d, /* RFC 1990 */
    PPP_ENCRYPTED = 0x0053, /* RFC 1968 */
    PPP_IPV6 = 0x0057,
    PPP_COMPRESSED = 0x00fd, /* RFC 1962; MPPE too */
    PPP_MPLS = 0x0281,
    PPP_MPLS_MULTICAST = 0x0283,
};

/* The protocol field, one byte where it is compressed (its last bit is 1). */
static bool read_protocol(struct walk *walk, uint16_t *protocol, const uint8_t **at)
{
    if (walk_left(walk) > 0 && (*walk->at.at & 1) != 0) {
        *at = walk_take(walk, 1);
        *protocol = **at;
        return true;
    }
    *at = walk_take(walk, 2);
    *protocol = *at != NULL ? wire_u16(*at) : 0;
    return *at != NULL;
}

/* Multilink: the sequence number has 12 or 24 bits by negotiation, which is not seen; the longer
 * one is usual. A fragment that is not the first is the middle of something. */
static void walk_multilink(struct walk *walk)
{
    const uint8_t *at = walk->at.at;
    const uint32_t left = walk_left(walk);

    if (left < 6) {
        walk_short(walk, LAYER_PPP);
        return;
    }
    const bool is_long = (at[0] & 0x3f) == 0 && ((at[4] & 1) != 0 || (at[5] & 1) != 0);
    const uint32_t header_bytes = is_long ? 4 : 2;

    if ((at[0] & 0x80) == 0) {
        walk_fault(walk, LAYER_PPP, DECODE_UNSUPPORTED);
        return;
    }
    (void)walk_take(walk, header_bytes);
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "PPP multilink", at, header_bytes);
        tree_field(walk->tree, "first", at, 1, "yes");
        tree_field(walk->tree, "last", at, 1, "%s", (at[0] & 0x40) != 0 ? "yes" : "no");
    }
    walk->link_type = LINK_PPP;
    walk->next = LAYER_PPP;
}

/* Bridged Ethernet behind flags, MAC type and, by a flag, a LAN number. */
static void walk_bridged(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 2) {
        walk_short(walk, LAYER_PPP);
        return;
    }
    const bool is_ethernet = at[1] == 1;

    if (walk_take(walk, (at[0] & 0x40) != 0 ? 6 : 2) == NULL) {
        walk_short(walk, LAYER_PPP);
    } else if (!is_ethernet) {
        walk_fault(walk, LAYER_PPP, DECODE_UNSUPPORTED);
    } else {
        walk->next = LAYER_ETHERNET;
    }
}

static void go_on_behind_ppp(struct walk *walk, uint16_t protocol)
{
    switch (protocol) {
    case PPP_IPV4:
        walk->next = LAYER_IPV4;
        break;
    case PPP_IPV6:
        walk->next = LAYER_IPV6;
        break;
    case PPP_MPLS:
    case PPP_MPLS_MULTICAST:
        walk_to(walk, LAYER_MPLS);
        break;
    case PPP_MULTILINK:
        walk_multilink(walk);
        break;
    case PPP_BRIDGING:
        walk_bridged(walk);
        break;
    case PPP_ENCRYPTED:
    case PPP_COMPRESSED:
        walk_fault(walk, LAYER_PPP, DECODE_PROTECTED);
        break;
    case PPP_VJ_COMPRESSED:
    case PPP_VJ_UNCOMPRESSED:
        walk_fault(walk, LAYER_PPP, DECODE_UNSUPPORTED);
        break;
    default: /* LCP, IPCP, ... */
        walk->ethertype = 0;
        walk_not_ip(walk);
        break;
    }
}

void walk_ppp(struct walk *walk)
{
    const uint8_t *at = walk->at.at;
    const uint8_t *protocol_at;
    uint16_t protocol;
    bool is_hdlc = false;

    if (walk->link_type == LINK_PPP_WITH_DIR) {
        walk->link_type = LINK_PPP;
        (void)walk_take(walk, 1);
    }
    if (walk_left(walk) >= 2) {
        const uint8_t *address = walk->at.at;

        if (walk->link_type == LINK_PPP_PPPD || (address[0] == 0xff && address[1] == 3)) {
            (void)walk_take(walk, 2); /* address and control; pppd has a direction there */
        } else if (address[0] == 0x0f || address[0] == 0x8f) { /* no protocol of PPP */
            is_hdlc = walk->link_type == LINK_PPP_SERIAL ||
                      (walk->link_type == LINK_PPP && address[1] == 0);
        }
    }
    if (is_hdlc) {
        walk_to(walk, LAYER_HDLC);
        return;
    }
    walk->link_type = LINK_PPP;
    if (!read_protocol(walk, &protocol, &protocol_at)) {
        walk_short(walk, LAYER_PPP);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "PPP", at, (size_t)(walk->at.at - at));
        tree_field(walk->tree, "protocol", protocol_at, (size_t)(walk->at.at - protocol_at),
                   "0x%04x", protocol);
    }
    go_on_behind_ppp(walk, protocol);
}

/* Cisco HDLC: address, control, ethertype. */
void walk_hdlc(struct walk *walk)
{
    if (walk->link_type == LINK_HDLC_WITH_DIR) {
        (void)walk_take(walk, 1);
    }
    const uint8_t *at = walk_take(walk, 4);

    if (at == NULL) {
        walk_short(walk, LAYER_HDLC);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "Cisco HDLC", at, 4);
        tree_field(walk->tree, "address", at, 1, "0x%02x", at[0]);
        tree_field(walk->tree, "protocol", at + 2, 2, "0x%04x", wire_u16(at + 2));
    }
    const uint16_t protocol = wire_u16(at + 2);
    if (protocol <= ETHERTYPE_LENGTH_MAX) {
        walk->ethertype = protocol;
        walk_not_ip(walk);
        return;
    }
    walk_ethertype(walk, protocol);
}

enum nlpid { /* ISO 9577, as RFC 2427 uses it */
             NLPID_SNAP = 0x80,
             NLPID_IPV6 = 0x8e,
             NLPID_IPV4 = 0xcc,
};

/* Q.922 address, then RFC 2427 (control 3 and an NLPID) or Cisco's ethertype. */
void walk_frame_relay(struct walk *walk)
{
    if (walk->link_type == LINK_FRAME_RELAY_WITH_DIR) {
        (void)walk_take(walk, 1);
    }
    const uint8_t *at = walk->at.at;
    const uint32_t left = walk_left(walk);
    uint32_t address_bytes = 0;

    do { /* the last byte of the address has its lowest bit set */
        if (address_bytes == left) {
            walk_short(walk, LAYER_FRAME_RELAY);
            return;
        }
    } while ((at[address_bytes++] & 1) == 0 && address_bytes < 4);
    (void)walk_take(walk, address_bytes);
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "Frame Relay", at, address_bytes);
        if (address_bytes >= 2) {
            tree_field(walk->tree, "dlci", at, 2, "%u",
                       (at[0] & 0xfcU) << 2 | (uint32_t)at[1] >> 4);
        }
    }
    if (walk_left(walk) < 2) {
        walk_short(walk, LAYER_FRAME_RELAY);
        return;
    }
    if (*walk->at.at != 3) {
        walk_ethertype(walk, wire_u16(walk_take(walk, 2)));
        return;
    }
    (void)walk_take(walk, 1);
    if (*walk->at.at == 0) { /* padding to an even length */
        (void)walk_take(walk, 1);
    }
    const uint8_t *nlpid = walk_take(walk, 1);
    if (nlpid == NULL) {
        walk_short(walk, LAYER_FRAME_RELAY);
    } else if (*nlpid == NLPID_IPV4) {
        walk->next = LAYER_IPV4;
    } else if (*nlpid == NLPID_IPV6) {
        walk->next = LAYER_IPV6;
    } else if (*nlpid == NLPID_SNAP) {
        walk_snap(walk);
    } else {
        walk->ethertype = 0;
        walk_not_ip(walk);
    }
}

enum mfr_bit {
    MFR_FIRST = 0x80,
    MFR_LAST = 0x40,
    MFR_CONTROL = 0x20,
    MFR_ONE = 0x01, /* tells it from the address of Frame Relay */
};

/* Multilink Frame Relay (FRF.16 with the fragments of FRF.12): a fragment that is not the first is
 * the middle of something. */
void walk_mfr(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 2);

    if (at == NULL) {
        walk_short(walk, LAYER_MFR);
        return;
    }
    if ((at[0] & MFR_ONE) == 0) {
        walk_fault(walk, LAYER_MFR, DECODE_MALFORMED);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "Multilink Frame Relay", at, 2);
        tree_field(walk->tree, "flags", at, 1, "0x%02x", at[0]);
        tree_field(walk->tree, "sequence", at, 2, "%u", (at[0] & 0x1eU) << 7 | at[1]);
    }
    if ((at[0] & MFR_CONTROL) != 0) {
        walk_not_ip(walk);
    } else if ((at[0] & MFR_FIRST) == 0) {
        walk_fault(walk, LAYER_MFR, DECODE_UNSUPPORTED);
    } else {
        walk->link_type = LINK_FRAME_RELAY;
        walk_to(walk, LAYER_FRAME_RELAY);
    }
}

/* RFC 2516: version and type 1, code 0 for a session. */
void walk_pppoe(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 6);

    if (at == NULL) {
        walk_short(walk, LAYER_PPPOE);
        return;
    }
    if (at[0] != 0x11) {
        walk_fault(walk, LAYER_PPPOE, DECODE_MALFORMED);
        return;
    }
    const uint16_t session = wire_u16(at + 2);
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "PPPoE", at, 6);
        tree_field(walk->tree, "code", at + 1, 1, "0x%02x", at[1]);
        tree_field(walk->tree, "session", at + 2, 2, "0x%04x", session);
        tree_field(walk->tree, "length", at + 4, 2, "%u", wire_u16(at + 4));
    }
    if (at[1] != 0) { /* discovery, or a fault of the session */
        walk_not_ip(walk);
        return;
    }
    walk_limit(walk, wire_u16(at + 4)); /* the rest is padding */
    walk_tunnel(walk, TUNNEL_PPPOE, session);
    walk->link_type = LINK_PPP;
    walk_to(walk, LAYER_PPP);
}
