/* IPv4 headers (RFC 791). Inline, since it is on the way of every packet.
 * Depends on: wire/cursor.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"

#define IPV4_HEADER_BYTES 20

struct ipv4 {
    const uint8_t *header; /* NULL when not even the fixed header was there */
    uint32_t header_bytes;
    uint32_t total_bytes; /* as the header says; 0 with segmentation offload */
    uint16_t id;
    uint16_t fragment_offset_bytes;
    bool has_more_fragments;
    bool is_dont_fragment;
    uint8_t traffic_class; /* DSCP and ECN */
    uint8_t ttl;
    uint8_t protocol;
    uint16_t checksum;
    const uint8_t *source; /* 4 bytes */
    const uint8_t *target;
};

/* Reads a header with its options and narrows `in` to the payload. On failure `in` has not changed,
 * and out->header tells whether the fixed part was read. WIRE_TRUNCATED: the capture ends inside
 * the header. WIRE_MALFORMED: version not 4, header length below 20 bytes or beyond the total
 * length. */
static inline enum wire_status ipv4_parse(struct cursor *in, struct ipv4 *out)
{
    struct cursor c = *in;
    const uint8_t *at = cursor_take(&c, IPV4_HEADER_BYTES);

    out->header = NULL;
    if (at == NULL) {
        return WIRE_TRUNCATED;
    }
    if (at[0] >> 4 != 4) {
        return WIRE_MALFORMED;
    }
    const uint16_t fragment = wire_u16(at + 6);
    *out = (struct ipv4){
        .header = at,
        .header_bytes = (at[0] & 0x0fU) * 4U,
        .total_bytes = wire_u16(at + 2),
        .id = wire_u16(at + 4),
        .fragment_offset_bytes = (uint16_t)((fragment & 0x1fff) << 3),
        .has_more_fragments = (fragment & 0x2000) != 0,
        .is_dont_fragment = (fragment & 0x4000) != 0,
        .traffic_class = at[1],
        .ttl = at[8],
        .protocol = at[9],
        .checksum = wire_u16(at + 10),
        .source = at + 12,
        .target = at + 16,
    };
    if (out->header_bytes < IPV4_HEADER_BYTES ||
        (out->total_bytes != 0 && out->total_bytes < out->header_bytes)) {
        return WIRE_MALFORMED;
    }
    if (out->header_bytes > IPV4_HEADER_BYTES) {
        cursor_skip(&c, out->header_bytes - IPV4_HEADER_BYTES);
        if (!c.ok) {
            return WIRE_TRUNCATED;
        }
    }
    if (out->total_bytes != 0) {
        cursor_limit(&c, out->total_bytes - out->header_bytes); /* the rest is link padding */
    }
    *in = c;
    return WIRE_OK;
}

/* Whether the one's complement sum over the `header_bytes` (a multiple of 4) of `header` is right.
 */
static inline bool ipv4_checksum_is_right(const uint8_t *header, uint32_t header_bytes)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < header_bytes; i += 4) {
        sum += wire_u32(header + i);
    }
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

/* The same of a header without options. The sum may be built in any byte order (RFC 1071 2 B). */
static inline bool ipv4_plain_checksum_is_right(const uint8_t *header)
{
    uint64_t words[2];
    uint32_t last;

    memcpy(words, header, sizeof(words));
    memcpy(&last, header + sizeof(words), sizeof(last));
    uint64_t sum =
        (words[0] >> 32) + (uint32_t)words[0] + (words[1] >> 32) + (uint32_t)words[1] + last;
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}
