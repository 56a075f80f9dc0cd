/* What the files of this folder share; not for others. Depends on: detection.h, detection_table.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "detection/detection.h"
#include "detection/detection_table.h"

/* Incidents that are open at once; one more is counted, not reported. */
#define INCIDENTS_MAX 256

/* The three questions that are asked about each event. */
enum detection_view {
    VIEW_VICTIM, /* target: its sources, and counts of SYN and handshakes */
    VIEW_PAIR,   /* source and target: ports */
    VIEW_FAN,    /* source, protocol and port: targets */
    VIEW_COUNT
};

struct detection_frame {
    struct hash_key key;
    uint64_t second;
    struct detection_table views[VIEW_COUNT];
};

struct detection_incident {
    bool is_open;
    struct detection_subject subject;
    uint64_t found_second; /* when the condition last held */
    uint64_t cooldown_ns;
    double reported;           /* observed value of the last OPEN or UPDATE */
    struct alert_record alert; /* as last found */
};

/* A subject over its threshold. */
struct detection_finding {
    double observed;
    uint32_t number; /* in its view */
    struct detection_subject subject;
};

struct detection {
    struct detection_settings settings;
    uint64_t scan_seconds, flood_seconds; /* windows in whole seconds */
    uint64_t ring_seconds;
    uint64_t now; /* the last second that was decided; 0: none */
    struct detection_table views[VIEW_COUNT];
    uint64_t saturated_second[VIEW_COUNT]; /* the last one; 0: never */
    struct detection_finding *findings;    /* room for all subjects of a view */
    uint64_t *lost;                        /* packets, ring_seconds of them */
    struct detection_incident *incidents;
    uint32_t incidents_open;
    uint64_t incidents_refused;
    struct alert_record draft;
    detection_emit *emit; /* during a call */
    void *emit_context;
};

uint64_t detection_subject_hash(struct hash_key key, const struct detection_subject *subject);
struct hash_key detection_hash_key(uint64_t seed);
/* True: memory for views of these sizes; else false, with what was taken still to be freed. */
MUST_USE bool detection_views_init(struct detection_table views[VIEW_COUNT],
                                   const struct detection_settings *settings, uint32_t factor,
                                   uint32_t ring_seconds);
/* Most first, then by subject: what is reported does not depend on the order in the tables. */
void detection_sort_findings(struct detection *detection, uint32_t count);
/* The window of `view` has lost something to a full table. */
bool detection_is_saturated(const struct detection *detection, enum detection_view view,
                            uint64_t window_seconds);
/* When `entry` began, but not before the window. */
uint64_t detection_first_ns(const struct detection *detection, const struct detection_entry *entry,
                            uint64_t window_seconds);
bool detection_scan_is_open(const struct detection *detection, enum alert_kind kind,
                            const struct ip_address *source);

/* The detectors: they look at the window that ends one second before `now`, so that each attempt
 * has had a second for its answer, and report what is at or above its threshold. */
void port_scan_decide(struct detection *detection);
void syn_flood_decide(struct detection *detection);

/* An empty draft of this kind with what all alerts have. */
struct alert_record *incident_draft(struct detection *detection, enum alert_kind kind);
/* Opens or goes on with the incident of draft's kind and `subject`; fills key, id, severity. */
void incident_report(struct detection *detection, const struct detection_subject *subject,
                     uint64_t cooldown_ns);
/* Counts a finding that an open incident of `kind` and `subject` explains. */
void incident_suppress(struct detection *detection, enum alert_kind kind,
                       const struct detection_subject *subject);
void incident_close_quiet(struct detection *detection);
void incident_close_all(struct detection *detection, uint64_t now_ns);
/* Puts an item in its place: heaviest first, then by key; at most ALERT_EVIDENCE_MAX are kept. */
void evidence_add(struct alert_evidence_item items[ALERT_EVIDENCE_MAX], uint8_t *count,
                  const char *key, uint64_t weight);
void evidence_add_address(struct alert_evidence_item items[ALERT_EVIDENCE_MAX], uint8_t *count,
                          const struct ip_address *address, uint64_t weight);
void evidence_add_port(struct alert_evidence_item items[ALERT_EVIDENCE_MAX], uint8_t *count,
                       uint8_t protocol, uint16_t port, uint64_t weight);
/* Relative error of a set at this level. */
double detection_level_error(unsigned level);
