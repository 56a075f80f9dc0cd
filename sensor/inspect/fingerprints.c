#include "sensor/inspect/fingerprints.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define PLACES 128 /* a power of two */

struct place {
    uint64_t hash;
    uint32_t key_bytes; /* 0: empty */
    struct fingerprints_of_hello known;
    uint8_t key[TLS_FINGERPRINT_KEY_BYTES];
};

struct fingerprints {
    struct hash_key secret;
    struct place places[PLACES];
};

struct fingerprints *fingerprints_new(struct error *err)
{
    struct fingerprints *fingerprints = calloc(1, sizeof(*fingerprints));

    if (fingerprints == NULL) {
        error_set(err, ENOMEM, "fingerprints: no memory for %zu bytes", sizeof(*fingerprints));
        return NULL;
    }
    fingerprints->secret = hash_key_random();
    return fingerprints;
}

void fingerprints_free(struct fingerprints *fingerprints)
{
    free(fingerprints);
}

size_t fingerprints_memory_bytes(void)
{
    return sizeof(struct fingerprints);
}

/* Which place, no more: keys are compared. */
static uint64_t hash_of(const struct fingerprints *fingerprints, const uint8_t *key, size_t bytes)
{
    uint64_t hash = fingerprints->secret.a;

    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word;

        memcpy(&word, key + i, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash_mix(hash ^ fingerprints->secret.b);
}

static void compute(struct crypto *crypto, const struct tls_hello *hello,
                    enum tls_transport transport, struct fingerprints_of_hello *out)
{
    *out = (struct fingerprints_of_hello){0};
    out->has_ja3 = tls_ja3(crypto, hello, out->ja3);
    out->has_ja4 = hello->is_client && tls_ja4(crypto, hello, transport, &out->ja4);
}

void fingerprints_take(struct fingerprints *fingerprints, struct crypto *crypto,
                       const struct tls_hello *hello, enum tls_transport transport,
                       struct fingerprints_of_hello *out)
{
    uint8_t key[TLS_FINGERPRINT_KEY_BYTES];
    const size_t bytes = tls_fingerprint_key(hello, transport, key);

    if (bytes == 0) {
        compute(crypto, hello, transport, out);
        return;
    }
    const uint64_t hash = hash_of(fingerprints, key, bytes);
    struct place *place = &fingerprints->places[hash & (PLACES - 1)];
    if (place->hash != hash || place->key_bytes != bytes || memcmp(place->key, key, bytes) != 0) {
        compute(crypto, hello, transport, &place->known);
        place->hash = hash;
        place->key_bytes = (uint32_t)bytes;
        memcpy(place->key, key, bytes);
    }
    *out = place->known;
}
