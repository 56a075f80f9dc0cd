/* Neighbour discovery messages of ICMPv6 (RFC 4861): what they say about addresses and routers.
 *
 * Such a message counts only when it came with hop limit 255 (RFC 4861 6.1, 7.1): nobody off the
 * link can send one. The parser is not told the hop limit; its caller looks. Depends on:
 * wire/cursor.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"

#define NDP_HOP_LIMIT    255
#define NDP_PREFIXES_MAX 4
#define NDP_OPTIONS_MAX  64 /* looked at in one message */

enum ndp_type {
    NDP_ROUTER_SOLICITATION = 133,
    NDP_ROUTER_ADVERTISEMENT = 134,
    NDP_NEIGHBOR_SOLICITATION = 135,
    NDP_NEIGHBOR_ADVERTISEMENT = 136,
    NDP_REDIRECT = 137,
};

struct ndp_prefix { /* option 3, RFC 4861 4.6.2 */
    uint8_t prefix[16];
    uint8_t length; /* bits */
    bool is_on_link, is_autonomous;
    uint32_t valid_seconds, preferred_seconds;
};

struct ndp {
    uint8_t type; /* enum ndp_type */
    uint8_t code;
    /* Neighbour messages and redirect. */
    uint8_t target[16];                        /* the address that is asked for or told of */
    uint8_t destination[16];                   /* redirect alone */
    bool is_router, is_solicited, is_override; /* flags of an advertisement (7.2.4) */
    /* Router advertisement. */
    uint8_t hop_limit;
    bool is_managed, is_other_config;
    uint16_t lifetime_seconds; /* 0: not a default router */
    uint32_t reachable_ms, retransmit_ms;
    uint32_t mtu_bytes;   /* option 5; 0: none */
    uint8_t prefix_count; /* seen; may exceed NDP_PREFIXES_MAX */
    struct ndp_prefix prefixes[NDP_PREFIXES_MAX];
    /* Link-layer addresses of 6 bytes (options 1 and 2). */
    bool has_source_mac, has_target_mac;
    uint8_t source_mac[6], target_mac[6];
    bool has_nonce; /* RFC 3971; enhanced duplicate address detection, RFC 7527 */
    bool is_cut;    /* the capture ends inside the options: what stood before the cut is here */
    uint8_t option_count;
};

/* Reads a message from its ICMPv6 type byte on; `message` ends with the ICMPv6 message.
 * WIRE_MALFORMED: another type or code, or an option of length 0 (RFC 4861 4.6: the message is to
 * be discarded). WIRE_TRUNCATED: fewer bytes than the fixed part of the type. */
enum wire_status ndp_parse(const struct wire_span *message, struct ndp *out);

/* Walks the options behind the fixed part, for people: `at` starts as what ndp_options gives. False
 * at the end or at an option that does not fit. */
struct ndp_option {
    uint8_t type;
    const uint8_t *at; /* its type byte */
    uint32_t length;   /* a multiple of 8, type and length bytes included */
};
struct cursor ndp_options(const struct wire_span *message);
bool ndp_option_next(struct cursor *at, struct ndp_option *out);

static inline bool ndp_is_type(uint8_t type)
{
    return type >= NDP_ROUTER_SOLICITATION && type <= NDP_REDIRECT;
}
