#include "sensor/wire/dtls.h"

enum {
    RECORD_HEARTBEAT = 24,
    RECORD_CID = 25, /* RFC 9146: a connection id stands before the length */
    RECORD_ACK = 26,
    HANDSHAKE_TYPE_LAST = 24, /* KeyUpdate */
};

struct record_header {
    uint8_t type;
    uint16_t version, epoch, length;
};

static bool is_version(uint16_t version)
{
    return version == DTLS_VERSION_1_0 || version == DTLS_VERSION_1_2 ||
           version == DTLS_VERSION_1_3 || version == DTLS_VERSION_OPENSSL;
}

static bool read_header(struct cursor *c, struct record_header *out)
{
    out->type = cursor_u8(c);
    out->version = cursor_u16(c);
    out->epoch = cursor_u16(c);
    cursor_skip(c, 6); /* sequence number */
    out->length = cursor_u16(c);
    return c->ok && out->type >= TLS_CHANGE_CIPHER_SPEC && out->type <= RECORD_ACK &&
           is_version(out->version) && out->length <= TLS_RECORD_BYTES_MAX;
}

struct dtls_datagram dtls_datagram_over(const struct wire_span *bytes)
{
    return (struct dtls_datagram){.in = cursor_over(bytes->bytes, bytes->length)};
}

/* Steps to the next plain handshake record; false at the end. */
static bool next_record(struct dtls_datagram *datagram)
{
    struct record_header header;

    while (datagram->record.length == 0) {
        if (cursor_left(&datagram->in) == 0) {
            return false;
        }
        const uint8_t first = *datagram->in.at;
        if (first >> 5 == 1 || first == RECORD_CID) {
            datagram->is_secured = true;
            datagram->in.at = datagram->in.end;
            return false;
        }
        if (!read_header(&datagram->in, &header)) {
            datagram->is_broken = true;
            datagram->in.at = datagram->in.end;
            return false;
        }
        const size_t left = cursor_left(&datagram->in);
        const struct wire_span record =
            cursor_span(&datagram->in, header.length < left ? header.length : left);
        if (header.epoch != 0 || header.type == TLS_CHANGE_CIPHER_SPEC) {
            datagram->is_secured = true;
        } else if (header.type == TLS_HANDSHAKE) {
            datagram->record = record;
            datagram->record_version = header.version;
        }
    }
    return true;
}

bool dtls_datagram_next(struct dtls_datagram *datagram, struct dtls_fragment *out)
{
    if (!next_record(datagram)) {
        return false;
    }
    struct cursor c = cursor_over(datagram->record.bytes, datagram->record.length);
    *out = (struct dtls_fragment){.record_version = datagram->record_version};
    out->type = cursor_u8(&c);
    out->length = cursor_u24(&c);
    out->sequence = cursor_u16(&c);
    out->offset = cursor_u24(&c);
    const uint32_t length = cursor_u24(&c);

    if (!c.ok || out->offset > out->length || length > out->length - out->offset) {
        datagram->is_broken = c.ok;
        datagram->record.length = 0;
        datagram->in.at = datagram->in.end;
        return false;
    }
    out->bytes = cursor_span(&c, length < cursor_left(&c) ? length : cursor_left(&c));
    datagram->record = (struct wire_span){.bytes = c.at, .length = (uint32_t)cursor_left(&c)};
    return true;
}

bool dtls_likely(const struct wire_span *bytes)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    struct record_header header;

    if (!read_header(&c, &header) || header.length == 0) {
        return false;
    }
    if (header.type != TLS_HANDSHAKE || header.epoch != 0) {
        return true;
    }
    const uint8_t type = cursor_u8(&c);
    const uint32_t length = cursor_u24(&c);
    cursor_skip(&c, 2);
    const uint32_t offset = cursor_u24(&c);
    const uint32_t fragment = cursor_u24(&c);

    return type <= HANDSHAKE_TYPE_LAST &&
           (!c.ok || (offset <= length && fragment <= length - offset &&
                      fragment + DTLS_HANDSHAKE_HEADER_BYTES <= header.length));
}
