/* Query parameters -> request: each becomes one more piece of the message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json/transcoder.h"
#include "proto/json/value_reader.h"

struct parameter {
    const char *path; /* whole, for messages */
    const char *value;
    struct wire_writer out;
    struct error *err;
};

static int fail_unknown(struct parameter *p, const struct json_message *message, const char *name,
                        size_t length)
{
    const struct json_field *near = message_field_near(message, name, length);
    if (near == NULL) {
        return error_set(p->err, ENOENT, "unknown parameter '%.200s'", p->path);
    }
    return error_set(p->err, ENOENT, "unknown parameter '%.200s'; did you mean '%.*s%s'?", p->path,
                     (int)(name - p->path), p->path, near->name);
}

/* A number that names no value may come from a newer client's message, but nobody means it in an
 * URL. */
static bool is_known_enum(const struct json_field *field, const char *text)
{
    char *end = NULL;
    errno = 0;
    const long number = strtol(text, &end, 10);
    return enum_value_named(field->enumeration, text, strlen(text)) != NULL ||
           (end != text && *end == '\0' && errno == 0 && number >= INT32_MIN &&
            number <= INT32_MAX &&
            enum_value_numbered(field->enumeration, (int32_t)number) != NULL);
}

static int set_value(struct parameter *p, const struct json_field *field)
{
    const size_t length = strlen(p->value);
    const bool ok = field->type == TYPE_MESSAGE
                        ? field->message->form != FORM_PLAIN &&
                              value_write_special(&p->out, field, p->value, length)
                        : (field->type != TYPE_ENUM || is_known_enum(field, p->value)) &&
                              value_write(&p->out, field, p->value, length, true);
    if (!ok) {
        char expected[VALUE_EXPECTED_BYTES];
        value_expected(field, expected);
        return error_set(p->err, EINVAL, "parameter '%.200s' needs %s, not '%.80s'", p->path,
                         expected, p->value);
    }
    return 0;
}

static int set_in(struct parameter *p, const struct json_message *message, const char *name,
                  unsigned depth)
{
    const char *dot = strchr(name, '.');
    const size_t length = dot == NULL ? strlen(name) : (size_t)(dot - name);
    const struct json_field *field = message_field_named(message, name, length);
    if (field == NULL) {
        return fail_unknown(p, message, name, length);
    }
    if (dot == NULL) {
        return set_value(p, field);
    }
    if (field->type != TYPE_MESSAGE || field->is_repeated || field->message->form != FORM_PLAIN ||
        depth + 1 >= JSON_DEPTH_MAX) {
        return error_set(p->err, EINVAL, "parameter '%.200s': '%s' has no parts", p->path,
                         field->name);
    }
    const struct wire_mark mark = wire_begin(&p->out, field->number, 1);
    const int result = set_in(p, field->message, dot + 1, depth + 1);
    wire_end(&p->out, mark);
    return result;
}

bool json_parameter_is_list(const struct json_message *message, const char *path)
{
    for (const char *dot; (dot = strchr(path, '.')) != NULL && message != NULL; path = dot + 1) {
        const struct json_field *const part =
            message_field_named(message, path, (size_t)(dot - path));
        message = part != NULL && part->type == TYPE_MESSAGE ? part->message : NULL;
    }
    const struct json_field *const field =
        message == NULL ? NULL : message_field_named(message, path, strlen(path));
    return field != NULL && field->is_repeated;
}

int json_set_parameter(const struct json_message *message, const char *path, const char *value,
                       uint8_t *out, size_t capacity, size_t *length, struct error *err)
{
    error_clear(err);
    struct parameter p = {.path = path,
                          .value = value,
                          .out = wire_writer_over(out + *length, capacity - *length),
                          .err = err};
    const int result = set_in(&p, message, path, 0);
    if (result < 0) {
        return result;
    }
    if (!p.out.ok) {
        return error_set(err, ENOSPC, "parameter '%.200s': the request takes more than %zu bytes",
                         path, capacity);
    }
    *length += wire_written(&p.out);
    return 0;
}
