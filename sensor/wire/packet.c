#include "sensor/wire/packet.h"

#include <assert.h>
#include <stddef.h>

#include "base/attributes.h"
#include "sensor/wire/ethernet.h"
#include "sensor/wire/icmp.h"
#include "sensor/wire/ipv4.h"
#include "sensor/wire/ipv6.h"
#include "sensor/wire/link.h"
#include "sensor/wire/tcp.h"
#include "sensor/wire/udp.h"

static_assert(sizeof(struct packet) <= 192, "a packet keeps to three cache lines");
static_assert(offsetof(struct packet, tcp_seq) == 64, "what keys a flow is the first line");
/* The widest walk: VLAN tags, an IPv6 header and all extension headers of 2048 + 8 bytes. */
static_assert(ETHERNET_HEADER_BYTES + VLAN_TAGS_MAX * VLAN_TAG_BYTES + SNAP_HEADER_BYTES +
                      IPV6_HEADER_BYTES + IPV6_EXTENSIONS_MAX * 2056 <
                  UINT16_MAX,
              "header offsets fit 16 bits");

/* One walk: the cursor, where the frame began, and what the IP header declares behind itself. */
struct walk {
    struct cursor at;
    const struct frame *frame;
    struct packet *out;
    uint32_t declared_bytes; /* from `at` to the end of the IP packet */
};

static inline uint32_t walk_offset(const struct walk *walk)
{
    return (uint32_t)(walk->at.at - walk->frame->bytes);
}

static enum packet_verdict verdict_of(enum wire_status status)
{
    return status == WIRE_TRUNCATED ? PACKET_TRUNCATED : PACKET_MALFORMED;
}

/* Behind the IP header a short cursor means one of two: the capture was cut, or the packet itself
 * ends there. */
static enum packet_verdict transport_verdict(const struct walk *walk, enum wire_status status)
{
    return status == WIRE_TRUNCATED && walk->declared_bytes > cursor_left(&walk->at)
               ? PACKET_TRUNCATED
               : PACKET_MALFORMED;
}

static inline void take_payload(struct walk *walk, uint32_t declared_bytes)
{
    struct packet *out = walk->out;

    out->payload_offset = walk_offset(walk);
    out->payload_bytes = declared_bytes;
    out->payload_captured_bytes = (uint32_t)cursor_left(&walk->at);
    if (out->payload_captured_bytes < declared_bytes) {
        out->facts |= PACKET_IS_CUT;
    }
}

/* The ports stand first in TCP, UDP, SCTP, DCCP and UDP-Lite, so a cut header may still show them.
 */
static bool peek_ports(struct walk *walk)
{
    struct cursor c = walk->at;
    const uint8_t *at = cursor_take(&c, 4);

    if (at == NULL) {
        return false;
    }
    walk->out->source_port = wire_u16(at);
    walk->out->target_port = wire_u16(at + 2);
    walk->out->facts |= PACKET_HAS_PORTS;
    return true;
}

static inline enum packet_verdict walk_tcp(struct walk *walk)
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
        if (tcp.header == NULL) {
            (void)peek_ports(walk);
        }
        take_payload(walk, 0);
        out->payload_captured_bytes = 0;
        return transport_verdict(walk, status);
    }
    if (tcp.header_bytes > TCP_HEADER_BYTES) {
        struct tcp_options options;

        tcp_options_parse(tcp.header + TCP_HEADER_BYTES, tcp.header_bytes - TCP_HEADER_BYTES,
                          &options);
        out->tcp_options = options.present;
        out->tcp_mss = options.mss;
        out->tcp_window_scale = options.window_scale;
        out->tcp_timestamp_value = options.timestamp_value;
        out->tcp_timestamp_echo = options.timestamp_echo;
    }
    take_payload(walk, walk->declared_bytes - tcp.header_bytes);
    return PACKET_OK;
}

static inline enum packet_verdict walk_udp(struct walk *walk)
{
    struct udp udp;
    const enum wire_status status = udp_parse(&walk->at, &udp);

    if (UNLIKELY(status != WIRE_OK)) {
        (void)peek_ports(walk);
        return transport_verdict(walk, status);
    }
    walk->out->source_port = udp.source_port;
    walk->out->target_port = udp.target_port;
    walk->out->facts |= PACKET_HAS_PORTS;

    uint32_t payload_bytes = walk->declared_bytes - UDP_HEADER_BYTES;
    if (udp.datagram_bytes != 0 && udp.datagram_bytes < payload_bytes + UDP_HEADER_BYTES) {
        payload_bytes = udp.datagram_bytes - (uint32_t)UDP_HEADER_BYTES;
    }
    take_payload(walk, payload_bytes);
    return PACKET_OK;
}

static enum packet_verdict walk_icmp(struct walk *walk)
{
    struct icmp icmp;
    const uint8_t *start = walk->at.at;
    const enum wire_status status = icmp_parse(&walk->at, walk->out->ip_version, &icmp);

    if (status != WIRE_OK) {
        return transport_verdict(walk, status);
    }
    walk->out->icmp_type = icmp.type;
    walk->out->icmp_code = icmp.code;
    walk->out->icmp_id = icmp.id;
    walk->out->facts |= PACKET_HAS_ICMP;

    const uint32_t header_bytes = (uint32_t)(walk->at.at - start);
    take_payload(walk, walk->declared_bytes - header_bytes);
    return PACKET_OK;
}

static enum packet_verdict walk_other(struct walk *walk)
{
    take_payload(walk, walk->declared_bytes);
    switch (walk->out->protocol) {
    case IP_PROTOCOL_SCTP:
    case IP_PROTOCOL_UDPLITE:
    case IP_PROTOCOL_DCCP:
        return peek_ports(walk) ? PACKET_OK : transport_verdict(walk, WIRE_TRUNCATED);
    default:
        return PACKET_OK;
    }
}

static inline enum packet_verdict walk_transport(struct walk *walk)
{
    struct packet *out = walk->out;

    out->transport_offset = (uint16_t)walk_offset(walk);
    if (UNLIKELY((out->facts & PACKET_IS_LATER_FRAGMENT) != 0)) {
        take_payload(walk, walk->declared_bytes);
        return PACKET_OK;
    }
    switch (out->protocol) {
    case IP_PROTOCOL_TCP:
        return walk_tcp(walk);
    case IP_PROTOCOL_UDP:
        return walk_udp(walk);
    case IP_PROTOCOL_ICMP:
    case IP_PROTOCOL_ICMPV6:
        return walk_icmp(walk);
    default:
        return walk_other(walk);
    }
}

static void take_fragment(struct packet *out, uint32_t offset_bytes, bool has_more, uint32_t id)
{
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

/* Steps over IPv6 extension headers, and over AH in either version. */
static enum packet_verdict walk_extensions(struct walk *walk)
{
    struct packet *out = walk->out;

    for (unsigned count = 0; ipv6_is_extension(out->protocol); count++) {
        struct ipv6_extension extension;

        if (count == IPV6_EXTENSIONS_MAX) {
            return PACKET_MALFORMED;
        }
        const enum wire_status status = ipv6_extension_parse(&walk->at, out->protocol, &extension);
        if (status != WIRE_OK) {
            out->transport_offset = (uint16_t)walk_offset(walk);
            return transport_verdict(walk, status);
        }
        walk->declared_bytes -= extension.header_bytes;
        if (out->protocol == IP_PROTOCOL_FRAGMENT) {
            take_fragment(out, extension.fragment_offset_bytes, extension.has_more_fragments,
                          extension.fragment_id);
        } else {
            out->facts |= PACKET_HAS_IP_OPTIONS;
        }
        out->protocol = extension.next_header;
        if ((out->facts & PACKET_IS_LATER_FRAGMENT) != 0) {
            break; /* what follows is the middle of something */
        }
    }
    return walk_transport(walk);
}

/* What the IP packet holds from here on when its length field says 0: all that the frame has. */
static uint32_t unknown_length(struct walk *walk)
{
    const uint32_t captured_bytes = (uint32_t)cursor_left(&walk->at);
    const uint32_t offset = walk_offset(walk);

    walk->out->facts |= PACKET_LENGTH_UNKNOWN;
    return walk->frame->wire_bytes > offset + captured_bytes ? walk->frame->wire_bytes - offset
                                                             : captured_bytes;
}

static void take_checksum(const struct ipv4 *ip, struct packet *out)
{
    out->facts |= PACKET_CHECKSUM_SEEN;
    if (ip->checksum != 0 && !ipv4_checksum_is_right(ip->header, ip->header_bytes)) {
        out->facts |= PACKET_CHECKSUM_BAD;
    }
}

static inline enum packet_verdict walk_ipv4(struct walk *walk, unsigned options)
{
    struct packet *out = walk->out;
    struct ipv4 ip;
    const uint32_t network_offset = walk_offset(walk);
    const enum wire_status status = ipv4_parse(&walk->at, &ip);

    if (UNLIKELY(ip.header == NULL || status == WIRE_MALFORMED)) {
        return verdict_of(status); /* lengths that lie: its addresses are not believed either */
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
    if (UNLIKELY(status != WIRE_OK)) {
        return verdict_of(status);
    }
    walk->declared_bytes =
        LIKELY(ip.total_bytes != 0) ? ip.total_bytes - ip.header_bytes : unknown_length(walk);
    if (ip.header_bytes > IPV4_HEADER_BYTES) {
        out->facts |= PACKET_HAS_IP_OPTIONS;
    }
    if ((options & PACKET_CHECKSUMS) != 0) {
        take_checksum(&ip, out);
    }
    if (UNLIKELY(ip.fragment_offset_bytes > 0 || ip.has_more_fragments)) {
        take_fragment(out, ip.fragment_offset_bytes, ip.has_more_fragments, ip.id);
    }
    if (UNLIKELY(ip.protocol == IP_PROTOCOL_AH) && ip.fragment_offset_bytes == 0) {
        return walk_extensions(walk);
    }
    return walk_transport(walk);
}

static inline enum packet_verdict walk_ipv6(struct walk *walk)
{
    struct packet *out = walk->out;
    struct ipv6 ip;
    const uint32_t network_offset = walk_offset(walk);
    const enum wire_status status = ipv6_parse(&walk->at, &ip);

    if (UNLIKELY(status != WIRE_OK)) {
        return verdict_of(status);
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
    if (LIKELY(ip.payload_bytes != 0)) {
        walk->declared_bytes = ip.payload_bytes;
        out->ip_bytes = ip.payload_bytes + IPV6_HEADER_BYTES;
    } else if (ip.next_header == IP_PROTOCOL_NONE) { /* no payload at all: the rest is padding */
        cursor_limit(&walk->at, 0);
        out->ip_bytes = IPV6_HEADER_BYTES;
    } else {
        walk->declared_bytes = unknown_length(walk);
    }
    if (ipv6_is_extension(ip.next_header)) {
        return walk_extensions(walk);
    }
    return walk_transport(walk);
}

static enum packet_verdict walk_vlans(struct walk *walk)
{
    struct packet *out = walk->out;

    while (ethertype_is_vlan(out->ethertype)) {
        struct vlan_tag tag;

        if (out->vlan_count == VLAN_TAGS_MAX) {
            return PACKET_MALFORMED;
        }
        if (vlan_parse(&walk->at, &tag) != WIRE_OK) {
            return PACKET_TRUNCATED;
        }
        out->vlan_ids[out->vlan_count == 0 ? 0 : 1] = tag.id;
        out->vlan_count++;
        out->ethertype = tag.ethertype;
    }
    return PACKET_OK;
}

static inline enum packet_verdict walk_ethertype(struct walk *walk, unsigned options)
{
    struct packet *out = walk->out;

    if (UNLIKELY(ethertype_is_vlan(out->ethertype))) {
        const enum packet_verdict verdict = walk_vlans(walk);

        if (verdict != PACKET_OK) {
            return verdict;
        }
    }
    if (UNLIKELY(out->ethertype <= ETHERTYPE_LENGTH_MAX && (out->facts & PACKET_HAS_MACS) != 0)) {
        out->ethertype = snap_parse(&walk->at);
    }
    switch (out->ethertype) {
    case ETHERTYPE_IPV4:
        return walk_ipv4(walk, options);
    case ETHERTYPE_IPV6:
        return walk_ipv6(walk);
    default:
        return PACKET_NOT_IP;
    }
}

static inline enum packet_verdict walk_ethernet(struct walk *walk, unsigned options)
{
    struct ethernet ethernet;

    if (UNLIKELY(ethernet_parse(&walk->at, &ethernet) != WIRE_OK)) {
        return PACKET_TRUNCATED;
    }
    walk->out->ethertype = ethernet.ethertype;
    walk->out->facts |= PACKET_HAS_MACS;
    return walk_ethertype(walk, options);
}

static enum packet_verdict walk_sll(struct walk *walk, unsigned options)
{
    struct sll sll;
    const enum wire_status status = walk->frame->link_type == LINK_SLL
                                        ? sll_parse(&walk->at, &sll)
                                        : sll2_parse(&walk->at, &sll);

    if (status != WIRE_OK) {
        return PACKET_TRUNCATED;
    }
    walk->out->ethertype = sll.ethertype;
    if (sll.address_bytes == 6) {
        walk->out->mac_offset = sll.address_offset;
        walk->out->facts |= PACKET_HAS_SLL_SOURCE;
    }
    return walk_ethertype(walk, options);
}

static enum packet_verdict walk_null(struct walk *walk, unsigned options)
{
    uint32_t family = 0;

    if (null_link_parse(&walk->at, &family, &walk->out->ethertype) != WIRE_OK) {
        return PACKET_TRUNCATED;
    }
    return walk_ethertype(walk, options);
}

static enum packet_verdict walk_raw(struct walk *walk, unsigned options)
{
    if (cursor_left(&walk->at) == 0) {
        return PACKET_TRUNCATED;
    }
    switch (*walk->at.at >> 4) {
    case 4:
        return walk_ipv4(walk, options);
    case 6:
        return walk_ipv6(walk);
    default:
        return PACKET_MALFORMED;
    }
}

static enum packet_verdict walk_link(struct walk *walk, unsigned options)
{
    switch (walk->frame->link_type) {
    case LINK_ETHERNET:
        return walk_ethernet(walk, options);
    case LINK_SLL:
    case LINK_SLL2:
        return walk_sll(walk, options);
    case LINK_NULL:
    case LINK_LOOP:
        return walk_null(walk, options);
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_IPV4:
    case LINK_IPV6:
        return walk_raw(walk, options);
    default:
        return PACKET_UNSUPPORTED_LINK;
    }
}

/* A line at a time: GCC makes `rep stos` of the whole, which costs more than the walk (measured: 10
 * ns). */
static inline void clear(struct packet *out)
{
    uint8_t *bytes = (uint8_t *)out;

    memset(bytes, 0, 64);
    memset(bytes + 64, 0, 64);
    memset(bytes + 128, 0, sizeof(*out) - 128);
}

enum packet_verdict packet_decode(const struct frame *frame, unsigned options, struct packet *out)
{
    struct walk walk = {
        .at = cursor_over(frame->bytes, frame->captured_bytes), .frame = frame, .out = out};

    assert(frame->bytes != NULL || frame->captured_bytes == 0);
    clear(out);
    out->time_ns = frame->time_ns;
    out->wire_bytes = frame->wire_bytes;
    out->captured_bytes = frame->captured_bytes;
    out->interface = frame->interface;
    out->link_type = frame->link_type;
    const enum packet_verdict verdict = LIKELY(frame->link_type == LINK_ETHERNET)
                                            ? walk_ethernet(&walk, options)
                                            : walk_link(&walk, options);
    out->verdict = (uint8_t)verdict;
    return verdict;
}

const char *packet_verdict_name(enum packet_verdict verdict)
{
    static const char *const names[PACKET_VERDICT_COUNT] = {
        [PACKET_OK] = "ok",
        [PACKET_TRUNCATED] = "truncated",
        [PACKET_MALFORMED] = "malformed",
        [PACKET_NOT_IP] = "not_ip",
        [PACKET_UNSUPPORTED_LINK] = "unsupported_link",
    };

    assert(verdict < PACKET_VERDICT_COUNT);
    return names[verdict];
}

const char *ip_protocol_name(uint8_t protocol)
{
    static const char *const names[256] = {
        [1] = "ICMP",    [2] = "IGMP",     [4] = "IPv4",    [6] = "TCP",       [8] = "EGP",
        [17] = "UDP",    [33] = "DCCP",    [41] = "IPv6",   [46] = "RSVP",     [47] = "GRE",
        [50] = "ESP",    [51] = "AH",      [58] = "ICMPv6", [88] = "EIGRP",    [89] = "OSPF",
        [94] = "IPIP",   [97] = "EtherIP", [103] = "PIM",   [108] = "IPComp",  [112] = "VRRP",
        [115] = "L2TP",  [132] = "SCTP",   [135] = "MIPv6", [136] = "UDPLite", [137] = "MPLS",
        [59] = "NoNext",
    };

    return names[protocol];
}
