/* Wiring of the API: the table of routes, the door, the life of its parts. */
#include "collector-ui/api/api.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/collector_status.h"
#include "collector-ui/api/fleet_private.h"
#include "collector-ui/dashboard/assets.h"

/* ---- routes: the table's, and what is there beside it ---- */

static void ask(struct http_request *request)
{
    const struct api *const api = http_request_context(request);
    if (grpc_rest_page(&fleet_program, request)) {
        return;
    }
    if (api->fleet == NULL) {
        http_problem(request, 404, "SWITCHED_OFF", "the API is switched off here (grpc.enabled)",
                     -1);
    } else {
        grpc_rest_ask(api->fleet->server, request);
    }
}

static void route_openapi(struct http_request *request)
{
    struct api *const api = http_request_context(request);
    if (api->openapi == NULL) {
        api->openapi = grpc_rest_openapi(&fleet_program);
    }
    if (api->openapi == NULL) {
        http_problem(request, 503, "NO_MEMORY", "no memory for the document", -1);
    } else {
        http_reply_buffer(request, 200, "application/json", http_buffer_ref(api->openapi));
    }
}

static void fill_routes(struct api *api)
{
    static const struct http_route own[] = {
        {HTTP_GET, "/healthz", route_health, HTTP_NO_AUTH},
        {HTTP_GET, "/api/health", route_health, HTTP_NO_AUTH},
        {HTTP_GET, "/readyz", route_ready, HTTP_NO_AUTH},
        {HTTP_GET, "/metrics", route_metrics, 0},
        {HTTP_GET, "/v1/session", route_session, HTTP_NO_AUTH},
        {HTTP_POST, "/v1/session:login", route_login, HTTP_NO_AUTH},
        {HTTP_POST, "/v1/session:logout", route_logout, HTTP_NO_AUTH},
        {HTTP_GET, "/v1/openapi.json", route_openapi, HTTP_NO_AUTH},
        {HTTP_GET, "/v1/schema/{file}", schema_route, HTTP_NO_AUTH},
    };
    static_assert(ARRAY_COUNT(own) + GRPC_REST_ROUTES < API_ROUTES_MAX, "room for all and an end");
    size_t count = grpc_rest_routes(&fleet_program, ask, api->routes);
    for (size_t i = 0; i < ARRAY_COUNT(own); i++) {
        api->routes[count++] = own[i];
    }
    api->routes[count] = (struct http_route){0};
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

int api_check(const struct api_settings *s, struct error *err)
{
    if (s->tls_enabled && (!is_given(s->tls_certificate) || !is_given(s->tls_key))) {
        return error_set(err, EINVAL,
                         "web.tls.enabled: needs web.tls.cert_path and web.tls.key_path "
                         "(--tls-cert, --tls-key)");
    }
    if (s->auth_enabled && !is_given(s->token_file) && !is_given(s->users_file) &&
        (!is_given(s->auth_username) || !is_given(s->auth_password_file))) {
        return error_set(err, EINVAL,
                         "web.auth.enabled: needs web.auth.users_file (netscope-collector user "
                         "add), web.auth.username with web.auth.password_file (--auth-user, "
                         "--auth-pass-file), or web.token_file");
    }
    if (address_text_is_loopback(s->bind) || s->insecure || (s->tls_enabled && s->auth_enabled)) {
        return 0;
    }
    return error_set(err, EINVAL,
                     "web.bind %s: another address than loopback needs TLS and a login"
                     " (web.tls.enabled, web.auth.enabled), or web.insecure: true to do without",
                     s->bind);
}

/* What is 0 or NULL in the settings has its default. */
static void settle(struct api *api, const struct api_settings *settings)
{
    api->settings = *settings;
    if (settings->bind == NULL || settings->bind[0] == '\0') {
        api->settings.bind = "127.0.0.1";
    }
    api->settings.tick_ns = settings->tick_ns != 0 ? settings->tick_ns : NS_PER_SEC;
    api->settings.top_n = settings->top_n != 0 ? settings->top_n : 10;
    api->settings.clients_max = settings->clients_max != 0 ? settings->clients_max : 64;
    api->settings.auth_username = settings->auth_username != NULL ? settings->auth_username : "";
    api->settings.session_idle_ns =
        settings->session_idle_ns != 0 ? settings->session_idle_ns : 3600 * NS_PER_SEC;
    api->settings.session_age_ns =
        settings->session_age_ns != 0 ? settings->session_age_ns : UINT64_C(12) * 3600 * NS_PER_SEC;
    api->settings.sessions_max = settings->sessions_max != 0 ? settings->sessions_max : 256;
    api->settings.login_attempts = settings->login_attempts != 0 ? settings->login_attempts : 10;
    api->settings.login_interval_ns =
        settings->login_interval_ns != 0 ? settings->login_interval_ns : 30 * NS_PER_SEC;
}

static int start_server(struct api *api, struct error *err)
{
    const struct http_server_options options = {
        .address = api->settings.bind,
        .port = (uint16_t)api->settings.port,
        .tls_certificate_path = api->settings.tls_enabled ? api->settings.tls_certificate : NULL,
        .tls_key_path = api->settings.tls_enabled ? api->settings.tls_key : NULL,
        .routes = api->routes,
        .request_body_bytes_max = GRPC_REQUEST_BYTES,
        .ws_protocols = live_protocols,
        .assets = dashboard_assets,
        .assets_count = dashboard_assets_count,
        .fallback = route_nothing,
        .authorize = auth_check,
        /* Not Basic, which it takes all the same: browsers would ask in place of the page. */
        .authenticate = "Bearer realm=\"netscope\"",
        .forbidden = "This needs a token with the right scope (grpc.token_file), or the "
                     "dashboard's login (web.auth.enabled).",
        .context = api,
        .ws_connections_max = (uint32_t)api->settings.clients_max + 16};
    api->server = http_server_start(&options, err);
    if (api->server == NULL) {
        error_prefix(err, "web");
        return -err->code;
    }
    return 0;
}

struct api *api_new(const struct api_settings *settings, struct history *history,
                    struct sensor_registry *registry, struct fleet_grpc *fleet,
                    void (*ingest_counts)(void *context, struct api_ingest_counts *out),
                    void *context, struct error *err)
{
    AUTO(api) api = calloc(1, sizeof *api);
    struct error local = {0};
    err = err == NULL ? &local : err;
    error_clear(err);
    if (api == NULL) {
        error_set(err, ENOMEM, "api: out of memory");
        return NULL;
    }
    settle(api, settings);
    api->history = history;
    api->registry = registry;
    api->fleet = fleet;
    fill_routes(api);
    api->ingest_counts = ingest_counts;
    api->context = context;
    api->started_ns = clock_wall_ns();
    hash_random_hex(api->boot_id);
    (void)gethostname(api->host_name, sizeof api->host_name - 1);
    if (api_check(&api->settings, err) != 0 || auth_read(api, err) != 0) {
        return NULL;
    }
    api->feed = live_feed_new(api, err);
    if (api->feed == NULL) {
        return NULL;
    }
    if (fleet != NULL) {
        fleet->hides_packets = api->settings.sample_rate == 0;
        fleet->shown_bytes = api->settings.payload_bytes;
    }
    if (start_server(api, err) != 0) {
        return NULL;
    }
    live_feed_start(api->feed);
    if (fleet != NULL) {
        fleet_grpc_tell_status(fleet, collector_status_read, api);
    }
    return TAKE(api);
}

void api_tell_detection(struct api *api,
                        void (*counts)(void *context, struct api_detection_counts *out))
{
    atomic_store(&api->detection_counts, counts);
}

void api_tell_clickhouse(struct api *api,
                         uint32_t (*counts)(void *context,
                                            struct api_clickhouse_counts out[API_CLICKHOUSE_MAX]))
{
    atomic_store(&api->clickhouse_counts, counts);
}

void api_tell_receivers(struct api *api,
                        uint32_t (*counts)(void *context,
                                           struct api_receiver_counts out[API_RECEIVERS_MAX]))
{
    atomic_store(&api->receiver_counts, counts);
}

void api_tell_dials(struct api *api,
                    uint32_t (*counts)(void *context, struct api_dial_counts out[API_DIALS_MAX]))
{
    atomic_store(&api->dial_counts, counts);
}

void api_tell_certificates(struct api *api, struct certificate_watch *watch)
{
    atomic_store(&api->certificates, watch);
}

void api_tell_assets(struct api *api, struct fleet_assets *assets)
{
    atomic_store(&api->assets, assets);
}

void api_tell_triage(struct api *api, struct triage *triage)
{
    atomic_store(&api->triage, triage);
}

void api_tell_push(struct api *api, struct config_push *push)
{
    atomic_store(&api->push, push);
}

void api_tell_revocations(struct api *api, struct revocations *revocations)
{
    atomic_store(&api->revocations, revocations);
}

static void forget(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
    }
    free(secret);
}

int api_reload_users(struct api *api, struct error *err)
{
    return access_reload(api->access, err);
}

void api_free(struct api *api)
{
    if (api == NULL) {
        return;
    }
    atomic_store(&api->is_stopping, true);
    if (api->fleet != NULL) {
        fleet_grpc_tell_status(api->fleet, NULL, NULL);
    }
    if (api->feed != NULL) {
        live_feed_stop(api->feed);
    }
    http_server_stop(api->server);
    /* Nobody wants their answers any more, so they end soon. */
    while (atomic_load(&api->jobs) > 0) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    access_free(api->access); /* whose answers then are the last ones */
    http_buffer_unref(api->openapi);
    live_feed_free(api->feed);
    forget(api->password);
    forget(api->token);
    free(api);
}

uint16_t api_port(const struct api *api)
{
    return http_server_port(api->server);
}
