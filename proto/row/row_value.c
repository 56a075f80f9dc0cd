/* One value in RowBinary: little endian, texts behind their length. */
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "proto/row/row_table_private.h"

#define HEX_DIGITS 16

static uint8_t *put_number(uint8_t *at, uint64_t value, uint8_t bytes)
{
    for (uint8_t i = 0; i < bytes; i++) {
        *at++ = (uint8_t)(value >> (8 * i));
    }
    return at;
}

uint8_t *row_put_text(uint8_t *at, const void *bytes, size_t length)
{
    at = wire_put_varint(at, length);
    if (length > 0) {
        memcpy(at, bytes, length);
    }
    return at + length;
}

static uint8_t *put_word(uint8_t *at, const struct row_column *column, uint64_t value)
{
    char word[ROW_VALUE_BYTES_MAX - 1];
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
    return row_put_text(at, word, length);
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
    const bool is_signed = is_zigzag || from == TYPE_INT32 || from == TYPE_INT64 ||
                           from == TYPE_MESSAGE; /* a Duration, in nanoseconds */
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

static uint8_t *put_float(uint8_t *at, const struct row_column *column, uint64_t value)
{
    const double number = column->field->type == TYPE_DOUBLE ? wire_double(value)
                                                             : (double)wire_float((uint32_t)value);

    if (column->type.bytes == 8) {
        memcpy(at, &number, sizeof(number));
        return at + sizeof(number);
    }
    const float less = (float)number;

    memcpy(at, &less, sizeof(less));
    return at + sizeof(less);
}

uint8_t *row_put_value(uint8_t *at, const struct row_column *column, const struct row_item *item)
{
    static const uint8_t nowhere[16];

    switch (column->type.kind) {
    case ROW_STRING:
        return column->is_word ? put_word(at, column, item->value)
                               : row_put_text(at, item->bytes, item->length);
    case ROW_IPV6:
        memcpy(at, item->length == sizeof(nowhere) ? item->bytes : nowhere, sizeof(nowhere));
        return at + sizeof(nowhere);
    case ROW_TIME: {
        const uint64_t seconds = item->value / UINT64_C(1000000000);

        return put_number(at, seconds > UINT32_MAX ? UINT32_MAX : seconds, column->type.bytes);
    }
    case ROW_TIME_64:
        return put_number(at, item->value / column->type.tick_ns, column->type.bytes);
    case ROW_FLOAT:
        return put_float(at, column, item->value);
    case ROW_BOOL:
        return put_number(at, item->value != 0, column->type.bytes);
    default:
        return put_integer(at, column, item);
    }
}
