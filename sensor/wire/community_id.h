/* Community ID v1 (https://github.com/corelight/community-id-spec): one text for both directions of
 * a flow, the same in every tool that speaks it. Costs one SHA-1 of about 40 bytes. Depends on:
 * base/address.h, base/hash.h. Pure, any thread. */
#pragma once

#include "base/address.h"

#define COMMUNITY_ID_TEXT_BYTES 31 /* "1:", 28 of base64, NUL */

struct community_id_flow {
    struct ip_address source; /* both of one version; as the first packet had them */
    struct ip_address target;
    uint8_t protocol;
    uint16_t source_port; /* ICMP and ICMPv6: the type of the first packet */
    uint16_t target_port; /* ICMP and ICMPv6: its code */
};

/* Ports count for TCP, UDP, SCTP, ICMP and ICMPv6 alone, as in the specification. ICMP types
 * without a counterpart make a one-way flow: its direction then matters. Always 30 characters and a
 * NUL. */
void community_id_v1(const struct community_id_flow *flow, uint16_t seed,
                     char out[COMMUNITY_ID_TEXT_BYTES]);

/* A flow of TCP, UDP or SCTP over IPv4. */
struct community_id_ipv4 {
    uint32_t low, high; /* as the bytes lie in memory; the smaller by address, then port */
    uint16_t low_port, high_port;
    uint8_t protocol;
};

/* The same id from an order that is known, with nothing read back that was just written. */
void community_id_v1_ipv4(const struct community_id_ipv4 *flow, uint16_t seed,
                          char out[COMMUNITY_ID_TEXT_BYTES]);
