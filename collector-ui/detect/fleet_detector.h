/* Detection over the whole fleet: the sketches of all sensors, merged second by second and decided
 * by the same code as a sensor's own, in scope FLEET.
 *
 * A second is decided a grace after the newest one that was heard of, so that slower sensors are in
 * it; what comes later is refused and counted, as are sketches of another seed or version, and of a
 * time to come. What one sensor sees alone is its own alert: a fleet incident needs two at least,
 * and names the sensors' alerts that it explains. Depends on: base, proto, detection. Threads: any;
 * one lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "detection/detection.h"
#include "detection/learnt_file.h"

#define FLEET_GRACE_SECONDS 3

/* A fleet alert, with sensor_ids and explains; `is_logged`: it belongs in the log and not among the
 * alerts. Borrowed for the call; from fleet_detector_tick. */
typedef void fleet_emit(void *context, const struct alert_record *alert);

struct fleet_detector;

/* `settings` (scope FLEET, with the seed of the fleet) is borrowed for life. NULL with `err`. */
MUST_USE struct fleet_detector *fleet_detector_new(const struct detection_settings *settings,
                                                   fleet_emit *emit, void *context,
                                                   struct error *err);
/* What it learns outlasts the process, in the file that `learnt` says: what is there is read, and a
 * thread of its own writes it now and then (learnt_file.h). Before the first sketch, with
 * settings->keeps_learnt; `learnt` is copied, its path borrowed for life. 0 or -errno. */
MUST_USE int fleet_detector_keep(struct fleet_detector *fleet,
                                 const struct learnt_file_settings *learnt, struct error *err);
/* Closes open incidents by `emit` and writes what was learnt; whatever comes later is late. */
void fleet_detector_finish(struct fleet_detector *fleet);
void fleet_detector_free(struct fleet_detector *fleet);
DEFINE_AUTO(fleet_detector, fleet_detector_free);
/* Other thresholds and modes, as detection_use; both are borrowed for life. Any thread. */
void fleet_detector_use(struct fleet_detector *fleet, const struct detection_settings *settings);

/* As it came from a sensor. */
struct fleet_sketch {
    const char *sensor_id;
    uint64_t epoch;
    uint32_t seed_id, encoding;
    const uint8_t *bytes;
    size_t length;
    uint64_t wall_ns, now_ns; /* the collector's clock, and monotonic time */
};

enum fleet_verdict {
    FLEET_TAKEN,
    FLEET_OTHER_SEED,
    FLEET_OTHER_ENCODING,
    FLEET_LATE,      /* its second was decided */
    FLEET_AHEAD,     /* of the collector's clock by more than half a minute */
    FLEET_MALFORMED, /* a part of it may have counted */
    FLEET_VERDICT_COUNT
};
/* "taken", "other_seed", ... */
const char *fleet_verdict_name(enum fleet_verdict verdict);
enum fleet_verdict fleet_detector_sketch(struct fleet_detector *fleet,
                                         const struct fleet_sketch *sketch);
/* An alert of a sensor, as it was stored: what fleet alerts may explain. */
void fleet_detector_note(struct fleet_detector *fleet, const char *sensor_id,
                         const struct alert_record *alert);
/* Decides what is due; call it a few times a second. */
void fleet_detector_tick(struct fleet_detector *fleet, uint64_t now_ns);

struct fleet_counts {
    uint64_t sketches[FLEET_VERDICT_COUNT];
    uint64_t seconds, alerts; /* decided; incidents opened as alerts */
    uint64_t memory_bytes;
    uint32_t sensors; /* that sent a sketch */
    uint32_t detectors_count;
    struct stats_detector detectors[DETECTORS_MAX]; /* those that are on */
};
void fleet_detector_counts(struct fleet_detector *fleet, struct fleet_counts *out);
/* Of the file; NULL: nothing is kept. */
const struct learnt_file_counts *fleet_detector_learnt(const struct fleet_detector *fleet);
