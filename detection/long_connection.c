/* Long connections: open for hours, as remote control and tunnels are; so are databases and
 * backups, so it is a hint. A connection counts while it has traffic. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define HOUR_SECONDS 3600.0

enum { COUNT_SECONDS /* its age, each second with traffic */, COUNT_TIMES, COUNT_BYTES, COUNTERS };

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    return (double)glance->age_ns / (double)NS_PER_SEC / HOUR_SECONDS >=
           rules->levels[LEVEL_MEDIUM];
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    const uint64_t age_ns = fact->time_ns > fact->first_ns ? fact->time_ns - fact->first_ns : 0;
    const double hours = (double)age_ns / (double)NS_PER_SEC / HOUR_SECONDS;

    if (fact->first_ns == 0 || hours < rules->levels[LEVEL_MEDIUM]) {
        return; /* a file without times begins at 0 */
    }
    const struct detection_subject subject = {.source = fact->source,
                                              .target = fact->target,
                                              .port = fact->target_port,
                                              .protocol = fact->protocol};
    struct detection_table *table = detector_view(rules, frame, 0);
    const uint32_t number = detector_touch(rules, frame, 0, &subject, fact->time_ns);

    detection_table_count(table, number, COUNT_SECONDS, age_ns / NS_PER_SEC);
    detection_table_count(table, number, COUNT_TIMES, 1);
    detection_table_count(table, number, COUNT_BYTES, fact->bytes[0] + fact->bytes[1]);
}

static double hours_open(struct detection *detection, const struct detector *self, uint32_t window,
                         uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const uint64_t times = detection_table_sum(table, number, COUNT_TIMES);

    return times > 0 ? (double)detection_table_sum(table, number, COUNT_SECONDS) / (double)times /
                           HOUR_SECONDS
                     : -1;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_subject subject = finding->subject;
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_LONG_CONNECTION,
                                                .number = finding->number,
                                                .observed = finding->observed,
                                                .unit = "hours"});
    char source[ADDRESS_TEXT_BYTES], target[ADDRESS_TEXT_BYTES];

    draft->estimate_error = 0;
    draft->attackers_total_estimate = draft->victims_total_estimate = 1;
    evidence_attacker(draft, &subject.source, 0);
    evidence_victim(draft, &subject.target, subject.port);
    evidence_mitre(draft, "TA0011", "T1572", "Protocol Tunneling", 30);
    (void)address_text(&subject.source, source);
    (void)address_text(&subject.target, target);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s has been connected to %s port %u for %.1f h (threshold %.10g)", source,
                   target, subject.port, finding->observed, draft->threshold);
    incident_report(detection, self, &subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, hours_open, report);
}

const struct detector_ops long_connection_detector = {
    .name = "long_connection",
    .help = "Connections open for hours.",
    .kind = ALERT_LONG_CONNECTION,
    .severities = {SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH},
    .defaults = {.mode = "log",
                 .window = "60s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 3.6e12,
                 .medium = "4",
                 .high = "8",
                 .critical = "12",
                 .medium_min = 0.001,
                 .medium_max = 1e6,
                 .quiet = "1h"},
    .events = EVENT(VOLUME),
    .views = {{.name = "connection", .size = SIZE_KEYS, .counters = COUNTERS, .is_weighed = true}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .cares = cares,
    .feed = feed,
    .decide = decide};
