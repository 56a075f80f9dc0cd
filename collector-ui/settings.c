#include "collector-ui/settings.h"

#include <assert.h>
#include <string.h>

#include "base/attributes.h"

#define FIELD(member) offsetof(struct store_section, member)

static const struct config_field store_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "directory",
     .offset = FIELD(directory),
     .value = "",
     .max = 1024,
     .help = "Where the log and the history are kept; empty: $STATE_DIRECTORY (systemd) if set, "
             "else netscope-collector-data in the working directory."},
    {.type = CONFIG_DURATION,
     .key = "retention",
     .offset = FIELD(retention_ns),
     .value = "168h",
     .min = 6e10,
     .max = 1e18,
     .help = "Records older than this go, a day's file at once."},
    {.type = CONFIG_BYTES,
     .key = "retention_size",
     .offset = FIELD(retention_bytes),
     .value = "20GiB",
     .min = 16777216,
     .max = 1e15,
     .help = "While the files are larger together, the oldest goes."},
    {.type = CONFIG_U64,
     .key = "queue_batches",
     .offset = FIELD(queue_batches),
     .value = "256",
     .min = 1,
     .max = 65536,
     .help = "Batches that wait for the store; full, acknowledgements slow down."},
    {.type = CONFIG_DURATION,
     .key = "commit_interval",
     .offset = FIELD(commit_ns),
     .value = "1s",
     .min = 1e6,
     .max = 6e10,
     .help = "Longest time between two transactions."},
    {.type = CONFIG_U64,
     .key = "commit_rows",
     .offset = FIELD(commit_rows),
     .value = "20000",
     .min = 1,
     .max = 1000000,
     .help = "Rows that end a transaction early."},
    {.type = CONFIG_DURATION,
     .key = "query_time",
     .offset = FIELD(query_time_ns),
     .value = "20s",
     .min = 1e8,
     .max = 6e11,
     .help =
         "Longest time of one query; then the answer is what was read until then, and says so."},
    {.type = CONFIG_U64,
     .key = "query_rows",
     .offset = FIELD(query_rows),
     .value = "5000000",
     .min = 1000,
     .max = 1e12,
     .help = "Rows that one query looks at; likewise."},
    {.type = CONFIG_U64,
     .key = "query_groups",
     .offset = FIELD(query_groups),
     .value = "65536",
     .min = 16,
     .max = 4194304,
     .help = "Groups that one query adds up; what has no room is in other, and the answer says so. "
             "Some 600 bytes each."},
    {.type = CONFIG_DURATION,
     .key = "merge_tolerance",
     .offset = FIELD(merge_tolerance_ns),
     .value = "1s",
     .min = 0,
     .max = 6e10,
     .help = "A flow that several sensors saw counts once where its starts are no further apart: "
             "more than their clocks differ; 0: nothing is merged."},
    {.type = CONFIG_LIST,
     .key = "merge_prefer",
     .offset = FIELD(merge_prefer),
     .value = "",
     .max = 4096,
     .help = "Sensors whose figures count where those of several are equally good, the best first; "
             "* stands for anything. Then by their ids."},
    {.type = CONFIG_U64,
     .key = "merge_flows",
     .offset = FIELD(merge_flows),
     .value = "500000",
     .min = 1000,
     .max = 16777216,
     .help = "Flows that one query compares; what has no room may count twice, and the answer says "
             "so. Some 90 bytes each."},
    {0},
};

#undef FIELD
#define FIELD(member) offsetof(struct analysis_section, member)

static const struct config_field analysis_fields[] = {
    {.type = CONFIG_BOOL,
     .key = "keep_learnt",
     .offset = FIELD(keep_learnt),
     .value = "true",
     .help = "What the fleet's detectors have learnt (new_host, rogue_server, lateral_movement, "
             "data_exfil) outlasts a restart, in the file learnt of store.directory."},
    {.type = CONFIG_DURATION,
     .key = "learnt_interval",
     .offset = FIELD(learnt_interval_ns),
     .value = "5m",
     .min = 1e9,
     .max = 8.64e13,
     .help = "How often that file is written, beside at the end: what is learnt in between is lost "
             "with a crash."},
    {.type = CONFIG_DURATION,
     .key = "learnt_max_age",
     .offset = FIELD(learnt_max_age_ns),
     .value = "30d",
     .max = 3.1536e16,
     .help = "A file that was written longer ago is not used; 0s: of any age."},
    {0},
};

/* One environment may serve both programs. */
static const char *const sensor_sections[] = {
    "analysis", "assets",   "capture", "collector", "decode",         "dns",
    "flow",     "grpc",     "http",    "ipfix",     "kafka",          "log",
    "names",    "networks", "output",  "packets",   "pipeline",       "run",
    "security", "sensor",   "spool",   "stats",     "kafka_clusters", NULL};
static const struct config_neighbour sensor = {"netscope-sensor", "NETSCOPE", sensor_sections};

struct config *collector_settings_new(struct collector_settings_all *settings, struct error *err)
{
    const struct config_section sections[] = {
        {"ingest", ingest_fields, &settings->ingest, "The port for sensors."},
        {"kafka_source", kafka_source_fields, &settings->kafka_source,
         "Sensors' records from Kafka, beside or instead of their own streams."},
        {"store", store_fields, &settings->store, "What is kept, where and how long."},
        {"clickhouse", clickhouse_fields, &settings->clickhouse,
         "Records into tables of ClickHouse (deploy/clickhouse)."},
        {"grpc", fleet_grpc_fields, &settings->grpc, "The fleet by gRPC, on ingest.listen."},
        {"web", api_fields, &settings->web, "Dashboard, REST and live feed."},
        {"web.tls", api_tls_fields, &settings->web, "HTTPS."},
        {"web.auth", api_auth_fields, &settings->web, "Login."},
        {"log", log_fields, &settings->log, "Lines about the program itself, on stderr."},
        {"security", confine_fields, &settings->security, "What the process may still do."},
        {"fleet", sensor_watch_fields, &settings->fleet, "Sensors that are missed."},
        {"routing", route_fields, &settings->route, "Alerts that wait for receivers."},
        {"captures", captures_fields, &settings->captures, "Packets that sensors are asked for."},
        {"triage", triage_fields, &settings->triage, "What people say of alerts."},
        {"assets", fleet_assets_fields, &settings->assets, "Who is who on the sensors' links."},
        {"push", push_fields, &settings->push, "Settings that sensors are offered."},
        {"analysis", analysis_fields, &settings->analysis, "Detection over the fleet."},
    };

    uint32_t count = ARRAY_COUNT(sections);

    static_assert(ARRAY_COUNT(sections) + DETECTION_SECTIONS_MAX <= COLLECTOR_SECTIONS_MAX,
                  "room for all sections");
    memcpy(settings->sections, sections, sizeof(sections));
    count += detection_sections(&settings->anomalies, settings->sections + count);
    struct config *config = config_new(settings->sections, count, "NETSCOPE_COLLECTOR", err);

    if (config != NULL && (route_add_settings(config, &settings->route, err) != 0 ||
                           dial_add_settings(config, &settings->dial, err) != 0)) {
        config_free(config);
        return NULL;
    }
    if (config != NULL) {
        config_set_neighbour(config, &sensor);
    }
    return config;
}
