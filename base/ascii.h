/* Letters of ASCII, whatever the locale. Depends on: libc. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

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
