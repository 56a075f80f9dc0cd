#include "sensor/wire/walk_ip.h"

#include <string.h>

#include "sensor/wire/ethernet.h"

void walk_checksum(const struct ipv4 *ip, struct packet *out)
{
    out->facts |= PACKET_CHECKSUM_SEEN;
    if (ip->checksum != 0 && !ipv4_checksum_is_right(ip->header, ip->header_bytes)) {
        out->facts |= PACKET_CHECKSUM_BAD;
    }
}

void walk_fragment(struct packet *out, uint32_t offset_bytes, bool has_more, uint32_t id)
{
    if ((out->facts & PACKET_OUTER_FRAGMENT) == 0) { /* else the header outside has told its own */
        out->fragment_tenant = out->tenant;
        memcpy(out->fragment_vlan_ids, out->vlan_ids, sizeof(out->fragment_vlan_ids));
    }
    out->facts |= PACKET_IS_FRAGMENT;
    if (offset_bytes > 0) {
        out->facts |= PACKET_IS_LATER_FRAGMENT;
    }
    if (has_more) {
        out->facts |= PACKET_HAS_MORE_FRAGMENTS;
    }
    out->fragment_offset_bytes = (uint16_t)offset_bytes;
    out->ip_id = id;
}

/* Linux since 6.10: the header of a cooked capture ("any") names what lies behind all tags, and a
 * tag that the interface did not take out stands before it. */
static bool is_behind_tag(const struct walk *walk, uint16_t ethertype, unsigned version)
{
    const uint16_t link = walk->frame->link_type;
    const uint8_t *at = walk->at.at;

    return (link == LINK_SLL || link == LINK_SLL2) && walk->tunnel_count == 0 &&
           walk_left(walk) > VLAN_TAG_BYTES && wire_u16(at + 2) == ethertype &&
           at[VLAN_TAG_BYTES] >> 4 == version;
}

void walk_broken_ipv6(struct walk *walk)
{
    if (is_behind_tag(walk, ETHERTYPE_IPV6, 6)) {
        walk->next = LAYER_VLAN;
    } else {
        walk_fault(walk, LAYER_IPV6, DECODE_MALFORMED);
    }
}

void walk_broken_ipv4(struct walk *walk, const struct ipv4 *ip, enum wire_status status)
{
    if (is_behind_tag(walk, ETHERTYPE_IPV4, 4)) {
        walk->next = LAYER_VLAN;
        return;
    }
    if (walk_left(walk) >= IPV6_HEADER_BYTES && *walk->at.at >> 4 == 6) {
        walk->next = LAYER_IPV6; /* the number before it was wrong, the header knows better */
        return;
    }
    if (status == WIRE_TRUNCATED) {
        walk_short(walk, LAYER_IPV4);
        return;
    }
    if (walk->tree != NULL && ip->header != NULL) {
        tree_ipv4(walk->tree, ip, status);
    }
    walk_fault(walk, LAYER_IPV4, DECODE_MALFORMED);
}

void walk_extensions(struct walk *walk)
{
    struct packet *out = walk->out;

    for (unsigned count = 0; ipv6_is_extension(out->protocol); count++) {
        struct ipv6_extension extension;
        const uint8_t *at = walk->at.at;

        if (count == IPV6_EXTENSIONS_MAX) {
            walk_fault(walk, LAYER_EXTENSION, DECODE_TOO_DEEP);
            return;
        }
        const enum wire_status status = ipv6_extension_parse(&walk->at, out->protocol, &extension);
        if (status != WIRE_OK) {
            out->transport_offset = (uint16_t)walk_offset(walk);
            walk_fault(walk, LAYER_EXTENSION,
                       status == WIRE_TRUNCATED && walk->missing_bytes > 0 ? DECODE_TRUNCATED
                                                                           : DECODE_MALFORMED);
            return;
        }
        if (walk->tree != NULL) {
            tree_extension(walk->tree, at, &extension);
        }
        if (out->protocol == IP_PROTOCOL_FRAGMENT) {
            walk_fragment(out, extension.fragment_offset_bytes, extension.has_more_fragments,
                          extension.fragment_id);
        } else {
            out->facts |= PACKET_HAS_IP_OPTIONS;
        }
        out->protocol = extension.next_header;
        if ((out->facts & PACKET_IS_LATER_FRAGMENT) != 0) {
            break; /* what follows is the middle of something */
        }
    }
    walk_transport(walk);
}

void walk_ip(struct walk *walk)
{
    if (walk_left(walk) == 0) {
        walk_short(walk, walk->layer);
        return;
    }
    switch (*walk->at.at >> 4) {
    case 4:
        walk->next = LAYER_IPV4;
        break;
    case 6:
        walk->next = LAYER_IPV6;
        break;
    default:
        walk_fault(walk, walk->layer, DECODE_MALFORMED);
        break;
    }
}

bool walk_is_ip(const struct walk *walk)
{
    const uint8_t *at = walk->at.at;
    const uint32_t declared = walk_bound(walk);

    if (walk_left(walk) < IPV4_HEADER_BYTES) {
        return false;
    }
    if (at[0] >> 4 == 4) {
        const uint32_t header_bytes = (at[0] & 15U) * 4U;
        const uint32_t total_bytes = wire_u16(at + 2);

        return header_bytes >= IPV4_HEADER_BYTES &&
               (total_bytes == 0 || total_bytes >= header_bytes) && total_bytes <= declared;
    }
    return at[0] >> 4 == 6 && walk_left(walk) >= IPV6_HEADER_BYTES &&
           wire_u16(at + 4) + (uint32_t)IPV6_HEADER_BYTES <= declared;
}
