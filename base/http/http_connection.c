#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http/http_private.h"
#include "base/log.h"

void http_connection_timer(struct http_connection *connection, uint64_t after_ns)
{
    lws_set_timer_usecs(connection->wsi, (lws_usec_t)(after_ns / NS_PER_US));
}

/* The library (4.1.6) keeps bytes behind a request in a list and parses the next request from
 * there. When that one has a body, it reads the list from its beginning again: the head is taken
 * for the body, and in the end it loops for good. So a connection with such bytes ends with the
 * answer to the first request, which RFC 9112 section 9.3 allows. The list is private; that it
 * grows shows only where its memory comes from. */
static _Thread_local struct http_connection
    *current;                         /* the last one that had a callback in this turn */
static _Thread_local bool is_writing; /* the list of unsent bytes grows by the same function */

static void *watched_realloc(void *block, size_t bytes, const char *reason)
{
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    if (current != NULL && !is_writing && reason != NULL &&
        strcmp(reason, "lws_buflist_append_segment") == 0) {
        current->has_pipelined = true;
    }
    return realloc(block, bytes);
}

static void install(void)
{
    lws_set_allocator(watched_realloc);
}

void http_connection_watch_pipelining(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}

int http_connection_write(struct http_connection *connection, uint8_t *data, size_t bytes,
                          enum lws_write_protocol protocol)
{
    is_writing = true;
    const int written = lws_write(connection->wsi, data, bytes, protocol);
    is_writing = false;
    return written;
}

static void peer_text(const struct sockaddr_storage *from, char out[64])
{
    out[0] = '\0';
    if (from->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)from)->sin_addr, out, 64);
    } else if (from->ss_family == AF_INET6) {
        const struct in6_addr *const address =
            &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(address)) {
            inet_ntop(AF_INET, &address->s6_addr[12], out, 64);
        } else {
            inet_ntop(AF_INET6, address, out, 64);
        }
    }
}

static void connection_free(struct http_connection *connection)
{
    struct http_server *const server = connection->server;
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    if (current == connection) {
        current = NULL;
    }
    http_ws_gone(connection);
    http_deferred_abandon(connection);
    http_answer_fini(&connection->answer);
    http_request_fini(&connection->request);
    counter_set(&server->counters.connections_open,
                counter_get(&server->counters.connections_open) - 1);
    free(connection);
}

static void adopt(struct http_server *server, int fd, const struct sockaddr_storage *from)
{
    struct http_connection *const connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        close(fd);
        counter_add(&server->counters.connections_refused, 1);
        return;
    }
    connection->server = server;
    connection->request.connection = connection;
    peer_text(from, connection->peer);
    connection->next = server->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    server->connections = connection;
    counter_add(&server->counters.connections_accepted, 1);
    counter_add(&server->counters.connections_open, 1);

    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const lws_adopt_desc_t adoption = {
        .vh = server->vhost,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
        .fd = {.sockfd = fd},
        .opaque = connection,
    };
    /* On failure the library closes fd; whether it got far enough to tell us depends on how it
     * failed. */
    server->adopting = connection;
    struct lws *const wsi = lws_adopt_descriptor_vhost_via_info(&adoption);
    if (wsi == NULL && server->adopting == connection) {
        connection_free(connection);
    } else if (wsi != NULL) {
        connection->wsi = wsi;
        http_connection_timer(connection, server->options.request_timeout_s * NS_PER_SEC);
    }
    server->adopting = NULL;
}

void http_connection_accept(struct http_server *server)
{
    /* A bound, so that a storm of connections does not keep the open ones waiting. */
    for (unsigned i = 0; i < 64; i++) {
        struct sockaddr_storage from = {0};
        socklen_t from_bytes = sizeof from;
        const int fd = accept4(server->listen_fd, (struct sockaddr *)&from, &from_bytes,
                               SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                static struct log_limit limit;
                if (log_allowed(&limit, 10 * NS_PER_SEC, NULL)) {
                    log_warn(HTTP_LOG_PART, "cannot accept a connection", "cause=\"%s\"",
                             strerror(errno));
                }
                usleep(1000); /* the descriptor stays readable: do not spin on it */
            }
            return;
        }
        if (counter_get(&server->counters.connections_open) >= server->options.connections_max) {
            counter_add(&server->counters.connections_refused, 1);
            close(fd);
            continue;
        }
        adopt(server, fd, &from);
    }
}

/* While an answer is awaited or goes out the library does not look whether the client has left. */
static bool client_has_left(const struct http_connection *connection)
{
    struct pollfd poll_fd = {.fd = lws_get_socket_fd(connection->wsi), .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static int linger(struct http_connection *connection)
{
    uint8_t waste[16384];
    ssize_t got = 1;
    for (unsigned i = 0; i < 64 && got > 0; i++) {
        got = recv(lws_get_socket_fd(connection->wsi), waste, sizeof waste, MSG_DONTWAIT);
    }
    const bool is_over = got == 0 || clock_monotonic_ns() >= connection->deadline_ns;
    if (!is_over) {
        http_connection_timer(connection, 20 * NS_PER_MS);
    }
    return is_over ? -1 : 0;
}

static int timer(struct http_connection *connection)
{
    switch (connection->state) {
    case HTTP_CONNECTION_DEFERRED:
        if (client_has_left(connection)) {
            return -1;
        }
        if (clock_monotonic_ns() >= connection->deadline_ns) {
            struct http_headers none = {0};
            struct http_buffer *const body = http_problem_buffer(
                504, connection->path, "DEFERRED_TIMEOUT", "The answer took too long.", -1);
            http_deferred_abandon(connection);
            http_answer_buffer(connection, 504, "application/problem+json", body, &none);
            return 0;
        }
        http_connection_timer(connection, 250 * NS_PER_MS);
        return 0;
    case HTTP_CONNECTION_ANSWERING:
        if (client_has_left(connection)) {
            return -1;
        }
        http_connection_timer(connection, 250 * NS_PER_MS);
        return 0;
    case HTTP_CONNECTION_LINGER:
        return linger(connection);
    case HTTP_CONNECTION_WEBSOCKET:
        return 0;
    case HTTP_CONNECTION_IDLE:
    case HTTP_CONNECTION_BODY:
    default:
        return -1; /* too slow */
    }
}

static int is_unwelcome(enum lws_callback_reasons reason)
{
    switch (reason) {
    case LWS_CALLBACK_RAW_ADOPT:
    case LWS_CALLBACK_RAW_RX: /* CONNECT and broken HTTP would turn into a raw stream */
    case LWS_CALLBACK_RAW_WRITEABLE:
    case LWS_CALLBACK_CHECK_ACCESS_RIGHTS:
    case LWS_CALLBACK_PROCESS_HTML:
        return -1;
    default:
        return 0;
    }
}

int http_connection_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                          size_t bytes)
{
    (void)user;
    struct http_connection *const connection = lws_get_opaque_user_data(wsi);
    if (connection == NULL) {
        return is_unwelcome(reason);
    }
    struct http_server *const server = connection->server;
    connection->wsi = wsi;
    current = connection;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        server->events++;
        return http_dispatch_head(connection);
    case LWS_CALLBACK_HTTP_BODY:
        server->events += connection->state == HTTP_CONNECTION_BODY;
        return http_dispatch_body(connection, in, bytes);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return http_dispatch_body_end(connection);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        if (connection->state != HTTP_CONNECTION_ANSWERING) {
            return 0;
        }
        server->events++;
        return http_answer_write(connection);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        server->events++;
        return http_dispatch_upgrade(connection);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        /* Asked for every protocol: only what the guarded upgrade has chosen goes on. */
        return connection->ws_protocol != NULL &&
                       strcmp(connection->ws_protocol->name, lws_get_protocol(wsi)->name) == 0
                   ? 0
                   : -1;
    case LWS_CALLBACK_ESTABLISHED:
        server->events++;
        return http_ws_opened(connection);
    case LWS_CALLBACK_RECEIVE:
        server->events++;
        return http_ws_received(connection, in, bytes);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        server->events++;
        return http_ws_writable(connection);
    case LWS_CALLBACK_CLOSED:
        http_ws_gone(connection);
        return 0;
    case LWS_CALLBACK_TIMER:
        server->events++;
        return timer(connection);
    case LWS_CALLBACK_WSI_DESTROY:
        server->events++;
        if (server->adopting == connection) {
            server->adopting = NULL;
        }
        lws_set_opaque_user_data(wsi, NULL);
        connection_free(connection);
        return 0;
    default:
        return is_unwelcome(reason);
    }
}
