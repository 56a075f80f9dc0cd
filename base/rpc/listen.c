/* Where a server listens: "127.0.0.1:50051", "[::1]:0", "localhost:50051", "unix:/path". */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/endpoint.h"
#include "base/rpc/server.h"

static int fill_unix(const char *path, struct sockaddr_un *out, struct error *err)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof out->sun_path) {
        return error_set(err, EINVAL, "listen unix:%s: a socket path has 1 to %zu bytes", path,
                         sizeof out->sun_path - 1);
    }
    memcpy(out->sun_path, path, strlen(path));
    return 0;
}

/* A socket file that nobody answers is left over from a process that was killed; anything else
 * stays. */
static int clear_stale_socket(const char *path, struct error *err)
{
    struct sockaddr_un address;
    const int checked = fill_unix(path, &address, err);
    if (checked < 0) {
        return checked;
    }
    struct stat status;
    if (lstat(path, &status) != 0) {
        return errno == ENOENT ? 0
                               : error_set(err, errno, "listen unix:%s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(status.st_mode)) {
        return error_set(err, EEXIST,
                         "listen unix:%s: the path is taken by something that is not a socket",
                         path);
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_set(err, errno, "listen unix:%s: %s", path, strerror(errno));
    }
    const int error =
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    if (error != ECONNREFUSED) {
        return error_set(err, EADDRINUSE,
                         "listen unix:%s: address in use (another process answers there)", path);
    }
    if (unlink(path) != 0) {
        return error_set(err, errno, "listen unix:%s: the stale socket cannot be removed: %s", path,
                         strerror(errno));
    }
    return 0;
}

/* Why an address could not be had: the core only logs it, so it is tried once more by hand. 0: it
 * can be had. */
static int probe_bind(const struct endpoint *at, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    const int lookup = getaddrinfo(at->host, at->port_text, &hints, &found);
    if (lookup != 0) {
        return error_set(err, EADDRNOTAVAIL, "listen %s:%s: %s", at->host, at->port_text,
                         gai_strerror(lookup));
    }
    int error = 0;
    for (const struct addrinfo *each = found; each != NULL && error == 0; each = each->ai_next) {
        const int fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int on = 1;
        if (fd < 0) {
            error = errno;
            continue;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, each->ai_addr, each->ai_addrlen) != 0 || listen(fd, 1) != 0) {
            error = errno;
        }
        close(fd);
    }
    freeaddrinfo(found);
    if (error == 0) {
        return 0;
    }
    const char *hint =
        error == EADDRINUSE
            ? "address in use (is another instance running? Else choose another port)"
        : error == EACCES ? "permission denied (ports below 1024 need CAP_NET_BIND_SERVICE)"
                          : strerror(error);
    return error_set(err, error, "listen %s:%s: %s", at->host, at->port_text, hint);
}

/* 0: it failed; the library's own many words then go out at level debug alone. */
static int add_port(struct rpc_server *server, const char *address,
                    grpc_server_credentials *credentials)
{
    rpc_core_quiet(true);
    const int port = grpc_server_add_http2_port(server->core, address, credentials);
    const int error = errno;
    rpc_core_quiet(false);
    errno = error;
    return port;
}

static int listen_unix(struct rpc_server *server, const char *address,
                       grpc_server_credentials *credentials, struct error *err)
{
    const char *path = endpoint_unix_path(address);
    const int cleared = clear_stale_socket(path, err);
    if (cleared < 0) {
        return cleared;
    }
    if (add_port(server, address, credentials) == 0) {
        /* The core does not say why: most often the directory is missing or not writable. */
        const int error = errno == 0 ? EIO : errno;
        return error_set(
            err, error,
            "listen %s: the socket cannot be made (does the directory exist, and may this "
            "user write there?)",
            address);
    }
    /* Nobody is served before rpc_server_start, so the short time with the mode of the umask does
     * no harm. */
    if (chmod(path, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP) != 0) {
        return error_set(err, errno, "listen %s: mode 0660 cannot be set: %s", address,
                         strerror(errno));
    }
    return 0;
}

int rpc_address_check(const char *address, struct error *err)
{
    struct endpoint at;
    if (endpoint_unix_path(address) != NULL || endpoint_read(address, &at)) {
        return 0;
    }
    return error_set(err, EINVAL, "listen %s: an address is host:port, [IPv6]:port or unix:/path",
                     address);
}

static int listen_tcp(struct rpc_server *server, const char *address,
                      grpc_server_credentials *credentials, bool is_tls, struct error *err)
{
    struct endpoint at;
    if (!endpoint_read(address, &at)) {
        return rpc_address_check(address, err);
    }
    const int got = add_port(server, address, credentials);
    if (got != 0) {
        const int watched = server->connections == NULL
                                ? 0
                                : rpc_connections_watch(server->connections, (uint16_t)got, err);
        if (watched < 0) {
            error_prefix(err, "listen %s", address);
            return watched;
        }
        return got;
    }
    const int probed = probe_bind(&at, err);
    if (probed < 0) {
        return probed;
    }
    return error_set(err, EINVAL, "listen %s: %s", address,
                     is_tls ? "the certificate and key cannot be used (do they belong together?)"
                            : "the address was free a moment later; try again");
}

int rpc_server_listen(struct rpc_server *server, const char *address,
                      const struct rpc_server_tls *tls, struct error *err)
{
    assert(server->state == SERVER_NEW);
    grpc_server_credentials *credentials = tls == NULL
                                               ? grpc_insecure_server_credentials_create()
                                               : rpc_server_credentials(server->runtime, tls, err);
    if (credentials == NULL) {
        error_prefix(err, "listen %s", address);
        return err == NULL ? -EINVAL : -err->code;
    }
    const int result = endpoint_unix_path(address) != NULL
                           ? listen_unix(server, address, credentials, err)
                           : listen_tcp(server, address, credentials, tls != NULL, err);
    grpc_server_credentials_release(credentials);
    return result;
}
