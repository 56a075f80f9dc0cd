/* `--healthcheck`: asks the program that runs here how it is, for containers without a shell or
 * curl. Depends on: libc, libssl. Threads: main of a process of its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* GET /healthz, then /readyz, at `bind` ("" and wildcard addresses: loopback) and `port`, by TLS
 * when `is_tls` (the certificate is not checked: it is our own address). Writes one line to `out`.
 * 0: it lives, ready or not (the line says which); 1: it does not answer, or not with 200. */
int healthcheck_run(const char *bind, uint16_t port, bool is_tls, FILE *out);
