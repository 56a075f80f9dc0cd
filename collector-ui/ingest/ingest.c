#include "collector-ui/ingest/ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/clock.h"
#include "collector-ui/ingest/ingest_private.h"

#define FIELD(member)   offsetof(struct ingest_settings, member)
#define BOOTS_MAX       16 /* of one sensor whose positions are kept in memory */
#define SCRATCH_BYTES   (1U << 20)
#define STOP_GRACE_NS   NS_PER_SEC
#define EXTRA_CALLS_MAX 256 /* health, reflection, streams that are being replaced */

static int check_redirect(const char *key, const char *value, struct error *err)
{
    char host[ADDRESS_HOST_BYTES];

    (void)key;
    return address_endpoint_host(value, host)
               ? 0
               : error_set(err, EINVAL, "ingest.redirect_to: '%s' is no host:port", value);
}

const struct config_field ingest_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "listen",
     .offset = FIELD(listen),
     .value = "127.0.0.1:50052",
     .max = 255,
     .help = "Address for sensors; another than loopback needs TLS and credentials."},
    {.type = CONFIG_TEXT,
     .key = "tls_certificate",
     .offset = FIELD(tls_certificate),
     .value = "",
     .max = 4096,
     .help = "PEM file of the collector's certificate chain; empty: plaintext."},
    {.type = CONFIG_TEXT,
     .key = "tls_key",
     .offset = FIELD(tls_key),
     .value = "",
     .max = 4096,
     .help = "PEM file of its key (mode 0600)."},
    {.type = CONFIG_TEXT,
     .key = "tls_client_ca",
     .offset = FIELD(tls_client_ca),
     .value = "",
     .max = 4096,
     .help = "PEM file of the CA of the sensors' certificates (mTLS); a certificate's name must be "
             "the sensor's id, or what it begins with and a '*'."},
    {.type = CONFIG_TEXT,
     .key = "tokens_file",
     .offset = FIELD(tokens_file),
     .value = "",
     .max = 4096,
     .help = "File with lines 'sensor_id token' (mode 0600) for sensors without certificates; "
             "'node-*' is each id that begins so."},
    {.type = CONFIG_CHOICE,
     .key = "require_auth",
     .offset = FIELD(require_auth),
     .value = "auto",
     .choices = "auto|on|off",
     .help = "Whether sensors must prove their id; auto: unless only loopback is served and "
             "neither CA nor tokens are set."},
    {.type = CONFIG_BOOL,
     .key = "insecure",
     .offset = FIELD(insecure),
     .value = "false",
     .help = "Allow another address than loopback without TLS or credentials."},
    {.type = CONFIG_DURATION,
     .key = "heartbeat",
     .offset = FIELD(heartbeat_ns),
     .value = "10s",
     .min = 1e9,
     .max = 6e11,
     .help = "How often a sensor shows that it lives; silent for three of them it is stale."},
    {.type = CONFIG_U64,
     .key = "sensors_max",
     .offset = FIELD(sensors_max),
     .value = "4096",
     .min = 1,
     .max = 65536,
     .help = "Sensors known at once; further ones are refused."},
    {.type = CONFIG_BYTES,
     .key = "message_max",
     .offset = FIELD(message_bytes_max),
     .value = "16MiB",
     .min = 8388608,
     .max = 268435456,
     .help = "Largest message of a sensor."},
    {.type = CONFIG_U64,
     .key = "batch_records_max",
     .offset = FIELD(batch_records_max),
     .value = "4096",
     .min = 512,
     .max = INGEST_BATCH_RECORDS_MAX,
     .help = "Records of one batch at most."},
    {.type = CONFIG_U64,
     .key = "window_batches",
     .offset = FIELD(window_batches),
     .value = "64",
     .min = 1,
     .max = 1024,
     .help = "Batches of one stream that a sensor may have sent without acknowledgement."},
    {.type = CONFIG_BYTES,
     .key = "stream_window",
     .offset = FIELD(window_bytes),
     .value = "512KiB",
     .max = 67108864,
     .help =
         "Bytes that a sensor may send ahead of what was read. Bandwidth is at most this in a "
         "round trip: raise it for fast links that are long, or 0 to let gRPC measure the link, "
         "which takes half as much again of the processor."},
    {.type = CONFIG_BYTES,
     .key = "log_segment",
     .offset = FIELD(log_segment_bytes),
     .value = "64MiB",
     .min = 1048576,
     .max = 4294967296.0,
     .help = "Size of one file of the log; a file goes when all of it is in the store."},
    {.type = CONFIG_BYTES,
     .key = "log_queue",
     .offset = FIELD(log_queue_bytes),
     .value = "64MiB",
     .min = 1048576,
     .max = 4294967296.0,
     .help = "Batches in memory on their way to the log; full, sensors are not read until it has "
             "room."},
    {.type = CONFIG_DURATION,
     .key = "commit_interval",
     .offset = FIELD(commit_ns),
     .value = "20ms",
     .max = 1e9,
     .help = "Longest wait for further batches before the log is synced."},
    {.type = CONFIG_BYTES,
     .key = "commit_size",
     .offset = FIELD(commit_bytes),
     .value = "1MiB",
     .min = 1,
     .max = 268435456,
     .help = "Bytes in the queue that end that wait."},
    {.type = CONFIG_BOOL,
     .key = "compression",
     .offset = FIELD(takes_packed),
     .value = "true",
     .help = "Take batches that sensors compress (their collector.compression)."},
    {.type = CONFIG_DURATION,
     .key = "keepalive_interval",
     .offset = FIELD(keepalive_interval_ns),
     .value = "30s",
     .min = 1e9,
     .max = 3.6e12,
     .help = "How often a connection is tried where nothing comes from the sensor."},
    {.type = CONFIG_DURATION,
     .key = "keepalive_timeout",
     .offset = FIELD(keepalive_timeout_ns),
     .value = "10s",
     .min = 1e9,
     .max = 6e11,
     .help = "Without an answer for so long the connection is given up."},
    {.type = CONFIG_U64,
     .key = "connections_max",
     .offset = FIELD(connections_max),
     .value = "8192",
     .min = 1,
     .max = 65536,
     .help = "Connections at once, of sensors and others; a further one is closed as soon as it is "
             "there."},
    {.type = CONFIG_U64,
     .key = "streams_per_second",
     .offset = FIELD(streams_per_second),
     .value = "250",
     .max = 1000000,
     .help = "Streams that one address may begin each second, twice as many at once; more: "
             "RESOURCE_EXHAUSTED with the time to wait. 0: no limit."},
    {.type = CONFIG_U64,
     .key = "max_record_rate",
     .offset = FIELD(max_record_rate),
     .value = "0",
     .max = 4294967295.0,
     .is_hot = true,
     .help = "Records a second that a sensor is asked to send at most of each of its streams of "
             "flows, packets and DNS; the rest waits in its spool. Alerts and figures are never "
             "held back. 0: no limit."},
    {.type = CONFIG_BYTES,
     .key = "backlog_max",
     .offset = FIELD(backlog_bytes_max),
     .value = "64MiB",
     .max = 1099511627776.0,
     .is_hot = true,
     .help = "Batches taken and not yet in the store; above it sensors are asked to send what the "
             "store can take, until half of it is left. 0: they are only read more slowly."},
    {.type = CONFIG_TEXT,
     .key = "redirect_to",
     .offset = FIELD(redirect_to),
     .value = "",
     .max = 255,
     .is_hot = true,
     .check = check_redirect,
     .help = "Another collector (host:port) to which all sensors are sent, to empty this one; "
             "empty: they stay."},
    {0},
};

static int build(struct ingest *ingest, struct error *err)
{
    const struct ingest_settings *settings = ingest->settings;

    ingest->auth = ingest_auth_new(settings, err);
    if (ingest->auth == NULL) {
        return -err->code;
    }
    ingest->positions = ingest_positions_new((uint32_t)settings->sensors_max, BOOTS_MAX, err);
    if (ingest->positions == NULL) {
        return -err->code;
    }
    ingest->dialed = ingest_positions_new((uint32_t)settings->sensors_max, BOOTS_MAX, err);
    if (ingest->dialed == NULL || ingest_lanes_open(ingest, err) != 0) {
        return -err->code;
    }
    if (settings->streams_per_second > 0) {
        ingest->rate = rpc_rate_new((uint32_t)settings->streams_per_second);
        if (ingest->rate == NULL) {
            return error_set(err, ENOMEM, "ingest: no memory");
        }
    }
    ingest->scratch = arena_new(SCRATCH_BYTES);
    ingest->stats = malloc(sizeof(*ingest->stats));
    ingest->slices = calloc(INGEST_BATCH_RECORDS_MAX, sizeof(*ingest->slices));
    if (ingest->scratch == NULL || ingest->stats == NULL || ingest->slices == NULL) {
        return error_set(err, ENOMEM, "ingest: no memory");
    }
    ingest_stream_methods(ingest);
    ingest_retune(ingest);
    return ingest_log_open(ingest, err);
}

struct ingest *ingest_new(const struct ingest_settings *settings, const char *directory,
                          const struct ingest_events *events, struct error *err)
{
    struct ingest *ingest = calloc(1, sizeof(*ingest));
    pthread_condattr_t attributes;

    if (ingest == NULL) {
        (void)error_set(err, ENOMEM, "ingest: no memory");
        return NULL;
    }
    ingest->settings = settings;
    ingest->events = events;
    ingest->last = &ingest->first;
    (void)snprintf(ingest->directory, sizeof(ingest->directory), "%s", directory);
    (void)pthread_mutex_init(&ingest->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ingest->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (build(ingest, err) != 0) {
        ingest_free(ingest);
        return NULL;
    }
    return ingest;
}

/* Sensors are asked who they are; what else is served on the port has its own door. */
static enum rpc_status admit(void *context, struct rpc_call *call, const char *path,
                             struct error *reason)
{
    const struct ingest *ingest = context;
    const struct ingest_events *events = ingest->events;

    if (events->admit_other != NULL && strcmp(path, INGEST_CONNECT_PATH) != 0 &&
        strcmp(path, INGEST_UPLOAD_PATH) != 0) {
        return events->admit_other(events->context, call, path, reason);
    }
    return ingest_auth_admit(ingest->auth, call, path, reason);
}

int ingest_start(struct ingest *ingest, struct rpc_runtime *runtime,
                 int (*add)(void *context, struct rpc_server *server, struct error *err),
                 void *add_context, struct error *err)
{
    const struct ingest_settings *settings = ingest->settings;
    struct rpc_server_options options = rpc_server_options_default();
    const struct rpc_server_tls tls = {
        .certificate_path = settings->tls_certificate,
        .key_path = settings->tls_key,
        .client_ca_path = settings->tls_client_ca[0] != '\0' ? settings->tls_client_ca : NULL};

    options.receive_bytes_max = settings->message_bytes_max;
    options.window_bytes = settings->window_bytes;
    options.calls_max = (uint32_t)settings->sensors_max + EXTRA_CALLS_MAX;
    options.keepalive_time_ns = settings->keepalive_interval_ns;
    options.keepalive_timeout_ns = settings->keepalive_timeout_ns;
    options.connections_max = (uint32_t)settings->connections_max;
    options.authorize = admit;
    options.authorize_context = ingest;
    ingest->server = rpc_server_new(runtime, &options, err);
    if (ingest->server == NULL || rpc_server_add(ingest->server, &ingest->method, 1, err) != 0 ||
        (add != NULL && add(add_context, ingest->server, err) != 0)) {
        return -err->code;
    }
    const int port = rpc_server_listen(ingest->server, settings->listen,
                                       settings->tls_certificate[0] != '\0' ? &tls : NULL, err);
    if (port < 0) {
        error_prefix(err, "ingest");
        return port;
    }
    const int result = ingest_log_start(ingest, err);
    if (result != 0) {
        return result;
    }
    rpc_server_start(ingest->server);
    return port;
}

void ingest_stop(struct ingest *ingest)
{
    if (ingest == NULL) {
        return;
    }
    if (ingest->server != NULL) {
        rpc_server_stop(ingest->server, STOP_GRACE_NS);
    }
    ingest_log_stop(ingest);
}

void ingest_free(struct ingest *ingest)
{
    if (ingest == NULL) {
        return;
    }
    ingest_stop(ingest);
    rpc_server_free(ingest->server);
    segment_log_close(ingest->log);
    ingest_positions_free(ingest->positions);
    free(ingest->local);
    ingest_positions_free(ingest->dialed);
    ingest_lanes_free(ingest);
    ingest_auth_free(ingest->auth);
    rpc_rate_free(ingest->rate);
    arena_free(ingest->scratch);
    free(ingest->stats);
    free(ingest->slices);
    (void)pthread_cond_destroy(&ingest->wake);
    (void)pthread_mutex_destroy(&ingest->lock);
    free(ingest);
}

enum rpc_status ingest_bind(struct ingest *ingest, struct rpc_call *call, const char *sensor_id,
                            struct error *reason)
{
    return ingest_auth_bind(ingest->auth, call, sensor_id, reason);
}

int ingest_reload_tokens(struct ingest *ingest, struct error *err)
{
    return ingest_auth_reload(ingest->auth, ingest->settings, err);
}

void ingest_counts_read(struct ingest *ingest, struct ingest_counts *out)
{
    (void)pthread_mutex_lock(&ingest->lock);
    *out = ingest->counts;
    (void)pthread_mutex_unlock(&ingest->lock);
    if (ingest->server != NULL) {
        struct rpc_server_counts counts;

        rpc_server_counts(ingest->server, &counts);
        out->sockets = counts.connections_live;
        out->sockets_refused = counts.connections_refused;
    }
}

const char *ingest_failure(struct ingest *ingest)
{
    (void)pthread_mutex_lock(&ingest->lock);
    const bool is_failed = ingest->is_failed;
    (void)pthread_mutex_unlock(&ingest->lock);
    return is_failed ? ingest->failure.message : NULL; /* written once, before the flag */
}
