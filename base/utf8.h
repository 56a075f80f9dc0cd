/* One UTF-8 sequence at a time (RFC 3629), from bytes that may be anything.
 *
 * Depends on: libc. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes (1..4) of the valid sequence at the start of `bytes`, its code point in `code`; 0 when
 * there is none: cut short, overlong, a surrogate, above U+10FFFF, or `length` 0. */
static inline unsigned utf8_read(const uint8_t *bytes, size_t length, uint32_t *code)
{
    if (length == 0) {
        return 0;
    }
    const uint8_t first = bytes[0];
    if (first < 0x80) {
        *code = first;
        return 1;
    }
    const unsigned count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || length < count) {
        return 0;
    }
    uint32_t value = first & (0x7fU >> count);
    for (unsigned i = 1; i < count; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (bytes[i] & 0x3fU);
    }
    const bool is_overlong = (count == 3 && value < 0x800) || (count == 4 && value < 0x10000);
    if (is_overlong || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *code = value;
    return count;
}

/* Code points that change how the text around them is shown or that end a line: C0 and C1 controls,
 * DEL, line and paragraph separator, bidirectional marks and overrides (UAX 9), the byte order
 * mark. */
static inline bool utf8_is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}
