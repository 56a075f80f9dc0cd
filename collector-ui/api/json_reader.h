/* Reads one small JSON text (RFC 8259) into a fixed table of values: for what clients send.
 *
 * Depends on: libc. Pure, any thread. Bounds: 256 values, depth 16. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_VALUES_MAX 256

enum json_type {
    JSON_NONE,
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OBJECT,
    JSON_ARRAY
};

struct json_value {
    enum json_type type;
    uint32_t start, end; /* of the text; strings without their quotes */
    uint32_t after;      /* index of the value behind this one with all it holds */
    double number;       /* JSON_NUMBER; 1 for true */
};

struct json_reader {
    const char *text;
    size_t length;
    struct json_value values[JSON_VALUES_MAX]; /* keys and values in order; [0] is the whole */
    uint32_t count;
};

/* False: no JSON, or over the bounds. */
bool json_read(struct json_reader *reader, const char *text, size_t length);
/* Member of an object; NULL when `object` is none or has no such key. */
const struct json_value *json_member(const struct json_reader *reader,
                                     const struct json_value *object, const char *key);
/* Decoded text with a NUL; false: no string, or longer than `room`. */
bool json_string(const struct json_reader *reader, const struct json_value *value, char *out,
                 size_t room);
