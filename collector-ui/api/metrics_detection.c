/* Detection over the fleet, on the page of metrics. */
#include <stddef.h>
#include <string.h>

#include "base/attributes.h"
#include "base/metrics.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/ledger.h"

static void write_detectors(struct metrics_page *page, const struct api_detection_counts *c)
{
#define COLUMN(member) offsetof(struct stats_detector, member)
    static const struct {
        const char *name, *help;
        enum metrics_type type;
        size_t offset;
    } families[] = {
        {"netscope_detector_memory_bytes", "Memory of its windows.", METRICS_GAUGE,
         COLUMN(memory_bytes)},
        {"netscope_detector_tracked_keys", "Subjects held.", METRICS_GAUGE, COLUMN(tracked_keys)},
        {"netscope_detector_key_capacity", "Room for subjects.", METRICS_GAUGE,
         COLUMN(key_capacity)},
        {"netscope_detector_incidents_open", "Incidents open, in any mode.", METRICS_GAUGE,
         COLUMN(open)},
        {"netscope_detector_alerts_total", "Incidents opened as alerts.", METRICS_COUNTER,
         COLUMN(opened)},
        {"netscope_detector_logged_total", "Incidents opened in mode log.", METRICS_COUNTER,
         COLUMN(logged)},
        {"netscope_detector_learnt_total", "Incidents that mode learn would have opened.",
         METRICS_COUNTER, COLUMN(learnt)},
        {"netscope_detector_suppressed_total", "Findings that became no message of their own.",
         METRICS_COUNTER, COLUMN(suppressed)},
    };
#undef COLUMN

    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        metrics_family(page, families[i].name, families[i].type, families[i].help);
        for (uint32_t j = 0; j < c->detectors_count; j++) {
            uint64_t value;

            memcpy(&value, (const char *)&c->detectors[j] + families[i].offset, sizeof(value));
            metrics_u64(page, families[i].name, METRICS_LABELS("detector", c->detectors[j].kind),
                        value);
        }
    }
    metrics_family(page, "netscope_detector_saturated", METRICS_GAUGE,
                   "1: something of its window did not fit.");
    for (uint32_t j = 0; j < c->detectors_count; j++) {
        metrics_u64(page, "netscope_detector_saturated",
                    METRICS_LABELS("detector", c->detectors[j].kind), c->detectors[j].saturated);
    }
}

/* What its detectors have learnt, as a sensor tells of its own. */
static void write_learnt(struct metrics_page *page, const struct api_detection_counts *c)
{
    if (!c->learnt.is_kept) {
        return;
    }
    metrics_one(page, "netscope_learnt_saves_total", METRICS_COUNTER,
                "Writings of what detectors have learnt.", c->learnt.saved);
    metrics_one(page, "netscope_learnt_save_failures_total", METRICS_COUNTER,
                "Writings of it that failed: a restart would lose what came since the last one.",
                c->learnt.failed);
    metrics_one(
        page, "netscope_learnt_refused_total", METRICS_COUNTER,
        "Files of it that were damaged, foreign, too old or of another version, and set aside.",
        c->learnt.refused);
    metrics_one(page, "netscope_learnt_subjects_read", METRICS_GAUGE,
                "Hosts, services and servers that were known at the start.", c->learnt.subjects);
    metrics_one(page, "netscope_learnt_left_out", METRICS_GAUGE,
                "Those that the last writing had no room for.", c->learnt.left_out);
    metrics_one(page, "netscope_learnt_bytes", METRICS_GAUGE, "Bytes of the file.",
                c->learnt.bytes);
    metrics_one(page, "netscope_learnt_saved_timestamp_seconds", METRICS_GAUGE,
                "When it was written last; 0: not since the start.", c->learnt.saved_wall_sec);
}

void metrics_write_detection(struct metrics_page *page, struct api *api)
{
    struct api_detection_counts c = {0};
    void (*const ask)(void *context, struct api_detection_counts *out) =
        atomic_load(&api->detection_counts);

    if (ask == NULL) {
        return;
    }
    ask(api->context, &c);
    if (!c.is_on) {
        return;
    }
    metrics_family(page, "netscope_collector_sketch_frames_total", METRICS_COUNTER,
                   "Seconds of sensors for detection over the fleet, by what became of them.");
    for (uint32_t i = 0; i < c.frames_count; i++) {
        metrics_u64(page, "netscope_collector_sketch_frames_total",
                    METRICS_LABELS("verdict", c.frames[i].verdict), c.frames[i].count);
    }
    metrics_one(page, "netscope_collector_fleet_seconds_decided_total", METRICS_COUNTER,
                "Seconds decided over the fleet.", c.seconds);
    metrics_one(page, "netscope_collector_fleet_alerts_total", METRICS_COUNTER,
                "Incidents of the fleet opened as alerts.", c.alerts);
    metrics_one(page, "netscope_collector_fleet_sensors", METRICS_GAUGE,
                "Sensors that sent a second for detection.", c.sensors);
    metrics_one(page, "netscope_detectors_memory_bytes", METRICS_GAUGE, "Memory of the detectors.",
                c.memory_bytes);
    write_detectors(page, &c);
    write_learnt(page, &c);
}
