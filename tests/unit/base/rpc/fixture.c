#include "tests/unit/base/rpc/fixture.h"

#include <time.h>

atomic_uint server_started, server_done, server_cancelled, server_drained;
atomic_uint flood_accepted, flood_refused, flood_dropped, flood_writable;

#define PATIENCE_SECONDS 20

/* ---- The recording client ---- */

struct outcome *outcome_new(void)
{
    struct outcome *outcome = calloc(1, sizeof *outcome);
    assert_non_null(outcome);
    pthread_mutex_init(&outcome->lock, NULL);
    pthread_cond_init(&outcome->changed, NULL);
    return outcome;
}

void outcome_free(struct outcome *outcome)
{
    pthread_mutex_destroy(&outcome->lock);
    pthread_cond_destroy(&outcome->changed);
    free(outcome);
}

static void wait_change(struct outcome *outcome)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_SECONDS;
    if (pthread_cond_timedwait(&outcome->changed, &outcome->lock, &until) != 0) {
        pthread_mutex_unlock(&outcome->lock);
        fail_msg("nothing came: %u messages, done %d", outcome->messages, outcome->is_done);
    }
}

void outcome_wait_done(struct outcome *outcome)
{
    pthread_mutex_lock(&outcome->lock);
    while (!outcome->is_done) {
        wait_change(outcome);
    }
    pthread_mutex_unlock(&outcome->lock);
}

void outcome_wait_messages(struct outcome *outcome, unsigned count)
{
    pthread_mutex_lock(&outcome->lock);
    while (outcome->messages < count) {
        wait_change(outcome);
    }
    pthread_mutex_unlock(&outcome->lock);
}

void record_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct outcome *outcome = rpc_user_data(call);
    pthread_mutex_lock(&outcome->lock);
    outcome->messages++;
    outcome->bytes += length;
    outcome->last_bytes = length < sizeof outcome->last ? length : sizeof outcome->last;
    memcpy(outcome->last, bytes, outcome->last_bytes);
    pthread_cond_broadcast(&outcome->changed);
    pthread_mutex_unlock(&outcome->lock);
}

void record_writable(struct rpc_call *call)
{
    struct outcome *outcome = rpc_user_data(call);
    pthread_mutex_lock(&outcome->lock);
    outcome->writable++;
    pthread_cond_broadcast(&outcome->changed);
    pthread_mutex_unlock(&outcome->lock);
}

void record_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct outcome *outcome = rpc_user_data(call);
    pthread_mutex_lock(&outcome->lock);
    assert_false(outcome->is_done);
    outcome->is_done = true;
    outcome->status = result->status;
    (void)snprintf(outcome->message, sizeof outcome->message, "%s", result->message);
    if (result->details_bytes <= sizeof outcome->details) {
        outcome->details_bytes = result->details_bytes;
        if (result->details_bytes > 0) {
            memcpy(outcome->details, result->details, result->details_bytes);
        }
    }
    pthread_cond_broadcast(&outcome->changed);
    pthread_mutex_unlock(&outcome->lock);
}

void wait_until_above(atomic_uint *value, unsigned above)
{
    for (unsigned i = 0; i < PATIENCE_SECONDS * 1000 && atomic_load(value) <= above; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(atomic_load(value) > above);
}

/* ---- The server's methods ---- */

static void count_started(struct rpc_call *call)
{
    (void)call;
    atomic_fetch_add(&server_started, 1);
}

static void count_done(struct rpc_call *call, const struct rpc_result *result)
{
    (void)call;
    atomic_fetch_add(&server_cancelled, result->is_cancelled ? 1 : 0);
    atomic_fetch_add(&server_done, 1);
}

static void unary_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    if (length == 4 && memcmp(bytes, "fail", 4) == 0) {
        rpc_finish_details(call, RPC_NOT_FOUND, "nothing here", "\x08\x05", 2);
        return;
    }
    struct rpc_buffer buffer = rpc_buffer_new(length + 1);
    memcpy(buffer.data, bytes, length);
    (void)rpc_send(call, rpc_buffer_done(&buffer, length));
    rpc_finish(call, RPC_OK, NULL);
}

static void send_rest(struct rpc_call *call)
{
    uintptr_t left = (uintptr_t)rpc_user_data(call);
    while (left > 0 && rpc_send(call, rpc_bytes_copy("a message", 9)) == RPC_SEND_QUEUED) {
        left--;
    }
    rpc_set_user_data(call, (void *)left);
    if (left == 0) {
        rpc_finish(call, RPC_OK, NULL);
    }
}

static void many_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    char text[16] = "";
    memcpy(text, bytes, length < sizeof text ? length : sizeof text - 1);
    rpc_set_user_data(call, (void *)(uintptr_t)strtoul(text, NULL, 10));
    send_rest(call);
}

static void collect_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    rpc_set_user_data(call, (void *)((uintptr_t)rpc_user_data(call) + length));
}

static void collect_half_close(struct rpc_call *call)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "%zu", (size_t)(uintptr_t)rpc_user_data(call));
    (void)rpc_send(call, rpc_bytes_copy(text, (size_t)length));
    rpc_finish(call, RPC_OK, NULL);
}

static void talk_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)rpc_send(call, rpc_bytes_copy(bytes, length));
}

static void talk_half_close(struct rpc_call *call)
{
    rpc_finish(call, RPC_OK, "bye");
}

static void talk_drain(struct rpc_call *call)
{
    atomic_fetch_add(&server_drained, 1);
    rpc_finish(call, RPC_UNAVAILABLE, "going away");
}

/* Replies with what it knows of the peer: "CN|SAN|header|peer". */
static void identity_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    char common[128];
    char alternative[128];
    char peer[RPC_PEER_BYTES];
    char text[512];
    size_t header_bytes = 0;
    (void)bytes;
    (void)length;
    (void)rpc_peer_identity(call, RPC_IDENTITY_COMMON_NAME, 0, common, sizeof common);
    (void)rpc_peer_identity(call, RPC_IDENTITY_ALTERNATIVE_NAME, 0, alternative,
                            sizeof alternative);
    rpc_peer(call, peer);
    const char *header = rpc_header(call, "x-test", &header_bytes);
    const int written =
        snprintf(text, sizeof text, "%s|%s|%.*s|%s|%d", common, alternative, (int)header_bytes,
                 header == NULL ? "" : header, peer, rpc_deadline_remaining_ns(call) != UINT64_MAX);
    (void)rpc_send(call, rpc_bytes_copy(text, (size_t)written));
    rpc_finish(call, RPC_OK, NULL);
}

/* Offers 400 messages of 64 KiB at once, whatever is taken. */
static void flood_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    (void)length;
    struct rpc_buffer buffer = rpc_buffer_new(65536);
    memset(buffer.data, 'x', 65536);
    struct rpc_bytes message = rpc_buffer_done(&buffer, 65536);
    for (unsigned i = 0; i < 400; i++) {
        const enum rpc_send_result result = rpc_send(call, rpc_bytes_ref(&message));
        atomic_fetch_add(&flood_accepted, result == RPC_SEND_QUEUED ? 1 : 0);
        atomic_fetch_add(&flood_refused, result == RPC_SEND_FULL ? 1 : 0);
    }
    rpc_bytes_unref(&message);
    atomic_store(&flood_dropped, (unsigned)rpc_dropped(call));
    rpc_finish(call, RPC_OK, NULL);
}

static void flood_writable_now(struct rpc_call *call)
{
    (void)call;
    atomic_fetch_add(&flood_writable, 1);
}

#define FLOOD(name, rule)                                                                          \
    {                                                                                              \
        .path = "/test.Echo/" name, .on_message = flood_message,                                   \
        .on_writable = flood_writable_now, .on_done = count_done,                                  \
        .queue = {.messages_max = 128, .bytes_max = (size_t)8 << 20, .when_full = (rule)},         \
        .is_single_request = true                                                                  \
    }

const struct rpc_method echo_methods[] = {
    {.path = "/test.Echo/Unary",
     .on_start = count_started,
     .on_message = unary_message,
     .on_done = count_done,
     .queue = {.bytes_max = (size_t)32 << 20},
     .is_single_request = true},
    {.path = "/test.Echo/Many",
     .on_message = many_message,
     .on_writable = send_rest,
     .on_done = count_done,
     .queue = {.messages_max = 4},
     .is_single_request = true},
    {.path = "/test.Echo/Collect",
     .on_message = collect_message,
     .on_half_close = collect_half_close,
     .on_done = count_done},
    {.path = "/test.Echo/Talk",
     .on_start = count_started,
     .on_message = talk_message,
     .on_half_close = talk_half_close,
     .on_drain = talk_drain,
     .on_done = count_done},
    {.path = "/test.Echo/Hang", .on_start = count_started, .on_done = count_done},
    {.path = "/test.Echo/Stubborn",
     .on_start = count_started,
     .on_drain = count_started,
     .on_done = count_done},
    {.path = "/test.Echo/Identity", .on_message = identity_message, .is_single_request = true},
    FLOOD("FloodReject", RPC_REJECT),
    FLOOD("FloodNew", RPC_DROP_NEW),
    FLOOD("FloodOld", RPC_DROP_OLD),
};
const size_t echo_methods_count = sizeof echo_methods / sizeof echo_methods[0];

void fixture_open(struct fixture *fixture, const struct rpc_server_options *options,
                  const struct rpc_server_tls *tls)
{
    struct error err = {0};
    *fixture = (struct fixture){0};
    fixture->runtime = rpc_runtime_new(NULL, &err);
    assert_non_null(fixture->runtime);
    fixture->server = rpc_server_new(fixture->runtime, options, &err);
    assert_non_null(fixture->server);
    assert_int_equal(rpc_server_add(fixture->server, echo_methods, echo_methods_count, &err), 0);
    fixture->port = rpc_server_listen(fixture->server, "127.0.0.1:0", tls, &err);
    if (fixture->port <= 0) {
        fail_msg("%s", err.message);
    }
    rpc_server_start(fixture->server);
    (void)snprintf(fixture->target, sizeof fixture->target, "127.0.0.1:%d", fixture->port);
    const struct rpc_channel_options channel = rpc_channel_options_default(fixture->target);
    fixture->channel = rpc_channel_new(fixture->runtime, &channel, &err);
    assert_non_null(fixture->channel);
}

void fixture_close(struct fixture *fixture)
{
    rpc_channel_free(fixture->channel);
    rpc_server_free(fixture->server);
    rpc_runtime_free(fixture->runtime);
}

enum rpc_status fixture_unary(struct rpc_channel *channel, const char *path, const void *request,
                              size_t length, const struct rpc_call_options *options,
                              struct outcome *outcome)
{
    struct error err = {0};
    const struct rpc_method method = {.path = path, RECORDING_CALLBACKS};
    struct rpc_call_options o =
        options == NULL ? (struct rpc_call_options){.timeout_ns = 10 * NS_PER_SEC} : *options;
    o.user_data = outcome;
    o.is_single_request = true;
    o.request = rpc_bytes_copy(request, length);
    struct rpc_call *call = rpc_call_start(channel, &method, &o, &err);
    if (call == NULL) {
        fail_msg("%s", err.message);
        return RPC_UNKNOWN;
    }
    outcome_wait_done(outcome);
    rpc_unref(call);
    return outcome->status;
}
