#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"
#include "collector-ui/ingest/ingest_private.h"

enum { FRAME_SENSOR = 1, FRAME_RECEIVE_NS = 2, FRAME_BATCH = 3, FRAME_GAP = 4, FRAME_LANE = 5 };

size_t ingest_frame_head(const struct ingest_frame *frame, uint8_t *out)
{
    struct wire_writer w = wire_writer_over(out, INGEST_FRAME_HEAD_BYTES);
    uint8_t *at;

    wire_write_text(&w, FRAME_SENSOR, frame->sensor_id);
    wire_write_varint(&w, FRAME_RECEIVE_NS, frame->receive_ns);
    if (frame->lane != 0) {
        wire_write_varint(&w, FRAME_LANE, frame->lane);
    }
    at = wire_put_varint(out + wire_written(&w),
                         WIRE_TAG(frame->batch != NULL ? FRAME_BATCH : FRAME_GAP, WIRE_BYTES));
    at = wire_put_varint(at, frame->length);
    return (size_t)(at - out);
}

struct ingest_entry *ingest_entry_new(const struct ingest_frame *frame, const struct rpc_call *call)
{
    const uint8_t *message = frame->batch != NULL ? frame->batch : frame->gap;
    struct rpc_bytes kept;
    const bool has_kept = call != NULL && rpc_message_keep(call, message, frame->length, &kept);
    struct ingest_entry *entry =
        malloc(sizeof(*entry) + INGEST_FRAME_HEAD_BYTES + (has_kept ? 0 : frame->length));

    if (entry == NULL) {
        if (has_kept) {
            rpc_bytes_unref(&kept);
        }
        return NULL;
    }
    *entry = (struct ingest_entry){.is_gap = frame->batch == NULL,
                                   .receive_ns = frame->receive_ns,
                                   .message_bytes = frame->length,
                                   .has_kept = has_kept};
    entry->head_bytes = ingest_frame_head(frame, entry->bytes);
    entry->length = entry->head_bytes + frame->length;
    if (has_kept) {
        entry->kept = kept;
        entry->message = message;
    } else {
        memcpy(entry->bytes + entry->head_bytes, message, frame->length);
        entry->message = entry->bytes + entry->head_bytes;
    }
    return entry;
}

void ingest_entry_free(struct ingest_entry *entry)
{
    if (entry->has_kept) {
        rpc_bytes_unref(&entry->kept);
    }
    free(entry);
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
        } else if (f.number == FRAME_LANE && f.type == WIRE_VARINT && f.value <= INGEST_LANE_MAX) {
            out->lane = (uint32_t)f.value;
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
