/* Health of TCP services: retransmitted segments, windows that fall to zero, and round trips that
 * grow, by server and port, from connections that ended. A baseline is learnt from windows without
 * a finding. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define BASELINE_WEIGHT  0.01 /* of a new second: minutes of memory */
#define BASELINE_SECONDS 60   /* of measurements before a step can be told */
#define STEP_MIN_US      50000.0

enum {
    COUNT_SEGMENTS,
    COUNT_RETRANSMITTED,
    COUNT_ZERO_WINDOWS,
    COUNT_RTT_US,
    COUNT_RTTS,
    COUNTERS
};
enum { PARAM_ZERO_WINDOWS, PARAM_RTT_FACTOR };
enum health { HEALTH_RETRANSMITS, HEALTH_ZERO_WINDOW, HEALTH_RTT };

/* Who was not answered and sent nothing says nothing of a service's health: segments of a SYN flood
 * would hide those that are lost. */
static bool says_something(const uint64_t packets[2], const uint64_t payload_bytes[2])
{
    return (packets[0] > 0 && packets[1] > 0) || (payload_bytes[0] | payload_bytes[1]) != 0;
}

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    (void)rules;
    return says_something(glance->packets, glance->payload_bytes);
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    if (fact->segments == 0 || !says_something(fact->packets, fact->payload_bytes)) {
        return;
    }
    struct detector_note *note =
        detector_note_of(rules, frame, 0, fact, PART_TARGET | PART_SERVICE, fact->segments);

    if (note == NULL) {
        return;
    }
    note->counts[COUNT_SEGMENTS] = fact->segments;
    note->counts[COUNT_RETRANSMITTED] = fact->retransmitted;
    note->counts[COUNT_ZERO_WINDOWS] = fact->zero_windows;
    if (fact->rtt_ns > 0) {
        note->counts[COUNT_RTT_US] = fact->rtt_ns / 1000;
        note->counts[COUNT_RTTS] = 1;
    }
}

static bool is_enough(const struct detection_table *table, const struct detector *self,
                      uint32_t number)
{
    return detection_table_sum(table, number, COUNT_SEGMENTS) >= self->rules->min_volume;
}

static double percent_retransmitted(struct detection *detection, const struct detector *self,
                                    uint32_t window, uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);

    return is_enough(table, self, number)
               ? 100 * (double)detection_table_sum(table, number, COUNT_RETRANSMITTED) /
                     (double)detection_table_sum(table, number, COUNT_SEGMENTS)
               : -1;
}

static double zero_windows(struct detection *detection, const struct detector *self,
                           uint32_t window, uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);

    return is_enough(table, self, number)
               ? (double)detection_table_sum(table, number, COUNT_ZERO_WINDOWS)
               : -1;
}

static double mean_rtt_us(const struct detection_table *table, uint32_t number)
{
    const uint64_t samples = detection_table_sum(table, number, COUNT_RTTS);

    return samples > 0 ? (double)detection_table_sum(table, number, COUNT_RTT_US) / (double)samples
                       : 0;
}

/* How many times the usual; the usual is learnt here, once a second. */
static double rtt_step(struct detection *detection, const struct detector *self, uint32_t window,
                       uint32_t number)
{
    struct detection_table *table = detector_window(detection, self, window);
    struct detection_entry *entry = &table->entries[number];
    const double mean = mean_rtt_us(table, number);
    const double factor = self->rules->params[PARAM_RTT_FACTOR].real;

    if (mean <= 0 || !is_enough(table, self, number)) {
        return -1;
    }
    const bool is_known = entry->baseline_seconds >= BASELINE_SECONDS;

    if (is_known && mean >= entry->baseline * factor && mean >= entry->baseline + STEP_MIN_US) {
        return mean / entry->baseline;
    }
    const double weight = is_known ? BASELINE_WEIGHT : 1.0 / (entry->baseline_seconds + 1);

    entry->baseline += (mean - entry->baseline) * weight;
    entry->baseline_seconds += !is_known;
    return -1;
}

static void report_health(struct detection *detection, struct detector *self,
                          const struct detection_finding *finding, enum health health)
{
    static const char *const units[] = {"percent", "times", "times"};
    static const char *const keys[] = {NULL, "zero_windows", "rtt_factor"};
    const struct detection_table *table = detector_window(detection, self, 0);
    const double medium = self->rules->levels[LEVEL_MEDIUM];
    const double level = health == HEALTH_RETRANSMITS ? medium
                         : health == HEALTH_ZERO_WINDOW
                             ? (double)self->rules->params[PARAM_ZERO_WINDOWS].number
                             : self->rules->params[PARAM_RTT_FACTOR].real;
    struct detection_subject subject = finding->subject;
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_TCP_HEALTH,
                                                .number = finding->number,
                                                .observed = finding->observed,
                                                .scale = level / medium,
                                                .unit = units[health],
                                                .key = keys[health]});
    char target[ADDRESS_TEXT_BYTES];

    (void)address_text(&subject.target, target);
    draft->estimate_error = 0;
    draft->victims_total_estimate = 1;
    evidence_victim(draft, &subject.target, subject.port);
    evidence_add_port(draft->top_ports, &draft->top_ports_count, subject.protocol, subject.port,
                      detection_table_sum(table, finding->number, COUNT_SEGMENTS));
    if (health == HEALTH_RETRANSMITS) {
        (void)snprintf(
            draft->description, sizeof(draft->description),
            "%s port %u: %.1f %% of %llu segments were sent again (threshold %.10g)", target,
            subject.port, finding->observed,
            (unsigned long long)detection_table_sum(table, finding->number, COUNT_SEGMENTS),
            draft->threshold);
    } else if (health == HEALTH_ZERO_WINDOW) {
        (void)snprintf(draft->description, sizeof(draft->description),
                       "%s port %u: a receive window fell to zero %.0f times (threshold %.10g)",
                       target, subject.port, finding->observed, draft->threshold);
    } else {
        const double baseline = table->entries[finding->number].baseline;

        draft->has_baseline = true;
        draft->baseline = baseline / 1000;
        (void)snprintf(draft->description, sizeof(draft->description),
                       "%s port %u: round trips take %.1f ms, %.1f times the usual %.1f ms "
                       "(threshold %.10g)",
                       target, subject.port, mean_rtt_us(table, finding->number) / 1000,
                       finding->observed, baseline / 1000, draft->threshold);
    }
    subject.label[0] = (uint8_t)(1 + health); /* three incidents of one service */
    incident_report(detection, self, &subject);
}

static void report_retransmits(struct detection *detection, struct detector *self,
                               const struct detection_finding *finding)
{
    report_health(detection, self, finding, HEALTH_RETRANSMITS);
}

static void report_zero_windows(struct detection *detection, struct detector *self,
                                const struct detection_finding *finding)
{
    report_health(detection, self, finding, HEALTH_ZERO_WINDOW);
}

static void report_rtt(struct detection *detection, struct detector *self,
                       const struct detection_finding *finding)
{
    report_health(detection, self, finding, HEALTH_RTT);
}

static void decide(struct detection *detection, struct detector *self)
{
    const union detector_value *params = self->rules->params;

    detector_report_over(detection, self, 0, 0, percent_retransmitted, report_retransmits);
    detector_report_over(detection, self, 0, (double)params[PARAM_ZERO_WINDOWS].number,
                         zero_windows, report_zero_windows);
    detector_report_over(detection, self, 0, params[PARAM_RTT_FACTOR].real, rtt_step, report_rtt);
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    (void)window;
    return detector_watch_sum(COUNT_SEGMENTS, (double)rules->min_volume);
}

const struct detector_ops tcp_health_detector = {
    .name = "tcp_health",
    .help = "Services that lose segments, stall, or answer late.",
    .kind = ALERT_TCP_HEALTH,
    .severities = {SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH},
    .defaults = {.mode = "log",
                 .window = "60s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 3.6e12,
                 .medium = "5",
                 .high = "10",
                 .critical = "20",
                 .medium_min = 0.01,
                 .medium_max = 100,
                 .medium_help = "Percent of the segments of a service that are sent again.",
                 .min_volume = "1000",
                 .min_volume_help =
                     "Segments of ended connections in the window; below, nothing is told.",
                 .quiet = "5m"},
    .events = EVENT(END),
    .protocols = DETECTOR_TCP,
    .views = {{.name = "service", .size = SIZE_KEYS, .counters = COUNTERS, .is_weighed = true}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .params = {{.type = CONFIG_U64,
                .key = "zero_windows",
                .value = "50",
                .min = 1,
                .max = 1e9,
                .help = "Times that a window fell to zero."},
               {.type = CONFIG_DOUBLE,
                .key = "rtt_factor",
                .value = "3",
                .min = 1.1,
                .max = 1000,
                .help = "Round trips so many times the learnt ones, and 50 ms longer."}},
    .cares = cares,
    .feed = feed,
    .decide = decide,
    .watch = watch};
