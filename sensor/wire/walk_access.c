#include "sensor/wire/ipv6.h"
#include "sensor/wire/walk.h"

/* Tunnels of access networks: GTP-U, Teredo, AYIYA, L2TP. A port alone brought us here, so whatever
 * does not fit to the byte is refused: the payload is somebody else's. */

/* ---- GTP-U (3GPP TS 29.281; version 0: TS 09.60) ---- */

#define GTP_TPDU           255
#define GTP_EXTENSIONS_MAX 16

/* Header bytes of version 1 with its options and extension headers; 0: contradictory, or cut. */
static uint32_t gtp1_bytes(const struct walk *walk, const uint8_t *at, bool *is_cut)
{
    const uint32_t left = walk_left(walk);
    uint32_t header_bytes = 8;

    if ((at[0] & 0x07) == 0) { /* no sequence, N-PDU, extension */
        return header_bytes;
    }
    header_bytes = 12;
    *is_cut = left < header_bytes;
    if (*is_cut) {
        return 0;
    }
    uint8_t next = (at[0] & 0x04) != 0 ? at[11] : 0;
    for (unsigned i = 0; next != 0; i++) {
        if (left <= header_bytes) {
            *is_cut = true;
            return 0;
        }
        const uint32_t bytes = at[header_bytes] * 4U;

        if (bytes == 0 || i == GTP_EXTENSIONS_MAX) {
            return 0;
        }
        header_bytes += bytes;
        if (left < header_bytes) {
            *is_cut = true;
            return 0;
        }
        next = at[header_bytes - 1];
    }
    return header_bytes;
}

static void tree_gtp(struct walk *walk, const uint8_t *at, uint32_t header_bytes, uint32_t id)
{
    if (walk->tree == NULL) {
        return;
    }
    const bool is_first = at[0] >> 5 == 1;

    tree_layer(walk->tree, "GTP-U", at, header_bytes);
    tree_field(walk->tree, "version", at, 1, "%u", at[0] >> 5);
    tree_field(walk->tree, "message", at + 1, 1, "%u", at[1]);
    tree_field(walk->tree, "length", at + 2, 2, "%u", wire_u16(at + 2));
    tree_field(walk->tree, is_first ? "teid" : "flow_label", is_first ? at + 4 : at + 6,
               is_first ? 4 : 2, "0x%08x", id);
}

void walk_gtp(struct walk *walk)
{
    const uint8_t *at = walk->at.at;
    const struct cursor outside = walk->at;
    bool is_cut = false;

    if (walk_left(walk) < 8) {
        walk_short(walk, LAYER_GTP_U);
        return;
    }
    const unsigned version = at[0] >> 5;
    const bool is_gtp = version <= 1 && (at[0] & 0x10) != 0; /* not GTP' */
    const uint32_t fixed_bytes = version == 1 ? 8 : 20;

    if (!is_gtp || wire_u16(at + 2) + fixed_bytes > walk_bound(walk)) {
        walk_fault(walk, LAYER_GTP_U, DECODE_REFUSED);
        return;
    }
    if (at[1] != GTP_TPDU) { /* an echo, an error, an end marker */
        if (version == 1) {
            tree_gtp(walk, at, 8, wire_u32(at + 4));
        }
        return;
    }
    const uint32_t header_bytes = version == 1 ? gtp1_bytes(walk, at, &is_cut) : fixed_bytes;
    if (is_cut || walk_left(walk) < header_bytes) {
        walk_short(walk, LAYER_GTP_U);
        return;
    }
    if (header_bytes == 0) {
        walk_fault(walk, LAYER_GTP_U, DECODE_REFUSED);
        return;
    }
    const uint32_t id = version == 1 ? wire_u32(at + 4) : wire_u16(at + 6);
    (void)walk_take(walk, header_bytes);
    if (walk_left(walk) >= IPV6_HEADER_BYTES && !walk_is_ip(walk)) {
        walk->at = outside;
        walk_fault(walk, LAYER_GTP_U, DECODE_REFUSED);
        return;
    }
    tree_gtp(walk, at, header_bytes, id);
    walk_tunnel(walk, TUNNEL_GTP_U, id);
    walk_ip(walk);
}

/* ---- Teredo (RFC 4380 5.1.1): authentication, origin, then IPv6 to the byte ---- */

void walk_teredo(struct walk *walk)
{
    const struct cursor outside = walk->at;
    const uint8_t *start = walk->at.at;

    if (walk_left(walk) >= 4 && wire_u16(walk->at.at) == 1) {
        const uint8_t *at = walk->at.at;

        if (walk_take(walk, 4U + at[2] + at[3] + 9U) == NULL) {
            walk_fault(walk, LAYER_TEREDO, DECODE_REFUSED);
            return;
        }
    }
    if (walk_left(walk) >= 8 && wire_u16(walk->at.at) == 0) {
        (void)walk_take(walk, 8);
    }
    if (walk_left(walk) < IPV6_HEADER_BYTES || *walk->at.at >> 4 != 6 || !walk_is_ip(walk)) {
        walk->at = outside;
        walk_fault(walk, LAYER_TEREDO, DECODE_REFUSED);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "Teredo", start, (size_t)(walk->at.at - start));
        tree_field(walk->tree, "header_bytes", start, (size_t)(walk->at.at - start), "%zu",
                   (size_t)(walk->at.at - start));
    }
    walk_tunnel(walk, TUNNEL_TEREDO, 0);
    walk->next = LAYER_IPV6;
}

/* ---- AYIYA (draft-massar-v6ops-ayiya) ---- */

void walk_ayiya(struct walk *walk)
{
    const struct cursor outside = walk->at;
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 8) {
        walk_short(walk, LAYER_AYIYA);
        return;
    }
    const uint32_t identity_bytes = 1U << (at[0] >> 4);
    const uint32_t header_bytes = 8 + identity_bytes + (at[1] >> 4) * 4U;
    const uint8_t operation = at[2] & 15;
    const uint8_t next_header = at[3];

    if (walk_take(walk, header_bytes) == NULL || operation > 5) {
        walk->at = outside;
        walk_fault(walk, LAYER_AYIYA, DECODE_REFUSED);
        return;
    }
    if (operation != 1 || (next_header != IP_PROTOCOL_IPV6 && next_header != IP_PROTOCOL_IPV4)) {
        walk->at = outside; /* no packet inside */
        return;
    }
    if (!walk_is_ip(walk)) {
        walk->at = outside;
        walk_fault(walk, LAYER_AYIYA, DECODE_REFUSED);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "AYIYA", at, header_bytes);
        tree_field(walk->tree, "operation", at + 2, 1, "%u", operation);
        tree_field(walk->tree, "next_header", at + 3, 1, "%u", next_header);
        tree_field(walk->tree, "epoch", at + 4, 4, "%u", wire_u32(at + 4));
    }
    walk_tunnel(walk, TUNNEL_AYIYA, 0);
    walk_ip(walk);
}

/* ---- L2TP (RFC 2661; version 3: RFC 3931) ---- */

enum l2tp_bit {
    L2TP_CONTROL = 0x8000,
    L2TP_LENGTH = 0x4000,
    L2TP_SEQUENCE = 0x0800,
    L2TP_OFFSET = 0x0200,
    L2TP_VERSION = 0x000f,
};

static void walk_l2tp2(struct walk *walk)
{
    const struct cursor outside = walk->at;
    const uint8_t *at = walk->at.at;
    const uint16_t bits = wire_u16(at);
    const uint32_t ids_offset = (bits & L2TP_LENGTH) != 0 ? 4 : 2;
    uint32_t header_bytes = ids_offset + 4 + ((bits & L2TP_SEQUENCE) != 0 ? 4 : 0);
    const uint32_t offset_at = header_bytes;

    header_bytes += (bits & L2TP_OFFSET) != 0 ? 2 : 0;
    if ((bits & L2TP_CONTROL) != 0) {
        return; /* the tunnel's own */
    }
    if (walk_left(walk) < header_bytes) {
        walk_short(walk, LAYER_L2TP);
        return;
    }
    if ((bits & L2TP_OFFSET) != 0) {
        header_bytes += wire_u16(at + offset_at);
    }
    if ((bits & L2TP_LENGTH) != 0) {
        const uint32_t message_bytes = wire_u16(at + 2);

        if (message_bytes < header_bytes || message_bytes > walk_bound(walk)) {
            walk_fault(walk, LAYER_L2TP, DECODE_REFUSED);
            return;
        }
        walk_limit(walk, message_bytes);
    }
    const uint32_t id = wire_u32(at + ids_offset);
    if (walk_take(walk, header_bytes) == NULL) {
        walk->at = outside;
        walk_short(walk, LAYER_L2TP);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "L2TP", at, header_bytes);
        tree_field(walk->tree, "flags", at, 2, "0x%04x", bits);
        tree_field(walk->tree, "tunnel", at + ids_offset, 2, "%u", id >> 16);
        tree_field(walk->tree, "session", at + ids_offset + 2, 2, "%u", id & 0xffff);
    }
    walk_tunnel(walk, TUNNEL_L2TP, id);
    walk->link_type = LINK_PPP;
    walk_to(walk, LAYER_PPP);
}

/* Version 3: how long cookie and sublayer are was agreed in the control connection. The first
 * length with which an Ethernet header, HDLC or IP stands behind them is taken. */
static void walk_l2tp3(struct walk *walk, uint32_t fixed_bytes)
{
    static const uint8_t more[] = {0, 4, 8, 12};
    const uint8_t *at = walk->at.at;
    const struct cursor outside = walk->at;

    if (walk_left(walk) < fixed_bytes + 4) {
        walk_short(walk, LAYER_L2TP);
        return;
    }
    const uint32_t session = wire_u32(at + fixed_bytes);
    if (session == 0) {
        return; /* control */
    }
    (void)walk_take(walk, fixed_bytes + 4);
    for (unsigned i = 0; i < sizeof(more); i++) {
        const bool is_ethernet = walk_is_ethernet(walk, more[i]);
        const uint32_t left = walk_left(walk);
        const bool is_hdlc = !is_ethernet && left >= more[i] + 24U &&
                             wire_u32(walk->at.at + more[i]) == 0x0f000800 &&
                             walk->at.at[more[i] + 4] >> 4 == 4;

        if (is_ethernet || is_hdlc) {
            (void)walk_take(walk, more[i]);
            if (walk->tree != NULL) {
                tree_layer(walk->tree, "L2TPv3", at, fixed_bytes + 4 + more[i]);
                tree_field(walk->tree, "session", at + fixed_bytes, 4, "%u", session);
            }
            walk_tunnel(walk, TUNNEL_L2TP, session);
            walk->link_type = LINK_HDLC;
            walk_to(walk, is_ethernet ? LAYER_ETHERNET : LAYER_HDLC);
            return;
        }
    }
    walk->at = outside;
    walk_fault(walk, LAYER_L2TP, DECODE_UNSUPPORTED);
}

void walk_l2tp(struct walk *walk)
{
    if (walk->out->protocol == IP_PROTOCOL_L2TP) {
        walk_l2tp3(walk, 0);
        return;
    }
    if (walk_left(walk) < 6) {
        walk_short(walk, LAYER_L2TP);
        return;
    }
    switch (wire_u16(walk->at.at) & L2TP_VERSION) {
    case 2:
        walk_l2tp2(walk);
        break;
    case 3:
        if ((wire_u16(walk->at.at) & L2TP_CONTROL) == 0) {
            walk_l2tp3(walk, 4);
        }
        break;
    default: /* version 1 is L2F, or none at all */
        walk_fault(walk, LAYER_L2TP, DECODE_REFUSED);
        break;
    }
}
