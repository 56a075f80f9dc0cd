/* IPv4 and IPv6 headers of the walk, inline since they are on the way of every packet.
 *
 * Depends on: walk_transport.h, ipv4.h, ipv6.h. Private to wire. Pure. */
#pragma once

#include "sensor/wire/ipv4.h"
#include "sensor/wire/ipv6.h"
#include "sensor/wire/walk_transport.h"

/* walk_ip.c */
void walk_extensions(struct walk *walk); /* IPv6 extension headers, and AH in either version */
void walk_checksum(const struct ipv4 *ip, struct packet *out);
void walk_fragment(struct packet *out, uint32_t offset_bytes, bool has_more, uint32_t id);
void walk_broken_ipv6(struct walk *walk);
void walk_broken_ipv4(struct walk *walk, const struct ipv4 *ip, enum wire_status status);

static inline void walk_ipv4(struct walk *walk)
{
    struct packet *out = walk->out;
    struct ipv4 ip;
    const uint32_t network_offset = walk_offset(walk);
    const enum wire_status status = ipv4_parse(&walk->at, &ip);

    if (UNLIKELY(ip.header == NULL || status == WIRE_MALFORMED)) {
        walk_broken_ipv4(walk, &ip, status); /* lengths that lie: nor are its addresses believed */
        return;
    }
    if (UNLIKELY(walk->tunnel_count > 0)) {
        walk_descend(walk);
    }
    memcpy(out->source_ip, ip.source, 4);
    memcpy(out->target_ip, ip.target, 4);
    out->ip_version = 4;
    out->protocol = ip.protocol;
    out->ip_bytes = ip.total_bytes;
    out->ttl = ip.ttl;
    out->dscp = ip.traffic_class >> 2;
    out->ecn = ip.traffic_class & 3;
    out->ip_id = ip.id;
    out->network_offset = (uint16_t)network_offset;
    if (UNLIKELY(walk->tree != NULL)) {
        tree_ipv4(walk->tree, &ip, status);
    }
    if (UNLIKELY(status != WIRE_OK)) {
        walk_fault(walk, LAYER_IPV4, DECODE_TRUNCATED);
        return;
    }
    if (LIKELY(ip.total_bytes != 0)) {
        walk->missing_bytes = ip.total_bytes - ip.header_bytes - walk_left(walk);
    } else { /* segmentation offload: all that the frame has */
        out->facts |= PACKET_LENGTH_UNKNOWN;
        out->ip_bytes = ip.header_bytes + walk_declared(walk);
    }
    if (ip.header_bytes > IPV4_HEADER_BYTES) {
        out->facts |= PACKET_HAS_IP_OPTIONS;
    }
    if ((walk->options & PACKET_CHECKSUMS) != 0) {
        walk_checksum(&ip, out);
    }
    if (UNLIKELY(ip.fragment_offset_bytes > 0 || ip.has_more_fragments)) {
        walk_fragment(out, ip.fragment_offset_bytes, ip.has_more_fragments, ip.id);
    }
    if (UNLIKELY(ip.protocol == IP_PROTOCOL_AH) && ip.fragment_offset_bytes == 0) {
        walk_extensions(walk);
        return;
    }
    walk_transport(walk);
}

static inline void walk_ipv6(struct walk *walk)
{
    struct packet *out = walk->out;
    struct ipv6 ip;
    const uint32_t network_offset = walk_offset(walk);
    const enum wire_status status = ipv6_parse(&walk->at, &ip);

    if (UNLIKELY(status != WIRE_OK)) {
        if (status == WIRE_TRUNCATED) {
            walk_short(walk, LAYER_IPV6);
        } else {
            walk_broken_ipv6(walk);
        }
        return;
    }
    if (UNLIKELY(walk->tunnel_count > 0)) {
        walk_descend(walk);
    }
    memcpy(out->source_ip, ip.source, 16);
    memcpy(out->target_ip, ip.target, 16);
    out->ip_version = 6;
    out->protocol = ip.next_header;
    out->ttl = ip.hop_limit;
    out->dscp = ip.traffic_class >> 2;
    out->ecn = ip.traffic_class & 3;
    out->flow_label = ip.flow_label;
    out->network_offset = (uint16_t)network_offset;
    if (UNLIKELY(walk->tree != NULL)) {
        tree_ipv6(walk->tree, &ip);
    }
    if (LIKELY(ip.payload_bytes != 0)) {
        walk->missing_bytes = ip.payload_bytes - walk_left(walk);
        out->ip_bytes = ip.payload_bytes + IPV6_HEADER_BYTES;
    } else if (ip.next_header == IP_PROTOCOL_NONE) { /* no payload at all: the rest is padding */
        walk_limit(walk, 0);
        out->ip_bytes = IPV6_HEADER_BYTES;
    } else {
        out->facts |= PACKET_LENGTH_UNKNOWN;
        out->ip_bytes = IPV6_HEADER_BYTES + walk_declared(walk);
    }
    if (ipv6_is_extension(ip.next_header)) {
        walk_extensions(walk);
        return;
    }
    walk_transport(walk);
}
