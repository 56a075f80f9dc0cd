/* SCTP (RFC 9260): the chunks behind the common header. Depends on: wire/cursor.h. Pure, any
 * thread. */
#pragma once

#include "sensor/wire/cursor.h"

#define SCTP_HEADER_BYTES 12 /* ports, verification tag, checksum */

enum sctp_chunk_type {
    SCTP_DATA = 0,
    SCTP_INIT = 1,
    SCTP_ABORT = 6,
    SCTP_COOKIE_ECHO = 10,
    SCTP_I_DATA = 64
};

struct sctp_chunk {
    uint8_t type; /* enum sctp_chunk_type, or another number */
    uint8_t flags;
    bool is_whole_message;      /* DATA, I-DATA: begins and ends a user message */
    uint32_t payload_protocol;  /* DATA: its payload protocol identifier; 0 elsewhere */
    struct wire_span user_data; /* DATA, I-DATA: what stands behind the chunk's own fields */
};

/* The next chunk of `in`, which stands behind the common header or a chunk; false at the end, and
 * for a chunk whose length is below its header or beyond the packet. */
bool sctp_next(struct cursor *in, struct sctp_chunk *out);
