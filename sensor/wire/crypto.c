/* Digests go through libcrypto's functions of one algorithm each: they are what EVP ends in, and
 * EVP's own way there (a provider's context reset and looked up for each digest) costs as much as
 * hashing a fingerprint does. Version 3 calls them deprecated, which is about keys and engines. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sensor/wire/crypto.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <stdlib.h>

#define SHA256_BLOCK_BYTES 64

struct crypto {
    MD5_CTX md5;
    SHA256_CTX sha256;
    SHA256_CTX inner, outer; /* behind the pads of an HMAC's key */
    bool has_md5; /* as the library's configuration has it, though the function is always there */
    EVP_CIPHER *block, *gcm;
    EVP_CIPHER_CTX *block_context, *gcm_context;
};

/* What a call with sound arguments on a held context cannot do is fail. */
static void must(int is_done)
{
    if (is_done != 1) {
        abort();
    }
}

/* Whether the library's providers have the digest: one run by the rules of FIPS has no MD5. */
static bool is_allowed(const char *digest)
{
    EVP_MD *method = EVP_MD_fetch(NULL, digest, NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool is_there =
        method != NULL && context != NULL && EVP_DigestInit_ex2(context, method, NULL) == 1;

    EVP_MD_CTX_free(context);
    EVP_MD_free(method);
    return is_there;
}

struct crypto *crypto_new(struct error *err)
{
    struct crypto *crypto = calloc(1, sizeof(*crypto));

    if (crypto == NULL) {
        error_set(err, ENOMEM, "digests: no memory");
        return NULL;
    }
    crypto->has_md5 = is_allowed("MD5");
    crypto->block = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
    crypto->gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    crypto->block_context = EVP_CIPHER_CTX_new();
    crypto->gcm_context = EVP_CIPHER_CTX_new();
    if (crypto->block_context == NULL || crypto->gcm_context == NULL) {
        error_set(err, ENOMEM, "digests: no memory");
        crypto_free(crypto);
        return NULL;
    }
    if (!is_allowed("SHA256") || crypto->block == NULL || crypto->gcm == NULL ||
        EVP_EncryptInit_ex2(crypto->block_context, crypto->block, NULL, NULL, NULL) != 1 ||
        EVP_DecryptInit_ex2(crypto->gcm_context, crypto->gcm, NULL, NULL, NULL) != 1) {
        error_set(err, ENOTSUP, "digests: libcrypto has no SHA-256 or AES-128");
        crypto_free(crypto);
        return NULL;
    }
    return crypto;
}

void crypto_free(struct crypto *crypto)
{
    if (crypto == NULL) {
        return;
    }
    EVP_CIPHER_CTX_free(crypto->block_context);
    EVP_CIPHER_CTX_free(crypto->gcm_context);
    EVP_CIPHER_free(crypto->block);
    EVP_CIPHER_free(crypto->gcm);
    free(crypto);
}

bool crypto_has_md5(const struct crypto *crypto)
{
    return crypto->has_md5;
}

void crypto_md5_start(struct crypto *crypto)
{
    must(MD5_Init(&crypto->md5));
}

void crypto_md5_add(struct crypto *crypto, const void *bytes, size_t length)
{
    must(MD5_Update(&crypto->md5, bytes, length));
}

void crypto_md5_finish(struct crypto *crypto, uint8_t out[CRYPTO_MD5_BYTES])
{
    must(MD5_Final(out, &crypto->md5));
}

void crypto_sha256_start(struct crypto *crypto)
{
    must(SHA256_Init(&crypto->sha256));
}

void crypto_sha256_add(struct crypto *crypto, const void *bytes, size_t length)
{
    must(SHA256_Update(&crypto->sha256, bytes, length));
}

void crypto_sha256_finish(struct crypto *crypto, uint8_t out[CRYPTO_SHA256_BYTES])
{
    must(SHA256_Final(out, &crypto->sha256));
}

/* What an HMAC's key alone decides: a block of each of its two hashes. */
static void take_key(struct crypto *crypto, const uint8_t *key, size_t key_bytes)
{
    uint8_t inner[SHA256_BLOCK_BYTES], outer[SHA256_BLOCK_BYTES];

    assert(key_bytes <= SHA256_BLOCK_BYTES);
    memset(inner, 0x36, sizeof(inner));
    memset(outer, 0x5c, sizeof(outer));
    for (size_t i = 0; i < key_bytes; i++) {
        inner[i] ^= key[i];
        outer[i] ^= key[i];
    }
    must(SHA256_Init(&crypto->inner));
    must(SHA256_Update(&crypto->inner, inner, sizeof(inner)));
    must(SHA256_Init(&crypto->outer));
    must(SHA256_Update(&crypto->outer, outer, sizeof(outer)));
}

static void hmac(struct crypto *crypto, const struct wire_span *parts, size_t count,
                 uint8_t out[CRYPTO_SHA256_BYTES])
{
    crypto->sha256 = crypto->inner;
    for (size_t i = 0; i < count; i++) {
        crypto_sha256_add(crypto, parts[i].bytes, parts[i].length);
    }
    crypto_sha256_finish(crypto, out);
    crypto->sha256 = crypto->outer;
    crypto_sha256_add(crypto, out, CRYPTO_SHA256_BYTES);
    crypto_sha256_finish(crypto, out);
}

void crypto_hmac_sha256(struct crypto *crypto, const uint8_t *key, size_t key_bytes,
                        const struct wire_span *parts, size_t count,
                        uint8_t out[CRYPTO_SHA256_BYTES])
{
    take_key(crypto, key, key_bytes);
    hmac(crypto, parts, count, out);
}

void crypto_hkdf_secret(struct crypto *crypto, const uint8_t secret[CRYPTO_SHA256_BYTES])
{
    take_key(crypto, secret, CRYPTO_SHA256_BYTES);
}

void crypto_hkdf_expand_label(struct crypto *crypto, const char *label, uint8_t *out,
                              size_t out_bytes)
{
    static const char prefix[] = "tls13 ";
    const size_t label_bytes = strlen(label);
    uint8_t info[3 + sizeof(prefix) + CRYPTO_LABEL_MAX + 2];
    uint8_t digest[CRYPTO_SHA256_BYTES];
    size_t at = 0;

    assert(label_bytes <= CRYPTO_LABEL_MAX && out_bytes <= CRYPTO_SHA256_BYTES);
    info[at++] = 0;
    info[at++] = (uint8_t)out_bytes;
    info[at++] = (uint8_t)(sizeof(prefix) - 1 + label_bytes);
    memcpy(info + at, prefix, sizeof(prefix) - 1);
    at += sizeof(prefix) - 1;
    memcpy(info + at, label, label_bytes);
    at += label_bytes;
    info[at++] = 0; /* no context */
    info[at++] = 1; /* the first and only block of HKDF-Expand (RFC 5869) */
    const struct wire_span whole = {.bytes = info, .length = (uint32_t)at};
    hmac(crypto, &whole, 1, digest);
    memcpy(out, digest, out_bytes);
}

void crypto_aes128_block(struct crypto *crypto, const uint8_t key[CRYPTO_AES_KEY_BYTES],
                         const uint8_t in[16], uint8_t out[16])
{
    int length;

    must(EVP_EncryptInit_ex2(crypto->block_context, NULL, key, NULL, NULL));
    must(EVP_CIPHER_CTX_set_padding(crypto->block_context, 0));
    must(EVP_EncryptUpdate(crypto->block_context, out, &length, in, 16));
}

bool crypto_aes128_gcm_open(struct crypto *crypto, const struct crypto_gcm *in, uint8_t *out)
{
    EVP_CIPHER_CTX *context = crypto->gcm_context;
    uint8_t tag[CRYPTO_GCM_TAG_BYTES], nothing[CRYPTO_GCM_TAG_BYTES];
    int length = 0;

    assert(in->additional.length <= INT_MAX && in->cipher_text.length <= INT_MAX);
    must(EVP_DecryptInit_ex2(context, NULL, in->key, in->iv, NULL));
    must(EVP_DecryptUpdate(context, NULL, &length, in->additional.bytes,
                           (int)in->additional.length));
    if (in->cipher_text.length > 0) {
        must(EVP_DecryptUpdate(context, out, &length, in->cipher_text.bytes,
                               (int)in->cipher_text.length));
    }
    if (in->tag == NULL) {
        return true;
    }
    memcpy(tag, in->tag, sizeof(tag)); /* the call takes no const */
    must(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag));
    return EVP_DecryptFinal_ex(context, nothing, &length) == 1;
}
