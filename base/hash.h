/* Hashes. Keyed ones where traffic must not choose its bucket; stable ones for identities.
 *
 * Depends on: libc. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t a, b;
};

/* A random key from getrandom(2); falls back on the clock and the address of a local. */
struct hash_key hash_key_random(void);

/* 64-bit finaliser with full avalanche (the murmur3 constants). */
static inline uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ (x >> 33);
}

/* FNV-1a, 64 bits (RFC 9923), of `hash` (HASH_FNV1A_START at first) and `length` bytes: stable and
 * short, for small tables whose keys nobody gains by choosing. */
#define HASH_FNV1A_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t hash_fnv1a(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = (const uint8_t *)bytes;

    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* The two halves of a 128-bit product folded: what wyhash mixes with. */
static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    const wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* SipHash-1-3 of `bytes` under `key`. */
uint64_t hash_bytes(struct hash_key key, const void *bytes, size_t length);
/* The same of `count` words of eight bytes, the first in the lowest bits: what is put together as
 * words is read as it was written. */
uint64_t hash_words(struct hash_key key, const uint64_t *words, size_t count);

/* CRC32C (Castagnoli, as in RFC 3720 appendix B.4), `crc` 0 for the first piece. Hardware where
 * there is any. */
uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t length);
/* The same by tables: what hash_crc32c falls back on. */
uint32_t hash_crc32c_portable(uint32_t crc, const void *bytes, size_t length);

/* SHA-1 (RFC 3174), for identifiers that are defined by it, not for security. Hardware where there
 * is any: 25 to 60 ns for a Community ID against 230. */
void hash_sha1(const void *bytes, size_t length, uint8_t digest[20]);
/* The same of the first `length` bytes of `block`, at most HASH_SHORT_MAX; what is behind them is
 * zero before and padding afterwards. The digest as words. */
#define HASH_SHORT_MAX 55
void hash_sha1_short(uint8_t block[64], size_t length, uint32_t digest[5]);
void hash_sha1_short_portable(uint8_t block[64], size_t length, uint32_t digest[5]);
/* The same of sixteen bytes, eight in each word, the first in the lowest bits: what never was in
 * memory need not be read back. */
void hash_sha1_16(uint64_t first, uint64_t second, uint32_t digest[5]);
void hash_sha1_16_portable(uint64_t first, uint64_t second, uint32_t digest[5]);
/* Whether the processor has instructions of its own for it. */
bool hash_has_native_sha1(void);
/* The same by plain C: what hash_sha1 falls back on. */
void hash_sha1_portable(const void *bytes, size_t length, uint8_t digest[20]);

/* 16 random bytes as 32 lower-case hex digits and a NUL (boot ids). */
void hash_random_hex(char out[33]);
