/* IPv4, IPv6 and MAC addresses and their text (RFC 5952). Depends on: libc. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attributes.h"
#include "base/byte_order.h"

struct ip_address {
    uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest 0 */
    uint8_t version;   /* 4, 6; 0 = unknown */
};

/* The IPv4 address whose four bytes lie in `bytes` as in a packet. In one store: a copy made of it
 * reads sixteen bytes, and would wait for them where they were written in pieces. */
static ALWAYS_INLINE struct ip_address address_of_ipv4(const void *bytes)
{
    typedef uint32_t lanes __attribute__((vector_size(16)));
    lanes words = {0};
    uint32_t first;
    struct ip_address address;

    memcpy(&first, bytes, sizeof(first));
    words[0] = first;
    memcpy(address.bytes, &words, sizeof(address.bytes));
    address.version = 4;
    return address;
}

#define ADDRESS_TEXT_BYTES 46 /* longest IPv6 text and its NUL */
#define MAC_TEXT_BYTES     18

/* Text by RFC 5952 (dotted quad for IPv4, empty for version 0) with a NUL; returns its length.
 * Fast: own code, about 20 ns, since it is on the path of every record. */
unsigned address_text(const struct ip_address *address, char out[ADDRESS_TEXT_BYTES]);
/* The same of an IPv4 address as its bytes lie in memory, without the NUL. Touches 16 bytes. */
unsigned address_ipv4_text(uint32_t address, char out[ADDRESS_TEXT_BYTES]);
unsigned mac_text(const uint8_t mac[6], char out[MAC_TEXT_BYTES]);

/* False when `text` (of `length` bytes, no NUL needed) is no address; `out` is then unchanged. No
 * zone. */
MUST_USE bool address_parse(const char *text, size_t length, struct ip_address *out);
MUST_USE bool mac_parse(const char *text, size_t length, uint8_t out[6]);

static inline bool address_equal(const struct ip_address *a, const struct ip_address *b)
{
    uint64_t x[2], y[2];

    memcpy(x, a->bytes, sizeof(x));
    memcpy(y, b->bytes, sizeof(y));
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0 && a->version == b->version;
}

/* By version, then bytes: < 0, 0, > 0. */
int address_compare(const struct ip_address *a, const struct ip_address *b);

struct ip_prefix {
    struct ip_address address; /* bits behind prefix_bits are 0 */
    uint8_t prefix_bits;
};

/* "10.0.0.0/8", or an address alone (then all bits). False: not a prefix, or bits set behind it. */
MUST_USE bool prefix_parse(const char *text, size_t length, struct ip_prefix *out);
bool prefix_contains(const struct ip_prefix *prefix, const struct ip_address *address);

/* 224.0.0.0/4, ff00::/8 and 255.255.255.255. */
bool address_is_multicast(const struct ip_address *address);
/* 169.254.0.0/16 and fe80::/10. */
bool address_is_link_local(const struct ip_address *address);
/* RFC 1918, fc00::/7, loopback and link-local: the default of `networks.internal`. */
bool address_is_private(const struct ip_address *address);

/* The same three of the IPv4 address at `bytes`: for each flow of each second, and each record. */
static inline bool address_ipv4_is_multicast(const void *bytes)
{
    const uint32_t word = load_be32(bytes);

    return word >> 28 == 14 || word == UINT32_MAX;
}

static inline bool address_ipv4_is_link_local(const void *bytes)
{
    return load_be32(bytes) >> 16 == 0xa9fe;
}

static inline bool address_ipv4_is_private(const void *bytes)
{
    const uint32_t word = load_be32(bytes);

    /* No jump: which flow has which ends is anyone's guess. */
    return (unsigned)(word >> 24 == 10) | (unsigned)(word >> 24 == 127) |
           (unsigned)(word >> 20 == 0xac1) | (unsigned)(word >> 16 == 0xc0a8) |
           (unsigned)(word >> 16 == 0xa9fe);
}

/* 127.0.0.0/8 and ::1. */
bool address_is_loopback(const struct ip_address *address);
/* The same of a text; false where it is no address, a name too. */
bool address_text_is_loopback(const char *text);
