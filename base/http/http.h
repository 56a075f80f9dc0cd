/* HTTP/1.1 and WebSocket server: routes, static assets, live connections; TLS when a certificate is
 * given.
 *
 * One thread of its own runs the event loop and makes every callback below (handlers, the
 * authorisation hook, WebSocket callbacks), so none of them may block: slow work is deferred
 * (http_defer) and answered from another thread. Only functions whose comment says "any thread" may
 * be called elsewhere. Guards that apply to every request: Host must name this server (DNS
 * rebinding), upgrades and state-changing requests must come from the same origin, sizes and times
 * are bounded, every answer carries the security headers. Errors are application/problem+json (RFC
 * 9457) with an added member `reason`.
 *
 * Requests need Content-Length (chunked ones get 411); a client that pipelines gets its first
 * answer and a close; an escaped slash in a path counts as a slash; `;` parts query parameters as
 * `&` does. Bodies come as they are (Content-Encoding gets 415); JSON and text of 1 KiB and more go
 * out in gzip to who accepts it. Standards: RFC 9110, 9112, 1952, 6455, 9457. Depends on: base;
 * libwebsockets, zlib inside. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/asset.h"
#include "base/attributes.h"
#include "base/error.h"

struct http_server;
struct http_request;  /* one request; lives until its handler returns */
struct http_deferred; /* the answer that a deferred request is owed */
struct http_ws;       /* one WebSocket connection */

/* ---- Shared bytes
 * --------------------------------------------------------------------------------------- */

/* Bytes that several connections may send without a copy. Whoever makes one fills it before the
 * first send; afterwards it is read-only. Counted references; any thread. */
struct http_buffer {
    _Atomic uint32_t references;
    size_t mapped_bytes; /* of a file; 0: of memory */
    size_t bytes;        /* in use; may be lowered by the maker before the first send */
    uint8_t *data;       /* room for the size asked for; library headroom lies in front of it */
};

/* One reference for the caller. NULL when memory is out. */
MUST_USE struct http_buffer *http_buffer_new(size_t bytes);
MUST_USE struct http_buffer *http_buffer_from(const void *data, size_t bytes); /* a copy */
/* The first `bytes` of a file, which may be closed then but never gets shorter: pages of it are
 * read as they are sent. Not for WebSockets. NULL with `err`. */
MUST_USE struct http_buffer *http_buffer_of_file(int fd, size_t bytes, struct error *err);
struct http_buffer *http_buffer_ref(struct http_buffer *buffer);
void http_buffer_unref(struct http_buffer *buffer); /* NULL is allowed */

/* ---- Requests
 * ------------------------------------------------------------------------------------------- */

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_METHOD_COUNT
};

/* Texts below are borrowed until the handler returns, UTF-8 not assured, NUL-terminated and free of
 * NUL inside. */
enum http_method http_request_method(const struct http_request *request);
const char *
http_request_path(const struct http_request *request); /* percent-decoded, without the query */
/* Value of `{name}` in the route's pattern, percent-decoded; NULL if the pattern has no such name.
 */
const char *http_request_param(const struct http_request *request, const char *name);
/* First value of a query parameter, decoded ('+' is a space); NULL if absent, "" for `?name`. */
const char *http_request_query(const struct http_request *request, const char *name);
/* The n-th query parameter in order of the URL; false past the last. */
bool http_request_query_at(const struct http_request *request, size_t index, const char **name,
                           const char **value);
/* Value of a header by name in any case; NULL if absent. */
const char *http_request_header(const struct http_request *request, const char *name);
/* The body; `*bytes` is 0 and the pointer not NULL when there is none. */
const uint8_t *http_request_body(const struct http_request *request, size_t *bytes);
const char *
http_request_peer(const struct http_request *request); /* "192.0.2.1" or "2001:db8::1" */
/* Who asks, as the authorisation hook has set it; "" when it set nothing. At most
 * HTTP_IDENTITY_BYTES - 1. */
#define HTTP_IDENTITY_BYTES 128
const char *http_request_identity(const struct http_request *request);
void http_request_set_identity(struct http_request *request,
                               const char *identity); /* hook only; cut if longer */
/* What the hook has found out about who asks, in the program's own terms; all 0 when it set
 * nothing. */
struct http_grant {
    unsigned rights; /* of the program's */
    uint64_t proof;  /* by which it can be looked up again whether they still hold */
};
void http_request_set_grant(struct http_request *request, struct http_grant grant); /* hook only */
void *http_request_context(const struct http_request *request); /* http_server_options.context */

/* ---- Answers (exactly one for each request, made in the handler)
 * ----------------------------------------- */

/* Adds a header to the answer that follows; both texts are copied; control characters refuse the
 * call (false), as do more than HTTP_HEADERS_MAX headers. */
#define HTTP_HEADERS_MAX 16
bool http_header(struct http_request *request, const char *name, const char *value);

/* Copies the bytes. `content_type` NULL: no body type (204, 304). Without a Cache-Control of its
 * own the answer gets no-store. A HEAD request gets the same headers and no body. */
void http_reply(struct http_request *request, unsigned status, const char *content_type,
                const void *body, size_t body_bytes);
/* The same without a copy: takes over the caller's reference. */
void http_reply_buffer(struct http_request *request, unsigned status, const char *content_type,
                       struct http_buffer *body);
/* application/problem+json: {"type":"about:blank","title":<of the
 * status>,"status":..,"detail":..,"instance":<path>, "reason":..,"pos":..}. `reason` is a short
 * constant for programs ("INVALID_FILTER"); `column` is where in an input text the fault lies (from
 * 0), -1 leaves `pos` out. */
void http_problem(struct http_request *request, unsigned status, const char *reason,
                  const char *detail, int64_t column);

/* Puts the answer off. The request itself ends with the handler (copy what is needed); the handle
 * has one reference, given back by exactly one call of http_reply_deferred, http_problem_deferred
 * or http_deferred_drop. NULL when memory is out (the client then gets 503 and nothing more is to
 * be done). */
MUST_USE struct http_deferred *http_defer(struct http_request *request);
/* Any thread. False when the client has left or the server is stopping: a long query may give up
 * early. */
bool http_deferred_is_wanted(const struct http_deferred *deferred);
/* Any thread, before the reply; as http_header. */
bool http_deferred_header(struct http_deferred *deferred, const char *name, const char *value);
/* Any thread; both take over the handle and the body reference. An answer whose client has left is
 * counted and dropped. After http_server_stop they only free. */
void http_reply_deferred(struct http_deferred *deferred, unsigned status, const char *content_type,
                         struct http_buffer *body); /* body NULL: empty */
void http_problem_deferred(struct http_deferred *deferred, unsigned status, const char *reason,
                           const char *detail, int64_t column);
/* Any thread: no answer will come; the client gets 503. */
void http_deferred_drop(struct http_deferred *deferred);

/* ---- Routes
 * --------------------------------------------------------------------------------------------- */

enum http_route_flags {
    HTTP_NO_AUTH = 1,        /* the authorisation hook is not asked (health, login page) */
    HTTP_STATE_CHANGING = 2, /* needs the same origin and the header X-NetScope (any value) */
};
/* Methods other than GET and HEAD are state-changing unless this is given (a POST that only asks).
 */
#define HTTP_READ_ONLY 4

/* Patterns: "/v1/flows/{id}/series", a segment is a literal or {name}; the last may end in a verb:
 * "/v1/alerts/{id}:ack". The first row that fits wins. A GET row also answers HEAD. Path fits with
 * another method: 405 with Allow. The table ends with a row whose `pattern` is NULL and must
 * outlive the server. */
struct http_route {
    enum http_method method;
    const char *pattern;
    void (*handler)(struct http_request *request);
    unsigned flags;
};
#define HTTP_PARAMS_MAX 8 /* names in one pattern */

/* ---- WebSocket
 * ------------------------------------------------------------------------------------------ */

enum http_ws_verdict {
    HTTP_WS_TAKEN,  /* queued */
    HTTP_WS_FULL,   /* the client's queue is at its bound: merge and offer again later; counted */
    HTTP_WS_CLOSED, /* it is gone or going */
};

/* One subprotocol on one path. All callbacks on the loop thread. */
struct http_ws_protocol {
    const char *name; /* "live.v1.json"; an upgrade that does not offer a registered name is refused
                         (400) */
    const char *path; /* "/v1/live": an upgrade elsewhere is refused (404) */
    /* The connection is open; `ws` is borrowed until on_close, http_ws_ref keeps it longer.
     * `*connection` is the callee's pointer for this connection, handed to the others. False closes
     * with 1013 (try again later). */
    bool (*on_open)(struct http_ws *ws, void *context, void **connection);
    /* One whole message, at most ws_message_up_bytes. NUL-terminated behind `bytes`. */
    void (*on_message)(struct http_ws *ws, void *connection, const uint8_t *data, size_t bytes,
                       bool is_text);
    /* Called once for each on_open that returned true. No callback follows; sends return
     * HTTP_WS_CLOSED. */
    void (*on_close)(struct http_ws *ws, void *connection);
    /* The queue was full and has room again; NULL: not wanted. */
    void (*on_room)(struct http_ws *ws, void *connection);
};

struct http_ws *http_ws_ref(struct http_ws *ws); /* any thread */
void http_ws_unref(struct http_ws *ws);          /* any thread; NULL is allowed */
/* Any thread. Sends `message` whole as one text message; takes a reference of its own when TAKEN,
 * none otherwise. HTTP_WS_FULL when it would raise the queue above ws_queue_bytes; a message longer
 * than ws_message_down_bytes is FULL too; an empty queue takes any message within that. */
enum http_ws_verdict http_ws_send(struct http_ws *ws, struct http_buffer *message);
/* Any thread. What is queued goes out first, then a close frame (code 1000..4999, reason at most
 * 123 bytes). */
void http_ws_close(struct http_ws *ws, uint16_t code, const char *reason);
size_t http_ws_queued_bytes(const struct http_ws *ws);     /* any thread */
const char *http_ws_identity(const struct http_ws *ws);    /* as set by the hook at the upgrade */
struct http_grant http_ws_grant(const struct http_ws *ws); /* likewise */

/* ---- Server
 * --------------------------------------------------------------------------------------------- */

enum http_auth_verdict {
    HTTP_AUTH_ALLOW,
    HTTP_AUTH_UNKNOWN,   /* 401 with WWW-Authenticate */
    HTTP_AUTH_FORBIDDEN, /* 403: known, but may not */
    HTTP_AUTH_ANSWERED,  /* refused: the hook has answered itself (http_problem) */
};

struct http_server_options {
    const char *address;              /* NULL: "127.0.0.1"; "0.0.0.0", "::", "::1", ... (numeric) */
    uint16_t port;                    /* 0: the kernel picks one, see http_server_port */
    const char *tls_certificate_path; /* PEM with its chain; NULL: no TLS */
    const char *tls_key_path;         /* PEM */

    const struct http_route *routes; /* NULL: none */
    const struct http_ws_protocol
        *ws_protocols;               /* ends with a row whose name is NULL; NULL: none */
    const struct http_asset *assets; /* served by GET and HEAD without authorisation; NULL: none */
    size_t assets_count;
    /* Paths that no route and no asset has, GET only: those outside `api_prefix` that look like
     * pages (no dot in the last segment) get the asset "/index.html"; all else `fallback`, or 404
     * when that is NULL. */
    const char *api_prefix; /* NULL: "/v1/" */
    void (*fallback)(struct http_request *request);
    /* Asked before every route without HTTP_NO_AUTH, before the fallback and before every WebSocket
     * upgrade, whatever subprotocol it names. NULL: all are allowed. */
    enum http_auth_verdict (*authorize)(struct http_request *request);
    const char *authenticate; /* WWW-Authenticate of 401; NULL: "Bearer realm=\"netscope\"" */
    const char *forbidden;    /* sentence of 403: what would open the path; NULL: of the login */
    void *context;            /* handed to on_open and by http_request_context */

    /* Host and Origin names allowed beside the bound address and localhost: "netscope.example",
     * "netscope.example:8443" (NULL-terminated array; NULL: none). A name without a port fits any
     * port. When bound to the wildcard address, any numeric address is a good Host. */
    const char *const *allowed_hosts;
    /* Further headers on all answers, "Name: value" (NULL-terminated array; NULL: none). */
    const char *const *extra_headers;

    /* Limits; 0 stands for the default in brackets. */
    uint32_t connections_max;      /* [1024] further ones are closed at once and counted */
    uint32_t ws_connections_max;   /* [256] further upgrades get 503 */
    size_t request_body_bytes_max; /* [1 MiB] 413 */
    size_t url_bytes_max;          /* [8 KiB] path and query; 414 */
    size_t header_bytes_max; /* [16 KiB] with url_bytes_max at most 60000; a longer head is hung up
                                on */
    uint32_t idle_timeout_s; /* [60] a silent keep-alive connection is closed */
    uint32_t
        request_timeout_s; /* [20] from the first byte to the whole request; also a stuck reader */
    uint32_t deferred_timeout_s;  /* [60] a deferred answer must come by then: 504 */
    size_t ws_message_down_bytes; /* [1 MiB] */
    size_t ws_message_up_bytes;   /* [4 KiB] a longer one closes with 1009 */
    size_t ws_queue_bytes;        /* [256 KiB] */
    uint32_t
        ws_ping_interval_s; /* [30] silent clients are asked, and closed when they stay silent */
};

struct http_server_stats {
    uint64_t connections_accepted;
    uint64_t connections_refused; /* above connections_max */
    uint64_t connections_open;
    uint64_t requests;
    uint64_t responses_by_class[6]; /* [2] = 2xx ...; [0] unused */
    uint64_t bytes_sent;            /* bodies and WebSocket messages */
    uint64_t bytes_received;        /* the same */
    uint64_t requests_refused;      /* by Host, Origin, size or syntax */
    uint64_t auth_refused;
    uint64_t deferred_dropped; /* answers whose client had left */
    uint64_t ws_clients;       /* open now */
    uint64_t ws_accepted;
    uint64_t ws_messages_sent;
    uint64_t ws_messages_received;
    uint64_t ws_full; /* sends that found the queue full */
};

/* Binds, starts the thread, returns when requests are served. NULL with `err`: EADDRINUSE ("listen
 * 127.0.0.1:8080: address in use (choose another port)"), EACCES, EINVAL (options,
 * certificate), ENOMEM. Texts and tables in `options` are borrowed until http_server_stop. */
MUST_USE struct http_server *http_server_start(const struct http_server_options *options,
                                               struct error *err);
uint16_t http_server_port(const struct http_server *server); /* any thread */
/* Any thread but the loop's. WebSockets are closed with 1001, answers under way get up to two
 * seconds, the thread is joined, everything is freed. Handles still held elsewhere stay valid and
 * do nothing. NULL is allowed. */
void http_server_stop(struct http_server *server);
void http_server_stats(const struct http_server *server,
                       struct http_server_stats *out); /* any thread */
