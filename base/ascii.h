/* Letters of ASCII, whatever the locale. Depends on: libc. Pure, any thread. */
#pragma once

/* A to Z as a to z; every other byte as it is. */
static inline char ascii_lower(char c)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

    if (c >= 'A' && c <= 'Z') {
        return letters[c - 'A'];
    }
    return c;
}
