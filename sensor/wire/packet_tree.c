#include "sensor/wire/packet_tree.h"

#include "sensor/wire/ethernet.h"
#include "sensor/wire/icmp.h"
#include "sensor/wire/ipv4.h"
#include "sensor/wire/ipv6.h"
#include "sensor/wire/link.h"
#include "sensor/wire/packet.h"
#include "sensor/wire/tcp.h"
#include "sensor/wire/tree_writer.h"
#include "sensor/wire/udp.h"

static void fault(struct tree_writer *writer, enum wire_status status, const struct cursor *at)
{
    tree_layer(writer, status == WIRE_TRUNCATED ? "Truncated" : "Malformed", at->at,
               cursor_left(at));
}

static void protocol_field(struct tree_writer *writer, const char *name, const uint8_t *at,
                           uint8_t protocol)
{
    const char *known = ip_protocol_name(protocol);

    tree_field(writer, name, at, 1, "%u%s%s", protocol, known != NULL ? " " : "",
               known != NULL ? known : "");
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

static void tree_tcp(struct tree_writer *writer, struct cursor *c)
{
    struct tcp tcp;
    const enum wire_status status = tcp_parse(c, &tcp);

    if (tcp.header == NULL) {
        fault(writer, status, c);
        return;
    }
    const uint8_t *at = tcp.header;
    tree_layer(writer, "TCP", at, status == WIRE_OK ? tcp.header_bytes : TCP_HEADER_BYTES);
    tree_field(writer, "source_port", at, 2, "%u", tcp.source_port);
    tree_field(writer, "target_port", at + 2, 2, "%u", tcp.target_port);
    tree_field(writer, "seq", at + 4, 4, "%u", tcp.seq);
    tree_field(writer, "ack", at + 8, 4, "%u", tcp.ack);
    tree_field(writer, "header_bytes", at + 12, 1, "%u", tcp.header_bytes);
    tree_field(writer, "flags", at + 13, 1, "0x%02x%s%s%s%s%s%s%s%s", tcp.flags,
               tcp.flags & TCP_SYN ? " SYN" : "", tcp.flags & TCP_FIN ? " FIN" : "",
               tcp.flags & TCP_RST ? " RST" : "", tcp.flags & TCP_PSH ? " PSH" : "",
               tcp.flags & TCP_ACK ? " ACK" : "", tcp.flags & TCP_URG ? " URG" : "",
               tcp.flags & TCP_ECE ? " ECE" : "", tcp.flags & TCP_CWR ? " CWR" : "");
    tree_field(writer, "window", at + 14, 2, "%u", tcp.window);
    tree_field(writer, "checksum", at + 16, 2, "0x%04x", wire_u16(at + 16));
    if (status != WIRE_OK) {
        fault(writer, status, c);
        return;
    }
    if (tcp.header_bytes > TCP_HEADER_BYTES) {
        tree_tcp_options(writer, &tcp);
    }
    const struct wire_span payload = {.bytes = c->at, .length = (uint32_t)cursor_left(c)};
    tree_payload(writer, IP_PROTOCOL_TCP, tcp.source_port, tcp.target_port, &payload);
}

static void tree_udp(struct tree_writer *writer, struct cursor *c)
{
    struct udp udp;
    const uint8_t *at = c->at;
    const enum wire_status status = udp_parse(c, &udp);

    if (status != WIRE_OK) {
        fault(writer, status, c);
        return;
    }
    tree_layer(writer, "UDP", at, UDP_HEADER_BYTES);
    tree_field(writer, "source_port", at, 2, "%u", udp.source_port);
    tree_field(writer, "target_port", at + 2, 2, "%u", udp.target_port);
    tree_field(writer, "length", at + 4, 2, "%u", udp.datagram_bytes);
    tree_field(writer, "checksum", at + 6, 2, "0x%04x", udp.checksum);
    const struct wire_span payload = {.bytes = c->at, .length = (uint32_t)cursor_left(c)};
    tree_payload(writer, IP_PROTOCOL_UDP, udp.source_port, udp.target_port, &payload);
}

static void tree_icmp(struct tree_writer *writer, struct cursor *c, uint8_t protocol,
                      uint8_t ip_version)
{
    struct icmp icmp;
    const uint8_t *at = c->at;
    const enum wire_status status = icmp_parse(c, ip_version, &icmp);

    if (status != WIRE_OK) {
        fault(writer, status, c);
        return;
    }
    const char *known = icmp_type_name(ip_version, icmp.type);
    tree_layer(writer, protocol == IP_PROTOCOL_ICMPV6 ? "ICMPv6" : "ICMP", at,
               (size_t)(c->at - at));
    tree_field(writer, "type", at, 1, "%u%s%s", icmp.type, known != NULL ? " " : "",
               known != NULL ? known : "");
    tree_field(writer, "code", at + 1, 1, "%u", icmp.code);
    tree_field(writer, "checksum", at + 2, 2, "0x%04x", icmp.checksum);
    if (icmp.is_echo) {
        tree_field(writer, "id", at + 4, 2, "%u", icmp.id);
        tree_field(writer, "sequence", at + 6, 2, "%u", icmp.sequence);
    }
    const struct wire_span payload = {.bytes = c->at, .length = (uint32_t)cursor_left(c)};
    tree_payload(writer, protocol, 0, 0, &payload);
}

static void tree_transport(struct tree_writer *writer, struct cursor *c, uint8_t protocol,
                           uint8_t ip_version, bool is_later_fragment)
{
    const size_t left = cursor_left(c);

    if (is_later_fragment) {
        tree_layer(writer, "Fragment", c->at, left);
        tree_field(writer, "bytes", c->at, left, "%zu", left);
        return;
    }
    switch (protocol) {
    case IP_PROTOCOL_TCP:
        tree_tcp(writer, c);
        break;
    case IP_PROTOCOL_UDP:
        tree_udp(writer, c);
        break;
    case IP_PROTOCOL_ICMP:
    case IP_PROTOCOL_ICMPV6:
        tree_icmp(writer, c, protocol, ip_version);
        break;
    default: {
        const char *known = ip_protocol_name(protocol);

        tree_layer(writer, known != NULL ? known : "IP payload", c->at, left);
        tree_field(writer, "bytes", c->at, left, "%zu", left);
        break;
    }
    }
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

static void tree_extensions(struct tree_writer *writer, struct cursor *c, uint8_t protocol,
                            uint8_t ip_version)
{
    bool is_later_fragment = false;

    for (unsigned count = 0; ipv6_is_extension(protocol) && !is_later_fragment; count++) {
        struct ipv6_extension extension;
        const uint8_t *at = c->at;
        const enum wire_status status = count == IPV6_EXTENSIONS_MAX
                                            ? WIRE_MALFORMED
                                            : ipv6_extension_parse(c, protocol, &extension);

        if (status != WIRE_OK) {
            fault(writer, status, c);
            return;
        }
        tree_layer(writer, extension_name(protocol), at, extension.header_bytes);
        protocol_field(writer, "next_header", at, extension.next_header);
        if (protocol == IP_PROTOCOL_FRAGMENT) {
            tree_field(writer, "fragment_offset", at + 2, 2, "%u", extension.fragment_offset_bytes);
            tree_field(writer, "more_fragments", at + 3, 1, "%s",
                       extension.has_more_fragments ? "yes" : "no");
            tree_field(writer, "id", at + 4, 4, "0x%08x", extension.fragment_id);
            is_later_fragment = extension.fragment_offset_bytes > 0;
        }
        protocol = extension.next_header;
    }
    tree_transport(writer, c, protocol, ip_version, is_later_fragment);
}

static void tree_ipv4(struct tree_writer *writer, struct cursor *c)
{
    struct ipv4 ip;
    const enum wire_status status = ipv4_parse(c, &ip);

    if (ip.header == NULL) {
        fault(writer, status, c);
        return;
    }
    const uint8_t *at = ip.header;
    tree_layer(writer, "IPv4", at, status == WIRE_OK ? ip.header_bytes : IPV4_HEADER_BYTES);
    tree_field(writer, "header_bytes", at, 1, "%u", ip.header_bytes);
    tree_field(writer, "dscp", at + 1, 1, "%u", ip.traffic_class >> 2);
    tree_field(writer, "ecn", at + 1, 1, "%u", ip.traffic_class & 3);
    tree_field(writer, "total_length", at + 2, 2, "%u", ip.total_bytes);
    tree_field(writer, "id", at + 4, 2, "0x%04x", ip.id);
    tree_field(writer, "flags", at + 6, 1, "%s",
               ip.is_dont_fragment && ip.has_more_fragments ? "DF MF"
               : ip.is_dont_fragment                        ? "DF"
               : ip.has_more_fragments                      ? "MF"
                                                            : "none");
    tree_field(writer, "fragment_offset", at + 6, 2, "%u", ip.fragment_offset_bytes);
    tree_field(writer, "ttl", at + 8, 1, "%u", ip.ttl);
    protocol_field(writer, "protocol", at + 9, ip.protocol);
    if (status == WIRE_OK) {
        const bool is_right = ipv4_checksum_is_right(at, ip.header_bytes);

        tree_field(writer, "checksum", at + 10, 2, "0x%04x %s", ip.checksum,
                   is_right           ? "right"
                   : ip.checksum == 0 ? "not set"
                                      : "wrong");
    }
    tree_ip(writer, "source", ip.source, 4);
    tree_ip(writer, "target", ip.target, 4);
    if (status != WIRE_OK) {
        fault(writer, status, c);
        return;
    }
    if (ip.header_bytes > IPV4_HEADER_BYTES) {
        tree_hex(writer, "options", at + IPV4_HEADER_BYTES, ip.header_bytes - IPV4_HEADER_BYTES);
    }
    if (ip.protocol == IP_PROTOCOL_AH && ip.fragment_offset_bytes == 0) {
        tree_extensions(writer, c, ip.protocol, 4);
    } else {
        tree_transport(writer, c, ip.protocol, 4, ip.fragment_offset_bytes > 0);
    }
}

static void tree_ipv6(struct tree_writer *writer, struct cursor *c)
{
    struct ipv6 ip;
    const enum wire_status status = ipv6_parse(c, &ip);

    if (status != WIRE_OK) {
        fault(writer, status, c);
        return;
    }
    const uint8_t *at = ip.header;
    tree_layer(writer, "IPv6", at, IPV6_HEADER_BYTES);
    tree_field(writer, "dscp", at, 2, "%u", ip.traffic_class >> 2);
    tree_field(writer, "ecn", at + 1, 1, "%u", ip.traffic_class & 3);
    tree_field(writer, "flow_label", at + 1, 3, "0x%05x", ip.flow_label);
    tree_field(writer, "payload_length", at + 4, 2, "%u", ip.payload_bytes);
    protocol_field(writer, "next_header", at + 6, ip.next_header);
    tree_field(writer, "hop_limit", at + 7, 1, "%u", ip.hop_limit);
    tree_ip(writer, "source", ip.source, 6);
    tree_ip(writer, "target", ip.target, 6);
    if (ip.payload_bytes == 0 && ip.next_header == IP_PROTOCOL_NONE) {
        cursor_limit(c, 0);
    }
    tree_extensions(writer, c, ip.next_header, 6);
}

static void tree_ethertype(struct tree_writer *writer, struct cursor *c, uint16_t ethertype)
{
    for (unsigned count = 0; ethertype_is_vlan(ethertype); count++) {
        struct vlan_tag tag;
        const uint8_t *at = c->at;
        const enum wire_status status =
            count == VLAN_TAGS_MAX ? WIRE_MALFORMED : vlan_parse(c, &tag);

        if (status != WIRE_OK) {
            fault(writer, status, c);
            return;
        }
        tree_layer(writer, ethertype == ETHERTYPE_VLAN ? "802.1Q" : "802.1ad", at, VLAN_TAG_BYTES);
        tree_field(writer, "priority", at, 1, "%u", tag.priority);
        tree_field(writer, "drop_eligible", at, 1, "%s", tag.is_drop_eligible ? "yes" : "no");
        tree_field(writer, "id", at, 2, "%u", tag.id);
        tree_field(writer, "ethertype", at + 2, 2, "0x%04x", tag.ethertype);
        ethertype = tag.ethertype;
    }
    if (ethertype <= ETHERTYPE_LENGTH_MAX && writer->frame->link_type == LINK_ETHERNET) {
        const uint8_t *at = c->at;

        ethertype = snap_parse(c);
        if (ethertype != 0) {
            tree_layer(writer, "LLC SNAP", at, SNAP_HEADER_BYTES);
            tree_field(writer, "ethertype", at + 6, 2, "0x%04x", ethertype);
        }
    }
    if (ethertype == ETHERTYPE_IPV4) {
        tree_ipv4(writer, c);
    } else if (ethertype == ETHERTYPE_IPV6) {
        tree_ipv6(writer, c);
    } else {
        tree_layer(writer, ethertype == ETHERTYPE_ARP ? "ARP" : "Data", c->at, cursor_left(c));
    }
}

static void tree_ethernet(struct tree_writer *writer, struct cursor *c)
{
    struct ethernet ethernet;

    if (ethernet_parse(c, &ethernet) != WIRE_OK) {
        fault(writer, WIRE_TRUNCATED, c);
        return;
    }
    tree_layer(writer, "Ethernet", ethernet.target_mac, ETHERNET_HEADER_BYTES);
    tree_mac(writer, "target", ethernet.target_mac);
    tree_mac(writer, "source", ethernet.source_mac);
    tree_field(writer, "ethertype", ethernet.target_mac + 12, 2, "0x%04x", ethernet.ethertype);
    tree_ethertype(writer, c, ethernet.ethertype);
}

static void tree_sll(struct tree_writer *writer, struct cursor *c)
{
    struct sll sll;
    const uint8_t *at = c->at;
    const bool is_first = writer->frame->link_type == LINK_SLL;

    if ((is_first ? sll_parse(c, &sll) : sll2_parse(c, &sll)) != WIRE_OK) {
        fault(writer, WIRE_TRUNCATED, c);
        return;
    }
    tree_layer(writer, is_first ? "Linux cooked" : "Linux cooked v2", at, (size_t)(c->at - at));
    tree_field(writer, "packet_type", NULL, 0, "%u", sll.packet_type);
    tree_field(writer, "arphrd_type", NULL, 0, "%u", sll.arphrd_type);
    if (sll.address_bytes == 6) {
        tree_mac(writer, "source", at + sll.address_offset);
    }
    if (!is_first) {
        tree_field(writer, "interface", at + 4, 4, "%u", sll.interface);
    }
    tree_field(writer, "ethertype", is_first ? at + 14 : at, 2, "0x%04x", sll.ethertype);
    tree_ethertype(writer, c, sll.ethertype);
}

static void tree_null(struct tree_writer *writer, struct cursor *c)
{
    uint32_t family = 0;
    uint16_t ethertype = 0;
    const uint8_t *at = c->at;

    if (null_link_parse(c, &family, &ethertype) != WIRE_OK) {
        fault(writer, WIRE_TRUNCATED, c);
        return;
    }
    tree_layer(writer, "Loopback", at, NULL_HEADER_BYTES);
    tree_field(writer, "family", at, NULL_HEADER_BYTES, "%u", family);
    tree_ethertype(writer, c, ethertype);
}

static void tree_raw(struct tree_writer *writer, struct cursor *c)
{
    if (cursor_left(c) == 0) {
        fault(writer, WIRE_TRUNCATED, c);
    } else if (*c->at >> 4 == 6) {
        tree_ipv6(writer, c);
    } else {
        tree_ipv4(writer, c);
    }
}

void packet_tree(const struct frame *frame, struct packet_tree *out)
{
    struct tree_writer writer = {.frame = frame, .tree = out};
    struct cursor c = cursor_over(frame->bytes, frame->captured_bytes);

    out->layer_count = 0;
    out->field_count = 0;
    out->is_cut = false;
    out->text_bytes = 0;
    switch (frame->link_type) {
    case LINK_ETHERNET:
        tree_ethernet(&writer, &c);
        break;
    case LINK_SLL:
    case LINK_SLL2:
        tree_sll(&writer, &c);
        break;
    case LINK_NULL:
    case LINK_LOOP:
        tree_null(&writer, &c);
        break;
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_IPV4:
    case LINK_IPV6:
        tree_raw(&writer, &c);
        break;
    default:
        tree_layer(&writer, "Data", c.at, cursor_left(&c));
        tree_field(&writer, "link_type", NULL, 0, "%u (no decoder)", frame->link_type);
        break;
    }
}
