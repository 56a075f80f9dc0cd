/* Any pieces in any order, lowered and consumed at will, against the plain assembler of
 * tests/support/window_script.h: the first two bytes choose where the stream begins, so that
 * offsets wrap, and how much of the pool others hold. */
#include "tests/support/window_script.h"

#define SCRIPT_BYTES_MAX 802 /* 160 steps: a window has room for far fewer pieces */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SCRIPT_BYTES_MAX) {
        size = SCRIPT_BYTES_MAX;
    }
    if (size >= 2) {
        window_play(data + 2, size - 2, (uint64_t)0 - (uint64_t)data[0] * 256, data[1] * 4U);
    }
    return 0;
}
