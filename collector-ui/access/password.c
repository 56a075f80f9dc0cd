#include "collector-ui/access/password.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#define SALT_BYTES   16
#define KEY_BYTES    32
#define COST_LOG     15
#define BLOCKS       8
#define PARALLEL     3
#define COST_LOG_MAX 16 /* with BLOCKS_MAX 64 MiB */
#define BLOCKS_MAX   8
#define PARALLEL_MAX 16
#define SCRYPT       "$scrypt$"
#define SHA256_MARK  "$sha256$"
#define TOKEN_MARK   "nst_"
#define TOKEN_RANDOM 32

const char password_of_nobody[] =
    "$scrypt$ln=15,r=8,p=3$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct scrypt {
    unsigned cost_log, blocks, parallel;
    uint8_t salt[SALT_BYTES], key[KEY_BYTES];
};

/* ---- base64 without padding ---- */

static void to_base64(const uint8_t *bytes, size_t count, char out[64])
{
    unsigned char text[64];

    (void)EVP_EncodeBlock(text, bytes, (int)count);
    text[strcspn((const char *)text, "=")] = '\0';
    (void)snprintf(out, 64, "%s", (const char *)text);
}

/* Exactly `count` bytes of text that ends at `end`; NULL: it is not that. */
static const char *from_base64(const char *text, char end, uint8_t *out, size_t count)
{
    unsigned char padded[64], bytes[64];
    const size_t length = (count * 8 + 5) / 6;

    memset(padded, '=', sizeof(padded));
    if (strnlen(text, length + 1) < length || text[length] != end ||
        memchr(text, '=', length) != NULL) {
        return NULL;
    }
    memcpy(padded, text, length);
    if (EVP_DecodeBlock(bytes, padded, (int)((length + 3) / 4 * 4)) < (int)count) {
        return NULL;
    }
    memcpy(out, bytes, count);
    return text + length + 1;
}

/* ---- scrypt ---- */

static bool derive(const struct scrypt *s, const char *password, uint8_t key[KEY_BYTES])
{
    const uint64_t cost = UINT64_C(1) << s->cost_log;
    const uint64_t memory = 128 * (uint64_t)s->blocks * (cost + s->parallel + 2) + 65536;

    return EVP_PBE_scrypt(password, strlen(password), s->salt, SALT_BYTES, cost, s->blocks,
                          s->parallel, memory, key, KEY_BYTES) == 1;
}

static bool read_scrypt(const char *hash, struct scrypt *out)
{
    int used = 0;

    if (sscanf(hash, SCRYPT "ln=%2u,r=%2u,p=%2u$%n", &out->cost_log, &out->blocks, /* NOLINT */
               &out->parallel, &used) != 3 ||
        used == 0 || out->cost_log == 0 || out->cost_log > COST_LOG_MAX || out->blocks == 0 ||
        out->blocks > BLOCKS_MAX || out->parallel == 0 || out->parallel > PARALLEL_MAX) {
        return false;
    }
    const char *key = from_base64(hash + used, '$', out->salt, SALT_BYTES);

    return key != NULL && from_base64(key, '\0', out->key, KEY_BYTES) != NULL;
}

int password_hash(const char *password, char out[PASSWORD_HASH_BYTES], struct error *err)
{
    struct scrypt s = {.cost_log = COST_LOG, .blocks = BLOCKS, .parallel = PARALLEL};
    char salt[64], key[64];

    if (RAND_bytes(s.salt, SALT_BYTES) != 1 || !derive(&s, password, s.key)) {
        return error_set(err, EIO, "the password could not be hashed (no memory?)");
    }
    to_base64(s.salt, SALT_BYTES, salt);
    to_base64(s.key, KEY_BYTES, key);
    (void)snprintf(out, PASSWORD_HASH_BYTES, SCRYPT "ln=%u,r=%u,p=%u$%s$%s", s.cost_log, s.blocks,
                   s.parallel, salt, key);
    return 0;
}

bool password_is_hash(const char *hash)
{
    struct scrypt s;

    return read_scrypt(hash, &s);
}

bool password_fits(const char *hash, const char *password)
{
    struct scrypt s;
    uint8_t key[KEY_BYTES];

    return read_scrypt(hash, &s) && derive(&s, password, key) &&
           CRYPTO_memcmp(key, s.key, KEY_BYTES) == 0;
}

/* ---- tokens ---- */

void password_digest(const char *text, uint8_t out[32])
{
    (void)SHA256((const unsigned char *)text, strlen(text), out);
}

int password_new_token(char token[PASSWORD_TOKEN_BYTES], char hash[PASSWORD_HASH_BYTES],
                       struct error *err)
{
    uint8_t random[TOKEN_RANDOM], digest[32];
    char text[64];
    size_t used = sizeof(TOKEN_MARK) - 1;

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return error_set(err, EIO, "no random bytes for a token");
    }
    (void)snprintf(token, PASSWORD_TOKEN_BYTES, TOKEN_MARK);
    for (unsigned i = 0; i < sizeof(random); i++, used += 2) {
        (void)snprintf(token + used, PASSWORD_TOKEN_BYTES - used, "%02x", random[i]);
    }
    password_digest(token, digest);
    to_base64(digest, sizeof(digest), text);
    (void)snprintf(hash, PASSWORD_HASH_BYTES, SHA256_MARK "%s", text);
    OPENSSL_cleanse(random, sizeof(random));
    return 0;
}

static bool read_token_hash(const char *hash, uint8_t out[32])
{
    const size_t mark = sizeof(SHA256_MARK) - 1;

    return strncmp(hash, SHA256_MARK, mark) == 0 && from_base64(hash + mark, '\0', out, 32) != NULL;
}

bool password_is_token_hash(const char *hash)
{
    uint8_t digest[32];

    return read_token_hash(hash, digest);
}

bool password_token_fits(const char *hash, const uint8_t digest[32])
{
    uint8_t wanted[32];

    return read_token_hash(hash, wanted) && CRYPTO_memcmp(wanted, digest, 32) == 0;
}
