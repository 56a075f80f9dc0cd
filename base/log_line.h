/* How a line of the log is written; for base/log.c alone. Depends on: base/log.h. Any thread. */
#pragma once

#include <stddef.h>

#include "base/log.h"

/* A pipe takes up to PIPE_BUF (4096) bytes in one piece: lines of several writers do not mix. */
#define LINE_BYTES 4096

struct log_line_parts {
    const char *time; /* "2026-01-02T03:04:05.678Z" */
    enum log_level level;
    const char *part, *message;
    const char *pairs; /* "a=b c=\"d e\"", or empty */
};

/* The line with its newline in `out`, cut to `capacity`; its length. LOG_AUTO is LOG_LOGFMT. */
size_t log_line_make(const struct log_line_parts *parts, enum log_format format, char *out,
                     size_t capacity);
