#include "ctl/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/service/secret_file.h"
#include "base/wire_format.h"
#include "ctl/show.h"
#include "ctl/stop.h"

#define PACKAGE        "/netscope.v1."
#define COLLECTOR_PATH PACKAGE "CollectorService/GetCollectorStatus"
#define SENSOR_PATH    PACKAGE "SensorService/GetInfo"
#define HEALTH_PATH    "/grpc.health.v1.Health/Check"
#define PROBE_WAIT_NS  (3 * NS_PER_SEC)

const char *const connection_defaults[CONNECTION_DEFAULTS] = {"127.0.0.1:50052", "127.0.0.1:50051"};

bool connection_wants_tls(const struct ctl_settings *s, const char *server)
{
    return s->tls || s->ca[0] != '\0' || s->certificate[0] != '\0' ||
           (!s->plaintext && !endpoint_is_local(server));
}

int connection_token(const struct ctl_settings *settings, char out[CONNECTION_TOKEN_BYTES],
                     struct error *err)
{
    size_t length = 0;

    out[0] = '\0';
    if (settings->token_file[0] == '\0') {
        return 0;
    }
    const int result = secret_file_read("--token-file", settings->token_file, out,
                                        CONNECTION_TOKEN_BYTES, &length, err);

    for (size_t i = 0; result == 0 && i < length; i++) {
        if (out[i] <= ' ' || out[i] > '~') {
            out[0] = '\0';
            return error_set(err, EINVAL, "--token-file: %s must hold one token on one line",
                             settings->token_file);
        }
    }
    return result;
}

static int open_channel(struct connection *connection, const struct ctl_settings *s,
                        const char *server, struct error *err)
{
    struct rpc_channel_options options = rpc_channel_options_default(server);

    (void)snprintf(connection->target, sizeof(connection->target), "%s", server);
    connection->is_tls = connection_wants_tls(s, server);
    options.is_tls = connection->is_tls;
    connection->has_certificate = s->certificate[0] != '\0';
    options.ca_path = s->ca[0] != '\0' && strcmp(s->ca, "system") != 0 ? s->ca : NULL;
    options.certificate_path = s->certificate[0] != '\0' ? s->certificate : NULL;
    options.key_path = s->key[0] != '\0' ? s->key : NULL;
    options.server_name = s->server_name[0] != '\0' ? s->server_name : NULL;
    options.connect_timeout_ns = s->timeout_ns;
    connection->channel = rpc_channel_new(connection->runtime, &options, err);
    return connection->channel == NULL ? -err->code : 0;
}

/* The first of this machine where somebody answers; the words of the last one otherwise. */
static enum ctl_exit choose(struct connection *connection, const struct ctl_settings *s,
                            struct error *err)
{
    const uint64_t timeout_ns = connection->timeout_ns;
    enum ctl_exit status = CTL_UNREACHED;

    connection->is_chosen = true;
    for (size_t i = 0; i < CONNECTION_DEFAULTS && status == CTL_UNREACHED; i++) {
        unsigned state = 0;

        error_clear(err);
        rpc_channel_free(connection->channel);
        if (open_channel(connection, s, connection_defaults[i], err) != 0) {
            return CTL_FAILED;
        }
        connection->timeout_ns = timeout_ns < PROBE_WAIT_NS ? timeout_ns : PROBE_WAIT_NS;
        status = connection_health(connection, "", &state, err);
    }
    connection->timeout_ns = timeout_ns;
    if (status == CTL_UNREACHED) {
        (void)error_set(err, ECONNREFUSED,
                        "neither %s (a collector) nor %s (a sensor) answers: start one, or name "
                        "another by --server or NETSCOPE_SERVER",
                        connection_defaults[0], connection_defaults[1]);
    } else if (status == CTL_OK && !stop_is_wanted()) {
        tell("no --server is given: %s answers", connection->target);
    }
    return status;
}

static int check_settings(const struct ctl_settings *s, struct error *err)
{
    if (s->server[0] != '\0' && !endpoint_is_target(s->server)) {
        return error_set(err, EINVAL, "--server %s: give host:port, [IPv6]:port or unix:/path",
                         s->server);
    }
    if (s->plaintext && (s->tls || s->ca[0] != '\0' || s->certificate[0] != '\0')) {
        return error_set(err, EINVAL,
                         "client.plaintext and client.tls* exclude each other: take one away "
                         "(netscopectl reads flags, environment and ctl.yaml)");
    }
    return 0;
}

static enum ctl_exit open_all(struct connection *connection, const struct ctl_settings *settings,
                              struct error *err)
{
    if (check_settings(settings, err) != 0 ||
        connection_token(settings, connection->token, err) != 0) {
        return CTL_USAGE;
    }
    connection->runtime = rpc_runtime_new(NULL, err);
    stop_begin();
    if (connection->runtime == NULL) {
        return CTL_FAILED;
    }
    if (settings->server[0] == '\0') {
        return choose(connection, settings, err);
    }
    if (open_channel(connection, settings, settings->server, err) != 0) {
        return CTL_USAGE;
    }
    if (connection->token[0] != '\0' && !connection->is_tls &&
        !endpoint_is_local(settings->server)) {
        tell("--plaintext: the token is sent to %s in the clear", settings->server);
    }
    return CTL_OK;
}

enum ctl_exit connection_open(struct connection *connection, const struct ctl_settings *settings,
                              struct error *err)
{
    *connection = (struct connection){.timeout_ns = settings->timeout_ns};
    return open_all(connection, settings, err);
}

void connection_close(struct connection *connection)
{
    rpc_channel_free(connection->channel);
    rpc_runtime_free(connection->runtime);
    explicit_bzero(connection->token, sizeof(connection->token));
    connection->channel = NULL;
    connection->runtime = NULL;
}

/* ---- health ---- */

enum ctl_exit connection_health(struct connection *connection, const char *service, unsigned *state,
                                struct error *err)
{
    uint8_t request[300];
    struct wire_writer w = wire_writer_over(request, sizeof(request));
    struct answer answer = {0};
    struct wire_field field;

    *state = 0;
    wire_write_text_if_any(&w, 1, service);
    enum ctl_exit status = ask(connection, HEALTH_PATH, request, wire_written(&w), &answer, err);

    if (answer.status == RPC_NOT_FOUND) {
        error_clear(err);
        status = CTL_OK;
    }
    if (status == CTL_OK && answer.bytes != NULL) {
        struct wire_reader r = wire_reader_over(answer.bytes, answer.length);

        while (wire_next(&r, &field)) {
            if (field.number == 1 && field.value <= 2) {
                *state = (unsigned)field.value;
            }
        }
    }
    free(answer.bytes);
    return status;
}

enum ctl_exit connection_kind(struct connection *connection, enum server_kind *kind,
                              struct error *err)
{
    unsigned state = 0;
    enum ctl_exit status =
        connection_health(connection, "netscope.v1.CollectorService", &state, err);

    *kind = SERVER_UNKNOWN;
    if (status == CTL_OK && state != 0) {
        *kind = SERVER_COLLECTOR;
    } else if (status == CTL_OK) {
        status = connection_health(connection, "netscope.v1.SensorService", &state, err);
        *kind = status == CTL_OK && state != 0 ? SERVER_SENSOR : SERVER_UNKNOWN;
    }
    return status;
}

enum ctl_exit connection_needs_collector(struct connection *connection, const char *what,
                                         struct error *err)
{
    enum server_kind kind = SERVER_UNKNOWN;
    const enum ctl_exit status = connection_kind(connection, &kind, err);

    if (status == CTL_OK && kind == SERVER_UNKNOWN) {
        (void)error_set(err, ENOSYS,
                        "%s is neither a collector nor a sensor of NetScope: 50052 is a "
                        "collector's port, 50051 a sensor's",
                        connection->target);
        return CTL_FAILED;
    }
    if (status == CTL_OK && kind == SERVER_SENSOR) {
        (void)error_set(err, ENOSYS,
                        "%s is a sensor: %s are asked of a collector (--server); netscopectl "
                        "status tells of this one",
                        connection->target, what);
        return CTL_FAILED;
    }
    return status;
}

enum ctl_exit connection_needs_sensor(struct connection *connection, struct error *err)
{
    enum server_kind kind = SERVER_UNKNOWN;
    const enum ctl_exit status = connection_kind(connection, &kind, err);

    if (status == CTL_OK && kind == SERVER_COLLECTOR) {
        (void)error_set(err, ENOSYS,
                        "%s is a collector: its settings are changed in its file (then netscopectl "
                        "config reload), those of one sensor at the sensor itself (--server), "
                        "those of a fleet by netscopectl config push",
                        connection->target);
        return CTL_FAILED;
    }
    return status;
}

/* ---- how a call ended, in plain words ---- */

/* "a collector of version 0.1.0" of a server that has been asked; "" where it does not say. */
static void describe(struct connection *connection, char *out, size_t capacity)
{
    struct answer answer = {0};
    enum server_kind kind = SERVER_UNKNOWN;
    struct error ignored = {0};
    struct show show = {.out = out, .capacity = capacity};

    out[0] = '\0';
    if (connection_kind(connection, &kind, &ignored) != CTL_OK || kind == SERVER_UNKNOWN) {
        return;
    }
    const bool is_collector = kind == SERVER_COLLECTOR;
    const enum ctl_exit status =
        ask(connection, is_collector ? COLLECTOR_PATH : SENSOR_PATH, NULL, 0, &answer, &ignored);
    const struct view view =
        view_of(is_collector ? "GetCollectorStatusResponse" : "GetInfoResponse", answer.bytes,
                answer.length);

    show_text(&show, " is a %s", is_collector ? "collector" : "sensor");
    if (status == CTL_OK && view_text(&view, "version").length > 0) {
        show_text(&show, " of version ");
        show_name(&show, view_text(&view, "version"));
    }
    show_text(&show, " and");
    free(answer.bytes);
}

enum ctl_exit explain_missing(struct connection *connection, const char *path, const char *message,
                              struct error *err)
{
    const char *method =
        strncmp(path, PACKAGE, strlen(PACKAGE)) == 0 ? path + strlen(PACKAGE) : path + 1;
    const char *slash = strchr(method, '/');
    char who[160];

    connection->is_explaining = true;
    describe(connection, who, sizeof(who));
    connection->is_explaining = false;
    (void)error_set(err, ENOSYS, "%s%s has no %.*s.%s; this netscopectl is of version %s (%.200s)",
                    connection->target, who, slash == NULL ? 0 : (int)(slash - method), method,
                    slash == NULL ? method : slash + 1, NETSCOPE_VERSION, message);
    return CTL_FAILED;
}

/* NULL: they are plain enough. */
static const char *plain_words(const struct connection *connection, const char *message)
{
    static const char *const meanings[RPC_TROUBLE_COUNT] = {
        [RPC_TROUBLE_UNTRUSTED] =
            "its certificate is not signed by the CA that is known here, or has expired",
        [RPC_TROUBLE_OTHER_NAME] = "its certificate is for another name (--tls-server-name)",
        [RPC_TROUBLE_PLAINTEXT] = "it speaks plaintext, and TLS is asked for here",
        [RPC_TROUBLE_HANDSHAKE] = ("the TLS handshake failed: it wants a certificate (--tls-cert), "
                                   "or speaks plaintext"),
        [RPC_TROUBLE_REFUSED] = "nothing listens there",
        [RPC_TROUBLE_NO_SOCKET] = "there is no such socket",
        [RPC_TROUBLE_NO_HOST] = "the name cannot be resolved",
    };
    const enum rpc_trouble trouble = rpc_trouble_of(message);

    if (trouble != RPC_TROUBLE_CLOSED) {
        return meanings[trouble];
    }
    return !connection->is_tls ? "it has ended, or speaks TLS (--tls)"
           : !connection->has_certificate
               ? "it has ended, or wants a certificate (--tls-cert, --tls-key)"
               : "it has ended, or does not take the certificate of --tls-cert";
}

enum ctl_exit explain(const struct connection *connection, enum rpc_status status,
                      const char *message, struct error *err)
{
    const char *words = plain_words(connection, message);

    switch (status) {
    case RPC_OK:
        return CTL_OK;
    case RPC_UNAVAILABLE:
        (void)error_set(err, EHOSTUNREACH,
                        "%s cannot be asked: %s%s%.200s%s; netscopectl doctor%s%s looks closer",
                        connection->target, words != NULL ? words : "", words != NULL ? " (" : "",
                        message, words != NULL ? ")" : "",
                        connection->is_chosen ? "" : " --server ",
                        connection->is_chosen ? "" : connection->target);
        return CTL_UNREACHED;
    case RPC_DEADLINE_EXCEEDED:
        (void)error_set(err, ETIMEDOUT, "%s does not answer in time (--timeout): %.300s",
                        connection->target, message);
        return CTL_UNREACHED;
    case RPC_UNAUTHENTICATED:
    case RPC_PERMISSION_DENIED:
        (void)error_set(err, EACCES, "%s refuses%s: %.300s", connection->target,
                        connection->token[0] == '\0' ? " (no --token-file is given)" : "", message);
        return CTL_REFUSED;
    case RPC_UNIMPLEMENTED:
        (void)error_set(err, ENOSYS, "%s has no such service: %.300s", connection->target, message);
        return CTL_FAILED;
    case RPC_INVALID_ARGUMENT:
        (void)error_set(err, EINVAL, "%s: %.400s", connection->target, message);
        return CTL_USAGE;
    default:
        (void)error_set(err, EPROTO, "%s: %s: %.400s", connection->target, rpc_status_name(status),
                        message);
        return CTL_FAILED;
    }
}
