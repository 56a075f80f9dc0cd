#include "base/hash.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "base/byte_order.h"
#include "base/clock.h"

static void random_bytes(void *out, size_t length)
{
    uint8_t *at = out;
    size_t left = length;
    while (left > 0) {
        const ssize_t got = getrandom(at, left, 0);
        if (got > 0) {
            at += got;
            left -= (size_t)got;
        } else if (got < 0 && errno != EINTR) {
            break;
        }
    }
    /* A kernel or a sandbox without getrandom: weak, but different for each process and call. */
    static _Thread_local uint64_t calls;
    uint64_t state = hash_mix(clock_wall_ns() ^ (uint64_t)(uintptr_t)&left) + ++calls;
    while (left > 0) {
        state = hash_mix(state + clock_monotonic_ns() + UINT64_C(0x9e3779b97f4a7c15));
        const size_t piece = left < sizeof(state) ? left : sizeof(state);
        memcpy(at, &state, piece);
        at += piece;
        left -= piece;
    }
}

struct hash_key hash_key_random(void)
{
    struct hash_key key;
    random_bytes(&key, sizeof(key));
    return key;
}

void hash_random_hex(char out[33])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[16];
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
    out[32] = '\0';
}

static inline uint64_t rotate_left_64(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline uint32_t rotate_left_32(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

/* By value: an array that loops change would stay in memory. */
struct sip_state {
    uint64_t a, b, c, d;
};

static inline struct sip_state sip_round(struct sip_state v)
{
    v.a += v.b;
    v.b = rotate_left_64(v.b, 13) ^ v.a;
    v.a = rotate_left_64(v.a, 32);
    v.c += v.d;
    v.d = rotate_left_64(v.d, 16) ^ v.c;
    v.a += v.d;
    v.d = rotate_left_64(v.d, 21) ^ v.a;
    v.c += v.b;
    v.b = rotate_left_64(v.b, 17) ^ v.c;
    v.c = rotate_left_64(v.c, 32);
    return v;
}

/* The last up to seven bytes of `length`, and that. */
static inline uint64_t sip_last(const uint8_t *at, size_t left, size_t length)
{
    uint64_t last = (uint64_t)length << 56;

    for (size_t i = 0; i < left; i++) {
        last |= (uint64_t)at[i] << (8 * i);
    }
    return last;
}

static inline struct sip_state sip_begin(struct hash_key key)
{
    return (struct sip_state){
        .a = key.a ^ UINT64_C(0x736f6d6570736575),
        .b = key.b ^ UINT64_C(0x646f72616e646f6d),
        .c = key.a ^ UINT64_C(0x6c7967656e657261),
        .d = key.b ^ UINT64_C(0x7465646279746573),
    };
}

static inline struct sip_state sip_add(struct sip_state v, uint64_t word)
{
    v.d ^= word;
    v = sip_round(v);
    v.a ^= word;
    return v;
}

static ALWAYS_INLINE uint64_t sip_end(struct sip_state v, uint64_t last)
{
    v = sip_add(v, last);
    v.c ^= 0xff;
    v = sip_round(sip_round(sip_round(v)));
    return v.a ^ v.b ^ v.c ^ v.d;
}

uint64_t hash_bytes(struct hash_key key, const void *bytes, size_t length)
{
    struct sip_state v = sip_begin(key);
    const uint8_t *at = bytes;
    size_t left = length;
    for (; left >= 8; left -= 8, at += 8) {
        v = sip_add(v, load_le64(at));
    }
    return sip_end(v, sip_last(at, left, length));
}

uint64_t hash_words(struct hash_key key, const uint64_t *words, size_t count)
{
    struct sip_state v = sip_begin(key);
    for (size_t i = 0; i < count; i++) {
        v = sip_add(v, words[i]);
    }
    return sip_end(v, (uint64_t)(8 * count) << 56);
}

#define CRC32C_POLYNOMIAL UINT32_C(0x82f63b78) /* bits reversed */

/* Eight tables: a step eats eight bytes. Filled before main, so that any thread may read them. */
static uint32_t crc_tables[8][256];

__attribute__((constructor)) static void fill_crc_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = (crc & 1) != 0 ? crc >> 1 ^ CRC32C_POLYNOMIAL : crc >> 1;
        }
        crc_tables[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (unsigned t = 1; t < 8; t++) {
            const uint32_t before = crc_tables[t - 1][i];
            crc_tables[t][i] = before >> 8 ^ crc_tables[0][before & 0xff];
        }
    }
}

uint32_t hash_crc32c_portable(uint32_t crc, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint32_t c = ~crc;
    for (; length >= 8; length -= 8, at += 8) {
        const uint64_t word = load_le64(at) ^ c;
        c = 0;
        for (unsigned i = 0; i < 8; i++) {
            c ^= crc_tables[7 - i][word >> (8 * i) & 0xff];
        }
    }
    for (size_t i = 0; i < length; i++) {
        c = c >> 8 ^ crc_tables[0][(c ^ at[i]) & 0xff];
    }
    return ~c;
}

#ifdef __x86_64__
/* The instruction takes eight bytes each cycle but hands its result on only after three: three
 * lanes side by side keep it busy. Behind them the lanes become one: CRCs are remainders, so that
 * of a lane is multiplied by x^(bits behind it) and what comes out is read together with the eight
 * bytes that follow. The constants are x^(8 * bytes - 33) modulo the polynomial, bits reversed. */
#define CRC_LANE_BYTES   ((size_t)512)
#define CRC_STEP_BYTES   (3 * CRC_LANE_BYTES + 8)
#define CRC_BY_ONE_LANE  0xbd6f81f8 /* bytes = 1 * CRC_LANE_BYTES + 8 */
#define CRC_BY_TWO_LANES 0xfe314258 /* bytes = 2 * CRC_LANE_BYTES + 8 */

__attribute__((target("sse4.2,pclmul"))) static uint64_t crc_shift(uint64_t crc, int64_t by)
{
    const __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi64_si128(by), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* One step: `at` has CRC_STEP_BYTES. */
__attribute__((target("sse4.2,pclmul"))) static uint64_t crc_three_lanes(uint64_t crc,
                                                                         const uint8_t *at)
{
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < CRC_LANE_BYTES; i += 8) {
        crc = __builtin_ia32_crc32di(crc, load_le64(at + i));
        second = __builtin_ia32_crc32di(second, load_le64(at + CRC_LANE_BYTES + i));
        third = __builtin_ia32_crc32di(third, load_le64(at + 2 * CRC_LANE_BYTES + i));
    }
    const uint64_t before = crc_shift(crc, CRC_BY_TWO_LANES) ^ crc_shift(second, CRC_BY_ONE_LANE);
    return __builtin_ia32_crc32di(third, load_le64(at + 3 * CRC_LANE_BYTES) ^ before);
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t
crc32c_native(uint32_t crc, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t c = (uint32_t)~crc;
    for (; length >= CRC_STEP_BYTES; length -= CRC_STEP_BYTES, at += CRC_STEP_BYTES) {
        c = crc_three_lanes(c, at);
    }
    for (; length >= 8; length -= 8, at += 8) {
        c = __builtin_ia32_crc32di(c, load_le64(at));
    }
    uint32_t c32 = (uint32_t)c;
    for (size_t i = 0; i < length; i++) {
        c32 = __builtin_ia32_crc32qi(c32, at[i]);
    }
    return ~c32;
}
#endif

uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t length)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")) {
        return crc32c_native(crc, bytes, length);
    }
#endif
    return hash_crc32c_portable(crc, bytes, length);
}

static void sha1_block(uint32_t h[5], const uint8_t block[64])
{
    uint32_t w[80];
    for (size_t i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (unsigned i = 16; i < 80; i++) {
        w[i] = rotate_left_32(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (unsigned i = 0; i < 80; i++) {
        uint32_t f;
        if (i < 20) {
            f = ((b & c) | (~b & d)) + UINT32_C(0x5a827999);
        } else if (i < 40) {
            f = (b ^ c ^ d) + UINT32_C(0x6ed9eba1);
        } else if (i < 60) {
            f = ((b & c) | (b & d) | (c & d)) + UINT32_C(0x8f1bbcdc);
        } else {
            f = (b ^ c ^ d) + UINT32_C(0xca62c1d6);
        }
        const uint32_t next = rotate_left_32(a, 5) + f + e + w[i];
        e = d;
        d = c;
        c = rotate_left_32(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

#ifdef __x86_64__
/* The same by the processor's SHA extensions: four rounds a step. The words of the next steps are
 * made beside them, all in registers: one after the other, in loops, takes twice as long. */
#define SHA1_STEP(i, w0)                                                                           \
    step = (i) == 0 ? _mm_add_epi32(e, (w0)) : _mm_sha1nexte_epu32(before, (w0));                  \
    before = abcd;                                                                                 \
    abcd = _mm_sha1rnds4_epu32(abcd, step, (i) / 5);
#define SHA1_STEP_AND_WORDS(i, w0, w1, w2, w3)                                                     \
    SHA1_STEP(i, w0)                                                                               \
    (w0) = _mm_sha1msg2_epu32(_mm_xor_si128(_mm_sha1msg1_epu32((w0), (w1)), (w2)), (w3));
#define SHA1_FOUR_STEPS(i)                                                                         \
    SHA1_STEP_AND_WORDS(i, a, b, c, d)                                                             \
    SHA1_STEP_AND_WORDS((i) + 1, b, c, d, a)                                                       \
    SHA1_STEP_AND_WORDS((i) + 2, c, d, a, b)                                                       \
    SHA1_STEP_AND_WORDS((i) + 3, d, a, b, c)

#define NATIVE_SHA1 __attribute__((target("sha,sse4.1")))

/* `a` to `d`: the block's sixteen words, the first of four in the highest lane. */
NATIVE_SHA1 static ALWAYS_INLINE void sha1_words_native(uint32_t h[5], __m128i a, __m128i b,
                                                        __m128i c, __m128i d)
{
    const __m128i start =
        _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)h), 0x1b);
    const __m128i e = _mm_set_epi32((int)h[4], 0, 0, 0);
    __m128i abcd = start, before, step;

    SHA1_FOUR_STEPS(0)
    SHA1_FOUR_STEPS(4)
    SHA1_FOUR_STEPS(8)
    SHA1_FOUR_STEPS(12)
    SHA1_STEP(16, a)
    SHA1_STEP(17, b)
    SHA1_STEP(18, c)
    SHA1_STEP(19, d)
    const __m128i last = _mm_sha1nexte_epu32(before, e);
    abcd = _mm_shuffle_epi32(_mm_add_epi32(abcd, start), 0x1b);
    _mm_storeu_si128((__m128i *)(void *)h, abcd);
    h[4] = (uint32_t)_mm_extract_epi32(last, 3);
}

NATIVE_SHA1 static ALWAYS_INLINE __m128i sha1_words_of(__m128i bytes)
{
    return _mm_shuffle_epi8(bytes, _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f));
}

NATIVE_SHA1 static void sha1_block_native(uint32_t h[5], const uint8_t block[64])
{
    const __m128i *const at = (const __m128i *)(const void *)block;

    sha1_words_native(h, sha1_words_of(_mm_loadu_si128(at)), sha1_words_of(_mm_loadu_si128(at + 1)),
                      sha1_words_of(_mm_loadu_si128(at + 2)),
                      sha1_words_of(_mm_loadu_si128(at + 3)));
}

NATIVE_SHA1 static void sha1_16_native(uint64_t first, uint64_t second, uint32_t h[5])
{
    sha1_words_native(h, sha1_words_of(_mm_set_epi64x((int64_t)second, (int64_t)first)),
                      _mm_set_epi32(INT32_MIN, 0, 0, 0), _mm_setzero_si128(),
                      _mm_set_epi32(0, 0, 0, 128));
}

bool hash_has_native_sha1(void)
{
    static _Atomic int known; /* 0: not asked, 1: no, 2: yes; every thread finds the same */
    int is_there = atomic_load_explicit(&known, memory_order_relaxed);

    if (is_there == 0) {
        unsigned a, b, c, d;
        is_there = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0 &&
                           __builtin_cpu_supports("sse4.1")
                       ? 2
                       : 1;
        atomic_store_explicit(&known, is_there, memory_order_relaxed);
    }
    return is_there == 2;
}
#else
bool hash_has_native_sha1(void)
{
    return false;
}
#endif

#define SHA1_START                                                                                 \
    {                                                                                              \
        UINT32_C(0x67452301), UINT32_C(0xefcdab89), UINT32_C(0x98badcfe), UINT32_C(0x10325476),    \
            UINT32_C(0xc3d2e1f0)                                                                   \
    }

static void sha1_with(void (*on_block)(uint32_t h[5], const uint8_t block[64]), const void *bytes,
                      size_t length, uint8_t digest[20])
{
    uint32_t h[5] = SHA1_START;
    const uint8_t *at = bytes;
    size_t left = length;
    for (; left >= 64; left -= 64, at += 64) {
        on_block(h, at);
    }
    uint8_t tail[128] = {0};
    if (left > 0) {
        memcpy(tail, at, left);
    }
    tail[left] = 0x80;
    const size_t tail_bytes = left < 56 ? 64 : 128;
    const uint64_t bits = (uint64_t)length * 8;
    for (unsigned i = 0; i < 8; i++) {
        tail[tail_bytes - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    on_block(h, tail);
    if (tail_bytes == 128) {
        on_block(h, tail + 64);
    }
    for (unsigned i = 0; i < 20; i++) {
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    }
}

void hash_sha1_portable(const void *bytes, size_t length, uint8_t digest[20])
{
    sha1_with(sha1_block, bytes, length, digest);
}

void hash_sha1(const void *bytes, size_t length, uint8_t digest[20])
{
#ifdef __x86_64__
    if (hash_has_native_sha1()) {
        sha1_with(sha1_block_native, bytes, length, digest);
        return;
    }
#endif
    hash_sha1_portable(bytes, length, digest);
}

/* What stands behind a message within its only block. */
static void pad_short(uint8_t block[64], size_t length)
{
    block[length] = 0x80;
    block[62] = (uint8_t)(length >> 5); /* its bits */
    block[63] = (uint8_t)(length << 3);
}

static void sha1_short_with(void (*on_block)(uint32_t h[5], const uint8_t block[64]),
                            uint8_t block[64], size_t length, uint32_t digest[5])
{
    static const uint32_t start[5] = SHA1_START;

    pad_short(block, length);
    memcpy(digest, start, sizeof(start));
    on_block(digest, block);
}

void hash_sha1_short_portable(uint8_t block[64], size_t length, uint32_t digest[5])
{
    sha1_short_with(sha1_block, block, length, digest);
}

void hash_sha1_short(uint8_t block[64], size_t length, uint32_t digest[5])
{
#ifdef __x86_64__
    if (hash_has_native_sha1()) {
        sha1_short_with(sha1_block_native, block, length, digest);
        return;
    }
#endif
    hash_sha1_short_portable(block, length, digest);
}

void hash_sha1_16_portable(uint64_t first, uint64_t second, uint32_t digest[5])
{
    uint8_t block[64] = {0};

    store_le64(block, first);
    store_le64(block + 8, second);
    hash_sha1_short_portable(block, 16, digest);
}

void hash_sha1_16(uint64_t first, uint64_t second, uint32_t digest[5])
{
    static const uint32_t start[5] = SHA1_START;

#ifdef __x86_64__
    if (hash_has_native_sha1()) {
        memcpy(digest, start, sizeof(start));
        sha1_16_native(first, second, digest);
        return;
    }
#endif
    hash_sha1_16_portable(first, second, digest);
}
