#include "sensor/wire/tls_stream.h"

#define RECORDS_SURE 2 /* so many headers in their right places are no chance */

struct record_header {
    uint8_t type;
    uint16_t version;
    uint16_t length;
};

/* False: fewer than five bytes are left, or they begin no record (`is_wrong`). */
static bool read_header(struct cursor *c, struct record_header *out, bool *is_wrong)
{
    const struct cursor start = *c;

    out->type = cursor_u8(c);
    out->version = cursor_u16(c);
    out->length = cursor_u16(c);
    if (!c->ok) {
        *c = start;
        *is_wrong = cursor_left(c) > 0 &&
                    (out->type < TLS_CHANGE_CIPHER_SPEC || out->type > TLS_APPLICATION_DATA);
        return false;
    }
    *is_wrong = out->type < TLS_CHANGE_CIPHER_SPEC || out->type > TLS_APPLICATION_DATA ||
                out->version >> 8 != 3 || out->length > TLS_RECORD_BYTES_MAX;
    return !*is_wrong;
}

struct tls_stream tls_stream_over(const struct wire_span *bytes, uint8_t *scratch,
                                  uint32_t scratch_bytes)
{
    return (struct tls_stream){.in = cursor_over(bytes->bytes, bytes->length),
                               .scratch = scratch,
                               .scratch_bytes = scratch_bytes};
}

/* Steps to the next handshake record with a byte in it; false with `state` set. */
static bool next_record(struct tls_stream *stream)
{
    struct record_header header;
    bool is_wrong;

    while (stream->record.length == 0) {
        if (!read_header(&stream->in, &header, &is_wrong)) {
            stream->state = is_wrong ? TLS_STREAM_BROKEN : TLS_STREAM_OPEN;
            return false;
        }
        const size_t left = cursor_left(&stream->in);
        const struct wire_span record =
            cursor_span(&stream->in, header.length < left ? header.length : left);

        switch (header.type) {
        case TLS_HANDSHAKE:
            stream->record = record;
            stream->record_version = header.version;
            break;
        case TLS_CHANGE_CIPHER_SPEC:
            if (!stream->is_change_skipped) {
                stream->state = TLS_STREAM_SECURED;
                return false;
            }
            break;
        case TLS_APPLICATION_DATA:
            stream->state = TLS_STREAM_SECURED;
            return false;
        default:
            break; /* an alert may stand before the hello (RFC 6066 section 3) */
        }
    }
    return true;
}

/* Copies the next `length` handshake bytes as far as they are there; returns how many. */
static uint32_t copy_bytes(struct tls_stream *stream, uint8_t *out, uint32_t length)
{
    uint32_t done = 0;

    while (done < length && next_record(stream)) {
        const uint32_t left = length - done;
        const uint32_t part = stream->record.length < left ? stream->record.length : left;

        memcpy(out + done, stream->record.bytes, part);
        stream->record.bytes += part;
        stream->record.length -= part;
        done += part;
    }
    return done;
}

bool tls_stream_next(struct tls_stream *stream, struct tls_message *out)
{
    uint8_t header[TLS_HANDSHAKE_HEADER_BYTES];

    if (stream->state != TLS_STREAM_OPEN ||
        copy_bytes(stream, header, sizeof(header)) < sizeof(header)) {
        return false;
    }
    *out = (struct tls_message){.type = header[0],
                                .length = (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 |
                                          header[3]};
    if (out->length <= stream->record.length || stream->scratch_bytes == 0) {
        const uint32_t there =
            out->length < stream->record.length ? out->length : stream->record.length;

        out->body = (struct wire_span){.bytes = stream->record.bytes, .length = there};
        if (there > 0) {
            stream->record.bytes += there;
            stream->record.length -= there;
        }
        if (there < out->length) {
            stream->in.at = stream->in.end; /* without scratch this is the last message */
        }
        return true;
    }
    const uint32_t wanted =
        out->length < stream->scratch_bytes ? out->length : stream->scratch_bytes;
    out->body = (struct wire_span){.bytes = stream->scratch,
                                   .length = copy_bytes(stream, stream->scratch, wanted)};
    if (out->body.length < out->length) { /* what follows is not looked for */
        stream->in.at = stream->in.end;
        stream->record.length = 0;
    }
    return true;
}

enum tls_likeness tls_stream_likeness(const struct wire_span *bytes, struct tls_hello *hello)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    struct record_header header;
    bool is_wrong = false;
    unsigned records = 0;

    hello->is_complete = false;
    if (bytes->length == 0) {
        return TLS_NO;
    }
    if (bytes->bytes[0] >= 0x80) {
        const enum wire_status status = tls_ssl2_hello(bytes, hello);

        return status == WIRE_OK || hello->is_ssl2 ? TLS_SURE : TLS_NO;
    }
    if (bytes->bytes[0] == TLS_HANDSHAKE) {
        const enum wire_status status = tls_record_hello(bytes, hello);

        if (status == WIRE_OK || (status == WIRE_TRUNCATED && hello->legacy_version != 0)) {
            return TLS_SURE;
        }
    }
    while (records < RECORDS_SURE && read_header(&c, &header, &is_wrong)) {
        if (header.length == 0 || header.version > TLS_VERSION_1_3) {
            return TLS_NO;
        }
        records++;
        cursor_skip(&c, header.length < cursor_left(&c) ? header.length : cursor_left(&c));
    }
    if (is_wrong) {
        return TLS_NO;
    }
    return records >= RECORDS_SURE ? TLS_SURE : TLS_PERHAPS;
}
