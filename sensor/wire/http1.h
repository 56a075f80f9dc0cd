/* The head of an HTTP/1 message (RFC 9112): first line, Host and User-Agent, as far as the bytes
 * go. Depends on: wire/cursor.h. Pure, any thread. Spans are borrowed from the bytes given and are
 * hostile. */
#pragma once

#include "sensor/wire/cursor.h"

#define HTTP1_HEADERS_MAX 64 /* header lines looked at */

struct http1 {
    bool is_request;
    bool is_complete; /* the empty line behind the headers was there */
    uint8_t minor;    /* 0 or 1 */
    uint16_t status;  /* response: 100..999 */
    struct wire_span method;
    struct wire_span target;
    struct wire_span host;
    struct wire_span user_agent;
};

/* WIRE_MALFORMED: no HTTP/1 message begins here. WIRE_TRUNCATED: the first line is not whole; the
 * method is then set where it was. WIRE_OK: the first line is whole, the headers as far as they go.
 */
enum wire_status http1_parse(const struct wire_span *bytes, struct http1 *out);
