#include "sensor/export/http_export.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/config/peer_fields.h"
#include "base/http/http.h"
#include "base/json_writer.h"
#include "base/metrics.h"
#include "base/service/certificate_watch.h"
#include "proto/serve/grpc_rest.h"
#include "proto/serve/schema_route.h"
#include "sensor/export/grpc_private.h"
#include "sensor/export/readiness.h"

#define FIELD(member)      offsetof(struct http_export_settings, member)
#define PAGE_BYTES_MAX     ((size_t)1024 * 1024)
#define METRICS_TYPE       "text/plain; version=0.0.4; charset=utf-8"
#define REQUEST_BODY_BYTES ((size_t)256 * 1024)
#define OWN_ROUTES         6

const struct config_field http_export_fields[] = {
    {.type = CONFIG_CHOICE,
     .key = "enabled",
     .offset = FIELD(enabled),
     .value = "auto",
     .choices = "auto|on|off",
     .help = "Serve REST (/v1), /metrics, /healthz and /readyz; auto: with live or paced "
             "input."},
    {.type = CONFIG_TEXT,
     .key = "bind",
     .offset = FIELD(bind),
     .value = "127.0.0.1",
     .min = 1,
     .max = 64,
     .help = "Numeric address. Another than loopback needs TLS."},
    {.type = CONFIG_U64,
     .key = "port",
     .offset = FIELD(port),
     .value = "50080",
     .max = 65535,
     .help = "Port; 0: pick one."},
    {.type = CONFIG_BOOL,
     .key = "insecure",
     .offset = FIELD(insecure),
     .value = "false",
     .help = "Allow another address than loopback without TLS."},
    PEER_CHAIN_FIELD("tls_certificate", FIELD(tls_certificate), "tls_key"),
    PEER_CHAIN_KEY_FIELD("tls_key", FIELD(tls_key)),
    {0},
};

struct http_export {
    struct http_server *server;
    struct pipeline *pipeline;
    struct grpc_server *grpc;
    struct certificate_watch *_Atomic certificates; /* NULL: none is told */
    char bind[72];
    bool is_open; /* other machines may reach it */
    struct http_buffer *openapi;
    struct http_route routes[OWN_ROUTES + GRPC_REST_ROUTES + 1];
};

static void get_metrics(struct http_request *request)
{
    const struct http_export *http = http_request_context(request);
    struct certificate_watch *certificates = atomic_load(&http->certificates);
    struct metrics_page page;

    metrics_page_init(&page, PAGE_BYTES_MAX);
    http_export_metrics(http->pipeline, http->grpc, &page);
    if (certificates != NULL) {
        certificate_watch_write(certificates, "netscope_certificate_not_after_seconds", &page);
    }
    http_reply(request, 200, METRICS_TYPE, page.text == NULL ? "" : page.text, page.length);
    metrics_page_fini(&page);
}

/* The process answers: that is all liveness means. */
static void get_health(struct http_request *request)
{
    static const char body[] = "{\"status\":\"ok\"}\n";

    http_reply(request, 200, "application/json", body, sizeof(body) - 1);
}

static void get_ready(struct http_request *request)
{
    const struct http_export *http = http_request_context(request);
    struct readiness readiness;
    char body[READINESS_REASONS_MAX * 1100 + 64];

    readiness_read(http->pipeline, &readiness);
    struct json_writer json;

    json_init(&json, body, sizeof(body));
    json_object_begin(&json);
    json_key(&json, "status");
    json_text(&json, readiness.count == 0 ? "ready" : "not_ready");
    json_key(&json, "reasons");
    json_array_begin(&json);
    for (uint32_t i = 0; i < readiness.count; i++) {
        json_text(&json, readiness.reasons[i]);
    }
    json_array_end(&json);
    json_object_end(&json);
    http_reply(request, readiness.count == 0 ? 200 : 503, "application/json", body, json.length);
}

static void get_other(struct http_request *request)
{
    const struct http_export *http = http_request_context(request);

    http_problem(request, 404, "NO_SUCH_PATH",
                 http->grpc == NULL
                     ? "this sensor serves /metrics, /healthz and /readyz; /v1 needs grpc.enabled"
                     : "no such path; /v1/openapi.json lists all",
                 -1);
}

static void get_openapi(struct http_request *request)
{
    struct http_export *http = http_request_context(request);

    if (http->openapi == NULL) {
        http->openapi = grpc_rest_openapi(&grpc_sensor_program);
    }
    if (http->openapi == NULL) {
        http_problem(request, 503, "NO_MEMORY", "no memory for the document", -1);
        return;
    }
    http_reply_buffer(request, 200, "application/json", http_buffer_ref(http->openapi));
}

static void ask_method(struct http_request *request)
{
    const struct http_export *http = http_request_context(request);

    grpc_rest_ask(http->grpc, request);
}

/* Where other machines can ask, records are told to those with a token alone. */
static enum http_auth_verdict authorize(struct http_request *request)
{
    const struct http_export *http = http_request_context(request);

    if (http->grpc == NULL) {
        return HTTP_AUTH_ALLOW; /* the fallback: nothing is there */
    }
    if (http->is_open && !grpc_server_has_token(http->grpc)) {
        return HTTP_AUTH_FORBIDDEN;
    }
    return grpc_rest_authorize(http->grpc, request);
}

static void fill_routes(struct http_export *http)
{
    static const struct http_route own[OWN_ROUTES] = {
        {HTTP_GET, "/metrics", get_metrics, HTTP_NO_AUTH},
        {HTTP_GET, "/healthz", get_health, HTTP_NO_AUTH},
        {HTTP_GET, "/readyz", get_ready, HTTP_NO_AUTH},
        {HTTP_GET, "/api/health", get_health, HTTP_NO_AUTH},
        {HTTP_GET, "/v1/schema/{file}", schema_route, HTTP_NO_AUTH},
        {HTTP_GET, "/v1/openapi.json", get_openapi, HTTP_NO_AUTH},
    };
    size_t count = 0;

    for (; count < OWN_ROUTES - (http->grpc == NULL ? 1 : 0); count++) {
        http->routes[count] = own[count];
    }
    if (http->grpc != NULL) {
        count += grpc_rest_routes(&grpc_sensor_program, ask_method, http->routes + count);
    }
    http->routes[count] = (struct http_route){0};
}

int http_export_check(const struct http_export_settings *settings, struct error *err)
{
    const bool has_tls = settings->tls_certificate[0] != '\0';

    if (has_tls != (settings->tls_key[0] != '\0')) {
        return error_set(err, EINVAL, "http: tls_certificate and tls_key go together");
    }
    if (!has_tls && !settings->insecure && !address_text_is_loopback(settings->bind)) {
        return error_set(
            err, EINVAL,
            "http.bind %s: an address other than loopback needs TLS (http.tls_certificate, "
            "http.tls_key), or http.insecure: true",
            settings->bind);
    }
    return 0;
}

struct http_export *http_export_new(const struct http_export_settings *settings,
                                    struct pipeline *pipeline, struct grpc_server *grpc,
                                    struct error *err)
{
    const bool has_tls = settings->tls_certificate[0] != '\0';

    if (http_export_check(settings, err) != 0) {
        return NULL;
    }
    AUTO(http_export) http = calloc(1, sizeof(*http));

    if (http == NULL) {
        error_set(err, ENOMEM, "http: no memory");
        return NULL;
    }
    http->pipeline = pipeline;
    http->grpc = grpc;
    http->is_open = !settings->insecure && !address_text_is_loopback(settings->bind);
    fill_routes(http);
    (void)snprintf(http->bind, sizeof(http->bind), "%s", settings->bind);
    const struct http_server_options options = {
        .address = http->bind,
        .port = (uint16_t)settings->port,
        .tls_certificate_path = has_tls ? settings->tls_certificate : NULL,
        .tls_key_path = has_tls ? settings->tls_key : NULL,
        .routes = http->routes,
        .fallback = get_other,
        .authorize = authorize,
        .forbidden = "This needs a token with the right scope (grpc.token_file), or gRPC on the "
                     "unix socket (grpc.unix_socket).",
        .context = http,
        .connections_max = 64,
        .request_body_bytes_max = REQUEST_BODY_BYTES};

    http->server = http_server_start(&options, err);
    if (http->server == NULL) {
        error_prefix(err, "http");
        return NULL;
    }
    return TAKE(http);
}

void http_export_free(struct http_export *http)
{
    if (http != NULL) {
        http_server_stop(http->server);
        http_buffer_unref(http->openapi);
        free(http);
    }
}

void http_export_tell_certificates(struct http_export *http, struct certificate_watch *watch)
{
    atomic_store(&http->certificates, watch);
}

uint16_t http_export_port(const struct http_export *http)
{
    return http_server_port(http->server);
}
