/* Hellos, certificates and what carries them (TLS records, DTLS fragments, QUIC Initials), written
 * byte by byte for tests. Depends on: packet_builder.h, sensor/wire (keys of Initials), libcrypto.
 * Threads: none of its own. */
#pragma once

#include "sensor/wire/quic.h"
#include "tests/support/packet_builder.h"

struct build_handshake {
    const char *sni;    /* NULL: no extension */
    uint16_t sni_bytes; /* where the name has a NUL in it; 0: strlen */
    const char *alpn[3];
    const uint16_t *ciphers; /* NULL: four common ones; a server's choice is the first */
    uint16_t cipher_count;
    uint16_t legacy_version; /* 0: 0x0303 */
    uint16_t versions[4];    /* supported_versions; a server's choice is the first */
    const char *cookie;      /* DTLS: its cookie, "" where it has none; NULL: no DTLS */
    uint32_t padding_bytes;  /* of a padding extension (RFC 7685) */
    bool has_grease, has_ech, has_groups, is_server, is_retry;
};

/* A ClientHello or ServerHello from its type byte on. */
void build_handshake(struct packet_builder *b, const struct build_handshake *hello);

/* A self-made certificate in DER: names of one or two parts, an RSA key that is none, a signature
 * of zeros; `names` in subjectAltName. */
void build_certificate(struct packet_builder *b, const char *common_name, const char *organisation,
                       const char *not_after, unsigned names);
/* A Certificate message around it, from its type byte on. */
void build_certificate_message(struct packet_builder *b, const void *der, size_t der_bytes);

/* TLS records of type handshake over `message`, each with at most `record_bytes`. */
void build_records(struct packet_builder *b, const void *message, size_t bytes,
                   size_t record_bytes);

/* One DTLS record with one fragment of `message` (a stream's, with its header of four bytes). */
void build_dtls_fragment(struct packet_builder *b, const void *message, size_t bytes,
                         uint16_t sequence, uint32_t from, uint32_t to);

struct build_initial {
    uint32_t version;      /* 0: version 1 */
    uint32_t keys_version; /* 0: version */
    const char *target_id, *source_id;
    const char *keys_id; /* NULL: target_id */
    const char *token;
    bool is_server;
    uint32_t number;
    const void *frames;
    size_t frames_bytes;
    size_t datagram_bytes; /* padded with PADDING up to this size; 0: as it comes */
};

/* One protected Initial (RFC 9001 section 5). */
void build_initial(struct packet_builder *b, struct crypto *crypto, struct build_initial initial);
/* A CRYPTO frame. */
void build_crypto_frame(struct packet_builder *b, uint64_t offset, const void *bytes,
                        size_t length);
