#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "base/ascii.h"
#include "base/byte_order.h"

static const char hex_digits[] = "0123456789abcdef";

#define LANES(value) ((value)*UINT64_C(0x0001000100010001))

/* "012." without as many zeros in front. Touches four bytes. */
static ALWAYS_INLINE char *put_octet(char *out, uint32_t text, uint64_t left_out)
{
    store_le32(out, text >> 8 * left_out);
    return out + 4 - left_out;
}

/* Touches 16 bytes, whatever the length: of ADDRESS_TEXT_BYTES there are as many left. All four
 * octets at once, sixteen bits each; without a table and without jumps: the octets of flows are
 * random, and lines of a table would be cold. */
static ALWAYS_INLINE char *put_quad(char *out, uint32_t address)
{
    const uint64_t evens = UINT64_C(0x0000ffff0000ffff);
    uint64_t x = address;

    x = (x | x << 16) & evens;
    x = (x | x << 8) & LANES(0xff);
    const uint64_t hundreds = x * 41 >> 12 & LANES(0xf); /* exact below 256 */
    const uint64_t rest = x - hundreds * 100;
    const uint64_t tens = rest * 103 >> 10 & LANES(0xf); /* exact below 100 */
    const uint64_t ones = rest - tens * 10;
    const uint64_t first = (hundreds | tens << 8) + LANES(0x3030); /* "00" */
    const uint64_t last = ones + LANES(0x2e30);                    /* "0." */
    const uint64_t even = (first & evens) | (last & evens) << 16;
    const uint64_t odd = (first >> 16 & evens) | (last & ~evens);
    /* Leading zeros: two less one for ten, one for a hundred and more, which carry into the top. */
    const uint64_t digits =
        ((x + LANES(0x8000 - 10)) >> 15 & LANES(1)) + ((x + LANES(0x8000 - 100)) >> 15 & LANES(1));
    const uint64_t left_out = LANES(2) - digits;
    char *at = put_octet(out, (uint32_t)even, left_out & 3);

    at = put_octet(at, (uint32_t)odd, left_out >> 16 & 3);
    at = put_octet(at, (uint32_t)(even >> 32), left_out >> 32 & 3);
    at = put_octet(at, (uint32_t)(odd >> 32), left_out >> 48);
    return at - 1; /* the dot behind the last octet is not part of the text */
}

static char *put_group(char *out, unsigned group)
{
    if (group > 0xfff) {
        *out++ = hex_digits[group >> 12];
    }
    if (group > 0xff) {
        *out++ = hex_digits[group >> 8 & 15];
    }
    if (group > 0xf) {
        *out++ = hex_digits[group >> 4 & 15];
    }
    *out++ = hex_digits[group & 15];
    return out;
}

static bool is_mapped_v4(const uint8_t bytes[16])
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

static char *put_v6(char *out, const uint8_t bytes[16])
{
    if (is_mapped_v4(bytes)) { /* RFC 5952 section 5 */
        static const char mapped[7] = {':', ':', 'f', 'f', 'f', 'f', ':'};
        memcpy(out, mapped, sizeof(mapped));
        return put_quad(out + sizeof(mapped), load_le32(bytes + 12));
    }
    unsigned groups[8];
    for (size_t i = 0; i < 8; i++) {
        groups[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
    }
    /* The first of the longest runs of at least two zero groups is written "::" (section 4.2). */
    unsigned run_start = 8, run_length = 1;
    for (unsigned i = 0; i < 8;) {
        unsigned end = i;
        while (end < 8 && groups[end] == 0) {
            end++;
        }
        if (end - i > run_length) {
            run_start = i;
            run_length = end - i;
        }
        i = end + 1;
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i == run_start) {
            *out++ = ':';
            *out++ = ':';
            i += run_length - 1;
            continue;
        }
        if (i > 0 && i != run_start + run_length) {
            *out++ = ':';
        }
        out = put_group(out, groups[i]);
    }
    return out;
}

unsigned address_ipv4_text(uint32_t address, char out[ADDRESS_TEXT_BYTES])
{
    return (unsigned)(put_quad(out, load_le32(&address)) - out);
}

unsigned address_text(const struct ip_address *address, char out[ADDRESS_TEXT_BYTES])
{
    char *end = out;
    if (address->version == 4) {
        end = put_quad(out, load_le32(address->bytes));
    } else if (address->version == 6) {
        end = put_v6(out, address->bytes);
    }
    *end = '\0';
    return (unsigned)(end - out);
}

/* "01:ab:23": eight characters of three bytes, the first in the lowest byte. */
static uint64_t mac_half(const uint8_t bytes[3])
{
    const uint64_t x = bytes[0] | (uint64_t)bytes[1] << 24 | (uint64_t)bytes[2] << 48;
    const uint64_t nibbles =
        (x >> 4 & UINT64_C(0x000f00000f00000f)) | (x & UINT64_C(0x000f00000f00000f)) << 8;
    /* 10 and more carry into bit 4. */
    const uint64_t is_letter =
        (nibbles + UINT64_C(0x0606000606000606)) >> 4 & UINT64_C(0x0101000101000101);

    return nibbles + UINT64_C(0x30303a30303a3030) + is_letter * ('a' - '0' - 10);
}

#ifdef __x86_64__
/* All twelve digits at once; the last, which the colons push out of sixteen, by itself. */
__attribute__((target("ssse3"))) static void mac_text_native(const uint8_t mac[6], char *out)
{
    const __m128i digits = _mm_setr_epi8('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b',
                                         'c', 'd', 'e', 'f');
    const __m128i places = _mm_setr_epi8(0, 1, -1, 2, 3, -1, 4, 5, -1, 6, 7, -1, 8, 9, -1, 10);
    const __m128i colons = _mm_setr_epi8(0, 0, ':', 0, 0, ':', 0, 0, ':', 0, 0, ':', 0, 0, ':', 0);
    const __m128i nibble = _mm_set1_epi8(15);
    const __m128i bytes =
        _mm_cvtsi64_si128((int64_t)(load_le32(mac) | (uint64_t)load_le32(mac + 2) << 16));
    const __m128i nibbles = _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi64(bytes, 4), nibble),
                                              _mm_and_si128(bytes, nibble));
    const __m128i text = _mm_shuffle_epi8(digits, nibbles);

    _mm_storeu_si128((__m128i *)(void *)out, _mm_or_si128(_mm_shuffle_epi8(text, places), colons));
    out[16] = (char)(_mm_extract_epi16(text, 5) >> 8);
    out[17] = '\0';
}
#endif

unsigned mac_text(const uint8_t mac[6], char out[MAC_TEXT_BYTES])
{
#ifdef __x86_64__
    if (LIKELY(__builtin_cpu_supports("ssse3"))) {
        mac_text_native(mac, out);
        return 17;
    }
#endif
    store_le64(out, mac_half(mac));
    out[8] = ':';
    store_le64(out + 9, mac_half(mac + 3));
    out[17] = '\0';
    return 17;
}

/* Four decimal numbers without leading zeros, as inet_pton(3) has it. */
static bool parse_v4(const char *text, size_t length, uint8_t out[4])
{
    unsigned octet = 0, value = 0;
    bool has_digit = false;

    for (size_t i = 0; i < length; i++) {
        const unsigned digit = (uint8_t)text[i] - (unsigned)'0';
        if (digit < 10) {
            if (has_digit && value == 0) {
                return false;
            }
            value = value * 10 + digit;
            if (value > UINT8_MAX) {
                return false;
            }
            has_digit = true;
        } else {
            if (text[i] != '.' || !has_digit || octet == 3) {
                return false;
            }
            out[octet++] = (uint8_t)value;
            value = 0;
            has_digit = false;
        }
    }
    out[octet] = (uint8_t)value;
    return octet == 3 && has_digit;
}

bool address_parse(const char *text, size_t length, struct ip_address *out)
{
    char copy[ADDRESS_TEXT_BYTES];
    struct ip_address address = {.version = 4};

    if (length == 0 || length >= sizeof(copy)) {
        return false;
    }
    if (!parse_v4(text, length, address.bytes)) {
        if (memchr(text, ':', length) == NULL || memchr(text, '\0', length) != NULL) {
            return false;
        }
        memcpy(copy, text, length);
        copy[length] = '\0';
        address = (struct ip_address){.version = 6};
        if (inet_pton(AF_INET6, copy, address.bytes) != 1) {
            return false;
        }
    }
    *out = address;
    return true;
}

bool mac_parse(const char *text, size_t length, uint8_t out[6])
{
    if (length != 17 || (text[2] != ':' && text[2] != '-')) {
        return false;
    }
    uint8_t mac[6];
    for (size_t i = 0; i < 6; i++) {
        const int high = ascii_hex_value(text[3 * i]);
        const int low = ascii_hex_value(text[3 * i + 1]);
        if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != text[2])) {
            return false;
        }
        mac[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(out, mac, sizeof(mac));
    return true;
}

int address_compare(const struct ip_address *a, const struct ip_address *b)
{
    if (a->version != b->version) {
        return a->version < b->version ? -1 : 1;
    }
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* True when all bits of `bytes` from `from` up to `to` are 0. */
static bool bits_are_zero(const uint8_t *bytes, unsigned from, unsigned to)
{
    for (unsigned bit = from; bit < to; bit++) {
        if ((bytes[bit / 8] >> (7 - bit % 8) & 1) != 0) {
            return false;
        }
    }
    return true;
}

bool prefix_parse(const char *text, size_t length, struct ip_prefix *out)
{
    const char *slash = length > 0 ? memchr(text, '/', length) : NULL;
    const size_t address_length = slash != NULL ? (size_t)(slash - text) : length;
    struct ip_prefix prefix;
    if (!address_parse(text, address_length, &prefix.address)) {
        return false;
    }
    const unsigned bits_max = prefix.address.version == 4 ? 32 : 128;
    unsigned bits = bits_max;
    if (slash != NULL) {
        const size_t digits = length - address_length - 1;
        if (digits == 0 || digits > 3 || (digits > 1 && slash[1] == '0')) {
            return false;
        }
        bits = 0;
        for (size_t i = 1; i <= digits; i++) {
            if (slash[i] < '0' || slash[i] > '9') {
                return false;
            }
            bits = bits * 10 + (unsigned)(slash[i] - '0');
        }
    }
    if (bits > bits_max || !bits_are_zero(prefix.address.bytes, bits, bits_max)) {
        return false;
    }
    prefix.prefix_bits = (uint8_t)bits;
    *out = prefix;
    return true;
}

bool prefix_contains(const struct ip_prefix *prefix, const struct ip_address *address)
{
    if (prefix->address.version != address->version) {
        return false;
    }
    const unsigned whole = prefix->prefix_bits / 8;
    const unsigned rest = prefix->prefix_bits % 8;
    if (memcmp(prefix->address.bytes, address->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || (prefix->address.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

bool address_is_multicast(const struct ip_address *address)
{
    const uint8_t *b = address->bytes;
    if (address->version == 4) {
        return address_ipv4_is_multicast(b);
    }
    return address->version == 6 && b[0] == 0xff;
}

bool address_is_link_local(const struct ip_address *address)
{
    const uint8_t *b = address->bytes;
    if (address->version == 4) {
        return address_ipv4_is_link_local(b);
    }
    return address->version == 6 && b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
}

bool address_is_private(const struct ip_address *address)
{
    const uint8_t *b = address->bytes;
    if (address->version == 4) {
        return address_ipv4_is_private(b);
    }
    return address->version == 6 && (address_is_link_local(address) || (b[0] & 0xfe) == 0xfc ||
                                     (bits_are_zero(b, 0, 127) && b[15] == 1));
}

bool address_is_loopback(const struct ip_address *address)
{
    static const uint8_t loopback6[16] = {[15] = 1};

    if (address->version == 4) {
        return address->bytes[0] == 127;
    }
    return address->version == 6 && memcmp(address->bytes, loopback6, sizeof(loopback6)) == 0;
}

bool address_text_is_loopback(const char *text)
{
    struct ip_address address;

    return address_parse(text, strlen(text), &address) && address_is_loopback(&address);
}
