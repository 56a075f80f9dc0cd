/* Asks for a cache line that is about to be written, and that another processor may have written
 * last. Depends on: attributes.h. */
#pragma once

#include "base/attributes.h"

/* By the instruction itself: __builtin_prefetch makes a prefetch for reading of it where the
 * compiler is not told that each processor has this one, and then the write has to ask for the line
 * once more. Where it is missing it does nothing. */
static ALWAYS_INLINE void prefetch_to_write(const void *at)
{
#ifdef __x86_64__
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)at));
#else
    __builtin_prefetch(at, 1);
#endif
}
