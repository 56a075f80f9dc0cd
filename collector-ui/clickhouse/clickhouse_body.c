/* Records of the log as rows of a table. */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/clickhouse/clickhouse_private.h"
#include "proto/row/flow_row.h"

#define FLOW_BYTES      (CODEC_FLOW_BYTES_MAX + CODEC_IDENTITY_BYTES_MAX)
#define RECORD_BYTES    ((size_t)256 << 10) /* of any stream: the codec's own bounds are below it */
#define ROOM_FIRST      ((size_t)256 << 10)
#define ROW_BYTES_FIRST ((size_t)64 << 10)
#define ROW_BYTES_MOST  ((size_t)16 << 20)

bool clickhouse_body_init(struct clickhouse_body *body, bool is_packed)
{
    *body = (struct clickhouse_body){.record = malloc(RECORD_BYTES),
                                     .row = malloc(FLOW_ROW_BYTES_MAX(FLOW_BYTES)),
                                     .packer = is_packed ? packer_new() : NULL};
    return body->record != NULL && body->row != NULL && (!is_packed || body->packer != NULL);
}

void clickhouse_body_fini(struct clickhouse_body *body)
{
    free(body->bytes);
    free(body->record);
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

/* `length` bytes of body->record. 1: a row more; 0: it is no flow record; -1: no memory. */
static int add_flow(struct clickhouse_body *body, struct row_table *table,
                    const struct codec_slice *record, size_t whole)
{
    const size_t length = whole > FLOW_BYTES ? 0
                                             : flow_row_from_flow(body->record, whole, body->row,
                                                                  FLOW_ROW_BYTES_MAX(FLOW_BYTES));

    if (length == 0) {
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

/* Likewise, of a record that has a table of its own form. */
static int add_other(struct clickhouse_body *body, const struct record_table *table,
                     const struct codec_slice *record, size_t whole)
{
    for (size_t room = ROW_BYTES_FIRST; room <= ROW_BYTES_MOST; room *= 2) {
        size_t written = 0;

        if (!reserve(body, room)) {
            return -1;
        }
        switch (record_table_write(table, body->record, record->length, whole,
                                   body->bytes + body->length, body->room - body->length,
                                   &written)) {
        case RECORD_TABLE_WRITTEN:
            body->length += written;
            return 1;
        case RECORD_TABLE_SHORT:
            break;
        default:
            return 0;
        }
    }
    return 0;
}

static int add_record(struct clickhouse_body *body, const struct clickhouse_table *table,
                      const struct codec_slice *record, const struct codec_identity *identity,
                      uint64_t seq)
{
    if (record->length > RECORD_BYTES - CODEC_IDENTITY_BYTES_MAX) {
        return 0;
    }
    memcpy(body->record, record->bytes, record->length);
    const size_t more =
        codec_append_number(identity, seq, body->record + record->length, CODEC_IDENTITY_BYTES_MAX);

    if (more == 0) {
        return 0;
    }
    return table->flows != NULL ? add_flow(body, table->flows, record, record->length + more)
                                : add_other(body, table->others, record, record->length + more);
}

bool clickhouse_body_add(struct clickhouse_body *body, const struct clickhouse_table *table,
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
