/* The bytes of a file, pipe, stdin or memory, decompressed where they are gzip or Zstandard, with
 * the few that were looked at to tell the format given again.
 *
 * Depends on: libc, byte_decoder. Threads: one. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/error.h"

#define BYTE_SOURCE_PEEK_MAX 24 /* length of the header of a classic pcap file */

struct byte_decoder;

struct byte_source {
    int fd;                       /* -1: closed, or memory */
    bool is_stdin;                /* not closed */
    bool is_regular;              /* a file on disk: it can be opened and read again */
    const uint8_t *memory;        /* borrowed; NULL: `fd` */
    const atomic_bool *stop;      /* true: a pipe that says nothing is at its end; NULL: never */
    uint64_t bytes_read;          /* of the file itself: compressed where it is */
    uint64_t bytes_total;         /* 0: unknown */
    struct byte_decoder *decoder; /* NULL: the bytes are plain */
    uint8_t peeked[BYTE_SOURCE_PEEK_MAX];
    uint32_t peeked_bytes, peeked_used;
};

/* -errno with `err` that names the path. "-" is stdin. */
MUST_USE int byte_source_open(struct byte_source *source, const char *path, struct error *err);
/* The same over `count` bytes of memory, which outlive the source. */
void byte_source_open_memory(struct byte_source *source, const uint8_t *bytes, size_t count);
void byte_source_close(struct byte_source *source);

/* Reads ahead up to BYTE_SOURCE_PEEK_MAX bytes, behind the decoder if one is needed; fewer only at
 * the end. 0, or -errno with `err`, which does not name the path: compressed by what cannot be read
 * here (lz4, xz, bzip2), damaged, or no memory. */
MUST_USE int byte_source_peek(struct byte_source *source, struct error *err);

/* As read(2), never EINTR: the peeked bytes first. -EBADMSG: the compressed data is damaged, see
 * byte_source_fault. */
MUST_USE ssize_t byte_source_read(struct byte_source *source, void *out, size_t bytes_max);
/* What `code` (-errno of byte_source_read) means, for people. */
const char *byte_source_fault(const struct byte_source *source, int code);

/* A FILE that reads from the source, for libpcap. fclose() leaves the source open. NULL: ENOMEM. */
MUST_USE FILE *byte_source_file(struct byte_source *source);
