/* Channels and the calls that start on them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/key_file.h"
#include "base/log.h"
#include "base/rpc/internal.h"

/* It is the time-out of connecting and of the handshakes as well: short ones fail at random on a
 * busy machine
 * ("connection attempt timed out before receiving SETTINGS frame"). */
#define CONNECT_TIMEOUT_MIN_NS (5 * NS_PER_SEC)

#define FILES 3 /* CA, certificate, key */

struct rpc_channel {
    struct rpc_runtime *runtime;
    grpc_channel *core;
    struct rpc_channel_options options; /* with texts of its own */
    char *texts[FILES + 2];
    struct stat seen[FILES];
};

struct rpc_channel_options rpc_channel_options_default(const char *target)
{
    return (struct rpc_channel_options){
        .target = target,
        .receive_bytes_max = (size_t)16 << 20,
        .window_bytes = RPC_WINDOW_BYTES,
        .backoff_initial_ns = NS_PER_SEC / 2,
        .backoff_max_ns = 20 * NS_PER_SEC,
        .connect_timeout_ns = 20 * NS_PER_SEC,
        .keepalive_time_ns = 30 * NS_PER_SEC,
        .keepalive_timeout_ns = 10 * NS_PER_SEC,
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

static grpc_channel *core_new(const struct rpc_channel_options *o,
                              grpc_channel_credentials *credentials)
{
    const uint64_t connect_ns = o->connect_timeout_ns < CONNECT_TIMEOUT_MIN_NS
                                    ? CONNECT_TIMEOUT_MIN_NS
                                    : o->connect_timeout_ns;
    grpc_arg arguments[] = {
        integer_argument(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, o->receive_bytes_max),
        integer_argument(GRPC_ARG_HTTP2_BDP_PROBE, o->window_bytes == 0),
        integer_argument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                         o->window_bytes == 0 ? RPC_WINDOW_BYTES_MEASURED : o->window_bytes),
        integer_argument(GRPC_ARG_ENABLE_RETRIES, 0), /* who calls resumes by itself */
        integer_argument(GRPC_ARG_ENABLE_HTTP_PROXY,
                         0), /* else the environment decides where we connect */
        integer_argument(GRPC_ARG_ENABLE_CHANNELZ, 0),
        integer_argument(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
                         1), /* a channel is a connection of its own */
        integer_argument(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        integer_argument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
        time_argument(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, o->backoff_initial_ns),
        time_argument(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, o->backoff_max_ns),
        time_argument(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, connect_ns),
        time_argument(GRPC_ARG_KEEPALIVE_TIME_MS, o->keepalive_time_ns),
        time_argument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, o->keepalive_timeout_ns),
        integer_argument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        /* Both ends must agree on pings, or the server sends us away with too_many_pings. */
        integer_argument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        {.type = GRPC_ARG_STRING,
         .key = (char *)(uintptr_t)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG,
         .value.string = (char *)(uintptr_t)o->server_name},
    };
    const size_t count = sizeof arguments / sizeof arguments[0];
    const grpc_channel_args all = {.num_args = o->server_name == NULL ? count - 1 : count,
                                   .args = arguments};
    return grpc_channel_create(o->target, credentials, &all);
}

/* True when a file has changed since the last call; one that is gone for a moment has not. */
static bool files_have_changed(struct rpc_channel *channel)
{
    bool has_changed = false;
    for (int i = 0; i < FILES; i++) {
        struct stat now;
        if (channel->texts[i] == NULL || stat(channel->texts[i], &now) != 0) {
            continue;
        }
        has_changed = has_changed || !key_file_is_unchanged(&channel->seen[i], &now);
        channel->seen[i] = now;
    }
    return has_changed;
}

static bool copy_options(struct rpc_channel *channel, const struct rpc_channel_options *options)
{
    const char *const from[FILES + 2] = {options->ca_path, options->certificate_path,
                                         options->key_path, options->target, options->server_name};
    for (int i = 0; i < FILES + 2; i++) {
        channel->texts[i] = from[i] == NULL ? NULL : strdup(from[i]);
        if (from[i] != NULL && channel->texts[i] == NULL) {
            return false;
        }
    }
    channel->options = *options;
    channel->options.ca_path = channel->texts[0];
    channel->options.certificate_path = channel->texts[1];
    channel->options.key_path = channel->texts[2];
    channel->options.target = channel->texts[3];
    channel->options.server_name = channel->texts[4];
    return true;
}

static void channel_free(struct rpc_channel *channel)
{
    for (int i = 0; i < FILES + 2; i++) {
        free(channel->texts[i]);
    }
    free(channel);
}

void rpc_channel_refresh(struct rpc_channel *channel)
{
    struct error err = {0};
    char text[sizeof err.message];
    if (!channel->options.is_tls || !files_have_changed(channel)) {
        return;
    }
    grpc_channel_credentials *const credentials = rpc_channel_credentials(&channel->options, &err);
    if (credentials == NULL) {
        log_warn("rpc", "changed TLS files cannot be used; those before stay in use", "error=%s",
                 log_quote(err.message, text, sizeof text));
        return;
    }
    grpc_channel *const before = channel->core;
    channel->core = core_new(&channel->options, credentials);
    grpc_channel_credentials_release(credentials);
    grpc_channel_destroy(before); /* its calls go on */
    log_info("rpc", "TLS files were read again", "target=%s", channel->options.target);
}

struct rpc_channel *rpc_channel_new(struct rpc_runtime *runtime,
                                    const struct rpc_channel_options *options, struct error *err)
{
    if (options->target == NULL || options->target[0] == '\0') {
        error_set(err, EINVAL, "connect: no address is given");
        return NULL;
    }
    grpc_channel_credentials *credentials = rpc_channel_credentials(options, err);
    if (credentials == NULL) {
        error_prefix(err, "connect %s", options->target);
        return NULL;
    }
    struct rpc_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL || !copy_options(channel, options)) {
        error_set(err, ENOMEM, "connect %s: no memory", options->target);
        if (channel != NULL) {
            channel_free(channel);
            channel = NULL;
        }
    } else {
        (void)files_have_changed(channel);
        channel->runtime = runtime;
        channel->core = core_new(options, credentials);
    }
    grpc_channel_credentials_release(credentials);
    return channel;
}

void rpc_channel_free(struct rpc_channel *channel)
{
    if (channel != NULL) {
        grpc_channel_destroy(channel->core);
        channel_free(channel);
    }
}

static int add_header(struct rpc_call *call, const char *key, const char *value, size_t value_bytes,
                      struct error *err)
{
    grpc_metadata *header = &call->own_headers[call->own_headers_count];
    header->key = grpc_slice_from_copied_string(key);
    header->value = grpc_slice_from_copied_buffer(value, value_bytes);
    call->own_headers_count++;
    const bool is_binary = grpc_is_binary_header(header->key) != 0;
    if (grpc_header_key_is_legal(header->key) == 0 ||
        (!is_binary && grpc_header_nonbin_value_is_legal(header->value) == 0)) {
        return error_set(err, EINVAL,
                         "header '%s' is not legal: keys are lower case, values printable ASCII",
                         key);
    }
    return 0;
}

static int add_bearer(struct rpc_call *call, const char *token, struct error *err)
{
    static const char scheme[] = "Bearer ";
    const size_t bytes = sizeof scheme - 1 + strlen(token);
    char *value = malloc(bytes + 1);
    if (value == NULL) {
        return error_set(err, ENOMEM, "no memory for a token");
    }
    (void)snprintf(value, bytes + 1, "%s%s", scheme, token);
    const int result = add_header(call, "authorization", value, bytes, err);
    explicit_bzero(value, bytes);
    free(value);
    return result;
}

static int add_headers(struct rpc_call *call, const struct rpc_call_options *options,
                       struct error *err)
{
    call->own_headers = calloc(options->metadata_count + 1, sizeof *call->own_headers);
    if (call->own_headers == NULL) {
        return error_set(err, ENOMEM, "no memory for headers");
    }
    int result = options->bearer == NULL ? 0 : add_bearer(call, options->bearer, err);
    for (size_t i = 0; i < options->metadata_count && result == 0; i++) {
        const struct rpc_metadata *given = &options->metadata[i];
        result = add_header(call, given->key, given->value, given->value_bytes, err);
    }
    return result;
}

static void headers_complete(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = container_of(tag, struct rpc_call, headers_tag);
    call->has_headers = ok;
    rpc_call_batch_end(call);
}

/* In a batch of its own: together with a send it would hold the send's tag back until the server
 * speaks, and a collector may stay silent for long. */
static void receive_headers(struct rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_INITIAL_METADATA};
    op.data.recv_initial_metadata.recv_initial_metadata = &call->headers;
    pthread_mutex_lock(&call->lock);
    rpc_call_batch_begin(call);
    grpc_call *const core = call->core;
    pthread_mutex_unlock(&call->lock);
    rpc_start_batch(core, &op, 1, &call->headers_tag);
}

/* The call's first batches. `keep` holds the call together: it may end at any moment behind the
 * first of them. */
static void start(struct rpc_call *call, const struct rpc_call_options *options)
{
    if (options->is_single_request) {
        /* Held back until the half-close is known, so that all of it is one write. */
        call->outbox.in_flight = true;
        (void)rpc_send(call, options->request);
        rpc_half_close(call);
        call->outbox.in_flight = false;
    }
    pthread_mutex_lock(&call->lock);
    rpc_call_batch_begin(call); /* so that the core call stays while we start */
    pthread_mutex_unlock(&call->lock);
    rpc_call_read_first(call);
    rpc_call_watch_end(call);
    receive_headers(call);
    rpc_send_headers(call);
    rpc_call_batch_end(call);
}

struct rpc_call *rpc_call_start(struct rpc_channel *channel, const struct rpc_method *method,
                                const struct rpc_call_options *options, struct error *err)
{
    static const struct rpc_call_options no_options;
    const struct rpc_call_options *o = options != NULL ? options : &no_options;
    struct rpc_queue *queue = rpc_runtime_pick(channel->runtime);
    const gpr_timespec deadline =
        o->timeout_ns == 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC) : rpc_time_from_now(o->timeout_ns);
    grpc_call *core =
        grpc_channel_create_call(channel->core, NULL, 0, queue->cq,
                                 grpc_slice_from_static_string(method->path), NULL, deadline, NULL);
    struct rpc_call *call = rpc_call_new(method, queue, core);
    int error = -ENOMEM;
    if (call == NULL) {
        error_set(err, ENOMEM, "call %s: no memory", method->path);
    } else {
        call->user_data = o->user_data;
        call->deadline = deadline;
        call->headers_tag.complete = headers_complete;
        error = add_headers(call, o, err);
    }
    if (error != 0) {
        if (o->is_single_request) {
            struct rpc_bytes request = o->request;
            rpc_bytes_unref(&request);
        }
        grpc_call_unref(core);
        rpc_unref(call);
        return NULL;
    }
    rpc_ref(call); /* the caller's */
    start(call, o);
    return call;
}
