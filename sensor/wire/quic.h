/* QUIC packets before the handshake is done: long headers, Initial keys and protection, frames (RFC
 * 9000, 9001; version 2: RFC 9369; drafts from 22; Google's Q050, T050, T051 and Facebook's mvfst).
 *
 * An Initial is protected by keys that anybody can derive from the connection id in it (RFC 9001
 * section 5.2), so what is opened here is no secret. Nothing else is opened. Google's older
 * versions are in gquic.h. Depends on: wire/cursor.h, crypto.h. Pure but for the crypto object. */
#pragma once

#include "sensor/wire/crypto.h"
#include "sensor/wire/cursor.h"

#define QUIC_ID_BYTES_MAX       20
#define QUIC_VERSION_TEXT_BYTES 24
#define QUIC_VERSION_1          0x00000001U
#define QUIC_VERSION_2          0x6b3343cfU

enum quic_kind {
    QUIC_INITIAL,
    QUIC_ZERO_RTT,
    QUIC_HANDSHAKE,
    QUIC_RETRY,
    QUIC_VERSION_NEGOTIATION,
    QUIC_SHORT, /* one round trip is done: all the rest of the datagram */
};

struct quic_packet {
    uint8_t kind; /* enum quic_kind */
    bool is_cut;  /* it goes on behind what was captured */
    uint32_t version;
    struct wire_span target_id, source_id; /* connection ids */
    struct wire_span token;                /* of an Initial */
    struct wire_span bytes;                /* the packet as far as it is there */
    uint32_t number_offset; /* of the packet number, in `bytes`; Initial, 0-RTT and Handshake */
    uint32_t length;        /* from the packet number on, as the header says */
};

/* Reads the next of the packets that share a datagram (RFC 9000 section 12.2). WIRE_MALFORMED: no
 * QUIC, or a version whose headers are not known; `out` then has kind, version and ids if they
 * could be read. WIRE_TRUNCATED: the header does not end. */
enum wire_status quic_next(struct cursor *datagram, struct quic_packet *out);

/* Whether a datagram begins with a long header of a version that is known, or reserved to force
 * version negotiation, or is a Version Negotiation packet. */
bool quic_likely(const struct wire_span *datagram);

/* "1", "2", "draft-29", "Q050", "mvfst-2", "0xbabababa"; the length. */
unsigned quic_version_text(uint32_t version, char out[QUIC_VERSION_TEXT_BYTES]);

/* Keys of one direction of Initials. */
struct quic_keys {
    uint8_t key[CRYPTO_AES_KEY_BYTES];
    uint8_t iv[CRYPTO_GCM_IV_BYTES];
    uint8_t header_key[CRYPTO_AES_KEY_BYTES];
};

/* The secret of both directions, from the target id of the client's first Initial; false for a
 * version without known salt. */
bool quic_initial_secret(struct crypto *crypto, uint32_t version, const struct wire_span *target_id,
                         uint8_t out[CRYPTO_SHA256_BYTES]);
/* A reserved version (RFC 9000 section 15), which a client sends to force a negotiation, has no
 * salt of its own: the client protects its packet by that of a version it knows. The `i`th of those
 * behind version 1 that are worth a try; 0: no more, or no reserved version. */
uint32_t quic_stand_in(uint32_t version, unsigned i);
void quic_initial_keys(struct crypto *crypto, uint32_t version,
                       const uint8_t secret[CRYPTO_SHA256_BYTES], bool is_server,
                       struct quic_keys *out);

/* Opens an Initial into `out` of `capacity` bytes. False: other keys, a broken packet, or no room.
 * A packet that was cut by the capture is opened as far as it goes, unchecked. */
bool quic_open(struct crypto *crypto, const struct quic_packet *packet,
               const struct quic_keys *keys, uint8_t *out, uint32_t capacity,
               struct wire_span *plain);

enum quic_frame_kind {
    QUIC_FRAME_CRYPTO,
    QUIC_FRAME_ACK,
    QUIC_FRAME_PING,
    QUIC_FRAME_PADDING, /* a run of it */
    QUIC_FRAME_CLOSE,
};

struct quic_frame {
    uint8_t kind;          /* enum quic_frame_kind */
    uint64_t offset;       /* CRYPTO: in its stream */
    struct wire_span data; /* CRYPTO */
    struct wire_span bytes;
};

/* The next frame of an opened Initial. False: the end; or, with `in->ok` false, a frame that no
 * Initial may hold or that is cut (`out` then holds what is there of a CRYPTO frame). */
bool quic_frame_next(struct cursor *in, uint32_t version, struct quic_frame *out);
