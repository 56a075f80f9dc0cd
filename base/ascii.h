/* Letters of ASCII, whatever the locale. Depends on: libc. Pure, any thread. */
#pragma once

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
