/* Whether a text is one JSON value (RFC 8259) that a careful reader takes: UTF-8, no control
 * characters, nothing behind it. Depends on: base. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool json_is_whole(const char *text, size_t length);
