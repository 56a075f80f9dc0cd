/* What a sensor and a collector read of each other: the small messages, packed batches, pieces of
 * captures, answers of a sensor that is dialed, details of a refusal. */
#include <stdlib.h>

#include "base/packing/packing.h"
#include "proto/ingest_message.h"
#include "proto/observe_message.h"

#define UNPACKED_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_inside(const uint8_t *data, size_t size, const uint8_t *part, size_t length)
{
    if (length > 0 && (part < data || length > size || part > data + (size - length))) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t unpacked[UNPACKED_MAX];
    struct ingest_request request;
    struct ingest_request inner;
    struct ingest_response response;
    struct ingest_gap gap;
    struct ingest_upload upload;
    struct observe_info info;
    struct observe_response observed;

    if (ingest_decode_request(data, size, &request) && request.kind == INGEST_PACKED &&
        request.packed.length <= UNPACKED_MAX &&
        packing_unpack(request.packed.bytes, request.packed.packed_length, unpacked,
                       request.packed.length)) {
        (void)!ingest_decode_request(unpacked, request.packed.length, &inner);
    }
    (void)!ingest_decode_response(data, size, &response);
    (void)!ingest_decode_gap(data, size, &gap);
    (void)ingest_retry_delay(data, size);
    if (ingest_decode_upload(data, size, &upload)) {
        require_inside(data, size, upload.chunk, upload.chunk_length);
    }
    (void)!observe_decode_info(data, size, &info);
    if (observe_decode_response(data, size, &observed)) {
        require_inside(data, size, observed.records, observed.length);
    }
    return 0;
}
