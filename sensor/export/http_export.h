/* REST (/v1), /metrics, /healthz and /readyz of the sensor over HTTP.
 *
 * Depends on: base, base/http, proto, pipeline. Threads: the HTTP server's own. */
#pragma once

#include "base/config/config.h"
#include "base/error.h"
#include "sensor/export/grpc_server.h"
#include "sensor/pipeline/pipeline.h"

struct http_export_settings {
    const char *enabled; /* auto (live or paced input) | on | off */
    const char *bind;    /* 127.0.0.1 */
    uint64_t port;       /* 50080; 0 = pick one */
    bool insecure;       /* another address than loopback without TLS */
    const char *tls_certificate, *tls_key;
};

extern const struct config_field http_export_fields[];

struct http_export;

/* Whether `bind` may be open to other machines, and what goes together; opens nothing. 0 or
 * -EINVAL. http_export_new asks it too. */
MUST_USE int http_export_check(const struct http_export_settings *settings, struct error *err);
/* `grpc` may be NULL. The pipeline must outlive http_export_free. NULL with `err` ("listen
 * 127.0.0.1:50080: ..."). */
MUST_USE struct http_export *http_export_new(const struct http_export_settings *settings,
                                             struct pipeline *pipeline, struct grpc_server *grpc,
                                             struct error *err);
void http_export_free(struct http_export *http);
DEFINE_AUTO(http_export, http_export_free);
/* What /metrics tells of certificates; lives longer. */
struct certificate_watch;
void http_export_tell_certificates(struct http_export *http, struct certificate_watch *watch);
uint16_t http_export_port(const struct http_export *http);

/* The page of /metrics, in the order of its families; `grpc` may be NULL. Any thread. */
struct metrics_page;
void http_export_metrics(struct pipeline *pipeline, struct grpc_server *grpc,
                         struct metrics_page *page);
