/* What is written down of a capture, as the disk gives it back: what was read can be written, and
 * is the same when it is read again. */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/capture/capture_info.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct capture_info info, again;
    static uint8_t bytes[CAPTURE_INFO_BYTES], copy[CAPTURE_INFO_BYTES];

    memset(&info, 0, sizeof(info));
    memset(&again, 0, sizeof(again));
    if (!capture_info_decode(data, size, &info)) {
        return 0;
    }
    const size_t length = capture_info_encode(&info, bytes, sizeof(bytes));

    if (!capture_id_is_good(info.id) || info.parts_count > CAPTURE_SENSORS_MAX || length == 0 ||
        !capture_info_decode(bytes, length, &again) ||
        capture_info_encode(&again, copy, sizeof(copy)) != length ||
        memcmp(bytes, copy, length) != 0) {
        abort();
    }
    return 0;
}
