#include "tests/support/tls_builder.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static void put(struct packet_builder *b, const void *bytes, size_t length)
{
    if (b->length + length > b->capacity) {
        abort();
    }
    if (length > 0) {
        memcpy(b->bytes + b->length, bytes, length);
    }
    b->length += length;
}

static void put_number(struct packet_builder *b, uint64_t value, size_t width)
{
    for (size_t i = width; i-- > 0;) {
        const uint8_t byte = (uint8_t)(value >> 8 * i);

        put(b, &byte, 1);
    }
}

static void put_zeros(struct packet_builder *b, size_t count)
{
    while (count-- > 0) {
        put_number(b, 0, 1);
    }
}

/* A block behind its length of `width` bytes: begin gives where the length stands. */
static size_t begin(struct packet_builder *b, size_t width)
{
    put_zeros(b, width);
    return b->length - width;
}

static void end(struct packet_builder *b, size_t at, size_t width)
{
    const size_t length = b->length - at - width;

    for (size_t i = 0; i < width; i++) {
        b->bytes[at + width - 1 - i] = (uint8_t)(length >> 8 * i);
    }
}

/* ---- hellos ---- */

static void put_sni(struct packet_builder *b, const struct build_handshake *hello)
{
    put_number(b, 0, 2);
    const size_t extension = begin(b, 2);
    const size_t list = begin(b, 2);
    put_number(b, 0, 1);
    const size_t name = begin(b, 2);
    put(b, hello->sni, hello->sni_bytes != 0 ? hello->sni_bytes : strlen(hello->sni));
    end(b, name, 2);
    end(b, list, 2);
    end(b, extension, 2);
}

static void put_alpn(struct packet_builder *b, const struct build_handshake *hello)
{
    put_number(b, 16, 2);
    const size_t extension = begin(b, 2);
    const size_t list = begin(b, 2);
    for (size_t i = 0; i < 3 && hello->alpn[i] != NULL; i++) {
        const size_t name = begin(b, 1);
        put(b, hello->alpn[i], strlen(hello->alpn[i]));
        end(b, name, 1);
    }
    end(b, list, 2);
    end(b, extension, 2);
}

static void put_versions(struct packet_builder *b, const struct build_handshake *hello)
{
    put_number(b, 43, 2);
    const size_t extension = begin(b, 2);
    if (hello->is_server) {
        put_number(b, hello->versions[0], 2);
    } else {
        const size_t list = begin(b, 1);
        for (size_t i = 0; i < 4 && hello->versions[i] != 0; i++) {
            put_number(b, hello->versions[i], 2);
        }
        end(b, list, 1);
    }
    end(b, extension, 2);
}

static void put_lists(struct packet_builder *b, const struct build_handshake *hello)
{
    put_number(b, 10, 2); /* groups */
    size_t extension = begin(b, 2);
    size_t list = begin(b, 2);
    if (hello->has_grease) {
        put_number(b, 0x3a3a, 2);
    }
    put_number(b, 29, 2);
    put_number(b, 23, 2);
    end(b, list, 2);
    end(b, extension, 2);
    put_number(b, 11, 2); /* point formats */
    extension = begin(b, 2);
    list = begin(b, 1);
    put_number(b, 0, 1);
    end(b, list, 1);
    end(b, extension, 2);
    put_number(b, 13, 2); /* signature algorithms */
    extension = begin(b, 2);
    list = begin(b, 2);
    put_number(b, 0x0403, 2);
    put_number(b, 0x0804, 2);
    end(b, list, 2);
    end(b, extension, 2);
}

static void put_extensions(struct packet_builder *b, const struct build_handshake *hello)
{
    if (hello->has_grease) {
        put_number(b, 0x0a0a0000, 4);
    }
    if (hello->sni != NULL) {
        put_sni(b, hello);
    }
    if (hello->alpn[0] != NULL) {
        put_alpn(b, hello);
    }
    if (hello->has_groups) {
        put_lists(b, hello);
    }
    if (hello->versions[0] != 0) {
        put_versions(b, hello);
    }
    if (hello->has_ech) {
        put_number(b, 0xfe0d, 2);
        const size_t extension = begin(b, 2);
        put_zeros(b, 8);
        end(b, extension, 2);
    }
    if (hello->padding_bytes > 0) {
        put_number(b, 21, 2);
        const size_t extension = begin(b, 2);
        put_zeros(b, hello->padding_bytes);
        end(b, extension, 2);
    }
}

static void put_ciphers(struct packet_builder *b, const struct build_handshake *hello)
{
    static const uint16_t common[] = {0x1301, 0x1302, 0xc02b, 0xc02f};
    const uint16_t *ciphers = hello->ciphers != NULL ? hello->ciphers : common;
    const size_t count = hello->ciphers != NULL ? hello->cipher_count : 4;

    if (hello->is_server) {
        put_number(b, ciphers[0], 2);
        put_number(b, 0, 1); /* compression */
        return;
    }
    const size_t list = begin(b, 2);
    if (hello->has_grease) {
        put_number(b, 0x1a1a, 2);
    }
    for (size_t i = 0; i < count; i++) {
        put_number(b, ciphers[i], 2);
    }
    end(b, list, 2);
    put_number(b, 0x0100, 2); /* one method of compression: none */
}

void build_handshake(struct packet_builder *b, const struct build_handshake *hello)
{
    static const uint8_t retry[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
                                      0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
                                      0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
                                      0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

    put_number(b, hello->is_server ? 2 : 1, 1);
    const size_t message = begin(b, 3);
    put_number(b, hello->legacy_version != 0 ? hello->legacy_version : 0x0303, 2);
    if (hello->is_retry) {
        put(b, retry, sizeof(retry));
    } else {
        put_zeros(b, 32);
    }
    put_number(b, 0, 1); /* session id */
    if (hello->cookie != NULL && !hello->is_server) {
        const size_t cookie = begin(b, 1);
        put(b, hello->cookie, strlen(hello->cookie));
        end(b, cookie, 1);
    }
    put_ciphers(b, hello);
    const size_t extensions = begin(b, 2);
    put_extensions(b, hello);
    end(b, extensions, 2);
    end(b, message, 3);
}

/* ---- certificates ---- */

/* Elements have a length of two bytes always, which DER reads though it would write it shorter. */
static size_t begin_element(struct packet_builder *b, uint8_t tag)
{
    put_number(b, tag, 1);
    put_number(b, 0x82, 1);
    return begin(b, 2);
}

static void put_element(struct packet_builder *b, uint8_t tag, const void *bytes, size_t length)
{
    const size_t element = begin_element(b, tag);
    put(b, bytes, length);
    end(b, element, 2);
}

static void put_name_part(struct packet_builder *b, uint8_t type, const char *value)
{
    const uint8_t oid[] = {0x55, 0x04, type};
    const size_t set = begin_element(b, 0x31);
    const size_t attribute = begin_element(b, 0x30);

    put_element(b, 0x06, oid, sizeof(oid));
    put_element(b, 0x0c, value, strlen(value));
    end(b, attribute, 2);
    end(b, set, 2);
}

static void put_name(struct packet_builder *b, const char *common_name, const char *organisation)
{
    const size_t name = begin_element(b, 0x30);
    if (organisation != NULL) {
        put_name_part(b, 10, organisation);
    }
    put_name_part(b, 3, common_name);
    end(b, name, 2);
}

static void put_alt_names(struct packet_builder *b, unsigned names)
{
    static const uint8_t oid[] = {0x55, 0x1d, 0x11};
    const size_t outer = begin_element(b, 0xa3);
    const size_t list = begin_element(b, 0x30);
    const size_t extension = begin_element(b, 0x30);

    put_element(b, 0x06, oid, sizeof(oid));
    const size_t octets = begin_element(b, 0x04);
    const size_t all = begin_element(b, 0x30);
    for (unsigned i = 0; i < names; i++) {
        put_element(b, 0x82, "a.example", 9);
    }
    end(b, all, 2);
    end(b, octets, 2);
    end(b, extension, 2);
    end(b, list, 2);
    end(b, outer, 2);
}

void build_certificate(struct packet_builder *b, const char *common_name, const char *organisation,
                       const char *not_after, unsigned names)
{
    static const uint8_t version[] = {0x02, 0x01, 0x02}, serial[] = {0x01, 0xab};
    const size_t certificate = begin_element(b, 0x30);
    const size_t tbs = begin_element(b, 0x30);

    put_element(b, 0xa0, version, sizeof(version));
    put_element(b, 0x02, serial, sizeof(serial));
    put_element(b, 0x30, "", 0); /* algorithm */
    put_name(b, "Test CA", "Example, Inc.");
    const size_t validity = begin_element(b, 0x30);
    put_element(b, 0x17, "240229120000Z", 13);
    put_element(b, strlen(not_after) == 15 ? 0x18 : 0x17, not_after, strlen(not_after));
    end(b, validity, 2);
    put_name(b, common_name, organisation);
    put_element(b, 0x30, "key", 3);
    if (names > 0) {
        put_alt_names(b, names);
    }
    end(b, tbs, 2);
    put_element(b, 0x30, "", 0);
    put_element(b, 0x03, "\0\0\0", 3);
    end(b, certificate, 2);
}

void build_certificate_message(struct packet_builder *b, const void *der, size_t der_bytes)
{
    put_number(b, 11, 1);
    const size_t message = begin(b, 3);
    const size_t list = begin(b, 3);
    const size_t one = begin(b, 3);
    put(b, der, der_bytes);
    end(b, one, 3);
    end(b, list, 3);
    end(b, message, 3);
}

/* ---- what carries them ---- */

void build_records(struct packet_builder *b, const void *message, size_t bytes, size_t record_bytes)
{
    for (size_t at = 0; at < bytes; at += record_bytes) {
        const size_t part = bytes - at < record_bytes ? bytes - at : record_bytes;

        put_number(b, 22, 1);
        put_number(b, 0x0301, 2);
        put_number(b, part, 2);
        put(b, (const uint8_t *)message + at, part);
    }
}

void build_dtls_fragment(struct packet_builder *b, const void *message, size_t bytes,
                         uint16_t sequence, uint32_t from, uint32_t to)
{
    const uint8_t *at = message;

    put_number(b, 22, 1);
    put_number(b, 0xfefd, 2);
    put_zeros(b, 8); /* epoch and number */
    const size_t record = begin(b, 2);
    put_number(b, at[0], 1);
    put_number(b, bytes - 4, 3);
    put_number(b, sequence, 2);
    put_number(b, from, 3);
    put_number(b, to - from, 3);
    put(b, at + 4 + from, to - from);
    end(b, record, 2);
}

void build_crypto_frame(struct packet_builder *b, uint64_t offset, const void *bytes, size_t length)
{
    put_number(b, 6, 1);
    put_number(b, offset | 0x80000000U, 4);
    put_number(b, length | 0x4000U, 2);
    put(b, bytes, length);
}

/* AES-128-GCM with the tag behind the text, in place. */
static void seal(const struct quic_keys *keys, const uint8_t iv[12], const uint8_t *header,
                 size_t header_bytes, uint8_t *text, size_t text_bytes)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int length;

    if (context == NULL ||
        EVP_EncryptInit_ex(context, EVP_aes_128_gcm(), NULL, keys->key, iv) != 1 ||
        EVP_EncryptUpdate(context, NULL, &length, header, (int)header_bytes) != 1 ||
        EVP_EncryptUpdate(context, text, &length, text, (int)text_bytes) != 1 ||
        EVP_EncryptFinal_ex(context, text + text_bytes, &length) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, text + text_bytes) != 1) {
        abort();
    }
    EVP_CIPHER_CTX_free(context);
}

static void put_id(struct packet_builder *b, const char *id)
{
    const size_t length = id != NULL ? strlen(id) : 0;

    put_number(b, length, 1);
    put(b, id, length);
}

void build_initial(struct packet_builder *b, struct crypto *crypto, struct build_initial initial)
{
    const uint32_t version = initial.version != 0 ? initial.version : QUIC_VERSION_1;
    const uint32_t keys_version = initial.keys_version != 0 ? initial.keys_version : version;
    const char *id = initial.keys_id != NULL ? initial.keys_id : initial.target_id;
    const struct wire_span keys_id = {.bytes = (const uint8_t *)id, .length = (uint32_t)strlen(id)};
    const size_t token_bytes = initial.token != NULL ? strlen(initial.token) : 0;
    const size_t start = b->length;
    uint8_t secret[32], iv[12], mask[16];
    struct quic_keys keys;

    if (!quic_initial_secret(crypto, keys_version, &keys_id, secret)) {
        abort();
    }
    quic_initial_keys(crypto, keys_version, secret, initial.is_server, &keys);
    put_number(b, version == QUIC_VERSION_2 ? 0xd3 : 0xc3, 1); /* a packet number of 4 bytes */
    put_number(b, version, 4);
    put_id(b, initial.target_id);
    put_id(b, initial.source_id);
    put_number(b, token_bytes | 0x4000, 2);
    put(b, initial.token, token_bytes);
    const size_t length_at = b->length;
    put_zeros(b, 2);
    const size_t number_at = b->length;
    put_number(b, initial.number, 4);
    put(b, initial.frames, initial.frames_bytes);
    while (b->length - start + 16 < initial.datagram_bytes) {
        put_zeros(b, 1);
    }
    put_zeros(b, 16); /* tag */
    const size_t length = b->length - number_at;
    b->bytes[length_at] = (uint8_t)(0x40 | length >> 8);
    b->bytes[length_at + 1] = (uint8_t)length;
    memcpy(iv, keys.iv, sizeof(iv));
    for (unsigned i = 0; i < 4; i++) {
        iv[11 - i] ^= (uint8_t)(initial.number >> 8 * i);
    }
    seal(&keys, iv, b->bytes + start, number_at + 4 - start, b->bytes + number_at + 4,
         length - 4 - 16);
    crypto_aes128_block(crypto, keys.header_key, b->bytes + number_at + 4, mask);
    b->bytes[start] ^= mask[0] & 0x0f;
    for (unsigned i = 0; i < 4; i++) {
        b->bytes[number_at + i] ^= mask[1 + i];
    }
}
