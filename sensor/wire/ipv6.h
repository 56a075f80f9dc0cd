/* IPv6 headers and their extension headers (RFC 8200; AH: RFC 4302; numbers: IANA).
 * Depends on: wire/cursor.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"
#include "sensor/wire/packet.h"

#define IPV6_HEADER_BYTES   40
#define IPV6_EXTENSIONS_MAX 16 /* walked in one packet; more make it malformed */

struct ipv6 {
    const uint8_t *header;  /* NULL when the fixed header was not there */
    uint32_t payload_bytes; /* as the header says, extension headers included; 0 for jumbograms */
    uint32_t flow_label;
    uint8_t traffic_class;
    uint8_t next_header;
    uint8_t hop_limit;
    const uint8_t *source; /* 16 bytes */
    const uint8_t *target;
};

struct ipv6_extension {
    uint8_t type; /* enum ip_protocol */
    uint8_t next_header;
    uint32_t header_bytes;
    /* Fragment header alone: */
    uint16_t fragment_offset_bytes;
    bool has_more_fragments;
    uint32_t fragment_id;
};

/* Reads the fixed header and narrows `in` to the payload. On failure `in` has not changed.
 * WIRE_TRUNCATED: fewer than 40 bytes. WIRE_MALFORMED: version not 6. */
static inline enum wire_status ipv6_parse(struct cursor *in, struct ipv6 *out)
{
    struct cursor c = *in;
    const uint8_t *at = cursor_take(&c, IPV6_HEADER_BYTES);

    out->header = NULL;
    if (at == NULL) {
        return WIRE_TRUNCATED;
    }
    const uint32_t first = wire_u32(at);
    if (first >> 28 != 6) {
        return WIRE_MALFORMED;
    }
    *out = (struct ipv6){.header = at,
                         .payload_bytes = wire_u16(at + 4),
                         .flow_label = first & 0xfffff,
                         .traffic_class = (uint8_t)(first >> 20),
                         .next_header = at[6],
                         .hop_limit = at[7],
                         .source = at + 8,
                         .target = at + 24};
    if (out->payload_bytes != 0) {
        cursor_limit(&c, out->payload_bytes);
    }
    *in = c;
    return WIRE_OK;
}

/* Whether `protocol` is a header that ipv6_extension_parse steps over. ESP is not: it hides the
 * rest. */
static inline bool ipv6_is_extension(uint8_t protocol)
{
    switch (protocol) {
    case IP_PROTOCOL_HOP_BY_HOP:
    case IP_PROTOCOL_ROUTING:
    case IP_PROTOCOL_FRAGMENT:
    case IP_PROTOCOL_AH:
    case IP_PROTOCOL_DESTINATION:
    case IP_PROTOCOL_MOBILITY:
    case IP_PROTOCOL_HIP:
    case IP_PROTOCOL_SHIM6:
        return true;
    default:
        return false;
    }
}

/* Steps over one extension header of `type`. WIRE_TRUNCATED: it is longer than what is left. */
enum wire_status ipv6_extension_parse(struct cursor *in, uint8_t type, struct ipv6_extension *out);
