/* One block of a pcapng file in either byte order, and the way of its options into ours. Private to
 * collector-ui/capture.
 *
 * Depends on: base. Pure. */
#pragma once

#include <string.h>

#include "collector-ui/capture/pcapng_merge.h"

enum pcapng_type {
    PCAPNG_INTERFACE = 1,
    PCAPNG_OLD_PACKET = 2,
    PCAPNG_SIMPLE_PACKET = 3,
    PCAPNG_STATISTICS = 5,
    PCAPNG_PACKET = 6,
};
#define PCAPNG_SECTION    0x0a0d0d0aU /* the same in both orders */
#define PCAPNG_BYTE_ORDER 0x1a2b3c4dU

enum pcapng_option {
    PCAPNG_END = 0,
    PCAPNG_COMMENT = 1,
    PCAPNG_IF_NAME = 2,
    PCAPNG_USER_PROGRAM = 4, /* of a section */
    PCAPNG_IF_DROPPED = 5,   /* of statistics */
    PCAPNG_DELIVERED = 8,    /* likewise */
};

static inline uint16_t pcapng_u16(const uint8_t *at, bool is_swapped)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return is_swapped ? __builtin_bswap16(value) : value;
}

static inline uint32_t pcapng_u32(const uint8_t *at, bool is_swapped)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return is_swapped ? __builtin_bswap32(value) : value;
}

static inline uint32_t pcapng_padded(uint32_t bytes)
{
    return (bytes + 3U) & ~3U;
}

/* ---- writing; room is made, false: no memory ---- */

MUST_USE bool pcapng_reserve(struct pcapng_output *output, size_t bytes);
/* There is room. */
void pcapng_put(struct pcapng_output *output, const void *bytes, size_t length);
void pcapng_put16(struct pcapng_output *output, uint16_t value);
void pcapng_put32(struct pcapng_output *output, uint32_t value);
void pcapng_put_option(struct pcapng_output *output, uint16_t code, const void *value,
                       uint16_t length);
/* Closes the block that begins at `start`: its length, in front and behind. */
void pcapng_put_end(struct pcapng_output *output, size_t start);

/* ---- options ---- */

/* An option; false at the end of them. `in` moves on. *is_bad: they are damaged. */
struct pcapng_options {
    const uint8_t *at, *end;
    bool is_swapped, is_bad;
};
struct pcapng_found {
    uint16_t code, length;
    const uint8_t *value;
};
MUST_USE bool pcapng_next_option(struct pcapng_options *in, struct pcapng_found *out);
/* As it is said in our byte order, of a block of this type; what cannot be known is left out. */
void pcapng_copy_option(struct pcapng_output *output, uint32_t type,
                        const struct pcapng_found *option, bool is_swapped);
