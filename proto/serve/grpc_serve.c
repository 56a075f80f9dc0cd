/* The part of the gRPC server that is the same in both programs: who may ask, the table of methods,
 * its memory and its end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/service/audit.h"
#include "proto/serve/grpc_serve.h"

#define ALERTS_MAX         4096
#define STATS_MAX          3600
#define PACKETS_MAX        2000
#define DNS_MAX            16384
#define NEWS_MAX           4096
#define STREAM_QUEUE_BYTES ((size_t)2 * 1024 * 1024)

/* ---- link: timers and posts ---- */

struct task {
    struct grpc_link *link;
    void (*run)(struct grpc_server *server);
};

struct grpc_link *grpc_link_ref(struct grpc_link *link)
{
    atomic_fetch_add(&link->references, 1);
    return link;
}

void grpc_link_unref(struct grpc_link *link)
{
    if (link != NULL && atomic_fetch_sub(&link->references, 1) == 1) {
        (void)pthread_mutex_destroy(&link->mutex);
        free(link);
    }
}

static void run_task(void *argument)
{
    struct task *task = argument;

    pthread_mutex_lock(&task->link->mutex);
    if (task->link->server != NULL) {
        task->run(task->link->server);
    }
    pthread_mutex_unlock(&task->link->mutex);
    grpc_link_unref(task->link);
    free(task);
}

void grpc_post_after(struct grpc_server *server, uint64_t delay_ns,
                     void (*run)(struct grpc_server *server))
{
    struct task *task = malloc(sizeof(*task));

    if (task == NULL) {
        return;
    }
    *task = (struct task){.link = grpc_link_ref(server->link), .run = run};
    const bool posted = delay_ns == 0
                            ? rpc_runtime_post(server->runtime, run_task, task)
                            : rpc_runtime_post_after(server->runtime, delay_ns, run_task, task);

    if (!posted) {
        grpc_link_unref(task->link);
        free(task);
    }
}

void grpc_post(struct grpc_server *server, void (*run)(struct grpc_server *server))
{
    grpc_post_after(server, 0, run);
}

/* ---- who may call ---- */

static int read_access(struct grpc_server *server, struct error *err)
{
    if (grpc_server_has_token(server)) {
        server->access = grpc_access_read(server->settings.token_file, err);
        return server->access == NULL ? -err->code : 0;
    }
    return 0;
}

bool grpc_server_has_token(const struct grpc_server *server)
{
    return server->settings.token_file != NULL && server->settings.token_file[0] != '\0';
}

bool grpc_server_find_token(struct grpc_server *server, const char *token, char who[GRPC_WHO_BYTES],
                            unsigned *scopes)
{
    (void)pthread_rwlock_rdlock(&server->access_lock);
    const bool is_known = server->access != NULL &&
                          grpc_access_find(server->access, token, strlen(token), who, scopes);
    (void)pthread_rwlock_unlock(&server->access_lock);
    return is_known;
}

static enum rpc_status check_token(struct grpc_server *server, const char *token, size_t length,
                                   enum grpc_scope scope, char who[GRPC_WHO_BYTES],
                                   struct error *reason)
{
    (void)pthread_rwlock_rdlock(&server->access_lock);
    const enum rpc_status status =
        grpc_access_check(server->access, token, length, scope, who, reason);
    (void)pthread_rwlock_unlock(&server->access_lock);
    return status;
}

/* Nobody who is not known may see bytes of packets or settings, or hide alerts from other machines;
 * and where those can ask, nothing at all. */
static enum rpc_status check_anonymous(const struct grpc_server *server, enum grpc_scope scope,
                                       struct error *reason)
{
    if (server->is_exposed) {
        error_set(reason, EACCES, "this %s answers other machines by token alone (grpc.token_file)",
                  server->program->name);
        return RPC_PERMISSION_DENIED;
    }
    if (scope == GRPC_SCOPE_FLOWS || (scope == GRPC_SCOPE_TRIAGE && !server->is_remote)) {
        return RPC_OK;
    }
    error_set(reason, EACCES, "%s need %s",
              scope == GRPC_SCOPE_PACKETS  ? "packet bytes"
              : scope == GRPC_SCOPE_TRIAGE ? "acknowledgements and silences"
                                           : "calls about settings",
              server->program->proof);
    return RPC_PERMISSION_DENIED;
}

enum rpc_status grpc_may_ask(struct grpc_server *server, const char *path, const char *token,
                             char who[GRPC_WHO_BYTES])
{
    struct error reason = {0};

    (void)snprintf(who, GRPC_WHO_BYTES, "anonymous");
    if (grpc_server_has_token(server)) {
        return check_token(server, token, token == NULL ? 0 : strlen(token), grpc_scope_of(path),
                           who, &reason);
    }
    return check_anonymous(server, grpc_scope_of(path), &reason);
}

enum rpc_status grpc_identify(struct grpc_server *server, struct rpc_call *call,
                              enum grpc_scope scope, char who[GRPC_WHO_BYTES], struct error *reason)
{
    static const char scheme[] = "Bearer ";
    const size_t scheme_bytes = sizeof(scheme) - 1;
    char peer[RPC_PEER_BYTES];
    size_t length = 0;

    rpc_peer(call, peer);
    (void)snprintf(who, GRPC_WHO_BYTES, "unix");
    if (strncmp(peer, "unix:", 5) == 0) {
        return RPC_OK;
    }
    if (grpc_server_has_token(server)) {
        const char *header = rpc_header(call, "authorization", &length);
        const bool has_scheme =
            header != NULL && length > scheme_bytes && memcmp(header, scheme, scheme_bytes) == 0;

        return check_token(server, has_scheme ? header + scheme_bytes : NULL,
                           has_scheme ? length - scheme_bytes : 0, scope, who, reason);
    }
    if (server->settings.tls_client_ca != NULL && server->settings.tls_client_ca[0] != '\0') {
        if (rpc_peer_identity(call, RPC_IDENTITY_COMMON_NAME, 0, who, GRPC_WHO_BYTES) == 0) {
            (void)snprintf(who, GRPC_WHO_BYTES, "certificate");
        }
        return RPC_OK;
    }
    (void)snprintf(who, GRPC_WHO_BYTES, "anonymous");
    return check_anonymous(server, scope, reason);
}

/* Refused calls, and those for bytes of packets; a storm of refusals is cut. Calls about settings
 * are noted with their result (grpc_config.c). */
static void note_call(struct rpc_call *call, const char *path, enum grpc_scope scope,
                      enum rpc_status status, const char *who, const char *reason)
{
    static struct log_limit limit;
    char peer[RPC_PEER_BYTES];

    if ((status == RPC_OK && scope != GRPC_SCOPE_PACKETS) ||
        (status != RPC_OK && !log_allowed(&limit, NS_PER_SEC / 10, NULL))) {
        return;
    }
    rpc_peer(call, peer);
    audit_line(who, peer, path, status == RPC_OK ? "allowed" : rpc_status_name(status), reason);
}

/* A call that is refused is finished here, with details. */
enum rpc_status grpc_serve_authorize(void *context, struct rpc_call *call, const char *path,
                                     struct error *reason)
{
    struct grpc_server *server = context;
    const enum grpc_scope scope = grpc_scope_of(path);
    char who[GRPC_WHO_BYTES];

    if (server->rate != NULL && !rpc_rate_take(server->rate, call)) {
        struct grpc_ask ask = {.server = server, .call = call};

        grpc_refuse(&ask, RPC_RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", -1,
                    "this peer may make %llu calls a second (grpc.calls_per_second)",
                    (unsigned long long)server->settings.calls_per_second);
        return RPC_RESOURCE_EXHAUSTED;
    }
    const enum rpc_status status = grpc_identify(server, call, scope, who, reason);

    note_call(call, path, scope, status, who, reason->message);
    if (status != RPC_OK) {
        struct grpc_ask ask = {.server = server, .call = call};

        grpc_refuse(&ask, status, rpc_status_name(status), -1, "%s", reason->message);
    }
    return status;
}

/* ---- other tokens ---- */

/* True: its token is gone, or has lost the scope, and the call was told so. */
static bool end_unless_allowed(struct grpc_server *server, struct rpc_call *call)
{
    const char *path = rpc_path(call);
    struct grpc_ask ask = {.server = server, .call = call};
    char who[GRPC_WHO_BYTES];
    char peer[RPC_PEER_BYTES];
    struct error reason = {0};
    const enum rpc_status status = grpc_identify(server, call, grpc_scope_of(path), who, &reason);

    if (status == RPC_OK) {
        return false;
    }
    rpc_peer(call, peer);
    audit_line(who, peer, path, "ended", reason.message);
    grpc_refuse(&ask, status, rpc_status_name(status), -1, "%s", reason.message);
    return true;
}

/* Whose token is gone, or has lost the scope, is sent nothing further. */
static void check_streams(struct grpc_server *server)
{
    for (struct grpc_reader *reader = server->readers; reader != NULL; reader = reader->next) {
        if (!reader->is_finished) {
            reader->is_finished = end_unless_allowed(server, reader->call);
        }
    }
    for (struct grpc_stream *stream = server->streams_apart; stream != NULL;
         stream = stream->next) {
        (void)end_unless_allowed(server, stream->call);
    }
}

void grpc_server_use_access(struct grpc_server *server, struct grpc_access *access)
{
    (void)pthread_rwlock_wrlock(&server->access_lock);
    struct grpc_access *before = server->access;

    server->access = access;
    (void)pthread_rwlock_unlock(&server->access_lock);
    grpc_access_free(before);
    grpc_post(server, check_streams);
}

/* ---- methods ---- */

static bool note_stream(struct grpc_server *server, struct rpc_call *call)
{
    struct grpc_stream *stream = malloc(sizeof(*stream));

    if (stream == NULL) {
        return false;
    }
    *stream = (struct grpc_stream){.next = server->streams_apart, .call = call};
    server->streams_apart = stream;
    return true;
}

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    const struct grpc_method *method = rpc_method_context(call);
    struct grpc_ask ask = {.server = method->server, .call = call, .row = method->row};

    if (length > GRPC_REQUEST_BYTES) { /* where the port takes larger messages of other services */
        grpc_refuse(&ask, RPC_RESOURCE_EXHAUSTED, "TOO_LARGE", -1,
                    "a request of %zu bytes: at most %zu are taken", length, GRPC_REQUEST_BYTES);
        return;
    }
    if (method->row->on_done != NULL && !note_stream(method->server, call)) {
        grpc_refuse(&ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a stream");
        return;
    }
    method->row->ask(&ask, bytes, length);
}

static void on_stream_done(struct rpc_call *call, const struct rpc_result *result)
{
    const struct grpc_method *method = rpc_method_context(call);
    struct grpc_stream **at = &method->server->streams_apart;

    while (*at != NULL && (*at)->call != call) {
        at = &(*at)->next;
    }
    if (*at != NULL) { /* NULL: its request never came */
        struct grpc_stream *stream = *at;

        *at = stream->next;
        free(stream);
    }
    method->row->on_done(call, result);
}

int grpc_serve_add(struct grpc_server *server, struct rpc_server *rpc, struct error *err)
{
    const struct grpc_program *program = server->program;
    size_t count = 0;

    server->methods = calloc(program->rows_count, sizeof(*server->methods));
    if (server->methods == NULL) {
        return error_set(err, ENOMEM, "grpc: no memory");
    }
    for (size_t i = 0; i < program->rows_count && count < GRPC_METHODS; i++) {
        struct rpc_method *method = &server->rpc_methods[count];

        if (program->rows[i].path == NULL) {
            continue; /* of REST alone */
        }
        count++;
        server->methods[i] = (struct grpc_method){server, &program->rows[i]};
        *method = (struct rpc_method){.path = program->rows[i].path,
                                      .context = &server->methods[i],
                                      .on_message = on_message,
                                      .is_single_request = true};
        if (program->rows[i].is_stream) {
            const struct grpc_row *row = &program->rows[i];

            method->on_writable =
                row->on_writable != NULL ? row->on_writable : grpc_reader_writable;
            method->on_drain = row->on_drain;
            method->on_done = row->on_done != NULL ? on_stream_done : grpc_reader_done;
            method->queue =
                (struct rpc_queue_limits){.messages_max = (uint32_t)server->settings.queue_messages,
                                          .bytes_max = STREAM_QUEUE_BYTES,
                                          .when_full = RPC_REJECT};
        } else {
            /* One answer, whatever its size: the queue is empty then. */
            method->queue = (struct rpc_queue_limits){.messages_max = 1, .when_full = RPC_REJECT};
        }
    }
    return rpc_server_add(rpc, server->rpc_methods, count, err);
}

/* ---- life ---- */

static int take_memory(struct grpc_server *server, struct error *err)
{
    const uint64_t counts[GRPC_RINGS] = {[RECORD_FLOWS] = server->settings.history_records,
                                         [RECORD_ALERTS] = ALERTS_MAX,
                                         [RECORD_STATS] = STATS_MAX,
                                         [RECORD_PACKETS] = PACKETS_MAX,
                                         [RECORD_DNS] =
                                             server->settings.has_dns_records ? DNS_MAX : 1,
                                         [GRPC_NEWS] = NEWS_MAX};

    for (unsigned i = RECORD_FLOWS; i < GRPC_RINGS; i++) {
        struct grpc_history *history = &server->histories[i];

        if (grpc_history_init(history, counts[i], server->settings.history_bytes, err) != 0) {
            return -err->code;
        }
        history->on_evict = grpc_on_evict;
        history->context = server;
    }
    server->arena = arena_new(GRPC_ARENA_BYTES);
    server->flow = calloc(1, sizeof(*server->flow));
    server->dns = calloc(1, sizeof(*server->dns));
    server->link = calloc(1, sizeof(*server->link));
    if (server->arena == NULL || server->flow == NULL || server->dns == NULL ||
        server->link == NULL) {
        return error_set(err, ENOMEM, "grpc: no memory");
    }
    (void)pthread_mutex_init(&server->link->mutex, NULL);
    atomic_init(&server->link->references, 1);
    server->link->server = server;
    return 0;
}

struct grpc_server *grpc_serve_new(const struct grpc_program *program, void *owner,
                                   const struct grpc_settings *settings,
                                   struct rpc_runtime *runtime, struct error *err)
{
    struct grpc_server *server = calloc(1, sizeof(*server));

    if (server == NULL) {
        error_set(err, ENOMEM, "grpc: no memory");
        return NULL;
    }
    (void)pthread_mutex_init(&server->inbox_mutex, NULL);
    (void)pthread_rwlock_init(&server->access_lock, NULL);
    server->program = program;
    server->owner = owner;
    server->settings = *settings;
    server->runtime = runtime;
    if (settings->calls_per_second > 0) {
        server->rate = rpc_rate_new((uint32_t)settings->calls_per_second);
        if (server->rate == NULL) {
            error_set(err, ENOMEM, "grpc: no memory");
        }
    }
    if ((settings->calls_per_second > 0 && server->rate == NULL) || take_memory(server, err) != 0 ||
        read_access(server, err) != 0) {
        grpc_serve_free(server);
        return NULL;
    }
    return server;
}

void grpc_serve_free(struct grpc_server *server)
{
    if (server == NULL) {
        return;
    }
    /* All calls are done; a task that still comes finds no reader. */
    if (server->link != NULL) {
        pthread_mutex_lock(&server->link->mutex);
        server->link->server = NULL;
        pthread_mutex_unlock(&server->link->mutex);
        grpc_link_unref(server->link);
    }
    grpc_inbox_free(server);
    for (unsigned i = 0; i < GRPC_RINGS; i++) {
        grpc_history_fini(&server->histories[i]);
    }
    arena_free(server->arena);
    free(server->flow);
    free(server->dns);
    grpc_access_free(server->access);
    (void)pthread_rwlock_destroy(&server->access_lock);
    rpc_rate_free(server->rate);
    free(server->methods);
    (void)pthread_mutex_destroy(&server->inbox_mutex);
    free(server);
}
