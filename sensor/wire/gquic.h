/* Google's QUIC before it took the handshake of TLS (Q024 to Q050): the client's first message,
 * CHLO, with the server's name, in the clear until Q046.
 *
 * Two forms of header: the public header (to Q043) and one like the long header of the IETF's
 * drafts (Q044 to Q046). Q050 has the IETF's packets (quic.h) with CHLO in their CRYPTO frames.
 * Depends on: wire/cursor.h. Pure, any thread. Spans are borrowed. */
#pragma once

#include "sensor/wire/cursor.h"

struct gquic_hello {
    uint32_t version;            /* 'Q' '0' '4' '6' */
    bool is_complete;            /* the message was there to its end */
    struct wire_span sni;        /* tag SNI; NULL bytes: none */
    struct wire_span user_agent; /* tag UAID */
    struct wire_span message;    /* from "CHLO" on */
};

/* Whether the datagram is a client's with a version of Google's that is read here. */
bool gquic_likely(const struct wire_span *datagram);

/* WIRE_MALFORMED: no such packet, or no CHLO in it (`version` is set when it was readable).
 * WIRE_TRUNCATED: the message goes on behind the datagram; tags that were there are in `out`. */
enum wire_status gquic_hello_parse(const struct wire_span *datagram, struct gquic_hello *out);

/* The same of a message alone, from "CHLO" on; `version` stays 0. */
enum wire_status gquic_message_parse(const struct wire_span *message, struct gquic_hello *out);
