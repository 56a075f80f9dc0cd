/* Wire bytes -> JSON: one pass notes where each field lies, then they are written by number. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json/descriptor_index.h"
#include "proto/json/special_form.h"
#include "proto/json/transcoder.h"

#define MAP_DEDUPLICATED_MAX 256

/* Where a field was found. */
struct slot {
    const uint8_t *first; /* the tag of the first that counts */
    const uint8_t *bytes; /* of the last, if WIRE_BYTES */
    uint64_t value;       /* of the last; WIRE_BYTES: its length */
    uint32_t count;
};

#define FOUND_WORDS ((JSON_FIELDS_MAX + 63) / 64)

/* The fields of one message: the slots of those whose bit is set. */
struct found {
    uint64_t bits[FOUND_WORDS];
    struct slot slots[JSON_FIELDS_MAX];
};

static bool write_message(const struct json_message *message, struct wire_reader r,
                          struct json_writer *out, unsigned depth);

static void write_float(struct json_writer *out, double value)
{
    if (isfinite(value)) {
        json_double(out, value);
    } else {
        json_text(out, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    }
}

/* 64-bit numbers are strings, since JavaScript's numbers are doubles. */
static void write_i64_text(struct json_writer *out, int64_t value)
{
    if (value >= 0) {
        json_u64_text(out, (uint64_t)value);
        return;
    }
    char text[24];
    struct json_writer inner;
    json_init(&inner, text + 1, sizeof text - 2);
    json_i64(&inner, value);
    text[0] = '"';
    text[inner.length + 1] = '"';
    json_raw(out, text, inner.length + 2);
}

static void write_float32(struct json_writer *out, float value)
{
    char text[32];
    if (!isfinite(value)) {
        write_float(out, (double)value);
        return;
    }
    const int length = shortest_float(value, text, sizeof text);
    json_raw(out, text, (size_t)length);
}

static void write_enum(struct json_writer *out, const struct json_enum *enumeration, int32_t number)
{
    const struct json_enum_value *value = enum_value_numbered(enumeration, number);
    if (value != NULL) {
        json_raw(out, value->quoted, value->quoted_length);
    } else {
        json_i64(out, number); /* of a later version */
    }
}

static bool write_value(const struct json_field *field, const uint8_t *bytes, uint64_t value,
                        struct json_writer *out, unsigned depth)
{
    switch (field->type) {
    case TYPE_DOUBLE:
        write_float(out, wire_double(value));
        break;
    case TYPE_FLOAT:
        write_float32(out, wire_float((uint32_t)value));
        break;
    case TYPE_INT64:
    case TYPE_SFIXED64:
        write_i64_text(out, (int64_t)value);
        break;
    case TYPE_UINT64:
    case TYPE_FIXED64:
        json_u64_text(out, value);
        break;
    case TYPE_INT32:
    case TYPE_SFIXED32:
        json_i64(out, (int32_t)(uint32_t)value);
        break;
    case TYPE_UINT32:
    case TYPE_FIXED32:
        json_u64(out, (uint32_t)value);
        break;
    case TYPE_SINT32:
        json_i64(out, (int32_t)wire_unzigzag((uint32_t)value));
        break;
    case TYPE_SINT64:
        write_i64_text(out, wire_unzigzag(value));
        break;
    case TYPE_BOOL:
        json_bool(out, value != 0);
        break;
    case TYPE_ENUM:
        write_enum(out, field->enumeration, (int32_t)(uint32_t)value);
        break;
    case TYPE_STRING:
        json_text_bytes(out, bytes, (size_t)value);
        break;
    case TYPE_BYTES:
        json_base64(out, bytes, (size_t)value);
        break;
    case TYPE_MESSAGE:
        return write_message(field->message, wire_reader_over(bytes, (size_t)value), out,
                             depth + 1);
    default: /* groups do not exist in proto3 */
        return false;
    }
    return true;
}

static uint64_t value_of(const struct wire_field *f)
{
    return f->type == WIRE_BYTES ? f->length : f->value;
}

static bool write_packed(const struct json_field *field, const struct wire_field *packed,
                         struct json_writer *out)
{
    struct wire_reader r = wire_reader_over(packed->bytes, packed->length);
    while (!wire_at_end(&r)) {
        const uint64_t value = field->wire_type == WIRE_VARINT    ? wire_read_varint(&r)
                               : field->wire_type == WIRE_FIXED64 ? wire_read_fixed64(&r)
                                                                  : wire_read_fixed32(&r);
        if (!r.ok || !write_value(field, NULL, value, out, 0)) {
            return false;
        }
    }
    return true;
}

/* `r` begins at the first of them. */
static bool write_repeated(const struct json_field *field, struct wire_reader r, uint32_t count,
                           struct json_writer *out, unsigned depth)
{
    struct wire_field f;
    json_array_begin(out);
    while (count > 0 && wire_next(&r, &f)) {
        if (f.number != field->number) {
            continue;
        }
        bool ok = true;
        if (f.type == field->wire_type) {
            ok = write_value(field, f.bytes, value_of(&f), out, depth);
            count--;
        } else if (f.type == WIRE_BYTES && type_is_packable(field->type)) {
            ok = write_packed(field, &f, out);
            count--;
        }
        if (!ok || out->overflow) {
            return ok; /* a full buffer is told by the writer */
        }
    }
    json_array_end(out);
    return true;
}

struct map_entry {
    struct slot key, value;
};

static bool read_map_entry(const struct json_message *entry, const struct wire_field *field,
                           struct map_entry *out)
{
    *out = (struct map_entry){.key.bytes = (const uint8_t *)"", .value.bytes = (const uint8_t *)""};
    struct wire_reader r = wire_reader_over(field->bytes, field->length);
    struct wire_field f;
    while (wire_next(&r, &f)) {
        if ((f.number == 1 || f.number == 2) && f.type == entry->fields[f.number - 1].wire_type) {
            *(f.number == 1 ? &out->key : &out->value) =
                (struct slot){.bytes = f.bytes, .value = value_of(&f), .count = 1};
        }
    }
    return r.ok;
}

static bool is_same_key(const struct json_field *key, const struct slot *a, const struct slot *b)
{
    return a->value == b->value &&
           (key->wire_type != WIRE_BYTES || memcmp(a->bytes, b->bytes, (size_t)a->value) == 0);
}

/* A later entry with the same key wins. */
static bool is_overridden(const struct json_field *field, struct wire_reader r,
                          const struct map_entry *entry)
{
    struct wire_field f;
    struct map_entry other;
    while (wire_next(&r, &f)) {
        if (f.number == field->number && f.type == WIRE_BYTES &&
            read_map_entry(field->message, &f, &other) &&
            is_same_key(&field->message->fields[0], &entry->key, &other.key)) {
            return true;
        }
    }
    return false;
}

static void write_map_key(const struct json_field *key, const struct slot *slot,
                          struct json_writer *out)
{
    if (key->type == TYPE_STRING) {
        json_key_bytes(out, slot->bytes, (size_t)slot->value);
        return;
    }
    char text[40]; /* a number or a bool: as text */
    struct json_writer inner;
    json_init(&inner, text, sizeof text);
    (void)write_value(key, slot->bytes, slot->value, &inner, 0);
    const bool is_quoted = inner.length > 0 && text[0] == '"';
    json_key_bytes(out, text + is_quoted, inner.length - (is_quoted ? 2 : 0));
}

static bool write_map(const struct json_field *field, struct wire_reader r, uint32_t count,
                      struct json_writer *out, unsigned depth)
{
    const bool is_deduplicated = count <= MAP_DEDUPLICATED_MAX;
    struct wire_field f;
    struct map_entry entry;
    json_object_begin(out);
    while (wire_next(&r, &f)) {
        if (f.number != field->number || f.type != WIRE_BYTES) {
            continue;
        }
        if (!read_map_entry(field->message, &f, &entry)) {
            return false;
        }
        if (is_deduplicated && is_overridden(field, r, &entry)) {
            continue;
        }
        write_map_key(&field->message->fields[0], &entry.key, out);
        if (!write_value(&field->message->fields[1], entry.value.bytes, entry.value.value, out,
                         depth)) {
            return false;
        }
    }
    json_object_end(out);
    return true;
}

/* A sub-message in several pieces is what their bytes in a row say (protobuf.dev, "Last One
 * Wins"). */
static bool write_pieces(const struct json_field *field, struct wire_reader r,
                         struct json_writer *out, unsigned depth)
{
    uint8_t *whole = malloc(wire_left(&r) + 1);
    if (whole == NULL) {
        return false;
    }
    size_t length = 0;
    struct wire_field f;
    while (wire_next(&r, &f)) {
        if (f.number == field->number && f.type == WIRE_BYTES && f.length > 0) {
            memcpy(whole + length, f.bytes, f.length);
            length += f.length;
        }
    }
    const bool ok =
        r.ok && write_message(field->message, wire_reader_over(whole, length), out, depth + 1);
    free(whole);
    return ok;
}

static bool is_found(const struct found *found, size_t index)
{
    return (found->bits[index / 64] >> index % 64 & 1) != 0;
}

/* Notes where the fields lie. False: no protobuf. */
static bool find_fields(const struct json_message *message, struct wire_reader *r,
                        struct found *found)
{
    uint32_t oneof_last[JSON_FIELDS_MAX + 1]; /* by oneof: index + 1 of the member met last */
    memset(oneof_last, 0, (message->oneofs_count + 1U) * sizeof oneof_last[0]);
    memset(found->bits, 0, sizeof found->bits);
    struct wire_field f;
    for (;;) {
        const uint8_t *tag_at = r->at;
        if (!wire_next(r, &f)) {
            return r->ok;
        }
        const struct json_field *field = message_field(message, f.number);
        if (field == NULL) {
            continue;
        }
        const bool is_packed =
            field->is_repeated && f.type == WIRE_BYTES && type_is_packable(field->type);
        if (f.type != field->wire_type && !is_packed) {
            continue; /* counts as unknown */
        }
        const size_t index = (size_t)(field - message->fields);
        struct slot *slot = &found->slots[index];
        if (field->oneof != 0) { /* the last member wins */
            const uint32_t before = oneof_last[field->oneof];
            if (before != 0 && before != index + 1) {
                found->bits[(before - 1) / 64] &= ~(UINT64_C(1) << (before - 1) % 64);
            }
            oneof_last[field->oneof] = (uint32_t)index + 1;
        }
        if (!is_found(found, index)) {
            found->bits[index / 64] |= UINT64_C(1) << index % 64;
            slot->first = tag_at;
            slot->count = 0;
        }
        slot->count++;
        slot->bytes = f.bytes;
        slot->value = value_of(&f);
    }
}

static bool write_found(const struct json_field *field, const struct slot *slot,
                        struct wire_reader whole, struct json_writer *out, unsigned depth)
{
    struct wire_reader from_first = whole;
    from_first.at = slot->first;
    if (field->is_repeated) {
        return field->is_map ? write_map(field, from_first, slot->count, out, depth)
                             : write_repeated(field, from_first, slot->count, out, depth);
    }
    if (field->type == TYPE_MESSAGE && slot->count > 1) {
        return write_pieces(field, from_first, out, depth);
    }
    return write_value(field, slot->bytes, slot->value, out, depth);
}

static bool write_message(const struct json_message *message, struct wire_reader r,
                          struct json_writer *out, unsigned depth)
{
    if (depth >= JSON_DEPTH_MAX) {
        return false;
    }
    switch (message->form) {
    case FORM_TIMESTAMP:
        return write_timestamp(r, out);
    case FORM_DURATION:
        return write_duration(r, out);
    case FORM_FIELD_MASK:
        return write_field_mask(r, out);
    default:
        break;
    }

    struct found found;
    const struct wire_reader whole = r;
    if (!find_fields(message, &r, &found)) {
        return false;
    }
    json_object_begin(out);
    size_t absent_at = 0; /* those before have been written */
    for (uint32_t i = 0; i < FOUND_WORDS; i++) {
        for (uint64_t bits = found.bits[i]; bits != 0; bits &= bits - 1) {
            const size_t index = 64 * i + (unsigned)__builtin_ctzll(bits);
            const struct json_field *field = &message->fields[index];
            json_members_raw(out, message->absent + absent_at, field->absent_at - absent_at);
            absent_at = field->absent_end;
            json_key_raw(out, field->key, field->key_length);
            if (!write_found(field, &found.slots[index], whole, out, depth)) {
                return false;
            }
            if (out->overflow) {
                return true;
            }
        }
    }
    json_members_raw(out, message->absent + absent_at, message->absent_length - absent_at);
    json_object_end(out);
    return true;
}

bool json_from_wire(const struct json_message *message, const uint8_t *bytes, size_t length,
                    struct json_writer *out)
{
    return write_message(message, wire_reader_over(bytes, length), out, 0);
}
