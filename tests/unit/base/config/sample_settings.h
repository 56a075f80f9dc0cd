/* Tables with every type of setting, for the tests and the fuzz target of base/config. */
#pragma once

#include "base/config/config.h"

struct sample_capture {
    const char *interface;
    uint64_t snaplen_bytes;
    bool promiscuous;
    const char *direction;
    struct config_list filters;
};

struct sample_flow {
    uint64_t idle_timeout_ns;
    uint64_t flows_max;
    double sample_rate;
};

struct sample_kafka {
    struct config_map properties;
    const char *password;
    struct config_list codecs;
};

struct sample_syn_flood {
    bool enabled;
    uint64_t window_ns;
};

struct sample_settings {
    struct sample_capture capture;
    struct sample_flow flow;
    struct sample_kafka kafka;
    struct sample_syn_flood syn_flood;
};

#define CAPTURE(member)   offsetof(struct sample_capture, member)
#define FLOW(member)      offsetof(struct sample_flow, member)
#define KAFKA(member)     offsetof(struct sample_kafka, member)
#define SYN_FLOOD(member) offsetof(struct sample_syn_flood, member)

static const struct config_field sample_capture_fields[] = {
    {CONFIG_TEXT, "interface", CAPTURE(interface), "", .max = 15, .help = "Interface to read."},
    {CONFIG_BYTES, "snaplen", CAPTURE(snaplen_bytes), "65535B", 64, 262144,
     .help = "Bytes kept of each packet."},
    {CONFIG_BOOL, "promiscuous", CAPTURE(promiscuous), "true",
     .help = "Also packets for other hosts."},
    {CONFIG_CHOICE, "direction", CAPTURE(direction), "both", .help = "Which way.",
     .choices = "in|out|both"},
    {CONFIG_LIST, "filters", CAPTURE(filters), "tcp, udp", .max = 5, .help = "Filters."},
    {.key = NULL},
};

static const struct config_field sample_flow_fields[] = {
    {CONFIG_DURATION, "idle_timeout", FLOW(idle_timeout_ns), "60s", 1e9, 3600e9,
     .help = "Silence that ends a flow.", .bare_unit = "s", .alias = "timeout_secs",
     .is_hot = true},
    {CONFIG_U64, "flows_max", FLOW(flows_max), "1048576", 1, 1e9, .help = "Flows held at once."},
    {CONFIG_DOUBLE, "sample_rate", FLOW(sample_rate), "0.5", 0, 1, .help = "Share of packets."},
    {.key = NULL},
};

static const struct config_field sample_kafka_fields[] = {
    {CONFIG_MAP, "properties", KAFKA(properties), "acks=all", .help = "Passed to librdkafka."},
    {CONFIG_TEXT, "password", KAFKA(password), "", .help = "Secret.", .is_secret = true},
    {CONFIG_LIST, "codecs", KAFKA(codecs), "lz4", .help = "Codecs.", .choices = "lz4|zstd|none"},
    {.key = NULL},
};

static const struct config_field sample_syn_flood_fields[] = {
    {CONFIG_BOOL, "enabled", SYN_FLOOD(enabled), "true", .help = "On."},
    {CONFIG_DURATION, "window", SYN_FLOOD(window_ns), "5s", 1e9, 60e9,
     .help = "Length of the window."},
    {.key = NULL},
};

#define SAMPLE_SECTIONS 4
/* Sections that point into `settings`; "analysis." has no section of its own. */
static inline void sample_sections(struct sample_settings *settings,
                                   struct config_section sections[SAMPLE_SECTIONS])
{
    sections[0] =
        (struct config_section){"capture", sample_capture_fields, &settings->capture, "Packets."};
    sections[1] = (struct config_section){"analysis.anomalies.syn_flood", sample_syn_flood_fields,
                                          &settings->syn_flood, "SYN floods."};
    sections[2] = (struct config_section){"flow", sample_flow_fields, &settings->flow, NULL};
    sections[3] =
        (struct config_section){"analysis.kafka", sample_kafka_fields, &settings->kafka, "Kafka."};
}
