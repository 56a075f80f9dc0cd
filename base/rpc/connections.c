#include "base/rpc/connections.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LISTENERS_MAX   64
#define DESCRIPTORS_MAX 65536 /* looked at for listening sockets */
#define REFUSED_AT_ONCE 64    /* then the core looks at other descriptors first */

/* A socket by its descriptor and inode: the number of a closed descriptor is soon used again, by a
 * socket with another inode. */
struct known_socket {
    int fd;
    ino_t inode;
};

struct rpc_connections {
    uint32_t live_max, live;
    uint64_t accepted, refused;
    struct log_limit limit;
    struct known_socket sockets[];
};

static struct {
    pthread_mutex_t lock; /* over all of them: accepting is rare */
    struct {
        struct known_socket socket;
        struct rpc_connections *connections; /* NULL: free */
    } listeners[LISTENERS_MAX];
} watched = {.lock = PTHREAD_MUTEX_INITIALIZER};

static ino_t inode_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

struct rpc_connections *rpc_connections_new(uint32_t connections_max)
{
    struct rpc_connections *connections =
        calloc(1, sizeof(*connections) + (size_t)connections_max * sizeof(connections->sockets[0]));

    if (connections != NULL) {
        connections->live_max = connections_max;
    }
    return connections;
}

void rpc_connections_free(struct rpc_connections *connections)
{
    if (connections == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&watched.lock);
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        if (watched.listeners[i].connections == connections) {
            watched.listeners[i].connections = NULL;
        }
    }
    (void)pthread_mutex_unlock(&watched.lock);
    free(connections);
}

/* ---- listening sockets ---- */

/* Lock held. NULL: nobody counts what this socket accepts. */
static struct rpc_connections *find(int fd)
{
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        if (watched.listeners[i].connections != NULL && watched.listeners[i].socket.fd == fd &&
            watched.listeners[i].socket.inode == inode_of(fd)) {
            return watched.listeners[i].connections;
        }
    }
    return NULL;
}

static bool listens_on(int fd, uint16_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address = {0};
    socklen_t length = sizeof(address);
    int listens = 0;
    socklen_t listens_bytes = sizeof(listens);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_bytes) != 0 || listens == 0 ||
        getsockname(fd, &address.any, &length) != 0) {
        return false;
    }
    return (address.any.sa_family == AF_INET && ntohs(address.in.sin_port) == port) ||
           (address.any.sa_family == AF_INET6 && ntohs(address.in6.sin6_port) == port);
}

/* Lock held. False: no room. */
static bool add_listener(struct rpc_connections *connections, int fd)
{
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        if (watched.listeners[i].connections == NULL) {
            watched.listeners[i].connections = connections;
            watched.listeners[i].socket = (struct known_socket){fd, inode_of(fd)};
            return true;
        }
    }
    return false;
}

int rpc_connections_watch(struct rpc_connections *connections, uint16_t port, struct error *err)
{
    struct rlimit limit = {.rlim_cur = DESCRIPTORS_MAX};
    unsigned found = 0;
    bool has_room = true;

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    const int fds = limit.rlim_cur < DESCRIPTORS_MAX ? (int)limit.rlim_cur : DESCRIPTORS_MAX;

    (void)pthread_mutex_lock(&watched.lock);
    for (int fd = 0; fd < fds && has_room; fd++) {
        if (listens_on(fd, port) && find(fd) == NULL) {
            has_room = add_listener(connections, fd);
            found++;
        }
    }
    (void)pthread_mutex_unlock(&watched.lock);
    if (!has_room) {
        return error_set(err, ENOSPC, "more than %d listening sockets", LISTENERS_MAX);
    }
    return found > 0 ? 0 : error_set(err, ENOENT, "the listening socket was not found");
}

/* ---- connections ---- */

/* Forgets those that have been closed. Lock held. */
static void sweep(struct rpc_connections *connections)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < connections->live; i++) {
        if (inode_of(connections->sockets[i].fd) == connections->sockets[i].inode) {
            connections->sockets[kept++] = connections->sockets[i];
        }
    }
    connections->live = kept;
}

void rpc_connections_read(struct rpc_connections *connections, struct rpc_connections_counts *out)
{
    *out = (struct rpc_connections_counts){0};
    if (connections == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&watched.lock);
    sweep(connections);
    *out = (struct rpc_connections_counts){connections->live, connections->accepted,
                                           connections->refused};
    (void)pthread_mutex_unlock(&watched.lock);
}

/* Lock held. False: there are as many as may be. */
static bool take_in(struct rpc_connections *connections, int fd)
{
    connections->accepted++;
    if (connections->live == connections->live_max) {
        sweep(connections);
    }
    if (connections->live == connections->live_max) {
        connections->refused++;
        return false;
    }
    connections->sockets[connections->live++] = (struct known_socket){fd, inode_of(fd)};
    return true;
}

static void tell_refused(struct rpc_connections *connections, const struct sockaddr *address,
                         const socklen_t *length)
{
    char host[NI_MAXHOST] = "";
    uint64_t suppressed = 0;

    if (!log_allowed(&connections->limit, NS_PER_SEC, &suppressed)) {
        return;
    }
    if (address != NULL && length != NULL) {
        (void)getnameinfo(address, *length, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
    }
    log_warn("rpc", "a connection is closed: there are as many as may be",
             "peer=%s connections_max=%u suppressed=%llu", host, connections->live_max,
             (unsigned long long)suppressed);
}

/* The answer to accept4(2) for the whole program: a symbol of the program comes before libc's, so
 * this is what the gRPC core finds (whose tables of functions are not public). Sockets that are not
 * watched are passed through. What a watched socket has too many of is closed here, some at a time.
 */
int rpc_accept(int fd, struct sockaddr *address, socklen_t *length, int flags) __asm__("accept4");

int rpc_accept(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    const socklen_t room = length == NULL ? 0 : *length;

    for (unsigned refused = 0; refused < REFUSED_AT_ONCE; refused++) {
        if (length != NULL) {
            *length = room;
        }
        const int got = (int)syscall(SYS_accept4, fd, address, length, flags);

        if (got < 0) {
            return got;
        }
        (void)pthread_mutex_lock(&watched.lock);
        struct rpc_connections *connections = find(fd);
        const bool is_in = connections == NULL || take_in(connections, got);

        if (!is_in) {
            tell_refused(connections, address, length);
        }
        (void)pthread_mutex_unlock(&watched.lock);
        if (is_in) {
            return got;
        }
        (void)close(got);
    }
    errno = EINTR; /* once more */
    return -1;
}
