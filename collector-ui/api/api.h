/* REST /v1, the live feed /v1/live, /metrics, health and the dashboard's files: what people and
 * programs ask the collector.
 *
 * Contract: docs/live-feed.md. Depends on: base/http, history, fleet, dashboard, proto. Threads:
 * the HTTP server's; long queries run on history's query threads and come back deferred. */
#pragma once

#include "base/config/config.h"
#include "base/error.h"
#include "collector-ui/fleet/sensor_registry.h"
#include "collector-ui/history/history.h"
#include "proto/record.h"

struct api_settings {
    const char *bind; /* 127.0.0.1 */
    uint64_t port;    /* 8080; 0 = pick one */
    bool tls_enabled;
    const char *tls_certificate, *tls_key;
    bool auth_enabled;
    const char *auth_username, *auth_password_file; /* the one user of HTTP Basic: an admin */
    const char *users_file;                         /* users and tokens with roles */
    const char *token_file;                         /* bearer token for machines: an admin's */
    uint64_t session_idle_ns, session_age_ns, sessions_max;
    uint64_t login_attempts, login_interval_ns; /* that may fail at once; one more each */
    bool insecure; /* another address than loopback without TLS and login */
    uint64_t tick_ns, top_n, packet_buffer, clients_max;
    uint64_t sample_rate;   /* one of so many packet samples is shown; 0 = no packets at all */
    uint64_t payload_bytes; /* shown of each */
};

/* Sections "web", "web.tls" and "web.auth", all three in struct api_settings. */
extern const struct config_field api_fields[], api_tls_fields[], api_auth_fields[];

/* What ingest knows for /metrics; filled by the app. Any thread. */
struct api_ingest_counts {
    uint64_t connections, batches, records, duplicates, gap_records, refused, log_bytes;
    uint64_t returned; /* of records: not written, to be sent again */
    uint64_t log_errors;
    bool has_log_trouble; /* nothing is acknowledged until the disk takes something again */
    uint64_t refused_rate, sockets, sockets_refused;
    uint64_t throttles, redirects, throttled, elsewhere_records, backlog_bytes;
    bool is_draining;
    struct {
        bool is_on;
        uint64_t messages, undecodable;
        uint64_t records, taken, known, by_stream, refused;
        uint64_t errors, commits, commits_failed, again, partitions, lag, assets;
    } kafka; /* what is read from Kafka */
};

/* What detection over the fleet knows for /metrics; zeroed before it is filled. */
#define API_DETECTORS_MAX 32
struct api_detection_counts {
    bool is_on;
    struct {
        const char *verdict; /* static */
        uint64_t count;
    } frames[8]; /* of sensors, by what became of them */
    uint32_t frames_count;
    uint64_t seconds, alerts, sensors, memory_bytes;
    struct stats_detector detectors[API_DETECTORS_MAX];
    uint32_t detectors_count;
    struct {
        bool is_kept; /* for the next start */
        uint64_t saved, failed, refused, subjects, left_out, bytes, saved_wall_sec;
    } learnt;
};

/* What became of alerts on their way to a receiver, for /metrics and the ledger. */
#define API_RECEIVERS_MAX 8
struct api_receiver_counts {
    const char *name; /* lives as long as the API */
    uint64_t taken;   /* = sent + passed_over + silenced + refused + expired + dropped + waiting */
    uint64_t sent, passed_over, silenced, refused, expired, dropped, waiting;
    uint64_t repeated; /* of `sent` and `refused`, and within `taken` */
    uint64_t retries, forgotten;
    bool is_failing;
};

/* What became of a stream's records on their way into ClickHouse, likewise. */
#define API_CLICKHOUSE_MAX 4
struct api_clickhouse_counts {
    const char *stream; /* "flows", "alerts", "stats", "dns" */
    uint64_t taken;     /* = inserted + refused + undecodable + dropped + waiting */
    uint64_t inserted, refused, undecodable, dropped, waiting;
    uint64_t inserts, retries, backlog_bytes, missing_bytes;
    bool is_waiting_known; /* false: what waits from an earlier life is not counted yet */
    bool is_failing;
    char reason[300]; /* of the last try that failed; "": none has */
    /* Questions about what is older than the store (flows alone): */
    bool is_asked, is_question_failing; /* the last one failed */
    uint64_t questions, questions_failed, questions_bounded, records_read;
    char question_reason[300]; /* of the last that failed; "": none has */
    uint64_t question_failed_ns;
};

/* What came of a sensor that is dialed, for /metrics and the ledger. */
#define API_DIALS_MAX 64
struct api_dial_counts {
    char name[24];
    char sensor_id[129]; /* "": nobody has answered so far */
    bool is_connected;
    uint64_t attempts, connections, disconnections, messages, undecodable;
    uint64_t taken, known, lost, passed, refused; /* records */
    uint64_t before; /* numbers in front of the first record of a sensor not met before */
};

struct api;
struct fleet_grpc;
struct fleet_assets;
struct certificate_watch;
struct triage;
struct config_push;
struct revocations;
/* Whether `bind` may be open to other machines; opens nothing. 0 or -EINVAL. */
MUST_USE int api_check(const struct api_settings *settings, struct error *err);
/* `fleet` NULL: without the methods of netscope.v1. All parts live longer. */
MUST_USE struct api *api_new(const struct api_settings *settings, struct history *history,
                             struct sensor_registry *registry, struct fleet_grpc *fleet,
                             void (*ingest_counts)(void *context, struct api_ingest_counts *out),
                             void *context, struct error *err);
/* Whom /metrics asks, with the context of api_new; any thread. */
void api_tell_detection(struct api *api,
                        void (*counts)(void *context, struct api_detection_counts *out));
void api_tell_receivers(struct api *api,
                        uint32_t (*counts)(void *context,
                                           struct api_receiver_counts out[API_RECEIVERS_MAX]));
/* Of each stream that is written there; flows come first. */
void api_tell_clickhouse(struct api *api,
                         uint32_t (*counts)(void *context,
                                            struct api_clickhouse_counts out[API_CLICKHOUSE_MAX]));
void api_tell_dials(struct api *api,
                    uint32_t (*counts)(void *context, struct api_dial_counts out[API_DIALS_MAX]));
/* Where /v1/alerts and the live feed look what people have said of alerts; lives longer. */
void api_tell_assets(struct api *api, struct fleet_assets *assets);
void api_tell_triage(struct api *api, struct triage *triage);
/* What /metrics tells of certificates; lives longer. */
void api_tell_certificates(struct api *api, struct certificate_watch *watch);
/* Where /v1/sensors and /metrics look what became of desired settings; lives longer. */
void api_tell_push(struct api *api, struct config_push *push);
/* Where /v1/sensors looks whose credentials count no more; lives longer. */
void api_tell_revocations(struct api *api, struct revocations *revocations);
/* Reads web.auth.users_file again. 0 or -errno with `err`: the users before stay. */
MUST_USE int api_reload_users(struct api *api, struct error *err);
void api_free(struct api *api);
DEFINE_AUTO(api, api_free);
uint16_t api_port(const struct api *api);
