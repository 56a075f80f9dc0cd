#include "sensor/wire/packet.h"

#include <assert.h>
#include <stddef.h>

#include "sensor/wire/walk_frame.h"

static_assert(sizeof(struct packet) <= 192, "a packet keeps to three cache lines");
static_assert(offsetof(struct packet, tcp_seq) == 64, "what keys a flow is the first line");

enum packet_verdict packet_decode_by(const struct packet_rules *rules, const struct frame *frame,
                                     unsigned options, struct packet *out)
{
    if (rules == NULL) {
        rules = &packet_rules_default;
    }
    return LIKELY(packet_plain(rules, frame, options, out))
               ? PACKET_OK
               : walk_frame(rules, frame, options, out, NULL, NULL);
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

const char *tunnel_type_name(enum tunnel_type type)
{
    static const char *const names[TUNNEL_TYPE_COUNT] = {
        [TUNNEL_NONE] = "",           [TUNNEL_GRE] = "GRE",       [TUNNEL_VXLAN] = "VXLAN",
        [TUNNEL_GENEVE] = "Geneve",   [TUNNEL_IP_IN_IP] = "IPIP", [TUNNEL_GTP_U] = "GTP-U",
        [TUNNEL_TEREDO] = "Teredo",   [TUNNEL_L2TP] = "L2TP",     [TUNNEL_MPLS] = "MPLS",
        [TUNNEL_ERSPAN] = "ERSPAN",   [TUNNEL_PPPOE] = "PPPoE",   [TUNNEL_VXLAN_GPE] = "VXLAN-GPE",
        [TUNNEL_NVGRE] = "NVGRE",     [TUNNEL_PPTP] = "PPTP",     [TUNNEL_NSH] = "NSH",
        [TUNNEL_ETHERIP] = "EtherIP", [TUNNEL_AYIYA] = "AYIYA",   [TUNNEL_PBB] = "PBB",
        [TUNNEL_CAPWAP] = "CAPWAP",   [TUNNEL_TZSP] = "TZSP",     [TUNNEL_WCCP] = "WCCP",
        [TUNNEL_LISP] = "LISP",       [TUNNEL_GUE] = "GUE",       [TUNNEL_PIM] = "PIM",
    };

    assert(type < TUNNEL_TYPE_COUNT);
    return names[type];
}
