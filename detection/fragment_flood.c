/* Fragment floods: many IP fragments towards one address, from many sources or tiny ones. A file
 * server that sends large datagrams (NFS over UDP) sends many fragments as well: from one source,
 * and full. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

enum { COUNT_FRAGMENTS, COUNT_BYTES, COUNTERS };
enum { PARAM_SOURCES, PARAM_TINY };

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    struct detector_note *note = detector_note_of(rules, frame, 0, fact, PART_TARGET, 1);

    if (note == NULL) {
        return;
    }
    (void)detector_note_peer(note, frame, fact, &fact->source);
    note->counts[COUNT_FRAGMENTS] = fact->packets[0];
    note->counts[COUNT_BYTES] = fact->bytes[0];
}

static double measure(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const uint64_t fragments = detection_table_sum(table, number, COUNT_FRAGMENTS);
    const uint64_t bytes = detection_table_sum(table, number, COUNT_BYTES);
    const union detector_value *params = self->rules->params;
    const bool is_spread =
        detection_table_members(table, number) >= (double)params[PARAM_SOURCES].number;

    return is_spread || bytes < fragments * params[PARAM_TINY].number ? (double)fragments : -1;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_table *table = detector_window(detection, self, 0);
    const uint32_t number = finding->number;
    const struct detection_subject subject = finding->subject;
    const uint64_t fragments = detection_table_sum(table, number, COUNT_FRAGMENTS);
    const double sources = detection_table_members(table, number);
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_FRAGMENT_FLOOD,
                                                .number = number,
                                                .observed = (double)fragments,
                                                .unit = "fragments"});
    char target[ADDRESS_TEXT_BYTES];

    draft->estimate_error = 0;
    draft->attackers_total_estimate = (uint64_t)sources;
    draft->victims_total_estimate = 1;
    evidence_victim(draft, &subject.target, 0);
    evidence_of_set(draft->top_sources, &draft->top_sources_count, NULL, NULL, table, number);
    evidence_attackers_of_sources(draft);
    evidence_add_address(draft->top_targets, &draft->top_targets_count, &subject.target, fragments);
    evidence_mitre(draft, "TA0040", "T1498.001", "Direct Network Flood", 60);
    (void)address_text(&subject.target, target);
    (void)snprintf(
        draft->description, sizeof(draft->description),
        "%s gets %llu fragments in %.4g s, %llu bytes each on average, from %s%.0f %s "
        "(threshold %.10g)",
        target, (unsigned long long)fragments, (double)self->rules->window_ns / (double)NS_PER_SEC,
        (unsigned long long)(detection_table_sum(table, number, COUNT_BYTES) / fragments),
        evidence_about(table, number), sources, sources == 1 ? "source" : "sources",
        draft->threshold);
    incident_report(detection, self, &subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, measure, report);
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    (void)window;
    return detector_watch_sum(COUNT_FRAGMENTS, rules->levels[LEVEL_MEDIUM]);
}

const struct detector_ops fragment_flood_detector = {
    .name = "fragment_flood",
    .help = "Floods of IP fragments.",
    .kind = ALERT_FRAGMENT_FLOOD,
    .defaults = {.mode = "alert",
                 .window = "10s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 6e11,
                 .medium = "2000",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 10,
                 .medium_max = 1e12,
                 .quiet = "30s"},
    .events = EVENT(FRAGMENT),
    .views = {{.name = "target", .size = SIZE_VICTIMS, .counters = COUNTERS, .members = 4}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .params = {{.type = CONFIG_U64,
                .key = "sources",
                .value = "50",
                .min = 1,
                .max = 1e9,
                .help = "Fragments of full size count only from so many sources."},
               {.type = CONFIG_BYTES,
                .key = "tiny_size",
                .value = "200B",
                .min = 0,
                .max = 65535,
                .help = "Frames smaller than this on average count from any number of sources."}},
    .feed = feed,
    .decide = decide,
    .watch = watch};
