/* A window over a capture file: what is left of the last large read, made longer on demand.
 *
 * Frames point into it, so it moves only when its owner says that no frame is out. Memory follows
 * the bytes that are really there, not the lengths that a file claims. Inside sensor/capture only.
 * Depends on: byte_source. Threads: one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/capture/byte_source.h"

/* One record or block of a file. libpcap's bound too; no packet of a network is near it. */
#define FILE_BLOCK_BYTES_MAX (16U << 20)

struct file_block {
    struct byte_source *source; /* borrowed */
    uint8_t *bytes;
    size_t capacity, at, end; /* [at, end) is not used up */
    uint64_t begin_offset;    /* of bytes[0] in the (decompressed) file */
    bool is_end;              /* of the file: nothing comes behind `end` */
};

/* -ENOMEM with `err`. `capacity`: bytes of one read. */
MUST_USE int file_block_init(struct file_block *block, struct byte_source *source, size_t capacity,
                             struct error *err);
void file_block_fini(struct file_block *block);

/* Moves what is left to the front and reads until `needed` (up to FILE_BLOCK_BYTES_MAX) bytes are
 * there or the file ends; a pipe is not waited for longer than that. Pointers into the block die.
 * -errno with `err`. */
MUST_USE int file_block_fill(struct file_block *block, size_t needed, struct error *err);

/* Uses up `count` bytes, however many, without keeping them. Pointers into the block die.
 * `*skipped` is less than `count` where the file ends. */
MUST_USE int file_block_skip(struct file_block *block, uint64_t count, uint64_t *skipped,
                             struct error *err);

static inline size_t file_block_left(const struct file_block *block)
{
    return block->end - block->at;
}

static inline const uint8_t *file_block_at(const struct file_block *block)
{
    return block->bytes + block->at;
}

static inline uint64_t file_block_offset(const struct file_block *block)
{
    return block->begin_offset + block->at;
}

/* ---- numbers in the byte order of the file ---- */

static inline uint16_t file_u16(const uint8_t *at, bool is_swapped)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return is_swapped ? __builtin_bswap16(value) : value;
}

static inline uint32_t file_u32(const uint8_t *at, bool is_swapped)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return is_swapped ? __builtin_bswap32(value) : value;
}

static inline uint64_t file_u64(const uint8_t *at, bool is_swapped)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return is_swapped ? __builtin_bswap64(value) : value;
}
