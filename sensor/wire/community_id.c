#include "sensor/wire/community_id.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "base/attributes.h"
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

/* The 28 digits of a digest; the last is '='. */
static void base64_digest_portable(const uint32_t words[5], char out[28])
{
    base64_group(words[0] >> 8, out);
    base64_group(words[0] << 16 | words[1] >> 16, out + 4);
    base64_group(words[1] << 8 | words[2] >> 24, out + 8);
    base64_group(words[2], out + 12);
    base64_group(words[3] >> 8, out + 16);
    base64_group(words[3] << 16 | words[4] >> 16, out + 20);
    base64_group(words[4] << 8, out + 24);
    out[27] = '='; /* 20 bytes leave one short of a group */
}

#ifdef __x86_64__
#define SSSE3 __attribute__((target("ssse3")))

/* Sixteen digits of three words at once. Each group of three bytes, a, b, c, comes into four as
 * b, a, c, b; multiplications move its four digits' bits into a byte each. What is then to be added
 * depends on the digit's range: a-z, ten numbers, +, /, A-Z. */
SSSE3 static ALWAYS_INLINE __m128i base64_of_words(__m128i words)
{
    const __m128i groups =
        _mm_shuffle_epi8(words, _mm_set_epi8(9, 8, 10, 9, 4, 11, 5, 4, 7, 6, 0, 7, 2, 1, 3, 2));
    const __m128i outer = _mm_mulhi_epu16(_mm_and_si128(groups, _mm_set1_epi32(0x0fc0fc00)),
                                          _mm_set1_epi32(0x04000040));
    const __m128i inner = _mm_mullo_epi16(_mm_and_si128(groups, _mm_set1_epi32(0x003f03f0)),
                                          _mm_set1_epi32(0x01000010));
    const __m128i digits = _mm_or_si128(outer, inner);
    const __m128i is_upper = _mm_cmpgt_epi8(_mm_set1_epi8(26), digits);
    const __m128i range = _mm_or_si128(_mm_subs_epu8(digits, _mm_set1_epi8(51)),
                                       _mm_and_si128(is_upper, _mm_set1_epi8(13)));
    const __m128i added =
        _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                      '0' - 52, '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);

    return _mm_add_epi8(digits, _mm_shuffle_epi8(added, range));
}

SSSE3 static void base64_digest_native(const uint32_t words[5], char out[28])
{
    const __m128i first = _mm_loadu_si128((const __m128i *)(const void *)words);
    const __m128i last = base64_of_words(_mm_set_epi32(0, 0, (int)words[4], (int)words[3]));

    _mm_storeu_si128((__m128i *)(void *)out, base64_of_words(first));
    _mm_storel_epi64((__m128i *)(void *)(out + 16), last);
    const uint32_t end = (uint32_t)_mm_cvtsi128_si32(_mm_srli_si128(last, 8));
    memcpy(out + 24, &end, sizeof(end));
    out[27] = '=';
}
#endif

/* Without a NUL. */
static void id_text(const uint32_t digest[5], char out[COMMUNITY_ID_TEXT_BYTES - 1])
{
    out[0] = '1';
    out[1] = ':';
#ifdef __x86_64__
    if (LIKELY(__builtin_cpu_supports("ssse3"))) {
        base64_digest_native(digest, out + 2);
        return;
    }
#endif
    base64_digest_portable(digest, out + 2);
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

struct community_id_words community_id_words_of(const struct community_id_ipv4 *flow, uint16_t seed)
{
    return (struct community_id_words){
        .first = (uint64_t)htons(seed) | (uint64_t)flow->low << 16 | (uint64_t)flow->high << 48,
        .second = (uint64_t)(flow->high >> 16) | (uint64_t)flow->protocol << 16 |
                  (uint64_t)htons(flow->low_port) << 32 | (uint64_t)htons(flow->high_port) << 48};
}

void community_id_v1_ipv4(const struct community_id_ipv4 *flow, uint16_t seed,
                          char out[COMMUNITY_ID_TEXT_BYTES])
{
    const struct community_id_words words = community_id_words_of(flow, seed);
    uint32_t digest[5];

    hash_sha1_16(words.first, words.second, digest);
    id_text(digest, out);
    out[COMMUNITY_ID_TEXT_BYTES - 1] = '\0';
}

void community_ids_make(struct community_ids *ids)
{
    const uint32_t count = ids->count;
    uint32_t digests[5][SHA1_LANES];
    uint32_t each[SHA1_LANES][5];

    if (count == 0) {
        return;
    }
    sha1_lanes(ids->first, ids->second, count, digests);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t word = 0; word < 5; word++) {
            each[i][word] = digests[word][i];
        }
    }
    /* All are put together before the first is read: at once it would wait for its last word. */
    for (uint32_t i = 0; i < count; i++) {
        id_text(each[i], ids->out[i]);
    }
    ids->count = 0;
}

void community_ids_add(struct community_ids *ids, const struct community_id_words *words, char *out)
{
    ids->first[ids->count] = words->first;
    ids->second[ids->count] = words->second;
    ids->out[ids->count++] = out;
    if (ids->count == SHA1_LANES) {
        community_ids_make(ids);
    }
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
    id_text(digest, out);
    out[COMMUNITY_ID_TEXT_BYTES - 1] = '\0';
}
