/* Bounded text out of hostile bytes: what tree and summary are written with.
 *
 * A writer never passes its end and always leaves a NUL; what does not fit is cut and `is_cut` says
 * so. Depends on: libc. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

struct text {
    char *bytes;
    size_t capacity; /* with the NUL; at least 1 */
    size_t length;
    bool is_cut;
};

struct text text_over(char *bytes, size_t capacity);
void text_add(struct text *text, const char *string);
void text_format(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
/* Printable ASCII as it is, a backslash doubled, everything else as \xHH. */
void text_escaped(struct text *text, const uint8_t *bytes, size_t length);
/* How many of `length` bytes stand for themselves there, from the first on. */
size_t text_plain_bytes(const uint8_t *bytes, size_t length);
/* Lower-case hex digits, two a byte. */
void text_hex(struct text *text, const uint8_t *bytes, size_t length);
