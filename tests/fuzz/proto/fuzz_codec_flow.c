/* What is read as a flow is written again and reads the same; nothing crashes. */
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct flow_record first, second;
    static uint8_t once[CODEC_FLOW_BYTES_MAX], twice[CODEC_FLOW_BYTES_MAX];
    if (codec_decode_flow(data, size, &first)) {
        const size_t length = codec_encode_flow(&first, once, sizeof once);
        if (length > 0 && (!codec_decode_flow(once, length, &second) ||
                           codec_encode_flow(&second, twice, sizeof twice) != length ||
                           memcmp(once, twice, length) != 0)) {
            abort();
        }
    }
    return 0;
}
