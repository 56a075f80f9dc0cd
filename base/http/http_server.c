#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http/http_listen.h"
#include "base/http/http_private.h"
#include "base/log.h"
#include "base/thread.h"

/* No client has a reason to ask for this row as a subprotocol; whoever does is refused. */
#define HTTP_PLAIN_PROTOCOL "netscope-plain-http"

/* The library links headers by offsets of 16 bits. */
#define HTTP_HEAD_BYTES_MAX 60000

/* No inline script or style is needed by the pages. */
static const char security_headers[] = "Content-Security-Policy: default-src 'none'; script-src "
                                       "'self'; style-src 'self'; img-src 'self' data:; "
                                       "font-src 'self'; connect-src 'self'; base-uri 'none'; "
                                       "form-action 'none'; frame-ancestors 'none'\r\n"
                                       "X-Content-Type-Options: nosniff\r\n"
                                       "Referrer-Policy: no-referrer\r\n"
                                       "Cross-Origin-Opener-Policy: same-origin\r\n"
                                       "Cross-Origin-Resource-Policy: same-origin\r\n";

/* The library's own words: errors are our warnings, since a client can cause most of them. The last
 * one is kept for the sentence of a failed start. */
static _Thread_local char last_complaint[200];

static void library_log(int level, const char *line)
{
    char text[sizeof last_complaint];
    size_t bytes = 0;
    for (; line[bytes] != '\0' && line[bytes] != '\n' && bytes + 1 < sizeof text; bytes++) {
        text[bytes] = line[bytes];
    }
    text[bytes] = '\0';
    if (bytes == 0) {
        return;
    }
    if (level == LLL_ERR) {
        memcpy(last_complaint, text, sizeof text);
    }
    char quoted[2 * sizeof text + 8];
    log_debug(HTTP_LOG_PART, "libwebsockets", "level=%d text=%s", level,
              log_quote(text, quoted, (uint32_t)sizeof quoted));
}

/* ---- The loop ---- */

static void read_inbox(struct http_server *server)
{
    struct http_inbox *const inbox = server->inbox;
    pthread_mutex_lock(&inbox->lock);
    struct http_deferred *answers = inbox->answers;
    struct http_ws *sockets = inbox->sockets;
    inbox->answers = NULL;
    inbox->sockets = NULL;
    inbox->is_signalled = false;
    pthread_mutex_unlock(&inbox->lock);
    /* A socket is marked as in the inbox until it is taken from this chain, so no sender touches
     * its link. */
    while (sockets != NULL) {
        struct http_ws *const ws = sockets;
        pthread_mutex_lock(&inbox->lock);
        sockets = ws->next;
        ws->is_in_inbox = false;
        pthread_mutex_unlock(&inbox->lock);
        if (ws->wsi != NULL) {
            lws_callback_on_writable(ws->wsi);
        }
        http_ws_unref(ws);
    }
    while (answers != NULL) {
        struct http_deferred *const deferred = answers;
        answers = deferred->next;
        http_deferred_deliver(server, deferred);
    }
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t bytes)
{
    struct lws_context *const context = lws_get_context(wsi);
    struct http_server *const server = context != NULL ? lws_context_user(context) : NULL;
    if (server == NULL) {
        return 0;
    }
    switch (reason) {
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        server->events++;
        read_inbox(server);
        return 0;
    case LWS_CALLBACK_RAW_RX_FILE:
        if (wsi == server->listener) {
            server->events++;
            http_tls_refresh(server); /* what comes now is greeted with it */
            http_connection_accept(server);
            return 0;
        }
        return -1;
    case LWS_CALLBACK_RAW_CLOSE_FILE:
        if (wsi == server->listener) {
            server->listener = NULL;
        }
        return 0;
    default:
        return http_connection_event(wsi, reason, user, in, bytes);
    }
}

/* Asks every connection to end: sockets get 1001, idle ones go, answers under way may finish. */
static void end_connections(struct http_server *server)
{
    if (server->listener != NULL) {
        lws_set_timeout(server->listener, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    }
    for (struct http_connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        connection->is_last = true;
        if (connection->ws != NULL) {
            http_ws_close(connection->ws, 1001, "the server stops");
        } else if (connection->wsi != NULL && (connection->state == HTTP_CONNECTION_IDLE ||
                                               connection->state == HTTP_CONNECTION_BODY)) {
            lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
        }
    }
}

static void *run(void *argument)
{
    struct http_server *const server = argument;
    unsigned empty_turns = 0;
    while (!atomic_load_explicit(&server->is_stopping, memory_order_acquire)) {
        const uint64_t events = server->events;
        if (lws_service(server->context, 0) < 0) {
            break;
        }
        /* Bytes that arrive while an answer is awaited are not read by the library, and its poll
         * returns at once for them: many turns in which nothing happened are slowed down, or one
         * client could keep a core busy. */
        empty_turns = events == server->events ? empty_turns + 1 : 0;
        if (empty_turns > 64) {
            usleep(1000);
        }
    }
    const uint64_t deadline_ns = clock_monotonic_ns() + 2 * NS_PER_SEC;
    end_connections(server);
    while (server->connections != NULL && clock_monotonic_ns() < deadline_ns) {
        lws_service(server->context, -1);
        usleep(2000);
    }
    pthread_mutex_lock(&server->inbox->lock);
    server->inbox->context = NULL;
    pthread_mutex_unlock(&server->inbox->lock);
    read_inbox(server);
    lws_context_destroy(server->context);
    server->context = NULL;
    while (server->connections != NULL) { /* those the library never came to know whole */
        struct http_connection *const connection = server->connections;
        server->connections = connection->next;
        free(connection);
    }
    return NULL;
}

/* ---- Start ---- */

static void fill_defaults(struct http_server_options *options)
{
    options->address = options->address != NULL ? options->address : "127.0.0.1";
    options->api_prefix = options->api_prefix != NULL ? options->api_prefix : "/v1/";
    options->authenticate =
        options->authenticate != NULL ? options->authenticate : "Bearer realm=\"netscope\"";
#define DEFAULT(member, value) options->member = options->member != 0 ? options->member : (value)
    DEFAULT(connections_max, 1024);
    DEFAULT(ws_connections_max, 256);
    DEFAULT(request_body_bytes_max, (size_t)1 << 20);
    DEFAULT(url_bytes_max, 8 << 10);
    DEFAULT(header_bytes_max, 16 << 10);
    DEFAULT(idle_timeout_s, 60);
    DEFAULT(request_timeout_s, 20);
    DEFAULT(deferred_timeout_s, 60);
    DEFAULT(ws_message_down_bytes, (size_t)1 << 20);
    DEFAULT(ws_message_up_bytes, 4 << 10);
    DEFAULT(ws_queue_bytes, 256 << 10);
    DEFAULT(ws_ping_interval_s, 30);
#undef DEFAULT
}

static int check_tables(const struct http_server_options *options, struct error *err)
{
    for (const struct http_route *row = options->routes; row != NULL && row->pattern != NULL;
         row++) {
        if (!http_route_is_valid(row->pattern) || row->handler == NULL) {
            return error_set(err, EINVAL, "route %s: not a pattern, or no handler", row->pattern);
        }
    }
    for (const struct http_ws_protocol *row = options->ws_protocols;
         row != NULL && row->name != NULL; row++) {
        for (const struct http_ws_protocol *other = options->ws_protocols; other != row; other++) {
            if (strcmp(other->name, row->name) == 0) {
                return error_set(err, EINVAL, "subprotocol %s: registered twice", row->name);
            }
        }
    }
    if ((options->tls_certificate_path == NULL) != (options->tls_key_path == NULL)) {
        return error_set(err, EINVAL, "TLS needs both a certificate and its key");
    }
    if (options->header_bytes_max + options->url_bytes_max > HTTP_HEAD_BYTES_MAX) {
        return error_set(err, EINVAL, "limits: headers and URL together may have at most %d bytes",
                         HTTP_HEAD_BYTES_MAX);
    }
    const char *const paths[] = {options->tls_certificate_path, options->tls_key_path};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        if (paths[i] != NULL && access(paths[i], R_OK) != 0) {
            return error_set(err, errno, "open %s: %s", paths[i], strerror(errno));
        }
    }
    return 0;
}

static int make_common_headers(struct http_server *server, struct error *err)
{
    struct http_headers extra = {0};
    for (const char *const *row = server->options.extra_headers; row != NULL && *row != NULL;
         row++) {
        const char *const colon = strchr(*row, ':');
        char name[64] = "";
        if (colon != NULL && (size_t)(colon - *row) < sizeof name) {
            memcpy(name, *row, (size_t)(colon - *row));
        }
        if (colon == NULL || !http_headers_add(&extra, name, colon + 1 + strspn(colon + 1, " "))) {
            http_headers_free(&extra);
            return error_set(err, EINVAL, "extra header \"%s\": not of the form \"Name: value\"",
                             *row);
        }
    }
    server->common_headers = calloc(1, sizeof security_headers + extra.bytes);
    if (server->common_headers != NULL) {
        memcpy(server->common_headers, security_headers, sizeof security_headers - 1);
        if (extra.bytes > 0) {
            memcpy(server->common_headers + sizeof security_headers - 1, extra.text, extra.bytes);
        }
    }
    http_headers_free(&extra);
    return server->common_headers != NULL ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int make_protocols(struct http_server *server, struct error *err)
{
    size_t count = 0;
    for (const struct http_ws_protocol *row = server->options.ws_protocols;
         row != NULL && row->name != NULL; row++) {
        count++;
    }
    server->protocols = calloc(count + 2, sizeof *server->protocols);
    if (server->protocols == NULL) {
        return error_set(err, ENOMEM, "out of memory");
    }
    for (size_t i = 0; i <= count; i++) {
        server->protocols[i].name =
            i == 0 ? HTTP_PLAIN_PROTOCOL : server->options.ws_protocols[i - 1].name;
        server->protocols[i].callback = on_event;
        server->protocols[i].rx_buffer_size = 4096;
        /* Without this a long answer leaves in pieces of rx_buffer_size, one a turn: measured as a
         * tenfold cost. */
        server->protocols[i].tx_packet_size = HTTP_PIECE_BYTES;
    }
    return 0;
}

static int make_context(struct http_server *server, struct error *err)
{
    const struct http_server_options *const options = &server->options;
    const bool is_tls = options->tls_certificate_path != NULL;
    server->retry.secs_since_valid_ping = (uint16_t)options->ws_ping_interval_s;
    server->retry.secs_since_valid_hangup = (uint16_t)(options->ws_ping_interval_s * 2);
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER, /* the socket is ours: see http_listen.h */
        .protocols = server->protocols,
        .vhost_name = "netscope",
        .options =
            LWS_SERVER_OPTION_EXPLICIT_VHOSTS | (is_tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .ssl_cert_filepath = options->tls_certificate_path,
        .ssl_private_key_filepath = options->tls_key_path,
        .alpn = "http/1.1", /* the answers are written for HTTP/1 */
        .user = server,
        .gid = -1,
        .uid = -1,
        .fd_limit_per_thread = options->connections_max + 16,
        .max_http_header_data2 = (unsigned)(options->header_bytes_max + options->url_bytes_max),
        .max_http_header_pool2 = options->connections_max + 16,
        .keepalive_timeout = (int)options->idle_timeout_s,
        .timeout_secs = options->request_timeout_s,
        .timeout_secs_ah_idle = options->request_timeout_s,
        .pt_serv_buf_size = 16384,
        .retry_and_idle_policy = &server->retry,
    };
    http_tls_note(server);
    server->context = lws_create_context(&info);
    if (server->context == NULL) {
        return error_set(err, ENOMEM, "start the HTTP library: %s", last_complaint);
    }
    server->vhost = lws_create_vhost(server->context, &info);
    if (server->vhost == NULL) {
        return is_tls
                   ? error_set(err, EINVAL, "TLS certificate %s with key %s is refused: %s",
                               options->tls_certificate_path, options->tls_key_path, last_complaint)
                   : error_set(err, ENOMEM, "start the HTTP library: %s", last_complaint);
    }
    const lws_adopt_desc_t listener = {
        .vh = server->vhost,
        .type = LWS_ADOPT_RAW_FILE_DESC,
        .fd = {.filefd = server->listen_fd},
        .vh_prot_name = HTTP_PLAIN_PROTOCOL,
    };
    server->listener = lws_adopt_descriptor_vhost_via_info(&listener);
    return server->listener != NULL
               ? 0
               : error_set(err, ENOMEM, "start the HTTP library: %s", last_complaint);
}

static void server_free(struct http_server *server)
{
    if (server->context != NULL) {
        lws_context_destroy(server->context);
    } else if (server->listen_fd >= 0) {
        close(server->listen_fd);
    }
    http_inbox_unref(server->inbox);
    free(server->common_headers);
    free(server->protocols);
    free(server);
}

static int start(struct http_server *server, struct error *err)
{
    int code = check_tables(&server->options, err);
    if (code != 0) {
        return code;
    }
    server->port = server->options.port;
    server->listen_fd = http_listen(server->options.address, &server->port, err);
    if (server->listen_fd < 0) {
        return server->listen_fd;
    }
    server->inbox = http_inbox_new();
    if (server->inbox == NULL) {
        return error_set(err, ENOMEM, "out of memory");
    }
    code = make_common_headers(server, err);
    code = code != 0 ? code : make_protocols(server, err);
    code = code != 0 ? code : make_context(server, err);
    if (code != 0) {
        return code;
    }
    server->inbox->context = server->context;
    const int failure = thread_start(&server->thread, run, server);

    return failure == 0 ? 0
                        : error_set(err, failure, "start the HTTP thread: %s", strerror(failure));
}

struct http_server *http_server_start(const struct http_server_options *options, struct error *err)
{
    lws_set_log_level(LLL_ERR | LLL_WARN, library_log);
    http_connection_watch_pipelining();
    struct http_server *const server = calloc(1, sizeof *server);
    if (server == NULL) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    server->listen_fd = -1;
    server->options = *options;
    fill_defaults(&server->options);
    server->guard = (struct http_guard){.address = server->options.address,
                                        .allowed_hosts = server->options.allowed_hosts,
                                        .is_tls = server->options.tls_certificate_path != NULL};
    if (start(server, err) != 0) {
        server_free(server);
        return NULL;
    }
    return server;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_stop(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    atomic_store_explicit(&server->is_stopping, true, memory_order_release);
    pthread_mutex_lock(&server->inbox->lock);
    if (server->inbox->context != NULL) {
        lws_cancel_service(server->inbox->context);
    }
    pthread_mutex_unlock(&server->inbox->lock);
    pthread_join(server->thread, NULL);
    server->listen_fd = -1; /* closed with the context */
    server_free(server);
}

void http_server_stats(const struct http_server *server, struct http_server_stats *out)
{
    const struct http_counters *const from = &server->counters;
    *out = (struct http_server_stats){
        .connections_accepted = counter_get(&from->connections_accepted),
        .connections_refused = counter_get(&from->connections_refused),
        .connections_open = counter_get(&from->connections_open),
        .requests = counter_get(&from->requests),
        .bytes_sent = counter_get(&from->bytes_sent),
        .bytes_received = counter_get(&from->bytes_received),
        .requests_refused = counter_get(&from->requests_refused),
        .auth_refused = counter_get(&from->auth_refused),
        .deferred_dropped = counter_get(&from->deferred_dropped),
        .ws_clients = counter_get(&from->ws_clients),
        .ws_accepted = counter_get(&from->ws_accepted),
        .ws_messages_sent = counter_get(&from->ws_messages_sent),
        .ws_messages_received = counter_get(&from->ws_messages_received),
        .ws_full = counter_get(&server->inbox->ws_full),
    };
    for (size_t i = 0; i < ARRAY_COUNT(out->responses_by_class); i++) {
        out->responses_by_class[i] = counter_get(&from->responses_by_class[i]);
    }
}
