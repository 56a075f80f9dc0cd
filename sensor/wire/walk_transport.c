#include "sensor/wire/walk_transport.h"

#include "sensor/wire/icmp.h"

/* Behind the IP header a short cursor means one of two: the capture was cut, or the packet itself
 * ends there. */
static enum decode_reason reason_of(const struct walk *walk, enum wire_status status)
{
    return status == WIRE_TRUNCATED && walk->missing_bytes > 0 ? DECODE_TRUNCATED
                                                               : DECODE_MALFORMED;
}

/* The ports stand first in TCP, UDP, SCTP, DCCP and UDP-Lite, so a cut header may still show them.
 */
static bool peek_ports(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 4) {
        return false;
    }
    walk->out->source_port = wire_u16(at);
    walk->out->target_port = wire_u16(at + 2);
    walk->out->facts |= PACKET_HAS_PORTS;
    return true;
}

/* The capture ends among the options: those before are read, and how much is behind them is known.
 */
static void take_cut_options(struct walk *walk, const struct tcp *tcp)
{
    struct packet *out = walk->out;

    tcp_take_options(tcp->header + TCP_HEADER_BYTES, walk_left(walk) - TCP_HEADER_BYTES, out);
    out->tcp_options &= (uint8_t)~TCP_OPTION_BROKEN;
    out->payload_bytes =
        out->payload_bytes > tcp->header_bytes ? out->payload_bytes - tcp->header_bytes : 0;
}

void walk_broken_tcp(struct walk *walk, const struct tcp *tcp, enum wire_status status)
{
    if (tcp->header == NULL) {
        (void)peek_ports(walk);
    } else if (walk->tree != NULL) {
        tree_tcp(walk->tree, tcp, status);
    }
    walk_take_payload(walk);
    if (tcp->header != NULL && status == WIRE_TRUNCATED) {
        take_cut_options(walk, tcp);
    } else {
        walk->out->payload_bytes = 0;
    }
    walk->out->payload_captured_bytes = 0;
    walk_fault(walk, LAYER_TCP, reason_of(walk, status));
}

void walk_broken_udp(struct walk *walk, enum wire_status status)
{
    (void)peek_ports(walk);
    walk_fault(walk, LAYER_UDP, reason_of(walk, status));
}

void walk_udp_tunnel(struct walk *walk)
{
    enum wire_layer layer = packet_rules_layer(walk->rules, walk->out->target_port);

    if (layer == LAYER_NONE) {
        layer = packet_rules_layer(walk->rules, walk->out->source_port);
    }
    if (layer != LAYER_NONE && walk_left(walk) > 0) {
        walk_to(walk, layer);
    }
}

void walk_icmp(struct walk *walk)
{
    struct packet *out = walk->out;
    struct icmp icmp;
    const uint8_t *at = walk->at.at;
    const enum wire_status status = icmp_parse(&walk->at, out->ip_version, &icmp);

    if (status != WIRE_OK) {
        walk_fault(walk, LAYER_ICMP, reason_of(walk, status));
        return;
    }
    out->icmp_type = icmp.type;
    out->icmp_code = icmp.code;
    out->icmp_id = icmp.id;
    out->facts |= PACKET_HAS_ICMP;
    walk_take_payload(walk);
    if (walk->tree != NULL) {
        const struct wire_span message = {at, (uint32_t)(walk->at.end - at)};

        tree_icmp(walk->tree, at, (size_t)(walk->at.at - at), out->ip_version, &icmp);
        walk->has_payload = out->protocol != IP_PROTOCOL_ICMPV6 || !tree_ndp(walk->tree, &message);
    }
}

void walk_later_fragment(struct walk *walk)
{
    walk_take_payload(walk);
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "Fragment", walk->at.at, walk_left(walk));
        tree_field(walk->tree, "bytes", walk->at.at, walk_left(walk), "%u", walk_left(walk));
    }
}

/* What IP carries that is no transport of its own. */
static enum wire_layer layer_of(const struct walk *walk, uint8_t protocol)
{
    switch (protocol) {
    case IP_PROTOCOL_IPV4:
    case IP_PROTOCOL_IPV6:
    case IP_PROTOCOL_IPIP:
        return LAYER_IP_IN_IP;
    case IP_PROTOCOL_GRE:
        return LAYER_GRE;
    case IP_PROTOCOL_ETHERIP:
    case IP_PROTOCOL_ETHERNET:
        return LAYER_ETHERIP;
    case IP_PROTOCOL_L2TP:
        return LAYER_L2TP;
    case IP_PROTOCOL_MPLS:
        return LAYER_MPLS;
    case IP_PROTOCOL_NSH:
        return LAYER_NSH;
    case IP_PROTOCOL_PIM: /* its other messages carry no packet */
        return walk_is_register(walk) ? LAYER_PIM : LAYER_NONE;
    default:
        return LAYER_NONE;
    }
}

void walk_other(struct walk *walk)
{
    const uint8_t protocol = walk->out->protocol;

    walk_take_payload(walk);
    if (protocol == IP_PROTOCOL_SCTP || protocol == IP_PROTOCOL_UDPLITE ||
        protocol == IP_PROTOCOL_DCCP) {
        if (!peek_ports(walk)) {
            walk_fault(walk, LAYER_TRANSPORT, reason_of(walk, WIRE_TRUNCATED));
            return;
        }
    } else {
        const enum wire_layer layer = layer_of(walk, protocol);

        if (layer != LAYER_NONE && walk_is_open(walk, layer)) {
            walk->next = (uint8_t)layer;
            return;
        }
    }
    if (walk->tree != NULL) {
        tree_other(walk->tree, &walk->at, protocol);
    }
}
