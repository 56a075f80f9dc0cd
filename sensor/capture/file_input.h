/* One capture file, from its path to its frames: finds the reader, keeps the batch that was read
 * and not handed over yet, so that several files can be merged by time.
 *
 * Inside sensor/capture only. Depends on: file_reader. Threads: one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/capture/file_reader.h"

#define FILE_INPUT_FRAMES 64

struct file_input {
    char *path; /* owned; "-": stdin */
    struct file_reader reader;
    const struct capture_ops *ops;
    void *state;        /* of the reader; NULL: not open */
    uint64_t first_ns;  /* time of the first packet that has one; where there is none: 0 */
    uint64_t next_ns;   /* order of the frame at `at`: its time, or that of the one before it */
    uint32_t at, count; /* of `frames` */
    struct frame frames[FILE_INPUT_FRAMES];
};

/* Texts of errors name the path. ENOENT, EACCES, EISDIR, EBADMSG (no capture), EINVAL (the filter),
 * ENOMEM. `reader.filters`, `reader.names` and `reader.block_bytes` are set by the caller. */
MUST_USE int file_input_open(struct file_input *input, bool is_libpcap_forced, struct error *err);
void file_input_close(struct file_input *input); /* `path` stays */

/* Straight into the caller's frames, past `frames` of the input: as capture_ops.next_batch, with
 * the path before the error. */
MUST_USE int32_t file_input_read(struct file_input *input, struct frame *frames,
                                 uint32_t frames_max, struct error *err);

/* Fills `frames` when they are used up. 1: there is a frame at `at`; 0: the end; -EAGAIN: ask
 * again; else -errno. */
MUST_USE int file_input_fill(struct file_input *input, struct error *err);
void file_input_advance(struct file_input *input); /* past the frame at `at` */

const char *file_input_name(const char *path); /* "standard input" for "-" */
