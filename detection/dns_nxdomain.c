/* Bursts of NXDOMAIN: one client asks for many names that do not exist. Names that differ only in
 * what a resolver appends (its search list) count once. Where they look made by an algorithm it is
 * DGA, as malware looks for its master. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"
#include "detection/dns_name.h"

#define RCODE_NXDOMAIN 3

enum { COUNT_ANSWERS, COUNT_NXDOMAIN, COUNT_RANDOM, COUNTERS };
enum { PARAM_SHARE, PARAM_RANDOM };

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    if (!fact->is_answered || dns_name_is_local(fact->name)) {
        return;
    }
    struct detector_note *note = detector_note_of(rules, frame, 0, fact, PART_SOURCE, 1);

    if (note == NULL) {
        return;
    }
    note->counts[COUNT_ANSWERS] = 1;
    if (fact->code != RCODE_NXDOMAIN) {
        return;
    }
    const struct record_text label = dns_name_label(fact->name);
    const struct record_text shown = {fact->name.data, fact->name.length < DETECTION_NAME_BYTES
                                                           ? fact->name.length
                                                           : DETECTION_NAME_BYTES - 1};

    note->counts[COUNT_NXDOMAIN] = 1;
    note->counts[COUNT_RANDOM] = dns_label_looks_random(label);
    (void)detector_note_member(note, frame, detector_hash_bytes(frame, label.data, label.length),
                               fact, true, false);
    detector_note_member_name(note, shown);
}

static double measure(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const uint64_t answers = detection_table_sum(table, number, COUNT_ANSWERS);
    const uint64_t nxdomain = detection_table_sum(table, number, COUNT_NXDOMAIN);

    return nxdomain * 100 >= answers * self->rules->params[PARAM_SHARE].number
               ? detection_table_members(table, number)
               : -1;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_table *table = detector_window(detection, self, 0);
    const uint64_t nxdomain = detection_table_sum(table, finding->number, COUNT_NXDOMAIN);
    const uint64_t random = detection_table_sum(table, finding->number, COUNT_RANDOM);
    const bool is_dga = random * 100 >= nxdomain * self->rules->params[PARAM_RANDOM].number;
    struct alert_record *draft = incident_draft(
        detection, self,
        &(struct incident_start){.kind = is_dga ? ALERT_DGA : ALERT_DNS_NXDOMAIN_BURST,
                                 .number = finding->number,
                                 .observed = finding->observed,
                                 .unit = "names"});
    char source[ADDRESS_TEXT_BYTES];

    draft->attackers_total_estimate = 1;
    evidence_attacker(draft, &finding->subject.source, 0);
    evidence_add_address(draft->top_sources, &draft->top_sources_count, &finding->subject.source,
                         nxdomain);
    const struct detection_entry *entry = &table->entries[finding->number];

    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL; member = detection_table_next(table, member)) {
        evidence_add(draft->top_names, &draft->top_names_count,
                     detection_member_name(table, member), member->count);
    }
    if (is_dga) {
        evidence_mitre(draft, "TA0011", "T1568.002", "Domain Generation Algorithms", 65);
    } else {
        evidence_mitre(draft, "TA0007", "T1018", "Remote System Discovery", 30);
    }
    (void)address_text(&finding->subject.source, source);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s asks for %s%.0f names that do not exist in %.4g s, %llu of %llu answers "
                   "NXDOMAIN%s (threshold %.10g)",
                   source, evidence_about(table, finding->number), finding->observed,
                   (double)self->rules->window_ns / (double)NS_PER_SEC,
                   (unsigned long long)nxdomain,
                   (unsigned long long)detection_table_sum(table, finding->number, COUNT_ANSWERS),
                   is_dga ? ", most look made by an algorithm" : "", draft->threshold);
    incident_report(detection, self, &finding->subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, measure, report);
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    (void)window;
    return detector_watch_members(rules->levels[LEVEL_MEDIUM]);
}

const struct detector_ops dns_nxdomain_detector = {
    .name = "dns_nxdomain",
    .help = "Many names that do not exist; DGA where they look made by an algorithm.",
    .kind = ALERT_DNS_NXDOMAIN_BURST,
    .defaults = {.mode = "log",
                 .window = "60s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 3.6e12,
                 .medium = "20",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 2,
                 .medium_max = 1e9,
                 .quiet = "5m"},
    .events = EVENT(DNS),
    .views = {{.name = "client",
               .size = SIZE_KEYS,
               .counters = COUNTERS,
               .members = 4,
               .has_member_names = true}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .params = {{.type = CONFIG_U64,
                .key = "share",
                .value = "50",
                .min = 0,
                .max = 100,
                .help = "Percent of the client's answers that must be NXDOMAIN."},
               {.type = CONFIG_U64,
                .key = "random_share",
                .value = "60",
                .min = 0,
                .max = 101,
                .help = "Percent of them that look made by an algorithm, from which it is DGA."}},
    .feed = feed,
    .decide = decide,
    .watch = watch};
