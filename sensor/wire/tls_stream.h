/* The handshake messages of one direction of a TLS stream (RFC 5246 section 6.2, RFC 8446 section
 * 5): records are put together where a message runs over several of them.
 *
 * A message that lies in one record is given in place; one that does not is copied into the
 * caller's scratch memory, which the next call uses again. Reading starts at the first byte of a
 * record; a stream that is longer later is read from its start again. Depends on: tls_hello.h.
 * Pure, any thread. */
#pragma once

#include "sensor/wire/tls_hello.h"

struct tls_stream {
    struct cursor in;        /* behind the current record's header */
    struct wire_span record; /* what is left of the current handshake record */
    uint8_t *scratch;
    uint32_t scratch_bytes;
    uint16_t record_version; /* of the last handshake record; 0: none yet */
    uint8_t state;           /* enum tls_stream_state: why it does not go on */
    bool is_change_skipped;  /* set by the caller after a HelloRetryRequest: a ChangeCipherSpec
                                follows that changes nothing (RFC 8446 appendix D.4) */
};

enum tls_stream_state {
    TLS_STREAM_OPEN,    /* the bytes end: more may come */
    TLS_STREAM_SECURED, /* ChangeCipherSpec or application data: nothing readable follows */
    TLS_STREAM_BROKEN,  /* no TLS record */
};

/* `scratch` may be NULL with 0 bytes: messages then end with their record. */
struct tls_stream tls_stream_over(const struct wire_span *bytes, uint8_t *scratch,
                                  uint32_t scratch_bytes);

/* The next message, the last one perhaps without its end (body.length < length). False: there is
 * none, and `state` says why. */
bool tls_stream_next(struct tls_stream *stream, struct tls_message *out);

enum tls_likeness {
    TLS_NO,
    TLS_PERHAPS, /* one record header: too little to tell */
    TLS_SURE,    /* a hello, or several records one behind the other */
};

/* Whether a stream that begins (or goes on) with `bytes` is TLS, or SSL 2.0. `hello` is what was
 * read to judge it: is_complete where the bytes begin with a record that has all of it, whose body
 * then stands at bytes + TLS_HELLO_BODY_AT. */
enum tls_likeness tls_stream_likeness(const struct wire_span *bytes, struct tls_hello *hello);
#define TLS_HELLO_BODY_AT (TLS_RECORD_HEADER_BYTES + TLS_HANDSHAKE_HEADER_BYTES)
