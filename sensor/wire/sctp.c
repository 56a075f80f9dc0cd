#include "sensor/wire/sctp.h"

#define CHUNK_HEADER_BYTES 4
#define BEGIN_AND_END      0x03 /* flag bits of a message in one chunk (3.3.1) */

bool sctp_next(struct cursor *in, struct sctp_chunk *out)
{
    struct cursor c = *in;
    const uint8_t type = cursor_u8(&c);
    const uint8_t flags = cursor_u8(&c);
    const uint16_t length = cursor_u16(&c);

    if (!c.ok || length < CHUNK_HEADER_BYTES ||
        (size_t)length - CHUNK_HEADER_BYTES > cursor_left(&c)) {
        return false;
    }
    struct cursor value = cursor_sub(&c, (size_t)length - CHUNK_HEADER_BYTES);

    *out = (struct sctp_chunk){.type = type, .flags = flags};
    if (type == SCTP_DATA || type == SCTP_I_DATA) {
        /* DATA: TSN, stream, sequence; I-DATA (RFC 8260 2.1): TSN, stream, reserved, message id. */
        cursor_skip(&value, type == SCTP_DATA ? 8 : 12);
        out->payload_protocol = cursor_u32(&value);
        out->is_whole_message = value.ok && (flags & BEGIN_AND_END) == BEGIN_AND_END;
        if (value.ok) {
            out->user_data = cursor_span(&value, cursor_left(&value));
        }
    }
    const size_t padding = -(size_t)length & 3;

    cursor_skip(&c, padding < cursor_left(&c) ? padding : cursor_left(&c));
    *in = c;
    return true;
}
