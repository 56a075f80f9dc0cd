/* A file of lines (JSON Lines), each bounded; a longer one is passed over and told.
 *
 * Depends on: base. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define LINE_BYTES_MAX ((size_t)512 << 10)

struct lines {
    int fd;
    uint64_t number; /* of the line that was handed out last, from 1 */
    bool is_ended, is_failed;
    struct error failure;
    size_t begin, end;
    char *bytes; /* LINE_BYTES_MAX and a bit */
};

/* "-": standard input. 0 or -errno. lines_close after both. */
MUST_USE int lines_open(struct lines *lines, const char *path, struct error *err);
/* The next line without its end, borrowed until the next call; *length SIZE_MAX: it was too long.
 * False: the end, a stop by a signal, or `failure` is set. */
MUST_USE bool lines_next(struct lines *lines, const char **line, size_t *length);
void lines_close(struct lines *lines);
