/* Where to, with which credentials, and when again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/service/secret_file.h"
#include "sensor/export/collector_sink_private.h"

#define BACKOFF_FIRST_NS       (500 * NS_PER_MS)
#define BACKOFF_REFUSED_NS     (30 * NS_PER_SEC) /* a person must act first */
#define BACKOFF_REFUSED_MAX_NS (300 * NS_PER_SEC)
#define WELCOME_WAIT_NS        (30 * NS_PER_SEC)
#define LIVED_NS               (10 * NS_PER_SEC)
#define LOG_AGAIN_NS           (60 * NS_PER_SEC)
#define CHANNEL_BACKOFF_NS     (500 * NS_PER_MS) /* the pauses are ours, not gRPC's */
#define SYSTEM_ROOTS           "system"

/* ---- credentials ---- */

int collector_sink_check(const struct collector_settings *s, struct error *err)
{
    if (!endpoint_is_target(s->address)) {
        return error_set(err, EINVAL,
                         "collector.address: '%s' is neither host:port, [IPv6]:port nor unix:/path",
                         s->address);
    }
    if ((s->certificate[0] != '\0') != (s->key[0] != '\0')) {
        return error_set(err, EINVAL, "collector.%s is set without collector.%s: mTLS needs both",
                         s->certificate[0] != '\0' ? "certificate" : "key",
                         s->certificate[0] != '\0' ? "key" : "certificate");
    }
    if (s->certificate[0] != '\0' && s->ca[0] == '\0') {
        return error_set(err, EINVAL,
                         "collector.certificate is set without collector.ca: name the CA that "
                         "signed the collector's certificate");
    }
    if (s->apply_timeout_ns <= s->apply_hold_ns) {
        return error_set(err, EINVAL,
                         "collector.apply_timeout must be longer than collector.apply_hold, or no "
                         "change of the collector could ever stay");
    }
    if (s->ca[0] == '\0' && !endpoint_is_local(s->address) && !s->insecure) {
        return error_set(err, EINVAL,
                         "collector.address: %s is not loopback and would be plaintext; set "
                         "collector.ca (TLS), or collector.insecure: true to send in the clear",
                         s->address);
    }
    return 0;
}

/* The token of the file in `out`. */
static int read_token(const char *path, char out[COLLECTOR_TOKEN_MAX], struct error *err)
{
    size_t length;
    const int result =
        secret_file_read("collector.token_file", path, out, COLLECTOR_TOKEN_MAX, &length, err);

    if (result != 0) {
        return result;
    }
    for (size_t i = 0; i < length; i++) {
        if (out[i] <= ' ' || out[i] > '~') {
            length = 0;
        }
    }
    if (length == 0) {
        return error_set(err, EINVAL, "collector.token_file: %s must hold one token on one line",
                         path);
    }
    return 0;
}

int collector_sink_token(const struct collector_sink *sink, char out[COLLECTOR_TOKEN_MAX],
                         struct error *err)
{
    out[0] = '\0';
    return sink->settings->token_file[0] != '\0' ? read_token(sink->settings->token_file, out, err)
                                                 : 0;
}

struct rpc_channel *collector_sink_channel(struct collector_sink *sink, const char *address,
                                           struct error *err)
{
    const struct collector_settings *s = sink->settings;
    struct rpc_channel_options options = rpc_channel_options_default(address);
    const bool is_ours = strcmp(address, s->address) == 0;

    options.is_tls = s->ca[0] != '\0';
    options.ca_path = options.is_tls && strcmp(s->ca, SYSTEM_ROOTS) != 0 ? s->ca : NULL;
    options.certificate_path = s->certificate[0] != '\0' ? s->certificate : NULL;
    options.key_path = s->key[0] != '\0' ? s->key : NULL;
    options.server_name = is_ours && s->server_name[0] != '\0' ? s->server_name : NULL;
    options.backoff_initial_ns = CHANNEL_BACKOFF_NS;
    options.backoff_max_ns = CHANNEL_BACKOFF_NS;
    options.keepalive_time_ns = s->keepalive_interval_ns;
    options.keepalive_timeout_ns = s->keepalive_timeout_ns;
    return rpc_channel_new(sink->runtime, &options, err);
}

int collector_sink_prepare(struct collector_sink *sink, struct error *err)
{
    const struct collector_settings *s = sink->settings;
    char token[COLLECTOR_TOKEN_MAX];

    if (collector_sink_check(s, err) != 0 || collector_sink_token(sink, token, err) != 0) {
        return -err->code;
    }
    if (s->token_file[0] != '\0' && s->ca[0] == '\0' && !endpoint_is_local(s->address)) {
        log_warn("collector", "the token is sent in the clear (collector.insecure)", NULL);
    }
    sink->channel = collector_sink_channel(sink, s->address, err);
    error_prefix(err, "collector");
    return sink->channel == NULL ? -err->code : 0;
}

/* ---- dialling ---- */

/* Positions of one process, as many as there is room for. */
static void add_resume(struct ingest_hello *hello, const struct collector_boot *boot)
{
    for (uint32_t i = 0; i < COLLECTOR_LANES && hello->resume_count < INGEST_POSITIONS_MAX; i++) {
        struct ingest_position *position = &hello->resume[hello->resume_count++];

        position->stream = (enum record_stream)(i + 1);
        position->next_seq = boot->lanes[i].acked_seq + 1;
        memcpy(position->boot_id, boot->boot_id, sizeof(position->boot_id));
    }
}

/* This process, then the earlier ones of which something may wait, oldest first. */
static void fill_hello(struct collector_sink *sink, struct ingest_hello *hello)
{
    const uint32_t last = sink->boots.count - 1;

    *hello = (struct ingest_hello){.protocol_version = INGEST_PROTOCOL_VERSION};
    memcpy(hello->sensor_id, sink->sensor_id, sizeof(hello->sensor_id));
    memcpy(hello->boot_id, sink->boot_id, sizeof(hello->boot_id));
    memcpy(hello->labels, sink->labels, sizeof(hello->labels));
    (void)pthread_mutex_lock(&sink->lock);
    memcpy(hello->config_hash, sink->config_hash, sizeof(hello->config_hash));
    hello->can_capture = sink->captures.pipeline != NULL;
    (void)pthread_mutex_unlock(&sink->lock);
    (void)snprintf(hello->version, sizeof(hello->version), "%s", NETSCOPE_VERSION);
    if (gethostname(hello->host_name, sizeof(hello->host_name) - 1) != 0) {
        hello->host_name[0] = '\0';
    }
    add_resume(hello, &sink->boots.at[last]);
    for (uint32_t i = 0; i < last; i++) {
        if (!collector_boot_is_done(&sink->boots.at[i])) {
            add_resume(hello, &sink->boots.at[i]);
        }
    }
}

uint64_t collector_sink_jittered(uint64_t pause_ns)
{
    const uint64_t spread_ns = pause_ns / 2;

    return pause_ns - spread_ns / 2 + hash_key_random().a % (spread_ns + 1);
}

/* Says it once, and again when it changes or after a minute. */
static void tell(struct collector_sink *sink, const char *reason, uint64_t pause_ns,
                 uint64_t now_ns)
{
    char quoted[512];
    const bool is_new = strncmp(sink->last_error, reason, sizeof(sink->last_error) - 1) != 0;

    (void)snprintf(sink->last_error, sizeof(sink->last_error), "%.159s", reason);
    if (is_new || now_ns - sink->error_logged_ns >= LOG_AGAIN_NS) {
        sink->error_logged_ns = now_ns;
        log_warn("collector", "not connected; records wait in the spool",
                 "address=%s reason=%s retry_ms=%llu", collector_redirect_address(sink),
                 log_quote(reason, quoted, sizeof(quoted)),
                 (unsigned long long)(pause_ns / NS_PER_MS));
    }
}

/* The call could not even begin. */
static void postpone(struct collector_sink *sink, const char *reason, uint64_t now_ns)
{
    sink->dial_at_ns = now_ns + collector_sink_jittered(BACKOFF_REFUSED_NS);
    tell(sink, reason, BACKOFF_REFUSED_NS, now_ns);
}

void collector_sink_dial(struct collector_sink *sink, uint64_t now_ns)
{
    struct rpc_call_options options = {.user_data = sink};
    char token[COLLECTOR_TOKEN_MAX];
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_hello hello;
    struct error err = {0};

    if (sink->call != NULL && !sink->is_welcomed && now_ns - sink->dialled_ns > WELCOME_WAIT_NS) {
        rpc_cancel(sink->call, RPC_DEADLINE_EXCEEDED, "the collector does not answer the hello");
    }
    if (sink->call != NULL || now_ns < sink->dial_at_ns ||
        !atomic_load_explicit(&sink->may_dial, memory_order_relaxed)) {
        return;
    }
    sink->dialled_ns = now_ns;
    /* Each time, so that a new token needs no restart. */
    if (collector_sink_token(sink, token, &err) != 0) {
        postpone(sink, err.message, now_ns);
        return;
    }
    options.bearer = token[0] != '\0' ? token : NULL;
    fill_hello(sink, &hello);
    rpc_channel_refresh(sink->channel);
    sink->call = rpc_call_start(sink->channel, &sink->method, &options, &err);
    if (sink->call == NULL) {
        postpone(sink, err.message, now_ns);
        return;
    }
    (void)rpc_send(sink->call,
                   rpc_bytes_copy(bytes, ingest_encode_hello(&hello, bytes, sizeof(bytes))));
}

/* ---- the end of a call ---- */

/* What gRPC's words mean to whoever runs the sensor. NULL: they are plain enough. */
static const char *plain_words(const struct collector_sink *sink, const char *message)
{
    static const char *const meanings[RPC_TROUBLE_COUNT] = {
        [RPC_TROUBLE_UNTRUSTED] =
            "the collector's certificate is not signed by collector.ca, or has expired",
        [RPC_TROUBLE_OTHER_NAME] =
            "the collector's certificate is for another name (see collector.server_name)",
        [RPC_TROUBLE_PLAINTEXT] = "the collector speaks plaintext, but collector.ca asks for TLS",
        [RPC_TROUBLE_HANDSHAKE] = ("TLS handshake failed: the collector does not take this "
                                   "sensor's certificate, or speaks plaintext"),
        [RPC_TROUBLE_REFUSED] = "nothing listens there",
        [RPC_TROUBLE_NO_SOCKET] = "there is no such socket",
        [RPC_TROUBLE_NO_HOST] = "the host name cannot be resolved",
    };
    const enum rpc_trouble trouble = rpc_trouble_of(message);

    if (trouble != RPC_TROUBLE_CLOSED) {
        return meanings[trouble];
    }
    /* A collector closes without a word where TLS is not as it wants it. */
    return sink->is_welcomed ? "the collector has ended, or the connection was cut"
           : sink->settings->ca[0] == '\0'
               ? "the collector has ended, or speaks TLS: set collector.ca"
           : sink->settings->certificate[0] == '\0'
               ? "the collector has ended, or wants a certificate: set collector.certificate and "
                 "collector.key"
               : "the collector has ended, or does not take collector.certificate";
}

bool collector_sink_is_refusal(enum rpc_status status)
{
    return status == RPC_UNAUTHENTICATED || status == RPC_PERMISSION_DENIED ||
           status == RPC_ALREADY_EXISTS || status == RPC_FAILED_PRECONDITION ||
           status == RPC_INVALID_ARGUMENT || status == RPC_UNIMPLEMENTED;
}

static uint64_t next_pause(const struct collector_sink *sink, enum rpc_status status)
{
    const bool refused =
        collector_sink_is_refusal(status) && (!sink->is_welcomed || status == RPC_ALREADY_EXISTS);
    const uint64_t most_ns = refused ? BACKOFF_REFUSED_MAX_NS : sink->settings->backoff_max_ns;
    const uint64_t first_ns = refused ? BACKOFF_REFUSED_NS : BACKOFF_FIRST_NS;
    uint64_t pause_ns = sink->backoff_ns + sink->backoff_ns / 2;

    pause_ns = pause_ns < first_ns ? first_ns : pause_ns;
    return pause_ns < most_ns ? pause_ns : most_ns;
}

void collector_sink_ended(struct collector_sink *sink, const struct collector_news *news,
                          uint64_t now_ns)
{
    char reason[640];
    const char *plain = news->status == RPC_UNAVAILABLE ? plain_words(sink, news->message)
                        : news->status == RPC_OK        ? "the collector ended the stream"
                                                        : NULL;

    if (collector_redirect_ended(sink, news, now_ns) || sink->is_goodbye_sent) {
        return;
    }
    if (sink->is_welcomed && now_ns - sink->dialled_ns >= LIVED_NS) {
        sink->backoff_ns = 0;
    }
    sink->backoff_ns = next_pause(sink, news->status);
    uint64_t pause_ns = collector_sink_jittered(sink->backoff_ns);

    if (pause_ns < news->retry_ns) { /* never earlier than asked, and not all at once */
        pause_ns = news->retry_ns + collector_sink_jittered(BACKOFF_FIRST_NS);
    }
    sink->dial_at_ns = now_ns + pause_ns;
    const bool is_both = plain != NULL && news->message[0] != '\0';

    (void)snprintf(reason, sizeof(reason), "%s: %s%s%.300s%s", rpc_status_name(news->status),
                   plain != NULL ? plain : "", is_both ? " (" : "", news->message,
                   is_both ? ")" : "");
    tell(sink, reason, pause_ns, now_ns);
}
