/* All settings of the sensor: one struct a section, its table of fields, and the flags that set
 * them.
 *
 * A setting is a row in settings_*.c (or in the table of the sink it belongs to); parser, --help,
 * docs/configuration.md and config/sensor.yaml follow. Depends on: base/config, the parts. Threads:
 * main, at start. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/config/config.h"
#include "base/confine/confine.h"
#include "base/service/log_settings.h"
#include "detection/detection_settings.h"
#include "sensor/export/collector_sink.h"
#include "sensor/export/grpc_server.h"
#include "sensor/export/http_export.h"
#include "sensor/export/ipfix_sink.h"
#include "sensor/export/kafka_sink.h"

struct sensor_section {
    const char *id; /* "" = kept in state_directory, else host name and interface */
    const char *state_directory;
    struct config_map labels; /* checked */
};

struct capture_section {
    const char *interface;
    struct config_list read_pcap; /* none: live */
    bool promiscuous;
    uint64_t snaplen;
    uint64_t timeout_ns;
    uint64_t buffer_bytes;
    bool immediate_mode;
    bool headers_only;
    const char *filter;
    const char *direction;
    const char *fanout;
    const char *timestamps;
    bool pace;
    bool loop;
};

struct decode_section {
    uint64_t layers_max;
    struct config_list disabled_layers;
    struct config_list vxlan_ports, geneve_ports, gtp_ports;
};

struct run_section {
    uint64_t count;
};

struct output_section {
    const char *write_pcap;
    uint64_t write_pcap_rotate_bytes;
    uint64_t write_pcap_rotate_ns, write_pcap_rotate_packets;
    uint64_t write_pcap_max_files, write_pcap_max_bytes;
    uint64_t write_pcap_keep_ns;
    uint64_t write_pcap_queue_bytes;
    const char *write_pcap_format;
    const char *flows_jsonl;
    const char *expired_flows_jsonl;
    const char *dns_jsonl;
    const char *export_json;
    const char *export_csv;
    const char *zeek_logs;
    const char *zeek_format;
    uint64_t zeek_rotate_ns;
    bool hex_dump;
    bool quiet;
};

struct flow_section {
    uint64_t idle_timeout_ns;
    uint64_t active_timeout_ns;
    uint64_t first_update_ns;
    uint64_t max_flows;
    bool emit_start;
    uint64_t community_id_seed;
    uint64_t fragments_max, fragments_held;
    uint64_t fragment_timeout_ns, fragment_timeout_v6_ns;
    uint64_t inspect_flows;
    uint64_t inspect_stream_bytes;
    uint64_t inspect_held_bytes;
    uint64_t inspect_datagrams;
};

struct stats_section {
    bool enabled;
    uint64_t interval_ns;
    uint64_t top_flows;
};

struct analysis_section {
    bool rtt, retrans, out_of_order;
    bool checksums;
    const char *alerts_jsonl;
    bool keep_learnt;
    uint64_t learnt_interval_ns, learnt_max_age_ns;
};

struct pipeline_section {
    bool enabled; /* an older key: more than one shard */
    uint64_t workers;
    const char *shards; /* number, or "auto" */
    struct config_list cpus;
    uint64_t channel_capacity;
    bool lossless;
    uint64_t sink_queue;
    uint64_t handover_bytes;
    uint64_t flush_timeout_ns;
};

struct networks_section {
    struct config_list internal;
    struct config_list labels;
    const char *labels_file;
    struct config_list names;
    const char *names_file;
    struct config_list databases;
    uint64_t labels_max;
};

struct packets_section {
    double samples_per_second;
    uint64_t sample_bytes;
    bool payload;
    uint64_t evidence_bytes;
    uint64_t evidence_per_second;
    const char *capture;
    uint64_t capture_at_once;
    uint64_t capture_max_packets, capture_max_bytes, capture_max_duration_ns;
    uint64_t capture_snaplen, capture_queue_bytes;
};

struct dns_section {
    bool records;
    uint64_t timeout_ns;
};

struct assets_section {
    uint64_t max;
};

struct names_section {
    uint64_t max;
    uint64_t ttl_min_ns, ttl_max_ns;
};

#define SENSOR_SECTIONS_MAX (25 + DETECTION_SECTIONS_MAX)

struct sensor_settings {
    struct config_section sections[SENSOR_SECTIONS_MAX]; /* filled by sensor_settings_new */
    struct sensor_section sensor;
    struct capture_section capture;
    struct decode_section decode;
    struct run_section run;
    struct log_settings log;
    struct output_section output;
    struct flow_section flow;
    struct stats_section stats;
    struct analysis_section analysis;
    struct detection_config anomalies;
    struct pipeline_section pipeline;
    struct networks_section networks;
    struct packets_section packets;
    struct dns_section dns;
    struct names_section names;
    struct assets_section assets;
    struct grpc_settings grpc;
    struct http_export_settings http;
    struct collector_settings collector;
    struct kafka_settings kafka;
    struct ipfix_export_settings ipfix;
    struct confine_settings security;
    struct kafka_settings kafka_clusters[KAFKA_CLUSTERS_MAX];
    struct config_named named_clusters;
    const char *kafka_names[KAFKA_CLUSTERS_MAX]; /* NULL: not there */
    struct spool_settings spool;
};

/* The configuration object over `settings`, filled with defaults; both live equally long. */
MUST_USE struct config *sensor_settings_new(struct sensor_settings *settings, struct error *err);

struct alert_list; /* sensor/compare.h */

/* What the command line asks for beside settings. */
struct sensor_command {
    int argc; /* as they came, to read settings again */
    char **argv, **environment;
    const char *config_path;
    const char *compare_path;  /* NULL: no comparison */
    struct alert_list *alerts; /* borrowed: gets all alerts, and people are told nothing; or NULL */
    bool list_interfaces, show_help, show_version, check_config, print_config, print_docs,
        print_cli, print_man;
    bool healthcheck;
    bool is_json; /* report of doctor */
    bool has_synthetic;
    uint64_t synthetic_flows;
    char *kept_offer;   /* of the collector, by app_use_kept; owned by main; NULL: none */
    unsigned verbosity; /* count of -v */
};

/* Reads flags into `command`, loads the file and the environment, then sets the flags' values in
 * `config`. 0, or -EINVAL with `err` ("--snaplen: ..."); the exit status is then 2. A broken file
 * is reported after command->list_interfaces is known, so that -l still works. */
MUST_USE int sensor_command_read(int argc, char **argv, char **environment, struct config *config,
                                 struct sensor_command *command, struct error *err);
/* Only the settings, into a `config` of defaults: the file (or `yaml`, when it is not NULL, which
 * lines of a refusal call SENSOR_REQUEST_NAME), environment and flags. 0 or -errno. */
MUST_USE int sensor_command_load(const struct sensor_command *command, struct config *config,
                                 const char *yaml, size_t length, struct error *err);
#define SENSOR_REQUEST_NAME "request"
/* Likewise with `yaml` over the file, which a refusal calls SENSOR_OFFER_NAME. */
MUST_USE int sensor_command_load_over(const struct sensor_command *command, struct config *config,
                                      const char *yaml, size_t length, struct error *err);
#define SENSOR_OFFER_NAME "offer"
void sensor_command_help(FILE *out);
/* docs/cli.md from the same table. */
void sensor_command_markdown(FILE *out);
/* The page for man(1), likewise. */
void sensor_command_man(FILE *out);
