/* Streaming JSON writer into a bounded buffer (RFC 8259). Commas and nesting are kept here; too
 * small a buffer sets `overflow` for good, and nothing past the end is written.
 *
 * Bytes that are no UTF-8 come out as U+FFFD, control characters, U+2028/9 and bidi controls as \u
 * escapes: names from the wire are hostile. Depends on: libc. One writer, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer {
    char *out;
    size_t capacity;
    size_t length;
    bool overflow;
    uint8_t depth;
    bool after_key;
    uint64_t has_member; /* bit d: something was written at depth d (at most 63 deep) */
};

void json_init(struct json_writer *w, char *out, size_t capacity);
void json_object_begin(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array_begin(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key(struct json_writer *w, const char *key); /* our own names: plain ASCII, not escaped */
void json_key_bytes(struct json_writer *w, const void *key, size_t length);
void json_text(struct json_writer *w, const char *text);
void json_text_bytes(struct json_writer *w, const void *text, size_t length);
/* A text in parts, each of whole characters. */
void json_text_begin(struct json_writer *w);
void json_text_part(struct json_writer *w, const void *text, size_t length);
void json_text_end(struct json_writer *w);
void json_u64(struct json_writer *w, uint64_t value);
void json_u64_text(struct json_writer *w,
                   uint64_t value); /* as "123": proto3 JSON of 64-bit numbers */
void json_i64(struct json_writer *w, int64_t value);
/* Shortest form that reads back the same; null when not finite. */
void json_double(struct json_writer *w, double value);
/* With exactly `decimals` (0..9) digits after the point. */
void json_fixed(struct json_writer *w, double value, unsigned decimals);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
void json_base64(struct json_writer *w, const void *bytes, size_t length); /* RFC 4648 section 4 */
void json_raw(struct json_writer *w, const void *text,
              size_t length); /* one complete value, as it is */
/* Members of an object as they are, each with a comma before it: `,"a":1,"b":2`. The first comma is
 * left out where none is due. */
void json_members_raw(struct json_writer *w, const char *text, size_t length);
/* A key as it is: `,"a":`. */
void json_key_raw(struct json_writer *w, const char *text, size_t length);
