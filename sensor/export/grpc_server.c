#include "sensor/export/grpc_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "proto/json/transcoder.h"
#include "sensor/export/grpc_private.h"
#include "sensor/export/grpc_sink.h"

#define STOP_GRACE_NS   (2 * NS_PER_SEC)
#define HEALTH_WATCHERS 64
#define CALLS_MAX       1024
#define PACKAGE         "netscope.v1."

/* ---- listening ---- */

int grpc_server_check(const struct grpc_settings *settings, struct error *err)
{
    const bool has_tls = settings->tls_certificate[0] != '\0' || settings->tls_key[0] != '\0';
    const bool has_identity = settings->token_file[0] != '\0' || settings->tls_client_ca[0] != '\0';

    if (settings->listen[0] == '\0') {
        return 0;
    }
    if (rpc_address_check(settings->listen, err) != 0) {
        error_prefix(err, "grpc.listen");
        return -err->code;
    }
    if (settings->tls_client_ca[0] != '\0' && !has_tls) {
        return error_set(err, EINVAL,
                         "grpc.tls_client_ca needs grpc.tls_certificate and grpc.tls_key");
    }
    if (!settings->insecure && !(has_tls && has_identity) && !endpoint_is_local(settings->listen)) {
        return error_set(err, EINVAL,
                         "grpc.listen %s: an address other than loopback needs TLS "
                         "(grpc.tls_certificate, grpc.tls_key) and a token (grpc.token_file) or "
                         "client certificates (grpc.tls_client_ca), or grpc.insecure: true",
                         settings->listen);
    }
    return 0;
}

static int listen_tcp(struct grpc_server *server, struct error *err)
{
    struct grpc_sensor *sensor = grpc_sensor_of(server);
    const struct grpc_settings *settings = &server->settings;
    const bool has_tls = settings->tls_certificate[0] != '\0' || settings->tls_key[0] != '\0';
    const struct rpc_server_tls tls = {
        .certificate_path = settings->tls_certificate,
        .key_path = settings->tls_key,
        .client_ca_path = settings->tls_client_ca[0] == '\0' ? NULL : settings->tls_client_ca};

    if (settings->listen[0] == '\0') {
        return 0;
    }
    if (grpc_server_check(settings, err) != 0) {
        return -err->code;
    }
    const int port = rpc_server_listen(sensor->rpc, settings->listen, has_tls ? &tls : NULL, err);

    if (port < 0) {
        error_prefix(err, "grpc");
        return port;
    }
    sensor->port = (uint16_t)port;
    return 0;
}

static int listen_unix(struct grpc_server *server, struct error *err)
{
    const char *path = server->settings.unix_socket;
    const char *directory = getenv("RUNTIME_DIRECTORY"); // NOLINT(concurrency-mt-unsafe)
    char address[300];

    if (path[0] != '\0') {
        (void)snprintf(address, sizeof(address), "unix:%s", path);
    } else if (directory != NULL && directory[0] != '\0') {
        (void)snprintf(address, sizeof(address), "unix:%.*s/sensor.sock",
                       (int)strcspn(directory, ":"), directory);
    } else {
        return 0;
    }
    const int result = rpc_server_listen(grpc_sensor_of(server)->rpc, address, NULL, err);

    if (result < 0) {
        error_prefix(err, "grpc.unix_socket");
        return result;
    }
    return 0;
}

/* ---- methods ---- */

static const char *const services[] = {"",
                                       PACKAGE "SensorService",
                                       PACKAGE "FlowService",
                                       PACKAGE "AlertService",
                                       PACKAGE "StatsService",
                                       PACKAGE "PacketService",
                                       PACKAGE "DnsService",
                                       PACKAGE "ConfigService"};

static void tell_health(const struct grpc_sensor *sensor, bool is_serving)
{
    for (size_t i = 0; i < ARRAY_COUNT(services); i++) {
        (void)rpc_health_set(sensor->health, services[i], is_serving);
    }
}

static int add_services(struct grpc_server *server, struct error *err)
{
    struct grpc_sensor *sensor = grpc_sensor_of(server);
    struct rpc_server_options options = rpc_server_options_default();
    size_t set_length;
    const uint8_t *set = json_descriptor_set(&set_length);

    options.receive_bytes_max = GRPC_REQUEST_BYTES;
    options.calls_max = CALLS_MAX;
    options.connections_max = (uint32_t)server->settings.connections_max;
    options.authorize = grpc_serve_authorize;
    options.authorize_context = server;
    sensor->rpc = rpc_server_new(server->runtime, &options, err);
    sensor->health = rpc_health_new(HEALTH_WATCHERS, err);
    sensor->reflection = rpc_reflection_new(set, set_length, err);
    if (sensor->rpc == NULL || sensor->health == NULL || sensor->reflection == NULL) {
        return -err->code;
    }
    tell_health(sensor, false);
    if (grpc_serve_add(server, sensor->rpc, err) != 0 ||
        rpc_health_add(sensor->health, sensor->rpc, err) != 0 ||
        rpc_reflection_add(sensor->reflection, sensor->rpc, err) != 0) {
        return -err->code;
    }
    return 0;
}

/* ---- life ---- */

struct grpc_server *grpc_server_new(const struct grpc_settings *settings,
                                    const struct grpc_identity *identity,
                                    struct rpc_runtime *runtime, struct error *err)
{
    struct grpc_sensor *sensor = calloc(1, sizeof(*sensor));
    struct grpc_settings own = *settings;

    if (sensor == NULL) {
        error_set(err, ENOMEM, "grpc: no memory");
        return NULL;
    }
    capture_threads_init(&sensor->captures);
    sensor->identity = *identity;
    own.has_dns_records = identity->has_dns_records;
    struct grpc_server *server = grpc_serve_new(&grpc_sensor_program, sensor, &own, runtime, err);

    if (server == NULL) {
        capture_threads_fini(&sensor->captures);
        free(sensor);
        return NULL;
    }
    server->control = identity->control;
    if (add_services(server, err) != 0 || listen_tcp(server, err) != 0 ||
        listen_unix(server, err) != 0) {
        grpc_server_free(server);
        return NULL;
    }
    return server;
}

void grpc_server_attach(struct grpc_server *server, struct pipeline *pipeline)
{
    struct grpc_sensor *sensor = grpc_sensor_of(server);

    sensor->pipeline = pipeline;
    rpc_server_start(sensor->rpc);
    tell_health(sensor, true);
}

void grpc_server_stop(struct grpc_server *server)
{
    struct grpc_sensor *sensor = grpc_sensor_of(server);

    tell_health(sensor, false);
    rpc_server_stop(sensor->rpc, STOP_GRACE_NS);
    capture_threads_join(&sensor->captures);
}

void grpc_server_free(struct grpc_server *server)
{
    if (server == NULL) {
        return;
    }
    struct grpc_sensor *sensor = grpc_sensor_of(server);

    rpc_server_free(sensor->rpc); /* all calls are done after this */
    capture_threads_join(&sensor->captures);
    capture_threads_fini(&sensor->captures);
    grpc_serve_free(server);
    rpc_health_free(sensor->health);
    rpc_reflection_free(sensor->reflection);
    free(atomic_load(&sensor->retune));
    free(sensor);
}

uint16_t grpc_server_port(const struct grpc_server *server)
{
    return grpc_sensor_of(server)->port;
}

void grpc_server_counts_read(struct grpc_server *server, struct grpc_server_counts *out)
{
    struct rpc_server_counts counts;

    rpc_server_counts(grpc_sensor_of(server)->rpc, &counts);
    *out =
        (struct grpc_server_counts){.streams = (uint32_t)counter_get(&server->streams),
                                    .records_sent = counter_get(&server->records_sent),
                                    .records_dropped = counter_get(&server->records_dropped),
                                    .calls_refused = counts.calls_refused + counts.calls_over_limit,
                                    .connections = counts.connections_live,
                                    .connections_refused = counts.connections_refused};
    const struct control *control = grpc_sensor_of(server)->identity.control;

    if (control != NULL) {
        out->config_applied = counter_get(&control->applied);
        out->config_confirmed = counter_get(&control->confirmed);
        out->config_rolled_back = counter_get(&control->rolled_back);
        out->config_refused = counter_get(&control->refused);
    }
}
