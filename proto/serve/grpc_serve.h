/* What serves the services of netscope.v1 in both programs: questions and answers by gRPC and REST
 * from one table of methods, tokens with scopes, and the live streams over rings of the last
 * records.
 *
 * A program gives its table (struct grpc_program), fills the rings (grpc_inbox_push) and answers
 * the methods that are its own; the streams are served here. For sensor/export/grpc_* and
 * collector-ui/api/grpc_* alone. Threads: all of it belongs to the one thread of the rpc runtime,
 * except the inbox (any one thread puts, the rpc thread takes), the door and the counters. Depends
 * on: base, proto, proto/json, proto/filter. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/counter.h"
#include "base/http/http.h"
#include "base/service/control.h"
#include "base/wire_format.h"
#include "proto/alert_choice.h"
#include "proto/asset_message.h"
#include "proto/codec.h"
#include "proto/filter/filter.h"
#include "proto/json/openapi.h"
#include "proto/serve/grpc_access.h"
#include "proto/serve/grpc_batch.h"
#include "proto/serve/grpc_history.h"
#include "proto/serve/grpc_mask.h"
#include "proto/serve/grpc_settings.h"

#define GRPC_PAGE_MAX      1000
#define GRPC_PAGE_DEFAULT  100
#define GRPC_TOP_DEFAULT   10
#define GRPC_REQUEST_BYTES ((size_t)256 * 1024)
#define GRPC_ARENA_BYTES   ((size_t)2 * 1024 * 1024)
#define GRPC_GATHERS_MAX   4
#define GRPC_FILTERS_MAX   64  /* include[] and exclude[] each */
#define GRPC_CHOICES_MAX   256 /* prefixes, names and numbers of one kind in a request */
#define GRPC_METHODS       64
#define GRPC_NODE_BYTES    640
#define GRPC_PEER_BYTES    64
/* Behind the streams of records: the ring of news of sensors (WatchSensors). */
#define GRPC_NEWS        RECORD_STREAM_COUNT
#define GRPC_RINGS       (RECORD_STREAM_COUNT + 1)
#define GRPC_SENSORS_MAX 64 /* ids or patterns in one selector */

enum grpc_loss { GRPC_LOSS_READER, GRPC_LOSS_SINK, GRPC_LOSS_RATE, GRPC_LOSS_COUNT };

/* What a DNS transaction must be to pass. Empty: all. */
struct grpc_dns_choice {
    uint32_t prefixes_count, names_count, types_count, rcodes_count;
    struct ip_prefix *prefixes; /* these are owned */
    char **names;               /* lower case; ".example.com": with all below it */
    uint32_t *types, *rcodes;
};

/* Of which sensors records pass; patterns with '*'. Empty: all. */
struct grpc_sensor_choice {
    uint32_t count;
    char **patterns; /* owned */
};

/* One stream: a place in a history ring, moved on as far as its client keeps up. */
struct grpc_reader {
    struct grpc_server *server;
    struct rpc_call *call; /* valid until on_done */
    struct grpc_reader *next, *previous;
    struct grpc_history *history;
    unsigned stream; /* enum record_stream, or GRPC_NEWS */
    uint64_t position;
    uint64_t next_seq;           /* of the record expected at `position`; 0 = any */
    uint64_t remaining;          /* records to go; UINT64_MAX = no bound */
    uint64_t since_ns, until_ns; /* until 0 = none */
    bool is_following, is_finished, has_layers, has_choice;
    struct filter *filter;      /* NULL = all */
    struct grpc_mask *mask;     /* NULL = whole records */
    struct alert_choice alerts; /* its subjects are owned */
    struct grpc_dns_choice dns;
    struct grpc_sensor_choice sensors;
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
    /* What is sent before the ring's records; owned, NULL = none or over. */
    struct grpc_history *prelude;
    uint64_t prelude_then; /* position in the ring afterwards */
    /* A message that found the call's queue full. */
    struct rpc_bytes pending[GRPC_PIECES_MAX + 1];
    uint32_t pending_pieces; /* 0 = none */
    uint32_t pending_records;
};

/* A call that lasts and is no reader: it ends with its token, too. */
struct grpc_stream {
    struct grpc_stream *next;
    struct rpc_call *call; /* valid until on_done */
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

struct grpc_server {
    const struct grpc_program *program;
    void *owner; /* the program's own part */
    struct grpc_settings settings;
    struct rpc_runtime *runtime;
    struct control *control; /* who answers ConfigService; NULL: nobody */
    struct rpc_method rpc_methods[GRPC_METHODS];
    struct grpc_method *methods; /* as many as the program's rows */
    struct grpc_link *link;
    bool is_remote; /* other machines reach it */
    bool
        is_exposed; /* likewise, without proof of who they are: then nobody anonymous is answered */
    pthread_rwlock_t access_lock;
    struct grpc_access *access; /* NULL = no tokens */
    struct rpc_rate *rate;      /* NULL = no limit */

    /* The inbox: parcels from the publisher. */
    pthread_mutex_t inbox_mutex;
    struct grpc_parcel *inbox_first, *inbox_last;
    uint64_t inbox_records, inbox_bytes;
    bool is_inbox_posted;

    struct grpc_history histories[GRPC_RINGS];
    struct grpc_reader *readers;
    uint32_t readers_count;
    struct grpc_stream *streams_apart; /* calls of rows with an on_done of their own */
    uint32_t node_version; /* counts news of sensors that streams of flows tell; the program's */
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
    /* Of a stream that is none over a ring; NULL: of a reader, or none. */
    void (*on_writable)(struct rpc_call *call);
    void (*on_drain)(struct rpc_call *call);
    void (*on_done)(struct rpc_call *call, const struct rpc_result *result);
    bool is_changing;      /* REST: by `verb` alone */
    enum http_method verb; /* with is_changing; HTTP_GET stands for HTTP_POST */
    /* A page of REST alone, by GET; then `path` is NULL. */
    void (*page)(struct http_request *request);
    const struct openapi_page *described; /* of the page, for the document */
};

/* Which program serves. Constant, lives for ever. */
struct grpc_program {
    const char *name;  /* "sensor", as refusals call it */
    const char *proof; /* likewise: what opens packet bytes and settings */
    const struct grpc_row *rows;
    size_t rows_count;
    const char *title; /* of the OpenAPI document */
    const char *about; /* likewise */
    /* Looks whether there are news of sensors; counts server->node_version on. */
    void (*look_at_nodes)(struct grpc_server *server, uint64_t now_ns);
    /* Writes the news after *told as a whole ObserveFlowsResponse and counts *told on. 0: none. */
    size_t (*write_node)(const struct grpc_server *server, uint32_t *told,
                         uint8_t out[GRPC_NODE_BYTES]);
    /* The sample with its layers, at most `packet_layers_bytes` more. NULL: samples have them. */
    size_t (*add_layers)(const uint8_t *sample, size_t length, uint8_t *out, size_t capacity);
    size_t layers_bytes_max;
    /* A PacketSample's flow as far as its own bytes tell; false: no IP. */
    bool (*packet_flow)(const uint8_t *sample, size_t length, struct flow_record *out);
    /* Calls `each` for the sensors that an id pattern of `choice` (none: each) and `labels`, a
     * checked selector, take. NULL: labels are not known here. */
    void (*each_labelled)(const struct grpc_server *server, const struct grpc_sensor_choice *choice,
                          const char *labels, void (*each)(void *context, const char *sensor_id),
                          void *context);
    /* Is it one sensor alone, whose id this is? NULL: a fleet. */
    const char *(*own_sensor)(const struct grpc_server *server);
    const char *(*own_boot)(const struct grpc_server *server); /* and its process; NULL likewise */
};

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
    char who[GRPC_WHO_BYTES];   /* REST: who asks */
    char peer[GRPC_PEER_BYTES]; /* likewise: from where */
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

/* Outlives the server for those who may answer later: any thread. Returns `link`. */
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
/* Checks 1..GRPC_BATCH_MAX, 0 = that. 0: refused. */
MUST_USE uint32_t grpc_read_max_batch(struct grpc_ask *ask, uint32_t max_batch);
/* Either of them, and a flow_id as records write it. False: refused. */
MUST_USE bool grpc_check_flow_ids(struct grpc_ask *ask, const char *flow_id,
                                  const char *community_id);
/* Addresses and prefixes of field `name` into a malloc'ed list, NULL where there are none. False:
 * refused; the list is the caller's in any case. */
MUST_USE bool grpc_read_prefixes(struct grpc_ask *ask, const char *name, char *const *texts,
                                 size_t count, struct ip_prefix **out, uint32_t *out_count);
/* Compiles text and messages; *out NULL when there is no choice at all. False: refused. */
MUST_USE bool grpc_read_filter(struct grpc_ask *ask, const ProtobufCMessage *const *include,
                               size_t include_count, const ProtobufCMessage *const *exclude,
                               size_t exclude_count, const char *text, struct filter **out);

/* ---- who may ask (grpc_serve.c) ---- */

/* Of REST, where there is no unix socket and no client certificate: `token` NULL = none was given.
 * RPC_OK, RPC_UNAUTHENTICATED or RPC_PERMISSION_DENIED. Any thread. */
enum rpc_status grpc_may_ask(struct grpc_server *server, const char *path, const char *token,
                             char who[GRPC_WHO_BYTES]);
/* Text of a request that is kept and shown again: UTF-8 in one line, at most `bytes_max`. False:
 * refused. */
MUST_USE bool grpc_check_text(struct grpc_ask *ask, const char *name, const char *text,
                              size_t bytes_max);
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

/* ---- readers (grpc_reader.c, grpc_reader_feed.c) ---- */

/* The call's reader, not yet started, with `batch_max` set; NULL: refused (too many streams). */
MUST_USE struct grpc_reader *grpc_reader_new(struct grpc_ask *ask, unsigned stream);
/* From here on it is fed; freed by grpc_reader_done. */
void grpc_reader_start(struct grpc_reader *reader);
void grpc_reader_free(struct grpc_reader *reader); /* one that was not started */
/* Back to the last `count` records of its choice; UINT64_MAX: all. */
void grpc_reader_rewind(struct grpc_reader *reader, uint64_t count);
/* Behind record `seq` of the one sensor that is served; 0: to the oldest. What is no longer held is
 * told as lost. */
void grpc_reader_resume(struct grpc_reader *reader, uint64_t seq);
/* Where a request for a stream says that it begins: `after` (a RecordPosition; NULL: not set), or
 * with the `last` records of the history (0: all). False: refused. */
MUST_USE bool grpc_begin_at(struct grpc_ask *ask, struct grpc_reader *reader,
                            const ProtobufCMessage *after, uint64_t last);
/* Sends the records of `prelude` (malloc'ed, taken over) before those of the ring. */
void grpc_reader_begin(struct grpc_reader *reader, struct grpc_history *prelude);
/* Callbacks of the methods. */
void grpc_reader_writable(struct rpc_call *call);
void grpc_reader_done(struct rpc_call *call, const struct rpc_result *result);
/* All that can move moves; posted again while there is more. */
void grpc_pump(struct grpc_server *server);
void grpc_tick(struct grpc_server *server);
void grpc_on_evict(void *context, struct grpc_history *history, uint64_t from, uint64_t to);
/* Runs `run` on the rpc thread with the server, if it is still there. */
void grpc_post(struct grpc_server *server, void (*run)(struct grpc_server *server));
void grpc_post_after(struct grpc_server *server, uint64_t delay_ns,
                     void (*run)(struct grpc_server *server));

/* ---- choices ---- */

struct grpc_alert_request {
    const int *kinds, *states;
    size_t kinds_count, states_count;
    int min_severity;
    char *const *subjects;
    size_t subjects_count;
};
/* Of any request that chooses alerts: their fields have the same names. */
#define GRPC_ALERT_REQUEST(request)                                                                \
    (&(const struct grpc_alert_request){.kinds = (const int *)(request)->kinds,                    \
                                        .kinds_count = (request)->n_kinds,                         \
                                        .states = (const int *)(request)->states,                  \
                                        .states_count = (request)->n_states,                       \
                                        .min_severity = (int)(request)->min_severity,              \
                                        .subjects = (request)->subject,                            \
                                        .subjects_count = (request)->n_subject})
/* Reads kinds, states, severity and subjects; false: refused. What it owns is in `subjects`. */
MUST_USE bool grpc_read_alert_choice(struct grpc_ask *ask, const struct grpc_alert_request *request,
                                     struct alert_choice *out);
bool grpc_alert_matches(struct grpc_server *server, const struct alert_choice *choice,
                        const uint8_t *bytes, size_t length, struct alert_record *out);
bool grpc_dns_matches(struct grpc_server *server, const struct grpc_dns_choice *choice,
                      const uint8_t *bytes, size_t length);
void grpc_dns_choice_free(struct grpc_dns_choice *choice); /* what it owns */
/* A SensorSelector as it came (NULL: all). False: refused; on one sensor alone also when it is not
 * among those that are asked. Labels become the ids of the sensors that have them now. */
MUST_USE bool grpc_read_sensors(struct grpc_ask *ask, const ProtobufCMessage *selector,
                                struct grpc_sensor_choice *out);
/* Looks at it alone: ids and labels, named `field` in refusals. False: refused. */
MUST_USE bool grpc_check_sensors(struct grpc_ask *ask, const ProtobufCMessage *selector,
                                 const char *field);
void grpc_sensor_choice_free(struct grpc_sensor_choice *choice); /* what it owns */
/* Any thread. */
bool grpc_sensor_is_chosen(const struct grpc_sensor_choice *choice, const char *sensor_id,
                           size_t length);

/* ---- assets (grpc_asset_choice.c) ---- */

/* False: refused. `search` is borrowed. */
MUST_USE bool grpc_read_asset_choice(struct grpc_ask *ask, const char *address, const char *search,
                                     struct asset_choice *out);
/* A page token is the key of what was shown last, in hex: 2 * bytes + 1. */
void grpc_write_key_token(const void *key, size_t bytes, char *out);
MUST_USE bool grpc_read_key_token(struct grpc_ask *ask, const char *token, void *key, size_t bytes);

/* ---- the server (grpc_serve.c) ---- */

/* Memory, tokens and the table, nothing is served yet. `settings` is copied. NULL with `err`. */
MUST_USE struct grpc_server *grpc_serve_new(const struct grpc_program *program, void *owner,
                                            const struct grpc_settings *settings,
                                            struct rpc_runtime *runtime, struct error *err);
/* Adds its methods to a server of base/rpc that has not started; it must outlive that one. */
MUST_USE int grpc_serve_add(struct grpc_server *server, struct rpc_server *rpc, struct error *err);
/* The hook of that server: may this call be answered? Notes refusals in the audit. */
enum rpc_status grpc_serve_authorize(void *server, struct rpc_call *call, const char *path,
                                     struct error *reason);
void grpc_serve_free(struct grpc_server *server); /* after the rpc server; NULL is allowed */

/* ---- records into the rings (grpc_inbox.c) ---- */

/* Room for so many more? Then push takes them. One thread puts. */
MUST_USE bool grpc_inbox_has_room(struct grpc_server *server, uint64_t records, uint64_t bytes);
/* Takes the parcels (NULL ones are left out) over in order, to the rings by their stream. */
void grpc_inbox_push(struct grpc_server *server, struct grpc_parcel *const *parcels, size_t count);
/* Records on their way. Any thread. */
uint64_t grpc_inbox_records(struct grpc_server *server);
void grpc_inbox_free(struct grpc_server *server);

/* ---- streams: the same in both programs (grpc_observe.c, grpc_alerts.c, grpc_dns.c) ---- */

void grpc_observe_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_observe_alerts(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_observe_packets(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_observe_dns(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_watch_stats(struct grpc_ask *ask, const uint8_t *bytes, size_t length);

/* ---- settings: the same in both programs (grpc_config.c) ---- */

void grpc_get_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_validate_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_reload_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_apply_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_confirm_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
