/* One walk over a frame fills one `struct packet`: addresses, ports, lengths, TCP fields, offsets.
 *
 * The innermost IP header that could be read keys the packet; the tunnels around it are listed. A
 * tunnel whose inside cannot be read leaves the packet to the header outside. ICMP errors are not
 * opened. Nothing here allocates, reads a clock or logs; a wrong packet is a verdict, not an error.
 * The walk itself is walk.h: packet_tree takes the same one. docs/protocols.md lists all layers.
 * Depends on: base/address.h, wire/frame.h. Pure, any thread. Cost: about 15 ns for Ethernet, IPv4,
 * TCP. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/address.h"
#include "sensor/wire/frame.h"
#include "sensor/wire/packet_rules.h"

enum packet_verdict {
    PACKET_OK,
    PACKET_TRUNCATED,        /* the capture ends inside a header */
    PACKET_MALFORMED,        /* a header contradicts its standard, or they nest too deep */
    PACKET_NOT_IP,           /* ARP, LLDP, ...: `ethertype` says which */
    PACKET_UNSUPPORTED_LINK, /* no decoder for the frame's link type */
    PACKET_VERDICT_COUNT,
};

/* Facts about a packet, in `facts`. */
enum packet_fact {
    PACKET_HAS_PORTS = 1 << 0,   /* source_port and target_port were read (TCP, UDP, SCTP, ...) */
    PACKET_HAS_TCP = 1 << 1,     /* the whole fixed TCP header was read */
    PACKET_HAS_ICMP = 1 << 2,    /* icmp_type and icmp_code were read (both ICMP versions) */
    PACKET_IS_FRAGMENT = 1 << 3, /* any fragment, the first one too */
    PACKET_IS_LATER_FRAGMENT = 1 << 4,  /* offset > 0: it has no ports of its own */
    PACKET_HAS_MORE_FRAGMENTS = 1 << 5, /* the more-fragments bit */
    PACKET_IS_CUT = 1 << 6, /* the capture holds less payload than the headers declare */
    PACKET_CHECKSUM_SEEN =
        1 << 7, /* the IPv4 header checksum was computed (PACKET_CHECKSUMS) ... */
    PACKET_CHECKSUM_BAD =
        1 << 8, /* ... and is wrong. A checksum of 0 (offload) is not called bad */
    PACKET_LENGTH_UNKNOWN = 1 << 9,  /* IP length 0 (segmentation offload): taken from the frame */
    PACKET_HAS_MACS = 1 << 10,       /* target MAC at mac_offset, source MAC 6 bytes behind it */
    PACKET_HAS_SLL_SOURCE = 1 << 11, /* only the sender's MAC is there, at mac_offset */
    PACKET_HAS_IP_OPTIONS =
        1 << 12, /* IPv4 options or IPv6 extension headers other than a fragment's */
    PACKET_OUTER_FRAGMENT = 1 << 13, /* an IP header around this one is a first fragment: it stands
                                        at outer_fragment_offset; fragment_table sets it for later
                                        ones, too */
    PACKET_WAS_HELD = 1 << 14,       /* a later fragment that waited for its first: seen at
                                        held_since_ns, counted at time_ns */
    PACKET_FRAGMENT_FAULT = 1 << 15, /* a fragment that overlaps, or is built to evade: see
                                        fragment_table.h */
};

enum tcp_flag {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_ECE = 0x40,
    TCP_CWR = 0x80,
};

/* How far `a` is behind `b` in the stream, modulo 2^32 (RFC 9293 3.4); below 0: before it. */
static inline int32_t tcp_seq_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* Which TCP options were there, in `tcp_options`; their values are 0 otherwise. */
enum tcp_option_bit {
    TCP_OPTION_MSS = 1 << 0,
    TCP_OPTION_WINDOW_SCALE = 1 << 1,
    TCP_OPTION_SACK_PERMITTED = 1 << 2,
    TCP_OPTION_SACK = 1 << 3,
    TCP_OPTION_TIMESTAMPS = 1 << 4,
    TCP_OPTION_BROKEN = 1 << 7, /* the option list contradicts its own lengths: read up to there */
};

enum ip_protocol {
    IP_PROTOCOL_HOP_BY_HOP = 0,
    IP_PROTOCOL_ICMP = 1,
    IP_PROTOCOL_IGMP = 2,
    IP_PROTOCOL_IPV4 = 4,
    IP_PROTOCOL_TCP = 6,
    IP_PROTOCOL_UDP = 17,
    IP_PROTOCOL_DCCP = 33,
    IP_PROTOCOL_IPV6 = 41,
    IP_PROTOCOL_ROUTING = 43,
    IP_PROTOCOL_FRAGMENT = 44,
    IP_PROTOCOL_GRE = 47,
    IP_PROTOCOL_ESP = 50,
    IP_PROTOCOL_AH = 51,
    IP_PROTOCOL_ICMPV6 = 58,
    IP_PROTOCOL_NONE = 59,
    IP_PROTOCOL_DESTINATION = 60,
    IP_PROTOCOL_IPIP = 94,
    IP_PROTOCOL_ETHERIP = 97,
    IP_PROTOCOL_L2TP = 115,
    IP_PROTOCOL_SCTP = 132,
    IP_PROTOCOL_MOBILITY = 135,
    IP_PROTOCOL_UDPLITE = 136,
    IP_PROTOCOL_MPLS = 137,
    IP_PROTOCOL_HIP = 139,
    IP_PROTOCOL_SHIM6 = 140,
    IP_PROTOCOL_ETHERNET = 143,
    IP_PROTOCOL_PIM = 103,
    IP_PROTOCOL_NSH = 145,
};

/* What is around a packet; the numbers are those of netscope.v1.TunnelType. `id` as listed. */
enum tunnel_type {
    TUNNEL_NONE,
    TUNNEL_GRE,       /* key */
    TUNNEL_VXLAN,     /* VNI */
    TUNNEL_GENEVE,    /* VNI */
    TUNNEL_IP_IN_IP,  /* 0 */
    TUNNEL_GTP_U,     /* TEID, which differs by direction; version 0: flow label */
    TUNNEL_TEREDO,    /* 0 */
    TUNNEL_L2TP,      /* version 2: tunnel << 16 | session; 3: session */
    TUNNEL_MPLS,      /* bottom label */
    TUNNEL_ERSPAN,    /* session */
    TUNNEL_PPPOE,     /* session */
    TUNNEL_VXLAN_GPE, /* VNI */
    TUNNEL_NVGRE,     /* VSID */
    TUNNEL_PPTP,      /* call */
    TUNNEL_NSH,       /* service path */
    TUNNEL_ETHERIP,   /* 0 */
    TUNNEL_AYIYA,     /* 0 */
    TUNNEL_PBB,       /* I-SID */
    TUNNEL_CAPWAP,    /* radio */
    TUNNEL_TZSP,      /* 0 */
    TUNNEL_WCCP,      /* 0 */
    TUNNEL_LISP,      /* instance; 0 where the header has none */
    TUNNEL_GUE,       /* 0 */
    TUNNEL_PIM,       /* 0 */
    TUNNEL_TYPE_COUNT,
};

#define PACKET_TUNNELS_MAX 4
#define PACKET_VLANS_MAX   2
#define PACKET_NO_OUTER_IP UINT16_MAX

/* With verdict OK everything below holds. With NOT_IP `ethertype` and `payload_offset` say what
 * begins where (0: the link has no ethertype, or a length). With TRUNCATED and MALFORMED what was
 * read before the fault stays: `ip_version` != 0 means that the addresses and `protocol` are known,
 * so that the packet can still be counted into a flow (by its ports where PACKET_HAS_PORTS is set).
 */
struct packet {
    /* First line: what keys a flow. */
    uint8_t source_ip[16]; /* network order; IPv4 in the first four, the rest 0 */
    uint8_t target_ip[16];
    uint16_t source_port; /* 0 without PACKET_HAS_PORTS; ICMP keeps to icmp_type, icmp_code */
    uint16_t target_port;
    uint8_t ip_version; /* 4, 6; 0: no IP header was read */
    uint8_t protocol;   /* behind all extension headers */
    uint8_t verdict;    /* enum packet_verdict */
    uint8_t tcp_flags;  /* enum tcp_flag */
    uint64_t time_ns;   /* of the frame */
    uint32_t wire_bytes;
    uint32_t ip_bytes; /* as the IP header says; where that is 0, all that the frame has */
    uint16_t facts;    /* enum packet_fact */
    uint8_t icmp_type;
    uint8_t icmp_code;
    uint32_t captured_bytes;

    /* Second line: TCP and payload. */
    union {
        struct {
            uint32_t tcp_seq;
            uint32_t tcp_ack;
        };
        uint64_t held_since_ns; /* with PACKET_WAS_HELD: such a packet has no TCP header */
    };
    uint32_t payload_bytes; /* behind the transport header, declared by the IP length, no padding */
    uint32_t payload_captured_bytes; /* of them in the capture, from frame.bytes + payload_offset */
    uint32_t payload_offset;
    uint32_t tcp_timestamp_value;
    uint32_t tcp_timestamp_echo;
    uint16_t tcp_window; /* unscaled, as sent */
    uint16_t tcp_mss;
    uint8_t tcp_window_scale;
    uint8_t tcp_options;  /* enum tcp_option_bit */
    uint8_t ttl;          /* hop limit */
    uint8_t dscp;         /* 0..63 */
    uint8_t ecn;          /* 0..3 */
    uint8_t vlan_count;   /* tags in the frame, may exceed PACKET_VLANS_MAX */
    uint8_t tunnel_count; /* around the IP header, may exceed PACKET_TUNNELS_MAX */
    uint8_t tcp_header_bytes;
    uint16_t
        vlan_ids[PACKET_VLANS_MAX]; /* [0] outermost, [1] innermost when there are two or more */
    uint16_t network_offset;        /* of the IP header; 0 with ip_version 0 */
    uint16_t transport_offset;      /* behind IP header and extension headers */
    uint16_t mac_offset;
    uint16_t ethertype; /* behind the VLAN tags; 0 where the link has none */
    uint16_t fragment_offset_bytes;

    /* Third line: rarely read. */
    uint16_t icmp_id;                        /* echo identifier; 0 for other types */
    uint32_t ip_id;                          /* IPv4 identification; IPv6: of the fragment header */
    uint32_t tunnel_ids[PACKET_TUNNELS_MAX]; /* VNI, key, TEID, label; outermost first */
    uint8_t tunnel_types[PACKET_TUNNELS_MAX];    /* enum tunnel_type */
    uint16_t tunnel_offsets[PACKET_TUNNELS_MAX]; /* of the IP header around each;
                                                    PACKET_NO_OUTER_IP: none (MPLS, PPPoE) */
    uint16_t interface;                          /* of the frame */
    uint16_t link_type;
    uint32_t flow_label; /* IPv6 */
    uint16_t tenant;     /* of the tunnels that name a network; 0: none. See packet_tenant */
    uint16_t outer_fragment_offset;         /* with PACKET_OUTER_FRAGMENT */
    uint32_t tcp_sack_left, tcp_sack_right; /* with TCP_OPTION_SACK: its first block */
    uint8_t fault_layer;                    /* enum wire_layer where the walk ended early */
    uint8_t fault_reason;                   /* enum decode_reason; DECODE_WHOLE: it did not */
    uint16_t fragment_tenant; /* with PACKET_IS_FRAGMENT or PACKET_OUTER_FRAGMENT: `tenant` and */
    uint16_t fragment_vlan_ids[PACKET_VLANS_MAX]; /* `vlan_ids` around that header alone */
};

/* Options of packet_decode. */
enum packet_option {
    PACKET_CHECKSUMS = 1 << 0, /* compute the IPv4 header checksum */
};

/* Decodes `frame` into `out`, which is written whole. Returns out->verdict. ICMP errors are not
 * opened: the packet they quote is payload. `rules` NULL: packet_rules_default. */
enum packet_verdict packet_decode_by(const struct packet_rules *rules, const struct frame *frame,
                                     unsigned options, struct packet *out);

static inline enum packet_verdict packet_decode(const struct frame *frame, unsigned options,
                                                struct packet *out)
{
    return packet_decode_by(NULL, frame, options, out);
}

/* One step of packet.tenant: `tenant` of the tunnels so far (0: none) and one more inside. VXLAN,
 * VXLAN-GPE, Geneve, NVGRE, keyed GRE, 802.1ah and an instance of LISP name a network, whose
 * addresses another one may use again. TEIDs, labels and sessions differ by direction or change in
 * the life of a conversation, so they do not count. The result is 0 or 2..65535. */
uint16_t packet_tenant(uint16_t tenant, enum tunnel_type type, uint32_t id);

/* "GRE", "VXLAN", ...; "" for TUNNEL_NONE. Static. */
const char *tunnel_type_name(enum tunnel_type type);

/* Whether frames of this LINKTYPE number have a decoder. */
bool packet_link_is_read(uint16_t link_type);

/* "ok", "truncated", "malformed", "not_ip", "unsupported_link". */
const char *packet_verdict_name(enum packet_verdict verdict);

/* "TCP", "UDP", "ICMPv6", ...; NULL where there is no well-known name. */
const char *ip_protocol_name(uint8_t protocol);

static inline struct ip_address packet_address(const struct packet *packet, const uint8_t ip[16])
{
    struct ip_address address = {.version = packet->ip_version};

    memcpy(address.bytes, ip, sizeof(address.bytes));
    return address;
}

static inline struct ip_address packet_source(const struct packet *packet)
{
    return packet_address(packet, packet->source_ip);
}

static inline struct ip_address packet_target(const struct packet *packet)
{
    return packet_address(packet, packet->target_ip);
}
