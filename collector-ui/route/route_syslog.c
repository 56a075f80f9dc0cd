/* Syslog: datagrams by UDP (RFC 5426) and local sockets, streams by TCP (RFC 6587) and TLS (RFC
 * 5425), for which libcurl makes the connection. Who takes a stream does not say what arrived: a
 * message counts as delivered once it is written. */
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/transfer/transfer.h"
#include "collector-ui/route/route_internal.h"

#define POLL_STEP_MS 100

struct route_syslog {
    const struct route_target *target;
    const char *ca_file;
    const struct transfer_limits *limits;
    int handle; /* of datagrams; -1: none */
    CURL *curl; /* of a stream; NULL: none */
    char reason[CURL_ERROR_SIZE];
};

struct route_syslog *route_syslog_new(const struct route_target *target,
                                      const struct route_receiver_settings *settings,
                                      const struct transfer_limits *limits, struct error *err)
{
    struct route_syslog *syslog = calloc(1, sizeof(*syslog));

    if (syslog == NULL) {
        (void)error_set(err, ENOMEM, "no memory");
        return NULL;
    }
    *syslog = (struct route_syslog){
        .target = target, .ca_file = settings->ca_file, .limits = limits, .handle = -1};
    return syslog;
}

static void hang_up(struct route_syslog *syslog)
{
    if (syslog->handle >= 0) {
        (void)close(syslog->handle);
        syslog->handle = -1;
    }
    curl_easy_cleanup(syslog->curl);
    syslog->curl = NULL;
}

void route_syslog_free(struct route_syslog *syslog)
{
    if (syslog != NULL) {
        hang_up(syslog);
        free(syslog);
    }
}

static bool is_over(const struct route_syslog *syslog, uint64_t until_ns)
{
    return clock_monotonic_ns() >= until_ns ||
           transfer_is_past_deadline(syslog->limits->deadline_ns);
}

/* ---- datagrams ---- */

static int dial_unix(struct route_syslog *syslog, struct error *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = syslog->target->path;

    static_assert(sizeof(name.sun_path) >= ROUTE_SOCKET_BYTES, "room for a path");
    memcpy(name.sun_path, path, strlen(path) + 1); /* route_target.c bounds it */
    syslog->handle = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (syslog->handle < 0 ||
        connect(syslog->handle, (const struct sockaddr *)&name, sizeof(name)) != 0) {
        const int code = errno;

        hang_up(syslog);
        return error_set(err, code, "connect %s: %s", path, strerror(code));
    }
    return 0;
}

static int dial_udp(struct route_syslog *syslog, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    char port[8];
    int last = ENETUNREACH;

    (void)snprintf(port, sizeof(port), "%u", (unsigned)syslog->target->port);
    const int code = getaddrinfo(syslog->target->host, port, &hints, &found);

    if (code != 0) {
        return error_set(err, EHOSTUNREACH, "%s: %s", syslog->target->host, gai_strerror(code));
    }
    for (const struct addrinfo *at = found; at != NULL && syslog->handle < 0; at = at->ai_next) {
        syslog->handle =
            socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
        if (syslog->handle >= 0 && connect(syslog->handle, at->ai_addr, at->ai_addrlen) != 0) {
            last = errno;
            hang_up(syslog);
        }
    }
    freeaddrinfo(found);
    return syslog->handle >= 0
               ? 0
               : error_set(err, last, "%s: %s", syslog->target->host, strerror(last));
}

static enum route_outcome send_datagram(struct route_syslog *syslog, const char *message,
                                        size_t length, struct error *err)
{
    const bool is_unix = syslog->target->transport == ROUTE_UNIX;
    const uint64_t until_ns = clock_monotonic_ns() + syslog->limits->timeout_ns;

    if (syslog->handle < 0 && (is_unix ? dial_unix(syslog, err) : dial_udp(syslog, err)) != 0) {
        return ROUTE_RETRY;
    }
    while (send(syslog->handle, message, length, MSG_NOSIGNAL) < 0) {
        const int code = errno;
        struct pollfd wait = {.fd = syslog->handle, .events = POLLOUT};

        if ((code == EAGAIN || code == ENOBUFS || code == EINTR) && !is_over(syslog, until_ns)) {
            (void)poll(&wait, 1, POLL_STEP_MS);
            continue;
        }
        (void)error_set(err, code, "send: %s", strerror(code));
        hang_up(syslog); /* refused: nobody listens, or the daemon has begun anew */
        return code == EMSGSIZE ? ROUTE_REFUSED : ROUTE_RETRY;
    }
    return ROUTE_DELIVERED;
}

/* ---- streams ---- */

static int dial_stream(struct route_syslog *syslog, struct error *err)
{
    const struct route_target *target = syslog->target;
    const bool is_v6 = strchr(target->host, ':') != NULL;
    char url[sizeof(target->host) + 32];
    CURL *curl = transfer_new(syslog->limits, syslog->ca_file, syslog->reason);

    if (curl == NULL) {
        return error_set(err, ENOMEM, "libcurl does not start");
    }
    (void)snprintf(url, sizeof(url), "http%s://%s%s%s:%u", target->is_tls ? "s" : "",
                   is_v6 ? "[" : "", target->host, is_v6 ? "]" : "", (unsigned)target->port);
    syslog->reason[0] = '\0';
    bool ok = curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK;

    ok &= curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK; /* not the one of the web */
    ok &= curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L) == CURLE_OK;
    const CURLcode code = ok ? curl_easy_perform(curl) : CURLE_OUT_OF_MEMORY;

    if (code != CURLE_OK) {
        curl_easy_cleanup(curl);
        return error_set(err, EIO, "%s",
                         syslog->reason[0] != '\0' ? syslog->reason : curl_easy_strerror(code));
    }
    syslog->curl = curl;
    return 0;
}

/* A peer that has closed would take the next message and lose it. What it says is dropped. */
static bool is_closed(struct route_syslog *syslog)
{
    char dropped[512];
    size_t got = 0;
    CURLcode code;

    do {
        code = curl_easy_recv(syslog->curl, dropped, sizeof(dropped), &got);
    } while (code == CURLE_OK && got > 0);
    return code != CURLE_AGAIN;
}

static int write_stream(struct route_syslog *syslog, const char *bytes, size_t length,
                        uint64_t until_ns, struct error *err)
{
    size_t written = 0;

    while (written < length) {
        size_t more = 0;
        curl_socket_t handle = CURL_SOCKET_BAD;
        const CURLcode code =
            curl_easy_send(syslog->curl, bytes + written, length - written, &more);

        if (code == CURLE_OK) {
            written += more;
            continue;
        }
        if (code != CURLE_AGAIN || is_over(syslog, until_ns) ||
            curl_easy_getinfo(syslog->curl, CURLINFO_ACTIVESOCKET, &handle) != CURLE_OK) {
            return error_set(err, EIO, "write: %s",
                             code == CURLE_AGAIN ? "it takes nothing" : curl_easy_strerror(code));
        }
        struct pollfd wait = {.fd = (int)handle, .events = POLLOUT};

        (void)poll(&wait, 1, POLL_STEP_MS);
    }
    return 0;
}

/* "LENGTH MESSAGE" (RFC 5425 4.3). */
static enum route_outcome send_framed(struct route_syslog *syslog, const char *message,
                                      size_t length, struct error *err)
{
    const uint64_t until_ns = clock_monotonic_ns() + syslog->limits->timeout_ns;
    char frame[24];

    if (syslog->curl != NULL && is_closed(syslog)) {
        hang_up(syslog);
    }
    if (syslog->curl == NULL && dial_stream(syslog, err) != 0) {
        return ROUTE_RETRY;
    }
    const int head = snprintf(frame, sizeof(frame), "%zu ", length);

    if (write_stream(syslog, frame, (size_t)head, until_ns, err) != 0 ||
        write_stream(syslog, message, length, until_ns, err) != 0) {
        hang_up(syslog);
        return ROUTE_RETRY;
    }
    return ROUTE_DELIVERED;
}

enum route_outcome route_syslog_send(struct route_syslog *syslog, const char *message,
                                     size_t length, struct error *err)
{
    const enum route_transport transport = syslog->target->transport;

    return transport == ROUTE_UDP || transport == ROUTE_UNIX
               ? send_datagram(syslog, message, length, err)
               : send_framed(syslog, message, length, err);
}
