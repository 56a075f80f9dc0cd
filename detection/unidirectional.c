/* One-way traffic: the sensor sees one side of most connections. Then a mirror port is set for one
 * direction, or the ways of packets differ; all that rests on both sides is wrong. Attempts without
 * an answer are no sign of it: only connections that carry data count. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define PACKETS_MIN 3

enum { COUNT_CONNECTIONS, COUNT_ONE_WAY, COUNTERS };

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    (void)rules;
    return glance->packets[0] + glance->packets[1] >= PACKETS_MIN &&
           glance->payload_bytes[0] + glance->payload_bytes[1] > 0;
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    const struct detection_subject subject = {0};

    if (fact->packets[0] + fact->packets[1] < PACKETS_MIN ||
        fact->payload_bytes[0] + fact->payload_bytes[1] == 0) {
        return;
    }
    struct detection_table *table = detector_view(rules, frame, 0);
    const uint32_t number = detector_touch(rules, frame, 0, &subject, fact->time_ns);

    detection_table_count(table, number, COUNT_CONNECTIONS, 1);
    detection_table_count(table, number, COUNT_ONE_WAY,
                          fact->packets[0] == 0 || fact->packets[1] == 0);
}

static double percent_one_way(struct detection *detection, const struct detector *self,
                              uint32_t window, uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const uint64_t connections = detection_table_sum(table, number, COUNT_CONNECTIONS);

    return connections >= self->rules->min_volume
               ? 100 * (double)detection_table_sum(table, number, COUNT_ONE_WAY) /
                     (double)connections
               : -1;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_table *table = detector_window(detection, self, 0);
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_UNIDIRECTIONAL,
                                                .number = finding->number,
                                                .observed = finding->observed,
                                                .unit = "percent"});

    draft->estimate_error = 0;
    (void)snprintf(
        draft->description, sizeof(draft->description),
        "%.0f %% of %llu connections with data are seen in one direction alone: "
        "look at the mirror port or the routes (threshold %.10g)",
        finding->observed,
        (unsigned long long)detection_table_sum(table, finding->number, COUNT_CONNECTIONS),
        draft->threshold);
    incident_report(detection, self, &finding->subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, percent_one_way, report);
}

const struct detector_ops unidirectional_detector = {
    .name = "unidirectional",
    .help = "The sensor sees one direction alone.",
    .kind = ALERT_UNIDIRECTIONAL,
    .severities = {SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH},
    .defaults = {.mode = "alert",
                 .window = "5m",
                 .window_min_ns = 1e9,
                 .window_max_ns = 3.6e12,
                 .medium = "30",
                 .high = "60",
                 .critical = "90",
                 .medium_min = 1,
                 .medium_max = 100,
                 .medium_help = "Percent of the connections with data.",
                 .min_volume = "100",
                 .min_volume_help =
                     "Ended connections with data in the window; below, nothing is told.",
                 .quiet = "10m"},
    .events = EVENT(END),
    .protocols = DETECTOR_TCP,
    .views = {{.name = "sensor", .size = SIZE_FEW, .counters = COUNTERS}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .cares = cares,
    .feed = feed,
    .decide = decide};
