#include "route_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define REQUEST_BYTES_MAX ((size_t)1 << 20)
#define STEP_MS           20

static bool is_readable(struct route_server *server, int handle)
{
    struct pollfd wait = {.fd = handle, .events = POLLIN};

    while (!atomic_load(&server->is_over)) {
        if (poll(&wait, 1, STEP_MS) > 0) {
            return true;
        }
    }
    return false;
}

/* Between `before` and the next of `ends`, in a text that has it; else "". */
static void copy_after(const char *text, const char *before, const char *ends, char *out,
                       size_t out_bytes)
{
    const char *at = strcasestr(text, before);
    size_t length = 0;

    if (at != NULL) {
        at += strlen(before);
        length = strcspn(at, ends);
        length = length < out_bytes ? length : out_bytes - 1;
        memcpy(out, at, length);
    }
    out[length] = '\0';
}

/* The whole of a request in `text`; false: the peer has gone, or the server stops. */
static bool read_request(struct route_server *server, int handle, char *text)
{
    size_t length = 0;

    while (length < REQUEST_BYTES_MAX - 1 && is_readable(server, handle)) {
        const ssize_t got = recv(handle, text + length, REQUEST_BYTES_MAX - 1 - length, 0);

        if (got <= 0) {
            return false;
        }
        length += (size_t)got;
        text[length] = '\0';
        const char *body = strstr(text, "\r\n\r\n");
        char number[24];

        copy_after(text, "\r\nContent-Length: ", "\r", number, sizeof(number));
        if (body != NULL && strlen(body + 4) >= strtoul(number, NULL, 10)) {
            return true;
        }
    }
    return false;
}

static int note_request(struct route_server *server, const char *text)
{
    struct route_request request = {
        .is_json_post = strncmp(text, "POST ", 5) == 0 &&
                        strcasestr(text, "\r\nContent-Type: application/json\r\n") != NULL,
        .monotonic_ns = clock_monotonic_ns()};
    int status = 200;

    copy_after(text, "\"alert_id\":\"", "\"", request.alert_id, sizeof(request.alert_id));
    copy_after(text, "\"state\":\"", "\"", request.state, sizeof(request.state));
    copy_after(text, "\r\nAuthorization: ", "\r", request.authorization,
               sizeof(request.authorization));
    (void)pthread_mutex_lock(&server->lock);
    if (server->count < SERVER_REQUESTS_MAX) {
        status = server->statuses[server->count] != 0 ? server->statuses[server->count] : 200;
        server->requests[server->count++] = request;
    }
    (void)pthread_mutex_unlock(&server->lock);
    return status;
}

static void serve(struct route_server *server, int handle, char *text)
{
    char answer[512];

    while (read_request(server, handle, text)) {
        const int status = note_request(server, text);

        while (status == SERVER_HANGS && !atomic_load(&server->is_over)) {
            char end;

            if (is_readable(server, handle) && recv(handle, &end, 1, 0) <= 0) {
                return; /* the peer has lost its patience */
            }
        }
        const int length =
            snprintf(answer, sizeof(answer), "HTTP/1.1 %d It\r\n%sContent-Length: 2\r\n\r\nno",
                     status, status != 200 && server->headers != NULL ? server->headers : "");

        if (send(handle, answer, (size_t)length, MSG_NOSIGNAL) != length) {
            return;
        }
    }
}

static void *run(void *context)
{
    struct route_server *server = context;
    char *text = malloc(REQUEST_BYTES_MAX);

    while (text != NULL && is_readable(server, server->listener)) {
        const int handle = accept(server->listener, NULL, NULL);

        if (handle >= 0) {
            serve(server, handle, text);
            (void)close(handle);
        }
    }
    free(text);
    return NULL;
}

bool route_server_start(struct route_server *server)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(name);

    (void)pthread_mutex_init(&server->lock, NULL);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->listener < 0 ||
        bind(server->listener, (const struct sockaddr *)&name, sizeof(name)) != 0 ||
        listen(server->listener, 16) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&name, &length) != 0) {
        return false;
    }
    (void)snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u/hook",
                   (unsigned)ntohs(name.sin_port));
    return pthread_create(&server->thread, NULL, run, server) == 0;
}

void route_server_stop(struct route_server *server)
{
    atomic_store(&server->is_over, true);
    (void)pthread_join(server->thread, NULL);
    (void)close(server->listener);
    (void)pthread_mutex_destroy(&server->lock);
}

unsigned route_server_count(struct route_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    const unsigned count = server->count;

    (void)pthread_mutex_unlock(&server->lock);
    return count;
}
