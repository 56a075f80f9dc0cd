/* Beacons: one client connects to one server again and again at even intervals, as malware asks its
 * master for work. So do monitoring and clocks: it is a hint. Two windows, since of one pair 256
 * connections are held: short intervals are seen in the short one, long ones in the long one. The
 * score is the mean of two terms, each 0 to 100: how even the intervals are (their median deviation
 * from the median), and how evenly the connections fill the time between the first and the last.
 * What many clients do alike scores less: it is software of all of them. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define SECTIONS     8
#define COMMON_SCORE 15 /* off: what many clients do is software of all of them */

enum { WINDOW_LONG, WINDOW_SHORT };
enum { PARAM_CONNECTIONS, PARAM_INTERVAL, PARAM_SHORT, PARAM_COMMON };

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    struct detector_note *note =
        detector_note_of(rules, frame, 0, fact, PART_SOURCE | PART_TARGET | PART_SERVICE, 1);

    if (note != NULL) {
        const uint64_t second = fact->time_ns / NS_PER_SEC;

        (void)detector_note_member(note, frame, detector_hash_u64(frame, second), fact, true,
                                   false);
    }
}

static int by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static double median(const uint32_t *sorted, uint32_t count)
{
    const uint32_t middle = count / 2;

    return count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + (double)sorted[middle]) / 2;
}

/* `seconds` in order, at least three. */
static double score_of(const uint32_t *seconds, uint32_t count, double *interval)
{
    uint32_t gaps[DETECTION_SET_MAX] = {0}, deviations[DETECTION_SET_MAX] = {0};
    uint32_t filled[SECTIONS] = {0};
    const uint32_t last = count < DETECTION_SET_MAX ? count - 1 : DETECTION_SET_MAX - 1;
    const double span = (double)seconds[last] - seconds[0];
    const double share = (double)count / SECTIONS;
    double uneven = 0;

    assert(count >= 3 && count <= DETECTION_SET_MAX);

    for (uint32_t i = 0; i + 1 < count; i++) {
        gaps[i] = seconds[i + 1] - seconds[i];
    }
    qsort(gaps, count - 1, sizeof(gaps[0]), by_value);
    *interval = median(gaps, count - 1);
    for (uint32_t i = 0; i + 1 < count; i++) {
        deviations[i] = (uint32_t)fabs(gaps[i] - *interval);
    }
    qsort(deviations, count - 1, sizeof(deviations[0]), by_value);
    const double even =
        *interval > 0 ? 1 - fmin(1, median(deviations, count - 1) / (*interval / 2)) : 0;

    for (uint32_t i = 0; i < count; i++) {
        const uint32_t section = (uint32_t)((seconds[i] - seconds[0]) / (span + 1) * SECTIONS);
        filled[section]++;
    }
    for (unsigned i = 0; i < SECTIONS; i++) {
        uneven += fabs(filled[i] - share);
    }
    return 50 * even + 50 * (1 - fmin(1, uneven / (double)count));
}

/* The seconds of the connections in order; 0 where the set is a sample, whose gaps tell nothing. */
static uint32_t gather(const struct detection_table *table, uint32_t number,
                       uint32_t out[DETECTION_SET_MAX])
{
    const struct detection_entry *entry = &table->entries[number];
    uint32_t count = 0;

    if (entry->level > 0) {
        return 0;
    }
    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL && count < DETECTION_SET_MAX;
         member = detection_table_next(table, member)) {
        out[count++] = member->first_second;
    }
    qsort(out, count, sizeof(out[0]), by_value);
    return count;
}

/* Clients of the same service that the window holds. */
static uint32_t clients_of(const struct detection_table *table, uint32_t number)
{
    const struct detection_subject *pair = &table->entries[number].subject;
    uint32_t clients = 0;

    for (uint32_t i = 0; i < table->entries_used; i++) {
        const struct detection_subject *other = &table->entries[i].subject;

        clients += table->entries[i].is_live && other->port == pair->port &&
                   other->protocol == pair->protocol &&
                   address_equal(&other->target, &pair->target);
    }
    return clients;
}

static double measure(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    const union detector_value *params = self->rules->params;
    uint32_t seconds[DETECTION_SET_MAX] = {0};
    const struct detection_table *table = detector_window(detection, self, window);
    const uint32_t count = gather(table, number, seconds);
    double interval;

    if (count < 3 || count < params[PARAM_CONNECTIONS].number) {
        return -1;
    }
    const double score = score_of(seconds, count, &interval);

    if (interval * (double)NS_PER_SEC < (double)params[PARAM_INTERVAL].number) {
        return -1;
    }
    return score >= self->rules->least_level &&
                   clients_of(table, number) > params[PARAM_COMMON].number
               ? score - COMMON_SCORE
               : score;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_subject subject = finding->subject;
    uint32_t seconds[DETECTION_SET_MAX] = {0};
    double interval = 0;
    const uint32_t connections =
        gather(detector_window(detection, self, finding->window), finding->number, seconds);
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_BEACON,
                                                .window = finding->window,
                                                .number = finding->number,
                                                .observed = finding->observed,
                                                .unit = "score"});
    char source[ADDRESS_TEXT_BYTES], target[ADDRESS_TEXT_BYTES];

    (void)score_of(seconds, connections, &interval);
    draft->attackers_total_estimate = draft->victims_total_estimate = 1;
    evidence_attacker(draft, &subject.source, 0);
    evidence_victim(draft, &subject.target, subject.port);
    evidence_mitre(draft, "TA0011", "T1071", "Application Layer Protocol", 40);
    (void)address_text(&subject.source, source);
    (void)address_text(&subject.target, target);
    (void)snprintf(
        draft->description, sizeof(draft->description),
        "%s connects to %s port %u about each %.0f s, %u times, one of %u clients: score "
        "%.0f of 100 (threshold %.10g)",
        source, target, subject.port, interval, connections,
        clients_of(detector_window(detection, self, finding->window), finding->number),
        finding->observed, draft->threshold);
    incident_report(detection, self, &subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, WINDOW_LONG, 0, measure, report);
    detector_report_over(detection, self, WINDOW_SHORT, 0, measure, report);
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    (void)window;
    return detector_watch_members((double)rules->params[PARAM_CONNECTIONS].number);
}

const struct detector_ops beacon_detector = {
    .name = "beacon",
    .help = "Connections at even intervals.",
    .kind = ALERT_BEACON,
    .severities = {SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH},
    .defaults = {.mode = "log",
                 .window = "3h",
                 .window_min_ns = 6e10,
                 .window_max_ns = 8.64e13,
                 .medium = "80",
                 .high = "90",
                 .critical = "97",
                 .medium_min = 1,
                 .medium_max = 100,
                 .quiet = "1h"},
    .events = EVENT(SYN),
    .views = {{.name = "pair", .size = SIZE_KEYS, .members = 8}},
    .windows = {{.view = 0}, {.view = 0, .param = 1 + PARAM_SHORT}},
    .windows_count = 2,
    .params =
        {{.type = CONFIG_U64,
          .key = "connections",
          .value = "24",
          .min = 3,
          .max = DETECTION_SET_MAX,
          .help = "Fewer connections in the window tell nothing."},
         {.type = CONFIG_DURATION,
          .key = "interval_min",
          .value = "20s",
          .min = 1e9,
          .max = 8.64e13,
          .help =
              "Shorter intervals are ordinary traffic; more than 256 connections in a window are "
              "not looked at in it either."},
         {.type = CONFIG_DURATION,
          .key = "short_window",
          .value = "1h",
          .min = 6e10,
          .max = 8.64e13,
          .help = "A second window, for intervals of which the first holds too many."},
         {.type = CONFIG_U64,
          .key = "common_clients",
          .value = "10",
          .min = 1,
          .max = 1e9,
          .help = "A service that more clients connect to in the window is common: 15 are taken "
                  "off the score."}},
    .feed = feed,
    .decide = decide,
    .watch = watch};
