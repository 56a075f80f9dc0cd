#include "proto/serve/grpc_batch.h"

#include <assert.h>
#include <string.h>

#include "base/wire_format.h"

#define LIST_FIELD 1
#define HEAD_BYTES 32 /* tag and length of the batch inside the response */
/* What waits to be sent holds its parcels: by more than this many times its bytes, it is copied. */
#define PINNED_BY_SENT 4

void grpc_batch_add(struct grpc_batch *batch, const struct grpc_record *first, uint32_t count)
{
    const struct grpc_record *last = &first[count - 1];
    const uint8_t *begin = first->bytes - grpc_record_head(first);
    const size_t length = (size_t)(last->bytes - begin) + last->length;
    struct grpc_part *part = batch->parts_count == 0 ? NULL : &batch->parts[batch->parts_count - 1];

    assert(count > 0 && batch->count + count <= GRPC_BATCH_MAX);
    batch->count += count;
    batch->bytes += length;
    if (part != NULL && part->parcel == first->parcel && part->begin + part->length == begin) {
        part->length += length;
        return;
    }
    batch->parts[batch->parts_count++] =
        (struct grpc_part){.parcel = first->parcel, .begin = begin, .length = length};
    batch->pinned += first->parcel->memory;
}

uint32_t grpc_batch_run(const struct grpc_batch *batch, const struct grpc_record *first,
                        uint32_t most)
{
    const uint32_t left = (uint32_t)(first->parcel->records + first->parcel->count - first);
    uint32_t count = most < left ? most : left;

    /* With all but the last of them the message is still short. */
    while (count > 1 && batch->bytes + (size_t)(first[count - 2].bytes - first->bytes) +
                                first[count - 2].length + GRPC_RECORD_HEAD_MAX >=
                            GRPC_MESSAGE_BYTES) {
        count /= 2;
    }
    return count;
}

void grpc_batch_add_other(struct grpc_batch *batch, const uint8_t *bytes, uint32_t length)
{
    assert(batch->count < GRPC_BATCH_MAX);
    batch->parts[batch->parts_count++] = (struct grpc_part){.begin = bytes, .length = length};
    batch->count++;
    batch->bytes += 1 + wire_varint_bytes(length) + length;
    batch->has_other = true;
}

/* The tag and length in front of the list. */
static uint8_t *put_head(const struct grpc_batch *batch, uint32_t field, uint8_t *at)
{
    return field == 0
               ? at
               : wire_put_varint(wire_put_varint(at, WIRE_TAG(field, WIRE_BYTES)), batch->bytes);
}

static uint32_t share(const struct grpc_batch *batch, uint32_t field, struct rpc_bytes *pieces)
{
    uint8_t head[HEAD_BYTES];
    const size_t head_length = (size_t)(put_head(batch, field, head) - head);
    uint32_t count = 0;

    if (head_length > 0) {
        pieces[count++] = rpc_bytes_copy(head, head_length);
    }
    for (uint32_t i = 0; i < batch->parts_count; i++) {
        const struct grpc_part *part = &batch->parts[i];
        const struct rpc_buffer *room = &part->parcel->room;

        pieces[count++] =
            rpc_bytes_part(&room->bytes, (size_t)(part->begin - room->data), part->length);
    }
    return count;
}

static uint32_t copy(const struct grpc_batch *batch, uint32_t field, struct rpc_bytes *pieces)
{
    struct rpc_buffer buffer = rpc_buffer_new(batch->bytes + HEAD_BYTES);
    uint8_t *at = put_head(batch, field, buffer.data);

    for (uint32_t i = 0; i < batch->parts_count; i++) {
        const struct grpc_part *part = &batch->parts[i];

        if (part->parcel == NULL) {
            at = wire_put_varint(at, WIRE_TAG(LIST_FIELD, WIRE_BYTES));
            at = wire_put_varint(at, part->length);
        }
        if (part->length > 0) {
            memcpy(at, part->begin, part->length);
            at += part->length;
        }
    }
    pieces[0] = rpc_buffer_done(&buffer, (size_t)(at - buffer.data));
    return 1;
}

uint32_t grpc_batch_pieces(const struct grpc_batch *batch, uint32_t field,
                           struct rpc_bytes pieces[GRPC_PIECES_MAX + 1])
{
    const bool is_shared = !batch->has_other && batch->parts_count <= GRPC_PIECES_MAX &&
                           batch->pinned <= PINNED_BY_SENT * batch->bytes;

    return is_shared ? share(batch, field, pieces) : copy(batch, field, pieces);
}
