/* Data leaving: a host inside sends much more than it gets to a host outside that few others
 * inside talk to. A backup service or a cloud that many use is not rare. Nor is it news what the
 * host sends at this hour on other days, as backups of a night do: five times that is. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"
#include "detection/hour_baseline.h"

#define MEGABYTE 1e6

enum { VIEW_PAIR, VIEW_TARGET /* its clients inside */ };
enum { COUNT_UP, COUNT_DOWN, COUNTERS };
enum { PARAM_RARE, PARAM_RATIO, PARAM_FACTOR };

/* What hosts inside sent to one rare host outside in a window that ended at each hour of the day.
 */
struct exfil {
    uint64_t since; /* of what is known: windows that begin anew know nothing */
    struct hour_baseline usual;
};

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

/* Megabytes that the host sends at this hour. */
static double usual_of(const struct detection *detection, const struct detector *self,
                       const struct ip_address *host)
{
    const struct exfil *exfil = self->state;

    return self->rules->params[PARAM_FACTOR].real > 0
               ? hour_baseline_usual(&exfil->usual, host, detection_now(detection)) / MEGABYTE
               : 0;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_subject subject = finding->subject;
    const double usual = usual_of(detection, self, &subject.source);
    const double least = usual * self->rules->params[PARAM_FACTOR].real;
    struct incident_start start = {.kind = ALERT_DATA_EXFIL,
                                   .window = VIEW_PAIR,
                                   .number = finding->number,
                                   .observed = finding->observed,
                                   .unit = "MB"};
    struct alert_record *draft = incident_draft(detection, self, &start);
    char source[ADDRESS_TEXT_BYTES], target[ADDRESS_TEXT_BYTES], hour[64] = "";

    if (finding->observed < least) {
        return; /* as on other days */
    }
    if (least > draft->threshold) {
        start.scale = least / draft->threshold;
        start.key = "baseline_factor";
        draft = incident_draft(detection, self, &start);
    }
    if (usual > 0) {
        (void)snprintf(hour, sizeof(hour), "; at this hour %.1f MB were the most so far", usual);
    }
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
                   "%s sent %.1f MB to %s in %.4g min, which %.0f inside talk to%s (threshold "
                   "%.10g)",
                   source, finding->observed, target,
                   (double)self->rules->window_ns / (60 * (double)NS_PER_SEC),
                   clients_of(detection, self, &subject.target), hour, draft->threshold);
    incident_report(detection, self, &subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    struct exfil *exfil = self->state;
    const struct detection_finding *findings;
    const uint32_t count = detector_find_over(detection, self, VIEW_PAIR, 0, measure, &findings);

    if (exfil->since != self->since) {
        memset(exfil, 0, sizeof(*exfil));
        exfil->since = self->since;
    }
    for (uint32_t i = 0; i < count; i++) {
        report(detection, self, &findings[i]);
        if (!hour_baseline_note(&exfil->usual, &findings[i].subject.source,
                                detection_now(detection), findings[i].observed * MEGABYTE)) {
            detector_is_full(detection, self, VIEW_PAIR);
        }
    }
}

static void write_usual(const struct detector *self, struct byte_writer *out)
{
    const struct exfil *exfil = self->state;

    hour_baseline_write(&exfil->usual, out);
}

static bool read_usual(struct detector *self, struct byte_reader *in, bool is_used)
{
    struct exfil *exfil = self->state;

    if (is_used) {
        memset(exfil, 0, sizeof(*exfil));
        exfil->since = self->since;
    }
    return hour_baseline_read(is_used ? &exfil->usual : NULL, in);
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
                .help = "Sent bytes must be so many times the received ones."},
               {.type = CONFIG_DOUBLE,
                .key = "baseline_factor",
                .value = "5",
                .min = 0,
                .max = 1e6,
                .help = "And so many times what the host sent to a rare host at this hour on other "
                        "days, of which two weeks take half; 0: whatever it sent."}},
    .state_bytes = sizeof(struct exfil),
    .memory = {.state_bytes = HOUR_BASELINE_BYTES, .write = write_usual, .read = read_usual},
    .cares = cares,
    .feed = feed,
    .decide = decide,
    .watch = watch};
