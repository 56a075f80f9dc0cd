/* A FlowRow as a row of RowBinary: first its values by column, then the columns in their order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "proto/row/row_table_private.h"

#define ITEMS_MAX        65536 /* values of one row */
#define COLUMN_BYTES_MAX 48    /* of a value that is no text of the row's: a word, a number */
#define NUMBER_BYTES_MAX 8     /* of one byte in a packed list */
#define HEX_DIGITS       16

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
    const bool is_only_one = !column->type.is_array; /* protobuf: the last one counts */

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

static uint8_t *put_number(uint8_t *at, uint64_t value, uint8_t bytes)
{
    for (uint8_t i = 0; i < bytes; i++) {
        *at++ = (uint8_t)(value >> (8 * i));
    }
    return at;
}

static uint8_t *put_text(uint8_t *at, const void *bytes, size_t length)
{
    at = wire_put_varint(at, length);
    if (length > 0) {
        memcpy(at, bytes, length);
    }
    return at + length;
}

static uint8_t *put_word(uint8_t *at, const struct row_column *column, uint64_t value)
{
    char word[COLUMN_BYTES_MAX - 1];
    const struct json_enum_value *named =
        enum_value_numbered(column->field->enumeration, (int32_t)value);
    size_t length = 0;

    if (named == NULL) {
        length = (size_t)snprintf(word, sizeof(word), "%lld", (long long)(int32_t)value);
    } else if (value != 0 || !column->is_empty_at_zero) {
        for (const char *from = named->name + column->word_prefix;
             *from != '\0' && length < sizeof(word); from++) {
            const bool is_upper = *from >= 'A' && *from <= 'Z';

            word[length++] = (char)(is_upper ? *from - 'A' + 'a' : *from);
        }
    }
    return put_text(at, word, length);
}

static uint64_t hex_value(const struct row_item *item)
{
    uint64_t value = 0;

    for (size_t i = 0; i < item->length; i++) {
        const int digit = ascii_hex_value((char)item->bytes[i]);

        if (digit < 0 || item->length > HEX_DIGITS) {
            return 0;
        }
        value = value << 4 | (unsigned)digit;
    }
    return value;
}

/* Within the bounds of the column's type. */
static uint8_t *put_integer(uint8_t *at, const struct row_column *column,
                            const struct row_item *item)
{
    const struct row_type *type = &column->type;
    const uint8_t from = column->field->type;
    const bool is_zigzag = from == TYPE_SINT32 || from == TYPE_SINT64;
    const bool is_signed = is_zigzag || from == TYPE_INT32 || from == TYPE_INT64;
    const uint64_t plain = is_zigzag             ? (uint64_t)wire_unzigzag(item->value)
                           : from == TYPE_STRING ? hex_value(item)
                                                 : item->value;
    const bool is_negative = is_signed && (int64_t)plain < 0;

    if (!is_negative) {
        return put_number(at, plain > type->most ? type->most : plain, type->bytes);
    }
    if (type->kind == ROW_UNSIGNED) {
        return put_number(at, 0, type->bytes);
    }
    const int64_t least = -(int64_t)type->most - 1;

    return put_number(at, (uint64_t)((int64_t)plain < least ? least : (int64_t)plain), type->bytes);
}

static uint8_t *put_value(uint8_t *at, const struct row_column *column, const struct row_item *item)
{
    static const uint8_t nowhere[16];

    switch (column->type.kind) {
    case ROW_STRING:
        return column->is_word ? put_word(at, column, item->value)
                               : put_text(at, item->bytes, item->length);
    case ROW_IPV6:
        memcpy(at, item->length == sizeof(nowhere) ? item->bytes : nowhere, sizeof(nowhere));
        return at + sizeof(nowhere);
    case ROW_TIME: {
        const uint64_t seconds = item->value / UINT64_C(1000000000);

        return put_number(at, seconds > UINT32_MAX ? UINT32_MAX : seconds, column->type.bytes);
    }
    case ROW_TIME_64:
        return put_number(at, item->value / column->type.tick_ns, column->type.bytes);
    case ROW_BOOL:
        return put_number(at, item->value != 0, column->type.bytes);
    default:
        return put_integer(at, column, item);
    }
}

static uint8_t *put_column(const struct row_table *table, uint8_t *at,
                           const struct row_column *column)
{
    static const struct row_item nothing;

    if (column->type.is_array) {
        at = wire_put_varint(at, column->count);
        for (uint32_t i = column->first; i != 0; i = table->items[i - 1].next) {
            at = put_value(at, column, &table->items[i - 1]);
        }
        return at;
    }
    if (column->type.is_nullable) {
        *at++ = column->count == 0;
        if (column->count == 0) {
            return at;
        }
    }
    return put_value(at, column, column->count == 0 ? &nothing : &table->items[column->last - 1]);
}

size_t row_table_bytes_max(const struct row_table *table, const struct row_source *source)
{
    return (size_t)COLUMN_BYTES_MAX * table->columns_count +
           (table->has_word_lists ? COLUMN_BYTES_MAX : NUMBER_BYTES_MAX) * source->row_length +
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

        at = column->field == NULL ? put_text(at, source->record, source->record_length)
                                   : put_column(table, at, column);
    }
    return (size_t)(at - out);
}
