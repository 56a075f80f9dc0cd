/* Random fragments of one datagram (any order, overlaps with other contents, two ends, cuts)
 * against the bytes seen first: tests/support/datagram_script.h. */
#include "tests/support/datagram_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 5 && size <= 2048) {
        pieces_script(data, size);
    }
    return 0;
}
