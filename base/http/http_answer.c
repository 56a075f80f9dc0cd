#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/http/http_private.h"
#include "base/json_writer.h"
#include "base/log.h"

/* What the loop packs itself, at 0.6 ms for each 100 kB: more would keep other connections waiting.
 */
#define LOOP_GZIP_BYTES_MAX ((size_t)512 << 10)

static const struct {
    unsigned status;
    const char *title;
} titles[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

const char *http_status_title(unsigned status)
{
    for (size_t i = 0; i < ARRAY_COUNT(titles); i++) {
        if (titles[i].status == status) {
            return titles[i].title;
        }
    }
    return "Status";
}

void http_answer_fini(struct http_answer *answer)
{
    http_buffer_unref(answer->head);
    http_headers_free(&answer->headers);
    free(answer->content_type);
    http_buffer_unref(answer->body_buffer);
    *answer = (struct http_answer){0};
}

/* The head is written by hand: the answers then carry our headers and no others. */
static struct http_buffer *make_head(const struct http_connection *connection)
{
    const unsigned status = connection->answer.status;
    const char *const content_type = connection->answer.content_type;
    const struct http_headers *const headers = &connection->answer.headers;
    const bool has_length = status != 204 && status != 304;
    const char *const common = connection->server->common_headers;
    const size_t room =
        512 + strlen(common) + headers->bytes + (content_type != NULL ? strlen(content_type) : 0);
    struct http_buffer *const head = http_buffer_new(room);
    if (head == NULL) {
        return NULL;
    }
    char length_line[64] = "";
    if (has_length) {
        snprintf(length_line, sizeof length_line, "Content-Length: %zu\r\n",
                 connection->answer.content_bytes);
    }
    const int written =
        snprintf((char *)head->data, room, "HTTP/1.1 %u %s\r\n%s%s%s%s%s%s%s%.*s\r\n", status,
                 http_status_title(status), content_type != NULL ? "Content-Type: " : "",
                 content_type != NULL ? content_type : "", content_type != NULL ? "\r\n" : "",
                 length_line, headers->has_cache_control ? "" : "Cache-Control: no-store\r\n",
                 connection->is_last ? "Connection: close\r\n" : "", common, (int)headers->bytes,
                 headers->text != NULL ? headers->text : "");
    assert(written > 0 && (size_t)written < room);
    head->bytes = (size_t)written;
    return head;
}

/* Refusals at level debug, all others at trace; without the query, which may hold what is nobody
 * else's business. */
static void tell(const struct http_connection *connection, unsigned status, size_t bytes)
{
    const enum log_level level = status < 400 ? LOG_TRACE : LOG_DEBUG;
    char path[2 * sizeof connection->path + 8];
    if (log_enabled(level)) {
        log_line(level, HTTP_LOG_PART,
                 status < 400 ? "a request is answered" : "a request is refused",
                 "method=%s path=%s status=%u bytes=%zu peer=%s",
                 connection->verb != NULL ? connection->verb : "other",
                 log_quote(connection->path, path, (uint32_t)sizeof path), status, bytes,
                 connection->peer);
    }
}

static void answer(struct http_connection *connection, unsigned status, const char *content_type,
                   struct http_buffer *buffer, const uint8_t *constant, size_t bytes,
                   struct http_headers *headers)
{
    assert(connection->state != HTTP_CONNECTION_ANSWERING && "one request, one answer");
    http_answer_fini(&connection->answer);
    connection->answer.status = status;
    connection->answer.content_type = content_type != NULL ? strdup(content_type) : NULL;
    connection->answer.headers = *headers;
    connection->answer.content_bytes = bytes;
    *headers = (struct http_headers){0};
    connection->answer.body_buffer = buffer;
    connection->answer.body_constant = constant;
    connection->answer.body_bytes =
        connection->is_head || status == 204 || status == 304 ? 0 : bytes;
    connection->state = HTTP_CONNECTION_ANSWERING;
    tell(connection, status, bytes);
    const unsigned class = status / 100;
    counter_add(&connection->server->counters.responses_by_class[class <= 5 ? class : 0], 1);
    if (connection->wsi != NULL) {
        http_connection_timer(connection, 250 * NS_PER_MS);
        lws_callback_on_writable(connection->wsi);
    }
}

void http_answer_buffer(struct http_connection *connection, unsigned status,
                        const char *content_type, struct http_buffer *body,
                        struct http_headers *headers)
{
    answer(connection, status, content_type, body, body != NULL ? body->data : NULL,
           body != NULL ? body->bytes : 0, headers);
}

void http_answer_constant(struct http_connection *connection, unsigned status,
                          const char *content_type, const uint8_t *body, size_t body_bytes,
                          struct http_headers *headers)
{
    answer(connection, status, content_type, NULL, body, body_bytes, headers);
}

struct http_buffer *http_problem_buffer(unsigned status, const char *path, const char *reason,
                                        const char *detail, int64_t column)
{
    /* Every byte may become an escape of six. */
    const size_t room = 512 + 6 * (strlen(path) + strlen(reason) + strlen(detail));
    struct http_buffer *const body = http_buffer_new(room);
    if (body == NULL) {
        return NULL;
    }
    struct json_writer json;
    json_init(&json, (char *)body->data, room);
    json_object_begin(&json);
    json_key(&json, "type");
    json_text(&json, "about:blank");
    json_key(&json, "title");
    json_text(&json, http_status_title(status));
    json_key(&json, "status");
    json_u64(&json, status);
    json_key(&json, "detail");
    json_text(&json, detail);
    json_key(&json, "instance");
    json_text(&json, path);
    json_key(&json, "reason");
    json_text(&json, reason);
    if (column >= 0) {
        json_key(&json, "pos");
        json_i64(&json, column);
    }
    json_object_end(&json);
    assert(!json.overflow);
    body->bytes = json.length;
    return body;
}

void http_answer_refuse(struct http_connection *connection, unsigned status, const char *reason,
                        const char *detail)
{
    connection->is_last = true;
    counter_add(&connection->server->counters.requests_refused, 1);
    http_problem(&connection->request, status, reason, detail, -1);
}

bool http_header(struct http_request *request, const char *name, const char *value)
{
    return http_headers_add(&request->headers, name, value);
}

void http_reply(struct http_request *request, unsigned status, const char *content_type,
                const void *body, size_t body_bytes)
{
    struct http_buffer *const copy = body_bytes > 0 ? http_buffer_from(body, body_bytes) : NULL;
    if (copy == NULL && body_bytes > 0) {
        status = 503;
        content_type = NULL;
    }
    http_reply_buffer(request, status, content_type, copy);
}

void http_reply_buffer(struct http_request *request, unsigned status, const char *content_type,
                       struct http_buffer *body)
{
    const char *const accept = http_request_header_copy(request, "Accept-Encoding");
    http_answer_buffer(request->connection, status, content_type,
                       http_gzip(body, status, content_type, http_accepts(accept, "gzip"),
                                 LOOP_GZIP_BYTES_MAX, &request->headers),
                       &request->headers);
}

void http_problem(struct http_request *request, unsigned status, const char *reason,
                  const char *detail, int64_t column)
{
    struct http_buffer *const body = http_problem_buffer(
        status, request->path != NULL ? request->path : "", reason, detail, column);
    http_reply_buffer(request, status, body != NULL ? "application/problem+json" : NULL, body);
}

/* The answer is out: back to waiting, or the end. */
static int finish(struct http_connection *connection)
{
    http_answer_fini(&connection->answer);
    http_request_fini(&connection->request);
    if (connection->has_pipelined) {
        connection->is_last = true; /* noticed too late for the header, still in time for us */
        connection->may_have_body = true;
    }
    if (!connection->is_last) {
        connection->state = HTTP_CONNECTION_IDLE;
        http_connection_timer(connection, ((uint64_t)connection->server->options.idle_timeout_s +
                                           connection->server->options.request_timeout_s) *
                                              NS_PER_SEC);
        return lws_http_transaction_completed(connection->wsi) != 0 ? -1 : 0;
    }
    if (!connection->may_have_body) {
        return -1;
    }
    /* A close with unread bytes would send a reset, and the client might lose the answer. */
    connection->state = HTTP_CONNECTION_LINGER;
    connection->deadline_ns = clock_monotonic_ns() + NS_PER_SEC;
    http_connection_timer(connection, 50 * NS_PER_MS);
    shutdown(lws_get_socket_fd(connection->wsi), SHUT_WR);
    return 0;
}

int http_answer_write(struct http_connection *connection)
{
    struct http_answer *const out = &connection->answer;
    if (out->head == NULL) {
        if (connection->has_pipelined) {
            connection->is_last = true;
            connection->may_have_body = true;
        }
        out->head = make_head(connection);
        if (out->head == NULL) {
            return -1;
        }
    }
    const size_t head_bytes = out->head->bytes;
    const size_t total = head_bytes + out->body_bytes;
    if (out->sent < head_bytes) {
        /* A small body rides along with the head: one packet, one system call. */
        const size_t body_bytes = total <= HTTP_PIECE_BYTES ? out->body_bytes : 0;
        struct http_buffer *first = out->head;
        if (body_bytes > 0) {
            first = http_buffer_new(head_bytes + body_bytes);
            if (first == NULL) {
                return -1;
            }
            memcpy(first->data, out->head->data, head_bytes);
            memcpy(first->data + head_bytes, out->body_constant, body_bytes);
        }
        const int written = http_connection_write(connection, first->data, head_bytes + body_bytes,
                                                  LWS_WRITE_HTTP_HEADERS);
        if (first != out->head) {
            http_buffer_unref(first);
        }
        if (written < 0) {
            return -1;
        }
        out->sent = head_bytes + body_bytes;
    } else if (out->sent < total) {
        const size_t at = out->sent - head_bytes;
        const size_t left = total - out->sent;
        const size_t piece = left < HTTP_PIECE_BYTES ? left : HTTP_PIECE_BYTES;
        /* HTTP/1 bodies go out as they are: the library does not write into them. */
        uint8_t *const from = (uint8_t *)(uintptr_t)out->body_constant + at;
        if (http_connection_write(connection, from, piece, LWS_WRITE_HTTP) < 0) {
            return -1;
        }
        out->sent += piece;
    }
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_HTTP_CONTENT,
                    (int)connection->server->options.request_timeout_s);
    if (out->sent < total || lws_partial_buffered(connection->wsi)) {
        lws_callback_on_writable(connection->wsi);
        return 0;
    }
    counter_add(&connection->server->counters.bytes_sent, out->body_bytes);
    return finish(connection);
}
