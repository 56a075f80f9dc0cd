#include <stdlib.h>
#include <string.h>

#include "base/http/http_private.h"

struct http_ws *http_ws_ref(struct http_ws *ws)
{
    atomic_fetch_add_explicit(&ws->references, 1, memory_order_relaxed);
    return ws;
}

static void drop_queue(struct http_ws *ws)
{
    while (ws->first != NULL) {
        struct http_message *const message = ws->first;
        ws->first = message->next;
        http_buffer_unref(message->buffer);
        free(message);
    }
    ws->last = NULL;
    ws->queued_bytes = 0;
}

void http_ws_unref(struct http_ws *ws)
{
    if (ws != NULL && atomic_fetch_sub_explicit(&ws->references, 1, memory_order_acq_rel) == 1) {
        drop_queue(ws);
        pthread_mutex_destroy(&ws->lock);
        http_inbox_unref(ws->inbox);
        free(ws->incoming);
        free(ws);
    }
}

/* Tells the loop that `ws` has something to say. One entry per socket, however often it is told. */
static void post(struct http_ws *ws)
{
    struct http_inbox *const inbox = ws->inbox;
    pthread_mutex_lock(&inbox->lock);
    if (inbox->context != NULL && !ws->is_in_inbox) {
        ws->is_in_inbox = true;
        ws->next = inbox->sockets;
        inbox->sockets = http_ws_ref(ws);
        if (!inbox->is_signalled) {
            inbox->is_signalled = true;
            lws_cancel_service(inbox->context);
        }
    }
    pthread_mutex_unlock(&inbox->lock);
}

enum http_ws_verdict http_ws_send(struct http_ws *ws, struct http_buffer *message)
{
    struct http_message *const entry = malloc(sizeof *entry);
    enum http_ws_verdict verdict = HTTP_WS_TAKEN;
    pthread_mutex_lock(&ws->lock);
    if (ws->is_closed || ws->is_closing) {
        verdict = HTTP_WS_CLOSED;
    } else if (entry == NULL || message->bytes > ws->message_bytes_max ||
               (ws->queued_bytes > 0 && message->bytes + ws->queued_bytes > ws->queue_bytes_max)) {
        verdict = HTTP_WS_FULL;
        ws->was_full = true;
    } else {
        *entry = (struct http_message){.buffer = http_buffer_ref(message)};
        if (ws->last != NULL) {
            ws->last->next = entry;
        } else {
            ws->first = entry;
        }
        ws->last = entry;
        ws->queued_bytes += message->bytes;
    }
    pthread_mutex_unlock(&ws->lock);
    if (verdict == HTTP_WS_TAKEN) {
        post(ws);
        return verdict; /* NOLINT(clang-analyzer-unix.Malloc): the queue has the entry */
    }
    free(entry);
    if (verdict == HTTP_WS_FULL) {
        counter_add_shared(&ws->inbox->ws_full, 1);
    }
    return verdict;
}

void http_ws_close(struct http_ws *ws, uint16_t code, const char *reason)
{
    pthread_mutex_lock(&ws->lock);
    const bool is_new = !ws->is_closed && !ws->is_closing;
    if (is_new) {
        ws->is_closing = true;
        ws->close_code = code;
        lws_strncpy(ws->close_reason, reason != NULL ? reason : "", sizeof ws->close_reason);
    }
    pthread_mutex_unlock(&ws->lock);
    if (is_new) {
        post(ws);
    }
}

size_t http_ws_queued_bytes(const struct http_ws *ws)
{
    struct http_ws *const own = (struct http_ws *)(uintptr_t)ws;
    pthread_mutex_lock(&own->lock);
    const size_t bytes = own->queued_bytes;
    pthread_mutex_unlock(&own->lock);
    return bytes;
}

struct http_grant http_ws_grant(const struct http_ws *ws)
{
    return ws->grant;
}

const char *http_ws_identity(const struct http_ws *ws)
{
    return ws->identity;
}

/* ---- On the loop ---- */

static int close_with(struct http_ws *ws, unsigned code, const char *reason)
{
    lws_close_reason(ws->wsi, (enum lws_close_status)code, (unsigned char *)(uintptr_t)reason,
                     strlen(reason));
    return -1;
}

static struct http_ws *ws_new(struct http_connection *connection)
{
    const struct http_server_options *const options = &connection->server->options;
    struct http_ws *const ws = calloc(1, sizeof *ws);
    uint8_t *const incoming = malloc(options->ws_message_up_bytes + 1);
    if (ws == NULL || incoming == NULL) {
        free(ws);
        free(incoming);
        return NULL;
    }
    atomic_init(&ws->references, 1);
    pthread_mutex_init(&ws->lock, NULL);
    ws->incoming = incoming;
    ws->incoming_max = options->ws_message_up_bytes;
    ws->queue_bytes_max = options->ws_queue_bytes;
    ws->message_bytes_max = options->ws_message_down_bytes;
    ws->inbox = http_inbox_ref(connection->server->inbox);
    memcpy(ws->identity, connection->request.identity, sizeof ws->identity);
    ws->grant = connection->request.grant;
    ws->wsi = connection->wsi;
    ws->protocol = connection->ws_protocol;
    return ws;
}

int http_ws_opened(struct http_connection *connection)
{
    struct http_server *const server = connection->server;
    connection->state = HTTP_CONNECTION_WEBSOCKET;
    lws_set_timer_usecs(connection->wsi, LWS_SET_TIMER_USEC_CANCEL);
    struct http_ws *const ws = ws_new(connection);
    http_request_fini(&connection->request);
    if (ws == NULL) {
        return -1;
    }
    connection->ws = ws;
    if (!ws->protocol->on_open(ws, server->options.context, &ws->user)) {
        connection->ws = NULL;
        const int verdict = close_with(ws, 1013, "try again later");
        ws->is_closed = true;
        http_ws_unref(ws);
        return verdict;
    }
    counter_add(&server->counters.ws_accepted, 1);
    counter_set(&server->counters.ws_clients, counter_get(&server->counters.ws_clients) + 1);
    return 0;
}

int http_ws_received(struct http_connection *connection, const void *data, size_t bytes)
{
    struct http_ws *const ws = connection->ws;
    if (ws == NULL) {
        return -1;
    }
    counter_add(&connection->server->counters.bytes_received, bytes);
    if (lws_is_first_fragment(ws->wsi)) {
        ws->incoming_bytes = 0;
    }
    if (bytes > ws->incoming_max - ws->incoming_bytes) {
        return close_with(ws, 1009, "message too big");
    }
    if (bytes > 0) {
        memcpy(ws->incoming + ws->incoming_bytes, data, bytes);
        ws->incoming_bytes += bytes;
    }
    if (lws_is_final_fragment(ws->wsi) && lws_remaining_packet_payload(ws->wsi) == 0) {
        counter_add(&connection->server->counters.ws_messages_received, 1);
        ws->incoming[ws->incoming_bytes] = '\0';
        ws->protocol->on_message(ws, ws->user, ws->incoming, ws->incoming_bytes,
                                 lws_frame_is_binary(ws->wsi) == 0);
        ws->incoming_bytes = 0;
    }
    return 0;
}

int http_ws_writable(struct http_connection *connection)
{
    struct http_ws *const ws = connection->ws;
    if (ws == NULL) {
        return -1;
    }
    pthread_mutex_lock(&ws->lock);
    struct http_message *const message = ws->first;
    bool has_room = false;
    if (message != NULL) {
        ws->first = message->next;
        ws->last = ws->first != NULL ? ws->last : NULL;
        ws->queued_bytes -= message->buffer->bytes;
        has_room = ws->was_full && ws->queued_bytes <= ws->queue_bytes_max / 2;
        ws->was_full = ws->was_full && !has_room;
    }
    const bool has_more = ws->first != NULL;
    const bool is_closing = ws->is_closing;
    pthread_mutex_unlock(&ws->lock);

    if (message == NULL) {
        return is_closing ? close_with(ws, ws->close_code, ws->close_reason) : 0;
    }
    const size_t bytes = message->buffer->bytes;
    const int written =
        http_connection_write(connection, message->buffer->data, bytes, LWS_WRITE_TEXT);
    http_buffer_unref(message->buffer);
    free(message);
    if (written < 0) {
        return -1;
    }
    counter_add(&connection->server->counters.ws_messages_sent, 1);
    counter_add(&connection->server->counters.bytes_sent, bytes);
    if (has_more || is_closing) {
        lws_callback_on_writable(ws->wsi);
    }
    if (has_room && ws->protocol->on_room != NULL) {
        ws->protocol->on_room(ws, ws->user);
    }
    return 0;
}

void http_ws_gone(struct http_connection *connection)
{
    struct http_ws *const ws = connection->ws;
    if (ws == NULL) {
        return;
    }
    connection->ws = NULL;
    pthread_mutex_lock(&ws->lock);
    ws->is_closed = true;
    drop_queue(ws);
    ws->wsi = NULL;
    pthread_mutex_unlock(&ws->lock);
    struct http_counters *const counters = &connection->server->counters;
    counter_set(&counters->ws_clients, counter_get(&counters->ws_clients) - 1);
    ws->protocol->on_close(ws, ws->user);
    http_ws_unref(ws);
}
