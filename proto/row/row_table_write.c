/* A FlowRow as a row of RowBinary: first its values by column, then the columns in their order. */
#include <stdlib.h>
#include <string.h>

#include "proto/row/row_table_private.h"

#define ITEMS_MAX        65536 /* values of one row */
#define NUMBER_BYTES_MAX 8     /* of one byte in a packed list */

/* ---- the values ---- */

static bool add_item(struct row_table *table, struct row_column *column, struct row_item item)
{
    if (table->items_count == table->items_room) {
        const uint32_t room = table->items_room == 0 ? 512 : table->items_room * 2;
        struct row_item *more =
            room > ITEMS_MAX ? NULL : realloc(table->items, room * sizeof(*more));

        if (more == NULL) {
            return false;
        }
        table->items = more;
        table->items_room = room;
    }
    const bool is_only_one = column->type.arrays == 0; /* protobuf: the last one counts */

    table->items[table->items_count++] = item;
    if (column->last != 0 && !is_only_one) {
        table->items[column->last - 1].next = table->items_count;
    } else {
        column->first = table->items_count;
    }
    column->last = table->items_count;
    column->count = is_only_one ? 1 : column->count + 1;
    return true;
}

static bool add_packed(struct row_table *table, struct row_column *column,
                       const struct wire_field *f)
{
    struct wire_reader r = wire_reader_over(f->bytes, f->length);
    bool ok = true;

    while (ok && r.ok && !wire_at_end(&r)) {
        struct row_item item = {0};

        if (column->field->wire_type == WIRE_VARINT) {
            item.value = wire_read_varint(&r);
        } else if (column->field->wire_type == WIRE_FIXED64) {
            item.value = wire_read_fixed64(&r);
        } else {
            item.value = wire_read_fixed32(&r);
        }
        ok = r.ok && add_item(table, column, item);
    }
    return ok && r.ok;
}

static bool collect(struct row_table *table, const uint8_t *row, size_t length)
{
    struct wire_reader r = wire_reader_over(row, length);
    struct wire_field f;

    table->items_count = 0;
    for (uint32_t i = 0; i < table->columns_count; i++) {
        struct row_column *column = &table->columns[i];

        column->first = column->last = column->count = 0;
    }
    while (wire_next(&r, &f)) {
        const struct json_field *field = message_field(table->message, f.number);
        const uint8_t index = field == NULL ? 0 : table->column_of[field - table->message->fields];

        if (index == 0) {
            continue;
        }
        struct row_column *column = &table->columns[index - 1];
        const struct row_item item = {.value = f.value, .bytes = f.bytes, .length = f.length};

        if (f.type == field->wire_type) {
            if (!add_item(table, column, item)) {
                return false;
            }
        } else if (f.type == WIRE_BYTES && field->is_repeated && type_is_packable(field->type)) {
            if (!add_packed(table, column, &f)) {
                return false;
            }
        }
    }
    return r.ok;
}

/* ---- the bytes ---- */

static uint8_t *put_column(const struct row_table *table, uint8_t *at,
                           const struct row_column *column)
{
    static const struct row_item nothing;

    if (column->type.arrays > 0) {
        at = wire_put_varint(at, column->count);
        for (uint32_t i = column->first; i != 0; i = table->items[i - 1].next) {
            at = row_put_value(at, column, &table->items[i - 1]);
        }
        return at;
    }
    if (column->type.is_nullable) {
        *at++ = column->count == 0;
        if (column->count == 0) {
            return at;
        }
    }
    return row_put_value(at, column,
                         column->count == 0 ? &nothing : &table->items[column->last - 1]);
}

size_t row_table_bytes_max(const struct row_table *table, const struct row_source *source)
{
    return (size_t)ROW_VALUE_BYTES_MAX * table->columns_count +
           (table->has_word_lists ? ROW_VALUE_BYTES_MAX : NUMBER_BYTES_MAX) * source->row_length +
           (table->keeps_records ? source->record_length : 0);
}

size_t row_table_write(struct row_table *table, const struct row_source *source, uint8_t *out,
                       size_t capacity)
{
    uint8_t *at = out;

    if (capacity < row_table_bytes_max(table, source) ||
        !collect(table, source->row, source->row_length)) {
        return 0;
    }
    for (uint32_t i = 0; i < table->columns_count; i++) {
        const struct row_column *column = &table->columns[i];

        at = column->field == NULL ? row_put_text(at, source->record, source->record_length)
                                   : put_column(table, at, column);
    }
    return (size_t)(at - out);
}
