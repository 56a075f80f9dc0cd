/* How many TCP connections a server has at once. The gRPC core has no bound for them, so its
 * accept4(2) is answered here: a connection beyond the bound is closed as soon as it is accepted,
 * before it costs a handshake or memory. Private to base/rpc. Depends on: libc.
 * Threads: those of the core accept, any other asks. */
#pragma once

#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

struct rpc_connections;

struct rpc_connections_counts {
    uint32_t live; /* asked from the kernel: those that are still open */
    uint64_t accepted, refused;
};

/* At most `connections_max` > 0 at once. NULL: no memory. */
MUST_USE struct rpc_connections *rpc_connections_new(uint32_t connections_max);
/* The core has closed its sockets before. NULL is allowed. */
void rpc_connections_free(struct rpc_connections *connections);
/* From now on what the listening sockets of this process on TCP port `port` accept is counted, as
 * far as nobody counts it yet. -ENOENT: there is no such socket; -ENOSPC: too many of them. */
MUST_USE int rpc_connections_watch(struct rpc_connections *connections, uint16_t port,
                                   struct error *err);
void rpc_connections_read(struct rpc_connections *connections,
                          struct rpc_connections_counts *out); /* any thread */
