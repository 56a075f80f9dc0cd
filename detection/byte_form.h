/* Numbers, texts and addresses as little-endian bytes, and back: what frames travel as and what was
 * learnt is kept as.
 *
 * An address is u8 version (0, 4, 6), then 0, 4 or 16 bytes; a text u8 length, then its bytes. The
 * writer writes where there is room: its caller looks at byte_left() before. The reader is for
 * hostile bytes: a read past the end, or of what cannot be, makes `ok` false for good. Depends on:
 * base. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/address.h"

struct byte_writer {
    uint8_t *at, *end;
};

static inline size_t byte_left(const struct byte_writer *w)
{
    return (size_t)(w->end - w->at);
}

static inline void byte_put(struct byte_writer *w, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        *w->at++ = (uint8_t)(value >> 8 * i);
    }
}

static inline void byte_put_bytes(struct byte_writer *w, const void *bytes, size_t length)
{
    memcpy(w->at, bytes, length);
    w->at += length;
}

static inline void byte_put_text(struct byte_writer *w, const char *text)
{
    const size_t length = strlen(text);

    byte_put(w, length, 1);
    byte_put_bytes(w, text, length);
}

static inline void byte_put_address(struct byte_writer *w, const struct ip_address *address)
{
    byte_put(w, address->version, 1);
    byte_put_bytes(w, address->bytes, address->version == 4 ? 4 : address->version == 6 ? 16 : 0);
}

struct byte_reader {
    const uint8_t *at, *end;
    bool ok;
};

static inline uint64_t byte_take(struct byte_reader *r, unsigned bytes)
{
    uint64_t value = 0;

    if ((size_t)(r->end - r->at) < bytes) {
        r->ok = false;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)r->at[i] << 8 * i;
    }
    r->at += bytes;
    return value;
}

static inline void byte_take_bytes(struct byte_reader *r, void *out, size_t length)
{
    if ((size_t)(r->end - r->at) < length) {
        r->ok = false;
        return;
    }
    memcpy(out, r->at, length);
    r->at += length;
}

static inline void byte_take_text(struct byte_reader *r, char *out, size_t out_bytes)
{
    const size_t length = (size_t)byte_take(r, 1);

    out[0] = '\0';
    if (length >= out_bytes) {
        r->ok = false;
        return;
    }
    byte_take_bytes(r, out, length);
    out[r->ok ? length : 0] = '\0';
    r->ok = r->ok && memchr(out, '\0', length) == NULL;
}

static inline void byte_take_address(struct byte_reader *r, struct ip_address *out)
{
    *out = (struct ip_address){.version = (uint8_t)byte_take(r, 1)};
    if (out->version != 0 && out->version != 4 && out->version != 6) {
        r->ok = false;
        return;
    }
    byte_take_bytes(r, out->bytes, out->version == 4 ? 4 : out->version == 6 ? 16 : 0);
}
