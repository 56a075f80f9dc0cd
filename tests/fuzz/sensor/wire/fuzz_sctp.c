/* The chunks of an SCTP packet: they lie in the packet, and each takes some of it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "sensor/wire/sctp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_over(data, size);
    const uint8_t *at = in.at;
    struct sctp_chunk chunk;

    while (sctp_next(&in, &chunk)) {
        if (in.at <= at || in.at > data + size ||
            (chunk.user_data.bytes != NULL &&
             (chunk.user_data.bytes < at ||
              chunk.user_data.bytes + chunk.user_data.length > in.at))) {
            abort();
        }
        at = in.at;
    }
    return 0;
}
