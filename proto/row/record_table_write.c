/* A record as a row of RowBinary, column by column, each by its way through the messages. */
#include <string.h>

#include "base/address.h"
#include "proto/row/record_table_private.h"

#define NS_IN_SECOND UINT64_C(1000000000)

struct output {
    uint8_t *at;
    const uint8_t *end;
    bool is_short, is_malformed;
};

/* Bytes of a message; none: it is not there. */
struct part {
    const uint8_t *bytes;
    size_t length;
};

static bool has_room(struct output *out, size_t bytes)
{
    out->is_short |= (size_t)(out->end - out->at) < bytes;
    return !out->is_short;
}

static void put_count(struct output *out, uint64_t count)
{
    if (has_room(out, WIRE_VARINT_BYTES_MAX)) {
        out->at = wire_put_varint(out->at, count);
    }
}

/* ---- values ---- */

/* Timestamp and Duration: seconds = 1, nanos = 2. */
static uint64_t nanoseconds(const struct wire_field *message)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    uint64_t ns = 0;

    while (wire_next(&r, &f)) {
        ns += f.number == 1 ? f.value * NS_IN_SECOND : f.number == 2 ? f.value : 0;
    }
    return ns;
}

/* IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2). False: it is no address. */
static bool read_address(const struct wire_field *text, uint8_t out[16])
{
    struct ip_address address;

    if (!address_parse((const char *)text->bytes, text->length, &address)) {
        return false;
    }
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    if (address.version == 4) {
        memcpy(out + 12, address.bytes, 4);
    } else {
        memcpy(out, address.bytes, 16);
    }
    return true;
}

/* NULL: it is not there. */
static void put_value(struct output *out, const struct row_column *leaf, const struct wire_field *f)
{
    struct row_item item = {0};
    uint8_t address[16];

    if (f != NULL) {
        item = (struct row_item){.value = f->value, .bytes = f->bytes, .length = f->length};
    }
    if (f != NULL && leaf->type.kind == ROW_IPV6) {
        item.length = read_address(f, address) ? sizeof(address) : 0;
        item.bytes = address;
    } else if (f != NULL && leaf->field->type == TYPE_MESSAGE) {
        item.value = nanoseconds(f);
    }
    if (has_room(out, ROW_VALUE_BYTES_MAX + item.length)) {
        out->at = row_put_value(out->at, leaf, &item);
    }
}

/* Numbers of one packed field: how many; written where `out` is not NULL. */
static uint64_t each_packed(struct output *out, const struct row_column *leaf,
                            const struct wire_field *packed, bool *is_malformed)
{
    struct wire_reader r = wire_reader_over(packed->bytes, packed->length);
    uint64_t count = 0;

    while (r.ok && !wire_at_end(&r)) {
        struct wire_field one = {0};

        if (leaf->field->wire_type == WIRE_VARINT) {
            one.value = wire_read_varint(&r);
        } else if (leaf->field->wire_type == WIRE_FIXED64) {
            one.value = wire_read_fixed64(&r);
        } else {
            one.value = wire_read_fixed32(&r);
        }
        count += r.ok;
        if (out != NULL && r.ok) {
            put_value(out, leaf, &one);
        }
    }
    *is_malformed |= !r.ok;
    return count;
}

/* ---- the way ---- */

static void put_way(struct output *out, const struct record_column *column, uint32_t level,
                    const struct part *message);

static bool is_packed(const struct json_field *field, const struct wire_field *f)
{
    return f->type == WIRE_BYTES && field->is_repeated && type_is_packable(field->type);
}

/* All of a repeated field: counted, then written. */
static uint64_t each_element(struct output *out, const struct record_column *column, uint32_t level,
                             const struct part *message, bool *is_malformed)
{
    const struct json_field *field = column->way[level];
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    uint64_t count = 0;

    while (wire_next(&r, &f)) {
        if (f.number != field->number) {
            continue;
        }
        if (is_packed(field, &f)) {
            count += each_packed(out, &column->leaf, &f, is_malformed);
        } else if (f.type == field->wire_type) {
            count++;
            if (out != NULL && level + 1 == column->depth) {
                put_value(out, &column->leaf, &f);
            } else if (out != NULL) {
                put_way(out, column, level + 1, &(struct part){f.bytes, f.length});
            }
        }
    }
    *is_malformed |= !r.ok;
    return count;
}

/* The last one counts. False: there is none. */
static bool find_last(const struct part *message, const struct json_field *field,
                      struct wire_field *out, bool *is_malformed)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool is_there = false;

    while (wire_next(&r, &f)) {
        if (f.number == field->number && f.type == field->wire_type) {
            *out = f;
            is_there = true;
        }
    }
    *is_malformed |= !r.ok;
    return is_there;
}

static void put_way(struct output *out, const struct record_column *column, uint32_t level,
                    const struct part *message)
{
    const struct json_field *field = column->way[level];
    struct wire_field f = {0};

    if (field->is_repeated) {
        put_count(out, each_element(NULL, column, level, message, &out->is_malformed));
        (void)each_element(out, column, level, message, &out->is_malformed);
        return;
    }
    const bool is_there = find_last(message, field, &f, &out->is_malformed);

    if (level + 1 < column->depth) {
        put_way(out, column, level + 1, &(struct part){f.bytes, is_there ? f.length : 0});
        return;
    }
    if (column->leaf.type.is_nullable && has_room(out, 1)) {
        *out->at++ = !is_there;
    }
    if (is_there || !column->leaf.type.is_nullable) {
        put_value(out, &column->leaf, is_there ? &f : NULL);
    }
}

enum record_table_result record_table_write(const struct record_table *table, const uint8_t *record,
                                            size_t own_length, size_t length, uint8_t *out,
                                            size_t capacity, size_t *written)
{
    struct output output = {.at = out, .end = out + capacity};
    const struct part whole = {record, length};

    for (uint32_t i = 0; i < table->columns_count && !output.is_short; i++) {
        const struct record_column *column = &table->columns[i];

        if (column->leaf.field != NULL) {
            put_way(&output, column, 0, &whole);
        } else if (has_room(&output, WIRE_VARINT_BYTES_MAX + own_length)) {
            output.at = row_put_text(output.at, record, own_length);
        }
    }
    *written = (size_t)(output.at - out);
    return output.is_malformed ? RECORD_TABLE_MALFORMED
           : output.is_short   ? RECORD_TABLE_SHORT
                               : RECORD_TABLE_WRITTEN;
}
