/* A domain name in DNS wire form without compression (RFC 1035 3.1), as DHCP carries it: labels,
 * each behind its length; the root label at the end may be missing, the name is then partial (RFC
 * 4702 2.3.1, 4704 4.2). Depends on: wire/cursor.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"

#define WIRE_NAME_BYTES_MAX 255

/* The labels joined by dots, without a final dot, as bytes (hostile: a dot inside a label is
 * written as it is), and a NUL, within `capacity` (>= 1) bytes. Returns the length; 0 with an empty
 * text when the name is empty, broken (a label beyond the end, a compression pointer), longer than
 * 255 bytes or than `capacity` allows. */
size_t wire_name_text(const struct wire_span *name, char *out, size_t capacity);
