/* The part of /metrics that tells of detection: alerts, each detector, what they have learnt. */
#include <stdatomic.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/counter.h"
#include "sensor/export/http_metrics_parts.h"

static void write_learnt(struct metrics_page *page, const struct pipeline *pipeline)
{
    const struct learnt_file_counts *counts = pipeline_learnt(pipeline);

    if (counts == NULL) {
        return;
    }
    metrics_one(page, "netscope_learnt_saves_total", METRICS_COUNTER,
                "Writings of what detectors have learnt.", counter_get(&counts->saved));
    metrics_one(page, "netscope_learnt_save_failures_total", METRICS_COUNTER,
                "Writings of it that failed: a restart would lose what came since the last one.",
                counter_get(&counts->failed));
    metrics_one(
        page, "netscope_learnt_refused_total", METRICS_COUNTER,
        "Files of it that were damaged, foreign, too old or of another version, and set aside.",
        counter_get(&counts->refused));
    metrics_one(page, "netscope_learnt_subjects_read", METRICS_GAUGE,
                "Hosts, services and servers that were known at the start.",
                counter_get(&counts->subjects));
    metrics_one(page, "netscope_learnt_left_out", METRICS_GAUGE,
                "Those that the last writing had no room for.", counter_get(&counts->left_out));
    metrics_one(page, "netscope_learnt_bytes", METRICS_GAUGE, "Bytes of the file.",
                counter_get(&counts->bytes));
    metrics_one(page, "netscope_learnt_saved_timestamp_seconds", METRICS_GAUGE,
                "When it was written last; 0: not since the start.",
                counter_get(&counts->saved_wall_sec));
}

static void write_alerts(struct metrics_page *page, struct pipeline *pipeline)
{
    const struct publisher_counts *counts = pipeline_publisher_counts(pipeline);

    metrics_family(page, "netscope_alerts_total", METRICS_COUNTER,
                   "Incidents opened, by kind and severity at the opening.");
    for (unsigned i = ALERT_NONE + 1; i < ALERT_KIND_COUNT; i++) {
        for (unsigned j = SEVERITY_NONE; j <= SEVERITY_CRITICAL; j++) {
            const uint64_t count = counter_get(&counts->alerts[i][j]);

            if (count > 0) {
                metrics_u64(page, "netscope_alerts_total",
                            METRICS_LABELS("kind", alert_kind_name((enum alert_kind)i), "severity",
                                           severity_name((enum severity)j)),
                            count);
            }
        }
    }
    metrics_one(page, "netscope_alerts_open", METRICS_GAUGE, "Incidents open now.",
                counter_get(&counts->alerts_open));
    metrics_one(page, "netscope_flow_records_alerted_total", METRICS_COUNTER,
                "Records of flows that name an alert which they belong to (alert_ids).",
                counter_get(&counts->alerted_flows));
    metrics_one(page, "netscope_flow_alerts_omitted_total", METRICS_COUNTER,
                "Alerts that a record of a flow has not named for want of room.",
                counter_get(&counts->alerts_no_room));
    metrics_one(page, "netscope_flow_records_gap_total", METRICS_COUNTER,
                "Records of flows that lived when packets were lost (FLOW_FLAG_GAP_BEFORE).",
                counter_get(&counts->gap_flows));
}

static void write_detectors(struct metrics_page *page, struct pipeline *pipeline)
{
    const struct publisher_counts *counts = pipeline_publisher_counts(pipeline);
    const struct {
        const char *name;
        enum metrics_type type;
        const char *help;
        size_t offset;
    } families[] = {
#define COLUMN(member) offsetof(struct publisher_detector_counts, member)
        {"netscope_detector_memory_bytes", METRICS_GAUGE, "Memory of its windows.",
         COLUMN(memory_bytes)},
        {"netscope_detector_tracked_keys", METRICS_GAUGE, "Subjects held.", COLUMN(tracked_keys)},
        {"netscope_detector_key_capacity", METRICS_GAUGE, "Room for subjects.",
         COLUMN(key_capacity)},
        {"netscope_detector_saturated", METRICS_GAUGE,
         "1 while a table was full in the last second: figures are lower bounds.",
         COLUMN(saturated)},
        {"netscope_detector_incidents_open", METRICS_GAUGE, "Incidents open, in any mode.",
         COLUMN(open)},
        {"netscope_detector_alerts_total", METRICS_COUNTER, "Incidents opened as alerts.",
         COLUMN(opened)},
        {"netscope_detector_logged_total", METRICS_COUNTER, "Incidents opened in mode log.",
         COLUMN(logged)},
        {"netscope_detector_learnt_total", METRICS_COUNTER,
         "Incidents that mode learn kept to itself.", COLUMN(learnt)},
        {"netscope_detector_suppressed_total", METRICS_COUNTER,
         "Findings that became no message of their own.", COLUMN(suppressed)},
#undef COLUMN
    };

    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        metrics_family(page, families[i].name, families[i].type, families[i].help);
        for (uint32_t j = 0; j < DETECTORS_MAX; j++) {
            const struct publisher_detector_counts *row = &counts->detectors[j];
            const char *name = atomic_load_explicit(&row->name, memory_order_acquire);
            const char *column = (const char *)row + families[i].offset;

            if (name != NULL) {
                metrics_u64(page, families[i].name, METRICS_LABELS("detector", name),
                            counter_get((const struct counter *)(const void *)column));
            }
        }
    }
    metrics_one(page, "netscope_sketch_frames_refused_total", METRICS_COUNTER,
                "Seconds of a shard that were not merged: sketched under another seed.",
                counter_get(&counts->sketch_frames_refused));
}

void http_write_detection(struct metrics_page *page, struct pipeline *pipeline)
{
    write_alerts(page, pipeline);
    write_detectors(page, pipeline);
    write_learnt(page, pipeline);
}
