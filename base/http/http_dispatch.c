#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/http/http_private.h"

/* Content-Length: -1 absent, -2 unreadable (a repeated one comes joined by a comma and is
 * unreadable too). */
static int64_t content_length(struct http_request *request)
{
    const char *const text = http_request_header_copy(request, "Content-Length");
    if (text == NULL) {
        return -1;
    }
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0') {
        return -2;
    }
    return strtoll(text, NULL, 10);
}

static bool is_last_request(struct http_request *request)
{
    char version[16] = "";
    const int copied =
        lws_hdr_copy(request->connection->wsi, version, sizeof version, WSI_TOKEN_HTTP);
    const char *const wish = http_request_header_copy(request, "Connection");
    return copied < 0 || strcmp(version, "HTTP/1.1") != 0 ||
           (wish != NULL && strcasestr(wish, "close") != NULL);
}

static bool host_is_good(struct http_connection *connection)
{
    struct http_request *const request = &connection->request;
    const char *const host = http_request_header_copy(request, "Host");
    if (host == NULL) {
        http_answer_refuse(connection, 400, "MISSING_HOST", "The request has no Host header.");
        return false;
    }
    if (!http_guard_host(&connection->server->guard, host)) {
        http_answer_refuse(
            connection, 421, "UNKNOWN_HOST",
            "The Host header does not name this server. Add the name to the allowed hosts, or use "
            "the address.");
        return false;
    }
    return true;
}

/* A browser always tells where an upgrade or a POST comes from; programs that send no Origin are no
 * browsers. */
static bool origin_is_good(struct http_connection *connection)
{
    struct http_request *const request = &connection->request;
    const char *const origin = http_request_header_copy(request, "Origin");
    const char *const host = http_request_header_copy(request, "Host");
    const char *const site = http_request_header_copy(request, "Sec-Fetch-Site");
    const bool is_foreign = origin == NULL && site != NULL && strcmp(site, "same-origin") != 0 &&
                            strcmp(site, "none") != 0;
    if (is_foreign ||
        (origin != NULL &&
         (host == NULL || !http_guard_origin(&connection->server->guard, origin, host)))) {
        http_answer_refuse(connection, 403, "FOREIGN_ORIGIN",
                           "The request comes from a page of another origin.");
        return false;
    }
    return true;
}

static bool is_authorized(struct http_connection *connection)
{
    const struct http_server_options *const options = &connection->server->options;
    if (options->authorize == NULL) {
        return true;
    }
    switch (options->authorize(&connection->request)) {
    case HTTP_AUTH_ALLOW:
        return true;
    case HTTP_AUTH_ANSWERED:
        counter_add(&connection->server->counters.auth_refused, 1);
        return false;
    case HTTP_AUTH_FORBIDDEN:
        counter_add(&connection->server->counters.auth_refused, 1);
        http_problem(
            &connection->request, 403, "PERMISSION_DENIED",
            options->forbidden != NULL ? options->forbidden : "This login may not do that.", -1);
        return false;
    case HTTP_AUTH_UNKNOWN:
    default:
        counter_add(&connection->server->counters.auth_refused, 1);
        http_headers_add(&connection->request.headers, "WWW-Authenticate", options->authenticate);
        http_problem(&connection->request, 401, "UNAUTHENTICATED", "Log in or send a token.", -1);
        return false;
    }
}

static void answer_no_method(struct http_request *request, unsigned allowed)
{
    char allow[64] = "";
    size_t length = 0;
    for (unsigned method = 0; method < HTTP_METHOD_COUNT; method++) {
        if ((allowed & (1u << method)) != 0) {
            length += (size_t)snprintf(allow + length, sizeof allow - length, "%s%s",
                                       length > 0 ? ", " : "", http_method_name(method));
        }
    }
    http_headers_add(&request->headers, "Allow", allow);
    char detail[96];
    (void)snprintf(detail, sizeof detail, "The path knows %s alone.", allow);
    http_problem(request, 405, "METHOD_NOT_ALLOWED", detail, -1);
}

static void answer_unknown(struct http_request *request)
{
    http_problem(request, 404, "NO_SUCH_PATH", "There is nothing at this path.", -1);
}

static bool is_socket_path(const struct http_server *server, const char *path)
{
    for (const struct http_ws_protocol *row = server->options.ws_protocols;
         row != NULL && row->name != NULL; row++) {
        if (strcmp(row->path, path) == 0) {
            return true;
        }
    }
    return false;
}

static void answer_socket(struct http_request *request)
{
    http_headers_add(&request->headers, "Upgrade", "websocket");
    http_problem(request, 426, "UPGRADE_REQUIRED", "This path is a WebSocket.", -1);
}

/* Sets the handler, or answers. */
static void choose_handler(struct http_connection *connection)
{
    struct http_request *const request = &connection->request;
    const struct http_server_options *const options = &connection->server->options;
    unsigned allowed = 0;
    const struct http_route *const route = http_route_find(
        options->routes, request->method, request->path, &request->params, &allowed);
    if (route != NULL) {
        const bool is_reading = request->method == HTTP_GET || request->method == HTTP_HEAD ||
                                (route->flags & HTTP_READ_ONLY) != 0;
        if (!is_reading || (route->flags & HTTP_STATE_CHANGING) != 0) {
            if (!origin_is_good(connection)) {
                return;
            }
            if (http_request_header_copy(request, "X-NetScope") == NULL) {
                http_answer_refuse(
                    connection, 403, "MISSING_HEADER",
                    "A request that changes something needs the header X-NetScope: 1.");
                return;
            }
        }
        if ((route->flags & HTTP_NO_AUTH) == 0 && !is_authorized(connection)) {
            return;
        }
        request->handler = route->handler;
        return;
    }
    if (allowed != 0) {
        answer_no_method(request, allowed);
        return;
    }
    const bool is_reading = request->method == HTTP_GET || request->method == HTTP_HEAD;
    if (is_reading &&
        (http_assets_answer(request, request->path) || http_assets_answer_page(request))) {
        return;
    }
    if (request->method == HTTP_METHOD_COUNT) {
        answer_no_method(request, 1u << HTTP_GET | 1u << HTTP_HEAD);
        return;
    }
    if (!is_authorized(connection)) {
        return;
    }
    if (is_socket_path(connection->server, request->path)) {
        request->handler = answer_socket;
        return;
    }
    request->handler = is_reading && options->fallback != NULL ? options->fallback : answer_unknown;
}

static void handle(struct http_connection *connection)
{
    struct http_request *const request = &connection->request;
    connection->state = HTTP_CONNECTION_IDLE;
    request->handler(request);
    if (connection->state == HTTP_CONNECTION_IDLE) {
        http_problem(request, 500, "NO_ANSWER", "The server found no answer.", -1);
    }
    /* The library forgets the parsed head with the transaction; ours goes now, so that a deferred
     * answer holds no memory of the request. */
    if (connection->state == HTTP_CONNECTION_DEFERRED) {
        http_request_fini(request);
    }
}

/* Room for the body, or an answer that says why not. True: bytes will follow. */
static bool expect_body(struct http_connection *connection, int64_t length)
{
    struct http_request *const request = &connection->request;
    request->body_capacity = (size_t)length;
    request->body = calloc(1, (size_t)length + 1);
    if (request->body == NULL) {
        http_answer_refuse(connection, 503, "NO_MEMORY", "There is no memory for the body.");
        return false;
    }
    connection->state = HTTP_CONNECTION_BODY;
    return true;
}

static bool size_is_good(struct http_connection *connection, int64_t length)
{
    const struct http_server_options *const options = &connection->server->options;
    struct http_request *const request = &connection->request;
    size_t url_bytes = strlen(request->path);
    const int query_bytes = lws_hdr_total_length(connection->wsi, WSI_TOKEN_HTTP_URI_ARGS);
    url_bytes += query_bytes > 0 ? (size_t)query_bytes + 1 : 0;
    if (url_bytes > options->url_bytes_max) {
        http_answer_refuse(connection, 414, "URL_TOO_LONG",
                           "The URL is longer than the server takes.");
        return false;
    }
    if (http_request_header_copy(request, "Transfer-Encoding") != NULL) {
        http_answer_refuse(connection, 411, "LENGTH_REQUIRED",
                           "Send the body with Content-Length.");
        return false;
    }
    if (length == -2) {
        http_answer_refuse(connection, 400, "BAD_CONTENT_LENGTH",
                           "Content-Length is not one number.");
        return false;
    }
    const char *const coding = http_request_header_copy(request, "Content-Encoding");
    if (coding != NULL && strcasecmp(coding, "identity") != 0) {
        http_headers_add(&request->headers, "Accept-Encoding", "identity");
        http_answer_refuse(connection, 415, "UNKNOWN_ENCODING",
                           "Send the body as it is, without Content-Encoding.");
        return false;
    }
    if (length > 0 && (uint64_t)length > options->request_body_bytes_max) {
        http_answer_refuse(connection, 413, "BODY_TOO_LARGE",
                           "The body is larger than the server takes.");
        return false;
    }
    return true;
}

int http_dispatch_head(struct http_connection *connection)
{
    struct http_request *const request = &connection->request;
    request->connection = connection;
    connection->is_head = false;
    connection->is_last = true;
    connection->may_have_body = false;
    connection->has_pipelined = false;
    counter_add(&connection->server->counters.requests, 1);
    if (!http_request_read(connection)) {
        http_answer_refuse(connection, 400, "BAD_URL", "The URL cannot be read.");
        return 0;
    }
    connection->is_head = request->method == HTTP_HEAD;
    const int64_t length = content_length(request);
    connection->may_have_body = length > 0 || length == -2 ||
                                http_request_header_copy(request, "Transfer-Encoding") != NULL;
    if (!size_is_good(connection, length) || !host_is_good(connection)) {
        return 0;
    }
    /* Without a length the library takes what follows a POST for its body, up to the end of the
     * connection. */
    const bool is_open_ended =
        length < 0 && (request->method == HTTP_POST || request->method == HTTP_PUT ||
                       request->method == HTTP_PATCH);
    connection->is_last =
        is_last_request(request) || is_open_ended ||
        atomic_load_explicit(&connection->server->is_stopping, memory_order_relaxed);
    choose_handler(connection);
    if (request->handler == NULL) {
        if (connection->may_have_body) {
            connection->is_last = true;
        }
        return 0;
    }
    if (length > 0 && expect_body(connection, length)) {
        http_connection_timer(connection,
                              connection->server->options.request_timeout_s * NS_PER_SEC);
        return 0;
    }
    if (connection->state == HTTP_CONNECTION_IDLE) {
        handle(connection);
    }
    return 0;
}

int http_dispatch_body(struct http_connection *connection, const void *data, size_t bytes)
{
    struct http_request *const request = &connection->request;
    if (connection->state != HTTP_CONNECTION_BODY) {
        return 0; /* already answered: what comes is thrown away */
    }
    if (bytes > request->body_capacity - request->body_bytes) {
        return -1;
    }
    if (bytes > 0) {
        memcpy(request->body + request->body_bytes, data, bytes);
        request->body_bytes += bytes;
        counter_add(&connection->server->counters.bytes_received, bytes);
    }
    return 0;
}

int http_dispatch_body_end(struct http_connection *connection)
{
    /* The library says so again for every byte of a pipelined request: the state knows. */
    if (connection->state == HTTP_CONNECTION_BODY) {
        connection->may_have_body = false;
        handle(connection);
    }
    return 0;
}

static const struct http_ws_protocol *choose_protocol(const struct http_server *server,
                                                      const char *list, const char *path)
{
    const struct http_ws_protocol *chosen = NULL;
    for (const char *at = list; *at != '\0' && chosen == NULL;) {
        at += strspn(at, " \t,");
        const size_t bytes = strcspn(at, " \t,");
        if (bytes == strlen(server->protocols[0].name) &&
            memcmp(at, server->protocols[0].name, bytes) == 0) {
            return NULL; /* the library's row for plain HTTP is not for sockets */
        }
        for (const struct http_ws_protocol *row = server->options.ws_protocols;
             row != NULL && row->name != NULL; row++) {
            if (bytes == strlen(row->name) && memcmp(at, row->name, bytes) == 0) {
                chosen = row;
                break;
            }
        }
        at += bytes;
    }
    return chosen != NULL && strcmp(chosen->path, path) == 0 ? chosen : NULL;
}

static void check_upgrade(struct http_connection *connection)
{
    struct http_request *const request = &connection->request;
    struct http_server *const server = connection->server;
    const char *const list = http_request_header_copy(request, "Sec-WebSocket-Protocol");
    const char *const version = http_request_header_copy(request, "Sec-WebSocket-Version");
    const struct http_ws_protocol *const protocol =
        choose_protocol(server, list != NULL ? list : "", request->path);

    if (request->method != HTTP_GET || connection->may_have_body) {
        http_answer_refuse(connection, 400, "BAD_UPGRADE", "An upgrade is a GET without a body.");
    } else if (!is_socket_path(server, request->path)) {
        http_answer_refuse(connection, 404, "NO_SUCH_PATH", "There is no WebSocket at this path.");
    } else if (!origin_is_good(connection) || !is_authorized(connection)) {
        return; /* answered */
    } else if (version == NULL || strcmp(version, "13") != 0) {
        http_headers_add(&request->headers, "Sec-WebSocket-Version", "13");
        http_answer_refuse(connection, 426, "WEBSOCKET_VERSION",
                           "The server speaks version 13 (RFC 6455).");
    } else if (protocol == NULL || list == NULL || strlen(list) > 120) {
        http_answer_refuse(connection, 400, "UNKNOWN_SUBPROTOCOL",
                           "Offer a subprotocol that this path speaks.");
    } else if (counter_get(&server->counters.ws_clients) >= server->options.ws_connections_max) {
        http_answer_refuse(connection, 503, "TOO_MANY_CLIENTS",
                           "The server has as many live clients as it takes.");
    } else {
        connection->ws_protocol = protocol;
    }
}

int http_dispatch_upgrade(struct http_connection *connection)
{
    struct http_request *const request = &connection->request;
    /* After an upgrade to something unknown the library asks with its header table already freed.
     */
    if (lws_hdr_total_length(connection->wsi, WSI_TOKEN_UPGRADE) <= 0) {
        return -1;
    }
    request->connection = connection;
    connection->is_last = true;
    connection->is_head = false;
    counter_add(&connection->server->counters.requests, 1);
    if (!http_request_read(connection)) {
        return -1;
    }
    const char *const upgrade = http_request_header_copy(request, "Upgrade");
    const int64_t length = content_length(request);
    connection->may_have_body = length != -1 && length != 0;
    if (size_is_good(connection, length) && host_is_good(connection)) {
        if (upgrade == NULL || strcasecmp(upgrade, "websocket") != 0) {
            http_answer_refuse(connection, 400, "UNKNOWN_UPGRADE",
                               "The server upgrades to websocket only.");
        } else {
            check_upgrade(connection);
        }
    }
    if (connection->ws_protocol != NULL) {
        return 0;
    }
    /* The library hangs up after this, flushing first; an answer of this size goes out in one
     * piece. */
    http_answer_write(connection);
    return -1;
}
