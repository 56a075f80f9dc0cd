/* The part of the walk behind an IP header, inline as far as most packets need it: TCP and UDP.
 *
 * Depends on: walk.h, tcp.h, udp.h. Private to wire. Pure. */
#pragma once

#include "sensor/wire/tcp.h"
#include "sensor/wire/udp.h"
#include "sensor/wire/walk.h"

/* The payload as far as the headers declare it; what is captured of it is the rest of the cursor.
 */
static inline void walk_take_payload(struct walk *walk)
{
    struct packet *out = walk->out;

    out->payload_offset = walk_offset(walk);
    out->payload_captured_bytes = walk_left(walk);
    out->payload_bytes = out->payload_captured_bytes + walk->missing_bytes;
    if (walk->missing_bytes > 0) {
        out->facts |= PACKET_IS_CUT;
    }
}

/* walk_transport.c: ICMP, the other protocols, what a cut header still shows, UDP's tunnels. */
void walk_icmp(struct walk *walk);
void walk_other(struct walk *walk);
void walk_later_fragment(struct walk *walk);
void walk_broken_tcp(struct walk *walk, const struct tcp *tcp, enum wire_status status);
void walk_broken_udp(struct walk *walk, enum wire_status status);
void walk_udp_tunnel(struct walk *walk);

static inline void walk_tcp(struct walk *walk)
{
    struct packet *out = walk->out;
    struct tcp tcp;
    const enum wire_status status = tcp_parse(&walk->at, &tcp);

    if (LIKELY(tcp.header != NULL)) {
        out->source_port = tcp.source_port;
        out->target_port = tcp.target_port;
        out->tcp_seq = tcp.seq;
        out->tcp_ack = tcp.ack;
        out->tcp_flags = tcp.flags;
        out->tcp_window = tcp.window;
        out->tcp_header_bytes = tcp.header_bytes;
        out->facts |= PACKET_HAS_PORTS | PACKET_HAS_TCP;
    }
    if (UNLIKELY(status != WIRE_OK)) {
        walk_broken_tcp(walk, &tcp, status);
        return;
    }
    if (tcp.header_bytes > TCP_HEADER_BYTES) {
        tcp_take_options(tcp.header + TCP_HEADER_BYTES, tcp.header_bytes - TCP_HEADER_BYTES, out);
    }
    if (UNLIKELY(walk->tree != NULL)) {
        tree_tcp(walk->tree, &tcp, status);
        walk->has_payload = true;
    }
    walk_take_payload(walk);
}

static inline void walk_udp(struct walk *walk)
{
    struct packet *out = walk->out;
    struct udp udp;
    const uint8_t *at = walk->at.at;
    const enum wire_status status = udp_parse(&walk->at, &udp);

    if (UNLIKELY(status != WIRE_OK)) {
        walk_broken_udp(walk, status);
        return;
    }
    out->source_port = udp.source_port;
    out->target_port = udp.target_port;
    out->facts |= PACKET_HAS_PORTS;
    if (LIKELY(udp.datagram_bytes != 0)) {
        walk_limit(walk, udp.datagram_bytes - (uint32_t)UDP_HEADER_BYTES);
    }
    walk_take_payload(walk);
    if (UNLIKELY(walk->tree != NULL)) {
        tree_udp(walk->tree, at, &udp);
        walk->has_payload = true;
    }
    if (UNLIKELY(packet_rules_may_have(walk->rules, udp.target_port) ||
                 packet_rules_may_have(walk->rules, udp.source_port))) {
        walk_udp_tunnel(walk);
    }
}

static inline void walk_transport(struct walk *walk)
{
    struct packet *out = walk->out;

    out->transport_offset = (uint16_t)walk_offset(walk);
    if (UNLIKELY((out->facts & PACKET_IS_LATER_FRAGMENT) != 0)) {
        walk_later_fragment(walk);
        return;
    }
    switch (out->protocol) {
    case IP_PROTOCOL_TCP:
        walk_tcp(walk);
        break;
    case IP_PROTOCOL_UDP:
        walk_udp(walk);
        break;
    case IP_PROTOCOL_ICMP:
    case IP_PROTOCOL_ICMPV6:
        walk_icmp(walk);
        break;
    default:
        walk_other(walk);
        break;
    }
}
