/* Readers of the file of a capture, from its beginning, also while it grows: one piece at a time,
 * read by the thread that writes the files, told on the rpc thread.
 *
 * Depends on: capture_files.h. Threads: the rpc thread. */
#pragma once

#include "collector-ui/capture/capture_files.h"

/* Of one piece. */
#define CAPTURE_STREAM_BYTES ((size_t)128 * 1024)

struct capture_stream_reader {
    void (*piece)(void *context, const uint8_t *bytes, size_t length);
    /* Nothing more comes: how the capture stands; NULL: it was deleted, or its file cannot be read.
     */
    void (*over)(void *context, const struct capture_info *info);
    void *context;
};

struct capture_stream;

/* Begins at byte `offset`. `is_following`: until the capture is over; else as far as it has come
 * now. NULL with `err`: ENOENT, ERANGE (the file is shorter), EBUSY (captures.readers_max), or the
 * file cannot be opened. */
MUST_USE struct capture_stream *capture_stream_open(struct capture_files *files, const char *id,
                                                    uint64_t offset, bool is_following,
                                                    const struct capture_stream_reader *reader,
                                                    struct error *err);
/* Asks for the next piece, when the one before has been told. */
void capture_stream_next(struct capture_stream *stream);
/* Nothing is told any more. NULL is allowed. */
void capture_stream_close(struct capture_stream *stream);
