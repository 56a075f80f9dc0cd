/* Fingerprints of TLS, DTLS and QUIC hellos.
 *
 * JA3 and JA3S (Salesforce, BSD): MD5 over the numbers of the hello in their order. JA4 of clients
 * (FoxIO, BSD; the rest of JA4+ has another licence and is not here): readable counts and two cut
 * SHA-256 over sorted numbers. GREASE values count nowhere. A fingerprint of half a hello would be
 * one of another program, so it is made of complete hellos alone, and not of SSL 2.0.
 * Depends on: tls_hello.h, crypto.h. One thread, that of the crypto object. */
#pragma once

#include "sensor/wire/crypto.h"
#include "sensor/wire/tls_hello.h"

#define TLS_JA4_TEXT_BYTES 37 /* "t13d1516h2_8daaf6152771_e5627efa2ab1" and a NUL */
/* A ClientHello with more suites, extensions or signature algorithms has no JA4: it would have to
 * be sorted. */
#define TLS_FINGERPRINT_LIST_MAX 1024

enum tls_transport {
    TLS_OVER_TCP,
    TLS_OVER_QUIC,
    TLS_OVER_DATAGRAMS, /* DTLS */
};

/* The MD5 that is JA3 of a ClientHello, JA3S of a ServerHello. False: not complete, or no MD5. */
bool tls_ja3(struct crypto *crypto, const struct tls_hello *hello, uint8_t out[CRYPTO_MD5_BYTES]);

/* JA4 in the little room that it needs. */
struct tls_ja4 {
    char start[10];       /* "t13d1516h2" */
    uint8_t hashes[2][6]; /* suites; extensions and signature algorithms */
};

/* False: no complete ClientHello, or too long a list. */
bool tls_ja4(struct crypto *crypto, const struct tls_hello *hello, enum tls_transport transport,
             struct tls_ja4 *out);
/* The numbers of the hello that decide its fingerprints, and nothing else (no name, no random, no
 * GREASE): hellos with equal keys have equal ja3 and ja4. Returns its length, a multiple of 8 with
 * zeros at the end; 0: longer than the room, or none to be had. */
#define TLS_FINGERPRINT_KEY_BYTES 320
size_t tls_fingerprint_key(const struct tls_hello *hello, enum tls_transport transport,
                           uint8_t out[TLS_FINGERPRINT_KEY_BYTES]);

/* As text with a NUL; its length, always the same. */
unsigned tls_ja4_text(const struct tls_ja4 *ja4, char out[TLS_JA4_TEXT_BYTES]);
