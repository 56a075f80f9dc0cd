#include "sensor/export/ipfix_peer.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define STEP_MS 50

/* Waits a step for `events`. False: it is `until_ns`, or time to give up. */
static bool wait_step(const struct ipfix_peer *peer, short events, uint64_t until_ns)
{
    struct pollfd wait = {.fd = peer->fd, .events = events};
    const uint64_t now_ns = clock_monotonic_ns();
    const uint64_t give_up_ns = atomic_load_explicit(peer->give_up_ns, memory_order_relaxed);

    if (now_ns >= until_ns || (give_up_ns != 0 && now_ns >= give_up_ns)) {
        return false;
    }
    (void)poll(&wait, 1, STEP_MS);
    return true;
}

/* 0 or an errno. */
static int finish_connecting(const struct ipfix_peer *peer)
{
    const uint64_t until_ns = clock_monotonic_ns() + peer->connect_timeout_ns;
    struct pollfd now = {.fd = peer->fd, .events = POLLOUT};
    int code = 0;
    socklen_t bytes = sizeof(code);

    while (poll(&now, 1, 0) == 0) {
        if (!wait_step(peer, POLLOUT, until_ns)) {
            return ETIMEDOUT;
        }
    }
    return getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &code, &bytes) == 0 ? code : errno;
}

static int try_address(struct ipfix_peer *peer, const struct addrinfo *at)
{
    peer->fd =
        socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
    if (peer->fd < 0) {
        return errno;
    }
    int code = connect(peer->fd, at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;

    if (code == EINPROGRESS) {
        code = finish_connecting(peer);
    }
    if (code != 0) {
        ipfix_peer_hang_up(peer);
    }
    return code;
}

int ipfix_peer_dial(struct ipfix_peer *peer, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = peer->is_tcp ? SOCK_STREAM : SOCK_DGRAM,
                                   .ai_flags = AI_NUMERICSERV};
    const struct endpoint *address = &peer->address;
    struct addrinfo *found = NULL;
    const int lookup = getaddrinfo(address->host, address->port_text, &hints, &found);
    int last = EHOSTUNREACH;

    if (lookup != 0) {
        return error_set(err, EHOSTUNREACH, "the name %.100s cannot be resolved: %s", address->host,
                         gai_strerror(lookup));
    }
    ipfix_peer_hang_up(peer);
    for (const struct addrinfo *at = found; at != NULL && peer->fd < 0; at = at->ai_next) {
        last = try_address(peer, at);
    }
    freeaddrinfo(found);
    peer->dialed_ns = clock_monotonic_ns();
    return peer->fd >= 0 ? 0
                         : error_set(err, last, "connect %.100s port %s: %s", address->host,
                                     address->port_text, strerror(last));
}

void ipfix_peer_hang_up(struct ipfix_peer *peer)
{
    if (peer->fd >= 0) {
        (void)close(peer->fd);
        peer->fd = -1;
    }
}

static enum ipfix_sent broken(struct ipfix_peer *peer, int code, struct error *err)
{
    (void)error_set(
        err, code, "send to %.100s port %s: %s", peer->address.host, peer->address.port_text,
        code == ECONNRESET ? "the collector has closed the connection" : strerror(code));
    ipfix_peer_hang_up(peer);
    return IPFIX_BROKEN;
}

/* Collectors send nothing: bytes are passed over. False: the connection's end was there. */
static bool is_open(const struct ipfix_peer *peer)
{
    char bytes[256];

    for (int i = 0; i < 16; i++) {
        const ssize_t got = recv(peer->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (got <= 0) {
            return got < 0 && (errno == EAGAIN || errno == EINTR);
        }
    }
    return true;
}

/* Hung up within a message the collector drops what it has of it (RFC 7011 10.4.3 asks for whole
 * messages), so it may be sent again as a whole. */
static enum ipfix_sent send_stream(struct ipfix_peer *peer, const uint8_t *bytes, size_t length,
                                   struct error *err)
{
    uint64_t until_ns = clock_monotonic_ns() + peer->send_timeout_ns;
    size_t sent = 0;

    if (!is_open(peer)) {
        return broken(peer, ECONNRESET, err);
    }
    while (sent < length) {
        const ssize_t taken = send(peer->fd, bytes + sent, length - sent, MSG_NOSIGNAL);

        if (taken > 0) {
            sent += (size_t)taken;
            until_ns = clock_monotonic_ns() + peer->send_timeout_ns;
        } else if (errno != EAGAIN && errno != EINTR) {
            return broken(peer, errno == EPIPE ? ECONNRESET : errno, err);
        } else if (!wait_step(peer, POLLOUT, until_ns)) {
            return broken(peer, ETIMEDOUT, err);
        }
    }
    return IPFIX_SENT;
}

static enum ipfix_sent send_datagram(struct ipfix_peer *peer, const uint8_t *bytes, size_t length,
                                     struct error *err)
{
    const uint64_t until_ns = clock_monotonic_ns() + peer->send_timeout_ns;

    while (send(peer->fd, bytes, length, MSG_NOSIGNAL) < 0) {
        if (errno == ECONNREFUSED) {
            (void)error_set(err, ECONNREFUSED, "%.100s port %s: nobody listens there (refused)",
                            peer->address.host, peer->address.port_text);
            return IPFIX_REFUSED;
        }
        if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
            return broken(peer, errno, err);
        }
        if (!wait_step(peer, POLLOUT, until_ns)) {
            return broken(peer, ETIMEDOUT, err);
        }
    }
    return IPFIX_SENT;
}

enum ipfix_sent ipfix_peer_send(struct ipfix_peer *peer, const uint8_t *bytes, size_t length,
                                struct error *err)
{
    return peer->is_tcp ? send_stream(peer, bytes, length, err)
                        : send_datagram(peer, bytes, length, err);
}
