#include "sensor/wire/ethernet.h"
#include "sensor/wire/walk.h"

/* What stands between Ethernet and IP: tags, LLC, frames in frames. */

static void note_vlan(struct walk *walk, uint16_t id)
{
    struct packet *out = walk->out;

    out->vlan_ids[out->vlan_count == 0 ? 0 : 1] = id;
    if (out->vlan_count < UINT8_MAX) {
        out->vlan_count++;
    }
}

/* IEEE 802.1Q, 802.1ad and their forerunners. */
void walk_vlan(struct walk *walk)
{
    if (walk->out->vlan_count >= VLAN_TAGS_MAX) {
        walk_fault(walk, LAYER_VLAN, DECODE_TOO_DEEP);
        return;
    }
    const uint8_t *at = walk_take(walk, VLAN_TAG_BYTES);
    if (at == NULL) {
        walk_short(walk, LAYER_VLAN);
        return;
    }
    const uint16_t control = wire_u16(at);
    const uint16_t ethertype = wire_u16(at + 2);

    note_vlan(walk, control & 0x0fff);
    if (walk->tree != NULL) {
        tree_layer(walk->tree, walk->ethertype == ETHERTYPE_VLAN ? "802.1Q" : "802.1ad", at,
                   VLAN_TAG_BYTES);
        tree_field(walk->tree, "priority", at, 1, "%u", control >> 13);
        tree_field(walk->tree, "drop_eligible", at, 1, "%s",
                   (control & 0x1000) != 0 ? "yes" : "no");
        tree_field(walk->tree, "id", at, 2, "%u", control & 0x0fff);
        tree_field(walk->tree, "ethertype", at + 2, 2, "0x%04x", ethertype);
    }
    walk_ethertype(walk, ethertype);
}

/* ---- LLC (IEEE 802.2) and SNAP (RFC 1042) ---- */

enum llc {
    LLC_IP = 0x06,
    LLC_SNAP = 0xaa,
    LLC_ISO = 0xfe,
    LLC_UNNUMBERED = 3,
};

void walk_snap(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 5);

    if (at == NULL) {
        walk_short(walk, LAYER_LLC);
        return;
    }
    const uint32_t organisation = (uint32_t)at[0] << 16 | wire_u16(at + 1);
    const uint16_t type = wire_u16(at + 3);

    if (walk->tree != NULL) {
        tree_layer(walk->tree, "SNAP", at, 5);
        tree_field(walk->tree, "organisation", at, 3, "0x%06x", organisation);
        tree_field(walk->tree, "ethertype", at + 3, 2, "0x%04x", type);
    }
    if (organisation == 0x0080c2 && (type == 1 || type == 7)) { /* RFC 2684: bridged Ethernet */
        walk->next = LAYER_ETHERNET;
    } else if ((organisation == 0 || organisation == 0x0000f8) && type > ETHERTYPE_LENGTH_MAX) {
        walk_ethertype(walk, type);
    } else {
        walk->ethertype = 0;
        walk_not_ip(walk);
    }
}

/* Cisco's ISL is sent to one of two groups, and looks like SNAP of Cisco. */
static bool is_isl(const struct walk *walk, const uint8_t *llc)
{
    const uint8_t *mac = walk->frame->bytes + walk->out->mac_offset;

    return (walk->out->facts & PACKET_HAS_MACS) != 0 && walk->tunnel_count == 0 &&
           (mac[0] == 1 || mac[0] == 3) && mac[1] == 0 && mac[2] == 0x0c && mac[3] == 0 &&
           mac[4] == 0 && llc[3] == 0 && llc[4] == 0 && llc[5] == 0x0c;
}

void walk_llc(struct walk *walk)
{
    struct packet *out = walk->out;

    if (walk->ethertype > 0 && walk->ethertype <= ETHERTYPE_LENGTH_MAX) {
        walk_limit(walk, walk->ethertype); /* the rest is padding */
        if (out->ip_version == 0 && walk->tunnel_count == 0) {
            out->ethertype = 0; /* it was a length */
        }
    }
    walk->ethertype = 0;
    const uint8_t *at = walk->at.at;
    if (walk_left(walk) < 3) {
        walk_short(walk, LAYER_LLC);
        return;
    }
    if (at[0] == LLC_SNAP && at[1] == LLC_SNAP && at[2] == LLC_UNNUMBERED) {
        if (walk_left(walk) >= 8 && is_isl(walk, at) && walk_is_open(walk, LAYER_ISL)) {
            walk->next = LAYER_ISL;
            return;
        }
        (void)walk_take(walk, 3);
        walk_snap(walk);
    } else if (at[0] == LLC_IP && at[1] == LLC_IP && at[2] == LLC_UNNUMBERED) {
        (void)walk_take(walk, 3);
        walk->next = LAYER_IPV4;
    } else if (at[0] == LLC_ISO && at[1] == LLC_ISO && at[2] == LLC_UNNUMBERED &&
               walk_left(walk) > 3 && (at[3] == 0xcc || at[3] == 0x8e)) { /* RFC 2684: routed */
        (void)walk_take(walk, 4);
        walk->next = at[3] == 0xcc ? LAYER_IPV4 : LAYER_IPV6;
    } else {
        if (walk->tree != NULL) {
            tree_layer(walk->tree, "LLC", at, 3);
            tree_field(walk->tree, "dsap", at, 1, "0x%02x", at[0]);
            tree_field(walk->tree, "ssap", at + 1, 1, "0x%02x", at[1]);
        }
        walk_not_ip(walk);
    }
}

/* Behind the Ethernet header: aa aa 03, high bits of the source, VLAN and BPDU, index, reserved; a
 * whole frame follows. */
void walk_isl(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 12);

    if (at == NULL) {
        walk_short(walk, LAYER_ISL);
        return;
    }
    const uint16_t vlan = wire_u16(at + 6) >> 1;
    note_vlan(walk, vlan);
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "ISL", at, 12);
        tree_field(walk->tree, "id", at + 6, 2, "%u", vlan);
    }
    walk->next = LAYER_ETHERNET;
}

/* ---- tags ---- */

/* One tag of `header_bytes`, the next ethertype last in it. */
static const uint8_t *take_tag(struct walk *walk, uint32_t header_bytes, const char *name)
{
    const uint8_t *at = walk_take(walk, header_bytes);

    if (at == NULL) {
        walk_short(walk, (enum wire_layer)walk->layer);
    } else if (walk->tree != NULL) {
        tree_layer(walk->tree, name, at, header_bytes);
        tree_field(walk->tree, "ethertype", at + header_bytes - 2, 2, "0x%04x",
                   wire_u16(at + header_bytes - 2));
    }
    return at;
}

/* IEEE 802.1ah: the I-tag with the customer's addresses behind it, as an Ethernet header. */
void walk_pbb(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 4);

    if (at == NULL) {
        walk_short(walk, LAYER_PBB);
        return;
    }
    const uint32_t service = wire_u32(at) & 0xffffff;
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "802.1ah", at, 4);
        tree_field(walk->tree, "i_sid", at + 1, 3, "%u", service);
    }
    walk_tunnel(walk, TUNNEL_PBB, service);
    walk->next = LAYER_ETHERNET;
}

/* Cisco's VN-Tag: direction, pointer, target and source interface. */
void walk_vntag(struct walk *walk)
{
    const uint8_t *at = take_tag(walk, 6, "VN-Tag");

    if (at != NULL) {
        walk_ethertype(walk, wire_u16(at + 4));
    }
}

/* IEEE 802.1BR. */
void walk_etag(struct walk *walk)
{
    const uint8_t *at = take_tag(walk, 8, "802.1BR");

    if (at != NULL) {
        walk_ethertype(walk, wire_u16(at + 6));
    }
}

/* IEC 62439-3: path and size, sequence number. The other way round the ring the frame comes again,
 * with another path. PRP puts the same behind the frame instead, where it is padding to IP. */
void walk_hsr(struct walk *walk)
{
    const uint8_t *at = take_tag(walk, 6, "HSR");

    if (at == NULL) {
        return;
    }
    if (walk->tree != NULL) {
        tree_field(walk->tree, "path", at, 1, "%u", at[0] >> 4);
        tree_field(walk->tree, "size", at, 2, "%u", wire_u16(at) & 0x0fff);
        tree_field(walk->tree, "sequence", at + 2, 2, "%u", wire_u16(at + 2));
    }
    walk_ethertype(walk, wire_u16(at + 4));
}

/* Cisco metadata (TrustSec): version, length, option, security group. */
void walk_trustsec(struct walk *walk)
{
    const uint8_t *at = take_tag(walk, 8, "Cisco metadata");

    if (at != NULL) {
        walk_ethertype(walk, wire_u16(at + 6));
    }
}

/* Arista's hardware timestamps: a subtype and a version, which says how long the time is. */
void walk_arista(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 4) {
        walk_short(walk, LAYER_ARISTA);
        return;
    }
    const unsigned version = wire_u16(at + 2) & 0xfeffU; /* the bit: UTC, not TAI */
    const uint32_t header_bytes = version == 0x10 ? 14 : 12;

    if (wire_u16(at) != 1 || (version != 0x10 && version != 0x20)) {
        walk_fault(walk, LAYER_ARISTA, DECODE_UNSUPPORTED);
        return;
    }
    if (take_tag(walk, header_bytes, "Arista timestamp") != NULL) {
        walk_ethertype(walk, wire_u16(at + header_bytes - 2));
    }
}

/* Cisco FabricPath: forwarding tag and TTL, then the frame. */
void walk_fabricpath(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 2);

    if (at == NULL) {
        walk_short(walk, LAYER_FABRICPATH);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "FabricPath", at, 2);
        tree_field(walk->tree, "ftag", at, 2, "%u", wire_u16(at) >> 6);
    }
    walk->next = LAYER_ETHERNET;
}

/* IEEE 802.1AE: only the header is secured where neither E nor C is set, so the rest can be read;
 * the ICV behind it is padding to IP. */
void walk_macsec(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 6) {
        walk_short(walk, LAYER_MACSEC);
        return;
    }
    const uint32_t header_bytes = (at[0] & 0x20) != 0 ? 14 : 6;
    const bool is_clear = (at[0] & 0x0c) == 0;

    if (walk_take(walk, header_bytes) == NULL) {
        walk_short(walk, LAYER_MACSEC);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "MACsec", at, header_bytes);
        tree_field(walk->tree, "control", at, 1, "0x%02x", at[0]);
        tree_field(walk->tree, "packet_number", at + 2, 4, "%u", wire_u32(at + 2));
    }
    if (!is_clear) {
        walk_fault(walk, LAYER_MACSEC, DECODE_PROTECTED);
        return;
    }
    const uint8_t *type = walk_take(walk, 2);
    if (type == NULL) {
        walk_short(walk, LAYER_MACSEC);
        return;
    }
    walk_ethertype(walk, wire_u16(type));
}

/* Switch tags of Marvell (behind the addresses, or behind an ethertype of Linux' own) and Broadcom:
 * four bytes, then the next ethertype. */
void walk_dsa(struct walk *walk)
{
    const bool has_ethertype = walk->ethertype == ETHERTYPE_EDSA;
    const uint8_t *macs = NULL;

    if (has_ethertype) {
        if (walk_take(walk, 2) == NULL) { /* reserved */
            walk_short(walk, LAYER_DSA);
            return;
        }
    } else {
        macs = walk_take(walk, 12);
        if (macs == NULL) {
            walk_short(walk, LAYER_DSA);
            return;
        }
        walk->out->mac_offset = (uint16_t)(macs - walk->frame->bytes);
        walk->out->facts |= PACKET_HAS_MACS;
    }
    const uint8_t *at = take_tag(walk, 6, "Switch tag");
    if (at == NULL) {
        return;
    }
    if (walk->tree != NULL && macs != NULL) {
        tree_mac(walk->tree, "target", macs);
        tree_mac(walk->tree, "source", macs + 6);
    }
    if (walk->link_type != LINK_DSA_BROADCOM &&
        (at[0] & 0x20) != 0) { /* it stands for an 802.1Q tag */
        note_vlan(walk, wire_u16(at + 2) & 0x0fff);
    }
    walk_ethertype(walk, wire_u16(at + 4));
}
