/* Random segments of one stream (any order, overlaps with other contents, cuts, ACKs) against the
 * plain assembler of tests/support/assembly_script.h; the first two bytes choose the initial
 * sequence number, so that it wraps. */
#include "tests/support/assembly_script.h"

#define SCRIPT_BYTES_MAX 602 /* 100 segments: more than a window has room for */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SCRIPT_BYTES_MAX) {
        size = SCRIPT_BYTES_MAX;
    }
    if (size >= 3) {
        play_script(data + 2, size - 2, (uint32_t)0 - (uint32_t)data[0] * 256 + data[1]);
    }
    return 0;
}
