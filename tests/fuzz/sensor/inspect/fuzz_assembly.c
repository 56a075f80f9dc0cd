/* Random segments of one stream (any order, overlaps with other contents, cuts, ACKs) against the
 * plain assembler of tests/support/assembly_script.h; the first two bytes choose the initial
 * sequence number, so that it wraps. */
#include "tests/support/assembly_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 3 && size <= 4096) {
        play_script(data + 2, size - 2, (uint32_t)0 - (uint32_t)data[0] * 256 + data[1]);
    }
    return 0;
}
