#include "sensor/wire/dtls.h"
#include "sensor/wire/tls_certificate.h"
#include "sensor/wire/tls_stream.h"
#include "sensor/wire/tree_writer.h"

#define RECORDS_SHOWN_MAX    8
#define EXTENSIONS_SHOWN_MAX 32
#define LIST_TEXT_BYTES      200

/* By its first message, where it has one: what people look for. */
static const char *record_name(uint8_t type, uint8_t message_type)
{
    switch (type) {
    case TLS_CHANGE_CIPHER_SPEC:
        return "TLS ChangeCipherSpec";
    case TLS_ALERT:
        return "TLS Alert";
    case TLS_HANDSHAKE:
        return message_type == TLS_CLIENT_HELLO   ? "TLS ClientHello"
               : message_type == TLS_SERVER_HELLO ? "TLS ServerHello"
               : message_type == TLS_CERTIFICATE  ? "TLS Certificate"
                                                  : "TLS Handshake";
    default:
        return "TLS Application Data";
    }
}

static const char *message_name(uint8_t type)
{
    switch (type) {
    case TLS_CLIENT_HELLO:
        return "ClientHello";
    case TLS_SERVER_HELLO:
        return "ServerHello";
    case TLS_HELLO_VERIFY_REQUEST:
        return "HelloVerifyRequest";
    case TLS_HELLO_RETRY_REQUEST:
        return "HelloRetryRequest";
    case TLS_CERTIFICATE:
        return "Certificate";
    case TLS_SERVER_HELLO_DONE:
        return "ServerHelloDone";
    default:
        return NULL;
    }
}

static void add_version(struct tree_writer *writer, const char *name, const uint8_t *at,
                        uint16_t version)
{
    const char *known = tls_version_name(version);

    tree_field(writer, name, at, at != NULL ? 2 : 0, "0x%04x%s%s", version,
               known != NULL ? " " : "", known != NULL ? known : "");
}

/* "1301 1302 c02b": values of `width` bytes. */
static void add_list(struct tree_writer *writer, const char *name, const struct wire_span *list,
                     size_t width)
{
    char line[LIST_TEXT_BYTES];
    struct text text = text_over(line, sizeof(line));

    if (list->bytes == NULL) {
        return;
    }
    for (uint32_t at = 0; at + width <= list->length && !text.is_cut; at += (uint32_t)width) {
        text_add(&text, at > 0 ? " " : "");
        text_hex(&text, list->bytes + at, width);
    }
    tree_field(writer, name, list->bytes, list->length, "%s%s", line, text.is_cut ? "..." : "");
}

static void add_extensions(struct tree_writer *writer, const struct tls_hello *hello)
{
    struct wire_span list = hello->extensions, data;
    uint16_t type;

    for (unsigned i = 0; i < EXTENSIONS_SHOWN_MAX; i++) {
        const uint8_t *at = list.bytes;

        if (!tls_extension_next(&list, &type, &data)) {
            return;
        }
        tree_field(writer, "extension", at, 4 + (size_t)data.length, "0x%04x, %u bytes%s", type,
                   data.length, tls_is_grease(type) ? " (GREASE)" : "");
    }
}

static void add_hello(struct tree_writer *writer, const struct tls_message *message)
{
    struct tls_hello hello;
    const enum wire_status status = tls_hello_read(message, &hello);
    struct wire_span list = hello.alpn, name;

    if (message->body.length >= 2) {
        add_version(writer, "legacy_version", message->body.bytes, hello.legacy_version);
    }
    add_version(writer, "version", hello.supported_versions.bytes, hello.version);
    if (hello.is_client) {
        tree_field(writer, "cipher_count", hello.ciphers.bytes, hello.ciphers.length, "%u",
                   hello.cipher_count);
        add_list(writer, "ciphers", &hello.ciphers, 2);
    } else {
        tree_field(writer, "cipher", NULL, 0, "0x%04x", hello.cipher);
        if (hello.is_retry) {
            tree_field(writer, "hello_retry_request", NULL, 0, "yes");
        }
    }
    tree_field(writer, "extension_count", hello.extensions.bytes, hello.extensions.length, "%u",
               hello.extension_count);
    tree_escaped(writer, hello.is_sni_host_name ? "sni" : "sni_not_a_host_name", &hello.sni);
    while (tls_alpn_next(&list, &name)) {
        tree_escaped(writer, "alpn", &name);
    }
    add_list(writer, "groups", &hello.groups, 2);
    add_list(writer, "signature_algorithms", &hello.signature_algorithms, 2);
    if (hello.has_ech) {
        tree_field(writer, "encrypted_client_hello", NULL, 0, "yes");
    }
    add_extensions(writer, &hello);
    if (status != WIRE_OK) {
        tree_field(writer, "fault", NULL, 0, "%s",
                   status == WIRE_TRUNCATED ? "goes on in a later segment" : "malformed hello");
    }
}

static void add_certificate(struct tree_writer *writer, const struct tls_message *message)
{
    struct tls_certificate certificate;
    struct wire_span der;
    uint32_t length;
    char line[LIST_TEXT_BYTES];

    if (!tls_certificate_first(&message->body, &der, &length)) {
        return;
    }
    (void)tls_certificate_parse(&der, &certificate);
    tree_field(writer, "certificate_bytes", der.bytes, der.length, "%u", length);
    const struct wire_span *const names[] = {&certificate.subject, &certificate.issuer};
    for (size_t i = 0; i < 2; i++) {
        struct text text = text_over(line, sizeof(line));

        if (names[i]->bytes != NULL) {
            tls_certificate_name(names[i], &text);
            tree_field(writer, i == 0 ? "subject" : "issuer", names[i]->bytes, names[i]->length,
                       "%s", line);
        }
    }
    if (certificate.serial.bytes != NULL) {
        tree_hex(writer, "serial", certificate.serial.bytes, certificate.serial.length);
    }
    if (certificate.san_count > 0) {
        tree_field(writer, "names", NULL, 0, "%u", certificate.san_count);
    }
}

void tree_tls_message(struct tree_writer *writer, const struct tls_message *message)
{
    const char *known = message_name(message->type);

    if (known != NULL) {
        tree_field(writer, "handshake", message->body.bytes, message->body.length, "%s", known);
    } else {
        tree_field(writer, "handshake", message->body.bytes, message->body.length, "type %u",
                   message->type);
    }
    switch (message->type) {
    case TLS_CLIENT_HELLO:
    case TLS_SERVER_HELLO:
        add_hello(writer, message);
        break;
    case TLS_CERTIFICATE:
        add_certificate(writer, message);
        break;
    default:
        break;
    }
}

static void add_messages(struct tree_writer *writer, const struct wire_span *record)
{
    struct tls_stream stream = tls_stream_over(record, NULL, 0);
    struct tls_message message;

    while (tls_stream_next(&stream, &message)) {
        tree_tls_message(writer, &message);
    }
}

static bool tree_ssl2(struct tree_writer *writer, const struct wire_span *payload)
{
    struct tls_hello hello;

    if (tls_ssl2_hello(payload, &hello) == WIRE_MALFORMED || !hello.is_ssl2) {
        return false;
    }
    tree_layer(writer, "SSL 2.0 ClientHello", payload->bytes, payload->length);
    add_version(writer, "version", payload->bytes + 3, hello.version);
    tree_field(writer, "cipher_count", hello.ciphers.bytes, hello.ciphers.length, "%u",
               hello.cipher_count);
    add_list(writer, "ciphers", &hello.ciphers, 3);
    return true;
}

bool tree_tls(struct tree_writer *writer, const struct wire_span *payload)
{
    struct cursor c = cursor_over(payload->bytes, payload->length);
    struct tls_hello hello;

    if (payload->length > 0 && payload->bytes[0] >= 0x80) {
        return tree_ssl2(writer, payload);
    }
    if (tls_stream_likeness(payload, &hello) != TLS_SURE) {
        return false;
    }
    for (unsigned i = 0; i < RECORDS_SHOWN_MAX && cursor_left(&c) >= TLS_RECORD_HEADER_BYTES; i++) {
        const uint8_t *at = c.at;
        const uint8_t type = cursor_u8(&c);
        const uint16_t version = cursor_u16(&c);
        const uint16_t length = cursor_u16(&c);
        const size_t left = cursor_left(&c);

        if (type < TLS_CHANGE_CIPHER_SPEC || type > TLS_APPLICATION_DATA || version >> 8 != 3) {
            break; /* the rest of a record that began in an earlier segment */
        }
        cursor_skip(&c, length < left ? length : left);
        const struct wire_span record = {.bytes = at, .length = (uint32_t)(c.at - at)};
        const uint8_t message_type =
            record.length > TLS_RECORD_HEADER_BYTES ? at[TLS_RECORD_HEADER_BYTES] : 0;
        tree_layer(writer, record_name(type, message_type), at, record.length);
        add_version(writer, "record_version", at + 1, version);
        tree_field(writer, "record_bytes", at + 3, 2, "%u", length);
        if (type == TLS_HANDSHAKE) {
            add_messages(writer, &record);
        }
    }
    return true;
}

bool tree_dtls(struct tree_writer *writer, const struct wire_span *payload)
{
    struct dtls_datagram datagram = dtls_datagram_over(payload);
    struct dtls_fragment fragment;

    if (!dtls_likely(payload)) {
        return false;
    }
    tree_layer(writer, "DTLS", payload->bytes, payload->length);
    while (dtls_datagram_next(&datagram, &fragment)) {
        const struct tls_message message = {.type = fragment.type,
                                            .is_datagram = true,
                                            .length = fragment.length,
                                            .body = fragment.bytes};

        add_version(writer, "record_version", NULL, fragment.record_version);
        if (fragment.offset == 0) {
            tree_tls_message(writer, &message);
        } else {
            tree_field(writer, "fragment", fragment.bytes.bytes, fragment.bytes.length,
                       "of message %u, type %u, from byte %u of %u", fragment.sequence,
                       fragment.type, fragment.offset, fragment.length);
        }
    }
    if (datagram.is_secured) {
        tree_field(writer, "secured", NULL, 0, "records of a later epoch");
    }
    return true;
}
