/* Eight bytes as a number, the lowest first: one load or one store on any machine, which compilers
 * do not always make of eight. No alignment is asked for. Depends on: nothing. Any thread. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "base/attributes.h"

static ALWAYS_INLINE uint64_t byte_order_le64(uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static ALWAYS_INLINE uint64_t load_le64(const void *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return byte_order_le64(value);
}

/* Four. */
static ALWAYS_INLINE uint32_t load_le32(const void *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static ALWAYS_INLINE uint32_t load_be32(const void *at)
{
    return __builtin_bswap32(load_le32(at));
}

static ALWAYS_INLINE void store_le32(void *at, uint32_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    memcpy(at, &value, sizeof(value));
}

static ALWAYS_INLINE void store_le64(void *at, uint64_t value)
{
    value = byte_order_le64(value);
    memcpy(at, &value, sizeof(value));
}
