/* Letters of ASCII, whatever the locale. Those that take eight bytes take them as load_le64 gives
 * them. Depends on: byte_order.h. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/byte_order.h"

#define ASCII_EACH(value) (UINT64_C(0x0101010101010101) * (value)) /* of eight bytes */

/* A to Z as a to z; every other byte as it is. */
static inline char ascii_lower(char c)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

    if (c >= 'A' && c <= 'Z') {
        return letters[c - 'A'];
    }
    return c;
}

/* What host names are written with: letters, digits, '-', '.' and '_'. */
static inline bool ascii_is_host(uint8_t c)
{
    static const uint64_t members[4] = {UINT64_C(0x03ff600000000000), UINT64_C(0x07fffffe87fffffe)};

    return (members[c >> 6] >> (c & 63) & 1) != 0;
}

/* The top bit of each of eight bytes that is `value`; right where no byte has its top bit set. */
static inline uint64_t ascii_equal_8(uint64_t eight, uint8_t value)
{
    return ~((eight ^ ASCII_EACH(value)) + ASCII_EACH(0x7f)) & ASCII_EACH(0x80);
}

/* Whether ascii_is_host says yes to all of eight bytes. */
static inline bool ascii_is_host_8(uint64_t eight)
{
    const uint64_t x = eight & ASCII_EACH(0x7f); /* so that no sum carries into the next byte */
    const uint64_t folded = x | ASCII_EACH(0x20);
    const uint64_t is_letter =
        (folded + ASCII_EACH(0x80 - 'a')) & ~(folded + ASCII_EACH(0x7f - 'z'));
    const uint64_t is_digit = (x + ASCII_EACH(0x80 - '0')) & ~(x + ASCII_EACH(0x7f - '9'));
    const uint64_t is_mark = (x + ASCII_EACH(0x80 - '-')) & ~(x + ASCII_EACH(0x7f - '.'));
    const uint64_t is_host = is_letter | is_digit | is_mark | ascii_equal_8(x, '_');

    return (is_host & ~eight & ASCII_EACH(0x80)) == ASCII_EACH(0x80);
}

/* Whether it says yes to all of `length` bytes; of none, too. */
static inline bool ascii_are_host(const uint8_t *bytes, size_t length)
{
    if (length < sizeof(uint64_t)) {
        for (size_t i = 0; i < length; i++) {
            if (!ascii_is_host(bytes[i])) {
                return false;
            }
        }
        return true;
    }
    const size_t last = length - sizeof(uint64_t);
    for (size_t i = 0; i < last; i += sizeof(uint64_t)) {
        if (!ascii_is_host_8(load_le64(bytes + i))) {
            return false;
        }
    }
    return ascii_is_host_8(load_le64(bytes + last)); /* some of them once more */
}

/* Eight hexadecimal digits, the lowest byte first, of four bytes, the lowest first. */
static inline uint64_t ascii_hex_8(uint32_t four)
{
    const uint64_t pairs = (four | (uint64_t)four << 16) & UINT64_C(0x0000ffff0000ffff);
    const uint64_t bytes = (pairs | pairs << 8) & UINT64_C(0x00ff00ff00ff00ff);
    const uint64_t nibbles =
        (bytes >> 4 & UINT64_C(0x000f000f000f000f)) | (bytes & UINT64_C(0x000f000f000f000f)) << 8;
    /* 10 and more carry into bit 4. */
    const uint64_t is_letter = (nibbles + ASCII_EACH(6)) >> 4 & ASCII_EACH(1);

    return nibbles + ASCII_EACH('0') + is_letter * ('a' - '0' - 10);
}

/* 0 to 15 of a hexadecimal digit of either case; -1: none. */
static inline int ascii_hex_value(char c)
{
    const unsigned digit = (uint8_t)c - (unsigned)'0';
    const unsigned letter = ((uint8_t)c | 0x20U) - 'a';

    if (digit < 10) {
        return (int)digit;
    }
    return letter < 6 ? (int)letter + 10 : -1;
}
