#include "base/http/http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int failed(const char *address, uint16_t port, bool is_six, int code, struct error *err)
{
    const char *cause = strerror(code);
    const char *cure = "";
    if (code == EADDRINUSE) {
        cause = "address in use";
        cure = " (choose another port)";
    } else if (code == EACCES) {
        cause = "permission denied";
        cure = " (ports below 1024 need CAP_NET_BIND_SERVICE)";
    } else if (code == EADDRNOTAVAIL) {
        cause = "this machine has no such address";
    }
    return error_set(err, code, "listen %s%s%s:%u: %s%s", is_six ? "[" : "", address,
                     is_six ? "]" : "", port, cause, cure);
}

int http_listen(const char *address, uint16_t *port, struct error *err)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(*port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(*port)};
    const bool is_six = inet_pton(AF_INET6, address, &in6.sin6_addr) == 1;
    if (!is_six && inet_pton(AF_INET, address, &in4.sin_addr) != 1) {
        return error_set(err, EINVAL,
                         "listen %s: not a numeric address (127.0.0.1, ::1, 0.0.0.0, ...)",
                         address);
    }
    const int fd =
        socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return failed(address, *port, is_six, errno, err);
    }
    const int yes = 1;
    const int no = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (is_six) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    }
    const struct sockaddr *const name =
        is_six ? (const struct sockaddr *)&in6 : (const struct sockaddr *)&in4;
    const socklen_t name_bytes = is_six ? sizeof in6 : sizeof in4;
    if (bind(fd, name, name_bytes) != 0 || listen(fd, 512) != 0) {
        const int code = errno;
        close(fd);
        return failed(address, *port, is_six, code, err);
    }
    socklen_t bound_bytes = name_bytes;
    if (getsockname(fd, is_six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in4, &bound_bytes) ==
        0) {
        *port = ntohs(is_six ? in6.sin6_port : in4.sin_port);
    }
    return fd;
}
