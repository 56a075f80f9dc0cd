/* Community ID v1 (https://github.com/corelight/community-id-spec): one text for both directions of
 * a flow, the same in every tool that speaks it. Costs one SHA-1 of about 40 bytes. Depends on:
 * base/address.h, base/hash.h, base/sha1_lanes.h. Pure, any thread. */
#pragma once

#include "base/address.h"
#include "base/sha1_lanes.h"

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

/* ---- several at once ---- */

#define COMMUNITY_ID_BLANK "1:............................" /* where one is still to be made */

/* What such an id is made of. */
struct community_id_words {
    uint64_t first, second;
};
struct community_id_words community_id_words_of(const struct community_id_ipv4 *flow,
                                                uint16_t seed);

/* Ids that wait until they can be made together (base/sha1_lanes.h). */
struct community_ids {
    uint64_t first[SHA1_LANES], second[SHA1_LANES];
    char *out[SHA1_LANES];
    uint32_t count;
};
/* The id's 30 characters, without a NUL, are at `out` after this call or a later one: at the latest
 * after community_ids_make, until which `out` is borrowed. */
void community_ids_add(struct community_ids *ids, const struct community_id_words *words,
                       char *out);
void community_ids_make(struct community_ids *ids);
