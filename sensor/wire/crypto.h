/* Digests and ciphers that parsers need: MD5 and SHA-256 of fingerprints, the keys and packets of
 * QUIC Initials.
 *
 * OpenSSL's contexts are made once by crypto_new() and held, so that no call on a packet allocates.
 * What is hashed and decrypted here is public: none of it is a secret of ours.
 * Depends on: libcrypto, wire/cursor.h. Threads: one object, one thread. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/wire/cursor.h"

#define CRYPTO_MD5_BYTES     16
#define CRYPTO_SHA256_BYTES  32
#define CRYPTO_AES_KEY_BYTES 16
#define CRYPTO_GCM_IV_BYTES  12
#define CRYPTO_GCM_TAG_BYTES 16
#define CRYPTO_LABEL_MAX     32

struct crypto;

/* NULL with `err` set: ENOMEM, or ENOTSUP when the library has no such algorithm. A library without
 * MD5 (FIPS) gives an object whose crypto_has_md5 is false. */
MUST_USE struct crypto *crypto_new(struct error *err);
void crypto_free(struct crypto *crypto); /* NULL is allowed */
DEFINE_AUTO(crypto, crypto_free);

/* A digest in pieces: start, any number of adds, finish. One at a time of each kind. */
bool crypto_has_md5(const struct crypto *crypto);
void crypto_md5_start(struct crypto *crypto);
void crypto_md5_add(struct crypto *crypto, const void *bytes, size_t length);
void crypto_md5_finish(struct crypto *crypto, uint8_t out[CRYPTO_MD5_BYTES]);
void crypto_sha256_start(struct crypto *crypto);
void crypto_sha256_add(struct crypto *crypto, const void *bytes, size_t length);
void crypto_sha256_finish(struct crypto *crypto, uint8_t out[CRYPTO_SHA256_BYTES]);

/* HMAC-SHA-256 (RFC 2104) of the `count` spans one behind the other; `key` of at most 64 bytes. */
void crypto_hmac_sha256(struct crypto *crypto, const uint8_t *key, size_t key_bytes,
                        const struct wire_span *parts, size_t count,
                        uint8_t out[CRYPTO_SHA256_BYTES]);

/* HKDF-Expand-Label (RFC 8446 section 7.1) with an empty context and SHA-256, of the secret that
 * crypto_hkdf_secret was given last: at most 32 bytes, label of at most CRYPTO_LABEL_MAX without
 * the "tls13 " before it. `secret` may be `out` of the call before. */
void crypto_hkdf_secret(struct crypto *crypto, const uint8_t secret[CRYPTO_SHA256_BYTES]);
void crypto_hkdf_expand_label(struct crypto *crypto, const char *label, uint8_t *out,
                              size_t out_bytes);

/* One block of AES-128 (header protection, RFC 9001 section 5.4.3). */
void crypto_aes128_block(struct crypto *crypto, const uint8_t key[CRYPTO_AES_KEY_BYTES],
                         const uint8_t in[16], uint8_t out[16]);

struct crypto_gcm {
    const uint8_t *key; /* 16 bytes */
    const uint8_t *iv;  /* 12 bytes */
    struct wire_span additional;
    struct wire_span cipher_text; /* without the tag */
    const uint8_t *tag;           /* 16 bytes; NULL: it was not captured and is not checked */
};

/* AES-128-GCM (RFC 5116): writes cipher_text.length bytes to `out`. False: the tag is wrong, and
 * `out` holds nothing to be used. */
MUST_USE bool crypto_aes128_gcm_open(struct crypto *crypto, const struct crypto_gcm *in,
                                     uint8_t *out);
