/* Is this request meant for us? Host against DNS rebinding, Origin against foreign pages.
 *
 * Pure: texts in, a verdict out. Depends on: base. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct http_guard {
    const char *address;              /* bound to, numeric */
    const char *const *allowed_hosts; /* NULL-terminated; NULL: none */
    bool is_tls;
};

/* A Host header is good when it names localhost, the bound address (any numeric one when bound to a
 * wildcard) or an allowed host. The port is not looked at, since forwarding may change it and
 * rebinding needs a name; an allowed host with a port fits that port only. */
bool http_guard_host(const struct http_guard *guard, const char *host);

/* An Origin is good when its scheme is ours and its authority equals `host` (the Host header,
 * already good), or when its authority is an allowed host (then with either scheme: a proxy in
 * front may end TLS). */
bool http_guard_origin(const struct http_guard *guard, const char *origin, const char *host);
