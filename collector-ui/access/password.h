/* What is kept of passwords and tokens: hashes, as text in the PHC string format.
 *
 * Passwords: "$scrypt$ln=15,r=8,p=3$SALT$HASH" (scrypt, RFC 7914; salt and hash in base64 without
 * padding). One takes 32 MiB and some 200 ms, so never on a thread that others wait for. Tokens are
 * random enough to need neither: "$sha256$HASH". Depends on: base, libcrypto. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define PASSWORD_HASH_BYTES  160
#define PASSWORD_BYTES_MIN   8   /* characters of a password that is set anew */
#define PASSWORD_BYTES_MAX   512 /* with its NUL */
#define PASSWORD_TOKEN_BYTES 72  /* text of a token, with its NUL */

/* 0, or -EIO with `err`: libcrypto failed (no memory, no random bytes). */
MUST_USE int password_hash(const char *password, char out[PASSWORD_HASH_BYTES], struct error *err);
/* Is this text a hash of a password, with a cost that can be paid (64 MiB)? */
MUST_USE bool password_is_hash(const char *hash);
/* Is `password` what `hash` was made of? Takes as long for a wrong one. */
MUST_USE bool password_fits(const char *hash, const char *password);
/* A hash that no password fits, for names that nobody has: looking them up takes as long. */
extern const char password_of_nobody[];

/* A fresh token and its hash. 0 or -EIO. */
MUST_USE int password_new_token(char token[PASSWORD_TOKEN_BYTES], char hash[PASSWORD_HASH_BYTES],
                                struct error *err);
MUST_USE bool password_is_token_hash(const char *hash);
/* SHA-256; constant time compares go over digests. */
void password_digest(const char *text, uint8_t out[32]);
/* In constant time over `digest`, of password_digest. */
MUST_USE bool password_token_fits(const char *hash, const uint8_t digest[32]);
