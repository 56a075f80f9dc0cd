#include "base/wire_format.h"

uint64_t wire_read_varint_slowly(struct wire_reader *r)
{
    uint64_t value = 0;
    const uint8_t *at = r->at;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (UNLIKELY(at == r->end)) {
            return wire_fail(r);
        }
        const uint8_t byte = *at++;
        if (UNLIKELY(shift == 63 && byte > 1)) {
            return wire_fail(r); /* more than 64 bits */
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            r->at = at;
            return value;
        }
    }
    return wire_fail(r);
}

/* The guess of wire_begin was wrong: moves the body to where its length leaves it. */
void wire_shift(struct wire_writer *w, struct wire_mark mark, size_t length)
{
    const unsigned needed = wire_varint_bytes(length);
    uint8_t *body = w->begin + mark.offset + mark.length_bytes;
    if (needed > mark.length_bytes && !wire_room(w, needed - mark.length_bytes)) {
        return;
    }
    memmove(w->begin + mark.offset + needed, body, length);
    w->at = w->begin + mark.offset + needed + length;
    wire_put_varint(w->begin + mark.offset, length);
}
