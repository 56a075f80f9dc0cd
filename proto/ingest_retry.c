/* When a refused stream may come again: google.rpc.RetryInfo in a google.rpc.Status. */
#include <string.h>

#include "proto/ingest_private.h"

#define RETRY_INFO_TYPE "type.googleapis.com/google.rpc.RetryInfo"

static uint64_t read_retry_info(const struct wire_field *value)
{
    struct wire_reader r = wire_reader_over(value->bytes, value->length);
    struct wire_field f;
    uint64_t delay_ns = 0;

    while (wire_next(&r, &f)) {
        if (f.number == 1 && !ingest_read_time(&f, &delay_ns)) {
            delay_ns = 0;
        }
    }
    return delay_ns;
}

uint64_t ingest_retry_delay(const uint8_t *bytes, size_t length)
{
    struct wire_reader status = wire_reader_over(bytes, bytes != NULL ? length : 0);
    struct wire_field f;
    uint64_t delay_ns = 0;

    while (wire_next(&status, &f)) {
        struct wire_reader any;
        bool is_retry = false;

        if (f.number != 3 || f.type != WIRE_BYTES) {
            continue;
        }
        any = wire_reader_over(f.bytes, f.length);
        while (wire_next(&any, &f)) {
            if (f.number == 1 && f.type == WIRE_BYTES) {
                is_retry = f.length == strlen(RETRY_INFO_TYPE) &&
                           memcmp(f.bytes, RETRY_INFO_TYPE, f.length) == 0;
            } else if (f.number == 2 && f.type == WIRE_BYTES && is_retry) {
                delay_ns = read_retry_info(&f);
            }
        }
    }
    return delay_ns;
}

size_t ingest_encode_retry(uint32_t code, const char *message, uint64_t delay_ns, uint8_t *out,
                           size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);

    wire_write_varint_if_any(&w, 1, code);
    wire_write_text_if_any(&w, 2, message);
    const struct wire_mark any = wire_begin(&w, 3, 1);

    wire_write_text_if_any(&w, 1, RETRY_INFO_TYPE);
    const struct wire_mark info = wire_begin(&w, 2, 1);

    ingest_write_time(&w, 1, delay_ns);
    wire_end(&w, info);
    return ingest_finish(&w, any);
}
