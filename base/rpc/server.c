/* The server: its method table, the calls that come in, and the way it stops.
 *
 * There is one generic way in (grpc_server_request_call) and a method table of our own, so unknown
 * methods, refusals and limits are answered in one place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/support/time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rpc/internal.h"
#include "base/rpc/server.h"

static void slot_complete(struct rpc_tag *tag, bool ok);
static void shutdown_complete(struct rpc_tag *tag, bool ok);

struct rpc_server_options rpc_server_options_default(void)
{
    return (struct rpc_server_options){
        .receive_bytes_max = (size_t)16 << 20,
        .window_bytes = RPC_WINDOW_BYTES,
        .streams_max = 1024,
        .calls_max = 16384,
        .header_bytes_max = 16384,
        .keepalive_time_ns = 30 * NS_PER_SEC,
        .keepalive_timeout_ns = 10 * NS_PER_SEC,
        .ping_interval_min_ns = 5 * NS_PER_SEC,
        .connection_grace_ns = 10 * NS_PER_SEC,
        .handshake_timeout_ns = 20 * NS_PER_SEC,
        .first_message_ns = 30 * NS_PER_SEC,
        .connection_idle_ns = 600 * NS_PER_SEC,
    };
}

static grpc_arg integer_argument(const char *key, uint64_t value)
{
    const int bounded = value > INT32_MAX ? INT32_MAX : (int)value;
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = bounded};
}

static grpc_arg time_argument(const char *key, uint64_t ns)
{
    return integer_argument(key, (uint64_t)rpc_milliseconds(ns));
}

static grpc_server *core_new(const struct rpc_server_options *o)
{
    grpc_arg arguments[] = {
        /* On by default, and then a second server on the port takes half of the connections at
           random. */
        integer_argument(GRPC_ARG_ALLOW_REUSEPORT, 0),
        integer_argument(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, o->receive_bytes_max),
        integer_argument(GRPC_ARG_HTTP2_BDP_PROBE, o->window_bytes == 0),
        integer_argument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                         o->window_bytes == 0 ? RPC_WINDOW_BYTES_MEASURED : o->window_bytes),
        integer_argument(GRPC_ARG_MAX_CONCURRENT_STREAMS, o->streams_max),
        integer_argument(GRPC_ARG_MAX_METADATA_SIZE, o->header_bytes_max),
        integer_argument(GRPC_ARG_ENABLE_CHANNELZ, 0),
        /* Messages come as they are: the size limit looks at compressed bytes, so a small bomb
           would pass. */
        integer_argument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
        time_argument(GRPC_ARG_KEEPALIVE_TIME_MS, o->keepalive_time_ns),
        time_argument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, o->keepalive_timeout_ns),
        integer_argument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        integer_argument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        /* 5 minutes by default, and a client that pings sooner is sent away with too_many_pings. */
        time_argument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                      o->ping_interval_min_ns),
        time_argument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, o->handshake_timeout_ns),
        /* Without an end a client that asks for nothing keeps its place among connections_max. */
        time_argument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                      o->connection_idle_ns == 0 ? UINT64_MAX : o->connection_idle_ns),
        time_argument(GRPC_ARG_MAX_CONNECTION_AGE_MS, o->connection_age_max_ns),
        time_argument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, o->connection_grace_ns),
    };
    size_t count = sizeof arguments / sizeof arguments[0];
    if (o->connection_age_max_ns == 0) {
        count -= 2; /* off: it cancels long streams after the grace without telling the server's
                       side before */
    }
    const grpc_channel_args all = {.num_args = count, .args = arguments};
    return grpc_server_create(&all, NULL);
}

struct rpc_server *rpc_server_new(struct rpc_runtime *runtime,
                                  const struct rpc_server_options *options, struct error *err)
{
    struct rpc_server *server = calloc(1, sizeof *server);
    const size_t slots_count = (size_t)runtime->queues_count * SLOTS_PER_QUEUE;
    struct rpc_slot *slots = calloc(slots_count, sizeof *slots);
    const uint32_t connections_max = options == NULL ? 0 : options->connections_max;
    struct rpc_connections *connections =
        connections_max == 0 ? NULL : rpc_connections_new(connections_max);
    if (server == NULL || slots == NULL || (connections_max > 0 && connections == NULL)) {
        free(server);
        free(slots);
        rpc_connections_free(connections);
        error_set(err, ENOMEM, "rpc: no memory for a server");
        return NULL;
    }
    server->runtime = runtime;
    server->options = options != NULL ? *options : rpc_server_options_default();
    server->slots = slots;
    server->slots_count = slots_count;
    server->connections = connections;
    server->shutdown_tag.complete = shutdown_complete;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&server->lock, NULL);
    server->core = core_new(&server->options);
    /* Before the start, or requests are refused with NOT_SERVER_COMPLETION_QUEUE. */
    for (unsigned i = 0; i < runtime->queues_count; i++) {
        grpc_server_register_completion_queue(server->core, runtime->queues[i].cq, NULL);
    }
    return server;
}

/* ---- Methods ---- */

static int compare_methods(const void *left, const void *right)
{
    const struct rpc_method *const *a = left;
    const struct rpc_method *const *b = right;
    return strcmp((*a)->path, (*b)->path);
}

static const struct rpc_method *find_method(const struct rpc_server *server, const char *path)
{
    const struct rpc_method key = {.path = path};
    const struct rpc_method *wanted = &key;
    const struct rpc_method **found = server->methods_count == 0
                                          ? NULL
                                          : bsearch(&wanted, server->methods, server->methods_count,
                                                    sizeof(struct rpc_method *), compare_methods);
    return found == NULL ? NULL : *found;
}

int rpc_server_add(struct rpc_server *server, const struct rpc_method *methods, size_t count,
                   struct error *err)
{
    assert(server->state == SERVER_NEW);
    const struct rpc_method **grown =
        realloc(server->methods, (server->methods_count + count + 1) * sizeof(struct rpc_method *));
    if (grown == NULL) {
        return error_set(err, ENOMEM, "rpc: no memory for %zu methods", count);
    }
    server->methods = grown;
    for (size_t i = 0; i < count; i++) {
        if (methods[i].path == NULL || methods[i].path[0] != '/' ||
            strchr(methods[i].path + 1, '/') == NULL) {
            return error_set(err, EINVAL,
                             "rpc: method path '%s' is not of the form /package.Service/Method",
                             methods[i].path == NULL ? "" : methods[i].path);
        }
        if (find_method(server, methods[i].path) != NULL) {
            return error_set(err, EEXIST, "rpc: method %s is there already", methods[i].path);
        }
        server->methods[server->methods_count++] = &methods[i];
        qsort(server->methods, server->methods_count, sizeof(struct rpc_method *), compare_methods);
    }
    return 0;
}

void rpc_server_services(const struct rpc_server *server,
                         void (*each)(void *context, const char *name, size_t length),
                         void *context)
{
    const char *last = "";
    size_t last_length = 0;
    for (size_t i = 0; i < server->methods_count; i++) {
        const char *name = server->methods[i]->path + 1;
        const size_t length = (size_t)(strchr(name, '/') - name);
        if (length != last_length || memcmp(name, last, length) != 0) {
            each(context, name, length);
        }
        last = name;
        last_length = length;
    }
}

/* ---- A new call ---- */

static const struct rpc_method unknown_method = {.path = "", .is_auth_exempt = true};

static void end_silent(struct rpc_call *call, void *unused)
{
    static struct log_limit limit;
    char peer[RPC_PEER_BYTES];

    (void)unused;
    if (atomic_load(&call->has_spoken)) {
        return; /* meanwhile */
    }
    if (log_allowed(&limit, NS_PER_SEC, NULL)) {
        rpc_peer(call, peer);
        log_warn("rpc", "a call is ended: it has begun and sent no message", "peer=%s method=%s",
                 peer, call->method->path);
    }
    rpc_finish(call, RPC_DEADLINE_EXCEEDED, "no message came in time");
}

/* Calls that have begun and say nothing keep places that others want: each new call looks after
 * them, at most once a second. Lock held, as in drain_calls_locked. */
static void end_silent_locked(struct rpc_server *server, uint64_t now_ns)
{
    const uint64_t patience_ns = server->options.first_message_ns;

    if (patience_ns == 0 || now_ns < server->silent_look_ns) {
        return;
    }
    server->silent_look_ns = now_ns + (patience_ns < NS_PER_SEC ? patience_ns : NS_PER_SEC);
    for (struct rpc_call *call = server->calls; call != NULL; call = call->next) {
        if (!call->is_given_up && !atomic_load(&call->has_spoken) &&
            now_ns - call->begun_ns > patience_ns && rpc_post(call, end_silent, NULL)) {
            call->is_given_up = true;
            server->counts.calls_silent++;
        }
    }
}

static void link_call(struct rpc_server *server, struct rpc_call *call, bool *is_over_limit,
                      bool *is_stopping)
{
    call->begun_ns = clock_monotonic_ns();
    pthread_mutex_lock(&server->lock);
    end_silent_locked(server, call->begun_ns);
    *is_over_limit = server->counts.calls_live >= server->options.calls_max;
    *is_stopping = server->state != SERVER_STARTED;
    server->counts.calls_live++;
    server->counts.calls_started++;
    server->counts.calls_over_limit += *is_over_limit ? 1 : 0;
    server->counts.calls_unknown += call->method == &unknown_method ? 1 : 0;
    call->next = server->calls;
    if (server->calls != NULL) {
        server->calls->previous = call;
    }
    server->calls = call;
    pthread_mutex_unlock(&server->lock);
}

void rpc_server_forget(struct rpc_server *server, struct rpc_call *call)
{
    pthread_mutex_lock(&server->lock);
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        server->calls = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    }
    server->counts.calls_live--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

void rpc_server_count_dropped(struct rpc_server *server, uint64_t count)
{
    counter_add_shared(&server->messages_dropped, count);
}

/* True: the call is let in. Otherwise it is finished. */
static bool authorize(struct rpc_server *server, struct rpc_call *call)
{
    const struct rpc_server_options *o = &server->options;
    if (o->authorize == NULL || call->method->is_auth_exempt) {
        return true;
    }
    struct error reason = {0};
    const enum rpc_status status =
        o->authorize(o->authorize_context, call, call->method->path, &reason);
    if (status == RPC_OK) {
        return true;
    }
    pthread_mutex_lock(&server->lock);
    server->counts.calls_refused++;
    pthread_mutex_unlock(&server->lock);
    rpc_finish(call, status, reason.message);
    return false;
}

static void call_arrived(struct rpc_server *server, struct rpc_queue *queue, grpc_call *core,
                         const grpc_call_details *details, grpc_metadata_array *headers)
{
    char path[256];
    const size_t length = GRPC_SLICE_LENGTH(details->method);
    const size_t kept = length < sizeof path ? length : sizeof path - 1;
    memcpy(path, GRPC_SLICE_START_PTR(details->method), kept);
    path[kept] = '\0';
    const struct rpc_method *method = kept == length ? find_method(server, path) : NULL;

    struct rpc_call *call = rpc_call_new(method != NULL ? method : &unknown_method, queue, core);
    if (call == NULL) {
        grpc_metadata_array_destroy(headers);
        (void)grpc_call_cancel_with_status(core, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory",
                                           NULL);
        grpc_call_unref(core);
        return;
    }
    call->server = server;
    call->deadline = details->deadline;
    call->headers = *headers;
    call->has_headers = true;
    rpc_ref(call); /* for this function: the call may end meanwhile */
    bool is_over_limit = false;
    bool is_stopping = false;
    link_call(server, call, &is_over_limit, &is_stopping);
    rpc_call_watch_end(call);

    if (method == NULL) {
        char text[sizeof path + 64];
        (void)snprintf(text, sizeof text, "unknown method %s", path);
        rpc_finish(call, RPC_UNIMPLEMENTED, text);
    } else if (is_over_limit) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "too many calls at once; try again later");
    } else if (authorize(server, call)) {
        if (method->on_start != NULL) {
            method->on_start(call);
        }
        rpc_call_read_first(call);
        if (is_stopping) {
            rpc_call_drain(call, NULL);
        }
    }
    rpc_unref(call);
}

static void slot_arm(struct rpc_slot *slot)
{
    grpc_metadata_array_init(&slot->headers);
    grpc_call_details_init(&slot->details);
    slot->call = NULL;
    struct rpc_queue *const queue = slot->queue;
    grpc_server *const core = slot->server->core;
    TSAN_RELEASE(&slot->tag);
    const grpc_call_error result = grpc_server_request_call(
        core, &slot->call, &slot->details, &slot->headers, queue->cq, queue->cq, &slot->tag);
    assert(result == GRPC_CALL_OK);
    (void)result;
}

static void slot_complete(struct rpc_tag *tag, bool ok)
{
    struct rpc_slot *slot = container_of(tag, struct rpc_slot, tag);
    struct rpc_server *const server = slot->server;
    if (!ok) { /* the server stops */
        grpc_metadata_array_destroy(&slot->headers);
        grpc_call_details_destroy(&slot->details);
        pthread_mutex_lock(&server->lock);
        server->slots_armed--;
        pthread_cond_broadcast(&server->changed);
        pthread_mutex_unlock(&server->lock);
        return;
    }
    /* Armed again first: without an outstanding request, calls would hang until their deadline. */
    struct rpc_queue *const queue = slot->queue;
    grpc_call *const core = slot->call;
    grpc_call_details details = slot->details;
    grpc_metadata_array headers = slot->headers;
    slot_arm(slot);
    call_arrived(server, queue, core, &details, &headers);
    grpc_call_details_destroy(&details);
}

void rpc_server_start(struct rpc_server *server)
{
    assert(server->state == SERVER_NEW);
    server->state = SERVER_STARTED;
    grpc_server_start(server->core);
    server->slots_armed = server->slots_count;
    for (size_t i = 0; i < server->slots_count; i++) {
        struct rpc_slot *slot = &server->slots[i];
        slot->tag.complete = slot_complete;
        slot->server = server;
        slot->queue = &server->runtime->queues[i / SLOTS_PER_QUEUE];
        slot_arm(slot);
    }
}

/* ---- The stop ---- */

static void shutdown_complete(struct rpc_tag *tag, bool ok)
{
    struct rpc_server *server = container_of(tag, struct rpc_server, shutdown_tag);
    (void)ok;
    pthread_mutex_lock(&server->lock);
    server->is_shut = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static bool is_quiet(const struct rpc_server *server)
{
    return server->is_shut && server->slots_armed == 0 && server->counts.calls_live == 0;
}

/* Posts on_drain to every live call. Lock held: a post takes no lock that could be held the other
 * way round. */
static void drain_calls_locked(struct rpc_server *server)
{
    for (struct rpc_call *call = server->calls; call != NULL; call = call->next) {
        if (call->method != &unknown_method) {
            (void)!rpc_post(call, rpc_call_drain,
                            NULL); /* without memory the grace's end cancels it */
        }
    }
}

void rpc_server_stop(struct rpc_server *server, uint64_t grace_ns)
{
    pthread_mutex_lock(&server->lock);
    if (server->state == SERVER_STOPPING || server->state == SERVER_STOPPED) {
        while (server->state != SERVER_STOPPED) {
            pthread_cond_wait(&server->changed, &server->lock);
        }
        pthread_mutex_unlock(&server->lock);
        return;
    }
    server->state = SERVER_STOPPING;
    pthread_mutex_unlock(&server->lock);

    TSAN_RELEASE(&server->shutdown_tag);
    grpc_server_shutdown_and_notify(server->core, server->runtime->queues[0].cq,
                                    &server->shutdown_tag);

    const uint64_t bounded_ns = grace_ns > 3600 * NS_PER_SEC ? 3600 * NS_PER_SEC : grace_ns;
    const uint64_t until_ns = clock_monotonic_ns() + bounded_ns;
    const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_SEC),
                                   .tv_nsec = (long)(until_ns % NS_PER_SEC)};
    pthread_mutex_lock(&server->lock);
    drain_calls_locked(server);
    int error = 0;
    while (!is_quiet(server) && error != ETIMEDOUT) {
        error = pthread_cond_timedwait(&server->changed, &server->lock, &until);
    }
    if (!is_quiet(server)) {
        pthread_mutex_unlock(&server->lock);
        grpc_server_cancel_all_calls(server->core);
        pthread_mutex_lock(&server->lock);
    }
    while (!is_quiet(server)) {
        pthread_cond_wait(&server->changed, &server->lock);
    }
    server->state = SERVER_STOPPED;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

void rpc_server_free(struct rpc_server *server)
{
    if (server == NULL) {
        return;
    }
    rpc_server_stop(server, 0); /* destroying a server that was not shut down aborts */
    grpc_server_destroy(server->core);
    rpc_connections_free(server->connections);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server->methods);
    free(server->slots);
    free(server);
}

void rpc_server_counts(struct rpc_server *server, struct rpc_server_counts *out)
{
    pthread_mutex_lock(&server->lock);
    *out = server->counts;
    pthread_mutex_unlock(&server->lock);
    out->messages_dropped = counter_get(&server->messages_dropped);
    struct rpc_connections_counts connections;
    rpc_connections_read(server->connections, &connections);
    out->connections_accepted = connections.accepted;
    out->connections_refused = connections.refused;
    out->connections_live = connections.live;
}
