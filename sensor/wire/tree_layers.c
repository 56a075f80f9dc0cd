#include "sensor/wire/ethernet.h"
#include "sensor/wire/icmp.h"
#include "sensor/wire/ipv4.h"
#include "sensor/wire/ipv6.h"
#include "sensor/wire/tcp.h"
#include "sensor/wire/tree_writer.h"
#include "sensor/wire/udp.h"

/* The fields of the headers that nearly every packet has. They stand here, and not in the walk, so
 * that its inline part stays small. */

static void protocol_field(struct tree_writer *writer, const char *name, const uint8_t *at,
                           uint8_t protocol)
{
    const char *known = ip_protocol_name(protocol);

    tree_field(writer, name, at, 1, "%u%s%s", protocol, known != NULL ? " " : "",
               known != NULL ? known : "");
}

void tree_ethernet(struct tree_writer *writer, const uint8_t *at)
{
    tree_layer(writer, "Ethernet", at, ETHERNET_HEADER_BYTES);
    tree_mac(writer, "target", at);
    tree_mac(writer, "source", at + 6);
    tree_field(writer, "ethertype", at + 12, 2, "0x%04x", wire_u16(at + 12));
}

void tree_ipv4(struct tree_writer *writer, const struct ipv4 *ip, enum wire_status status)
{
    const uint8_t *at = ip->header;

    tree_layer(writer, "IPv4", at, status == WIRE_OK ? ip->header_bytes : IPV4_HEADER_BYTES);
    tree_field(writer, "header_bytes", at, 1, "%u", ip->header_bytes);
    tree_field(writer, "dscp", at + 1, 1, "%u", ip->traffic_class >> 2);
    tree_field(writer, "ecn", at + 1, 1, "%u", ip->traffic_class & 3);
    tree_field(writer, "total_length", at + 2, 2, "%u", ip->total_bytes);
    tree_field(writer, "id", at + 4, 2, "0x%04x", ip->id);
    tree_field(writer, "flags", at + 6, 1, "%s",
               ip->is_dont_fragment && ip->has_more_fragments ? "DF MF"
               : ip->is_dont_fragment                         ? "DF"
               : ip->has_more_fragments                       ? "MF"
                                                              : "none");
    tree_field(writer, "fragment_offset", at + 6, 2, "%u", ip->fragment_offset_bytes);
    tree_field(writer, "ttl", at + 8, 1, "%u", ip->ttl);
    protocol_field(writer, "protocol", at + 9, ip->protocol);
    if (status == WIRE_OK) {
        const bool is_right = ipv4_checksum_is_right(at, ip->header_bytes);

        tree_field(writer, "checksum", at + 10, 2, "0x%04x %s", ip->checksum,
                   is_right            ? "right"
                   : ip->checksum == 0 ? "not set"
                                       : "wrong");
    }
    tree_ip(writer, "source", ip->source, 4);
    tree_ip(writer, "target", ip->target, 4);
    if (status == WIRE_OK && ip->header_bytes > IPV4_HEADER_BYTES) {
        tree_hex(writer, "options", at + IPV4_HEADER_BYTES, ip->header_bytes - IPV4_HEADER_BYTES);
    }
}

void tree_ipv6(struct tree_writer *writer, const struct ipv6 *ip)
{
    const uint8_t *at = ip->header;

    tree_layer(writer, "IPv6", at, IPV6_HEADER_BYTES);
    tree_field(writer, "dscp", at, 2, "%u", ip->traffic_class >> 2);
    tree_field(writer, "ecn", at + 1, 1, "%u", ip->traffic_class & 3);
    tree_field(writer, "flow_label", at + 1, 3, "0x%05x", ip->flow_label);
    tree_field(writer, "payload_length", at + 4, 2, "%u", ip->payload_bytes);
    protocol_field(writer, "next_header", at + 6, ip->next_header);
    tree_field(writer, "hop_limit", at + 7, 1, "%u", ip->hop_limit);
    tree_ip(writer, "source", ip->source, 6);
    tree_ip(writer, "target", ip->target, 6);
}

static const char *extension_name(uint8_t type)
{
    switch (type) {
    case IP_PROTOCOL_HOP_BY_HOP:
        return "IPv6 hop-by-hop options";
    case IP_PROTOCOL_ROUTING:
        return "IPv6 routing";
    case IP_PROTOCOL_FRAGMENT:
        return "IPv6 fragment";
    case IP_PROTOCOL_AH:
        return "AH";
    case IP_PROTOCOL_DESTINATION:
        return "IPv6 destination options";
    case IP_PROTOCOL_MOBILITY:
        return "IPv6 mobility";
    default:
        return "IPv6 extension";
    }
}

void tree_extension(struct tree_writer *writer, const uint8_t *at,
                    const struct ipv6_extension *extension)
{
    tree_layer(writer, extension_name(extension->type), at, extension->header_bytes);
    protocol_field(writer, "next_header", at, extension->next_header);
    if (extension->type == IP_PROTOCOL_FRAGMENT) {
        tree_field(writer, "fragment_offset", at + 2, 2, "%u", extension->fragment_offset_bytes);
        tree_field(writer, "more_fragments", at + 3, 1, "%s",
                   extension->has_more_fragments ? "yes" : "no");
        tree_field(writer, "id", at + 4, 4, "0x%08x", extension->fragment_id);
    }
}

static void tree_tcp_options(struct tree_writer *writer, const struct tcp *tcp)
{
    struct tcp_options options;
    const uint8_t *at = tcp->header + TCP_HEADER_BYTES;
    const uint32_t length = tcp->header_bytes - (uint32_t)TCP_HEADER_BYTES;

    tcp_options_parse(at, length, &options);
    if (options.present & TCP_OPTION_MSS) {
        tree_field(writer, "mss", at, length, "%u", options.mss);
    }
    if (options.present & TCP_OPTION_WINDOW_SCALE) {
        tree_field(writer, "window_scale", at, length, "%u", options.window_scale);
    }
    if (options.present & TCP_OPTION_SACK_PERMITTED) {
        tree_field(writer, "sack_permitted", at, length, "yes");
    }
    if (options.present & TCP_OPTION_SACK) {
        tree_field(writer, "sack", at, length, "yes");
    }
    if (options.present & TCP_OPTION_TIMESTAMPS) {
        tree_field(writer, "timestamps", at, length, "value %u echo %u", options.timestamp_value,
                   options.timestamp_echo);
    }
    if (options.present & TCP_OPTION_BROKEN) {
        tree_field(writer, "options_fault", at, length, "contradict their lengths");
    }
}

void tree_tcp(struct tree_writer *writer, const struct tcp *tcp, enum wire_status status)
{
    const uint8_t *at = tcp->header;
    const uint8_t flags = tcp->flags;

    tree_layer(writer, "TCP", at, status == WIRE_OK ? tcp->header_bytes : TCP_HEADER_BYTES);
    tree_field(writer, "source_port", at, 2, "%u", tcp->source_port);
    tree_field(writer, "target_port", at + 2, 2, "%u", tcp->target_port);
    tree_field(writer, "seq", at + 4, 4, "%u", tcp->seq);
    tree_field(writer, "ack", at + 8, 4, "%u", tcp->ack);
    tree_field(writer, "header_bytes", at + 12, 1, "%u", tcp->header_bytes);
    tree_field(writer, "flags", at + 13, 1, "0x%02x%s%s%s%s%s%s%s%s", flags,
               flags & TCP_SYN ? " SYN" : "", flags & TCP_FIN ? " FIN" : "",
               flags & TCP_RST ? " RST" : "", flags & TCP_PSH ? " PSH" : "",
               flags & TCP_ACK ? " ACK" : "", flags & TCP_URG ? " URG" : "",
               flags & TCP_ECE ? " ECE" : "", flags & TCP_CWR ? " CWR" : "");
    tree_field(writer, "window", at + 14, 2, "%u", tcp->window);
    tree_field(writer, "checksum", at + 16, 2, "0x%04x", wire_u16(at + 16));
    if (status == WIRE_OK && tcp->header_bytes > TCP_HEADER_BYTES) {
        tree_tcp_options(writer, tcp);
    }
}

void tree_udp(struct tree_writer *writer, const uint8_t *at, const struct udp *udp)
{
    tree_layer(writer, "UDP", at, UDP_HEADER_BYTES);
    tree_field(writer, "source_port", at, 2, "%u", udp->source_port);
    tree_field(writer, "target_port", at + 2, 2, "%u", udp->target_port);
    tree_field(writer, "length", at + 4, 2, "%u", udp->datagram_bytes);
    tree_field(writer, "checksum", at + 6, 2, "0x%04x", udp->checksum);
}

void tree_icmp(struct tree_writer *writer, const uint8_t *at, size_t header_bytes,
               uint8_t ip_version, const struct icmp *icmp)
{
    const char *known = icmp_type_name(ip_version, icmp->type);

    tree_layer(writer, ip_version == 6 ? "ICMPv6" : "ICMP", at, header_bytes);
    tree_field(writer, "type", at, 1, "%u%s%s", icmp->type, known != NULL ? " " : "",
               known != NULL ? known : "");
    tree_field(writer, "code", at + 1, 1, "%u", icmp->code);
    tree_field(writer, "checksum", at + 2, 2, "0x%04x", icmp->checksum);
    if (icmp->is_echo) {
        tree_field(writer, "id", at + 4, 2, "%u", icmp->id);
        tree_field(writer, "sequence", at + 6, 2, "%u", icmp->sequence);
    }
}

void tree_other(struct tree_writer *writer, const struct cursor *c, uint8_t protocol)
{
    const char *known = ip_protocol_name(protocol);
    const size_t left = cursor_left(c);

    tree_layer(writer, known != NULL ? known : "IP payload", c->at, left);
    tree_field(writer, "bytes", c->at, left, "%zu", left);
}

void tree_not_ip(struct tree_writer *writer, const struct cursor *c, uint16_t ethertype)
{
    static const struct {
        uint16_t ethertype;
        const char *name;
    } names[] = {{ETHERTYPE_ARP, "ARP"},
                 {ETHERTYPE_LLDP, "LLDP"},
                 {ETHERTYPE_PPPOE_DISCOVERY, "PPPoE discovery"}};
    const char *name = "Data";

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        name = names[i].ethertype == ethertype ? names[i].name : name;
    }
    tree_layer(writer, name, c->at, cursor_left(c));
}
