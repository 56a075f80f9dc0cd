/* SHA-1 (RFC 3174) of several short messages side by side. Sixteen in registers of 512 bits take
 * less than by a processor's SHA extensions one after the other; without these, eight in registers
 * of 256 bits take a seventh of plain C. Depends on: hash.h. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SHA1_LANES 16

/* Messages of sixteen bytes each, as hash_sha1_16 has them; digest i is {digests[0][i], ...,
 * digests[4][i]}. Of `count`, 1 to SHA1_LANES; what stands in the other lanes of `digests` is not
 * said, and those of `first` and `second` may hold anything. */
void sha1_lanes(const uint64_t first[SHA1_LANES], const uint64_t second[SHA1_LANES], unsigned count,
                uint32_t digests[5][SHA1_LANES]);
/* The same, one after the other: what sha1_lanes falls back on. */
void sha1_lanes_portable(const uint64_t first[SHA1_LANES], const uint64_t second[SHA1_LANES],
                         unsigned count, uint32_t digests[5][SHA1_LANES]);
/* The same by registers of 256 bits, whatever else the processor has; false: it has none. */
bool sha1_lanes_256(const uint64_t first[SHA1_LANES], const uint64_t second[SHA1_LANES],
                    unsigned count, uint32_t digests[5][SHA1_LANES]);
