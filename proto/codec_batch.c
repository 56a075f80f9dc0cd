#include <assert.h>

#include "proto/codec.h"
#include "proto/codec_wire.h"

#define BATCH_HEAD_BYTES_MAX 128 /* all around the records */
#define CONNECT_BATCH_FIELD  2   /* ConnectRequest.batch */
#define BATCH_RECORDS_FIELD  4   /* Batch.flows is 5 = 4 + STREAM_FLOWS, and so on */

/* Bytes of "repeated ... = 1". */
static size_t list_bytes(const struct codec_slice *records, uint32_t count)
{
    size_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += 1 + wire_varint_bytes(records[i].length) + records[i].length;
    }
    return total;
}

static uint8_t *put_list(uint8_t *at, const struct codec_slice *records, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        at = wire_put_bytes(put_tag(at, 1, WIRE_BYTES), records[i].bytes, records[i].length);
    }
    return at;
}

size_t codec_batch_bytes(const struct codec_slice *records, uint32_t count)
{
    return BATCH_HEAD_BYTES_MAX + list_bytes(records, count);
}

size_t codec_encode_batch(const struct codec_batch *batch, const struct codec_slice *records,
                          uint8_t *out, size_t capacity)
{
    assert(batch->stream > RECORD_STREAM_NONE && batch->stream < RECORD_STREAM_COUNT);
    const struct record_text boot_id = {
        .data = batch->boot_id, .length = (uint32_t)strnlen(batch->boot_id, sizeof batch->boot_id)};
    const size_t list = list_bytes(records, batch->record_count);

    uint8_t head[BATCH_HEAD_BYTES_MAX];
    uint8_t *end = put_text(head, 1, boot_id, BOOT_ID_MAX);
    end = put_number(end, 2, (uint64_t)batch->stream);
    end = put_number(end, 3, batch->first_seq);
    end = put_number(end, 4, batch->record_count);
    end = put_tag(end, BATCH_RECORDS_FIELD + (uint32_t)batch->stream, WIRE_BYTES);
    end = wire_put_varint(end, list);
    const size_t head_length = (size_t)(end - head);

    const size_t body = head_length + list;
    if (capacity < 1 + wire_varint_bytes(body) + body) {
        return 0;
    }
    uint8_t *at = wire_put_varint(put_tag(out, CONNECT_BATCH_FIELD, WIRE_BYTES), body);
    memcpy(at, head, head_length);
    at = put_list(at + head_length, records, batch->record_count);
    return (size_t)(at - out);
}

size_t codec_encode_list(const struct codec_slice *records, uint32_t count, uint8_t *out,
                         size_t capacity)
{
    if (capacity < list_bytes(records, count)) {
        return 0;
    }
    return (size_t)(put_list(out, records, count) - out);
}

static bool read_list(const struct wire_field *message, struct codec_slice *records,
                      uint32_t records_max, uint32_t *count)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    while (wire_next(&r, &f)) {
        if (f.number != 1 || f.type != WIRE_BYTES) {
            continue;
        }
        if (*count == records_max || f.length > UINT32_MAX) {
            return false;
        }
        records[(*count)++] = (struct codec_slice){.bytes = f.bytes, .length = (uint32_t)f.length};
    }
    return r.ok;
}

bool codec_decode_batch(const uint8_t *bytes, size_t length, struct codec_batch *out,
                        struct codec_slice *records, uint32_t records_max)
{
    *out = (struct codec_batch){0};
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    uint64_t stream = RECORD_STREAM_NONE;
    uint32_t list_field = 0;
    uint32_t count = 0;
    bool ok = true;
    while (ok && wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_BYTES) {
            ok = f.length < sizeof out->boot_id;
            if (ok) {
                read_chars(&f, out->boot_id, sizeof out->boot_id);
            }
        } else if (f.number == 2 && f.type == WIRE_VARINT) {
            stream = f.value;
        } else if (f.number == 3 && f.type == WIRE_VARINT) {
            out->first_seq = f.value;
        } else if (f.number == 4 && f.type == WIRE_VARINT) {
            out->record_count = (uint32_t)read_number(&f, UINT32_MAX, &ok);
        } else if (f.number > BATCH_RECORDS_FIELD && f.type == WIRE_BYTES &&
                   f.number < BATCH_RECORDS_FIELD + RECORD_STREAM_COUNT) {
            count = f.number == list_field ? count : 0; /* oneof: the last member wins */
            list_field = f.number;
            ok = read_list(&f, records, records_max, &count);
        }
    }
    if (!ok || !r.ok || stream == RECORD_STREAM_NONE || stream >= RECORD_STREAM_COUNT ||
        (list_field != 0 && list_field != BATCH_RECORDS_FIELD + stream) ||
        out->record_count != count) {
        return false;
    }
    out->stream = (enum record_stream)stream;
    return true;
}
