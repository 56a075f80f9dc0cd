/* JSON -> wire bytes: one pass over the text (RFC 8259), fields written as they come. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/json/descriptor_index.h"
#include "proto/json/text_reader.h"
#include "proto/json/transcoder.h"
#include "proto/json/value_reader.h"

struct parse {
    struct text_reader text;
    struct wire_writer out;
};

static bool read_message(struct parse *p, const struct json_message *message, unsigned depth);

/* Fails at `at`, which becomes "line 1 column 9: ". */
static bool fail(struct parse *p, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail(struct parse *p, const char *at, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return text_fail(&p->text, at, message);
}

/* Long texts are shown in part. */
static int shown_length(size_t length)
{
    return (int)(length < 80 ? length : 80);
}

/* The text of a scalar: a string's content, or a bare word ("12", "true"). */
struct scalar {
    const char *at; /* where it stands */
    const char *text;
    size_t length;
    bool is_string;
};

static bool read_scalar(struct parse *p, const struct json_field *field, struct scalar *out)
{
    out->at = text_next(&p->text);
    if (text_peek(&p->text) == '"') {
        out->is_string = true;
        return text_string(&p->text, &out->text, &out->length);
    }
    out->is_string = false;
    out->text = out->at;
    out->length = text_word(&p->text);
    return out->length > 0 || fail(p, out->at, "expected a value for '%s'", field->name);
}

static bool fail_value(struct parse *p, const struct json_field *field, const struct scalar *s)
{
    char expected[VALUE_EXPECTED_BYTES];
    value_expected(field, expected);
    return fail(p, s->at, "field '%s' needs %s, not '%.*s'", field->name, expected,
                shown_length(s->length), s->text);
}

static bool read_special(struct parse *p, const struct json_field *field)
{
    struct scalar s;
    if (!read_scalar(p, field, &s)) {
        return false;
    }
    return (s.is_string && value_write_special(&p->out, field, s.text, s.length)) ||
           fail_value(p, field, &s);
}

/* One value of `field`, with its tag. */
static bool read_value(struct parse *p, const struct json_field *field, unsigned depth)
{
    if (field->type == TYPE_MESSAGE && field->message->form == FORM_PLAIN) {
        const struct wire_mark mark = wire_begin(&p->out, field->number, 1);
        if (!read_message(p, field->message, depth + 1)) {
            return false;
        }
        wire_end(&p->out, mark);
        return true;
    }
    if (field->type == TYPE_MESSAGE) {
        return read_special(p, field);
    }
    struct scalar s;
    if (!read_scalar(p, field, &s)) {
        return false;
    }
    return value_write(&p->out, field, s.text, s.length, s.is_string) || fail_value(p, field, &s);
}

static bool read_list(struct parse *p, const struct json_field *field, unsigned depth)
{
    if (!text_take(&p->text, '[')) {
        return fail(p, text_next(&p->text), "field '%s' is a list: expected '['", field->name);
    }
    if (text_take(&p->text, ']')) {
        return true;
    }
    do {
        if (!read_value(p, field, depth)) {
            return false;
        }
    } while (text_take(&p->text, ','));
    return text_take(&p->text, ']') ||
           fail(p, text_next(&p->text), "expected ',' or ']' in the list '%s'", field->name);
}

static bool read_key(struct parse *p, const char **at, const char **key, size_t *length)
{
    *at = text_next(&p->text);
    if (text_peek(&p->text) != '"') {
        return fail(p, *at, "expected a field name in quotes");
    }
    if (!text_string(&p->text, key, length)) {
        return false;
    }
    return text_take(&p->text, ':') || fail(p, text_next(&p->text), "expected ':'");
}

static bool read_map(struct parse *p, const struct json_field *field, unsigned depth)
{
    if (!text_take(&p->text, '{')) {
        return fail(p, text_next(&p->text), "field '%s' is a map: expected '{'", field->name);
    }
    if (text_take(&p->text, '}')) {
        return true;
    }
    const struct json_field *key_field = &field->message->fields[0];
    const struct json_field *value_field = &field->message->fields[1];
    do {
        const char *at = NULL;
        const char *key = NULL;
        size_t length = 0;
        if (!read_key(p, &at, &key, &length)) {
            return false;
        }
        const struct wire_mark mark = wire_begin(&p->out, field->number, 1);
        if (!value_write(&p->out, key_field, key, length, true)) {
            return fail(p, at, "'%.*s' is no key of the map '%s'", shown_length(length), key,
                        field->name);
        }
        if (!read_value(p, value_field, depth)) {
            return false;
        }
        wire_end(&p->out, mark);
    } while (text_take(&p->text, ','));
    return text_take(&p->text, '}') ||
           fail(p, text_next(&p->text), "expected ',' or '}' in the map '%s'", field->name);
}

static bool fail_unknown(struct parse *p, const struct json_message *message, const char *at,
                         const char *key, size_t length)
{
    const struct json_field *near = message_field_near(message, key, length);
    const int shown = shown_length(length);
    if (near == NULL) {
        return fail(p, at, "unknown field '%.*s' of %s", shown, key, message->full_name);
    }
    return fail(p, at, "unknown field '%.*s' of %s; did you mean '%s'?", shown, key,
                message->full_name, near->name);
}

/* Which fields have been met: a name twice, or two members of one oneof, is a mistake. */
struct met {
    uint64_t fields;
    uint64_t oneofs;
};

static bool read_field(struct parse *p, const struct json_message *message, struct met *met,
                       unsigned depth)
{
    const char *at = NULL;
    const char *key = NULL;
    size_t length = 0;
    if (!read_key(p, &at, &key, &length)) {
        return false;
    }
    const struct json_field *field = message_field_named(message, key, length);
    if (field == NULL) {
        return fail_unknown(p, message, at, key, length);
    }
    const uint64_t field_bit = UINT64_C(1) << (field - message->fields);
    if ((met->fields & field_bit) != 0) {
        return fail(p, at, "field '%s' is there twice", field->name);
    }
    met->fields |= field_bit;
    if (text_take_word(&p->text, "null")) {
        return true; /* the same as absent */
    }
    if (field->oneof != 0) {
        const uint64_t oneof_bit = UINT64_C(1) << field->oneof;
        if ((met->oneofs & oneof_bit) != 0) {
            return fail(p, at, "field '%s' excludes another one that is there", field->name);
        }
        met->oneofs |= oneof_bit;
    }
    if (field->is_map) {
        return read_map(p, field, depth);
    }
    return field->is_repeated ? read_list(p, field, depth) : read_value(p, field, depth);
}

static bool read_message(struct parse *p, const struct json_message *message, unsigned depth)
{
    if (depth >= JSON_DEPTH_MAX) {
        return fail(p, text_next(&p->text), "nested deeper than %d", JSON_DEPTH_MAX);
    }
    if (!text_take(&p->text, '{')) {
        return fail(p, text_next(&p->text), "expected '{' (a %s)", message->full_name);
    }
    if (text_take(&p->text, '}')) {
        return true;
    }
    struct met met = {0};
    do {
        if (!read_field(p, message, &met, depth)) {
            return false;
        }
    } while (text_take(&p->text, ','));
    return text_take(&p->text, '}') ||
           fail(p, text_next(&p->text), "expected ',' or '}' in %s", message->full_name);
}

size_t json_to_wire(const struct json_message *message, const char *text, size_t text_length,
                    uint8_t *out, size_t capacity, struct error *err)
{
    error_clear(err);
    struct parse p = {.out = wire_writer_over(out, capacity)};
    if (!text_reader_init(&p.text, text, text_length, err)) {
        return 0;
    }
    bool ok = read_message(&p, message, 0);
    if (ok && text_next(&p.text) != p.text.end) {
        ok = fail(&p, p.text.at, "expected nothing behind the object");
    }
    if (ok && !p.out.ok) {
        (void)error_set(err, ENOSPC, "this %s takes more than %zu bytes", message->full_name,
                        capacity);
        ok = false;
    }
    text_reader_fini(&p.text);
    return ok ? wire_written(&p.out) : 0;
}
