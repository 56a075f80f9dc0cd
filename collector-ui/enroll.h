/* `netscope-collector enroll NAME`: certificates for mTLS from a private CA, made on first use.
 *
 * EC P-256 keys, in files of mode 0600. The CA's key stays in the CA's directory; a sensor gets its
 * certificate (CN and DNS name: NAME), its key and the CA's certificate. Depends on: libcrypto.
 * Standard: RFC 5280. Threads: main. */
#pragma once

#include <stdio.h>

#include "base/attributes.h"
#include "base/error.h"

/* argv[0] is "enroll". Prints to `out` what to put into both configurations. The exit status: 0, 1
 * or 2 (usage) with `err`; 0 after --help. */
MUST_USE int enroll_run(int argc, char **argv, FILE *out, struct error *err);
