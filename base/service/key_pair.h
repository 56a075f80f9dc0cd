/* A certificate and its private key, looked at before a library does that tells less about what is
 * wrong. Depends on: base, libcrypto. Any thread. */
#pragma once

#include <openssl/types.h>

#include "base/attributes.h"
#include "base/error.h"

/* The first of the PEM file; NULL: there is none, or the file cannot be read. */
MUST_USE X509 *key_pair_certificate(const char *path);
/* The same; a key that needs a pass phrase is none. */
MUST_USE EVP_PKEY *key_pair_key(const char *path);

/* -EINVAL with `err`: a file holds no certificate or no key, or they do not belong together;
 * -EACCES: others can touch the key (base/key_file.h). 0 also where a path is empty or a file
 * cannot be opened, which whoever reads it tells. `name` is their section in messages. */
MUST_USE int key_pair_check(const char *name, const char *certificate_path, const char *key_path,
                            struct error *err);
