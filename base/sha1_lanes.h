/* SHA-1 (RFC 3174) of several short messages side by side: where the processor has registers of 512
 * bits, each takes a quarter of the time that one alone takes by its SHA extensions. Depends on:
 * hash.h. Pure, any thread. */
#pragma once

#include <stdint.h>

#define SHA1_LANES 16

/* Messages of sixteen bytes each, as hash_sha1_16 has them; digest i is {digests[0][i], ...,
 * digests[4][i]}. */
void sha1_lanes(const uint64_t first[SHA1_LANES], const uint64_t second[SHA1_LANES],
                uint32_t digests[5][SHA1_LANES]);
/* The same, one after the other: what sha1_lanes falls back on. */
void sha1_lanes_portable(const uint64_t first[SHA1_LANES], const uint64_t second[SHA1_LANES],
                         uint32_t digests[5][SHA1_LANES]);
