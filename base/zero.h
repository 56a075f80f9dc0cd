/* Zeroing of some hundred bytes by the C library: with a size that it knows GCC writes `rep stos`,
 * which takes longer to start than the library for all of it. Depends on: libc. Any thread. */
#pragma once

#include <stddef.h>
#include <string.h>

static inline void zero_bytes(void *memory, size_t bytes)
{
    __asm__("" : "+r"(bytes));
    memset(memory, 0, bytes);
}
