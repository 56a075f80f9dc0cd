/* The socket to an IPFIX collector: found by its name, connected, sent to, and waited for in
 * bounded time.
 *
 * Depends on: base. Threads: one. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/endpoint.h"
#include "base/error.h"

struct ipfix_peer {
    struct endpoint address;
    bool is_tcp;
    uint64_t connect_timeout_ns, send_timeout_ns;
    const atomic_uint_fast64_t *give_up_ns; /* monotonic; 0: never. Waits end then */
    int fd;                                 /* -1: none */
    uint64_t dialed_ns;                     /* monotonic */
};

/* 0, or -errno with `err` (who, and why). Resolving a name waits as long as the system's resolver
 * does. */
MUST_USE int ipfix_peer_dial(struct ipfix_peer *peer, struct error *err);
void ipfix_peer_hang_up(struct ipfix_peer *peer);

enum ipfix_sent {
    IPFIX_SENT,
    IPFIX_REFUSED, /* UDP: the peer's machine has refused the datagram before; this one is not sent
                    */
    IPFIX_BROKEN,  /* hung up: nothing whole of this message has been taken. `err` says why */
};

/* One message. */
MUST_USE enum ipfix_sent ipfix_peer_send(struct ipfix_peer *peer, const uint8_t *bytes,
                                         size_t length, struct error *err);
