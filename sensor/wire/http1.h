/* The head of an HTTP/1 message (RFC 9112): first line and the headers that say how the message
 * goes on, as far as the bytes go; and the lines of a chunked body. Depends on: wire/cursor.h.
 * Pure, any thread. Spans are borrowed from the bytes given and are hostile. */
#pragma once

#include "sensor/wire/cursor.h"

#define HTTP1_HEADERS_MAX 128 /* header lines looked at */
#define HTTP1_METHOD_MAX  24

struct http1 {
    bool is_request;
    bool is_complete; /* the empty line behind the headers was there */
    uint8_t minor;    /* 0 or 1 */
    uint16_t status;  /* response: 100..999 */
    bool is_chunked;  /* Transfer-Encoding ends in chunked */
    bool has_content_length;
    uint64_t content_length;
    uint32_t head_bytes; /* with the empty line; only when is_complete */
    struct wire_span method;
    struct wire_span target;
    struct wire_span host;
    struct wire_span user_agent;
    struct wire_span content_type; /* with its parameters */
    struct wire_span upgrade;
    struct wire_span authorization; /* or Proxy-Authorization: the first of them */
};

/* WIRE_MALFORMED: no HTTP/1 message begins here. WIRE_TRUNCATED: the first line is not whole; the
 * method is then set where it was. WIRE_OK: the first line is whole, the headers as far as they go.
 */
enum wire_status http1_parse(const struct wire_span *bytes, struct http1 *out);
/* What http1_parse would answer, by the first line alone. */
enum wire_status http1_begins(const struct wire_span *bytes);
/* False: WIRE_MALFORMED, by the first three bytes: methods and "HTTP" are in capitals, one has a
 * hyphen. */
static inline bool http1_may_begin(const struct wire_span *bytes)
{
    for (uint32_t i = 0; i < 3; i++) {
        if (i == bytes->length) {
            return true;
        }
        if (bytes->bytes[i] < '-' || bytes->bytes[i] > 'Z') {
            return false;
        }
    }
    return true;
}

/* The authority that a target names ("example.com:443" of CONNECT, that of "http://host/path");
 * empty where it names none. */
struct wire_span http1_authority(const struct http1 *request);
/* The path of a target without query and fragment; empty for CONNECT. */
struct wire_span http1_path(const struct http1 *request);

/* One line of a chunked body: the size of the chunk that follows (RFC 9112 section 7.1), 0 for the
 * last. `c` moves behind the line. WIRE_TRUNCATED: the line is not whole, `c` has not moved. */
enum wire_status http1_chunk(struct cursor *c, uint64_t *bytes);

/* A line of text without its end; false, and `c` has not moved, when it is not whole. */
bool http1_line(struct cursor *c, struct wire_span *line);
