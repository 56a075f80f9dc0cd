/* What the files of the gRPC server share: its state, its readers, replies. Private to
 * sensor/export/grpc_*.c. All of it belongs to the one thread of the rpc runtime, except the inbox
 * (publisher and rpc thread) and the counters. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/counter.h"
#include "base/http/http.h"
#include "base/wire_format.h"
#include "proto/codec.h"
#include "proto/filter/filter.h"
#include "sensor/export/grpc_access.h"
#include "sensor/export/grpc_history.h"
#include "sensor/export/grpc_mask.h"
#include "sensor/export/grpc_server.h"

#define GRPC_BATCH_MAX     512 /* records in one message */
#define GRPC_PAGE_MAX      1000
#define GRPC_PAGE_DEFAULT  100
#define GRPC_TOP_DEFAULT   10
#define GRPC_REQUEST_BYTES ((size_t)256 * 1024)
#define GRPC_ARENA_BYTES   ((size_t)2 * 1024 * 1024)
#define GRPC_MESSAGE_BYTES                                                                         \
    ((size_t)1024 * 1024) /* about: a batch is closed when it has reached this */
#define GRPC_GATHERS_MAX 4
#define GRPC_FILTERS_MAX 64 /* include[] and exclude[] each */
#define GRPC_METHODS     32

enum grpc_loss { GRPC_LOSS_READER, GRPC_LOSS_SINK, GRPC_LOSS_RATE, GRPC_LOSS_COUNT };

/* What an alert must be to pass. Empty: all. */
struct grpc_alert_choice {
    uint32_t kinds;  /* bit n: kind n; 0 = all */
    uint32_t states; /* bit n: state n; 0 = all */
    uint8_t min_severity;
    uint32_t subjects_count;
    struct ip_prefix *subjects; /* owned */
};

/* What a DNS transaction must be to pass. Empty: all. */
struct grpc_dns_choice {
    uint32_t prefixes_count, names_count, types_count, rcodes_count;
    struct ip_prefix *prefixes; /* these are owned */
    char **names;               /* lower case; ".example.com": with all below it */
    uint32_t *types, *rcodes;
};

/* One stream: a place in a history ring, moved on as far as its client keeps up. */
struct grpc_reader {
    struct grpc_server *server;
    struct rpc_call *call; /* valid until on_done */
    struct grpc_reader *next, *previous;
    struct grpc_history *history;
    enum record_stream stream;
    uint64_t position;
    uint64_t next_seq;           /* of the record expected at `position`; 0 = any */
    uint64_t remaining;          /* records to go; UINT64_MAX = no bound */
    uint64_t since_ns, until_ns; /* until 0 = none */
    bool is_following, is_finished, has_layers, has_choice;
    struct filter *filter;  /* NULL = all */
    struct grpc_mask *mask; /* NULL = whole records */
    struct grpc_alert_choice alerts;
    struct grpc_dns_choice dns;
    uint32_t batch_max;
    /* At most rate_max records a second. */
    uint32_t rate_max; /* 0 = no bound */
    uint32_t rate_used;
    uint64_t rate_began_ns;
    /* Statistics go out once an interval. */
    uint64_t interval_ns, due_ns;
    struct {
        uint64_t from, to, count;
    } loss[GRPC_LOSS_COUNT];
    uint64_t rate_told_ns;
    uint64_t last_sent_ns;
    uint32_t node_told; /* version of the server's state that the client knows */
    bool has_pending;   /* a message that found the call's queue full */
    struct rpc_bytes pending;
    uint32_t pending_records;
};

/* The way back from timers and posts to a server that may be gone by then. */
struct grpc_link {
    pthread_mutex_t mutex; /* held while a callback works with the server */
    struct grpc_server *server;
    atomic_uint references;
    atomic_uint gathers; /* questions to shards under way */
};

struct grpc_ask;
struct grpc_method;

/* How the sensor itself stands, as streams of flows tell it. */
struct grpc_node {
    uint32_t version; /* counts changes; 0 = not looked at yet */
    bool is_ready;
    char reason[256];
    uint64_t looked_ns;
};

struct grpc_server {
    struct grpc_settings settings;
    struct grpc_identity identity;
    struct rpc_runtime *runtime;
    struct rpc_server *rpc;
    struct rpc_health *health;
    struct rpc_reflection *reflection;
    struct rpc_method rpc_methods[GRPC_METHODS];
    struct grpc_method *methods; /* as many as grpc_rows */
    struct pipeline *pipeline;
    struct grpc_link *link;
    _Atomic(struct grpc_retune *) retune; /* waits for the rpc thread; NULL = none */
    char config_hash[17];                 /* identity.config_hash, once it has changed */
    uint16_t port;
    pthread_rwlock_t access_lock;
    struct grpc_access *access; /* NULL = no tokens */
    struct rpc_rate *rate;      /* NULL = no limit */

    /* The inbox: parcels from the publisher. */
    pthread_mutex_t inbox_mutex;
    struct grpc_parcel *inbox_first, *inbox_last;
    uint64_t inbox_records, inbox_bytes;
    bool is_inbox_posted, is_stopping;

    struct grpc_history histories[RECORD_STREAM_COUNT];
    struct grpc_reader *readers;
    uint32_t readers_count;
    struct grpc_node node;
    bool is_ticking, is_pump_posted;

    struct arena *arena;         /* of one request, or one message */
    struct flow_record *flow;    /* scratch for filters */
    struct dns_transaction *dns; /* likewise */
    struct counter streams, records_sent, records_dropped, taken;
};

/* ---- questions ---- */

/* One method of the server: its row is the whole truth for gRPC, REST and the OpenAPI document. */
struct grpc_row {
    const char *path; /* "/netscope.v1.FlowService/GetFlow" */
    void (*ask)(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
    /* Of REST, for methods with one answer: "/v1/flows/{flow_id}". GET with fields of the request
     * as query parameters, or POST with the request as JSON. */
    const char *rest[2];
    bool is_stream;
    bool is_changing; /* REST: POST alone */
};

extern const struct grpc_row grpc_rows[];
extern const size_t grpc_rows_count;

/* What a method of the rpc server is given. */
struct grpc_method {
    struct grpc_server *server;
    const struct grpc_row *row;
};

/* A question: a gRPC call, or a request of REST that is owed an answer. A value: whoever answers
 * later keeps a copy and grpc_ask_keep. Each question is answered or refused exactly once, on the
 * rpc thread. */
struct grpc_ask {
    struct grpc_server *server;
    struct rpc_call *call;      /* NULL: REST */
    struct http_deferred *http; /* NULL: gRPC */
    const struct grpc_row *row;
    char who[GRPC_WHO_BYTES]; /* REST: who asks */
};

/* Nobody waits for the answer any more. Any thread. */
bool grpc_ask_is_done(const struct grpc_ask *ask);
/* The copy may be answered after the method has returned. */
void grpc_ask_keep(const struct grpc_ask *ask);
/* The end of a kept copy that was answered or refused. Any thread. */
void grpc_ask_release(const struct grpc_ask *ask);
/* Nobody can be answered any more (the runtime is going). Any thread. */
void grpc_ask_abandon(const struct grpc_ask *ask);

/* ---- link ---- */

struct grpc_link *grpc_link_ref(struct grpc_link *link);
void grpc_link_unref(struct grpc_link *link);

/* ---- requests and replies (grpc_reply.c) ---- */

/* Unpacks into the server's arena. NULL: the call is finished with INVALID_ARGUMENT. */
MUST_USE ProtobufCMessage *grpc_unpack(struct grpc_ask *ask,
                                       const ProtobufCMessageDescriptor *descriptor,
                                       const uint8_t *bytes, size_t length);
/* Finishes with a status and the details of google.rpc: ErrorInfo{reason, domain} with `position`
 * in its metadata when it is >= 0, and a RetryInfo where a later attempt may be taken
 * (RESOURCE_EXHAUSTED, UNAVAILABLE). */
void grpc_refuse(struct grpc_ask *ask, enum rpc_status status, const char *reason, int64_t position,
                 const char *format, ...) PRINTF_LIKE(5, 6);
/* INVALID_ARGUMENT with a BadRequest that names the field, too. */
void grpc_refuse_field(struct grpc_ask *ask, const char *field, const char *reason,
                       int64_t position, const char *format, ...) PRINTF_LIKE(5, 6);
/* Sends the only answer and finishes with OK. */
void grpc_answer(struct grpc_ask *ask, struct rpc_buffer *buffer, size_t used);
void grpc_answer_packed(struct grpc_ask *ask, const ProtobufCMessage *message);
/* One field `number` with these bytes. */
void grpc_answer_field(struct grpc_ask *ask, uint32_t number, const void *bytes, size_t length);
/* Copies each field `from` of an encoded message as field `to`. */
void grpc_copy_fields(struct wire_writer *out, const uint8_t *bytes, size_t length, uint32_t from,
                      uint32_t to);
/* A Timestamp. */
void grpc_write_time(struct wire_writer *w, uint32_t field, uint64_t ns);
/* False: refused. Absent leaves *ns. */
MUST_USE bool grpc_read_time(struct grpc_ask *ask, const Google__Protobuf__Timestamp *time,
                             const char *name, uint64_t *ns);
MUST_USE bool grpc_read_duration(struct grpc_ask *ask, const Google__Protobuf__Duration *time,
                                 const char *name, uint64_t *ns);
/* Checks 1..GRPC_PAGE_MAX, 0 = `otherwise`. 0: refused. */
MUST_USE uint32_t grpc_read_page_size(struct grpc_ask *ask, const char *name, uint32_t size,
                                      uint32_t otherwise);
/* Compiles text and messages; *out NULL when there is no choice at all. False: refused. */
MUST_USE bool grpc_read_filter(struct grpc_ask *ask, const ProtobufCMessage *const *include,
                               size_t include_count, const ProtobufCMessage *const *exclude,
                               size_t exclude_count, const char *text, struct filter **out);

/* ---- who may ask (grpc_server.c) ---- */

/* Of REST, where there is no unix socket and no client certificate: `token` NULL = none was given.
 * RPC_OK, RPC_UNAUTHENTICATED or RPC_PERMISSION_DENIED. Any thread. */
enum rpc_status grpc_may_ask(struct grpc_server *server, const char *path, const char *token,
                             char who[GRPC_WHO_BYTES]);
/* Of a call, in its callbacks; also on the unix socket and by client certificate. */
enum rpc_status grpc_identify(struct grpc_server *server, struct rpc_call *call,
                              enum grpc_scope scope, char who[GRPC_WHO_BYTES],
                              struct error *reason);

/* ---- REST (grpc_rest.c) ---- */

void grpc_rest_answer(const struct grpc_ask *ask, struct rpc_buffer *buffer, size_t used);
struct grpc_refusal {
    enum rpc_status status;
    const char *reason, *field, *message; /* field NULL = none */
    int64_t position;                     /* -1 = none */
};
void grpc_rest_refuse(const struct grpc_ask *ask, const struct grpc_refusal *refusal);

/* ---- readers (grpc_reader.c) ---- */

/* The call's reader, not yet started, with `batch_max` set; NULL: refused (too many streams). */
MUST_USE struct grpc_reader *grpc_reader_new(struct grpc_ask *ask, enum record_stream stream);
/* From here on it is fed; freed by grpc_reader_done. */
void grpc_reader_start(struct grpc_reader *reader);
void grpc_reader_free(struct grpc_reader *reader); /* one that was not started */
/* Back to the last `count` records of its choice; UINT64_MAX: all. */
void grpc_reader_rewind(struct grpc_reader *reader, uint64_t count);
/* Callbacks of the methods. */
void grpc_reader_writable(struct rpc_call *call);
void grpc_reader_done(struct rpc_call *call, const struct rpc_result *result);
/* All that can move moves; posted again while there is more. */
void grpc_pump(struct grpc_server *server);
void grpc_tick(struct grpc_server *server);
void grpc_on_evict(void *context, struct grpc_history *history, const struct grpc_record *record,
                   uint64_t position);
/* Runs `run` on the rpc thread with the server, if it is still there. */
void grpc_post(struct grpc_server *server, void (*run)(struct grpc_server *server));
void grpc_post_after(struct grpc_server *server, uint64_t delay_ns,
                     void (*run)(struct grpc_server *server));

/* ---- news of the sensor (grpc_node.c) ---- */

#define GRPC_NODE_BYTES 640
/* Looks again when a second has passed. */
void grpc_node_look(struct grpc_server *server, uint64_t now_ns);
/* A whole ObserveFlowsResponse with a NodeStatus; 0: no room. */
size_t grpc_node_write(const struct grpc_server *server, uint8_t out[GRPC_NODE_BYTES]);

/* ---- choices ---- */

/* A PacketSample's flow as far as its own bytes tell. False: no IP. */
bool grpc_packet_flow(const uint8_t *bytes, size_t length, struct flow_record *out);
bool grpc_alert_matches(struct grpc_server *server, const struct grpc_alert_choice *choice,
                        const uint8_t *bytes, size_t length, struct alert_record *out);
bool grpc_dns_matches(struct grpc_server *server, const struct grpc_dns_choice *choice,
                      const uint8_t *bytes, size_t length);
void grpc_dns_choice_free(struct grpc_dns_choice *choice); /* what it owns */

/* ---- methods: one question each (grpc_table.c) ---- */

void grpc_get_info(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_status(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_loss_ledger(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_list_assets(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_observe_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_list_active_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_flow(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_top_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_observe_alerts(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_list_alerts(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_alert(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_watch_stats(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_stats(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_observe_packets(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_packet(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_capture_packets(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_validate_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_reload_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_apply_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_observe_dns(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
