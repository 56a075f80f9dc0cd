/* The text of one value -> one field on the wire: for JSON and for query parameters. Private to
 * proto/json. Depends on: base. Any thread. */
#pragma once

#include "base/wire_format.h"
#include "proto/json/descriptor_index.h"

#define VALUE_EXPECTED_BYTES 160

/* Writes the field; false = the text is no such value. `is_string`: it stood in quotes. A full
 * writer is told by `out` alone. Not for messages. */
MUST_USE bool value_write(struct wire_writer *out, const struct json_field *field, const char *text,
                          size_t length, bool is_string);
/* The same for Timestamp, Duration and FieldMask. */
MUST_USE bool value_write_special(struct wire_writer *out, const struct json_field *field,
                                  const char *text, size_t length);
/* "a number from 0 to 4294967295". */
void value_expected(const struct json_field *field, char out[VALUE_EXPECTED_BYTES]);
