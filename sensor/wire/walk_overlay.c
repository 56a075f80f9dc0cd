#include "sensor/wire/ethernet.h"
#include "sensor/wire/walk.h"

/* Tunnels of data centres and access points over UDP (or IP: EtherIP). The port brought us here, so
 * a header that cannot be one of the protocol is refused: the payload is somebody else's. */

/* RFC 7348, with the group of draft-smith-vxlan-group-policy in the reserved bits. */
void walk_vxlan(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 8) {
        walk_short(walk, LAYER_VXLAN);
        return;
    }
    if ((at[0] & 0x08) == 0) {
        walk_fault(walk, LAYER_VXLAN, DECODE_REFUSED);
        return;
    }
    const uint32_t network = wire_u32(at + 4) >> 8;

    (void)walk_take(walk, 8);
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "VXLAN", at, 8);
        tree_field(walk->tree, "flags", at, 1, "0x%02x", at[0]);
        tree_field(walk->tree, "group", at + 2, 2, "%u", wire_u16(at + 2));
        tree_field(walk->tree, "vni", at + 4, 3, "%u", network);
    }
    walk_tunnel(walk, TUNNEL_VXLAN, network);
    walk->next = LAYER_ETHERNET;
}

/* draft-ietf-nvo3-vxlan-gpe: next protocols 1 to 5 are those of NSH. */
void walk_vxlan_gpe(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 8) {
        walk_short(walk, LAYER_VXLAN_GPE);
        return;
    }
    if ((at[0] & 0x08) == 0 || (at[0] & 0x30) != 0) { /* no instance, or a later version */
        walk_fault(walk, LAYER_VXLAN_GPE, DECODE_REFUSED);
        return;
    }
    const uint32_t network = wire_u32(at + 4) >> 8;
    const bool has_protocol = (at[0] & 0x04) != 0 || at[3] != 0; /* some leave the flag out */

    (void)walk_take(walk, 8);
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "VXLAN-GPE", at, 8);
        tree_field(walk->tree, "flags", at, 1, "0x%02x", at[0]);
        tree_field(walk->tree, "next_protocol", at + 3, 1, "%u", at[3]);
        tree_field(walk->tree, "vni", at + 4, 3, "%u", network);
    }
    walk_tunnel(walk, TUNNEL_VXLAN_GPE, network);
    if (has_protocol) {
        walk_nsh_protocol(walk, at[3]);
    } else {
        walk->next = LAYER_ETHERNET;
    }
}

/* RFC 8926. Options are stepped over, a control packet (O) too. */
void walk_geneve(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 8) {
        walk_short(walk, LAYER_GENEVE);
        return;
    }
    const uint32_t header_bytes = 8 + (at[0] & 0x3fU) * 4U;
    const uint16_t protocol = wire_u16(at + 2);
    const uint32_t network = wire_u32(at + 4) >> 8;

    if (at[0] >> 6 != 0 || protocol <= ETHERTYPE_LENGTH_MAX || header_bytes > walk_bound(walk)) {
        walk_fault(walk, LAYER_GENEVE, DECODE_REFUSED);
        return;
    }
    if (walk_take(walk, header_bytes) == NULL) {
        walk_short(walk, LAYER_GENEVE);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "Geneve", at, header_bytes);
        tree_field(walk->tree, "options_bytes", at, 1, "%u", header_bytes - 8);
        tree_field(walk->tree, "protocol", at + 2, 2, "0x%04x", protocol);
        tree_field(walk->tree, "vni", at + 4, 3, "%u", network);
        if (header_bytes > 8) {
            tree_hex(walk->tree, "options", at + 8, header_bytes - 8);
        }
    }
    walk_tunnel(walk, TUNNEL_GENEVE, network);
    walk_ethertype(walk, protocol);
}

/* RFC 3378 (protocol 97): version 3, then the frame. Protocol 143 (RFC 8986) has the frame alone.
 */
void walk_etherip(struct walk *walk)
{
    if (walk->out->protocol == IP_PROTOCOL_ETHERIP) {
        const uint8_t *at = walk_take(walk, 2);

        if (at == NULL) {
            walk_short(walk, LAYER_ETHERIP);
            return;
        }
        if (at[0] >> 4 != 3) {
            walk_fault(walk, LAYER_ETHERIP, DECODE_MALFORMED);
            return;
        }
        if (walk->tree != NULL) {
            tree_layer(walk->tree, "EtherIP", at, 2);
            tree_field(walk->tree, "version", at, 1, "%u", at[0] >> 4);
        }
    }
    walk_tunnel(walk, TUNNEL_ETHERIP, 0);
    walk->next = LAYER_ETHERNET;
}

/* ---- PIM (RFC 7761 section 4.9.3) ---- */

#define PIM_REGISTER       0x21 /* version 2, type 1 */
#define PIM_REGISTER_BYTES 8
#define PIM_NULL           0x40 /* no packet, but the header of one */

bool walk_is_register(const struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    return walk_left(walk) > PIM_REGISTER_BYTES && at[0] == PIM_REGISTER &&
           (at[4] & PIM_NULL) == 0 &&
           (at[PIM_REGISTER_BYTES] >> 4 == 4 || at[PIM_REGISTER_BYTES] >> 4 == 6);
}

/* A multicast packet on its way from its first router to the rendezvous point. */
void walk_pim(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, PIM_REGISTER_BYTES);

    if (at == NULL) {
        walk_short(walk, LAYER_PIM);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "PIM register", at, PIM_REGISTER_BYTES);
        tree_field(walk->tree, "border", at + 4, 1, "%u", at[4] >> 7);
    }
    walk_tunnel(walk, TUNNEL_PIM, 0);
    walk_ip(walk);
}

/* RFC 5415 4.3: data of access points, as Ethernet or, with T set, as 802.11. */
void walk_capwap(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 8) {
        walk_short(walk, LAYER_CAPWAP);
        return;
    }
    const uint32_t header_bytes = (at[1] >> 3) * 4U;
    const unsigned radio = (at[1] & 7U) << 2 | at[2] >> 6;
    const unsigned binding = at[2] >> 1 & 0x1f;
    const bool is_native = (at[2] & 1) != 0;
    const bool is_later = (at[3] & 0x80) != 0 && (wire_u16(at + 6) & 0xfff8) != 0;

    if (at[0] == 1) {
        walk_fault(walk, LAYER_CAPWAP, DECODE_PROTECTED); /* DTLS */
        return;
    }
    if (at[0] != 0 || header_bytes < 8 || header_bytes > walk_bound(walk)) {
        walk_fault(walk, LAYER_CAPWAP, DECODE_REFUSED);
        return;
    }
    if ((at[3] & 0x08) != 0 || is_later || (is_native && binding != 1)) {
        walk_fault(walk, LAYER_CAPWAP, DECODE_UNSUPPORTED); /* keepalive, the middle of something */
        return;
    }
    if (walk_take(walk, header_bytes) == NULL) {
        walk_short(walk, LAYER_CAPWAP);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "CAPWAP", at, header_bytes);
        tree_field(walk->tree, "radio", at + 1, 2, "%u", radio);
        tree_field(walk->tree, "binding", at + 2, 1, "%u", binding);
    }
    walk_tunnel(walk, TUNNEL_CAPWAP, radio);
    walk->is_padded = false;
    walk->is_swapped = is_native; /* some controllers swap the bytes of the controls */
    if (is_native) {
        walk_to(walk, LAYER_WLAN);
    } else {
        walk->next = LAYER_ETHERNET;
    }
}

#define TZSP_TAGS_MAX 32
#define TZSP_ETHERNET 1
#define TZSP_WLAN     18

/* TaZmen Sniffer Protocol: version, type, encapsulation, tags up to number 1. */
void walk_tzsp(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 5) {
        walk_short(walk, LAYER_TZSP);
        return;
    }
    const uint16_t encapsulation = wire_u16(at + 2);

    if (at[0] != 1 || at[1] > 1 || (encapsulation != TZSP_ETHERNET && encapsulation != TZSP_WLAN)) {
        walk_fault(walk, LAYER_TZSP, DECODE_REFUSED);
        return;
    }
    (void)walk_take(walk, 4);
    for (unsigned i = 0; i < TZSP_TAGS_MAX; i++) {
        const uint8_t *tag = walk_take(walk, 1);

        if (tag == NULL) {
            break;
        }
        if (*tag == 0) { /* padding */
            continue;
        }
        if (*tag == 1) {
            if (walk->tree != NULL) {
                tree_layer(walk->tree, "TZSP", at, (size_t)(walk->at.at - at));
                tree_field(walk->tree, "encapsulation", at + 2, 2, "%u", encapsulation);
            }
            walk_tunnel(walk, TUNNEL_TZSP, 0);
            walk->is_padded = walk->is_swapped = false;
            walk_to(walk, encapsulation == TZSP_WLAN ? LAYER_WLAN : LAYER_ETHERNET);
            return;
        }
        const uint8_t *length = walk_take(walk, 1);
        if (length == NULL || walk_take(walk, *length) == NULL) {
            break;
        }
    }
    walk_short(walk, LAYER_TZSP);
}
