/* What a collector asks of a sensor: to send less, to go elsewhere. */
#include <string.h>

#include "base/wire_format.h"
#include "proto/ingest_message.h"

bool ingest_decode_throttle(const uint8_t *bytes, size_t length, struct ingest_throttle *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;

    *out = (struct ingest_throttle){.stream = RECORD_STREAM_COUNT};
    while (wire_next(&r, &f)) {
        if (f.type != WIRE_VARINT) {
            continue;
        }
        if (f.number == 1) {
            out->stream = f.value >= RECORD_FLOWS && f.value < RECORD_STREAM_COUNT
                              ? (enum record_stream)f.value
                              : RECORD_STREAM_COUNT;
        } else if (f.number == 2) {
            out->max_rate = f.value < UINT32_MAX ? (uint32_t)f.value : UINT32_MAX;
        }
    }
    return r.ok;
}

bool ingest_decode_redirect(const uint8_t *bytes, size_t length, struct ingest_redirect *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;

    out->address[0] = '\0';
    while (wire_next(&r, &f)) {
        if (f.number != 1 || f.type != WIRE_BYTES) {
            continue;
        }
        out->address[0] = '\0';
        if (f.length > 0 && f.length < sizeof(out->address) &&
            memchr(f.bytes, '\0', f.length) == NULL) {
            memcpy(out->address, f.bytes, f.length);
            out->address[f.length] = '\0';
        }
    }
    return r.ok;
}

size_t ingest_encode_throttle(const struct ingest_throttle *throttle, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_THROTTLE, 1);

    wire_write_varint(&w, 1, throttle->stream);
    wire_write_varint(&w, 2, throttle->max_rate);
    wire_end(&w, mark);
    return w.ok ? wire_written(&w) : 0;
}

size_t ingest_encode_redirect(const struct ingest_redirect *redirect, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_REDIRECT, 2);

    wire_write_text(&w, 1, redirect->address);
    wire_end(&w, mark);
    return w.ok ? wire_written(&w) : 0;
}
