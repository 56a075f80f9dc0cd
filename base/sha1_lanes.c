#include "base/sha1_lanes.h"

#include <string.h>

#include "base/attributes.h"
#include "base/hash.h"

void sha1_lanes_portable(const uint64_t first[SHA1_LANES], const uint64_t second[SHA1_LANES],
                         unsigned count, uint32_t digests[5][SHA1_LANES])
{
    for (unsigned lane = 0; lane < count; lane++) {
        uint32_t digest[5];

        hash_sha1_16(first[lane], second[lane], digest);
        for (unsigned i = 0; i < 5; i++) {
            digests[i][lane] = digest[i];
        }
    }
}

#ifdef __x86_64__
#define LANES_WORTH_512 8 /* fewer take as long one after the other */

#define ROTATED(x, bits) ((x) << (bits) | (x) >> (32 - (bits)))

#define CHOICE(b, c, d)   ((d) ^ ((b) & ((c) ^ (d))))
#define PARITY(b, c, d)   ((b) ^ (c) ^ (d))
#define MAJORITY(b, c, d) (((b) & (c)) | ((d) & ((b) | (c))))

#define ROUND(f, added, a, b, c, d, e, word)                                                       \
    (e) += ROTATED(a, 5) + f(b, c, d) + (added) + (word);                                          \
    (b) = ROTATED(b, 30);
/* Five, after which each letter is itself again. */
#define ROUNDS(from, f, added)                                                                     \
    for (unsigned i = (from); i < (from) + 20; i += 5) {                                           \
        ROUND(f, UINT32_C(added), a, b, c, d, e, w[i])                                             \
        ROUND(f, UINT32_C(added), e, a, b, c, d, w[i + 1])                                         \
        ROUND(f, UINT32_C(added), d, e, a, b, c, w[i + 2])                                         \
        ROUND(f, UINT32_C(added), c, d, e, a, b, w[i + 3])                                         \
        ROUND(f, UINT32_C(added), b, c, d, e, a, w[i + 4])                                         \
    }

/* `name`(first, second, digests): the messages from `first` on, one word of each in a register of
 * type `lanes`. */
#define SIDE_BY_SIDE(name, lanes, count)                                                           \
    typedef uint32_t lanes __attribute__((vector_size(4 * (count))));                              \
    static ALWAYS_INLINE void name(const uint64_t *first, const uint64_t *second,                  \
                                   uint32_t(*digests)[SHA1_LANES])                                 \
    {                                                                                              \
        uint32_t words[4][count];                                                                  \
        lanes w[80];                                                                               \
        lanes a = (lanes){0} + UINT32_C(0x67452301);                                               \
        lanes b = (lanes){0} + UINT32_C(0xefcdab89);                                               \
        lanes c = (lanes){0} + UINT32_C(0x98badcfe);                                               \
        lanes d = (lanes){0} + UINT32_C(0x10325476);                                               \
        lanes e = (lanes){0} + UINT32_C(0xc3d2e1f0);                                               \
                                                                                                   \
        for (unsigned lane = 0; lane < (count); lane++) {                                          \
            words[0][lane] = __builtin_bswap32((uint32_t)first[lane]);                             \
            words[1][lane] = __builtin_bswap32((uint32_t)(first[lane] >> 32));                     \
            words[2][lane] = __builtin_bswap32((uint32_t)second[lane]);                            \
            words[3][lane] = __builtin_bswap32((uint32_t)(second[lane] >> 32));                    \
        }                                                                                          \
        memcpy(w, words, sizeof(words));                                                           \
        w[4] = (lanes){0} + UINT32_C(0x80000000);                                                  \
        for (unsigned i = 5; i < 15; i++) {                                                        \
            w[i] = (lanes){0};                                                                     \
        }                                                                                          \
        w[15] = (lanes){0} + 128;                                                                  \
        for (unsigned i = 16; i < 80; i++) {                                                       \
            const lanes x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];                           \
                                                                                                   \
            w[i] = ROTATED(x, 1);                                                                  \
        }                                                                                          \
        ROUNDS(0, CHOICE, 0x5a827999)                                                              \
        ROUNDS(20, PARITY, 0x6ed9eba1)                                                             \
        ROUNDS(40, MAJORITY, 0x8f1bbcdc)                                                           \
        ROUNDS(60, PARITY, 0xca62c1d6)                                                             \
        a += UINT32_C(0x67452301);                                                                 \
        b += UINT32_C(0xefcdab89);                                                                 \
        c += UINT32_C(0x98badcfe);                                                                 \
        d += UINT32_C(0x10325476);                                                                 \
        e += UINT32_C(0xc3d2e1f0);                                                                 \
        memcpy(digests[0], &a, sizeof(a));                                                         \
        memcpy(digests[1], &b, sizeof(b));                                                         \
        memcpy(digests[2], &c, sizeof(c));                                                         \
        memcpy(digests[3], &d, sizeof(d));                                                         \
        memcpy(digests[4], &e, sizeof(e));                                                         \
    }
SIDE_BY_SIDE(sixteen, lanes_16, 16)
SIDE_BY_SIDE(eight, lanes_8, 8)

__attribute__((target("avx512f"))) static void
sha1_lanes_avx512(const uint64_t *first, const uint64_t *second, uint32_t digests[5][SHA1_LANES])
{
    sixteen(first, second, digests);
}

/* Eight at a time; of lanes that nobody asked for, something. */
__attribute__((target("avx2"))) static void sha1_lanes_avx2(const uint64_t *first,
                                                            const uint64_t *second, unsigned count,
                                                            uint32_t digests[5][SHA1_LANES])
{
    for (unsigned from = 0; from < count; from += 8) {
        eight(first + from, second + from, (uint32_t(*)[SHA1_LANES])(void *)&digests[0][from]);
    }
}
#endif

bool sha1_lanes_256(const uint64_t first[SHA1_LANES], const uint64_t second[SHA1_LANES],
                    unsigned count, uint32_t digests[5][SHA1_LANES])
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        sha1_lanes_avx2(first, second, count, digests);
        return true;
    }
#endif
    (void)first, (void)second, (void)count, (void)digests;
    return false;
}

void sha1_lanes(const uint64_t first[SHA1_LANES], const uint64_t second[SHA1_LANES], unsigned count,
                uint32_t digests[5][SHA1_LANES])
{
#ifdef __x86_64__
    if (LIKELY(__builtin_cpu_supports("avx512f")) && count >= LANES_WORTH_512) {
        sha1_lanes_avx512(first, second, digests);
        return;
    }
#endif
    if (!hash_has_native_sha1() && sha1_lanes_256(first, second, count, digests)) {
        return;
    }
    sha1_lanes_portable(first, second, count, digests);
}
