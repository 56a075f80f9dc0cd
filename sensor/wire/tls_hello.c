#include "sensor/wire/tls_hello.h"

#include "base/address.h"
#include "base/ascii.h"
#include "base/zero.h"

enum {
    SSL2_CLIENT_HELLO = 1,
    SSL2_HEADER_BYTES = 2,
    SSL2_FIXED_BYTES = 9,
    RANDOM_BYTES = 32,
    DRAFT_1_3_FIRST = 14,
    DRAFT_1_3_LAST = 28,
};

static void clear(struct tls_hello *hello)
{
    zero_bytes(hello, sizeof(*hello));
}

/* The number of a draft of TLS 1.3 (0x7f12; Facebook's 0xfb17); 0: none. */
static unsigned draft_of(uint16_t version)
{
    return version >> 8 == 0x7f || version >> 8 == 0xfb ? version & 0xff : 0;
}

/* A server that has chosen a draft before 22, which names itself in the old version field. */
static bool is_early_1_3(uint16_t version)
{
    const unsigned draft = draft_of(version);

    return draft > 0 && draft < 22;
}

/* As many of the next `length` bytes as there are. */
static struct cursor sub_or_less(struct cursor *c, size_t length)
{
    return cursor_sub(c, length < cursor_left(c) ? length : cursor_left(c));
}

/* The whole 2-byte values of `list`. */
static struct wire_span pairs_of(const struct cursor *list)
{
    return (struct wire_span){.bytes = list->at, .length = (uint32_t)(cursor_left(list) & ~1UL)};
}

/* A list of 2-byte values behind its length. */
static struct wire_span read_pairs(struct cursor c)
{
    const uint16_t length = cursor_u16(&c);
    const struct cursor list = sub_or_less(&c, length);

    return pairs_of(&list);
}

/* The top bit of each dot that stands behind another of the eight bytes. */
static uint64_t second_dots(uint64_t eight)
{
    const uint64_t dots = ascii_equal_8(eight, '.');

    return dots & dots << 8;
}

/* Whether two dots stand side by side; `length` at least eight. Steps of seven, so that each pair
 * is within one. */
static bool has_second_dot(const uint8_t *bytes, uint32_t length)
{
    const uint32_t last = length - 8;
    uint64_t found = second_dots(load_le64(bytes + last));

    for (uint32_t i = 0; i < last; i += 7) {
        found |= second_dots(load_le64(bytes + i));
    }
    return found != 0;
}

static bool has_second_dot_in_few(const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 1; i < length; i++) {
        if (bytes[i] == '.' && bytes[i - 1] == '.') {
            return true;
        }
    }
    return false;
}

bool tls_is_host_name(const struct wire_span *name)
{
    const uint8_t *bytes = name->bytes;
    const uint32_t length = name->length;
    struct ip_address address;

    if (length == 0 || length > 255 || bytes[0] == '.' || !ascii_are_host(bytes, length) ||
        (length < 8 ? has_second_dot_in_few(bytes, length) : has_second_dot(bytes, length))) {
        return false;
    }
    /* Without a colon it can be an address of version 4 alone, which ends in a digit. */
    return !(bytes[length - 1] >= '0' && bytes[length - 1] <= '9' &&
             address_parse((const char *)bytes, length, &address));
}

static void read_server_name(struct cursor c, struct tls_hello *out)
{
    struct cursor list = sub_or_less(&c, cursor_u16(&c));

    out->has_sni = true;
    while (cursor_left(&list) > 0) {
        const uint8_t type = cursor_u8(&list);
        const uint16_t length = cursor_u16(&list);
        const struct wire_span name = cursor_span(&list, length);

        if (!list.ok) {
            return;
        }
        if (type == 0) { /* host_name, the only type there is */
            out->sni = name;
            out->is_sni_host_name = tls_is_host_name(&name);
            return;
        }
    }
}

/* By tls_version_rank, which need not be asked for SSL 3.0 to TLS 1.3. */
static bool is_later(uint16_t version, uint16_t than)
{
    const unsigned span = TLS_VERSION_1_3 - TLS_VERSION_SSL3;

    return (unsigned)version - TLS_VERSION_SSL3 <= span && (unsigned)than - TLS_VERSION_SSL3 <= span
               ? version > than
               : tls_version_rank(version) > tls_version_rank(than);
}

static void read_supported_versions(struct cursor c, struct tls_hello *out)
{
    struct cursor list = c;

    if (out->is_client) {
        const uint8_t length = cursor_u8(&c);

        list = sub_or_less(&c, length);
    }
    out->supported_versions = pairs_of(&list);
    uint16_t highest = 0;
    while (cursor_left(&list) >= 2) {
        const uint16_t version = cursor_u16(&list);

        if (!tls_is_grease(version) && (highest == 0 || is_later(version, highest))) {
            highest = version;
        }
    }
    if (highest != 0) {
        out->version = highest;
    }
}

/* Most say nothing that is asked for. */
static inline bool is_read(uint16_t type)
{
    const uint64_t low =
        UINT64_C(1) << TLS_EXTENSION_SERVER_NAME | UINT64_C(1) << TLS_EXTENSION_GROUPS |
        UINT64_C(1) << TLS_EXTENSION_POINT_FORMATS |
        UINT64_C(1) << TLS_EXTENSION_SIGNATURE_ALGORITHMS | UINT64_C(1) << TLS_EXTENSION_ALPN |
        UINT64_C(1) << TLS_EXTENSION_SUPPORTED_VERSIONS | UINT64_C(1) << TLS_EXTENSION_KEY_SHARE;

    return type < 64 ? (low >> type & 1) != 0
                     : type == TLS_EXTENSION_ECH || type == TLS_EXTENSION_ESNI;
}

static void read_extension(uint16_t type, const struct wire_span *bytes, struct tls_hello *out)
{
    struct cursor data = cursor_over(bytes->bytes, bytes->length);

    switch (type) {
    case TLS_EXTENSION_SERVER_NAME:
        read_server_name(data, out);
        break;
    case TLS_EXTENSION_ALPN: {
        const uint16_t length = cursor_u16(&data);
        struct cursor list = sub_or_less(&data, length);

        out->alpn = cursor_span(&list, cursor_left(&list));
        break;
    }
    case TLS_EXTENSION_SUPPORTED_VERSIONS:
        read_supported_versions(data, out);
        break;
    case TLS_EXTENSION_GROUPS:
        out->groups = read_pairs(data);
        break;
    case TLS_EXTENSION_POINT_FORMATS: {
        const uint8_t length = cursor_u8(&data);
        const struct cursor list = sub_or_less(&data, length);

        out->point_formats =
            (struct wire_span){.bytes = list.at, .length = (uint32_t)cursor_left(&list)};
        break;
    }
    case TLS_EXTENSION_SIGNATURE_ALGORITHMS:
        out->signature_algorithms = read_pairs(data);
        break;
    case TLS_EXTENSION_KEY_SHARE:
        if (!out->is_client) {
            out->group = cursor_u16(&data);
        }
        break;
    case TLS_EXTENSION_ECH:
    case TLS_EXTENSION_ESNI:
        out->has_ech = true;
        break;
    default:
        break;
    }
}

static enum wire_status read_extensions(struct cursor *c, struct tls_hello *out)
{
    const uint16_t length = cursor_u16(c);
    const struct cursor list = sub_or_less(c, length);

    out->extensions = (struct wire_span){.bytes = list.at, .length = (uint32_t)cursor_left(&list)};
    const bool is_whole = out->extensions.length == length;
    struct wire_span rest = out->extensions, data;
    uint16_t type;

    while (rest.length > 0) {
        if (!tls_extension_next(&rest, &type, &data)) {
            return is_whole ? WIRE_MALFORMED : WIRE_TRUNCATED;
        }
        out->extension_count++;
        if (is_read(type)) {
            read_extension(type, &data, out);
        }
    }
    return is_whole ? WIRE_OK : WIRE_TRUNCATED;
}

/* Behind the session id the two hellos differ: a list of suites and methods, or one of each. */
static void read_ciphers(struct cursor *c, struct tls_hello *out)
{
    if (!out->is_client) {
        out->cipher = cursor_u16(c);
        if (!is_early_1_3(out->legacy_version)) {
            cursor_skip(c, 1); /* compression */
        }
        return;
    }
    const uint16_t length = cursor_u16(c);
    struct cursor list = sub_or_less(c, length);

    out->ciphers = pairs_of(&list);
    out->cipher_count = (uint16_t)(out->ciphers.length / 2);
    if (cursor_left(&list) < length) {
        c->ok = false;
        return;
    }
    const uint8_t method_bytes = cursor_u8(c);
    cursor_skip(c, method_bytes);
}

/* What a HelloRetryRequest has in place of a random: SHA-256 of that name (RFC 8446 section
 * 4.1.3). */
static const uint8_t retry_random[RANDOM_BYTES] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

static bool is_known_major(uint16_t version)
{
    return version >> 8 == 3 || version >> 8 == 0xfe || version == DTLS_VERSION_OPENSSL ||
           is_early_1_3(version);
}

/* Version, random, session id and cookie. */
static void read_start(struct cursor *c, const struct tls_message *message, struct tls_hello *out)
{
    out->legacy_version = cursor_u16(c);
    out->version = out->legacy_version;
    const bool is_early_server = !out->is_client && is_early_1_3(out->legacy_version);
    const uint8_t *random = cursor_take(c, RANDOM_BYTES);
    out->is_retry = !out->is_client && random != NULL &&
                    memcmp(random, retry_random, sizeof(retry_random)) == 0;
    if (!is_early_server) { /* before draft 22 the ServerHello of TLS 1.3 had no session id */
        const uint8_t session_id_bytes = cursor_u8(c);
        cursor_skip(c, session_id_bytes);
    }
    if (out->is_client && message->is_datagram) {
        const uint8_t cookie_bytes = cursor_u8(c);
        cursor_skip(c, cookie_bytes);
    }
}

enum wire_status tls_hello_read(const struct tls_message *message, struct tls_hello *out)
{
    struct cursor c = cursor_over(message->body.bytes, message->body.length);

    clear(out);
    out->is_client = message->type == TLS_CLIENT_HELLO;
    out->message_bytes = message->length;
    if (message->type != TLS_CLIENT_HELLO && message->type != TLS_SERVER_HELLO) {
        return WIRE_MALFORMED;
    }
    const bool is_whole = cursor_left(&c) >= message->length;
    const enum wire_status fault = is_whole ? WIRE_MALFORMED : WIRE_TRUNCATED;

    cursor_limit(&c, message->length);
    read_start(&c, message, out);
    if (message->body.length >= 2 && !is_known_major(out->legacy_version)) {
        return WIRE_MALFORMED;
    }
    if (!c.ok) {
        return fault;
    }
    read_ciphers(&c, out);
    if (!c.ok) {
        return fault;
    }
    if (cursor_left(&c) == 0) { /* extensions may be left out */
        out->is_complete = is_whole;
        return is_whole ? WIRE_OK : WIRE_TRUNCATED;
    }
    const enum wire_status status = read_extensions(&c, out);
    if (status == WIRE_OK && c.ok && is_whole) {
        out->is_complete = true;
        return WIRE_OK;
    }
    return status == WIRE_MALFORMED ? status : fault;
}

enum wire_status tls_hello_parse(const struct wire_span *message, struct tls_hello *out)
{
    struct cursor c = cursor_over(message->bytes, message->length);
    struct tls_message parts = {.type = cursor_u8(&c)};

    if (!c.ok) {
        clear(out);
        return WIRE_TRUNCATED;
    }
    if (parts.type != TLS_CLIENT_HELLO && parts.type != TLS_SERVER_HELLO) {
        clear(out);
        return WIRE_MALFORMED;
    }
    parts.length = cursor_u24(&c);
    if (!c.ok) {
        clear(out);
        out->is_client = parts.type == TLS_CLIENT_HELLO;
        return WIRE_TRUNCATED;
    }
    parts.body = (struct wire_span){.bytes = c.at, .length = (uint32_t)cursor_left(&c)};
    return tls_hello_read(&parts, out);
}

enum wire_status tls_ssl2_hello(const struct wire_span *bytes, struct tls_hello *out)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    const uint16_t length = cursor_u16(&c);
    const uint8_t type = cursor_u8(&c);
    const uint16_t version = cursor_u16(&c);
    const uint16_t cipher_bytes = cursor_u16(&c);
    const uint16_t session_id_bytes = cursor_u16(&c);
    const uint16_t challenge_bytes = cursor_u16(&c);

    clear(out);
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    const uint32_t message_bytes = length & 0x7fffU;
    if ((length & 0x8000) == 0 || type != SSL2_CLIENT_HELLO || cipher_bytes % 3 != 0 ||
        cipher_bytes == 0 || (session_id_bytes != 0 && session_id_bytes != 16) ||
        challenge_bytes < 16 || challenge_bytes > 32 ||
        (version != TLS_VERSION_SSL2 && (version >> 8 != 3 || version > TLS_VERSION_1_3)) ||
        message_bytes !=
            (uint32_t)SSL2_FIXED_BYTES + cipher_bytes + session_id_bytes + challenge_bytes) {
        return WIRE_MALFORMED;
    }
    const struct cursor ciphers = sub_or_less(&c, cipher_bytes);
    *out = (struct tls_hello){
        .is_client = true,
        .is_ssl2 = true,
        .is_complete = bytes->length >= message_bytes + SSL2_HEADER_BYTES,
        .legacy_version = version,
        .version = version,
        .cipher_count = cipher_bytes / 3,
        .message_bytes = message_bytes,
        .ciphers = {.bytes = ciphers.at, .length = (uint32_t)cursor_left(&ciphers)}};
    return out->is_complete ? WIRE_OK : WIRE_TRUNCATED;
}

enum wire_status tls_record_hello(const struct wire_span *bytes, struct tls_hello *out)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    const uint8_t type = cursor_u8(&c);
    const uint16_t version = cursor_u16(&c);
    const uint16_t record_bytes = cursor_u16(&c);

    if (type >= 0x80 && bytes->length > 0) {
        return tls_ssl2_hello(bytes, out);
    }
    if (!c.ok || type != TLS_HANDSHAKE || version >> 8 != 3 || record_bytes == 0) {
        clear(out);
        return c.ok ? WIRE_MALFORMED : WIRE_TRUNCATED;
    }
    cursor_limit(&c, record_bytes);
    const struct wire_span message = {.bytes = c.at, .length = (uint32_t)cursor_left(&c)};
    const enum wire_status status = tls_hello_parse(&message, out);
    out->record_version = version;
    return status;
}

bool tls_alpn_next(struct wire_span *list, struct wire_span *name)
{
    struct cursor c = cursor_over(list->bytes, list->length);
    const uint8_t length = cursor_u8(&c);

    *name = cursor_span(&c, length);
    if (!c.ok || length == 0) {
        *list = (struct wire_span){0};
        return false;
    }
    *list = (struct wire_span){.bytes = c.at, .length = (uint32_t)cursor_left(&c)};
    return true;
}

const char *tls_version_name(uint16_t version)
{
    static const char *const drafts[DRAFT_1_3_LAST - DRAFT_1_3_FIRST + 1] = {
        "TLS 1.3-draft14", "TLS 1.3-draft15", "TLS 1.3-draft16", "TLS 1.3-draft17",
        "TLS 1.3-draft18", "TLS 1.3-draft19", "TLS 1.3-draft20", "TLS 1.3-draft21",
        "TLS 1.3-draft22", "TLS 1.3-draft23", "TLS 1.3-draft24", "TLS 1.3-draft25",
        "TLS 1.3-draft26", "TLS 1.3-draft27", "TLS 1.3-draft28"};
    const unsigned draft = draft_of(version);

    if (draft >= DRAFT_1_3_FIRST && draft <= DRAFT_1_3_LAST) {
        return drafts[draft - DRAFT_1_3_FIRST];
    }
    switch (version) {
    case TLS_VERSION_SSL2:
        return "SSL 2.0";
    case TLS_VERSION_SSL3:
        return "SSL 3.0";
    case TLS_VERSION_1_0:
        return "TLS 1.0";
    case 0x0302:
        return "TLS 1.1";
    case TLS_VERSION_1_2:
        return "TLS 1.2";
    case TLS_VERSION_1_3:
        return "TLS 1.3";
    case DTLS_VERSION_OPENSSL:
    case DTLS_VERSION_1_0:
        return "DTLS 1.0";
    case DTLS_VERSION_1_2:
        return "DTLS 1.2";
    case DTLS_VERSION_1_3:
        return "DTLS 1.3";
    default:
        return NULL;
    }
}

unsigned tls_version_rank(uint16_t version)
{
    const unsigned draft = draft_of(version);

    if (draft != 0) {
        return TLS_RANK_1_3 + draft;
    }
    if (version == TLS_VERSION_SSL2 || version == DTLS_VERSION_OPENSSL) {
        return 1;
    }
    if (version == TLS_VERSION_1_3 || version == DTLS_VERSION_1_3) {
        return TLS_RANK_1_3 + 0x100;
    }
    if (version >> 8 == 3) {
        return version < TLS_VERSION_1_3 ? 0x100U + (version & 0xff) : 0;
    }
    return version >> 8 == 0xfe ? 0x100U + (0xff - (version & 0xff)) : 0;
}
