/* SYN floods: many SYN towards one address, few of them become connections. From one source that
 * tries many ports it is a port scan, and left to that detector. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

/* A scanner sends each port a few SYN; a flood sends one port many. */
#define SYN_PER_SCANNED_PORT 4

enum { COUNT_SYN, COUNT_ANSWERED, COUNT_ESTABLISHED, COUNT_REFUSED, COUNTERS };
enum { PARAM_SOURCES, PARAM_COMPLETED };

struct flood {
    uint64_t syn, answered, established, refused;
    double sources;
};

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    static const uint8_t counters[] = {[DETECTION_SYN] = COUNT_SYN,
                                       [DETECTION_SYN_ACK] = COUNT_ANSWERED,
                                       [DETECTION_ESTABLISHED] = COUNT_ESTABLISHED,
                                       [DETECTION_RST] = COUNT_REFUSED};
    struct detector_note *note = detector_note_of(rules, frame, 0, fact, PART_TARGET, 1);

    if (note == NULL) {
        return;
    }
    note->counts[counters[fact->event]] = 1;
    note->counts[COUNT_ANSWERED] += fact->followed >> DETECTION_SYN_ACK & 1;
    note->counts[COUNT_ESTABLISHED] += fact->followed >> DETECTION_ESTABLISHED & 1;
    note->counts[COUNT_REFUSED] += fact->followed >> DETECTION_RST & 1;
    detector_note_until(note, fact->last_ns);
    if (fact->event == DETECTION_SYN) {
        (void)detector_note_peer(note, frame, fact, &fact->source);
    }
}

static struct flood flood_of(struct detection *detection, const struct detector *self,
                             uint32_t window, uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);

    return (struct flood){/* The SYN of this second may still become connections. */
                          .syn = detection_table_sum(table, number, COUNT_SYN) -
                                 detection_table_recent(table, number, COUNT_SYN),
                          .answered = detection_table_sum(table, number, COUNT_ANSWERED),
                          .established = detection_table_sum(table, number, COUNT_ESTABLISHED),
                          .refused = detection_table_sum(table, number, COUNT_REFUSED),
                          .sources = detection_table_members(table, number)};
}

/* True when one source with this many SYN has tried so many ports of the target that it is a scan.
 */
static bool is_scan(struct detection *detection, const struct detector *self, uint32_t number,
                    uint64_t syn)
{
    const struct detector *scans = detection_find(detection, "port_scan");
    const struct detection_table *table = detector_window(detection, self, 0);
    const struct detection_entry *victim = &table->entries[number];
    double ports = 0;

    if (scans == NULL) {
        return false;
    }
    for (const struct detection_member *member = detection_table_first(table, victim);
         member != NULL; member = detection_table_next(table, member)) {
        const struct detection_subject pair = {.source = member->address,
                                               .target = victim->subject.target};
        const uint32_t found = detection_lookup(detection, scans, 0, &pair);

        if (found != DETECTION_NONE) {
            const double tried =
                detection_table_members(detector_window(detection, scans, 0), found);

            ports += tried >= scans->rules->levels[LEVEL_MEDIUM] ? tried : 0;
        }
    }
    return ports * SYN_PER_SCANNED_PORT >= (double)syn;
}

static double measure(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    const struct flood flood = flood_of(detection, self, window, number);
    const struct detector_rules *rules = self->rules;

    if ((double)flood.syn < rules->levels[LEVEL_MEDIUM] && rules->overrides_count == 0) {
        return -1;
    }
    if (flood.established * 100 >= flood.syn * rules->params[PARAM_COMPLETED].number) {
        return -1;
    }
    if (flood.sources < (double)rules->params[PARAM_SOURCES].number &&
        is_scan(detection, self, number, flood.syn)) {
        return -1;
    }
    return (double)flood.syn;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const uint32_t number = finding->number;
    const struct detection_table *table = detector_window(detection, self, 0);
    const struct detection_subject subject = table->entries[number].subject;
    const struct flood flood = flood_of(detection, self, 0, number);
    const bool is_distributed = flood.sources >= (double)self->rules->params[PARAM_SOURCES].number;
    const uint64_t done = flood.established + flood.refused;
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_SYN_FLOOD,
                                                .number = number,
                                                .observed = (double)flood.syn,
                                                .unit = "SYN",
                                                .key = "syn_threshold"});
    const uint64_t newest = detection_table_recent(table, number, COUNT_SYN);
    char target[ADDRESS_TEXT_BYTES], more[64] = "", half_open[32] = "none";

    draft->estimate_error = 0; /* SYN are counted, only sources are sampled */
    draft->attackers_total_estimate = (uint64_t)flood.sources;
    draft->victims_total_estimate = 1;
    evidence_victim(draft, &subject.target, 0);
    evidence_of_set(draft->top_sources, &draft->top_sources_count, draft->top_ports,
                    &draft->top_ports_count, table, number);
    evidence_attackers_of_sources(draft);
    evidence_add_address(draft->top_targets, &draft->top_targets_count, &subject.target, flood.syn);
    evidence_mitre(draft, "TA0040", "T1499.001", "OS Exhaustion Flood", 80);
    (void)address_text(&subject.target, target);
    if (newest > 0) { /* the sources are those of all SYN */
        (void)snprintf(more, sizeof(more), " and %llu more in the newest second, together",
                       (unsigned long long)newest);
    }
    if (flood.answered > done) {
        (void)snprintf(half_open, sizeof(half_open), "about %llu",
                       (unsigned long long)(flood.answered - done));
    }
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s gets %llu SYN in %.4g s%s from %s%.0f %s (%s); %llu handshakes completed, "
                   "%llu answered, %s half open (threshold %.10g)",
                   target, (unsigned long long)flood.syn,
                   (double)self->rules->window_ns / (double)NS_PER_SEC, more,
                   evidence_about(table, number), flood.sources,
                   flood.sources == 1 ? "source" : "sources",
                   is_distributed ? "distributed" : "single source or few",
                   (unsigned long long)flood.established, (unsigned long long)flood.answered,
                   half_open, draft->threshold);
    incident_report(detection, self, &subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, measure, report);
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    (void)window;
    return detector_watch_sum(COUNT_SYN, rules->levels[LEVEL_MEDIUM]);
}

const struct detector_ops syn_flood_detector = {
    .name = "syn_flood",
    .help = "SYN floods.",
    .kind = ALERT_SYN_FLOOD,
    .defaults = {.mode = "alert",
                 .window = "5s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 6e10,
                 .window_alias = "window_secs",
                 .medium = "200",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 1,
                 .medium_max = 1e12,
                 .medium_key = "syn_threshold",
                 .medium_help = "SYNs to one target in the window.",
                 .quiet = "10s",
                 .quiet_key = "cooldown",
                 .quiet_alias = "cooldown_secs"},
    .protocols = DETECTOR_TCP,
    .events = EVENT(SYN) | EVENT(SYN_ACK) | EVENT(ESTABLISHED) | EVENT(RST),
    .views = {{.name = "victim", .size = SIZE_VICTIMS, .counters = COUNTERS, .members = 4}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .params = {{.type = CONFIG_U64,
                .key = "unique_src_threshold",
                .value = "50",
                .min = 1,
                .max = 1e9,
                .help = "From so many sources on it is called distributed."},
               {.type = CONFIG_U64,
                .key = "completed_percent",
                .value = "30",
                .min = 1,
                .max = 100,
                .help = "No flood when at least so many of a hundred handshakes complete."}},
    .feed = feed,
    .decide = decide,
    .watch = watch};
