#include "base/wire_format.h"

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
