/* What a sensor and a collector read of each other: the small messages, packed batches, details of
 * a refusal. */
#include "base/packing/packing.h"
#include "proto/ingest_message.h"

#define UNPACKED_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t unpacked[UNPACKED_MAX];
    struct ingest_request request;
    struct ingest_request inner;
    struct ingest_response response;
    struct ingest_gap gap;

    if (ingest_decode_request(data, size, &request) && request.kind == INGEST_PACKED &&
        request.packed.length <= UNPACKED_MAX &&
        packing_unpack(request.packed.bytes, request.packed.packed_length, unpacked,
                       request.packed.length)) {
        (void)!ingest_decode_request(unpacked, request.packed.length, &inner);
    }
    (void)!ingest_decode_response(data, size, &response);
    (void)!ingest_decode_gap(data, size, &gap);
    (void)ingest_retry_delay(data, size);
    return 0;
}
