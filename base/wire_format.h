/* The protobuf wire format (protobuf.dev, "Encoding"): a bounds-checked reader and a writer into a
 * bounded buffer.
 *
 * Pure functions over the caller's bytes: no memory, no descriptors, any thread. All of it is
 * inline, since a record of thirty fields must be written in some 25 ns. The reader is for hostile
 * bytes: a read past the end, an overlong varint or a length beyond the input makes `ok` false for
 * good, and that read gives 0. The writer sets `ok` to false for good when it has no room, and
 * writes nothing then. Depends on: attributes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attributes.h"
#include "base/byte_order.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2, /* bytes, string, message, packed */
    WIRE_GROUP_BEGIN = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5,
};

#define WIRE_FIELD_MAX        ((UINT32_C(1) << 29) - 1)
#define WIRE_VARINT_BYTES_MAX 10
#define WIRE_TAG(field, type) (((uint32_t)(field) << 3) | (uint32_t)(type))

/* ---- Reader ---- */

struct wire_reader {
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *readable; /* bytes behind `end` up to here exist, and mean nothing */
    bool ok;
};

/* A field's tag, and for WIRE_BYTES a view of its bytes. */
struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;       /* VARINT, FIXED64, FIXED32 */
    const uint8_t *bytes; /* BYTES: borrowed from the input */
    size_t length;
};

static inline struct wire_reader wire_reader_over(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    const uint8_t *end = at == NULL ? at : at + length;
    return (struct wire_reader){.at = at, .end = end, .readable = end, .ok = true};
}

static inline bool wire_at_end(const struct wire_reader *r)
{
    return !r->ok || r->at == r->end;
}

static inline size_t wire_left(const struct wire_reader *r)
{
    return (size_t)(r->end - r->at);
}

static inline uint64_t wire_fail(struct wire_reader *r)
{
    r->ok = false;
    r->at = r->end;
    return 0;
}

/* A varint of at most eight bytes, of which the first lies lowest in `word`; its length, 0: it is
 * longer. */
static ALWAYS_INLINE unsigned wire_varint_of_word(uint64_t word, uint64_t *value)
{
    const uint64_t last = ~word & UINT64_C(0x8080808080808080); /* bytes that none follows */

    if (UNLIKELY(last == 0)) {
        return 0;
    }
    word &= (last ^ (last - 1)) & UINT64_C(0x7f7f7f7f7f7f7f7f);
    word = (word & UINT64_C(0x007f007f007f007f)) | (word & UINT64_C(0x7f007f007f007f00)) >> 1;
    word = (word & UINT64_C(0x00003fff00003fff)) | (word & UINT64_C(0x3fff00003fff0000)) >> 2;
    *value = (word & 0x0fffffff) | (word & UINT64_C(0x0fffffff00000000)) >> 4;
    return (unsigned)__builtin_ctzll(last) / 8 + 1;
}

/* Byte by byte: part of wire_read_varint. */
uint64_t wire_read_varint_slowly(struct wire_reader *r);

/* Likewise: of most that are longer than a byte, two and three are all. */
static inline uint64_t wire_read_long_varint(struct wire_reader *r)
{
    const uint8_t *const at = r->at;

    if (LIKELY(r->end - at >= 3)) {
        const uint64_t low = (at[0] & 0x7fU) | (at[1] & 0x7fU) << 7;

        if (at[1] < 0x80) {
            r->at = at + 2;
            return low;
        }
        if (at[2] < 0x80) {
            r->at = at + 3;
            return low | (uint64_t)at[2] << 14;
        }
    }
    return wire_read_varint_slowly(r);
}

/* Most are of one byte, and take no call. */
static ALWAYS_INLINE uint64_t wire_read_varint(struct wire_reader *r)
{
    if (LIKELY(r->at != r->end) && LIKELY(*r->at < 0x80)) {
        return *r->at++;
    }
    return wire_read_long_varint(r);
}

static inline uint32_t wire_read_fixed32(struct wire_reader *r)
{
    if (UNLIKELY(wire_left(r) < 4)) {
        return (uint32_t)wire_fail(r);
    }
    const uint8_t *p = r->at;
    r->at += 4;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t wire_read_fixed64(struct wire_reader *r)
{
    if (UNLIKELY(wire_left(r) < 8)) {
        return wire_fail(r);
    }
    const uint64_t low = wire_read_fixed32(r);
    return low | (uint64_t)wire_read_fixed32(r) << 32;
}

/* A length-delimited field's bytes, borrowed; NULL with length 0 on failure. */
static inline const uint8_t *wire_read_bytes(struct wire_reader *r, size_t *length)
{
    const uint64_t claimed = wire_read_varint(r);
    if (UNLIKELY(!r->ok || claimed > wire_left(r))) {
        wire_fail(r);
        *length = 0;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += claimed;
    *length = (size_t)claimed;
    return bytes;
}

/* The tag of the next field as WIRE_TAG(field, type); 0 at the end or on failure (`ok` tells). */
static inline uint32_t wire_read_tag(struct wire_reader *r)
{
    if (wire_at_end(r)) {
        return 0;
    }
    const uint64_t tag = wire_read_varint(r);
    if (UNLIKELY(tag > UINT32_MAX || tag >> 3 == 0)) {
        return (uint32_t)wire_fail(r);
    }
    return (uint32_t)tag;
}

/* The value behind `tag`. False with `ok` false: damaged, or a group (none of our messages has
 * one). */
MUST_USE static inline bool wire_read_value(struct wire_reader *r, uint32_t tag,
                                            struct wire_field *field)
{
    field->number = tag >> 3;
    field->type = (enum wire_type)(tag & 7);
    field->value = 0;
    field->bytes = NULL;
    field->length = 0;
    switch (tag & 7) {
    case WIRE_VARINT:
        field->value = wire_read_varint(r);
        break;
    case WIRE_FIXED64:
        field->value = wire_read_fixed64(r);
        break;
    case WIRE_BYTES:
        field->bytes = wire_read_bytes(r, &field->length);
        break;
    case WIRE_FIXED32:
        field->value = wire_read_fixed32(r);
        break;
    default:
        wire_fail(r);
        break;
    }
    return r->ok;
}

/* The next field whatever it is: `while (wire_next(&r, &f)) switch (f.number)`. False at the end
 * and on failure; `ok` tells which. */
MUST_USE static inline bool wire_next(struct wire_reader *r, struct wire_field *field)
{
    const uint32_t tag = wire_read_tag(r);
    return tag != 0 && wire_read_value(r, tag, field);
}

/* Steps over the value behind `tag`. */
static inline void wire_skip(struct wire_reader *r, uint32_t tag)
{
    struct wire_field ignored;
    (void)!wire_read_value(r, tag, &ignored);
}

/* A text with a NUL behind it. False: the field is none, has a NUL in it, or no room in `out`. */
MUST_USE static inline bool wire_text_into(const struct wire_field *field, char *out, size_t room)
{
    if (field->type != WIRE_BYTES || field->length >= room ||
        (field->length > 0 && memchr(field->bytes, '\0', field->length) != NULL)) {
        return false;
    }
    if (field->length > 0) {
        memcpy(out, field->bytes, field->length);
    }
    out[field->length] = '\0';
    return true;
}

static inline int64_t wire_unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static inline double wire_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float wire_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- Writer ---- */

struct wire_writer {
    uint8_t *begin;
    uint8_t *at;
    uint8_t *end;
    bool ok;
};

static inline struct wire_writer wire_writer_over(void *buffer, size_t capacity)
{
    uint8_t *begin = buffer;
    return (struct wire_writer){.begin = begin, .at = begin, .end = begin + capacity, .ok = true};
}

static inline size_t wire_written(const struct wire_writer *w)
{
    return (size_t)(w->at - w->begin);
}

/* True when `bytes` more fit. A caller that has asked once for a whole record may then use the
 * wire_put_ functions, which do not ask. */
static inline bool wire_room(struct wire_writer *w, size_t bytes)
{
    if (LIKELY((size_t)(w->end - w->at) >= bytes) && LIKELY(w->ok)) {
        return true;
    }
    w->ok = false;
    return false;
}

static inline unsigned wire_varint_bytes(uint64_t value)
{
    const unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return (bits * 9 + 64) / 64; /* bits / 7 rounded up, for 1..64 */
}

/* wire_put_*: the caller knows that there is room; they return the new end. */
static inline uint8_t *wire_put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *wire_put_fixed32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    at[2] = (uint8_t)(value >> 16);
    at[3] = (uint8_t)(value >> 24);
    return at + 4;
}

static inline uint8_t *wire_put_fixed64(uint8_t *at, uint64_t value)
{
    store_le64(at, value);
    return at + 8;
}

/* 16 to 32 bytes, as sixteen from each end. */
static inline void wire_copy_ends(uint8_t *out, const uint8_t *in, size_t length)
{
    uint8_t head[16], tail[16];

    memcpy(head, in, 16);
    memcpy(tail, in + length - 16, 16);
    memcpy(out, head, 16);
    memcpy(out + length - 16, tail, 16);
}

/* A copy whose length is not known and mostly short: no call for up to 64 bytes. (Where it knows a
 * bound, GCC writes `rep movs` for the rest, which takes longer to start than this for all.) */
static inline void wire_copy(uint8_t *out, const void *bytes, size_t length)
{
    const uint8_t *in = bytes;
    uint64_t first, last;

    if (length > 64) {
        /* By the C library: where GCC knows a bound it writes `rep movs`, which starts slowly. */
        __asm__("" : "+r"(length));
        memcpy(out, in, length);
    } else if (length > 32) {
        memcpy(out, in, 16);
        memcpy(out + 16, in + 16, 16);
        wire_copy_ends(out + length - 32, in + length - 32, 32);
    } else if (length > 16) {
        wire_copy_ends(out, in, length);
    } else if (length >= 8) {
        memcpy(&first, in, 8);
        memcpy(&last, in + length - 8, 8);
        memcpy(out, &first, 8);
        memcpy(out + length - 8, &last, 8);
    } else if (length >= 4) {
        uint32_t head, tail;
        memcpy(&head, in, 4);
        memcpy(&tail, in + length - 4, 4);
        memcpy(out, &head, 4);
        memcpy(out + length - 4, &tail, 4);
    } else if (length > 0) {
        out[0] = in[0];
        out[length / 2] = in[length / 2];
        out[length - 1] = in[length - 1];
    }
}

static inline uint8_t *wire_put_bytes(uint8_t *at, const void *bytes, size_t length)
{
    at = wire_put_varint(at, length);
    wire_copy(at, bytes, length);
    return at + length;
}

/* wire_write_*: one field with its tag. They write 0 and empty as well: leaving out the default
 * value of a field without presence is the caller's `if`. */
static inline void wire_write_varint(struct wire_writer *w, uint32_t field, uint64_t value)
{
    const uint32_t tag = WIRE_TAG(field, WIRE_VARINT);
    if (wire_room(w, wire_varint_bytes(tag) + wire_varint_bytes(value))) {
        w->at = wire_put_varint(wire_put_varint(w->at, tag), value);
    }
}

static inline void wire_write_bool(struct wire_writer *w, uint32_t field, bool value)
{
    wire_write_varint(w, field, value ? 1 : 0);
}

/* int32, int64 and enums: negative numbers take ten bytes. */
static inline void wire_write_int(struct wire_writer *w, uint32_t field, int64_t value)
{
    wire_write_varint(w, field, (uint64_t)value);
}

/* sint32, sint64 */
static inline void wire_write_zigzag(struct wire_writer *w, uint32_t field, int64_t value)
{
    wire_write_varint(w, field, ((uint64_t)value << 1) ^ (uint64_t)(value < 0 ? -1 : 0));
}

static inline void wire_write_fixed32(struct wire_writer *w, uint32_t field, uint32_t value)
{
    const uint32_t tag = WIRE_TAG(field, WIRE_FIXED32);
    if (wire_room(w, wire_varint_bytes(tag) + 4)) {
        w->at = wire_put_fixed32(wire_put_varint(w->at, tag), value);
    }
}

static inline void wire_write_fixed64(struct wire_writer *w, uint32_t field, uint64_t value)
{
    const uint32_t tag = WIRE_TAG(field, WIRE_FIXED64);
    if (wire_room(w, wire_varint_bytes(tag) + 8)) {
        w->at = wire_put_fixed64(wire_put_varint(w->at, tag), value);
    }
}

static inline void wire_write_double(struct wire_writer *w, uint32_t field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    wire_write_fixed64(w, field, bits);
}

static inline void wire_write_float(struct wire_writer *w, uint32_t field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    wire_write_fixed32(w, field, bits);
}

/* `bytes` may be NULL when `length` is 0. */
static inline void wire_write_bytes(struct wire_writer *w, uint32_t field, const void *bytes,
                                    size_t length)
{
    const uint32_t tag = WIRE_TAG(field, WIRE_BYTES);
    if (length <= SIZE_MAX / 2 &&
        wire_room(w, wire_varint_bytes(tag) + wire_varint_bytes(length) + length)) {
        w->at = wire_put_bytes(wire_put_varint(w->at, tag), bytes, length);
    }
}

static inline void wire_write_text(struct wire_writer *w, uint32_t field, const char *text)
{
    wire_write_bytes(w, field, text, strlen(text));
}

/* proto3 leaves out what says its default. */
static inline void wire_write_text_if_any(struct wire_writer *w, uint32_t field, const char *text)
{
    if (text[0] != '\0') {
        wire_write_text(w, field, text);
    }
}

static inline void wire_write_varint_if_any(struct wire_writer *w, uint32_t field, uint64_t value)
{
    if (value != 0) {
        wire_write_varint(w, field, value);
    }
}

/* Bytes that are already encoded fields. */
static inline void wire_write_raw(struct wire_writer *w, const void *bytes, size_t length)
{
    if (wire_room(w, length) && length > 0) {
        memcpy(w->at, bytes, length);
        w->at += length;
    }
}

/* A nested message, or a packed field, whose length is not known yet: begin, write the fields, end
 * with what begin returned. `length_bytes` is a guess of how many bytes the length will take (1:
 * below 128 bytes, 2: below 16384); a wrong guess costs a memmove in wire_end, and the result is
 * the shortest encoding either way. */
struct wire_mark {
    size_t offset; /* of the reserved length */
    unsigned length_bytes;
};

static inline struct wire_mark wire_begin(struct wire_writer *w, uint32_t field,
                                          unsigned length_bytes)
{
    const uint32_t tag = WIRE_TAG(field, WIRE_BYTES);
    if (wire_room(w, wire_varint_bytes(tag) + length_bytes)) {
        w->at = wire_put_varint(w->at, tag) + length_bytes;
        return (struct wire_mark){.offset = wire_written(w) - length_bytes,
                                  .length_bytes = length_bytes};
    }
    return (struct wire_mark){0};
}

void wire_shift(struct wire_writer *w, struct wire_mark mark, size_t length); /* part of wire_end */

static inline void wire_end(struct wire_writer *w, struct wire_mark mark)
{
    if (UNLIKELY(!w->ok)) {
        return;
    }
    const size_t length = wire_written(w) - mark.offset - mark.length_bytes;
    if (UNLIKELY(wire_varint_bytes(length) != mark.length_bytes)) {
        wire_shift(w, mark, length);
        return;
    }
    wire_put_varint(w->begin + mark.offset, length);
}
