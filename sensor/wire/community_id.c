#include "sensor/wire/community_id.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "base/hash.h"
#include "sensor/wire/icmp.h"
#include "sensor/wire/packet.h"

static bool has_ports(uint8_t protocol)
{
    return protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_UDP ||
           protocol == IP_PROTOCOL_SCTP || protocol == IP_PROTOCOL_ICMP ||
           protocol == IP_PROTOCOL_ICMPV6;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The lower 24 bits. */
static void base64_group(uint32_t bits, char out[4])
{
    out[0] = base64_digits[bits >> 18 & 63];
    out[1] = base64_digits[bits >> 12 & 63];
    out[2] = base64_digits[bits >> 6 & 63];
    out[3] = base64_digits[bits & 63];
}

static void base64_digest(const uint32_t words[5], char out[29])
{
    base64_group(words[0] >> 8, out);
    base64_group(words[0] << 16 | words[1] >> 16, out + 4);
    base64_group(words[1] << 8 | words[2] >> 24, out + 8);
    base64_group(words[2], out + 12);
    base64_group(words[3] >> 8, out + 16);
    base64_group(words[3] << 16 | words[4] >> 16, out + 20);
    base64_group(words[4] << 8, out + 24);
    out[27] = '='; /* 20 bytes leave one short of a group */
    out[28] = '\0';
}

static uint8_t *put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

/* memcmp of four bytes without a call. */
static int compare_4(const uint8_t *a, const uint8_t *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    x = ntohl(x);
    y = ntohl(y);
    return (x > y) - (x < y);
}

void community_id_v1(const struct community_id_flow *flow, uint16_t seed,
                     char out[COMMUNITY_ID_TEXT_BYTES])
{
    const size_t address_bytes = flow->source.version == 6 ? 16 : 4;
    const uint8_t *low = flow->source.bytes;
    const uint8_t *high = flow->target.bytes;
    uint16_t low_port = flow->source_port;
    uint16_t high_port = flow->target_port;
    bool is_one_way = false;

    if (flow->protocol == IP_PROTOCOL_ICMP || flow->protocol == IP_PROTOCOL_ICMPV6) {
        const int counterpart = icmp_reply_type(flow->protocol, flow->source_port);

        is_one_way = counterpart < 0;
        high_port = is_one_way ? flow->target_port : (uint16_t)counterpart;
    }
    const int order = address_bytes == 4 ? compare_4(low, high) : memcmp(low, high, 16);
    if (!is_one_way && (order > 0 || (order == 0 && low_port > high_port))) {
        low = flow->target.bytes;
        high = flow->source.bytes;
        const uint16_t port = low_port;
        low_port = high_port;
        high_port = port;
    }

    uint8_t block[64] = {0};
    uint32_t digest[5];
    uint8_t *at = put_u16(block, seed);
    if (address_bytes == 4) {
        memcpy(at, low, 4);
        memcpy(at + 4, high, 4);
    } else {
        memcpy(at, low, 16);
        memcpy(at + 16, high, 16);
    }
    at += 2 * address_bytes;
    *at++ = flow->protocol;
    *at++ = 0; /* padding by the specification */
    if (has_ports(flow->protocol)) {
        at = put_u16(at, low_port);
        at = put_u16(at, high_port);
    }
    hash_sha1_short(block, (size_t)(at - block), digest);
    out[0] = '1';
    out[1] = ':';
    base64_digest(digest, out + 2);
}
