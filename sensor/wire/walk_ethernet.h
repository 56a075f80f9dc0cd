/* Ethernet of the walk, inline since it is on the way of nearly every packet.
 *
 * Depends on: walk_ip.h, ethernet.h. Private to wire. Pure. */
#pragma once

#include "sensor/wire/ethernet.h"
#include "sensor/wire/walk_ip.h"

static inline void walk_ethernet(struct walk *walk)
{
    struct packet *out = walk->out;
    const uint8_t *at = walk_take(walk, ETHERNET_HEADER_BYTES);

    if (UNLIKELY(at == NULL)) {
        walk_short(walk, LAYER_ETHERNET);
        return;
    }
    const uint16_t ethertype = wire_u16(at + 12);
    const uint16_t mac_offset = (uint16_t)(at - walk->frame->bytes);

    if (UNLIKELY(walk->tree != NULL)) {
        tree_ethernet(walk->tree, at);
    }
    if (UNLIKELY(walk->tunnel_count > 0)) {
        walk->mac_offset = mac_offset;
        walk_ethertype(walk, ethertype);
        return;
    }
    out->mac_offset = mac_offset;
    out->facts |= PACKET_HAS_MACS;
    if (LIKELY(ethertype == ETHERTYPE_IPV4)) {
        out->ethertype = ethertype;
        walk_ipv4(walk);
    } else if (LIKELY(ethertype == ETHERTYPE_IPV6)) {
        out->ethertype = ethertype;
        walk_ipv6(walk);
    } else {
        walk_ethertype(walk, ethertype);
    }
}
