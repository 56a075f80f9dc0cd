#include "sensor/wire/tls_hello.h"

enum {
    RECORD_HANDSHAKE = 22,
    HANDSHAKE_CLIENT_HELLO = 1,
    HANDSHAKE_SERVER_HELLO = 2,
};

/* As many of the next `length` bytes as there are. */
static struct cursor sub_or_less(struct cursor *c, size_t length)
{
    return cursor_sub(c, length < cursor_left(c) ? length : cursor_left(c));
}

static bool is_host_name(const struct wire_span *name)
{
    if (name->length == 0 || name->length > 255) {
        return false;
    }
    for (uint32_t i = 0; i < name->length; i++) {
        const uint8_t c = name->bytes[i];
        const bool is_dot = c == '.';

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || is_dot)) {
            return false;
        }
        if (is_dot && (i == 0 || name->bytes[i - 1] == '.')) {
            return false;
        }
    }
    return true;
}

static void read_server_name(struct cursor c, struct tls_hello *out)
{
    struct cursor list = sub_or_less(&c, cursor_u16(&c));

    while (cursor_left(&list) > 0) {
        const uint8_t type = cursor_u8(&list);
        const uint16_t length = cursor_u16(&list);
        const struct wire_span name = cursor_span(&list, length);

        if (!list.ok) {
            return;
        }
        if (type == 0) { /* host_name, the only type there is */
            out->sni = name;
            out->is_sni_host_name = is_host_name(&name);
            return;
        }
    }
}

static void read_supported_versions(struct cursor c, struct tls_hello *out)
{
    struct cursor list = c;

    if (out->is_client) {
        const uint8_t length = cursor_u8(&c);

        list = sub_or_less(&c, length);
    }
    out->supported_versions =
        (struct wire_span){.bytes = list.at, .length = (uint32_t)(cursor_left(&list) & ~1UL)};
    uint16_t highest = 0;
    while (cursor_left(&list) >= 2) {
        const uint16_t version = cursor_u16(&list);

        if (!tls_is_grease(version) && version > highest) {
            highest = version;
        }
    }
    if (highest != 0) {
        out->version = highest;
    }
}

static void read_extension(uint16_t type, struct cursor data, struct tls_hello *out)
{
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
    case TLS_EXTENSION_ECH:
        out->has_ech = true;
        break;
    default:
        break;
    }
}

static enum wire_status read_extensions(struct cursor *c, struct tls_hello *out)
{
    const uint16_t length = cursor_u16(c);
    struct cursor list = sub_or_less(c, length);

    out->extensions = (struct wire_span){.bytes = list.at, .length = (uint32_t)cursor_left(&list)};
    const bool is_whole = out->extensions.length == length;
    while (cursor_left(&list) > 0) {
        const uint16_t type = cursor_u16(&list);
        const uint16_t data_bytes = cursor_u16(&list);

        struct cursor data = cursor_sub(&list, data_bytes);
        if (!list.ok) {
            return is_whole ? WIRE_MALFORMED : WIRE_TRUNCATED;
        }
        out->extension_count++;
        read_extension(type, data, out);
    }
    return is_whole ? WIRE_OK : WIRE_TRUNCATED;
}

/* Behind the session id the two hellos differ: a list of suites and methods, or one of each. */
static void read_ciphers(struct cursor *c, struct tls_hello *out)
{
    if (!out->is_client) {
        out->cipher = cursor_u16(c);
        cursor_skip(c, 1); /* compression */
        return;
    }
    const uint16_t length = cursor_u16(c);
    struct cursor list = sub_or_less(c, length);

    out->ciphers =
        (struct wire_span){.bytes = list.at, .length = (uint32_t)(cursor_left(&list) & ~1UL)};
    out->cipher_count = (uint16_t)(out->ciphers.length / 2);
    if (cursor_left(&list) < length) {
        c->ok = false;
        return;
    }
    const uint8_t method_bytes = cursor_u8(c);
    cursor_skip(c, method_bytes);
}

enum wire_status tls_hello_parse(const struct wire_span *message, struct tls_hello *out)
{
    struct cursor c = cursor_over(message->bytes, message->length);
    const uint8_t type = cursor_u8(&c);

    *out = (struct tls_hello){0};
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    if (type != HANDSHAKE_CLIENT_HELLO && type != HANDSHAKE_SERVER_HELLO) {
        return WIRE_MALFORMED;
    }
    out->is_client = type == HANDSHAKE_CLIENT_HELLO;
    out->message_bytes = cursor_u24(&c);
    const bool is_whole = c.ok && cursor_left(&c) >= out->message_bytes;
    cursor_limit(&c, out->message_bytes);
    const enum wire_status fault = is_whole ? WIRE_MALFORMED : WIRE_TRUNCATED;

    out->legacy_version = cursor_u16(&c);
    out->version = out->legacy_version;
    if (c.ok && out->legacy_version >> 8 != 3) {
        return WIRE_MALFORMED;
    }
    cursor_skip(&c, 32); /* random */
    const uint8_t session_id_bytes = cursor_u8(&c);
    cursor_skip(&c, session_id_bytes);
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

enum wire_status tls_record_hello(const struct wire_span *bytes, struct tls_hello *out)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    const uint8_t type = cursor_u8(&c);
    const uint16_t version = cursor_u16(&c);
    const uint16_t record_bytes = cursor_u16(&c);

    *out = (struct tls_hello){0};
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    if (type != RECORD_HANDSHAKE || version >> 8 != 3 || record_bytes == 0) {
        return WIRE_MALFORMED;
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
    switch (version) {
    case 0x0300:
        return "SSL 3.0";
    case 0x0301:
        return "TLS 1.0";
    case 0x0302:
        return "TLS 1.1";
    case 0x0303:
        return "TLS 1.2";
    case 0x0304:
        return "TLS 1.3";
    default:
        return NULL;
    }
}
