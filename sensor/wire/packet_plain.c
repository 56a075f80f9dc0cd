#include "sensor/wire/packet_plain.h"

#include "sensor/wire/cursor.h"
#include "sensor/wire/ethernet.h"
#include "sensor/wire/ipv4.h"
#include "sensor/wire/ipv6.h"
#include "sensor/wire/tcp.h"
#include "sensor/wire/udp.h"

#define IP_AT            ETHERNET_HEADER_BYTES
#define IS_FRAGMENT_MASK 0x3fff /* more fragments, and the offset */

/* What the IP header says of what it carries. */
struct carried {
    uint32_t at;    /* offset in the frame */
    uint32_t bytes; /* all of them captured */
    uint8_t protocol;
};

static ALWAYS_INLINE bool ipv4_carries(const struct frame *frame, struct carried *carried)
{
    const uint8_t *ip = frame->bytes + IP_AT;
    const uint32_t total_bytes = wire_u16(ip + 2);

    *carried = (struct carried){.at = IP_AT + IPV4_HEADER_BYTES,
                                .bytes = total_bytes - IPV4_HEADER_BYTES,
                                .protocol = ip[9]};
    return ip[0] == 0x45 && total_bytes >= IPV4_HEADER_BYTES &&
           IP_AT + total_bytes <= frame->captured_bytes &&
           (wire_u16(ip + 6) & IS_FRAGMENT_MASK) == 0;
}

static ALWAYS_INLINE bool ipv6_carries(const struct frame *frame, struct carried *carried)
{
    const uint8_t *ip = frame->bytes + IP_AT;

    *carried = (struct carried){
        .at = IP_AT + IPV6_HEADER_BYTES, .bytes = wire_u16(ip + 4), .protocol = ip[6]};
    return ip[0] >> 4 == 6 && carried->at + carried->bytes <= frame->captured_bytes;
}

/* Header bytes of the transport; 0: not plain. `bytes` of `carried` shrink to what UDP says. */
static ALWAYS_INLINE uint32_t transport_header(const struct packet_rules *rules,
                                               const struct frame *frame, struct carried *carried)
{
    const uint8_t *at = frame->bytes + carried->at;

    if (carried->protocol == IP_PROTOCOL_TCP) {
        if (carried->bytes < TCP_HEADER_BYTES) {
            return 0;
        }
        const uint32_t header_bytes = (at[12] >> 4) * 4U;
        return header_bytes >= TCP_HEADER_BYTES && header_bytes <= carried->bytes ? header_bytes
                                                                                  : 0;
    }
    if (carried->protocol != IP_PROTOCOL_UDP || carried->bytes < UDP_HEADER_BYTES) {
        return 0;
    }
    const uint32_t datagram_bytes = wire_u16(at + 4);
    if (datagram_bytes < UDP_HEADER_BYTES || datagram_bytes > carried->bytes ||
        packet_rules_may_have(rules, wire_u16(at)) ||
        packet_rules_may_have(rules, wire_u16(at + 2))) {
        return 0;
    }
    carried->bytes = datagram_bytes;
    return UDP_HEADER_BYTES;
}

/* The facts that the header's sum adds. */
static ALWAYS_INLINE unsigned checksum_facts(const uint8_t *ip)
{
    if (LIKELY(ipv4_plain_checksum_is_right(ip) || wire_u16(ip + 10) == 0)) {
        return PACKET_CHECKSUM_SEEN;
    }
    return PACKET_CHECKSUM_SEEN | PACKET_CHECKSUM_BAD;
}

static ALWAYS_INLINE void read_ipv4(const uint8_t *ip, struct packet *out)
{
    memcpy(out->source_ip, ip + 12, 4);
    memcpy(out->target_ip, ip + 16, 4);
    out->ip_version = 4;
    out->ip_bytes = wire_u16(ip + 2);
    out->ttl = ip[8];
    out->dscp = ip[1] >> 2;
    out->ecn = ip[1] & 3;
    out->ip_id = wire_u16(ip + 4);
    out->ethertype = ETHERTYPE_IPV4;
}

static ALWAYS_INLINE void read_ipv6(const uint8_t *ip, struct packet *out)
{
    const uint32_t first = wire_u32(ip);
    const uint8_t traffic_class = (uint8_t)(first >> 20);

    memcpy(out->source_ip, ip + 8, 16);
    memcpy(out->target_ip, ip + 24, 16);
    out->ip_version = 6;
    out->ip_bytes = wire_u16(ip + 4) + (uint32_t)IPV6_HEADER_BYTES;
    out->ttl = ip[7];
    out->dscp = traffic_class >> 2;
    out->ecn = traffic_class & 3;
    out->flow_label = first & 0xfffff;
    out->ethertype = ETHERTYPE_IPV6;
}

static ALWAYS_INLINE void read_tcp(const uint8_t *at, uint32_t header_bytes, struct packet *out)
{
    out->tcp_seq = wire_u32(at + 4);
    out->tcp_ack = wire_u32(at + 8);
    out->tcp_header_bytes = (uint8_t)header_bytes;
    out->tcp_flags = at[13];
    out->tcp_window = wire_u16(at + 14);
    if (header_bytes > TCP_HEADER_BYTES) {
        tcp_take_options(at + TCP_HEADER_BYTES, header_bytes - TCP_HEADER_BYTES, out);
    }
}

bool packet_plain(const struct packet_rules *rules, const struct frame *frame, unsigned options,
                  struct packet *out)
{
    struct carried carried;

    if (frame->link_type != LINK_ETHERNET ||
        frame->captured_bytes < IP_AT + IPV4_HEADER_BYTES + UDP_HEADER_BYTES) {
        return false;
    }
    const uint8_t *ip = frame->bytes + IP_AT;
    const uint16_t ethertype = wire_u16(ip - 2);
    const bool is_ipv4 = ethertype == ETHERTYPE_IPV4;
    if (!(is_ipv4 ? ipv4_carries(frame, &carried)
                  : ethertype == ETHERTYPE_IPV6 && ipv6_carries(frame, &carried))) {
        return false;
    }
    const uint32_t header_bytes = transport_header(rules, frame, &carried);
    if (header_bytes == 0) {
        return false;
    }
    const uint8_t *at = frame->bytes + carried.at;
    const bool is_tcp = carried.protocol == IP_PROTOCOL_TCP;
    unsigned facts = PACKET_HAS_MACS | PACKET_HAS_PORTS | (is_tcp ? PACKET_HAS_TCP : 0U);

    packet_begin(out, frame);
    static_assert(PACKET_OK == 0, "the verdict is there");
    if (is_ipv4) {
        read_ipv4(ip, out);
        facts |= (options & PACKET_CHECKSUMS) != 0 ? checksum_facts(ip) : 0;
    } else {
        read_ipv6(ip, out);
    }
    out->facts = (uint16_t)facts;
    out->protocol = carried.protocol;
    out->network_offset = IP_AT;
    out->source_port = wire_u16(at);
    out->target_port = wire_u16(at + 2);
    out->transport_offset = (uint16_t)carried.at;
    out->payload_offset = carried.at + header_bytes;
    out->payload_bytes = out->payload_captured_bytes = carried.bytes - header_bytes;
    if (is_tcp) {
        read_tcp(at, header_bytes, out);
    }
    return true;
}
