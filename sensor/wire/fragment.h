/* What an IP fragment says of itself: which datagram it is part of and where its bytes belong (RFC
 * 791 2.3, 8200 4.5). Depends on: wire/cursor.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"

struct fragment {
    uint8_t ip_version;
    uint8_t protocol; /* IPv4: of the datagram; IPv6: the fragment header's next header, which in a
                         later fragment means nothing */
    bool has_more;
    bool is_atomic;     /* a fragment header around a whole datagram (RFC 6946) */
    uint8_t source[16]; /* network order; IPv4 in the first four, the rest 0 */
    uint8_t target[16];
    uint32_t id;
    uint32_t offset_bytes;
    uint32_t data_bytes;   /* as the headers declare; may exceed what was captured */
    uint32_t header_bytes; /* from the IP header to the data */
};

/* Reads the fragment whose IP header stands at `offset` of `frame`. False: there is no fragment
 * (header not whole, or none of it says so). An IPv4 total length of 0 (segmentation offload) means
 * up to the end of `frame`. */
bool fragment_read(const struct wire_span *frame, uint32_t offset, struct fragment *out);

/* Bytes of transport header that the first fragment of an honest sender holds: TCP 20, UDP 8, ...;
 * 0 for a protocol that this knows nothing of. */
uint32_t fragment_first_bytes_min(uint8_t protocol);
