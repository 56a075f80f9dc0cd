/* gRPC servers and clients over the gRPC C core: all four call kinds, both sides, with bounded send
 * queues.
 *
 * A runtime has N completion queues with exactly one thread each. A call belongs to one of them for
 * life, and all its callbacks come from that thread, so callbacks of one call never overlap. A
 * callback must not block: it would stop every call on its queue. Functions say "any thread" where
 * other threads may call them; the caller then holds a reference (rpc_ref) or knows that the call
 * is still alive. rpc_send starts the write on the calling thread and may pay for framing and
 * sendmsg: packet threads never call it. Nothing outside base/rpc sees a gRPC header. Memory that
 * gRPC itself cannot get aborts the program. Standards: gRPC over HTTP/2 (PROTOCOL-HTTP2),
 * grpc.health.v1, grpc.reflection.v1 and v1alpha. Depends on: base, libgrpc, libcrypto. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

struct rpc_runtime;
struct rpc_server;
struct rpc_channel;
struct rpc_call;
struct rpc_health;
struct rpc_reflection;

/* Status codes of gRPC by number (google.rpc.Code). */
enum rpc_status {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_ALREADY_EXISTS = 6,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_ABORTED = 10,
    RPC_OUT_OF_RANGE = 11,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_DATA_LOSS = 15,
    RPC_UNAUTHENTICATED = 16,
    RPC_STATUS_COUNT
};

const char *
rpc_status_name(enum rpc_status status); /* "NOT_FOUND"; "UNKNOWN" for a number that is none */

/* ---- Bytes: one encoded message, shared by counted references. Any thread. ---- */

/* A handle, copied by value; a copy is not a reference. Whoever makes one owns a reference and
 * hands it to rpc_send or drops it with rpc_bytes_unref. */
struct rpc_bytes {
    uint64_t opaque[4];
};

struct rpc_bytes rpc_bytes_copy(const void *data, size_t length);
struct rpc_bytes
rpc_bytes_ref(const struct rpc_bytes *bytes); /* one reference more, for a further receiver */
void rpc_bytes_unref(struct rpc_bytes *bytes);
/* A reference on `length` bytes from `offset` on; they keep the whole alive. */
struct rpc_bytes rpc_bytes_part(const struct rpc_bytes *bytes, size_t offset, size_t length);

/* Room to encode one message in place: write to data[0..capacity), then rpc_buffer_done or, if
 * nothing comes of it, rpc_buffer_discard (a forgotten one leaks `capacity` bytes). */
struct rpc_buffer {
    uint8_t *data;
    size_t capacity;
    struct rpc_bytes bytes;
};

struct rpc_buffer rpc_buffer_new(size_t capacity);
/* The first `used` bytes as a message; the caller owns the reference. A buffer that is mostly
 * unused is copied into one of the right size, so that queues hold what they count. */
struct rpc_bytes rpc_buffer_done(struct rpc_buffer *buffer, size_t used);
void rpc_buffer_discard(struct rpc_buffer *buffer);

/* ---- Runtime: completion queues and their threads. ---- */

struct rpc_runtime_options {
    unsigned queues; /* each with one thread; 0 = 1, which is enough for two cores; at most 64 */
};

/* OpenSSL's own clean-up at exit() stays away. gRPC joins not all of its threads: one that ends
 * behind that clean-up never frees what OpenSSL keeps for it, and may use what is freed already.
 * Takes effect where nothing has used OpenSSL before: first thing in main(). Any thread, any number
 * of times; rpc_runtime_new does it too. */
void rpc_process_begin(void);

/* `options` may be NULL. NULL with `err` set: no memory or no thread. Sends gRPC's own log lines to
 * base/log. */
MUST_USE struct rpc_runtime *rpc_runtime_new(const struct rpc_runtime_options *options,
                                             struct error *err);
/* Servers, channels and calls of the runtime must be freed before (calls: their on_done has come).
 * Joins the threads. Not from a callback. NULL is allowed. */
void rpc_runtime_free(struct rpc_runtime *runtime);
DEFINE_AUTO(rpc_runtime, rpc_runtime_free);

/* Runs `run(argument)` once on the thread of queue 0. False: the runtime is being freed, it will
 * not run. Any thread. */
MUST_USE bool rpc_runtime_post(struct rpc_runtime *runtime, void (*run)(void *argument),
                               void *argument);
/* The same, `delay_ns` from now or a little later. What is still waiting when the runtime is freed
 * runs then. */
MUST_USE bool rpc_runtime_post_after(struct rpc_runtime *runtime, uint64_t delay_ns,
                                     void (*run)(void *argument), void *argument);

/* ---- Methods: what a call does, the same table on both sides. ---- */

enum rpc_when_full {
    RPC_REJECT,   /* rpc_send answers RPC_SEND_FULL; on_writable tells when there is room again */
    RPC_DROP_NEW, /* the message is dropped and counted */
    RPC_DROP_OLD, /* the oldest waiting messages are dropped and counted */
};

/* Bounds of what waits to be sent on one call. A message larger than bytes_max is taken only by an
 * empty queue. The message in flight counts towards bytes_max, not towards messages_max. */
struct rpc_queue_limits {
    uint32_t messages_max; /* 0 = 64 */
    size_t bytes_max;      /* 0 = 4 MiB */
    enum rpc_when_full when_full;
};

/* How a call ended. Borrowed for the on_done call. */
struct rpc_result {
    enum rpc_status status; /* client: the peer's (or gRPC's own); server: what rpc_finish set, else
                               CANCELLED */
    const char *message;    /* never NULL */
    bool is_cancelled; /* server: the client left, the deadline passed, the connection broke, or
                        * rpc_cancel; may be true although a status was queued */
    const uint8_t *details; /* client: the trailing grpc-status-details-bin, a google.rpc.Status;
                               NULL = none */
    size_t details_bytes;
};

struct rpc_method {
    const char *path; /* "/package.Service/Method" */
    void *context;    /* the method's own data: rpc_method_context() */
    /* Callbacks; each may be NULL. */
    void (*on_start)(struct rpc_call *call); /* server: a new call, after authorisation */
    /* One message; borrowed for the call. */
    void (*on_message)(struct rpc_call *call, const uint8_t *bytes, size_t length);
    /* Server: the client sends no more. May also come just before an on_done that says
     * is_cancelled. */
    void (*on_half_close)(struct rpc_call *call);
    void (*on_writable)(
        struct rpc_call *call); /* a queue that was full has fallen to half of its bounds */
    void (*on_drain)(
        struct rpc_call *call); /* server stopping: finish soon; NULL: finished with UNAVAILABLE */
    void (*on_done)(struct rpc_call *call,
                    const struct rpc_result *result); /* once, the last callback */
    struct rpc_queue_limits queue;
    bool is_manual_read;    /* after the first message one more is read for each rpc_read_more: flow
                               control */
    bool is_single_request; /* server: unary or server-streaming; none or a second message is
                             * answered with UNIMPLEMENTED here, so on_message comes at most once */
    bool is_auth_exempt;    /* server: the authorize hook is not asked (health) */
};

/* ---- Calls. Any thread unless it says otherwise. ---- */

enum rpc_send_result {
    RPC_SEND_QUEUED,
    RPC_SEND_DROPPED, /* DROP_NEW and the queue is full: counted */
    RPC_SEND_FULL,    /* REJECT and the queue is full */
    RPC_SEND_CLOSED,  /* finished, cancelled or done */
};

/* Takes the caller's reference of `bytes` whatever the result (to try again later, rpc_bytes_ref
 * before). */
enum rpc_send_result rpc_send(struct rpc_call *call, struct rpc_bytes bytes);
#define RPC_PIECES_MAX 16
/* One message of `count` pieces (at most RPC_PIECES_MAX) in order, none of them copied; likewise
 * takes all references. Queues count its bytes, not what the pieces are parts of. */
enum rpc_send_result rpc_send_pieces(struct rpc_call *call, const struct rpc_bytes *pieces,
                                     size_t count);
/* Server: sends the response headers now instead of with the first message. */
void rpc_send_headers(struct rpc_call *call);
/* Ends the sending side after what is queued. Server: with this status (`message` may be NULL).
 * Client: half close, the arguments do not matter. Later calls have no effect. */
void rpc_finish(struct rpc_call *call, enum rpc_status status, const char *message);
/* The same with a packed google.rpc.Status (at most 4 KiB, else left out) as trailing
 * grpc-status-details-bin. */
void rpc_finish_details(struct rpc_call *call, enum rpc_status status, const char *message,
                        const void *details, size_t details_bytes);
/* Client: the caller sends no more. */
void rpc_half_close(struct rpc_call *call);
/* Ends the call now; what is queued is dropped. */
void rpc_cancel(struct rpc_call *call, enum rpc_status status, const char *message);
/* In on_message: a reference on `length` bytes at `bytes` of its message, which stay where they are
 * as long as it is held. False where that would hold much more than those: copy them. */
MUST_USE bool rpc_message_keep(const struct rpc_call *call, const uint8_t *bytes, size_t length,
                               struct rpc_bytes *out);
/* is_manual_read: asks for one more message; calls add up. */
void rpc_read_more(struct rpc_call *call);

void rpc_ref(struct rpc_call *call);
void rpc_unref(struct rpc_call *call); /* NULL is allowed */
/* Runs `run(call, argument)` once on the call's thread, also when the call is done by then
 * (rpc_is_done). False: the runtime is being freed. Holds a reference meanwhile. */
MUST_USE bool rpc_post(struct rpc_call *call, void (*run)(struct rpc_call *call, void *argument),
                       void *argument);

void rpc_set_user_data(struct rpc_call *call,
                       void *user_data); /* before others know the call, or own lock */
void *rpc_user_data(const struct rpc_call *call);
void *rpc_method_context(const struct rpc_call *call);
const char *rpc_path(const struct rpc_call *call);
bool rpc_is_done(struct rpc_call *call);     /* sends are refused; on_done has come or is coming */
uint64_t rpc_dropped(struct rpc_call *call); /* messages dropped by this call's queue so far */
/* UINT64_MAX: the call has no deadline. 0: it has passed. */
uint64_t rpc_deadline_remaining_ns(const struct rpc_call *call);

/* ---- About the peer: in callbacks only. ---- */

/* Value of the request header (server) or initial response header (client) `key`, in lower case;
 * borrowed until on_done has returned, NOT terminated by NUL. NULL: not there. The first of
 * several. */
const char *rpc_header(struct rpc_call *call, const char *key, size_t *length);

#define RPC_PEER_BYTES 128
/* "ipv4:127.0.0.1:41234", "ipv6:[::1]:41234", "unix:"; empty when unknown. */
void rpc_peer(struct rpc_call *call, char out[RPC_PEER_BYTES]);

enum rpc_identity {
    RPC_IDENTITY_COMMON_NAME,
    RPC_IDENTITY_ALTERNATIVE_NAME, /* subject alternative names, all kinds */
};

/* Name number `index` of the certificate that the peer showed and that was verified;
 * NUL-terminated. 0: there is none (or it does not fit or holds a NUL, which is never a name to
 * trust). Otherwise its length. */
size_t rpc_peer_identity(struct rpc_call *call, enum rpc_identity kind, unsigned index, char *out,
                         size_t out_bytes);
/* When that certificate begins to count (its notBefore), wall clock in ns; 0: there is none. */
uint64_t rpc_peer_certificate_begin(struct rpc_call *call);
/* True when the request has "authorization: Bearer TOKEN" with exactly this token; constant time.
 */
bool rpc_bearer_equals(struct rpc_call *call, const char *token, size_t length);

/* ---- Calls a second of one peer, for authorize hooks. ---- */

/* A bucket for each address (a client's host, whatever its port) that holds two seconds' worth of
 * calls; addresses whose hashes meet share one. Unix sockets are not counted. */
struct rpc_rate;
/* `per_second` > 0. NULL: no memory. */
MUST_USE struct rpc_rate *rpc_rate_new(uint32_t per_second);
void rpc_rate_free(struct rpc_rate *rate); /* NULL is allowed */
/* False: the peer has had its share. Any thread. */
MUST_USE bool rpc_rate_take(struct rpc_rate *rate, struct rpc_call *call);
/* The same by the peer's text ("ipv4:10.0.0.7:41234") and a monotonic time. */
MUST_USE bool rpc_rate_take_at(struct rpc_rate *rate, const char *peer, uint64_t now_ns);

/* ---- Server. ---- */

struct rpc_server_options {
    size_t receive_bytes_max;   /* one message; larger: RESOURCE_EXHAUSTED */
    size_t window_bytes;        /* that a peer may send ahead of what was read; 0: as much as gRPC
                                 * measures the link to hold, which on a short link is more than a
                                 * processor's cache */
    uint32_t streams_max;       /* calls at once on one connection */
    uint32_t calls_max;         /* calls at once in all; more: RESOURCE_EXHAUSTED */
    uint32_t header_bytes_max;  /* request headers of one call */
    uint32_t connections_max;   /* at once on TCP, those included that have not said a word yet; a
                                 * further one is closed at once. 0 = no bound */
    uint64_t keepalive_time_ns; /* ping an idle connection this often */
    uint64_t keepalive_timeout_ns; /* and close it when silent this long after */
    uint64_t ping_interval_min_ns; /* a client that pings faster is disconnected (too_many_pings) */
    uint64_t connection_age_max_ns; /* 0 = off. Cancels long streams after the grace: leave it off
                                       for them */
    uint64_t connection_grace_ns;   /* with connection_age_max_ns */
    uint64_t handshake_timeout_ns;  /* TLS and HTTP/2 settings must be through by then */
    uint64_t first_message_ns;      /* a call that has sent none by then ends with
                                     * DEADLINE_EXCEEDED when others come. 0 = off */
    uint64_t connection_idle_ns;    /* a connection without a call is closed after so long; its
                                     * client dials again with the next one. 0 = off */
    /* Asked before on_start, on the call's thread. RPC_OK lets the call in; otherwise the call ends
     * with that status and the sentence in `reason`. NULL: all are let in. */
    enum rpc_status (*authorize)(void *context, struct rpc_call *call, const char *path,
                                 struct error *reason);
    void *authorize_context;
};

/* 16 MiB, window 512 KiB, 1024 streams, 16384 calls, 16 KiB headers, keepalive 30 s / 10 s, pings
 * from 5 s, handshake 20 s, a first message within 30 s, idle connections for 10 minutes. */
struct rpc_server_options rpc_server_options_default(void);

/* PEM files. They are read again when they have changed on disk, and the next handshake uses them;
 * a pair that cannot be used is logged and the one before stays. Texts are copied. */
struct rpc_server_tls {
    const char *certificate_path; /* chain, leaf first */
    const char *key_path;
    const char *client_ca_path; /* mTLS: clients must show a certificate of this CA. NULL: they are
                                   not asked */
};

/* `options` NULL: the default. NULL with `err` set. */
MUST_USE struct rpc_server *rpc_server_new(struct rpc_runtime *runtime,
                                           const struct rpc_server_options *options,
                                           struct error *err);
/* Before rpc_server_start. The table is borrowed for the life of the server. -EEXIST: path taken
 * twice. */
MUST_USE int rpc_server_add(struct rpc_server *server, const struct rpc_method *methods,
                            size_t count, struct error *err);
/* The form of what rpc_server_listen takes, asking neither names nor ports. 0 or -EINVAL. */
MUST_USE int rpc_address_check(const char *address, struct error *err);
/* Before rpc_server_start; several times for several addresses. "127.0.0.1:50051", "[::1]:50051",
 * "localhost:0", "unix:/run/netscope/sensor.sock" (a stale socket file is removed, the new one has
 * mode 0660). `tls` NULL: plaintext. Returns the port (0 for unix), or -errno with "listen
 * 127.0.0.1:50051: address in use ...". */
MUST_USE int rpc_server_listen(struct rpc_server *server, const char *address,
                               const struct rpc_server_tls *tls, struct error *err);
void rpc_server_start(struct rpc_server *server);
/* No new calls; on_drain for each live one; after `grace_ns` the rest are cancelled. Returns when
 * all calls are done and all connections closed. Producers stop before. A second call returns when
 * the first has ended. Not from a callback. */
void rpc_server_stop(struct rpc_server *server, uint64_t grace_ns);
void rpc_server_free(
    struct rpc_server *server); /* stops it with no grace if need be; NULL is allowed */
DEFINE_AUTO(rpc_server, rpc_server_free);

struct rpc_server_counts {
    uint64_t calls_started;
    uint64_t calls_refused;    /* by authorize */
    uint64_t calls_over_limit; /* by calls_max */
    uint64_t calls_unknown;    /* no such method */
    uint64_t calls_silent;     /* ended: first_message_ns */
    uint64_t messages_dropped; /* by the queues of its calls */
    uint32_t calls_live;
    /* Of TCP; 0 without connections_max. */
    uint64_t connections_accepted; /* also those refused */
    uint64_t connections_refused;  /* closed at once: connections_max */
    uint32_t connections_live;
};
void rpc_server_counts(struct rpc_server *server, struct rpc_server_counts *out); /* any thread */

/* ---- Client. ---- */

struct rpc_channel_options {
    const char *target; /* as rpc_server_listen, or a name: "collector.example:50052" */
    bool is_tls;
    const char *ca_path;          /* NULL: the system's roots */
    const char *certificate_path; /* with key_path: mTLS */
    const char *key_path;
    const char *server_name; /* expected in the server's certificate; NULL: the target's host */
    size_t receive_bytes_max;
    size_t window_bytes; /* as of rpc_server_options */
    uint64_t backoff_initial_ns, backoff_max_ns;
    uint64_t
        connect_timeout_ns; /* connect and handshakes; below 5 s they fail at random under load */
    uint64_t keepalive_time_ns, keepalive_timeout_ns;
};

/* 16 MiB, window 512 KiB, backoff 0.5 s to 20 s, connect 20 s, keepalive 30 s / 10 s, plaintext. */
struct rpc_channel_options rpc_channel_options_default(const char *target);

/* Connects when the first call starts; a peer that is down ends calls with UNAVAILABLE. Certificate
 * files are read here and by rpc_channel_refresh. NULL with `err` set: unreadable or no PEM. */
MUST_USE struct rpc_channel *rpc_channel_new(struct rpc_runtime *runtime,
                                             const struct rpc_channel_options *options,
                                             struct error *err);
/* Before a call: reads certificate, key and CA again if their files have changed, so that calls
 * from now on use them; what cannot be used is logged and what was before stays. Not at the same
 * time as rpc_call_start on this channel. */
void rpc_channel_refresh(struct rpc_channel *channel);
void rpc_channel_free(
    struct rpc_channel *channel); /* calls go on until they are done; NULL is allowed */
DEFINE_AUTO(rpc_channel, rpc_channel_free);

/* Why a connection failed, from the sentence of a call's result. */
enum rpc_trouble {
    RPC_TROUBLE_OTHER,
    RPC_TROUBLE_UNTRUSTED,  /* the certificate is not signed by the CA, or has expired */
    RPC_TROUBLE_OTHER_NAME, /* it is for another name */
    RPC_TROUBLE_PLAINTEXT,  /* the peer speaks no TLS */
    RPC_TROUBLE_HANDSHAKE,  /* it does not take our certificate, or speaks no TLS */
    RPC_TROUBLE_REFUSED,    /* nothing listens there */
    RPC_TROUBLE_NO_SOCKET,  /* no unix socket has that path */
    RPC_TROUBLE_NO_HOST,    /* the name cannot be resolved */
    RPC_TROUBLE_CLOSED,     /* the peer has ended, or wants TLS and got none */
    RPC_TROUBLE_COUNT
};
enum rpc_trouble rpc_trouble_of(const char *message);

struct rpc_metadata {
    const char *key; /* lower case */
    const char *value;
    size_t value_bytes;
};

struct rpc_call_options {
    uint64_t timeout_ns; /* 0 = none */
    const char *bearer;  /* sent as "authorization: Bearer ..."; NULL = none */
    const struct rpc_metadata *metadata;
    size_t metadata_count;
    void *user_data;
    /* With is_single_request: this is sent and the sending side closed, all in the first write. The
     * reference is taken, also on failure. */
    bool is_single_request;
    struct rpc_bytes request;
};

/* Starts a call of `method` (borrowed until on_done). `options` may be NULL. The caller gets one
 * reference; callbacks may come before this returns. NULL with `err` set: a header that is not
 * legal. Any thread. */
MUST_USE struct rpc_call *rpc_call_start(struct rpc_channel *channel,
                                         const struct rpc_method *method,
                                         const struct rpc_call_options *options, struct error *err);

/* ---- Built-in services: add to a server before its start; they must outlive it. ---- */

/* grpc.health.v1.Health, Check and Watch. "" stands for the whole server. Exempt from
 * authorisation. */
MUST_USE struct rpc_health *rpc_health_new(uint32_t watchers_max, struct error *err);
void rpc_health_free(struct rpc_health *health);
DEFINE_AUTO(rpc_health, rpc_health_free);
MUST_USE int rpc_health_add(struct rpc_health *health, struct rpc_server *server,
                            struct error *err);
/* Makes the service known if it was not, and tells its watchers. Any thread. -ENOMEM,
 * -ENAMETOOLONG. */
int rpc_health_set(struct rpc_health *health, const char *service, bool is_serving);

/* grpc.reflection.v1.ServerReflection and v1alpha, from a serialized
 * google.protobuf.FileDescriptorSet
 * (`protoc --descriptor_set_out --include_imports`), borrowed. list_services names the services
 * whose methods the server has. NULL with `err` set: not such a set. */
MUST_USE struct rpc_reflection *rpc_reflection_new(const uint8_t *descriptor_set, size_t length,
                                                   struct error *err);
void rpc_reflection_free(struct rpc_reflection *reflection);
DEFINE_AUTO(rpc_reflection, rpc_reflection_free);
/* One server a reflection: list_services answers from it. */
MUST_USE int rpc_reflection_add(struct rpc_reflection *reflection, struct rpc_server *server,
                                struct error *err);
