/* gzip (RFC 1952) and Zstandard (RFC 8878) data as plain bytes, in pieces: what is held does not
 * grow with what is read. Members and frames behind one another are one stream, as the tools write
 * them.
 *
 * Inside sensor/capture only. Depends on: zlib, libzstd. Threads: one. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/error.h"

struct byte_decoder;

/* As read(2): 0 at the end, -errno. */
typedef ssize_t (*byte_decoder_read_function)(void *context, void *out, size_t bytes_max);

/* Looks at the first bytes (at most 24) of a file. `*out` stays NULL when they are not compressed;
 * else it is a decoder that begins with them and takes the rest from `read`. -errno with `err`:
 * EBADMSG for compression that is not read here, ENOMEM. */
MUST_USE int byte_decoder_new(const uint8_t *first, size_t count, byte_decoder_read_function read,
                              void *context, struct byte_decoder **out, struct error *err);
void byte_decoder_free(struct byte_decoder *decoder); /* NULL is allowed */

/* Blocks until there is a byte. 0: the end. -EBADMSG: damaged or cut off; else -errno of `read`.
 * After an error every call gives the same. */
MUST_USE ssize_t byte_decoder_read(struct byte_decoder *decoder, void *out, size_t bytes_max);
/* A sentence after -EBADMSG, else NULL. */
const char *byte_decoder_fault(const struct byte_decoder *decoder);
