/* ClientHello and ServerHello of TLS, DTLS and QUIC (RFC 5246, 8446, 6347, 9147; SNI: RFC 6066;
 * ALPN: RFC 7301; GREASE: RFC 8701), SSL 3.0 (RFC 6101) and the CLIENT-HELLO of SSL 2.0.
 *
 * Reads a hello from contiguous bytes: from one segment by tls_record_hello, or from a handshake
 * message that was put together elsewhere by tls_hello_read. A hello that goes on behind the bytes
 * gives WIRE_TRUNCATED and everything that stood before the cut. Depends on: wire/cursor.h. Pure,
 * any thread. Spans are borrowed from the bytes given. */
#pragma once

#include "sensor/wire/cursor.h"

#define TLS_RECORD_HEADER_BYTES    5
#define TLS_HANDSHAKE_HEADER_BYTES 4
#define TLS_EXTENSION_HEADER_BYTES 4
#define TLS_RECORD_BYTES_MAX       (16384 + 2048) /* RFC 5246 section 6.2.3 */

enum tls_record_type {
    TLS_CHANGE_CIPHER_SPEC = 20,
    TLS_ALERT = 21,
    TLS_HANDSHAKE = 22,
    TLS_APPLICATION_DATA = 23,
};

enum tls_handshake_type {
    TLS_CLIENT_HELLO = 1,
    TLS_SERVER_HELLO = 2,
    TLS_HELLO_VERIFY_REQUEST = 3, /* DTLS */
    TLS_HELLO_RETRY_REQUEST = 6,  /* drafts of TLS 1.3; later it is a ServerHello */
    TLS_CERTIFICATE = 11,
    TLS_SERVER_HELLO_DONE = 14,
};

enum tls_extension {
    TLS_EXTENSION_SERVER_NAME = 0,
    TLS_EXTENSION_GROUPS = 10,
    TLS_EXTENSION_POINT_FORMATS = 11,
    TLS_EXTENSION_SIGNATURE_ALGORITHMS = 13,
    TLS_EXTENSION_ALPN = 16,
    TLS_EXTENSION_SUPPORTED_VERSIONS = 43,
    TLS_EXTENSION_KEY_SHARE = 51,
    TLS_EXTENSION_ECH = 0xfe0d,
    TLS_EXTENSION_ESNI = 0xffce, /* drafts before ECH */
};

enum tls_version {
    TLS_VERSION_SSL2 = 0x0002,
    TLS_VERSION_SSL3 = 0x0300,
    TLS_VERSION_1_0 = 0x0301,
    TLS_VERSION_1_2 = 0x0303,
    TLS_VERSION_1_3 = 0x0304,
    DTLS_VERSION_OPENSSL = 0x0100, /* what OpenSSL sent before 1.0 was fixed */
    DTLS_VERSION_1_0 = 0xfeff,
    DTLS_VERSION_1_2 = 0xfefd,
    DTLS_VERSION_1_3 = 0xfefc,
};

/* One handshake message without its header. */
struct tls_message {
    uint8_t type;          /* enum tls_handshake_type */
    bool is_datagram;      /* DTLS: a ClientHello has a cookie */
    uint32_t length;       /* as its header says */
    struct wire_span body; /* what is there of it, from its first byte */
};

struct tls_hello {
    bool is_client;
    bool is_complete;        /* the whole message was there, well-formed */
    bool is_ssl2;            /* CLIENT-HELLO of SSL 2.0: suites of 3 bytes, no extensions */
    bool is_retry;           /* HelloRetryRequest */
    bool has_sni;            /* the extension is there, even when without a name */
    bool is_sni_host_name;   /* the SNI is a valid host name (letters, digits, hyphens, dots,
                                underscores) and no address */
    bool has_ech;            /* encrypted_client_hello or its drafts: the SNI is the outer one */
    uint16_t record_version; /* 0 from tls_hello_read */
    uint16_t legacy_version; /* the field in the hello */
    uint16_t version;        /* highest of supported_versions without GREASE, else legacy_version; a
                                server's choice */
    uint16_t cipher;         /* ServerHello: the chosen suite */
    uint16_t group;          /* ServerHello: the group of its key share; 0: none */
    uint16_t cipher_count;
    uint16_t extension_count;
    uint32_t message_bytes; /* as the handshake header says, without it */
    struct wire_span sni;
    struct wire_span alpn;                 /* list as in RFC 7301: a length byte before each name */
    struct wire_span ciphers;              /* 2 bytes each; 3 with is_ssl2 */
    struct wire_span extensions;           /* what is there of them */
    struct wire_span supported_versions;   /* 2 bytes each */
    struct wire_span groups;               /* 2 bytes each */
    struct wire_span point_formats;        /* 1 byte each */
    struct wire_span signature_algorithms; /* 2 bytes each */
};

/* Of TLS_CLIENT_HELLO and TLS_SERVER_HELLO; every other type is WIRE_MALFORMED. */
enum wire_status tls_hello_read(const struct tls_message *message, struct tls_hello *out);

/* A handshake message of a stream (TLS, QUIC), from its type byte. */
enum wire_status tls_hello_parse(const struct wire_span *message, struct tls_hello *out);

/* A hello within TLS records, first record at `bytes`, or a CLIENT-HELLO of SSL 2.0.
 * WIRE_MALFORMED: no hello. The hello must begin in the first record and is read as far as that
 * record goes (tls_stream.h puts records together). */
enum wire_status tls_record_hello(const struct wire_span *bytes, struct tls_hello *out);

/* A CLIENT-HELLO of SSL 2.0 (draft-hickman-netscape-ssl-00), from its length bytes: version 2, or
 * one of SSL 3.0 and TLS in its compatible form (RFC 5246 appendix E.2). */
enum wire_status tls_ssl2_hello(const struct wire_span *bytes, struct tls_hello *out);

/* The next name of out->alpn; `list` starts as that span and moves on. False at the end. */
bool tls_alpn_next(struct wire_span *list, struct wire_span *name);

/* The next of out->extensions; `list` starts as that span and moves on. False at the end. */
static inline bool tls_extension_next(struct wire_span *list, uint16_t *type,
                                      struct wire_span *data)
{
    const uint8_t *at = list->bytes;
    const bool has_header = list->length >= TLS_EXTENSION_HEADER_BYTES;
    const uint32_t length = has_header ? wire_u16(at + 2) : 0;

    if (!has_header || length > list->length - TLS_EXTENSION_HEADER_BYTES) { /* nothing, or cut */
        *list = (struct wire_span){0};
        return false;
    }
    *type = wire_u16(at);
    *data = (struct wire_span){.bytes = at + TLS_EXTENSION_HEADER_BYTES, .length = length};
    list->bytes = at + TLS_EXTENSION_HEADER_BYTES + length;
    list->length -= TLS_EXTENSION_HEADER_BYTES + length;
    return true;
}

/* "TLS 1.2", "DTLS 1.2", "SSL 2.0", "TLS 1.3-draft18", ...; NULL for an unknown number. Static. */
const char *tls_version_name(uint16_t version);

/* Letters, digits, hyphens, underscores and dots, at most 255 of them, and no address. */
bool tls_is_host_name(const struct wire_span *name);

/* What orders versions of one kind: a later one has the higher rank; 0: not known. TLS and DTLS 1.3
 * and its drafts have TLS_RANK_1_3 and more. */
#define TLS_RANK_1_3 0x1000U
unsigned tls_version_rank(uint16_t version);

/* Whether `value` is one of the reserved GREASE values. */
static inline bool tls_is_grease(uint16_t value)
{
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}
