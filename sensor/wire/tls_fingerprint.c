#include "sensor/wire/tls_fingerprint.h"

#include "base/ascii.h"

#define PIECE_BYTES      512
#define HASH_BYTES_SHOWN 6

/* Text on its way into a digest. */
struct piece {
    struct crypto *crypto;
    void (*add)(struct crypto *crypto, const void *bytes, size_t length);
    size_t length;
    char text[PIECE_BYTES];
};

static const char hex_digits[] = "0123456789abcdef";

static void piece_flush(struct piece *piece)
{
    piece->add(piece->crypto, piece->text, piece->length);
    piece->length = 0;
}

static void piece_char(struct piece *piece, char c)
{
    if (piece->length == sizeof(piece->text)) {
        piece_flush(piece);
    }
    piece->text[piece->length++] = c;
}

/* Room for one number and what separates it. */
static char *piece_room(struct piece *piece)
{
    if (piece->length + 8 > sizeof(piece->text)) {
        piece_flush(piece);
    }
    return piece->text + piece->length;
}

static void piece_decimal(struct piece *piece, uint16_t value)
{
    char *at = piece_room(piece);
    const unsigned digits = 1U + (value > 9) + (value > 99) + (value > 999) + (value > 9999);
    unsigned rest = value;

    for (unsigned i = digits; i > 0; i--) {
        at[i - 1] = (char)('0' + rest % 10);
        rest /= 10;
    }
    piece->length += digits;
}

static void piece_hex(struct piece *piece, uint16_t value)
{
    char *at = piece_room(piece);

    at[0] = hex_digits[value >> 12];
    at[1] = hex_digits[value >> 8 & 15];
    at[2] = hex_digits[value >> 4 & 15];
    at[3] = hex_digits[value & 15];
    piece->length += 4;
}

/* ",1-2-3": the 2-byte values of `list` without GREASE. */
static void add_values(struct piece *piece, const struct wire_span *list)
{
    char before = ',';

    for (uint32_t at = 0; at + 2 <= list->length; at += 2) {
        const uint16_t value = wire_u16(list->bytes + at);

        if (!tls_is_grease(value)) {
            piece_char(piece, before);
            piece_decimal(piece, value);
            before = '-';
        }
    }
    if (before == ',') {
        piece_char(piece, ',');
    }
}

static void add_extensions(struct piece *piece, const struct tls_hello *hello)
{
    struct wire_span list = hello->extensions, data;
    char before = ',';
    uint16_t type;

    while (tls_extension_next(&list, &type, &data)) {
        if (!tls_is_grease(type)) {
            piece_char(piece, before);
            piece_decimal(piece, type);
            before = '-';
        }
    }
    if (before == ',') {
        piece_char(piece, ',');
    }
}

bool tls_ja3(struct crypto *crypto, const struct tls_hello *hello, uint8_t out[CRYPTO_MD5_BYTES])
{
    struct piece piece;

    if (!hello->is_complete || hello->is_ssl2 || !crypto_has_md5(crypto)) {
        return false;
    }
    piece.crypto = crypto;
    piece.add = crypto_md5_add;
    piece.length = 0;
    crypto_md5_start(crypto);
    piece_decimal(&piece, hello->legacy_version);
    if (hello->is_client) {
        add_values(&piece, &hello->ciphers);
        add_extensions(&piece, hello);
        add_values(&piece, &hello->groups);
        piece_char(&piece, ',');
        for (uint32_t i = 0; i < hello->point_formats.length; i++) {
            if (i > 0) {
                piece_char(&piece, '-');
            }
            piece_decimal(&piece, hello->point_formats.bytes[i]);
        }
    } else {
        piece_char(&piece, ',');
        piece_decimal(&piece, hello->cipher);
        add_extensions(&piece, hello);
    }
    piece_flush(&piece);
    crypto_md5_finish(crypto, out);
    return true;
}

/* Numbers to be sorted, without GREASE. */
struct numbers {
    uint32_t count;
    uint16_t values[TLS_FINGERPRINT_LIST_MAX];
};

static bool numbers_add(struct numbers *numbers, uint16_t value)
{
    if (tls_is_grease(value)) {
        return true;
    }
    if (numbers->count == TLS_FINGERPRINT_LIST_MAX) {
        return false;
    }
    numbers->values[numbers->count++] = value;
    return true;
}

/* Shell's sort with Ciura's gaps: short lists are the rule, long ones must not cost a square. */
static void numbers_sort(struct numbers *numbers)
{
    static const uint16_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};

    for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
        const uint32_t gap = gaps[g];

        for (uint32_t i = gap; i < numbers->count; i++) {
            const uint16_t value = numbers->values[i];
            uint32_t at = i;

            while (at >= gap && numbers->values[at - gap] > value) {
                numbers->values[at] = numbers->values[at - gap];
                at -= gap;
            }
            numbers->values[at] = value;
        }
    }
}

static void add_numbers(struct piece *piece, const struct numbers *numbers)
{
    for (uint32_t i = 0; i < numbers->count; i++) {
        if (i > 0) {
            piece_char(piece, ',');
        }
        piece_hex(piece, numbers->values[i]);
    }
}

/* The first bytes of the SHA-256 of what is in `piece`; of nothing: zeros. */
static void finish_hash(struct piece *piece, bool is_empty, uint8_t out[HASH_BYTES_SHOWN])
{
    uint8_t digest[CRYPTO_SHA256_BYTES];

    piece_flush(piece);
    crypto_sha256_finish(piece->crypto, digest);
    if (is_empty) {
        memset(digest, 0, sizeof(digest));
    }
    memcpy(out, digest, HASH_BYTES_SHOWN);
}

static struct piece start_hash(struct crypto *crypto)
{
    crypto_sha256_start(crypto);
    return (struct piece){.crypto = crypto, .add = crypto_sha256_add};
}

static const char *ja4_version(uint16_t version)
{
    switch (version) {
    case TLS_VERSION_1_3:
        return "13";
    case TLS_VERSION_1_2:
        return "12";
    case 0x0302:
        return "11";
    case TLS_VERSION_1_0:
        return "10";
    case TLS_VERSION_SSL3:
        return "s3";
    case TLS_VERSION_SSL2:
        return "s2";
    case DTLS_VERSION_1_0:
        return "d1";
    case DTLS_VERSION_1_2:
        return "d2";
    case DTLS_VERSION_1_3:
        return "d3";
    default:
        return "00";
    }
}

static char *add_count(char *at, uint32_t count)
{
    const uint32_t shown = count < 99 ? count : 99;

    *at++ = (char)('0' + shown / 10);
    *at++ = (char)('0' + shown % 10);
    return at;
}

static bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* First and last character of the first name; of its hex form where they are no letters or digits.
 */
static char *add_alpn(char *at, const struct tls_hello *hello)
{
    struct wire_span list = hello->alpn, name;

    if (!tls_alpn_next(&list, &name)) {
        *at++ = '0';
        *at++ = '0';
        return at;
    }
    const uint8_t first = name.bytes[0];
    const uint8_t last = name.bytes[name.length - 1];
    const bool is_text = is_alphanumeric(first) && is_alphanumeric(last);
    *at++ = (char)(is_text ? first : (uint8_t)hex_digits[first >> 4]);
    *at++ = (char)(is_text ? last : (uint8_t)hex_digits[last & 15]);
    return at;
}

bool tls_ja4(struct crypto *crypto, const struct tls_hello *hello, enum tls_transport transport,
             struct tls_ja4 *out)
{
    static const char transports[] = "tqd";
    struct numbers ciphers = {.count = 0}, extensions = {.count = 0};
    struct wire_span list = hello->extensions, data;
    uint32_t extension_count = 0;
    bool fits = hello->is_complete && hello->is_client && !hello->is_ssl2;
    uint16_t type;

    for (uint32_t i = 0; fits && i + 2 <= hello->ciphers.length; i += 2) {
        fits = numbers_add(&ciphers, wire_u16(hello->ciphers.bytes + i));
    }
    while (fits && tls_extension_next(&list, &type, &data)) {
        extension_count += !tls_is_grease(type);
        if (type != TLS_EXTENSION_SERVER_NAME && type != TLS_EXTENSION_ALPN) {
            fits = numbers_add(&extensions, type);
        }
    }
    if (!fits || hello->signature_algorithms.length > 2 * TLS_FINGERPRINT_LIST_MAX) {
        return false;
    }
    numbers_sort(&ciphers);
    numbers_sort(&extensions);

    char *at = out->start;
    const char *version = ja4_version(hello->version);
    *at++ = transports[transport];
    *at++ = version[0];
    *at++ = version[1];
    *at++ = hello->has_sni ? 'd' : 'i';
    at = add_count(at, ciphers.count);
    at = add_count(at, extension_count);
    (void)add_alpn(at, hello);

    struct piece piece = start_hash(crypto);
    add_numbers(&piece, &ciphers);
    finish_hash(&piece, ciphers.count == 0, out->hashes[0]);
    piece = start_hash(crypto);
    add_numbers(&piece, &extensions);
    char before = '_';
    for (uint32_t i = 0; i + 2 <= hello->signature_algorithms.length; i += 2) {
        const uint16_t value = wire_u16(hello->signature_algorithms.bytes + i);

        if (!tls_is_grease(value)) {
            piece_char(&piece, before);
            piece_hex(&piece, value);
            before = ',';
        }
    }
    finish_hash(&piece, extensions.count == 0 && before == '_', out->hashes[1]);
    return true;
}

/* ---- keys ---- */

struct key {
    uint8_t *at, *end; /* of the room; `at` NULL: it was too small */
};

/* False: none of the four values at `at` is one of GREASE, both bytes of which end in 0xa. */
static bool may_be_grease(const uint8_t *at)
{
    uint64_t four;

    memcpy(&four, at, sizeof(four));
    four = (four & UINT64_C(0x0f0f0f0f0f0f0f0f)) ^ UINT64_C(0x0a0a0a0a0a0a0a0a);
    /* No value has its top bit set: it comes by borrowing where a value is zero. */
    return ((four - UINT64_C(0x0001000100010001)) & UINT64_C(0x8000800080008000)) != 0;
}

/* The same of a list; `length` is even. */
static bool list_may_have_grease(const uint8_t *list, uint32_t length)
{
    if (length < 8) {
        for (uint32_t i = 0; i < length; i += 2) {
            if (tls_is_grease(wire_u16(list + i))) {
                return true;
            }
        }
        return false;
    }
    bool found = may_be_grease(list + length - 8);
    for (uint32_t i = 0; i + 8 < length; i += 8) {
        found |= may_be_grease(list + i);
    }
    return found;
}

/* A list of 2-byte values without GREASE, behind how many they are. */
static void key_values(struct key *key, const struct wire_span *list)
{
    uint8_t *const start = key->at;
    const uint32_t length = list->length & ~1U;

    if (start == NULL || key->end - start < (ptrdiff_t)length + 2) {
        key->at = NULL;
        return;
    }
    uint8_t *at = start + 2;
    if (length > 0 && !list_may_have_grease(list->bytes, length)) {
        memcpy(at, list->bytes, length);
        at += length;
    } else {
        for (uint32_t i = 0; i < length; i += 2) {
            memcpy(at, list->bytes + i, 2);
            at += tls_is_grease(wire_u16(at)) ? 0 : 2;
        }
    }
    key->at = at;
    const uint16_t count = (uint16_t)((at - start) / 2 - 1);
    memcpy(start, &count, sizeof(count));
}

static void key_extensions(struct key *key, const struct tls_hello *hello)
{
    struct wire_span list = hello->extensions, data;
    uint8_t *at = key->at;
    uint16_t type;

    if (at == NULL || key->end - at < 2) {
        key->at = NULL;
        return;
    }
    while (tls_extension_next(&list, &type, &data)) {
        if (key->end - at < 4) { /* one more, and the end */
            key->at = NULL;
            return;
        }
        memcpy(at, data.bytes - TLS_EXTENSION_HEADER_BYTES, 2);
        at += tls_is_grease(type) ? 0 : 2;
    }
    memset(at, 0x0a, 2); /* no type here has this number: the end of the list */
    key->at = at + 2;
}

/* What is told by single numbers, and the formats of points. */
static void key_start(struct key *key, const struct tls_hello *hello, enum tls_transport transport)
{
    struct wire_span list = hello->alpn, name;
    const bool has_alpn = tls_alpn_next(&list, &name);
    const uint16_t numbers[6] = {
        (uint16_t)((unsigned)hello->is_client | (unsigned)hello->has_sni << 1 |
                   (unsigned)has_alpn << 2 | (unsigned)transport << 3),
        hello->legacy_version,
        hello->version,
        hello->cipher,
        has_alpn ? (uint16_t)(name.bytes[0] << 8 | name.bytes[name.length - 1]) : 0,
        (uint16_t)hello->point_formats.length};

    if (key->end - key->at < (ptrdiff_t)(sizeof(numbers) + hello->point_formats.length)) {
        key->at = NULL;
        return;
    }
    memcpy(key->at, numbers, sizeof(numbers));
    key->at += sizeof(numbers);
    for (uint32_t i = 0; i < hello->point_formats.length; i++) {
        *key->at++ = hello->point_formats.bytes[i];
    }
}

size_t tls_fingerprint_key(const struct tls_hello *hello, enum tls_transport transport,
                           uint8_t out[TLS_FINGERPRINT_KEY_BYTES])
{
    struct key key = {out, out + TLS_FINGERPRINT_KEY_BYTES};

    if (!hello->is_complete || hello->is_ssl2) {
        return 0;
    }
    key_start(&key, hello, transport);
    key_values(&key, &hello->ciphers);
    key_values(&key, &hello->groups);
    key_values(&key, &hello->signature_algorithms);
    key_extensions(&key, hello);
    if (key.at == NULL) {
        return 0;
    }
    static_assert(TLS_FINGERPRINT_KEY_BYTES % 8 == 0, "no padding behind its end");
    while ((key.at - out) % 8 != 0) {
        *key.at++ = 0;
    }
    return (size_t)(key.at - out);
}

/* ---- text ---- */

unsigned tls_ja4_text(const struct tls_ja4 *ja4, char out[TLS_JA4_TEXT_BYTES])
{
    char *at = out + sizeof(ja4->start);

    memcpy(out, ja4->start, sizeof(ja4->start));
    for (unsigned hash = 0; hash < 2; hash++) {
        const uint8_t *bytes = ja4->hashes[hash];

        static_assert(HASH_BYTES_SHOWN == 6, "four bytes and two, the middle ones twice");
        *at++ = '_';
        store_le64(at, ascii_hex_8(load_le32(bytes)));
        store_le64(at + 4, ascii_hex_8(load_le32(bytes + 2)));
        at += (size_t)2 * HASH_BYTES_SHOWN;
    }
    *at = '\0';
    return (unsigned)(at - out);
}
