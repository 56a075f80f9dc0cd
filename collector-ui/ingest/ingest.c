#include "collector-ui/ingest/ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/ingest/ingest_private.h"

#define BOOTS_MAX       16 /* of one sensor whose positions are kept in memory */
#define SCRATCH_BYTES   (1U << 20)
#define STOP_GRACE_NS   NS_PER_SEC
#define EXTRA_CALLS_MAX 256 /* health, reflection, streams that are being replaced */

static int build(struct ingest *ingest, struct error *err)
{
    const struct ingest_settings *settings = ingest->settings;

    ingest->auth = ingest_auth_new(settings, ingest->events, err);
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

int ingest_read_tokens(struct ingest *ingest, struct error *err)
{
    return ingest_auth_read(ingest->auth, ingest->settings, err);
}

void ingest_use_tokens(struct ingest *ingest)
{
    ingest_auth_use(ingest->auth);
    (void)ingest_check_streams(ingest);
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
