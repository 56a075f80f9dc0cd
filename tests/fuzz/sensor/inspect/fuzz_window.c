/* Any pieces in any order, lowered and consumed at will, against the plain assembler of
 * tests/support/window_script.h: the first two bytes choose where the stream begins, so that
 * offsets wrap, and how much of the pool others hold. */
#include "tests/support/window_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 2 && size <= 4096) {
        window_play(data + 2, size - 2, (uint64_t)0 - (uint64_t)data[0] * 256, data[1] * 4U);
    }
    return 0;
}
