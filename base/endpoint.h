/* Where a server listens or is dialled: "collector.example:50052", "192.0.2.1:50052",
 * "[2001:db8::1]:50052", and "unix:/path". Depends on: libc, base/address.h. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define ENDPOINT_HOST_BYTES 256
#define ENDPOINT_PORT_BYTES 6 /* "65535" */
#define ENDPOINT_TEXT_BYTES (ENDPOINT_HOST_BYTES + ENDPOINT_PORT_BYTES + 2)

struct endpoint {
    char host[ENDPOINT_HOST_BYTES]; /* a name or an address, without brackets; as getaddrinfo wants
                                       it */
    char port_text[ENDPOINT_PORT_BYTES];
    uint16_t port; /* 0: any free one, for who listens */
};

/* "host:port" and "[IPv6]:port" (a zone, "[fe80::1%eth0]:1", too). False: `text` is none; an IPv6
 * address without brackets, a port above 65535 and anything behind it are none. */
MUST_USE bool endpoint_read(const char *text, struct endpoint *out);
/* The same, of a peer: port 0 is none. */
MUST_USE bool endpoint_read_peer(const char *text, struct endpoint *out);
/* The same, or a host alone ("broker-1", "[::1]"), whose port is then `otherwise`. */
MUST_USE bool endpoint_read_or(const char *text, uint16_t otherwise, struct endpoint *out);

/* The path of "unix:/path" (it may be empty); NULL: `text` does not begin so. */
const char *endpoint_unix_path(const char *text);
/* Whether it can be dialled: a peer's host and port, or "unix:/path". */
MUST_USE bool endpoint_is_target(const char *text);

/* An endpoint that does not leave this machine: loopback, "localhost", "unix:/path". A name that
 * only resolves to loopback is not trusted to stay there. */
bool endpoint_is_local(const char *text);

/* "host:port", with brackets around an IPv6 address that has none; cut where `out` ends. */
void endpoint_text(const char *host, unsigned port, char out[ENDPOINT_TEXT_BYTES]);
