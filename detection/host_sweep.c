/* Host sweeps: one source asks many addresses whether somebody is there, by ICMP echo or by ARP and
 * NDP, and a part of them keeps silent.
 *
 * A monitor asks many hosts too, but those it knows to be there: nearly all answer. A router asks
 * by ARP or NDP for whomever somebody outside tries, and a DHCP server whether an address is free:
 * both are known by what they say, or what is said of them. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

enum { PROTOCOL_ICMP = 1, PROTOCOL_ICMPV6 = 58 };
enum { VIEW_SOURCE, VIEW_GATEWAY };
enum { COUNT_WORDS, COUNTERS };
enum { PARAM_SILENT, PARAM_GATEWAYS, PARAM_REMEMBERED };
enum { IS_ROUTER = 1, IS_SERVER }; /* in subject.port of a gateway */

static void add_gateway(const struct detector_rules *rules, struct detection_frame *frame,
                        const struct detection_fact *fact)
{
    const struct detection_subject subject = {
        .source = fact->source, .port = fact->event == DETECTION_DHCP ? IS_SERVER : IS_ROUTER};

    if (fact->source.version == 0 || (fact->event == DETECTION_DHCP && !fact->is_answered)) {
        return;
    }
    struct detector_note *note =
        detector_note(rules, frame, VIEW_GATEWAY, &subject, fact->time_ns, 1);

    if (note != NULL) {
        note->counts[COUNT_WORDS] = 1;
    }
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    if (fact->event != DETECTION_ECHO && fact->event != DETECTION_ARP) {
        add_gateway(rules, frame, fact);
        return;
    }
    /* ARP: an answer is told from the side of who has the address. */
    const bool is_arp_answer = fact->event == DETECTION_ARP && fact->is_answered;
    const struct detection_subject subject = {
        .source = is_arp_answer ? fact->target : fact->source,
        .protocol = fact->event == DETECTION_ECHO ? fact->protocol : 0};
    struct ip_address asked = is_arp_answer ? fact->source : fact->target;

    if (subject.source.version == 0 || address_equal(&subject.source, &asked)) {
        return; /* a probe without an address of its own, or an announcement */
    }
    struct detector_note *note =
        detector_note(rules, frame, VIEW_SOURCE, &subject, fact->time_ns, 1);

    if (note == NULL) {
        return;
    }
    detector_note_member(note, frame, detector_hash_address(frame, &asked), fact,
                         !fact->is_answered, fact->is_answered)
        ->address = asked;
}

static bool is_known(struct detection *detection, const struct detector *self,
                     const struct ip_address *address, uint16_t kind)
{
    const struct detection_subject subject = {.source = *address, .port = kind};

    return detection_lookup(detection, self, VIEW_GATEWAY, &subject) != DETECTION_NONE;
}

/* It asks because of its office: a router by ARP and NDP, a server by ICMP, too. */
static bool has_to_ask(struct detection *detection, const struct detector *self,
                       const struct detection_subject *subject)
{
    return self->rules->params[PARAM_GATEWAYS].flag &&
           (is_known(detection, self, &subject->source, IS_SERVER) ||
            (subject->protocol == 0 && is_known(detection, self, &subject->source, IS_ROUTER)));
}

static double measure(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    const struct detection_tally tally =
        detector_tally(detection, detector_window(detection, self, window), number);
    const double silent = tally.tried - tally.answered;

    if (tally.tried < self->rules->least_level ||
        silent * 100 < tally.tried * (double)self->rules->params[PARAM_SILENT].number) {
        return -1;
    }
    return has_to_ask(detection, self,
                      &detector_window(detection, self, window)->entries[number].subject)
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
    struct alert_record *draft = incident_draft(
        detection, self,
        &(struct incident_start){
            .kind = ALERT_HOST_SWEEP, .number = number, .observed = tally.tried, .unit = "hosts"});
    char source[ADDRESS_TEXT_BYTES], answered[EVIDENCE_ANSWERED_BYTES];

    evidence_attacker(draft, &subject.source, 0);
    draft->attackers_total_estimate = 1;
    draft->victims_total_estimate = (uint64_t)tally.tried;
    evidence_add_address(draft->top_sources, &draft->top_sources_count, &subject.source,
                         (uint64_t)tally.tried);
    evidence_of_set(draft->top_targets, &draft->top_targets_count, NULL, NULL, table, number);
    evidence_victims_of_targets(draft, 0);
    evidence_mitre(draft, "TA0007", "T1018", "Remote System Discovery", 80);
    (void)address_text(&subject.source, source);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s asks by %s for %s%.0f addresses in %.4g s; %s (threshold %.10g)", source,
                   subject.protocol == PROTOCOL_ICMP     ? "ICMP echo"
                   : subject.protocol == PROTOCOL_ICMPV6 ? "ICMPv6 echo"
                   : subject.source.version == 6         ? "neighbour discovery"
                                                         : "ARP",
                   evidence_about(table, number), tally.tried,
                   (double)self->rules->window_ns / (double)NS_PER_SEC,
                   evidence_answered(table, number, &tally, answered), draft->threshold);
    incident_report(detection, self, &subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, VIEW_SOURCE, 0, measure, report);
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    return window == VIEW_SOURCE ? detector_watch_members(rules->levels[LEVEL_MEDIUM])
                                 : (struct detection_watch){0};
}

const struct detector_ops host_sweep_detector = {
    .name = "host_sweep",
    .help = "Sweeps for live hosts by ICMP echo, ARP or neighbour discovery.",
    .kind = ALERT_HOST_SWEEP,
    .defaults = {.mode = "alert",
                 .window = "10s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 3.6e12,
                 .medium = "15",
                 .high = "100",
                 .critical = "1000",
                 .medium_min = 2,
                 .medium_max = 1e9,
                 .quiet = "60s"},
    .events = EVENT(ECHO) | EVENT(ARP) | EVENT(DHCP) | EVENT(GATEWAY) | EVENT(ROUTER),
    .views = {{.name = "source", .size = SIZE_SCANNERS, .members = 4},
              {.name = "gateway", .size = SIZE_FEW, .counters = COUNTERS}},
    .windows = {{.view = VIEW_SOURCE}, {.view = VIEW_GATEWAY, .param = 1 + PARAM_REMEMBERED}},
    .windows_count = 2,
    .params = {{.type = CONFIG_U64,
                .key = "silent_percent",
                .value = "20",
                .max = 100,
                .help = "No sweep unless so many of a hundred do not answer: a monitor asks hosts "
                        "that are there."},
               {.type = CONFIG_BOOL,
                .key = "exempt_gateways",
                .value = "true",
                .help = "Not by ARP and NDP of who is known to be a router, by DHCP or its "
                        "advertisements, and not of who serves addresses by DHCP."},
               {.type = CONFIG_DURATION,
                .key = "gateways_window",
                .value = "24h",
                .min = 6e10,
                .max = 6.048e14,
                .help = "How long they are known after they were last told of."}},
    .feed = feed,
    .decide = decide,
    .watch = watch};
