/* The inside of the API: one object, its jobs on history's threads, its live feed. */
#pragma once

#include <stdatomic.h>

#include "base/http/http.h"
#include "base/json_writer.h"
#include "collector-ui/access/access.h"
#include "collector-ui/api/api.h"
#include "collector-ui/fleet/config_push.h"
#include "collector-ui/fleet/fleet_assets.h"
#include "collector-ui/history/query.h"
#include "collector-ui/triage/triage.h"
#include "proto/serve/grpc_rest.h"
#include "proto/serve/schema_route.h"

struct live_feed;

#define API_ROUTES_MAX (GRPC_REST_ROUTES + 12)

struct api {
    struct api_settings settings;
    struct history *history;
    struct sensor_registry *registry;
    void (*ingest_counts)(void *context, struct api_ingest_counts *out);
    void (*_Atomic detection_counts)(void *context, struct api_detection_counts *out);
    uint32_t (*_Atomic clickhouse_counts)(void *context,
                                          struct api_clickhouse_counts out[API_CLICKHOUSE_MAX]);
    uint32_t (*_Atomic receiver_counts)(void *context,
                                        struct api_receiver_counts out[API_RECEIVERS_MAX]);
    uint32_t (*_Atomic dial_counts)(void *context, struct api_dial_counts out[API_DIALS_MAX]);
    struct triage *_Atomic triage;
    struct fleet_assets *_Atomic assets;
    struct certificate_watch *_Atomic certificates; /* NULL: none is told */
    struct config_push *_Atomic push;
    struct revocations *_Atomic revocations;
    void *context;
    struct http_server *server;
    struct fleet_grpc *fleet; /* NULL: no methods of netscope.v1 here */
    struct http_buffer *openapi;
    struct http_route routes[API_ROUTES_MAX];
    struct live_feed *feed;
    char boot_id[33];
    char host_name[65];
    char *password, *token; /* NULL: none */
    struct access *access;
    uint64_t started_ns;
    _Atomic uint64_t live_frames, live_merged, live_resyncs, live_lost, live_unknown, live_refused,
        packets_base;
    _Atomic uint64_t cum_bytes, cum_packets, cum_kernel, cum_interface, cum_dispatch,
        packets_received;
    _Atomic bool is_stopping;
    _Atomic uint32_t jobs; /* handed to history and not over */
};

/* ---- rest.c: what the routes share ---- */

struct rest_job {
    struct api *api;
    struct http_deferred *deferred;
    uint64_t from_ns, to_ns, started_ns;
    bool is_default_range;
    bool has_range;         /* what is asked for lies in from_ns and to_ns */
    bool is_by_id;          /* what is not found is looked for in the other store, */
    bool is_past_tried;     /* which has been done */
    bool has_dedup, is_all; /* REST_DEDUP; a flow counts once for each sensor */
    struct filter *filter;
    char text[3][260]; /* the route's own */
    uint64_t number[4];
    struct history_cursor cursor;
    bool has_cursor;
    uint64_t question; /* of the page token */
    /* Asks the store, then writes one JSON object's members; false: *status, err tell why. */
    int (*run)(struct rest_job *job, struct history_reader *reader, struct error *err);
    void (*write)(struct rest_job *job, struct json_writer *out);
    void (*fini)(struct rest_job *job);
    void *result;
    struct history_cost cost;
};

/* NULL: the request has been answered (400, 503). Reads from, to, filter and dedup when the flags
 * say so.
 */
#define REST_RANGE  1
#define REST_FILTER 2
#define REST_DEDUP  4
MUST_USE struct rest_job *rest_job_new(struct http_request *request, unsigned flags);
void rest_job_free(struct rest_job *job);
/* Hands the job to history; answers 503 when that is busy. */
void rest_job_submit(struct http_request *request, struct rest_job *job);
/* Query parameter as a number in [min, max], `value` untouched when absent; false: answered. */
MUST_USE bool rest_number(struct http_request *request, const char *name, uint64_t min,
                          uint64_t max, uint64_t *value);
/* Reads a number that `ending` follows from a page token; false: it is none. */
MUST_USE bool rest_token_number(const char **at, int base, char ending, uint64_t *value);
/* A page token of flows. It holds the range too: else every page would have another one. */
#define API_TOKEN_BYTES 200
struct api_flow_token {
    uint64_t question; /* a hash of what else its pages have in common (filter, dedup, sensors) */
    enum history_order order;
    bool is_ascending;
    uint64_t from_ns, to_ns;
    struct history_cursor cursor;
};
void api_flow_token_write(const struct api_flow_token *token, char out[API_TOKEN_BYTES]);
/* False: it is none. */
MUST_USE bool api_flow_token_read(const char *text, struct api_flow_token *out);
/* What was counted (REST_DEDUP), took_ms and quality, at the end of an answer. */
void rest_meta(const struct rest_job *job, struct json_writer *out);
/* Outside records: a number below 2^53, else text. */
void rest_count(struct json_writer *out, uint64_t value);
void rest_time(struct json_writer *out, uint64_t ns); /* RFC 3339, or null for 0 */
/* A record as proto3 JSON; null when it cannot be read. */
void rest_record(struct json_writer *out, const char *message, const struct history_bytes *record);
#define API_PACKETS_OFF "packet samples are switched off here (web.sample_rate is 0)"
/* A PacketSample with no more than `bytes_max` of its bytes, every other field as it is; `out` has
 * room for as much as the record. How long it is. */
size_t api_cut_packet(const struct history_bytes *record, uint64_t bytes_max, uint8_t *out);
/* Answers at once with what `write` writes. */
void rest_answer(struct http_request *request,
                 void (*write)(struct api *api, struct http_request *request,
                               struct json_writer *out));
MUST_USE char *json_grown(void (*write)(void *context, struct json_writer *out), void *context,
                          size_t *length);

/* ---- routes ---- */
void route_summary(struct http_request *request);
void route_timeseries(struct http_request *request);
void route_flows(struct http_request *request);
void route_flow(struct http_request *request);
void route_facets(struct http_request *request);
void route_filter_check(struct http_request *request);
void route_sensors(struct http_request *request);
void route_sensor(struct http_request *request);
void route_ledger(struct http_request *request);
void route_alerts(struct http_request *request);
void route_packets(struct http_request *request);
void route_packet(struct http_request *request);
void route_capture_file(struct http_request *request);
void route_health(struct http_request *request);
void route_ready(struct http_request *request);
void route_metrics(struct http_request *request);
void route_nothing(struct http_request *request);

/* ---- alert_note.c: what people have said of an alert ---- */

#define API_NOTE_BYTES 1536
/* An AlertNote; returns its length. */
size_t api_note_encode(const struct triage_note *note, const char *alert_id,
                       uint8_t out[API_NOTE_BYTES]);
/* By two AlertInclusions. */
bool api_note_is_wanted(const struct triage_note *note, int acknowledged, int silenced);
struct api_notes {
    uint8_t *bytes; /* malloc'ed; of a message, as field `field` each */
    size_t length, room;
};
/* False: no memory. */
MUST_USE bool api_notes_add(struct api_notes *notes, uint32_t field, const uint8_t *note,
                            size_t length);

/* ---- auth.c: who asks, and may they ---- */
#define API_COOKIE "netscope_session"
MUST_USE int auth_read(struct api *api, struct error *err);
enum http_auth_verdict auth_check(struct http_request *request);
/* Who asks; false: nobody that is known. *verdict is LIMITED where too many logins have failed. */
MUST_USE bool auth_identify(struct api *api, struct http_request *request,
                            struct access_answer *answer);
/* The secret in the session's cookie; false: none. */
MUST_USE bool auth_cookie(const struct http_request *request, char secret[SESSION_SECRET_BYTES]);
/* What somebody may who has not logged in: nothing where all have to. */
unsigned auth_anonymous_rights(const struct api *api);
/* 429 with Retry-After. */
void auth_refuse_limited(struct http_request *request, uint64_t wait_ns);

/* ---- rest_session.c ---- */
void route_session(struct http_request *request);
void route_login(struct http_request *request);
void route_logout(struct http_request *request);

/* ---- live_feed.c ---- */
extern const struct http_ws_protocol live_protocols[];
MUST_USE struct live_feed *live_feed_new(struct api *api, struct error *err);
void live_feed_start(struct live_feed *feed);
void live_feed_stop(struct live_feed *feed); /* says bye; before the server stops */
void live_feed_free(struct live_feed *feed);
struct live_client_state;
/* How each of its clients keeps up, at most `max`; returns how many there are. Any thread. */
uint32_t live_feed_clients(struct live_feed *feed, struct live_client_state *out, uint32_t max);
/* Sums of the history by step, and how long each is shown. */
#define LIVE_STEPS 3
struct live_step {
    uint64_t step_ms, span_s;
};
extern const struct live_step live_steps[LIVE_STEPS];

/* metrics_dials.c, metrics_detection.c */
struct metrics_page;
void metrics_write_dials(struct metrics_page *page, struct api *api);
void metrics_write_detection(struct metrics_page *page, struct api *api);
