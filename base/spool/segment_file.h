/* What segment_log.c and segment_reader.c share: names of files, the form of a frame. Depends on:
 * base. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/spool/segment_log.h"

#define SEGMENT_NAME_BYTES 28 /* twenty digits, ".log", NUL, some to spare */

static inline void segment_name(uint64_t base, char out[SEGMENT_NAME_BYTES])
{
    (void)snprintf(out, SEGMENT_NAME_BYTES, "%020llu.log", (unsigned long long)base);
}

/* The files of a directory. */
struct segment_file {
    uint64_t base;  /* position of its first byte */
    uint64_t bytes; /* its size */
};

struct segment_files {
    struct segment_file *at; /* sorted by base; free() it */
    uint32_t count;
};

/* 0 or -errno. `directory_fd` stays open. Other files are not looked at. */
MUST_USE int segment_files_list(int directory_fd, const char *directory, struct segment_files *out,
                                struct error *err);

static inline void segment_store_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    at[2] = (uint8_t)(value >> 16);
    at[3] = (uint8_t)(value >> 24);
}

static inline uint32_t segment_load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* CRC of a frame: of its length field and its bytes. A file of zeros is no row of empty frames. */
static inline uint32_t segment_frame_crc(const uint8_t header[SEGMENT_FRAME_HEADER_BYTES],
                                         const void *bytes, uint32_t length)
{
    return hash_crc32c(hash_crc32c(0, header, 4), bytes, length);
}
