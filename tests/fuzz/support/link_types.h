/* The link types that fuzz_wire_packet chooses from by the first byte of its input; fuzz_seeds
 * writes that byte. New ones go to the end, or old inputs change their meaning. */
#pragma once

#include <stddef.h>
#include <stdint.h>

static const uint16_t fuzz_link_types[] = {
    1,   0,   108, 101, 113, 276, 228, 229, 9999, 6,   9,   10,  12,  14,  50,  51,  100,
    104, 105, 107, 109, 117, 119, 122, 127, 138,  143, 163, 166, 192, 204, 205, 206, 239,
    240, 241, 242, 258, 274, 281, 282, 284, 285,  8,   106, 123, 182, 197, 219,
};

#define FUZZ_LINK_TYPES (sizeof(fuzz_link_types) / sizeof(fuzz_link_types[0]))
