/* All settings of the collector: one struct a section, its table of fields, and the flags that set
 * them.
 *
 * A setting is a row in settings.c or in the table of the part it belongs to; parser, --help,
 * docs/configuration.md and config/collector.yaml follow. Depends on: base/config, the parts.
 * Threads: main, at start. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/config/config.h"
#include "base/confine/confine.h"
#include "base/service/log_settings.h"
#include "collector-ui/api/api.h"
#include "collector-ui/api/fleet_grpc.h"
#include "collector-ui/capture/captures.h"
#include "collector-ui/clickhouse/clickhouse.h"
#include "collector-ui/fleet/config_push.h"
#include "collector-ui/fleet/fleet_assets.h"
#include "collector-ui/fleet/sensor_watch.h"
#include "collector-ui/ingest/dial_source.h"
#include "collector-ui/ingest/ingest.h"
#include "collector-ui/ingest/kafka_source.h"
#include "collector-ui/route/route.h"
#include "collector-ui/triage/triage.h"
#include "detection/detection_settings.h"

struct store_section {
    const char *directory;
    uint64_t retention_ns, retention_bytes;
    uint64_t queue_batches;
    uint64_t commit_ns;
    uint64_t commit_rows;
    uint64_t query_time_ns, query_rows, query_groups;
    uint64_t merge_tolerance_ns, merge_flows;
    struct config_list merge_prefer;
};

/* Detection over the fleet, beside its detectors. */
struct analysis_section {
    bool keep_learnt;
    uint64_t learnt_interval_ns, learnt_max_age_ns;
};

#define COLLECTOR_SECTIONS_MAX (20 + DETECTION_SECTIONS_MAX)

struct collector_settings_all {
    struct config_section sections[COLLECTOR_SECTIONS_MAX]; /* filled by collector_settings_new */
    struct ingest_settings ingest;
    struct kafka_source_settings kafka_source;
    struct dials_settings dial;
    struct store_section store;
    struct api_settings web;
    struct grpc_settings grpc;
    struct confine_settings security;
    struct log_settings log;
    struct analysis_section analysis;
    struct detection_config anomalies; /* of the fleet */
    struct route_settings route;
    struct sensor_watch_settings fleet;
    struct triage_settings triage;
    struct fleet_assets_settings assets;
    struct push_settings push;
    struct captures_settings captures;
    struct clickhouse_settings clickhouse;
};

/* The configuration object over `settings`, filled with defaults; both live equally long. */
MUST_USE struct config *collector_settings_new(struct collector_settings_all *settings,
                                               struct error *err);

/* What the command line asks for beside settings. */
struct collector_command {
    int argc; /* as they came, to read settings again */
    char **argv, **environment;
    const char *config_path;
    bool is_json; /* report of doctor */
    bool healthcheck;
    bool show_help, show_version, check_config, print_config, print_docs, print_cli, print_man;
    unsigned verbosity; /* count of -v */
};

/* Reads flags into `command`, loads the file and the environment, then sets the flags' values in
 * `config`. 0, or -errno with `err` ("--port: ..."); the exit status is then 2. */
MUST_USE int collector_command_read(int argc, char **argv, char **environment,
                                    struct config *config, struct collector_command *command,
                                    struct error *err);
/* Only the settings, into a `config` of defaults: the file or, in its place, `yaml` (not NULL;
 * lines of a refusal call it COLLECTOR_REQUEST_NAME), environment and flags. 0 or -errno. */
MUST_USE int collector_command_load(const struct collector_command *command, struct config *config,
                                    const char *yaml, size_t length, struct error *err);
#define COLLECTOR_REQUEST_NAME "request"
void collector_command_help(FILE *out);
/* docs/cli.md from the same table. */
void collector_command_markdown(FILE *out);
/* The page for man(1), likewise. */
void collector_command_man(FILE *out);
