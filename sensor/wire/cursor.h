/* The bounds-checked reader: packet memory is touched through it alone.
 *
 * A read past the end gives 0 and makes `ok` false for good, so that a parser reads in wire order
 * and asks once. Everything is inline: the walk over a plain packet must compile to a straight
 * line. Depends on: libc. Pure, any thread. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum wire_status {
    WIRE_OK,
    WIRE_TRUNCATED, /* the capture ends before the object does */
    WIRE_MALFORMED, /* the bytes contradict the standard or each other */
};

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool ok;
};

/* Bytes inside a packet, borrowed as long as the frame. */
struct wire_span {
    const uint8_t *bytes; /* NULL when there are none */
    uint32_t length;
};

static inline struct cursor cursor_over(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    return (struct cursor){.at = at, .end = length > 0 ? at + length : at, .ok = true};
}

static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* The next `length` bytes, or NULL (and not ok) when fewer are left. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t length)
{
    const uint8_t *at = c->at;

    if (length == 0) { /* an empty cursor may hold NULL, to which not even 0 may be added */
        return at;
    }
    if (__builtin_expect((size_t)(c->end - at) < length, 0)) {
        c->ok = false;
        c->at = c->end;
        return NULL;
    }
    c->at = at + length;
    return at;
}

static inline void cursor_skip(struct cursor *c, size_t length)
{
    (void)cursor_take(c, length);
}

static inline uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *at = cursor_take(c, 1);

    return at != NULL ? at[0] : 0;
}

/* Network order, as are all below without `_le`. */
static inline uint16_t wire_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return __builtin_bswap16(value);
}

static inline uint32_t wire_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return __builtin_bswap32(value);
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "wire_u16 and wire_u32 swap bytes");

static inline uint16_t cursor_u16(struct cursor *c)
{
    const uint8_t *at = cursor_take(c, 2);

    return at != NULL ? wire_u16(at) : 0;
}

static inline uint32_t cursor_u24(struct cursor *c)
{
    const uint8_t *at = cursor_take(c, 3);

    return at != NULL ? (uint32_t)at[0] << 16 | (uint32_t)wire_u16(at + 1) : 0;
}

static inline uint32_t cursor_u32(struct cursor *c)
{
    const uint8_t *at = cursor_take(c, 4);

    return at != NULL ? wire_u32(at) : 0;
}

/* Copies `length` bytes, zeros when fewer are left. */
static inline void cursor_copy(struct cursor *c, void *out, size_t length)
{
    const uint8_t *at = cursor_take(c, length);

    if (at != NULL) {
        memcpy(out, at, length);
    } else {
        memset(out, 0, length);
    }
}

/* Ends the cursor at most `length` bytes from here; a larger `length` changes nothing. */
static inline void cursor_limit(struct cursor *c, size_t length)
{
    if (length < cursor_left(c)) {
        c->end = c->at + length;
    }
}

/* A cursor over the next `length` bytes, which `c` steps over; empty and both not ok when fewer are
 * left. */
static inline struct cursor cursor_sub(struct cursor *c, size_t length)
{
    const uint8_t *at = cursor_take(c, length);

    if (at == NULL) {
        return (struct cursor){.at = c->end, .end = c->end, .ok = c->ok};
    }
    return (struct cursor){.at = at, .end = at + length, .ok = true};
}

static inline struct wire_span cursor_span(struct cursor *c, size_t length)
{
    const uint8_t *at = cursor_take(c, length);

    return (struct wire_span){.bytes = at, .length = at != NULL ? (uint32_t)length : 0};
}
