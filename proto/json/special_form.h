/* JSON of Timestamp, Duration, FieldMask and float (protobuf.dev, "ProtoJSON"). For
 * proto/json, and for times on command lines. Depends on: base. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/json_writer.h"
#include "base/wire_format.h"

/* Out; false: the bytes are no such message, or out of its range. */
MUST_USE bool write_timestamp(struct wire_reader r,
                              struct json_writer *out); /* "1970-01-01T00:00:00Z" */
MUST_USE bool write_duration(struct wire_reader r, struct json_writer *out);   /* "1.500s" */
MUST_USE bool write_field_mask(struct wire_reader r, struct json_writer *out); /* "startTime,app" */
/* Fewest digits that read back as the same float; returns the length. */
int shortest_float(float value, char *out, size_t capacity);

/* In; false: the text is none. */
MUST_USE bool parse_timestamp(const char *text, size_t length, int64_t *seconds, int32_t *nanos);
MUST_USE bool parse_duration(const char *text, size_t length, int64_t *seconds, int32_t *nanos);
