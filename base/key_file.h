/* Who may touch a file with a private key, a token or a password: its owner alone, and where root
 * owns it, the group that root has given it may read it. Services under a user of their own get
 * secrets in that way (systemd's credentials, Kubernetes, ACME clients). Depends on: attributes,
 * error. Any thread. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/attributes.h"
#include "base/error.h"

/* By owner and mode; what is no regular file, as a pipe, is taken for private. */
bool key_file_is_private(const struct stat *status);

/* Whether a file of a key or certificate is the one that was `seen`, contents and mode. */
bool key_file_is_unchanged(const struct stat *seen, const struct stat *now);

/* -EACCES with `err`, which names the file and the command that mends it: others can touch it. 0
 * also where it cannot be looked at: whoever opens it tells why. */
MUST_USE int key_file_check(const char *path, struct error *err);
