/* Settings of detection: one table of rows a detector, the same in sensor and collector.
 *
 * detection_sections() gives the tables to base/config; detection_compile() makes of what they were
 * filled with the rules that frames and decisions work by: networks parsed, levels checked. Depends
 * on: base, base/config, proto/record.h. Threads: main, at start; rules are read-only afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"
#include "detection/alert_notes.h"
#include "proto/record.h"

#define DETECTORS_MAX          32
#define DETECTOR_PARAMS_MAX    8
#define DETECTOR_PREFIXES_MAX  64 /* exempt networks of one kind */
#define DETECTOR_PORTS_MAX     64
#define DETECTOR_OVERRIDES_MAX 32
#define DETECTOR_FIELDS_MAX    (12 + DETECTOR_PARAMS_MAX)
#define DETECTION_SECTIONS_MAX (1 + 2 * DETECTORS_MAX)
#define DETECTION_PATH_BYTES   64

enum detector_mode {
    DETECTOR_ALERT, /* incidents become alerts */
    DETECTOR_LOG,   /* incidents become log lines */
    DETECTOR_LEARN, /* incidents are only counted: baselines are learnt */
};

enum detector_level { LEVEL_MEDIUM, LEVEL_HIGH, LEVEL_CRITICAL, LEVEL_COUNT };

/* A setting of one detector alone, as its table says. */
union detector_value {
    uint64_t number; /* CONFIG_U64, _DURATION (ns), _BYTES */
    double real;     /* CONFIG_DOUBLE */
    bool flag;       /* CONFIG_BOOL */
    struct config_list list;
};

/* "10.0.0.0/8 medium=100 high=200 critical=400 mode=log" */
struct detector_override {
    struct ip_prefix prefix;
    double levels[LEVEL_COUNT];
    uint8_t mode;
};

/* "ssh:2222", "5900-5909": ports of a setting of one detector alone. */
struct detector_ports {
    uint8_t app; /* enum detection_app; 0: none is named */
    uint16_t first, last;
};

struct detector_ops;

/* What one detector works by. */
struct detector_rules {
    const struct detector_ops *ops;
    bool enabled;
    uint8_t mode;
    /* Read for each fact: on the line of `ops`. */
    uint32_t first_view, first_window; /* of its own in a frame and in the decisions */
    uint32_t exempt_sources_count, exempt_targets_count, exempt_ports_count, overrides_count;
    uint32_t ports_count;
    uint64_t window_ns, quiet_ns, min_volume;
    double levels[LEVEL_COUNT];
    double least_level; /* the lowest medium one, with those of all overrides */
    union detector_value params[DETECTOR_PARAMS_MAX];
    struct ip_prefix exempt_sources[DETECTOR_PREFIXES_MAX];
    struct ip_prefix exempt_targets[DETECTOR_PREFIXES_MAX];
    uint16_t exempt_ports[DETECTOR_PORTS_MAX];
    struct detector_ports ports[2 * DETECTOR_PORTS_MAX]; /* of the `params` that name some */
    struct detector_override overrides[DETECTOR_OVERRIDES_MAX];
    char path[DETECTION_PATH_BYTES]; /* "analysis.anomalies.syn_flood" */
};

/* A flow of the evidence, for its Community ID. */
struct detection_flow {
    struct ip_address source, target; /* client, server */
    uint16_t source_port, target_port;
    uint8_t protocol;
};

struct detection_settings {
    /* Writes the flow's Community ID; NULL: evidence names no flows. */
    void (*community_id)(const struct detection_flow *flow, uint16_t seed, char out[31]);
    uint16_t community_id_seed;
    bool enabled; /* and at least one detector is */
    uint32_t victims_max, scanners_max, keys_max;
    uint64_t warm_up_ns;     /* after the first second nothing opens for so long; 0 from files */
    uint64_t seed;           /* where frames begin; equal wherever frames are merged */
    uint64_t identity;       /* of who decides (a hash of sensor_id): part of each alert_id */
    bool keeps_learnt;       /* over other seeds and clocks, and for the next start */
    uint64_t learnt_context; /* a hash of what else decides what is learnt: networks, interfaces */
    char config_hash[17];
    enum alert_scope scope;
    struct alert_notes notes;
    uint32_t detectors_count;
    struct detector_rules rules[DETECTORS_MAX];
};

/* What the tables fill; part of a program's settings. */
struct detection_config {
    bool enabled;
    uint64_t victims_max, scanners_max, keys_max;
    uint64_t warm_up_ns;
    struct config_list runbooks, labels;
    struct detector_config {
        bool enabled;
        const char *mode;
        uint64_t window_ns, quiet_ns, min_volume;
        double levels[LEVEL_COUNT];
        struct config_list exempt_sources, exempt_targets, exempt_ports, overrides;
        union detector_value params[DETECTOR_PARAMS_MAX];
    } detectors[DETECTORS_MAX];
    /* The tables themselves: made from the detectors' own. */
    struct config_field fields[DETECTORS_MAX][DETECTOR_FIELDS_MAX];
    struct config_field level_fields[DETECTORS_MAX][LEVEL_COUNT + 1];
    char paths[2 * DETECTORS_MAX][DETECTION_PATH_BYTES];
};

/* Writes one section for all and one or two a detector to `out` (room for DETECTION_SECTIONS_MAX);
 * returns how many. `config` must stay where it is. */
uint32_t detection_sections(struct detection_config *config, struct config_section *out);

/* Rules from `from`; scope, seed and config_hash are the caller's. `config` (NULL: none) names file
 * and line in a refusal: levels that do not rise, a network or port that is none. 0 or -EINVAL. */
MUST_USE int detection_compile(const struct detection_config *from, const struct config *config,
                               struct detection_settings *out, struct error *err);

/* The rules of the defaults, for tests and benches. `out` keeps nothing borrowed but static texts.
 */
MUST_USE int detection_settings_default(struct detection_settings *out, struct error *err);
/* The rules of the detector of that name ("syn_flood"), or NULL. */
struct detector_rules *detection_rules(struct detection_settings *settings, const char *name);
