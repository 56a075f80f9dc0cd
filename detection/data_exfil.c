/* Data leaving: a host inside sends much more than it gets to a host outside that few others
 * inside talk to. A backup service or a cloud that many use is not rare. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define MEGABYTE 1e6

enum { VIEW_PAIR, VIEW_TARGET /* its clients inside */ };
enum { COUNT_UP, COUNT_DOWN, COUNTERS };
enum { PARAM_RARE, PARAM_RATIO };

/* Of what was sent at the level, and so of how much a pair's bytes are off. */
#define DRAW_ERROR 0.01
/* What came back weighs less, for it only has to be told whether it was more than the ratio leaves:
 * at that it is off by five times DRAW_ERROR. */
#define DOWN_SHARE (1.0 / 25)

static double chance_of(const struct detector_rules *rules, bool is_source_internal,
                        bool is_target_internal, const uint64_t bytes[2])
{
    const double up = (double)bytes[0];
    const double down = (double)bytes[1] * rules->params[PARAM_RATIO].real * DOWN_SHARE;

    return is_source_internal && !is_target_internal
               ? detector_chance(up > down ? up : down, rules->least_level * MEGABYTE, DRAW_ERROR)
               : 0;
}

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    return chance_of(rules, glance->is_source_internal, glance->is_target_internal, glance->bytes);
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    const double scale = detector_draw(
        frame, fact,
        chance_of(rules, fact->is_source_internal, fact->is_target_internal, fact->bytes));

    if (scale == 0) {
        return;
    }
    const uint64_t up = detector_scale(fact->bytes[0], scale);
    struct detector_note *note =
        detector_note_of(rules, frame, VIEW_PAIR, fact, PART_SOURCE | PART_TARGET, up);

    if (note != NULL) {
        note->counts[COUNT_UP] = up;
        note->counts[COUNT_DOWN] = detector_scale(fact->bytes[1], scale);
    }
    note = detector_note_of(rules, frame, VIEW_TARGET, fact, PART_TARGET, 1);
    if (note != NULL) {
        (void)detector_note_peer(note, frame, fact, &fact->source);
    }
}

static double clients_of(struct detection *detection, const struct detector *self,
                         const struct ip_address *address)
{
    const struct detection_subject target = {.target = *address};
    const uint32_t number = detection_lookup(detection, self, VIEW_TARGET, &target);

    return number != DETECTION_NONE
               ? detection_table_members(detector_window(detection, self, VIEW_TARGET), number)
               : 0;
}

/* Megabytes sent, where more was sent than received and the target is rare. */
static double measure(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const uint64_t up = detection_table_sum(table, number, COUNT_UP);
    const uint64_t down = detection_table_sum(table, number, COUNT_DOWN);
    const union detector_value *params = self->rules->params;

    if ((double)up < (double)down * params[PARAM_RATIO].real ||
        clients_of(detection, self, &table->entries[number].subject.target) >
            (double)params[PARAM_RARE].number) {
        return -1;
    }
    return (double)up / MEGABYTE;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_subject subject = finding->subject;
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_DATA_EXFIL,
                                                .window = VIEW_PAIR,
                                                .number = finding->number,
                                                .observed = finding->observed,
                                                .unit = "MB"});
    char source[ADDRESS_TEXT_BYTES], target[ADDRESS_TEXT_BYTES];

    draft->estimate_error = DRAW_ERROR;
    draft->attackers_total_estimate = draft->victims_total_estimate = 1;
    evidence_attacker(draft, &subject.source, 0);
    evidence_add_address(draft->top_sources, &draft->top_sources_count, &subject.source,
                         (uint64_t)(finding->observed * MEGABYTE));
    evidence_add_address(draft->top_targets, &draft->top_targets_count, &subject.target,
                         (uint64_t)(finding->observed * MEGABYTE));
    evidence_mitre(draft, "TA0010", "T1048", "Exfiltration Over Alternative Protocol", 40);
    (void)address_text(&subject.source, source);
    (void)address_text(&subject.target, target);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s sent %.1f MB to %s in %.4g min, which %.0f inside talk to (threshold "
                   "%.10g)",
                   source, finding->observed, target,
                   (double)self->rules->window_ns / (60 * (double)NS_PER_SEC),
                   clients_of(detection, self, &subject.target), draft->threshold);
    incident_report(detection, self, &subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, VIEW_PAIR, 0, measure, report);
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    return window == VIEW_PAIR
               ? detector_watch_sum(COUNT_UP, rules->levels[LEVEL_MEDIUM] * MEGABYTE)
               : (struct detection_watch){0};
}

const struct detector_ops data_exfil_detector = {
    .name = "data_exfil",
    .help = "Much data sent to a host outside that few talk to.",
    .kind = ALERT_DATA_EXFIL,
    .defaults = {.mode = "log",
                 .window = "1h",
                 .window_min_ns = 6e10,
                 .window_max_ns = 8.64e13,
                 .medium = "100",
                 .high = "1000",
                 .critical = "10000",
                 .medium_min = 0.001,
                 .medium_max = 1e12,
                 .quiet = "1h"},
    .events = EVENT(VOLUME),
    .views = {{.name = "pair", .size = SIZE_KEYS, .counters = COUNTERS, .is_weighed = true},
              {.name = "target", .size = SIZE_KEYS, .members = 2}},
    .windows = {{.view = VIEW_PAIR}, {.view = VIEW_TARGET}},
    .windows_count = 2,
    .params = {{.type = CONFIG_U64,
                .key = "rare_clients",
                .value = "2",
                .min = 1,
                .max = 1e9,
                .help = "A host outside is rare up to so many clients inside in the window; one "
                        "that sends it less than a ten-thousandth of the level may not count."},
               {.type = CONFIG_DOUBLE,
                .key = "ratio",
                .value = "2",
                .min = 0,
                .max = 1e6,
                .help = "Sent bytes must be so many times the received ones."}},
    .cares = cares,
    .feed = feed,
    .decide = decide,
    .watch = watch};
