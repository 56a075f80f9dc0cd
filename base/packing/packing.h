/* Messages made smaller for slow links, by zstd (RFC 8878).
 *
 * Unpacking is for hostile bytes: it writes the announced length and nothing more, whatever the
 * bytes claim. Depends on: base, libzstd. Threads: one packer, one thread; unpacking from any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

struct packer;

MUST_USE struct packer *packer_new(void); /* NULL: no memory */
void packer_free(struct packer *packer);  /* NULL is allowed */
DEFINE_AUTO(packer, packer_free);

/* Room that packer_pack needs for `length` bytes. */
size_t packer_bound(size_t length);
/* Bytes written to `out`; 0 when they would not be fewer than `length`. About 2 ns a byte. */
MUST_USE size_t packer_pack(struct packer *packer, const void *bytes, size_t length, void *out,
                            size_t out_bytes);
/* True when `bytes` unpack to exactly `out_bytes`. */
MUST_USE bool packing_unpack(const void *bytes, size_t length, void *out, size_t out_bytes);
