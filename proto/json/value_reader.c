#include "proto/json/value_reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "proto/json/special_form.h"

#define NUMBER_TEXT_MAX 64

static bool is_text(const char *text, size_t length, const char *other)
{
    return strlen(other) == length && memcmp(text, other, length) == 0;
}

/* [-] digits [. digits] [e [+-] digits] */
static bool is_number(const char *text, size_t length)
{
    const char *at = text;
    const char *end = text + length;
    at += at < end && *at == '-';
    const char *digits = at;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
    }
    if (at == digits) {
        return false;
    }
    if (at < end && *at == '.') {
        digits = ++at;
        for (; at < end && *at >= '0' && *at <= '9'; at++) {
        }
        if (at == digits) {
            return false;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        digits = at;
        for (; at < end && *at >= '0' && *at <= '9'; at++) {
        }
        if (at == digits) {
            return false;
        }
    }
    return at == end;
}

static bool read_double(const char *text, size_t length, bool is_string, double *value)
{
    if (is_string && is_text(text, length, "NaN")) {
        *value = (double)NAN;
        return true;
    }
    if (is_string && (is_text(text, length, "Infinity") || is_text(text, length, "-Infinity"))) {
        *value = text[0] == '-' ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    char copy[NUMBER_TEXT_MAX];
    if (length >= sizeof copy || !is_number(text, length)) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    *value = strtod(copy, NULL);
    return isfinite(*value) != 0;
}

/* Whole numbers, also as "1e3" or "4.0". The sign comes apart, so that all 64 bits fit. */
static bool read_whole(const char *text, size_t length, bool *is_negative, uint64_t *magnitude)
{
    *is_negative = length > 0 && text[0] == '-';
    uint64_t value = 0;
    size_t i = *is_negative;
    for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value)) {
            return false;
        }
    }
    if (i == length && length > *is_negative) {
        *magnitude = value;
        return true;
    }
    double number;
    if (!read_double(text, length, false, &number) || floor(number) != number ||
        fabs(number) > 9007199254740992.0) { /* 2^53: beyond, doubles have holes */
        return false;
    }
    *magnitude = (uint64_t)fabs(number);
    return true;
}

static bool write_signed(struct wire_writer *out, const struct json_field *field, const char *text,
                         size_t length)
{
    const bool is_64 =
        field->type == TYPE_INT64 || field->type == TYPE_SINT64 || field->type == TYPE_SFIXED64;
    const uint64_t max = is_64 ? (uint64_t)INT64_MAX : (uint64_t)INT32_MAX;
    bool is_negative;
    uint64_t magnitude;
    if (!read_whole(text, length, &is_negative, &magnitude) || magnitude > max + is_negative) {
        return false;
    }
    const int64_t value = (int64_t)(is_negative ? 0 - magnitude : magnitude);
    switch (field->type) {
    case TYPE_SINT32:
    case TYPE_SINT64:
        wire_write_zigzag(out, field->number, value);
        break;
    case TYPE_SFIXED32:
        wire_write_fixed32(out, field->number, (uint32_t)value);
        break;
    case TYPE_SFIXED64:
        wire_write_fixed64(out, field->number, (uint64_t)value);
        break;
    default:
        wire_write_int(out, field->number, value);
        break;
    }
    return true;
}

static bool write_unsigned(struct wire_writer *out, const struct json_field *field,
                           const char *text, size_t length)
{
    const bool is_64 = field->type == TYPE_UINT64 || field->type == TYPE_FIXED64;
    bool is_negative;
    uint64_t value;
    if (!read_whole(text, length, &is_negative, &value) || (is_negative && value != 0) ||
        value > (is_64 ? UINT64_MAX : UINT32_MAX)) {
        return false;
    }
    if (field->type == TYPE_FIXED32) {
        wire_write_fixed32(out, field->number, (uint32_t)value);
    } else if (field->type == TYPE_FIXED64) {
        wire_write_fixed64(out, field->number, value);
    } else {
        wire_write_varint(out, field->number, value);
    }
    return true;
}

static bool write_bool(struct wire_writer *out, const struct json_field *field, const char *text,
                       size_t length)
{
    const bool is_true = is_text(text, length, "true");
    if (!is_true && !is_text(text, length, "false")) {
        return false;
    }
    wire_write_bool(out, field->number, is_true);
    return true;
}

static bool write_enum(struct wire_writer *out, const struct json_field *field, const char *text,
                       size_t length)
{
    const struct json_enum_value *value = enum_value_named(field->enumeration, text, length);
    if (value != NULL) {
        wire_write_int(out, field->number, value->number);
        return true;
    }
    bool is_negative;
    uint64_t magnitude;
    if (!read_whole(text, length, &is_negative, &magnitude) || magnitude > INT32_MAX) {
        return false;
    }
    wire_write_int(out, field->number, is_negative ? -(int64_t)magnitude : (int64_t)magnitude);
    return true;
}

static bool write_string(struct wire_writer *out, const struct json_field *field, const char *text,
                         size_t length)
{
    for (size_t i = 0; i < length;) {
        uint32_t code;
        const unsigned bytes = utf8_read((const uint8_t *)text + i, length - i, &code);
        if (bytes == 0) {
            return false;
        }
        i += bytes;
    }
    wire_write_bytes(out, field->number, text, length);
    return true;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Both alphabets, padding or not (RFC 4648 sections 4 and 5). */
static bool write_base64(struct wire_writer *out, const struct json_field *field, const char *text,
                         size_t length)
{
    const size_t padded = length;
    while (length > 0 && text[length - 1] == '=' && padded - length < 2) {
        length--;
    }
    if (length % 4 == 1 || (padded != length && padded % 4 != 0)) {
        return false;
    }
    const struct wire_mark mark = wire_begin(out, field->number, 1);
    uint32_t bits = 0;
    for (size_t i = 0; i < length; i++) {
        const int value = base64_value(text[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 != 0) {
            const uint8_t byte = (uint8_t)(bits >> (6 - 2 * (i % 4)));
            wire_write_raw(out, &byte, 1);
        }
    }
    wire_end(out, mark);
    return true;
}

bool value_write(struct wire_writer *out, const struct json_field *field, const char *text,
                 size_t length, bool is_string)
{
    double number;
    switch (field->type) {
    case TYPE_STRING:
        return is_string && write_string(out, field, text, length);
    case TYPE_BYTES:
        return is_string && write_base64(out, field, text, length);
    case TYPE_BOOL:
        return write_bool(out, field, text, length);
    case TYPE_ENUM:
        return write_enum(out, field, text, length);
    case TYPE_DOUBLE:
        if (!read_double(text, length, is_string, &number)) {
            return false;
        }
        wire_write_double(out, field->number, number);
        return true;
    case TYPE_FLOAT:
        if (!read_double(text, length, is_string, &number) ||
            (isfinite(number) && fabs(number) > 3.4028234663852886e38)) {
            return false;
        }
        wire_write_float(out, field->number, (float)number);
        return true;
    case TYPE_UINT32:
    case TYPE_UINT64:
    case TYPE_FIXED32:
    case TYPE_FIXED64:
        return write_unsigned(out, field, text, length);
    case TYPE_MESSAGE:
    case TYPE_GROUP:
        return false;
    default:
        return write_signed(out, field, text, length);
    }
}

static void write_mask_path(struct wire_writer *out, const char *path, size_t length)
{
    const struct wire_mark mark = wire_begin(out, 1, 1);
    for (size_t i = 0; i < length; i++) { /* startTime -> start_time */
        if (path[i] >= 'A' && path[i] <= 'Z') {
            const char lower[2] = {'_', (char)(path[i] - 'A' + 'a')};
            wire_write_raw(out, lower, sizeof lower);
        } else {
            wire_write_raw(out, path + i, 1);
        }
    }
    wire_end(out, mark);
}

bool value_write_special(struct wire_writer *out, const struct json_field *field, const char *text,
                         size_t length)
{
    const struct wire_mark mark = wire_begin(out, field->number, 1);
    if (field->message->form == FORM_FIELD_MASK) {
        const char *end = text + length;
        while (text < end) {
            const char *comma = memchr(text, ',', (size_t)(end - text));
            const char *path_end = comma == NULL ? end : comma;
            write_mask_path(out, text, (size_t)(path_end - text));
            text = comma == NULL ? end : comma + 1;
        }
    } else {
        int64_t seconds;
        int32_t nanos;
        const bool ok = field->message->form == FORM_TIMESTAMP
                            ? parse_timestamp(text, length, &seconds, &nanos)
                            : parse_duration(text, length, &seconds, &nanos);
        if (!ok) {
            return false;
        }
        if (seconds != 0) {
            wire_write_int(out, 1, seconds);
        }
        if (nanos != 0) {
            wire_write_int(out, 2, nanos);
        }
    }
    wire_end(out, mark);
    return true;
}

static void expected_enum(const struct json_enum *enumeration, char *out)
{
    int length = snprintf(out, VALUE_EXPECTED_BYTES, "one of");
    for (uint32_t i = 0; i < enumeration->values_count; i++) {
        const int room = VALUE_EXPECTED_BYTES - length;
        const int more = snprintf(out + length, (size_t)room, "%s %s", i == 0 ? "" : ",",
                                  enumeration->values[i].name);
        if (more >= room) { /* too many to list */
            (void)snprintf(out, VALUE_EXPECTED_BYTES, "a value of %s, as %s",
                           enumeration->full_name,
                           enumeration->values[enumeration->values_count - 1].name);
            return;
        }
        length += more;
    }
}

void value_expected(const struct json_field *field, char out[VALUE_EXPECTED_BYTES])
{
    static const char *const texts[] = {
        [TYPE_DOUBLE] = "a number",
        [TYPE_FLOAT] = "a number",
        [TYPE_INT64] = "a whole number of 64 bits",
        [TYPE_UINT64] = "a whole number from 0 to 18446744073709551615",
        [TYPE_INT32] = "a whole number of 32 bits",
        [TYPE_FIXED64] = "a whole number from 0 to 18446744073709551615",
        [TYPE_FIXED32] = "a whole number from 0 to 4294967295",
        [TYPE_BOOL] = "true or false",
        [TYPE_STRING] = "a text",
        [TYPE_BYTES] = "base64 text",
        [TYPE_UINT32] = "a whole number from 0 to 4294967295",
        [TYPE_SFIXED32] = "a whole number of 32 bits",
        [TYPE_SFIXED64] = "a whole number of 64 bits",
        [TYPE_SINT32] = "a whole number of 32 bits",
        [TYPE_SINT64] = "a whole number of 64 bits",
    };
    static const char *const forms[] = {
        [FORM_PLAIN] = "an object",
        [FORM_TIMESTAMP] = "a time like \"2024-01-31T12:00:00Z\"",
        [FORM_DURATION] = "a duration like \"1.5s\"",
        [FORM_FIELD_MASK] = "field names like \"start_time,app\"",
    };
    if (field->type == TYPE_ENUM) {
        expected_enum(field->enumeration, out);
        return;
    }
    const char *text =
        field->type == TYPE_MESSAGE ? forms[field->message->form] : texts[field->type];
    (void)snprintf(out, VALUE_EXPECTED_BYTES, "%s", text == NULL ? "something else" : text);
}
