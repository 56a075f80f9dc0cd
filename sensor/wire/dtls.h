/* Handshake fragments of DTLS datagrams (RFC 6347, RFC 9147).
 *
 * Reads the records of epoch 0, which are in the clear. Records of later epochs are stepped over;
 * one with a connection id (RFC 9146) or the short header of DTLS 1.3 ends the datagram, as its
 * length is not known here. Depends on: tls_hello.h. Pure, any thread. */
#pragma once

#include "sensor/wire/tls_hello.h"

#define DTLS_RECORD_HEADER_BYTES    13
#define DTLS_HANDSHAKE_HEADER_BYTES 12

struct dtls_fragment {
    uint8_t type;            /* enum tls_handshake_type */
    uint16_t record_version; /* DTLS_VERSION_ */
    uint16_t sequence;       /* of the message */
    uint32_t length;         /* of the whole message without its header */
    uint32_t offset;         /* of this fragment in it */
    struct wire_span bytes;  /* what was captured of it */
};

struct dtls_datagram {
    struct cursor in;
    struct wire_span record; /* what is left of the current record */
    uint16_t record_version;
    bool is_secured; /* a record of a later epoch or a ChangeCipherSpec was there */
    bool is_broken;  /* bytes that are no record */
};

/* Borrows `bytes`. */
struct dtls_datagram dtls_datagram_over(const struct wire_span *bytes);

/* The next handshake fragment; false at the end of what can be read. */
bool dtls_datagram_next(struct dtls_datagram *datagram, struct dtls_fragment *out);

/* Whether the datagram begins like DTLS: a record header that fits, which for handshakes begins a
 * message of a known type. */
bool dtls_likely(const struct wire_span *bytes);
