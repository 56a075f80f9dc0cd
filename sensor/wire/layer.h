/* The layers of a walk by name: in settings, counters and the protocol tree the same ones.
 *
 * A new protocol is a row here (enum and name), a function in a walk_ file and its row in walk.c.
 * Depends on: libc. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_layer {
    LAYER_NONE,
    /* What a frame begins with. */
    LAYER_LINK, /* the frame's link type itself: no decoder for it */
    LAYER_ETHERNET,
    LAYER_SLL,
    LAYER_LOOPBACK,
    LAYER_RAW,
    LAYER_PPP,
    LAYER_HDLC,
    LAYER_FRAME_RELAY,
    LAYER_FDDI,
    LAYER_TOKEN_RING,
    LAYER_WLAN,
    LAYER_RADIO, /* what stands before 802.11: radiotap, PPI, Prism, AVS */
    LAYER_NFLOG,
    LAYER_IPOIB,
    LAYER_PKTAP,
    LAYER_DSA,
    LAYER_DOCSIS,
    LAYER_MFR,
    LAYER_SLIP,
    LAYER_ATM,
    LAYER_ERF,
    LAYER_JUNIPER,
    LAYER_WRAPPER, /* fixed headers of other link types */
    /* Between link and IP. */
    LAYER_VLAN,
    LAYER_LLC,
    LAYER_PBB,
    LAYER_VNTAG,
    LAYER_ETAG,
    LAYER_HSR,
    LAYER_MACSEC,
    LAYER_TRUSTSEC,
    LAYER_ARISTA,
    LAYER_FABRICPATH,
    LAYER_ISL,
    LAYER_MPLS,
    LAYER_PSEUDOWIRE,
    LAYER_PPPOE,
    /* IP and what it carries. */
    LAYER_IPV4,
    LAYER_IPV6,
    LAYER_EXTENSION, /* IPv6 extension headers, AH */
    LAYER_TCP,
    LAYER_UDP,
    LAYER_ICMP,
    LAYER_TRANSPORT, /* any other protocol of IP */
    /* Tunnels over IP. */
    LAYER_IP_IN_IP,
    LAYER_GRE,
    LAYER_ERSPAN,
    LAYER_WCCP,
    LAYER_VXLAN,
    LAYER_VXLAN_GPE,
    LAYER_GENEVE,
    LAYER_GTP_U,
    LAYER_TEREDO,
    LAYER_AYIYA,
    LAYER_L2TP,
    LAYER_NSH,
    LAYER_ETHERIP,
    LAYER_CAPWAP,
    LAYER_TZSP,
    LAYER_LISP,
    LAYER_GUE,
    LAYER_PIM,
    LAYER_COUNT,
};

/* Why a walk ended before the last header. */
enum decode_reason {
    DECODE_WHOLE,       /* it did not */
    DECODE_TRUNCATED,   /* the capture ends inside a header */
    DECODE_MALFORMED,   /* a header contradicts its standard */
    DECODE_TOO_DEEP,    /* more nested headers than decode.layers_max */
    DECODE_UNSUPPORTED, /* the header is right, what it carries has no decoder */
    DECODE_PROTECTED,   /* what follows is encrypted */
    DECODE_REFUSED,     /* the port or label said so, the bytes say no: left as payload */
    DECODE_REASON_COUNT,
};

/* "vxlan", "ethernet", ...; "none" for LAYER_NONE. Static. */
const char *wire_layer_name(enum wire_layer layer);
/* False: no layer of that name. */
bool wire_layer_parse(const char *name, size_t length, enum wire_layer *out);
/* Whether decode.disabled_layers may name it: Ethernet, IP, TCP, UDP and ICMP stay open. */
bool wire_layer_is_optional(enum wire_layer layer);

/* "whole", "truncated", "malformed", "too_deep", "unsupported", "protected", "refused". Static. */
const char *decode_reason_name(enum decode_reason reason);
