/* Secrets from files: a token, a password. A file that others than its owner can touch is refused,
 * with the command that mends it. Depends on: base. Any thread. */
#pragma once

#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"

/* Reads the whole file into `out` with a NUL behind it, without spaces and newlines at its end;
 * `key` names the setting in messages. -errno with `err`: it is not there, no file, open to others
 * (EACCES), empty or longer than `out_bytes` - 1 (EINVAL). The caller wipes `out` (explicit_bzero).
 */
MUST_USE int secret_file_read(const char *key, const char *path, char *out, size_t out_bytes,
                              size_t *length, struct error *err);
