/* What went wrong: a code for programs, a sentence for people.
 *
 * The sentence names the object and, where there is one, the cure: "open eth0: permission denied
 * (needs CAP_NET_RAW)". Depends on: attributes. Threads: a struct belongs to its caller. */
#pragma once

#include "base/attributes.h"

struct error {
    int code;          /* an errno value; 0 = none */
    char message[640]; /* one sentence without a newline; empty when code is 0 */
};

/* Fills `err` (NULL is allowed) and returns -code, so that `return error_set(err, ENOENT, ...)`
 * works. `code` must be > 0. A longer message is cut. */
int error_set(struct error *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the message that is there. No effect when `err` is NULL or has no code. */
void error_prefix(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* No code and no message; NULL is allowed. */
void error_clear(struct error *err);
