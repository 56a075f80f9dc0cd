/* PTR sweeps: one client asks DNS for the names of most addresses of a network, to learn what is
 * there without sending it anything.
 *
 * Mail servers and log hosts ask for names all day, but of those who talk to them: many networks,
 * and of their own the hosts that there are. So addresses are counted by network (24 bits of IPv4,
 * 48 of IPv6), and a part of them must have no name. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"
#include "detection/dns_name.h"

#define TYPE_PTR     12
#define TYPE_ANY     255
#define RCODE_NONE   0
#define NETWORK_V4   24
#define NETWORK_V6   48
#define ADDRESS_BITS 8

enum { PARAM_NAMELESS };

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    struct ip_prefix asked;
    struct detection_subject subject = {.source = fact->source};

    if ((fact->type != TYPE_PTR && fact->type != TYPE_ANY) ||
        !dns_name_reverse(fact->name, &asked)) {
        return;
    }
    const uint32_t network_bits = asked.address.version == 4 ? NETWORK_V4 : NETWORK_V6;

    if (asked.prefix_bits < network_bits) {
        return;
    }
    subject.target.version = asked.address.version;
    memcpy(subject.target.bytes, asked.address.bytes, network_bits / ADDRESS_BITS);
    struct detector_note *note = detector_note(rules, frame, 0, &subject, fact->time_ns, 1);

    if (note == NULL) {
        return;
    }
    const bool has_name = fact->is_answered && fact->code == RCODE_NONE;

    detector_note_member(note, frame,
                         detector_hash_bytes(frame, fact->name.data, fact->name.length), fact, true,
                         has_name)
        ->address = asked.address;
}

static double measure(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    const struct detection_tally tally =
        detector_tally(detection, detector_window(detection, self, window), number);

    return (tally.tried - tally.answered) * 100 <
                   tally.tried * (double)self->rules->params[PARAM_NAMELESS].number
               ? -1
               : tally.tried;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const uint32_t number = finding->number;
    const struct detection_table *table = detector_window(detection, self, 0);
    const struct detection_subject subject = table->entries[number].subject;
    const struct detection_tally tally = detector_tally(detection, table, number);
    struct alert_record *draft = incident_draft(detection, self,
                                                &(struct incident_start){.kind = ALERT_PTR_SWEEP,
                                                                         .number = number,
                                                                         .observed = tally.tried,
                                                                         .unit = "addresses"});
    char source[ADDRESS_TEXT_BYTES], network[ADDRESS_TEXT_BYTES];

    evidence_attacker(draft, &subject.source, 0);
    draft->attackers_total_estimate = 1;
    evidence_add_address(draft->top_sources, &draft->top_sources_count, &subject.source,
                         (uint64_t)tally.tried);
    evidence_of_set(draft->top_targets, &draft->top_targets_count, NULL, NULL, table, number);
    if (address_is_private(&subject.source)) {
        evidence_mitre(draft, "TA0007", "T1018", "Remote System Discovery", 50);
    } else {
        evidence_mitre(draft, "TA0043", "T1590.002", "Gather Victim Network Information: DNS", 50);
    }
    (void)address_text(&subject.source, source);
    (void)address_text(&subject.target, network);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s asks DNS for the names of %s%.0f addresses of %s/%u in %.4g s; %.0f have "
                   "one (threshold %.10g)",
                   source, evidence_about(table, number), tally.tried, network,
                   subject.target.version == 4 ? NETWORK_V4 : NETWORK_V6,
                   (double)self->rules->window_ns / (double)NS_PER_SEC, tally.answered,
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
    return detector_watch_members(rules->levels[LEVEL_MEDIUM]);
}

const struct detector_ops ptr_sweep_detector = {
    .name = "ptr_sweep",
    .help = "Names of most addresses of a network asked for by reverse DNS.",
    .kind = ALERT_PTR_SWEEP,
    .severities = {SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH},
    .defaults = {.mode = "log",
                 .window = "10m",
                 .window_min_ns = 1e9,
                 .window_max_ns = 8.64e13,
                 .medium = "64",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 2,
                 .medium_max = 1e9,
                 .quiet = "10m"},
    .events = EVENT(DNS),
    .views = {{.name = "network", .size = SIZE_KEYS, .members = 2}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .params = {{.type = CONFIG_U64,
                .key = "nameless_percent",
                .value = "20",
                .max = 100,
                .help =
                    "No sweep unless so many of a hundred have no name: who asks for those that "
                    "talk asks for hosts that are there."}},
    .feed = feed,
    .decide = decide,
    .watch = watch};
