/* The bytes of a file, pipe or stdin, with the few that were looked at to tell the format given
 * again.
 *
 * Depends on: libc. Threads: one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/error.h"

#define BYTE_SOURCE_PEEK_MAX 24 /* length of the header of a classic pcap file */

struct byte_source {
    int fd;        /* -1: closed */
    bool is_stdin; /* not closed */
    uint64_t bytes_read;
    uint64_t bytes_total; /* 0: unknown */
    uint8_t peeked[BYTE_SOURCE_PEEK_MAX];
    uint32_t peeked_bytes, peeked_used;
};

/* -errno with `err` that names the path. "-" is stdin. */
MUST_USE int byte_source_open(struct byte_source *source, const char *path, struct error *err);
void byte_source_close(struct byte_source *source);

/* Reads ahead up to BYTE_SOURCE_PEEK_MAX bytes; fewer only at the end. -errno or 0. */
MUST_USE int byte_source_peek(struct byte_source *source);

/* As read(2), never EINTR: the peeked bytes first. */
MUST_USE ssize_t byte_source_read(struct byte_source *source, void *out, size_t bytes_max);

/* A FILE that reads from the source, for libpcap. fclose() leaves the source open. NULL: ENOMEM. */
MUST_USE FILE *byte_source_file(struct byte_source *source);
