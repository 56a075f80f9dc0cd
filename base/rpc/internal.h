/* What the files of base/rpc share; nobody else includes it. Depends on: libgrpc. Threads: that of
 * the runtime, unless a comment says otherwise. */
#pragma once

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>

#include "base/counter.h"
#include "base/rpc/rpc.h"

/* gRPC's own code is not built with the thread sanitizer, so what passes from the thread that
 * starts a batch to the thread that gets its tag has to be told. Arguments are read into locals
 * before the release: gRPC may complete the tag before the starting call returns. */
#if defined(__SANITIZE_THREAD__)
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define TSAN_ACQUIRE(address) __tsan_acquire(address)
#define TSAN_RELEASE(address) __tsan_release(address)
#else
#define TSAN_ACQUIRE(address) ((void)(address))
#define TSAN_RELEASE(address) ((void)(address))
#endif

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* What a completion queue hands back. Embedded in its owner, one for each kind of operation: no
 * memory is taken an operation, and two operations of one kind cannot be in flight. */
struct rpc_tag {
    void (*complete)(struct rpc_tag *tag, bool ok);
};

/* ---- core_log.c ---- */

/* Errors that the library reports on this thread go out at level debug meanwhile: the caller tells
 * of the failure in a sentence of its own. */
void rpc_core_quiet(bool is_quiet);
/* The log function of the library. Any thread. */
void rpc_core_log(gpr_log_func_args *args);
/* Which kind of broken handshake a line of the library tells of; RPC_BROKEN_COUNT: none that is
 * known. */
#define RPC_BROKEN_COUNT 9
unsigned rpc_core_broken(const char *text);

/* ---- runtime.c ---- */

struct rpc_posted {
    struct rpc_posted *next;
    uint64_t due_ns; /* monotonic; 0 = now */
    void (*run)(void *argument);
    void (*run_call)(struct rpc_call *call, void *argument);
    struct rpc_call *call; /* holds a reference; NULL for run */
    void *argument;
};

struct rpc_queue {
    grpc_completion_queue *cq;
    pthread_t thread;
    bool has_thread;
    grpc_call *wake_call; /* never started; an empty batch on it wakes the thread */
    struct rpc_tag wake_tag;
    pthread_mutex_t lock; /* over what follows */
    struct rpc_posted *posted_first;
    struct rpc_posted **posted_end;
    struct rpc_posted *delayed; /* by due_ns */
    bool wake_pending;
    bool is_closing;
};

struct rpc_tls_source; /* credentials.c */

struct rpc_runtime {
    unsigned queues_count;
    atomic_uint next_queue;
    pthread_mutex_t lock;
    struct rpc_tls_source
        *tls_sources; /* freed behind grpc_shutdown: a handshake may ask until then */
    struct rpc_queue queues[];
};

/* The queue of the next client call: in turn. */
struct rpc_queue *rpc_runtime_pick(struct rpc_runtime *runtime);
MUST_USE bool rpc_queue_post(struct rpc_queue *queue, const struct rpc_posted *what);
/* Starts a batch whose arguments are in order: anything but OK is a mistake of ours. */
void rpc_start_batch(grpc_call *core, const grpc_op *ops, size_t count, struct rpc_tag *tag);

#define RPC_WINDOW_BYTES ((size_t)512 << 10) /* the default */
/* What HTTP/2 announces where `window_bytes` is 0; gRPC goes on from there. */
#define RPC_WINDOW_BYTES_MEASURED 65535

/* ---- buffer.c ---- */

grpc_slice rpc_bytes_slice(const struct rpc_bytes *bytes);
struct rpc_bytes rpc_slice_bytes(grpc_slice slice);
gpr_timespec rpc_time_from_now(uint64_t delay_ns);
int rpc_milliseconds(uint64_t ns); /* rounded up, 0..INT_MAX */

/* ---- call.c, send.c ---- */

#define RPC_MESSAGE_TEXT_MAX  1024
#define RPC_DETAILS_BYTES_MAX 4096

struct rpc_outgoing {
    grpc_byte_buffer *message;
    size_t bytes;
};

struct rpc_outbox {
    struct rpc_outgoing *ring; /* grows up to messages_max */
    uint32_t capacity, head, count;
    size_t bytes; /* waiting and in flight */
    bool was_full;
    bool in_flight; /* a batch of the send tag is out */
    bool headers_wanted, headers_sent;
    bool finish_wanted, finish_sent;
    struct rpc_outgoing sending; /* message NULL: none */
    grpc_status_code status;
    grpc_slice status_text;
    grpc_metadata trailer; /* grpc-status-details-bin */
    size_t trailers_count;
};

struct rpc_call {
    const struct rpc_method *method;
    struct rpc_queue *queue;
    struct rpc_server *server; /* NULL: a client's call */
    void *user_data;
    gpr_timespec deadline;
    atomic_uint references;
    _Atomic uint64_t dropped;

    struct rpc_tag send_tag, read_tag, end_tag, headers_tag;

    pthread_mutex_t lock;
    grpc_call *core;  /* NULL once all batches are back and on_done has returned */
    unsigned batches; /* in flight */
    bool is_done;     /* the end is known: no more sends and reads */
    bool is_told;     /* on_done has returned */
    bool is_ended;    /* client: the status is here, perhaps behind a last message */
    bool may_read;    /* set once on_start has returned */
    bool is_reading;
    bool is_read_closed;
    uint32_t read_credits;
    struct rpc_outbox outbox;

    /* The rest belongs to the call's thread. */
    grpc_byte_buffer *received;
    const grpc_slice *delivered; /* the message that on_message has; NULL: none */
    uint64_t messages_received;
    int is_cancelled;            /* by RECV_CLOSE_ON_SERVER */
    bool has_headers;            /* headers below may be read */
    grpc_metadata_array headers; /* from the peer; elements belong to the core call */
    grpc_metadata_array trailers;
    grpc_status_code end_status; /* by RECV_STATUS_ON_CLIENT, like the next two */
    grpc_slice end_text;
    const char *end_error;
    grpc_metadata *own_headers; /* client: sent */
    size_t own_headers_count;

    struct rpc_call *previous, *next; /* in the server's list, under its lock */
    /* Server: when it came, whether a message has come, whether it was ended for want of one (under
     * the server's lock). */
    uint64_t begun_ns;
    atomic_bool has_spoken;
    bool is_given_up;
};

MUST_USE struct rpc_call *rpc_call_new(const struct rpc_method *method, struct rpc_queue *queue,
                                       grpc_call *core);
/* A batch may start: counted, and the core call stays. False: the call is over. Call with the lock
 * held. */
void rpc_call_batch_begin(struct rpc_call *call);
/* The last thing a completion does: gives back its batch; the last one releases the core call. */
void rpc_call_batch_end(struct rpc_call *call);
void rpc_call_read(
    struct rpc_call *call); /* starts a read unless one is in flight or none can come */
void rpc_call_read_first(struct rpc_call *call);
void rpc_call_watch_end(struct rpc_call *call); /* server: RECV_CLOSE; client: RECV_STATUS */
void rpc_call_drain(struct rpc_call *call, void *unused);

void rpc_outbox_init(struct rpc_call *call);
void rpc_outbox_fini(struct rpc_call *call);
void rpc_outbox_drop_all(struct rpc_call *call); /* lock held */
void rpc_outbox_pump(struct rpc_call *call);     /* lock not held */

/* ---- server.c ---- */

void rpc_server_forget(struct rpc_server *server, struct rpc_call *call);
void rpc_server_count_dropped(struct rpc_server *server, uint64_t count);
/* Calls `each` for the services that the server's methods name; for reflection. */
void rpc_server_services(const struct rpc_server *server,
                         void (*each)(void *context, const char *name, size_t length),
                         void *context);

/* ---- credentials.c ---- */

/* NULL with `err` set. `source` is kept by the runtime. */
MUST_USE grpc_server_credentials *rpc_server_credentials(struct rpc_runtime *runtime,
                                                         const struct rpc_server_tls *tls,
                                                         struct error *err);
MUST_USE grpc_channel_credentials *
rpc_channel_credentials(const struct rpc_channel_options *options, struct error *err);
void rpc_tls_sources_free(struct rpc_tls_source *first);
