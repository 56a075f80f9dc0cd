#include <string.h>

#include "base/wire_format.h"
#include "collector-ui/ingest/ingest_private.h"

enum { FRAME_SENSOR = 1, FRAME_RECEIVE_NS = 2, FRAME_BATCH = 3, FRAME_GAP = 4 };

size_t ingest_frame_encode(const struct ingest_frame *frame, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);

    wire_write_text(&w, FRAME_SENSOR, frame->sensor_id);
    wire_write_varint(&w, FRAME_RECEIVE_NS, frame->receive_ns);
    if (frame->batch != NULL) {
        wire_write_bytes(&w, FRAME_BATCH, frame->batch, frame->length);
    } else {
        wire_write_bytes(&w, FRAME_GAP, frame->gap, frame->length);
    }
    return w.ok ? wire_written(&w) : 0;
}

bool ingest_frame_decode(const uint8_t *bytes, size_t length, struct ingest_frame *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;

    *out = (struct ingest_frame){0};
    while (wire_next(&r, &f)) {
        if (f.number == FRAME_SENSOR && f.type == WIRE_BYTES && f.length < sizeof(out->sensor_id)) {
            memcpy(out->sensor_id, f.bytes, f.length);
        } else if (f.number == FRAME_RECEIVE_NS && f.type == WIRE_VARINT) {
            out->receive_ns = f.value;
        } else if (f.number == FRAME_BATCH && f.type == WIRE_BYTES && f.length <= UINT32_MAX) {
            out->batch = f.bytes;
            out->length = (uint32_t)f.length;
        } else if (f.number == FRAME_GAP && f.type == WIRE_BYTES && f.length <= UINT32_MAX) {
            out->gap = f.bytes;
            out->length = (uint32_t)f.length;
        }
    }
    return r.ok && out->sensor_id[0] != '\0' && (out->batch == NULL) != (out->gap == NULL);
}
