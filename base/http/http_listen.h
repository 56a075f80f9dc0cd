/* A listening TCP socket with errors that people understand. Depends on: base. Any thread. */
#pragma once

#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

/* A non-blocking listening socket on a numeric address, or -errno with `err`. `*port` 0 is filled
 * in with the one that the kernel chose. "::" takes IPv4 as well. */
MUST_USE int http_listen(const char *address, uint16_t *port, struct error *err);
