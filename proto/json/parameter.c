/* Query parameters -> request: each becomes one more piece of the message. */
#include <errno.h>
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

static int set_value(struct parameter *p, const struct json_field *field)
{
    const size_t length = strlen(p->value);
    const bool ok = field->type == TYPE_MESSAGE
                        ? field->message->form != FORM_PLAIN &&
                              value_write_special(&p->out, field, p->value, length)
                        : value_write(&p->out, field, p->value, length, true);
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
