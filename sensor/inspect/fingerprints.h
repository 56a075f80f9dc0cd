/* Fingerprints of the hellos seen lately, by the numbers that decide them.
 *
 * Programs say the same hello over and over, but for its name and random bytes: hashing it once is
 * enough. The memory is a fixed number of places, each by a keyed hash of the numbers; a place
 * holds the newest. Two hellos share an answer only when all their numbers are equal, so a lookup
 * never gives another fingerprint than hashing would. Clients that shuffle their extensions (RFC
 * 8701 asks for that) miss it, and pay for the lookup besides. Depends on: base, wire. Threads: one
 * object, one thread. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/wire/tls_fingerprint.h"

struct fingerprints;

struct fingerprints_of_hello {
    bool has_ja3, has_ja4;
    uint8_t ja3[CRYPTO_MD5_BYTES]; /* JA3S of a ServerHello */
    struct tls_ja4 ja4;
};

/* NULL with `err` set: ENOMEM. */
MUST_USE struct fingerprints *fingerprints_new(struct error *err);
void fingerprints_free(struct fingerprints *fingerprints); /* NULL is allowed */
size_t fingerprints_memory_bytes(void);

/* As tls_ja3 and tls_ja4 tell them. */
void fingerprints_take(struct fingerprints *fingerprints, struct crypto *crypto,
                       const struct tls_hello *hello, enum tls_transport transport,
                       struct fingerprints_of_hello *out);
