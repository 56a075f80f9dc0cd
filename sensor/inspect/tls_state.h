/* What is known of one TLS handshake, whatever carries it: TCP (inspect_tls.c), datagrams
 * (inspect_dtls.c), QUIC (inspect_quic.c). Private to the folder.
 *
 * Depends on: handler.h, wire. Threads: those of inspect. */
#pragma once

#include "sensor/inspect/fingerprints.h"
#include "sensor/inspect/handler.h"
#include "sensor/wire/tls_fingerprint.h"
#include "sensor/wire/tls_hello.h"

#define TLS_SNI_BYTES           236 /* a longer name is cut, and no host name */
#define TLS_ALPN_BYTES          40
#define TLS_ALPN_SELECTED_BYTES 12
#define TLS_CERT_NAME_BYTES     144 /* of subject and issuer as text each; the rest is cut */
#define TLS_CERT_SERIAL_BYTES   20  /* RFC 5280 section 4.1.2.2 */

struct tls_state {
    uint16_t client_version, server_version, cipher, group;
    uint8_t sni_length;
    uint8_t alpn_lengths[FLOW_ALPN_MAX]; /* of the names one behind the other in alpn[] */
    uint8_t alpn_count, alpn_selected_length;
    bool is_host_name, has_ech;
    bool has_client, has_server;         /* something of the hello was read */
    bool is_client_done, is_server_done; /* all of it, or all that will come */
    bool is_client_whole;
    bool has_ja3, has_ja3s, has_ja4, has_retry;
    bool is_certificate_done;
    uint8_t client_direction; /* of the flow, valid with has_client; TLS over TCP */
    uint8_t ja3[CRYPTO_MD5_BYTES], ja3s[CRYPTO_MD5_BYTES];
    struct tls_ja4 ja4;
    char alpn_selected[TLS_ALPN_SELECTED_BYTES];
    char alpn[TLS_ALPN_BYTES];
    char sni[TLS_SNI_BYTES];
};
static_assert(sizeof(struct tls_state) <= INSPECT_PART_BYTES, "a part");

/* PART_TLS_RETRY: of the ClientHello that answers a HelloRetryRequest, those of its fingerprints
 * that differ. */
static_assert(sizeof(struct fingerprints_of_hello) <= INSPECT_PART_BYTES, "a part");

struct certificate_state {
    int64_t not_before_seconds, not_after_seconds;
    uint32_t san_count;
    bool has_digest, has_validity;
    uint8_t serial_length, subject_length, issuer_length;
    uint8_t digest[CRYPTO_SHA256_BYTES];
    uint8_t serial[TLS_CERT_SERIAL_BYTES];
    char subject[TLS_CERT_NAME_BYTES];
    char issuer[TLS_CERT_NAME_BYTES];
};
static_assert(sizeof(struct certificate_state) <= INSPECT_PART_BYTES, "a part");

/* Texts of the record filled last: they are written when they are asked for. */
struct tls_texts {
    char ja3[2 * CRYPTO_MD5_BYTES + 1], ja3s[2 * CRYPTO_MD5_BYTES + 1];
    char ja3_retry[2 * CRYPTO_MD5_BYTES + 1];
    char ja4[TLS_JA4_TEXT_BYTES], ja4_retry[TLS_JA4_TEXT_BYTES];
    char digest[2 * CRYPTO_SHA256_BYTES + 1];
    char serial[2 * TLS_CERT_SERIAL_BYTES + 1];
};

/* Takes what a handshake message tells, whole or so far; the same message may be shown again,
 * longer. False: the pool is full. */
bool tls_take_message(struct inspect *inspect, struct flow *flow, enum tls_transport transport,
                      const struct tls_message *message);
/* The same for a hello that was read already (SSL 2.0). */
void tls_take_hello(struct inspect *inspect, struct flow *flow, struct tls_state *tls,
                    enum tls_transport transport, const struct tls_hello *hello);
/* A server's certificate, `length` bytes long of which `der` are there. */
bool tls_take_certificate(struct inspect *inspect, struct flow *flow, struct tls_state *tls,
                          const struct wire_span *der, uint32_t length);

/* Of a name alone (gQUIC). */
void tls_take_name(struct tls_state *tls, const struct wire_span *name, bool is_host_name);

/* `fill` and `server_name` of the handler table: for every flow with PART_TLS. */
void tls_fill(const struct inspect *inspect, const struct flow *flow, struct flow_record *record);
struct record_text tls_server_name(const struct inspect *inspect, const struct flow *flow,
                                   uint8_t *source);
