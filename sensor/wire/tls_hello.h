/* TLS ClientHello and ServerHello (RFC 5246, 8446; SNI: RFC 6066; ALPN: RFC 7301; GREASE: RFC
 * 8701).
 *
 * Reads a hello from contiguous bytes: from one segment by tls_record_hello, or from a handshake
 * message that was put together elsewhere by tls_hello_parse. A hello that goes on behind the bytes
 * gives WIRE_TRUNCATED and everything that stood before the cut. Depends on: wire/cursor.h. Pure,
 * any thread. Spans are borrowed from the bytes given. */
#pragma once

#include "sensor/wire/cursor.h"

#define TLS_RECORD_HEADER_BYTES    5
#define TLS_HANDSHAKE_HEADER_BYTES 4

enum tls_extension {
    TLS_EXTENSION_SERVER_NAME = 0,
    TLS_EXTENSION_ALPN = 16,
    TLS_EXTENSION_SUPPORTED_VERSIONS = 43,
    TLS_EXTENSION_ECH = 0xfe0d,
};

struct tls_hello {
    bool is_client;
    bool is_complete;        /* the whole message was there */
    bool is_sni_host_name;   /* the SNI is a valid host name (letters, digits, hyphens, dots,
                                underscores) */
    bool has_ech;            /* encrypted_client_hello: the SNI is the outer one */
    uint16_t record_version; /* 0 from tls_hello_parse */
    uint16_t legacy_version; /* the field in the hello */
    uint16_t version;        /* highest of supported_versions without GREASE, else legacy_version; a
                                server's choice */
    uint16_t cipher;         /* ServerHello: the chosen suite */
    uint16_t cipher_count;
    uint16_t extension_count;
    uint32_t message_bytes; /* as the handshake header says, without it */
    struct wire_span sni;
    struct wire_span alpn;               /* list as in RFC 7301: a length byte before each name */
    struct wire_span ciphers;            /* 2 bytes each */
    struct wire_span extensions;         /* what is there of them */
    struct wire_span supported_versions; /* 2 bytes each */
};

/* A hello within TLS records, first record at `bytes`. WIRE_MALFORMED: no hello. The hello must
 * begin in the first record and is read as far as that record goes. */
enum wire_status tls_record_hello(const struct wire_span *bytes, struct tls_hello *out);

/* A handshake message, from its type byte. */
enum wire_status tls_hello_parse(const struct wire_span *message, struct tls_hello *out);

/* The next name of out->alpn; `list` starts as that span and moves on. False at the end. */
bool tls_alpn_next(struct wire_span *list, struct wire_span *name);

/* "TLS 1.2", ...; NULL for an unknown number. */
const char *tls_version_name(uint16_t version);

/* Whether `value` is one of the reserved GREASE values. */
static inline bool tls_is_grease(uint16_t value)
{
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}
