/* What the files of base/http share: the server, its connections, requests and answers, WebSockets.
 *
 * Everything here belongs to the loop thread, but for struct http_inbox, struct http_deferred and
 * struct http_ws, which say themselves how other threads reach them. Depends on: base,
 * libwebsockets. */
#pragma once

#include <libwebsockets.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/counter.h"
#include "base/http/http.h"
#include "base/http/http_guard.h"
#include "base/http/http_route.h"

#define HTTP_LOG_PART "http"
#define HTTP_PIECE_BYTES                                                                           \
    65536 /* written in one turn of the loop; equals lws_protocols.tx_packet_size */

/* ---- Texts of one request: freed together ---- */
struct http_text {
    struct http_text *next;
    char bytes[];
};
/* A zeroed block that lives as long as the list; NULL when memory is out. */
MUST_USE char *http_text_new(struct http_text **list, size_t bytes);
void http_text_free(struct http_text **list);

struct http_headers {
    char *text; /* "Name: value\r\n" one after the other; NULL: none */
    size_t bytes;
    unsigned count;
    bool has_cache_control;
};
bool http_headers_add(struct http_headers *headers, const char *name, const char *value);
void http_headers_free(struct http_headers *headers);

struct http_pair {
    const char *name;
    const char *value;
};

struct http_request {
    struct http_connection *connection;
    struct http_text *texts;
    enum http_method method;
    const char *path;
    struct http_pair *queries;
    size_t queries_count;
    struct http_params params;
    uint8_t *body; /* body_capacity + 1 bytes, NULL: none expected */
    size_t body_bytes;
    size_t body_capacity;
    char identity[HTTP_IDENTITY_BYTES];
    struct http_grant grant;
    struct http_headers headers; /* of the answer */
    void (*handler)(struct http_request *request);
};

/* The answer on its way out: head, then the body in pieces. */
struct http_answer {
    struct http_buffer
        *head; /* made with the first piece: by then we know whether the connection ends */
    unsigned status;
    char *content_type;
    struct http_headers headers;
    struct http_buffer *body_buffer; /* one of the two */
    const uint8_t *body_constant;
    size_t content_bytes; /* of the body, also when HEAD keeps it back */
    size_t body_bytes;    /* that go out */
    size_t sent;          /* of head and body together */
};

enum http_connection_state {
    HTTP_CONNECTION_IDLE,      /* waits for the head of a request */
    HTTP_CONNECTION_BODY,      /* waits for the rest of a body */
    HTTP_CONNECTION_DEFERRED,  /* another thread owes the answer */
    HTTP_CONNECTION_ANSWERING, /* the answer goes out */
    HTTP_CONNECTION_LINGER,    /* answered; takes what the client still sends, so that no reset eats
                                  the answer */
    HTTP_CONNECTION_WEBSOCKET,
};

struct http_connection {
    struct http_server *server;
    struct http_connection *next, *previous;
    struct lws *wsi;
    enum http_connection_state state;
    bool is_last;       /* the connection ends with this answer */
    bool may_have_body; /* unread bytes of a body may be on their way */
    bool is_head;       /* HEAD: no body in the answer */
    bool has_pipelined; /* bytes of a further request came along with this one */
    bool is_handling;   /* inside a handler, hook included */
    uint64_t deadline_ns;
    char peer[64];
    char path[256];   /* of the request, cut; for `instance` and the log */
    const char *verb; /* of the request, for the log */
    struct http_request request;
    struct http_answer answer;
    struct http_deferred *deferred;
    const struct http_ws_protocol *ws_protocol; /* chosen by the guarded upgrade */
    struct http_ws *ws;
};

/* ---- Mail from other threads to the loop; outlives the server while handles are held ---- */
struct http_inbox {
    pthread_mutex_t lock;
    _Atomic uint32_t references;
    struct lws_context *context; /* NULL once the server has stopped */
    struct http_deferred *answers;
    struct http_ws *sockets;
    bool is_signalled;
    struct counter ws_full;
};
MUST_USE struct http_inbox *http_inbox_new(void);
struct http_inbox *http_inbox_ref(struct http_inbox *inbox);
void http_inbox_unref(struct http_inbox *inbox);

/* One reference of the caller's, one of the connection's; the connection field is the loop's own.
 */
struct http_deferred {
    _Atomic uint32_t references;
    _Atomic bool is_wanted;
    struct http_inbox *inbox;
    struct http_connection *connection; /* NULL: the client has left */
    struct http_deferred *next;
    bool accepts_gzip;
    unsigned status;
    char *content_type;
    struct http_buffer *body;
    struct http_headers headers;
    char path[256];
};
void http_deferred_unref(struct http_deferred *deferred);

struct http_message {
    struct http_message *next;
    struct http_buffer *buffer;
};

struct http_ws {
    _Atomic uint32_t references;
    pthread_mutex_t lock; /* over the queue and the three marks below it */
    struct http_message *first, *last;
    size_t queued_bytes;
    bool is_closed;  /* the connection is gone */
    bool is_closing; /* a close frame follows the queue */
    bool was_full;
    bool is_in_inbox; /* under the inbox's lock */
    uint16_t close_code;
    char close_reason[124];
    size_t queue_bytes_max, message_bytes_max;
    struct http_inbox *inbox;
    struct http_ws *next; /* in the inbox */
    char identity[HTTP_IDENTITY_BYTES];
    struct http_grant grant;
    /* The loop's own. */
    struct lws *wsi;
    const struct http_ws_protocol *protocol;
    void *user;
    uint8_t *incoming;
    size_t incoming_bytes, incoming_max;
};

struct http_counters {
    struct counter connections_accepted, connections_refused, connections_open, requests;
    struct counter responses_by_class[6];
    struct counter bytes_sent, bytes_received, requests_refused, auth_refused, deferred_dropped;
    struct counter ws_clients, ws_accepted, ws_messages_sent, ws_messages_received;
};

struct http_server {
    struct http_server_options options; /* defaults filled in */
    struct http_guard guard;
    char *common_headers; /* on every answer */
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct lws *listener;
    struct lws_protocols *protocols;
    size_t ws_protocols_count;
    lws_retry_bo_t retry;
    struct http_inbox *inbox;
    struct http_connection *connections;
    struct http_connection *adopting; /* handed to the library, not yet known to it */
    int listen_fd;
    uint16_t port;
    _Atomic bool is_stopping;
    uint64_t events; /* callbacks that did something: a turn without any was a spin */
    pthread_t thread;
    struct http_counters counters;
    struct stat tls_seen[2]; /* certificate and key as last read */
    uint64_t tls_look_ns;    /* not looked at again before */
};

/* http_tls.c: as they are now; read again if they have changed, at most once a second. */
void http_tls_note(struct http_server *server);
void http_tls_refresh(struct http_server *server);

/* http_request.c. Reads what the library has parsed; false: out of memory or unreadable. */
bool http_request_read(struct http_connection *connection);
void http_request_fini(struct http_request *request);
/* Value of a header; copies it into the request's texts. */
const char *http_request_header_copy(struct http_request *request, const char *name);

/* http_dispatch.c. From the parsed head to the handler. Nonzero: close the connection. */
int http_dispatch_head(struct http_connection *connection);
int http_dispatch_body(struct http_connection *connection, const void *data, size_t bytes);
int http_dispatch_body_end(struct http_connection *connection);
/* 0: go on with the upgrade; nonzero: refused, answered, close. */
int http_dispatch_upgrade(struct http_connection *connection);

/* http_answer.c */
void http_answer_fini(struct http_answer *answer);
void http_answer_buffer(struct http_connection *connection, unsigned status,
                        const char *content_type, struct http_buffer *body,
                        struct http_headers *headers);
void http_answer_constant(struct http_connection *connection, unsigned status,
                          const char *content_type, const uint8_t *body, size_t body_bytes,
                          struct http_headers *headers);
/* Refuses and ends the connection after the answer. */
void http_answer_refuse(struct http_connection *connection, unsigned status, const char *reason,
                        const char *detail);
/* Writes the next piece; nonzero: close the connection. */
int http_answer_write(struct http_connection *connection);
MUST_USE struct http_buffer *http_problem_buffer(unsigned status, const char *path,
                                                 const char *reason, const char *detail,
                                                 int64_t column);
const char *http_status_title(unsigned status);
/* "GET"; "other" of what has no handler. */
const char *http_method_name(enum http_method method);

/* http_gzip.c. Is `coding` acceptable by an Accept-Encoding value (RFC 9110 section 12.5.3)? Absent
 * (NULL) means: no. */
bool http_accepts(const char *header, const char *coding);
/* The body as it goes out: packed, with the headers that say so, where that is accepted and worth
 * it; otherwise itself. Takes over the reference, as it gives one. Bodies above `bytes_max` stay as
 * they are. Any thread. */
struct http_buffer *http_gzip(struct http_buffer *body, unsigned status, const char *content_type,
                              bool is_accepted, size_t bytes_max, struct http_headers *headers);

/* http_assets.c: true when the request was answered by an asset. */
bool http_assets_answer(struct http_request *request, const char *path);
bool http_assets_answer_page(
    struct http_request *request); /* deep links of the page's own router */

/* http_deferred.c, on the loop */
void http_deferred_deliver(struct http_server *server, struct http_deferred *deferred);
void http_deferred_abandon(struct http_connection *connection);

/* http_ws.c, on the loop. Nonzero: close the connection. */
int http_ws_opened(struct http_connection *connection);
int http_ws_received(struct http_connection *connection, const void *data, size_t bytes);
int http_ws_writable(struct http_connection *connection);
void http_ws_gone(struct http_connection *connection);

/* http_connection.c */
/* Installs the hook by which pipelined bytes are noticed; once per process. */
void http_connection_watch_pipelining(void);
/* lws_write, told apart from what the hook looks for. */
int http_connection_write(struct http_connection *connection, uint8_t *data, size_t bytes,
                          enum lws_write_protocol protocol);
int http_connection_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                          size_t bytes);
void http_connection_accept(struct http_server *server);
void http_connection_timer(struct http_connection *connection, uint64_t after_ns);
