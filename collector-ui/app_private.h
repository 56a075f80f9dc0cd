/* What the files of the wiring share; nobody else includes it. Depends on: everything. Threads:
 * main, but for the events of ingest. */
#pragma once

#include "base/arena.h"
#include "base/service/certificate_watch.h"
#include "base/service/control.h"
#include "collector-ui/api/api.h"
#include "collector-ui/api/fleet_grpc.h"
#include "collector-ui/app.h"
#include "collector-ui/capture/capture_files.h"
#include "collector-ui/capture/captures.h"
#include "collector-ui/clickhouse/clickhouse.h"
#include "collector-ui/detect/fleet_detector.h"
#include "collector-ui/fleet/config_push.h"
#include "collector-ui/fleet/revocations.h"
#include "collector-ui/fleet/sensor_watch.h"
#include "collector-ui/route/route.h"
#include "collector-ui/triage/triage.h"
#include "proto/codec.h"

#define PATH_BYTES        4096
#define NOTED_RECORDS_MAX 4096

struct app {
    const struct collector_settings_all *settings;
    struct config *config; /* over them */
    const struct collector_command *command;
    struct app_reload *reload;
    struct control control;
    struct certificate_watch certificates;
    char directory[PATH_BYTES / 2];
    int lock_fd;
    struct history *history;
    struct sensor_registry *registry;
    struct sensor_watch *watch;
    struct triage *triage;
    struct config_push *push;
    struct revocations *revocations;
    struct fleet_assets *assets;
    uint64_t assets_due_ns; /* monotonic: when their file is written next; 0: none was yet */
    int assets_trouble;     /* of the last writing, so that it is told once */
    struct rpc_runtime *runtime;
    struct rpc_health *health;
    struct rpc_reflection *reflection;
    struct ingest *ingest;
    struct clickhouse *clickhouse[RECORD_STREAM_COUNT]; /* NULL: it is not written there */
    struct clickhouse_past *past;                       /* NULL: it is asked nothing */
    struct kafka_source *kafka;                         /* NULL: nothing is read from Kafka */
    struct dial_source *dials;
    struct ingest_events events;
    struct detection_settings detection;
    const struct alert_notes *notes; /* of it, or of the settings since; main's */
    struct fleet_detector *fleet;    /* NULL: detection is off */
    char learnt_path[PATH_BYTES];    /* of what it learns */
    struct route_triage said;        /* to receivers, by triage */
    struct router *router;           /* NULL: there is no receiver */
    struct arena *scratch;           /* of alerts on the log thread */
    struct alert_record noted;       /* likewise */
    struct codec_slice slices[NOTED_RECORDS_MAX];
    struct captures *captures;
    struct capture_files *files; /* of captures */
    struct api *api;
    struct fleet_grpc *grpc; /* NULL: switched off */
};

/* ---- app_events.c ---- */

/* app_assets.c */
MUST_USE int app_open_assets(struct app *app, struct error *err);
void app_tick_assets(struct app *app, uint64_t now_ns);
void app_save_assets(struct app *app);

/* Detection over the fleet, unless it is off. 0 or -errno. */
MUST_USE int app_open_fleet(struct app *app, struct error *err);
/* Whose credentials count no more. 0 or -errno. */
MUST_USE int app_open_revocations(struct app *app, struct error *err);
/* Of fleet_grpc_parts; context is the app. */
uint32_t app_check_streams(void *context);
/* Settings that sensors are offered. 0 or -errno. */
MUST_USE int app_open_push(struct app *app, struct error *err);
void app_tick_push(struct app *app);
/* Whether sensors are missed. 0 or -errno. */
MUST_USE int app_open_watch(struct app *app, struct error *err);
/* Of api_tell_detection; context is the app. */
void app_count_detection(void *context, struct api_detection_counts *out);
/* What ingest tells history, registry and detection. */
void app_fill_events(struct app *app);
/* A sensor that reported in an earlier life: of history_each_position; context is the app. */
void app_know_sensor(void *context, const char *sensor_id, const char *boot_id,
                     enum record_stream stream, uint32_t lane, uint64_t next_seq);

/* Captures on request. 0 or -errno. */
MUST_USE int app_open_captures(struct app *app, struct error *err);

/* ---- app_clickhouse.c ---- */

/* Before the log is opened: the places in it. 0 or -errno. */
MUST_USE int app_open_clickhouse(struct app *app, struct error *err);
/* Whom the history asks for what is older than it; before it is opened. 0 or -errno. */
MUST_USE int app_open_past(struct app *app, struct error *err);
struct history_past app_past(const struct app *app);
/* Behind that, before anything new comes. 0 or -errno. */
MUST_USE int app_start_clickhouse(struct app *app, struct error *err);
/* A batch that goes into the store; log thread. */
void app_note_clickhouse(struct app *app, const struct ingest_batch *batch);
/* `position` of the log, or an earlier one from which a feed still needs it. */
uint64_t app_clickhouse_position(const struct app *app, uint64_t position);
/* What waits is tried once more. */
void app_close_clickhouse(struct app *app);
/* Of api_tell_clickhouse; context is the app. */
uint32_t app_count_clickhouse(void *context, struct api_clickhouse_counts out[API_CLICKHOUSE_MAX]);

/* ---- app_route.c ---- */

/* Alerts to receivers, where there are any. 0 or -errno. */
MUST_USE int app_open_router(struct app *app, struct error *err);
/* A batch of alerts that goes into the store; log thread. */
void app_take_alerts(struct app *app, const struct ingest_batch *batch);
/* Sensors that are dialed. 0 or -errno. */
MUST_USE int app_open_dials(struct app *app, struct error *err);
/* Of api_tell_dials; context is the app. */
uint32_t app_count_dials(void *context, struct api_dial_counts out[API_DIALS_MAX]);
/* Of api_tell_receivers; context is the app. */
uint32_t app_count_receivers(void *context, struct api_receiver_counts out[API_RECEIVERS_MAX]);

/* ---- app_reload.c ---- */

/* SIGHUP. */
void app_reload(struct app *app);
/* What ConfigService was asked. */
void app_answer_control(struct app *app);
void app_reload_free(struct app *app);
