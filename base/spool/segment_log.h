/* An append-only log of frames in segment files, which survives a crash at any byte.
 *
 * A directory holds files named by the position of their first byte ("00000000000000000001.log"),
 * so a position (1 for the first frame ever) names one byte for the life of the log. A frame is its
 * length and the CRC32C (of length and bytes), 32-bit little-endian each, and the bytes. A new file
 * begins when one is full. Opening cuts a torn tail off the last file and says how much. Depends
 * on: base. Threads: append, sync and delete from one thread; segment_log_end and
 * segment_log_durable_end from any. A reader is an object of its own and may live in another
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/attributes.h"
#include "base/error.h"

#define SEGMENT_FRAME_HEADER_BYTES 8

struct segment_log_limits {
    uint64_t segment_bytes_max; /* a new file begins before this would be passed; at least one frame
                                   a file */
    uint32_t frame_bytes_max;   /* of one append; also what a reader will take */
};

/* What opening found. */
struct segment_log_recovery {
    uint64_t truncated_bytes; /* cut off behind the last whole frame; 0 after a clean end */
    uint64_t frames;          /* whole frames in the last file */
    uint32_t segments;
};

struct segment_log;

/* Makes `directory` if it is missing (not its parents) and locks it: EBUSY when another process has
 * it. `recovery` may be NULL. NULL with `err` set. */
MUST_USE struct segment_log *segment_log_open(const char *directory,
                                              const struct segment_log_limits *limits,
                                              struct segment_log_recovery *recovery,
                                              struct error *err);
/* Does not sync. NULL is allowed. */
void segment_log_close(struct segment_log *log);
DEFINE_AUTO(segment_log, segment_log_close);

/* Writes one frame and gives its position in `position` (may be NULL). 0, or -errno: EMSGSIZE or
 * EINVAL for its length (nothing is written); ENOSPC, EIO and others from the disk, whose
 * half-written frame is taken back, so the log goes on when there is room again. When even that or
 * an earlier sync failed: EIO until the log is opened anew. */
MUST_USE int segment_log_append(struct segment_log *log, const void *bytes, size_t length,
                                uint64_t *position, struct error *err);
/* The same with a frame that lies in two pieces, each of them perhaps empty. */
MUST_USE int segment_log_append_two(struct segment_log *log, const struct iovec pieces[2],
                                    uint64_t *position, struct error *err);
/* Everything appended is on disk when this returns 0. After a failure the kernel may have dropped
 * what it held, so the log takes nothing more until it is opened anew. */
MUST_USE int segment_log_sync(struct segment_log *log, struct error *err);

/* After such a failure, with the log still open: cuts off what no sync has covered, which nobody
 * may count on, and takes frames again. 0 also when nothing is wrong; -errno: not yet. */
MUST_USE int segment_log_mend(struct segment_log *log, struct error *err);

/* Position behind the last frame: the next frame's. */
uint64_t segment_log_end(const struct segment_log *log);
/* The same for what the last segment_log_sync covered. */
uint64_t segment_log_durable_end(const struct segment_log *log);
/* Position of the oldest frame that is still there. */
uint64_t segment_log_begin(const struct segment_log *log);
uint64_t segment_log_bytes(const struct segment_log *log); /* on disk */

/* Deletes the files that lie wholly before `position`, never the last one. Their number or -errno.
 */
MUST_USE int segment_log_delete_before(struct segment_log *log, uint64_t position,
                                       struct error *err);

/* Where the first file behind `position` begins, and the last one before it; 0: there is none. */
uint64_t segment_log_file_after(const struct segment_log *log, uint64_t position);
uint64_t segment_log_file_before(const struct segment_log *log, uint64_t position);

struct segment_frame {
    const uint8_t *bytes; /* borrowed until the next call on the reader */
    uint32_t length;
    uint64_t position;
    uint64_t next_position; /* where to go on */
};

struct segment_reader;

/* Reads from `position` on, which must be a frame's; 0, or one whose file is gone: from the oldest
 * one there. `frame_bytes_max` bounds the memory. NULL with `err` set. */
MUST_USE struct segment_reader *segment_reader_new(const char *directory, uint64_t position,
                                                   uint32_t frame_bytes_max, struct error *err);
void segment_reader_free(struct segment_reader *reader); /* NULL is allowed */
DEFINE_AUTO(segment_reader, segment_reader_free);

/* The next frame that begins before `until` (segment_log_end or segment_log_durable_end of the
 * writer): 1 and `frame`, 0 at `until`, -errno: EBADMSG names the file and the place of a damaged
 * frame, and the next call goes on with the next file (0 when there is none). A `position` beyond
 * the last `next_position` tells what is missing. */
MUST_USE int segment_reader_next(struct segment_reader *reader, uint64_t until,
                                 struct segment_frame *frame, struct error *err);
