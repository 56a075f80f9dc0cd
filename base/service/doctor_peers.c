/* Checks of peers: name and connection; and of addresses to listen on. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/service/doctor_private.h"

#define KAFKA_PORT 9092

int doctor_wait(int fd, short events, uint64_t until_ns)
{
    const uint64_t now_ns = clock_monotonic_ns();
    struct pollfd wait = {.fd = fd, .events = events};

    return now_ns >= until_ns ? 0 : poll(&wait, 1, (int)((until_ns - now_ns) / NS_PER_MS) + 1);
}

/* A connected socket, or -errno. */
static int connect_within(const struct sockaddr *address, socklen_t bytes, int family,
                          uint64_t until_ns)
{
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;
    socklen_t error_bytes = sizeof(error);

    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, address, bytes) == 0) {
        return fd;
    }
    error = errno;
    if (error == EINPROGRESS) {
        error = doctor_wait(fd, POLLOUT, until_ns) <= 0 ? ETIMEDOUT : 0;
        if (error == 0) {
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes);
        }
    }
    if (error != 0) {
        (void)close(fd);
        return -error;
    }
    return fd;
}

/* "127.0.0.1:443, [::1]:443" */
static void tell_addresses(struct doctor *doctor, const char *key, const char *host,
                           const struct addrinfo *found)
{
    char text[DOCTOR_TEXT_BYTES] = "";
    size_t used = 0;

    for (; found != NULL && used < sizeof(text) - 100; found = found->ai_next) {
        char name[NI_MAXHOST];

        if (getnameinfo(found->ai_addr, found->ai_addrlen, name, sizeof(name), NULL, 0,
                        NI_NUMERICHOST) == 0) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.60s",
                                     used == 0 ? "" : ", ", name);
        }
    }
    doctor_add(doctor, DOCTOR_OK, "name", NULL, "%s: %.100s is %s", key, host, text);
}

/* NULL with the reason and its cure in plain words. */
static struct addrinfo *look_up(const struct endpoint *to, int type, char *reason,
                                size_t reason_bytes, const char **cure)
{
    const struct addrinfo hints = {.ai_socktype = type};
    struct addrinfo *found = NULL;
    const int lookup = getaddrinfo(to->host, to->port_text, &hints, &found);

    if (lookup != 0) {
        *cure = "correct the name, or look at /etc/resolv.conf";
        (void)snprintf(reason, reason_bytes, "the name %.100s cannot be resolved: %s", to->host,
                       gai_strerror(lookup));
        return NULL;
    }
    return found;
}

void doctor_datagrams(struct doctor *doctor, const char *key, const char *address)
{
    char reason[256] = "is no address";
    const char *cure = "write it as host:port or [IPv6]:port";
    struct endpoint to;
    struct addrinfo *found = endpoint_read_peer(address, &to)
                                 ? look_up(&to, SOCK_DGRAM, reason, sizeof(reason), &cure)
                                 : NULL;

    if (found == NULL) {
        doctor_add(doctor, DOCTOR_FAIL, "peer", cure, "%s: %s: %s", key, address, reason);
        return;
    }
    freeaddrinfo(found);
    doctor_add(doctor, DOCTOR_OK, "peer", NULL,
               "%s: %s is known; datagrams are not answered, so whether it takes them is not", key,
               address);
}

/* A connected socket, or -1 with the reason and its cure in plain words. `steps` NULL: the way
 * there is not told. */
static int reach(struct doctor *steps, const char *key, const char *address, char *reason,
                 size_t reason_bytes, const char **cure)
{
    const uint64_t until_ns = clock_monotonic_ns() + DOCTOR_WAIT_MS * NS_PER_MS;
    struct addrinfo *found = NULL;
    struct endpoint to;
    int fd = -1;

    if (!endpoint_is_target(address)) {
        *cure = "write it as host:port, [IPv6]:port or unix:/path";
        (void)snprintf(reason, reason_bytes, "is no address");
        return -1;
    }
    if (endpoint_unix_path(address) != NULL) {
        struct sockaddr_un path = {.sun_family = AF_UNIX};

        (void)snprintf(path.sun_path, sizeof(path.sun_path), "%s", endpoint_unix_path(address));
        fd = connect_within((const struct sockaddr *)&path, sizeof(path), AF_UNIX, until_ns);
    } else if (endpoint_read_peer(address, &to)) {
        found = look_up(&to, SOCK_STREAM, reason, reason_bytes, cure);
        if (found == NULL) {
            return -1;
        }
        if (steps != NULL) {
            tell_addresses(steps, key, to.host, found);
        }
        for (const struct addrinfo *each = found; each != NULL && fd < 0; each = each->ai_next) {
            fd = connect_within(each->ai_addr, each->ai_addrlen, each->ai_family, until_ns);
        }
        freeaddrinfo(found);
    }
    if (fd < 0) {
        *cure = fd == -ECONNREFUSED ? "start the peer there, or correct the port"
                : fd == -ENOENT     ? "start the peer that makes this socket"
                : fd == -EACCES     ? "join the group of the socket"
                                    : "look for a firewall or a missing route in between";
        (void)snprintf(reason, reason_bytes, "%s",
                       fd == -ECONNREFUSED ? "nothing listens there (connection refused)"
                       : fd == -ETIMEDOUT  ? "it does not answer (no connection within 3 s)"
                                           : strerror(-fd));
        return -1;
    }
    return fd;
}

void doctor_connect(struct doctor *doctor, const struct doctor_peer *peer)
{
    char reason[256];
    const char *cure = NULL;
    const int fd = reach(peer->is_thorough ? doctor : NULL, peer->key, peer->address, reason,
                         sizeof(reason), &cure);

    if (fd < 0) {
        doctor_add(doctor, DOCTOR_FAIL, "peer", cure, "%s: %s: %s", peer->key, peer->address,
                   reason);
        return;
    }
    if (peer->is_tls && peer->is_thorough) {
        doctor_add(doctor, DOCTOR_OK, "connection", NULL, "%s: %s takes connections", peer->key,
                   peer->address);
    }
    if (peer->is_tls) {
        struct endpoint to;
        const bool has_host = endpoint_read_peer(peer->address, &to);
        const char *name = has_host ? to.host : "localhost";

        doctor_tls(doctor, peer, peer->server_name != NULL ? peer->server_name : name, fd);
    } else {
        doctor_add(doctor, DOCTOR_OK, "peer", NULL, "%s: %s takes connections", peer->key,
                   peer->address);
    }
    (void)close(fd);
}

void doctor_connect_any(struct doctor *doctor, const char *key, const char *addresses)
{
    char *copy = strdup(addresses);
    char *rest = NULL;
    uint32_t reached = 0, asked = 0;

    for (char *address = copy == NULL ? NULL : strtok_r(copy, ", ", &rest); address != NULL;
         address = strtok_r(NULL, ", ", &rest)) {
        char reason[256];
        const char *cure = NULL;
        char full[ENDPOINT_TEXT_BYTES];
        struct endpoint broker;

        (void)snprintf(full, sizeof(full), "%s", address);
        if (endpoint_read_or(address, KAFKA_PORT, &broker)) {
            endpoint_text(broker.host, broker.port, full);
        }
        const int fd = reach(NULL, key, full, reason, sizeof(reason), &cure);

        asked++;
        if (fd >= 0) {
            reached++;
            (void)close(fd);
        } else {
            doctor_add(doctor, DOCTOR_WARN, "peer", cure, "%s: %s: %s", key, full, reason);
        }
    }
    if (asked > 0) {
        doctor_add(doctor, reached > 0 ? DOCTOR_OK : DOCTOR_FAIL, "peer",
                   reached > 0 ? NULL : "start a broker, or correct the list",
                   "%s: %u of %u answer", key, reached, asked);
    }
    free(copy);
}

void doctor_listen(struct doctor *doctor, const char *key, const char *address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    struct endpoint at;
    const int on = 1;
    int error = 0;

    if (endpoint_unix_path(address) != NULL || address[0] == '\0') {
        return;
    }
    if (!endpoint_read(address, &at) || getaddrinfo(at.host, at.port_text, &hints, &found) != 0) {
        doctor_add(doctor, DOCTOR_FAIL, "listen",
                   "write it as host:port, with an address of this "
                   "machine",
                   "%s: %s is no address of this machine", key, address);
        return;
    }
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0) {
        error = errno;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    freeaddrinfo(found);
    if (error == 0) {
        doctor_add(doctor, DOCTOR_OK, "listen", NULL, "%s: %s is free", key, address);
    } else if (error == EADDRINUSE) {
        char cure[64];

        (void)snprintf(cure, sizeof(cure), "sudo ss -ltnp sport = :%s shows by whom", at.port_text);
        doctor_add(doctor, DOCTOR_WARN, "listen", cure,
                   "%s: %s is in use: by this program already running, or by another", key,
                   address);
    } else {
        doctor_add(doctor, DOCTOR_FAIL, "listen",
                   error == EACCES ? "use a port above 1023, or add net_bind_service to "
                                     "security.keep_capabilities"
                                   : "name an address of this machine",
                   "%s: %s: %s", key, address, strerror(error));
    }
}
