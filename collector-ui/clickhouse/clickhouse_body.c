/* Records of the log as rows of a table. */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/clickhouse/clickhouse_private.h"
#include "proto/row/flow_row.h"

#define FLOW_BYTES (CODEC_FLOW_BYTES_MAX + CODEC_IDENTITY_BYTES_MAX)
#define ROOM_FIRST ((size_t)256 << 10)

bool clickhouse_body_init(struct clickhouse_body *body, bool is_packed)
{
    *body = (struct clickhouse_body){.flow = malloc(FLOW_BYTES),
                                     .row = malloc(FLOW_ROW_BYTES_MAX(FLOW_BYTES)),
                                     .packer = is_packed ? packer_new() : NULL};
    return body->flow != NULL && body->row != NULL && (!is_packed || body->packer != NULL);
}

void clickhouse_body_fini(struct clickhouse_body *body)
{
    free(body->bytes);
    free(body->flow);
    free(body->row);
    packer_free(body->packer);
    free(body->packed);
    *body = (struct clickhouse_body){0};
}

void clickhouse_body_clear(struct clickhouse_body *body)
{
    body->length = body->packed_length = 0;
    body->rows = body->frames = 0;
    body->records = body->undecodable = 0;
}

static bool reserve(struct clickhouse_body *body, size_t more)
{
    size_t room = body->room == 0 ? ROOM_FIRST : body->room;

    while (room - body->length < more) {
        room *= 2;
    }
    if (room == body->room) {
        return true;
    }
    uint8_t *bytes = realloc(body->bytes, room);

    if (bytes == NULL) {
        return false;
    }
    body->bytes = bytes;
    body->room = room;
    return true;
}

/* 1: a row more; 0: it is no flow record; -1: no memory. */
static int add_record(struct clickhouse_body *body, struct row_table *table,
                      const struct codec_slice *record, const struct codec_identity *identity,
                      uint64_t seq)
{
    if (record->length > CODEC_FLOW_BYTES_MAX) {
        return 0;
    }
    memcpy(body->flow, record->bytes, record->length);
    const size_t more =
        codec_append_number(identity, seq, body->flow + record->length, CODEC_IDENTITY_BYTES_MAX);
    const size_t length = flow_row_from_flow(body->flow, record->length + more, body->row,
                                             FLOW_ROW_BYTES_MAX(FLOW_BYTES));

    if (more == 0 || length == 0) {
        return 0;
    }
    const struct row_source source = {body->row, length, record->bytes, record->length};

    if (!reserve(body, row_table_bytes_max(table, &source))) {
        return -1;
    }
    const size_t written =
        row_table_write(table, &source, body->bytes + body->length, body->room - body->length);

    body->length += written;
    return written > 0;
}

bool clickhouse_body_add(struct clickhouse_body *body, struct row_table *table,
                         const struct clickhouse_batch *batch)
{
    const struct clickhouse_body before = *body;
    const struct record_identity identity = {
        .sensor_id = {batch->sensor_id, (uint32_t)strlen(batch->sensor_id)},
        .boot_id = {batch->boot_id, (uint32_t)strlen(batch->boot_id)}};
    struct codec_identity head;

    codec_identity_of(&identity, &head);
    for (uint32_t i = 0; i < batch->record_count; i++) {
        const int added = add_record(body, table, &batch->records[i], &head, batch->first_seq + i);

        if (added < 0) {
            body->length = before.length;
            body->rows = before.rows;
            body->undecodable = before.undecodable;
            return false;
        }
        body->rows += added > 0;
        body->undecodable += added == 0;
    }
    body->records += batch->record_count;
    body->frames++;
    return true;
}

/* Once a batch: one that is sent again is not packed again. */
static void pack(struct clickhouse_body *body)
{
    const size_t room = packer_bound(body->length);

    if (room > body->packed_room) {
        free(body->packed);
        body->packed = malloc(room);
        body->packed_room = body->packed == NULL ? 0 : room;
    }
    if (body->packed != NULL) {
        body->packed_length =
            packer_pack(body->packer, body->bytes, body->length, body->packed, body->packed_room);
    }
}

struct clickhouse_rows clickhouse_body_rows(struct clickhouse_body *body)
{
    if (body->packer != NULL && body->packed_length == 0) {
        pack(body);
    }
    return body->packed_length > 0
               ? (struct clickhouse_rows){body->packed, body->packed_length, true}
               : (struct clickhouse_rows){body->bytes, body->length, false};
}
