#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/http/http_private.h"

struct http_inbox *http_inbox_new(void)
{
    struct http_inbox *const inbox = calloc(1, sizeof *inbox);
    if (inbox != NULL) {
        pthread_mutex_init(&inbox->lock, NULL);
        atomic_init(&inbox->references, 1);
    }
    return inbox;
}

struct http_inbox *http_inbox_ref(struct http_inbox *inbox)
{
    atomic_fetch_add_explicit(&inbox->references, 1, memory_order_relaxed);
    return inbox;
}

void http_inbox_unref(struct http_inbox *inbox)
{
    if (inbox != NULL &&
        atomic_fetch_sub_explicit(&inbox->references, 1, memory_order_acq_rel) == 1) {
        pthread_mutex_destroy(&inbox->lock);
        free(inbox);
    }
}

void http_deferred_unref(struct http_deferred *deferred)
{
    if (atomic_fetch_sub_explicit(&deferred->references, 1, memory_order_acq_rel) == 1) {
        http_inbox_unref(deferred->inbox);
        http_buffer_unref(deferred->body);
        http_headers_free(&deferred->headers);
        free(deferred->content_type);
        free(deferred);
    }
}

struct http_deferred *http_defer(struct http_request *request)
{
    struct http_connection *const connection = request->connection;
    struct http_deferred *const deferred = calloc(1, sizeof *deferred);
    if (deferred == NULL) {
        http_problem(request, 503, "NO_MEMORY", "There is no memory for the request.", -1);
        return NULL;
    }
    atomic_init(&deferred->references, 2);
    atomic_init(&deferred->is_wanted, true);
    deferred->inbox = http_inbox_ref(connection->server->inbox);
    deferred->connection = connection;
    memcpy(deferred->path, connection->path, sizeof deferred->path);
    deferred->accepts_gzip =
        http_accepts(http_request_header_copy(request, "Accept-Encoding"), "gzip");
    /* What the handler has set with http_header goes along. */
    deferred->headers = request->headers;
    request->headers = (struct http_headers){0};
    connection->deferred = deferred;
    connection->state = HTTP_CONNECTION_DEFERRED;
    connection->deadline_ns =
        clock_monotonic_ns() + connection->server->options.deferred_timeout_s * NS_PER_SEC;
    lws_set_timeout(connection->wsi, NO_PENDING_TIMEOUT,
                    0); /* the timer of the connection watches */
    http_connection_timer(connection, 250 * NS_PER_MS);
    return deferred;
}

bool http_deferred_is_wanted(const struct http_deferred *deferred)
{
    return atomic_load_explicit(&((struct http_deferred *)(uintptr_t)deferred)->is_wanted,
                                memory_order_acquire);
}

bool http_deferred_header(struct http_deferred *deferred, const char *name, const char *value)
{
    return http_headers_add(&deferred->headers, name, value);
}

void http_reply_deferred(struct http_deferred *deferred, unsigned status, const char *content_type,
                         struct http_buffer *body)
{
    deferred->status = status;
    deferred->body =
        http_gzip(body, status, content_type, deferred->accepts_gzip, SIZE_MAX, &deferred->headers);
    if (content_type != NULL) {
        deferred->content_type = strdup(content_type);
        if (deferred->content_type == NULL) {
            deferred->status = 503;
        }
    }
    struct http_inbox *const inbox = deferred->inbox;
    pthread_mutex_lock(&inbox->lock);
    const bool is_open = inbox->context != NULL;
    if (is_open) {
        deferred->next = inbox->answers;
        inbox->answers = deferred;
        if (!inbox->is_signalled) {
            inbox->is_signalled = true;
            lws_cancel_service(inbox->context);
        }
    }
    pthread_mutex_unlock(&inbox->lock);
    if (!is_open) {
        http_deferred_unref(deferred);
    }
}

void http_problem_deferred(struct http_deferred *deferred, unsigned status, const char *reason,
                           const char *detail, int64_t column)
{
    struct http_buffer *const body =
        http_problem_buffer(status, deferred->path, reason, detail, column);
    http_reply_deferred(deferred, status, body != NULL ? "application/problem+json" : NULL, body);
}

void http_deferred_drop(struct http_deferred *deferred)
{
    http_problem_deferred(deferred, 503, "DROPPED", "The server gave the request up.", -1);
}

void http_deferred_abandon(struct http_connection *connection)
{
    struct http_deferred *const deferred = connection->deferred;
    if (deferred != NULL) {
        atomic_store_explicit(&deferred->is_wanted, false, memory_order_release);
        deferred->connection = NULL;
        connection->deferred = NULL;
        http_deferred_unref(deferred);
    }
}

void http_deferred_deliver(struct http_server *server, struct http_deferred *deferred)
{
    struct http_connection *const connection = deferred->connection;
    if (connection == NULL) {
        counter_add(&server->counters.deferred_dropped, 1);
    } else {
        http_answer_buffer(connection, deferred->status, deferred->content_type, deferred->body,
                           &deferred->headers);
        deferred->body = NULL; /* moved */
        http_deferred_abandon(connection);
    }
    http_deferred_unref(deferred);
}
