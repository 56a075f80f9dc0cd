/* UDP headers (RFC 768). Inline, since it is on the way of many packets.
 * Depends on: wire/cursor.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"

#define UDP_HEADER_BYTES 8

struct udp {
    uint16_t source_port;
    uint16_t target_port;
    uint16_t datagram_bytes; /* as the header says; 0 for jumbograms and segmentation offload */
    uint16_t checksum;
};

/* Reads a header and narrows `in` to its payload. On failure nothing has changed.
 * WIRE_TRUNCATED: what is left ends inside the header. WIRE_MALFORMED: length of 1 to 7 bytes. */
static inline enum wire_status udp_parse(struct cursor *in, struct udp *out)
{
    struct cursor c = *in; /* a copy: failure leaves the caller's where it was */
    const uint8_t *at = cursor_take(&c, UDP_HEADER_BYTES);

    if (at == NULL) {
        return WIRE_TRUNCATED;
    }
    const uint16_t datagram_bytes = wire_u16(at + 4);
    if (datagram_bytes != 0) { /* 0: RFC 2675, the IP length counts */
        if (datagram_bytes < UDP_HEADER_BYTES) {
            return WIRE_MALFORMED;
        }
        cursor_limit(&c, datagram_bytes - UDP_HEADER_BYTES); /* the rest is padding */
    }
    *in = c;
    *out = (struct udp){.source_port = wire_u16(at),
                        .target_port = wire_u16(at + 2),
                        .datagram_bytes = datagram_bytes,
                        .checksum = wire_u16(at + 6)};
    return WIRE_OK;
}
