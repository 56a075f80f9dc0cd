/* ICMP (RFC 792) and ICMPv6 (RFC 4443, 4861) headers. Errors are not opened: what they quote is
 * payload. Depends on: wire/cursor.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"

#define ICMP_HEADER_BYTES 8

struct icmp {
    uint8_t type;
    uint8_t code;
    uint16_t checksum;
    uint16_t id;       /* of an echo; else 0 */
    uint16_t sequence; /* of an echo; else 0 */
    bool is_echo;
};

/* Reads the header (8 bytes, or the 4 that every message has) and moves `in` behind it.
 * `ip_version` tells the two apart. WIRE_TRUNCATED: fewer than 4 bytes. */
enum wire_status icmp_parse(struct cursor *in, uint8_t ip_version, struct icmp *out);

/* "echo request", "destination unreachable", ...; NULL for a type without a well-known name. */
const char *icmp_type_name(uint8_t ip_version, uint8_t type);

/* The type that answers `type` or that it answers (echo, timestamp, ..., as Community ID v1 pairs
 * them), for `protocol` ICMP or ICMPv6; -1 when there is none: a one-way message. */
int icmp_reply_type(uint8_t protocol, uint16_t type);
