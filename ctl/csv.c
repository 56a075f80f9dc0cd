#include "ctl/csv.h"

#include <errno.h>
#include <string.h>

#include "base/json_writer.h"
#include "base/wire_format.h"
#include "proto/json/descriptor_index.h"
#include "proto/json/special_form.h"

#define VALUE_BYTES 8192

void csv_begin(struct csv *csv, struct output *out)
{
    *csv = (struct csv){.out = out};
}

/* ---- cells ---- */

/* As it is, or in quotes. */
static void put_cell(struct csv *csv, const char *text, size_t length, bool is_quoted)
{
    output_write(csv->out, ",", csv->cells++ > 0 ? 1 : 0);
    output_write(csv->out, "\"", is_quoted ? 1 : 0);
    for (size_t i = 0; i < length; i++) {
        output_write(csv->out, text + i, 1);
        output_write(csv->out, "\"", text[i] == '"' ? 1 : 0);
    }
    output_write(csv->out, "\"", is_quoted ? 1 : 0);
}

void csv_name(struct csv *csv, const char *name, size_t length)
{
    put_cell(csv, name, length, false);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A spreadsheet would take it for a formula. */
static bool is_formula(struct record_text text)
{
    uint32_t i = 0;

    while (i < text.length && is_blank(text.data[i])) {
        i++;
    }
    return i < text.length && strchr("=+-@", text.data[i]) != NULL && text.data[i] != '\0';
}

void csv_text(struct csv *csv, struct record_text text)
{
    char safe[VALUE_BYTES];
    bool needs_quotes =
        text.length > 0 && (is_blank(text.data[0]) || is_blank(text.data[text.length - 1]));
    size_t length = 0;

    if (is_formula(text)) {
        safe[length++] = '\'';
    }
    for (uint32_t i = 0; i < text.length && length < sizeof(safe); i++) {
        safe[length++] = text.data[i];
        needs_quotes |= strchr(",\"\r\n\t", text.data[i]) != NULL;
    }
    put_cell(csv, safe, length, needs_quotes);
}

void csv_end_line(struct csv *csv)
{
    output_write(csv->out, "\r\n", 2);
    csv->cells = 0;
}

/* ---- which ---- */

static int refuse(const char *given, size_t length, const struct json_message *in, const char *name,
                  size_t name_length, struct error *err)
{
    const struct json_field *near = message_field_near(in, name, name_length);

    return near == NULL
               ? error_set(err, EINVAL, "--columns: there is no field '%.*s' (docs/fields.md)",
                           (int)length, given)
               : error_set(err, EINVAL,
                           "--columns: there is no field '%.*s'; did you mean '%.*s%s'?",
                           (int)length, given, (int)(name - given), given, near->name);
}

static int add_column(struct csv *csv, const struct json_message *message, const char *path,
                      size_t length, struct error *err)
{
    struct csv_column *column = &csv->columns[csv->count];

    if (csv->count == CSV_COLUMNS_MAX) {
        return error_set(err, EINVAL, "--columns: more than %d", CSV_COLUMNS_MAX);
    }
    *column = (struct csv_column){.name = path, .length = length};
    for (const char *at = path, *end = path + length; at < end;) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        const size_t part = (size_t)((dot != NULL ? dot : end) - at);
        const struct json_field *field =
            message == NULL ? NULL : message_field_named(message, at, part);

        if (field == NULL && message != NULL) {
            return refuse(path, length, message, at, part, err);
        }
        const bool is_in_list = column->depth > 0 && column->path[column->depth - 1]->is_repeated;

        if (field == NULL || column->depth == CSV_DEPTH_MAX || field->is_map ||
            (field->is_repeated && field->type != TYPE_STRING && field->type != TYPE_MESSAGE) ||
            (is_in_list && (field->is_repeated || field->type != TYPE_STRING))) {
            return error_set(err, EINVAL, "--columns: '%.*s' is not one value", (int)length, path);
        }
        column->path[column->depth++] = field;
        message = field->type == TYPE_MESSAGE && field->message->form == FORM_PLAIN ? field->message
                                                                                    : NULL;
        at += part + (dot != NULL);
    }
    if (column->depth > 0 && column->path[column->depth - 1]->is_repeated &&
        column->path[column->depth - 1]->type != TYPE_STRING && message == NULL) {
        return error_set(err, EINVAL, "--columns: '%.*s' is not one value", (int)length, path);
    }
    if (column->depth == 0 || message != NULL) {
        return error_set(err, EINVAL, "--columns: '%.*s' is not one value: name a part of it",
                         (int)length, path);
    }
    csv->count++;
    return 0;
}

int csv_columns(struct csv *csv, const char *name, const char *paths, struct error *err)
{
    const struct view none = view_of(name, NULL, 0);
    int result = 0;

    for (const char *at = paths; result == 0 && *at != '\0';) {
        const size_t length = strcspn(at, ",");

        result = add_column(csv, none.message, at, length, err);
        at += length + (at[length] == ',');
    }
    return result;
}

void csv_header(struct csv *csv)
{
    for (unsigned i = 0; i < csv->count; i++) {
        csv_name(csv, csv->columns[i].name, csv->columns[i].length);
    }
    csv_end_line(csv);
}

/* ---- one field ---- */

/* Numbers and names of ours, as JSON has them. */
static void write_value(struct json_writer *w, const struct json_field *field,
                        const struct wire_field *found)
{
    const struct wire_reader inside = wire_reader_over(found->bytes, found->length);
    const struct json_enum_value *value;

    switch (field->type) {
    case TYPE_MESSAGE:
        (void)!(field->message->form == FORM_TIMESTAMP  ? write_timestamp(inside, w)
                : field->message->form == FORM_DURATION ? write_duration(inside, w)
                                                        : write_field_mask(inside, w));
        break;
    case TYPE_DOUBLE:
        json_double(w, wire_double(found->value));
        break;
    case TYPE_BOOL:
        json_bool(w, found->value != 0);
        break;
    case TYPE_ENUM:
        value = enum_value_numbered(field->enumeration, (int32_t)found->value);
        if (value != NULL) {
            json_text(w, value->name);
        } else {
            json_i64(w, (int32_t)found->value);
        }
        break;
    case TYPE_BYTES:
        json_base64(w, found->bytes, found->length);
        break;
    case TYPE_INT32:
    case TYPE_INT64:
        json_i64(w, (int64_t)found->value);
        break;
    default:
        json_u64(w, found->value);
    }
}

static void put_value(struct csv *csv, const struct json_field *field,
                      const struct wire_field *found)
{
    char text[VALUE_BYTES];
    struct json_writer w;

    json_init(&w, text, sizeof(text));
    write_value(&w, field, found);
    const bool is_quoted = w.length >= 2 && text[0] == '"';

    put_cell(csv, text + is_quoted, w.overflow ? 0 : w.length - 2 * (size_t)is_quoted, false);
}

/* All of a list of texts, parted by spaces. */
static void put_list(struct csv *csv, const struct view *in, const struct json_field *field)
{
    struct view_list list = view_list_of(in, field->name);
    struct record_text each;
    char text[VALUE_BYTES];
    uint32_t length = 0;

    while (view_list_text(&list, &each) && length + each.length + 1 < sizeof(text)) {
        if (length > 0) {
            text[length++] = ' ';
        }
        memcpy(text + length, each.data, each.length);
        length += each.length;
    }
    csv_text(csv, (struct record_text){text, length});
}

/* Of each message of a list one text, parted by spaces. */
static void put_part(struct csv *csv, const struct view *in, const struct json_field *outer,
                     const struct json_field *field)
{
    struct view_list list = view_list_of(in, outer->name);
    struct view each;
    char text[VALUE_BYTES];
    uint32_t length = 0;

    while (view_list_next(&list, &each)) {
        const struct record_text part = view_text(&each, field->name);

        if (length + part.length + 1 >= sizeof(text)) {
            break;
        }
        if (length > 0) {
            text[length++] = ' ';
        }
        memcpy(text + length, part.data, part.length);
        length += part.length;
    }
    csv_text(csv, (struct record_text){text, length});
}

static void put_field(struct csv *csv, const struct csv_column *column, struct view in)
{
    struct wire_field found;
    const struct json_field *field = column->path[column->depth - 1];

    for (unsigned i = 0; i + 1 < column->depth; i++) {
        if (column->path[i]->is_repeated) {
            put_part(csv, &in, column->path[i], field);
            return;
        }
        if (!view_has(&in, column->path[i]->name)) {
            csv_name(csv, "", 0);
            return;
        }
        in = view_message(&in, column->path[i]->name);
    }
    if (field->is_repeated) {
        put_list(csv, &in, field);
    } else if (field->type == TYPE_STRING) {
        csv_text(csv, view_text(&in, field->name));
    } else if (view_field(&in, field, &found)) {
        put_value(csv, field, &found);
    } else if (field->has_presence) {
        csv_name(csv, "", 0);
    } else {
        put_value(csv, field, &(struct wire_field){0});
    }
}

void csv_fields(struct csv *csv, const struct view *record)
{
    for (unsigned i = 0; i < csv->count; i++) {
        put_field(csv, &csv->columns[i], *record);
    }
}
