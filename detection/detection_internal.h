/* What the core of this folder shares; detectors see detector.h alone. Depends on: detector.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "detection/detector.h"

/* Incidents that are open at once; one more is counted, not reported. */
#define INCIDENTS_MAX      256
#define VIEWS_MAX          (DETECTORS_MAX * DETECTOR_VIEWS_MAX)
#define WINDOWS_MAX        (DETECTORS_MAX * DETECTOR_WINDOWS_MAX)
#define DETECTOR_PROTOCOLS 4 /* bits of detector_ops.protocols */

/* How many notes wait, and how many between the two times that their memory is asked for. */
#define NOTES_MAX   16
#define NOTES_ASKED 8

struct detection_frame {
    const struct detection_settings *settings;
    uint64_t seed;
    struct hash_key key;
    uint64_t second;
    uint32_t views_count;
    struct detection_table views[VIEWS_MAX];
    /* Who wants which event of which protocol: rules, NULL at the end. */
    const struct detector_rules
        *wanted[DETECTION_EVENT_COUNT][DETECTOR_PROTOCOLS][DETECTORS_MAX + 1];
    /* Hashes of some addresses lately asked for; version 0: none. */
    struct hashed_address {
        struct ip_address address;
        uint64_t hash;
    } hashed[16];
    /* Those that wait; of all since the reset, the first ones have gone each step. */
    uint64_t notes_made, notes_asked, notes_added;
    struct detector_note notes[NOTES_MAX];
};

/* Adds what waits: before a frame is read. */
void detection_frame_settle(struct detection_frame *frame);
uint64_t detection_frame_hash(struct detection_frame *frame,
                              const struct detection_subject *subject);

struct detection_incident {
    bool is_open;
    uint64_t hash; /* of kind and subject */
    struct detection_subject subject;
    uint64_t quiet_ns, origins;
    uint64_t told_ns; /* when something of it was last told: not before alert.last_ns */
    double reported;  /* observed value of the last OPEN or UPDATE */
    uint8_t mode;
    uint32_t detector;
    struct alert_record alert; /* as last found */
};

/* What one detector has done since the start. */
struct detector_counts {
    uint64_t opened, logged, learnt, suppressed, refused;
    uint32_t open;
};

struct detection {
    const struct detection_settings *settings;
    uint64_t now;   /* the last second that was decided; 0: none */
    uint64_t first; /* the first one */
    uint64_t since; /* the first one of what the windows hold */
    uint64_t seed;  /* of the frames in the windows */
    struct detector detectors[DETECTORS_MAX];
    struct detector_counts counts[DETECTORS_MAX];
    uint32_t windows_count;
    struct window {
        struct detection_table table;
        uint32_t view; /* of a frame */
        uint32_t detector;
        uint64_t seconds;
        uint64_t saturated_second; /* the last one; 0: never */
    } windows[WINDOWS_MAX];
    struct detection_finding *findings; /* room for all subjects of a window */
    uint64_t *lost;                     /* packets, lost_seconds of them */
    uint64_t lost_seconds;
    uint64_t last_loss;            /* second of it; 0: none so far */
    struct detection_second costs; /* of `now` */
    struct detection_incident *incidents;
    uint32_t incidents_open;
    struct alert_record draft;
    uint64_t draft_origins, draft_told_ns;
    const struct detection_table *draft_table; /* of its subject, NULL: none */
    uint32_t draft_number;
    uint8_t draft_mode;
    detection_emit *emit; /* during a call */
    void *emit_context;
};

struct hash_key detection_hash_key(uint64_t seed);
/* A keyed hash of short texts, for views alone: multiply and fold (as wyhash does), a third of the
 * time of SipHash. Whoever does not know the key cannot aim at it, and keys are never told. */
uint64_t detection_hash(struct hash_key key, const void *bytes, size_t length);
uint64_t detection_subject_hash(struct hash_key key, const struct detection_subject *subject);
/* Sizes of view `view` of a detector; `factor` of entries. */
struct detection_shape detection_view_shape(const struct detection_settings *settings,
                                            const struct detector_view *view, uint32_t factor);
const struct detector_override *detection_override(const struct detector_rules *rules,
                                                   const struct detection_subject *subject);
/* Something of what the window still holds did not fit. */
bool detection_is_saturated(const struct detection *detection, const struct window *window);
bool detection_is_warm(const struct detection *detection);
/* The relative error of a set at this level. */
double detection_level_error(unsigned level);

/* Community IDs of flows of the draft's set, in an order of its own. */
void evidence_flows(const struct detection *detection, struct alert_record *alert);
void incident_close_quiet(struct detection *detection);
void incident_close_all(struct detection *detection, uint64_t now_ns);
