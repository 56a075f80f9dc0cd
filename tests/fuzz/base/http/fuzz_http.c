/* What comes in on a connection of the HTTP server, in one or more pieces: requests, or frames of a
 * WebSocket behind a good upgrade. Every connection ends, texts of a request hold what http.h says,
 * and no handler runs for whom the door has not let in. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/http/http.h"

#define PATIENCE_S 20
#define UP_BYTES   512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_server *server;

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_text(const char *text)
{
    require(text == NULL || strlen(text) < 65536);
}

static void answer(struct http_request *request)
{
    const char *name, *value;
    size_t bytes = 0;
    const uint8_t *body = http_request_body(request, &bytes);

    require(strcmp(http_request_identity(request), "tester") == 0);
    check_text(http_request_path(request));
    check_text(http_request_param(request, "id"));
    check_text(http_request_header(request, "Accept"));
    check_text(http_request_header(request, "x-custom"));
    for (size_t i = 0; http_request_query_at(request, i, &name, &value); i++) {
        check_text(name);
        check_text(value);
        (void)http_header(request, name, value);
    }
    http_reply(request, 200, "text/plain", body, bytes);
}

static const struct http_route routes[] = {
    {HTTP_GET, "/a/{id}", answer, 0},
    {HTTP_POST, "/a/{id}:do", answer, HTTP_READ_ONLY},
    {HTTP_POST, "/b", answer, 0},
    {0},
};

static enum http_auth_verdict authorize(struct http_request *request)
{
    const char *token = http_request_header(request, "Authorization");

    if (token == NULL || strcmp(token, "Bearer x") != 0) {
        return HTTP_AUTH_UNKNOWN;
    }
    http_request_set_identity(request, "tester");
    return HTTP_AUTH_ALLOW;
}

static bool on_open(struct http_ws *ws, void *context, void **connection)
{
    require(strcmp(http_ws_identity(ws), "tester") == 0);
    *connection = context;
    return true;
}

static void on_message(struct http_ws *ws, void *connection, const uint8_t *data, size_t bytes,
                       bool is_text)
{
    (void)connection;
    (void)is_text;
    require(bytes <= UP_BYTES && data[bytes] == '\0');
    struct http_buffer *echo = http_buffer_from(data, bytes);

    if (echo != NULL) {
        (void)http_ws_send(ws, echo);
        http_buffer_unref(echo);
    }
}

static void on_close(struct http_ws *ws, void *connection)
{
    (void)ws;
    (void)connection;
}

static const struct http_ws_protocol protocols[] = {
    {"x", "/s", on_open, on_message, on_close, NULL}, {.name = NULL}};

static void start(void)
{
    const struct http_server_options options = {.routes = routes,
                                                .ws_protocols = protocols,
                                                .authorize = authorize,
                                                .request_body_bytes_max = 1024,
                                                .url_bytes_max = 1024,
                                                .header_bytes_max = 4096,
                                                .request_timeout_s = 2,
                                                .idle_timeout_s = 2,
                                                .ws_message_up_bytes = UP_BYTES};
    struct error err = {0};

    server = http_server_start(&options, &err);
    require(server != NULL);
}

static int dial(void)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(http_server_port(server)),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const struct linger at_once = {1, 0}; /* no port is left waiting */
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    require(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0 &&
            connect(fd, (const struct sockaddr *)(const void *)&to, sizeof(to)) == 0);
    return fd;
}

static void upgrade(int fd)
{
    static const char request[] = "GET /s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nAuthorization: Bearer x\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: x\r\n\r\n";
    char head[1024];

    require(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == sizeof(request) - 1);
    require(recv(fd, head, sizeof(head), 0) > 12 && memcmp(head, "HTTP/1.1 101", 12) == 0);
}

/* Whatever was sent, the server is done with it within its own time. */
static void read_to_the_end(int fd)
{
    char waste[16384];
    ssize_t got;

    do {
        got = recv(fd, waste, sizeof(waste), 0);
        require(got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK));
    } while (got > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    if (server == NULL) {
        start();
    }
    const size_t step = data[1] == 0 ? size : data[1];
    const int fd = dial();
    bool is_open = true;

    if (data[0] % 2 == 1) {
        upgrade(fd);
    }
    for (size_t at = 2; at < size && is_open; at += step) {
        const size_t length = size - at < step ? size - at : step;

        is_open = send(fd, data + at, length, MSG_NOSIGNAL) == (ssize_t)length;
    }
    (void)shutdown(fd, SHUT_WR);
    read_to_the_end(fd);
    (void)close(fd);
    return 0;
}
