/* Port scans: distinct ports of one target (vertical), or distinct targets on one port
 * (horizontal), that were tried and gave no answer; each over a short and a long window.
 *
 * One horizontal incident a source, whatever ports it tries; while it is open, vertical findings of
 * that source are its suppressed ones. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

enum { VIEW_PAIR /* source and target: ports */, VIEW_FAN /* source and port: targets */ };
enum { WINDOW_PAIR, WINDOW_FAN, WINDOW_PAIR_SLOW, WINDOW_FAN_SLOW };
enum {
    PARAM_HOSTS,
    PARAM_PAIR_SLOW,
    PARAM_PORTS_SLOW,
    PARAM_FAN_SLOW,
    PARAM_HOSTS_SLOW,
    PARAM_NAMED
};

static void tell(const struct detector_rules *rules, struct detection_frame *frame, uint32_t view,
                 unsigned parts, const struct detection_fact *fact)
{
    const bool is_attempt = fact->event == DETECTION_SYN || fact->event == DETECTION_PROBE ||
                            fact->event == DETECTION_STRAY;
    struct detector_note *note = detector_note_of(rules, frame, view, fact, parts, 1);

    if (note == NULL) {
        return;
    }
    const uint32_t service = (uint32_t)fact->protocol << 16 | fact->target_port;
    const uint64_t hash = view == VIEW_PAIR ? detector_hash_u32(frame, service)
                                            : detector_hash_address(frame, &fact->target);

    detector_note_until(note, fact->answered_ns);
    (void)detector_note_member(note, frame, hash, fact, is_attempt,
                               !is_attempt || fact->answered_ns != 0);
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    if (fact->event == DETECTION_ESTABLISHED && fact->is_answered) {
        return; /* known since the SYN-ACK */
    }
    tell(rules, frame, VIEW_PAIR, PART_SOURCE | PART_TARGET, fact);
    /* Connections of before sensors looked end, and go on, at many hosts. */
    if (fact->event == DETECTION_STRAY || fact->event == DETECTION_STRAY_ANSWER) {
        return;
    }
    tell(rules, frame, VIEW_FAN, PART_SOURCE | PART_SERVICE, fact);
}

/* A browser whose page names many hosts that are dead, or whose IPv6 leads nowhere, scans nobody.
 * Ports of one host are a scan whoever named it. */
static struct detection_tally tally_of(struct detection *detection, const struct detector *self,
                                       uint32_t window, uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const bool is_fan = window == WINDOW_FAN || window == WINDOW_FAN_SLOW;

    return is_fan && !self->rules->params[PARAM_NAMED].flag
               ? detector_tally_unnamed(detection, table, number)
               : detector_tally(detection, table, number);
}

static double unanswered(struct detection *detection, const struct detector *self, uint32_t window,
                         uint32_t number)
{
    const struct detection_tally tally = tally_of(detection, self, window, number);

    return tally.tried - tally.answered;
}

static double window_length(const struct detector *self, uint32_t window)
{
    const uint64_t ns = window == WINDOW_PAIR_SLOW  ? self->rules->params[PARAM_PAIR_SLOW].number
                        : window == WINDOW_FAN_SLOW ? self->rules->params[PARAM_FAN_SLOW].number
                                                    : self->rules->window_ns;

    return (double)ns / (double)NS_PER_SEC;
}

static double level_of(const struct detector_rules *rules, uint32_t window)
{
    return window == WINDOW_PAIR_SLOW  ? (double)rules->params[PARAM_PORTS_SLOW].number
           : window == WINDOW_FAN      ? (double)rules->params[PARAM_HOSTS].number
           : window == WINDOW_FAN_SLOW ? (double)rules->params[PARAM_HOSTS_SLOW].number
                                       : rules->levels[LEVEL_MEDIUM];
}

static const char *key_of(uint32_t window)
{
    static const char *const keys[] = {[WINDOW_PAIR] = "unique_ports_threshold",
                                       [WINDOW_FAN] = "unique_hosts_threshold",
                                       [WINDOW_PAIR_SLOW] = "slow_ports_threshold",
                                       [WINDOW_FAN_SLOW] = "slow_hosts_threshold"};

    return keys[window];
}

static struct alert_record *draft_of(struct detection *detection, struct detector *self,
                                     enum alert_kind kind, uint32_t window, uint32_t number,
                                     const struct detection_tally *tally)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const struct ip_address *source = &table->entries[number].subject.source;
    struct alert_record *draft = incident_draft(
        detection, self,
        &(struct incident_start){.kind = kind,
                                 .window = window,
                                 .number = number,
                                 .observed = tally->tried - tally->answered,
                                 .scale = level_of(self->rules, window) /
                                          self->rules->levels[LEVEL_MEDIUM],
                                 .unit = kind == ALERT_PORT_SCAN_VERTICAL ? "ports" : "hosts",
                                 .key = key_of(window)});

    evidence_attacker(draft, source, 0);
    draft->attackers_total_estimate = 1;
    evidence_mitre_scan(draft, source);
    evidence_add_address(draft->top_sources, &draft->top_sources_count, source,
                         (uint64_t)tally->tried);
    return draft;
}

/* None of what was tried has a port ("ip/47"). */
static bool is_of_protocols(const struct alert_record *draft)
{
    bool is_all = draft->top_ports_count > 0;

    for (unsigned i = 0; i < draft->top_ports_count; i++) {
        is_all = is_all && strncmp(draft->top_ports[i].key, "ip/", 3) == 0;
    }
    return is_all;
}

static void report_vertical(struct detection *detection, struct detector *self, uint32_t window,
                            uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const struct detection_subject subject = table->entries[number].subject;
    const struct detection_tally tally = detector_tally(detection, table, number);
    struct alert_record *draft =
        draft_of(detection, self, ALERT_PORT_SCAN_VERTICAL, window, number, &tally);
    char source[ADDRESS_TEXT_BYTES], target[ADDRESS_TEXT_BYTES];
    char answered[EVIDENCE_ANSWERED_BYTES];
    const char *about = evidence_about(table, number);

    evidence_victim(draft, &subject.target, 0);
    draft->victims_total_estimate = 1;
    evidence_add_address(draft->top_targets, &draft->top_targets_count, &subject.target,
                         (uint64_t)tally.tried);
    evidence_of_set(NULL, NULL, draft->top_ports, &draft->top_ports_count, table, number);
    (void)address_text(&subject.source, source);
    (void)address_text(&subject.target, target);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s tries %s%.0f %s of %s in %.4g s; %s (threshold %.10g)", source, about,
                   tally.tried, is_of_protocols(draft) ? "IP protocols" : "ports", target,
                   window_length(self, window), evidence_answered(table, number, &tally, answered),
                   draft->threshold);
    incident_report(detection, self, &subject);
}

/* `number` is the port with most hosts; findings[] are all ports over the threshold. */
static void report_horizontal(struct detection *detection, struct detector *self, uint32_t window,
                              uint32_t number, const struct detection_finding *findings,
                              uint32_t count)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const struct detection_subject fan = table->entries[number].subject;
    const struct detection_subject subject = {.source = fan.source};
    const struct detection_tally tally = tally_of(detection, self, window, number);
    struct alert_record *draft =
        draft_of(detection, self, ALERT_PORT_SCAN_HORIZONTAL, window, number, &tally);
    char source[ADDRESS_TEXT_BYTES], answered[EVIDENCE_ANSWERED_BYTES];
    const char *about = evidence_about(table, number);

    draft->victims_total_estimate = (uint64_t)tally.tried;
    evidence_of_set(draft->top_targets, &draft->top_targets_count, NULL, NULL, table, number);
    evidence_victims_of_targets(draft, fan.port);
    for (uint32_t i = 0; i < count; i++) {
        if (address_equal(&findings[i].subject.source, &fan.source)) {
            evidence_add_port(draft->top_ports, &draft->top_ports_count,
                              findings[i].subject.protocol, findings[i].subject.port,
                              (uint64_t)findings[i].observed);
        }
    }
    (void)address_text(&fan.source, source);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s tries port %u of %s%.0f hosts in %.4g s; %s (threshold %.10g)", source,
                   fan.port, about, tally.tried, window_length(self, window),
                   evidence_answered(table, number, &tally, answered), draft->threshold);
    incident_report(detection, self, &subject);
}

static bool is_first_of_source(const struct detection_finding *findings, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++) {
        if (address_equal(&findings[i].subject.source, &findings[at].subject.source)) {
            return false;
        }
    }
    return true;
}

static void decide_horizontal(struct detection *detection, struct detector *self, uint32_t window)
{
    const struct detection_finding *findings;
    const uint32_t count = detector_find_over(detection, self, window,
                                              level_of(self->rules, window), unanswered, &findings);

    for (uint32_t i = 0; i < count; i++) {
        if (is_first_of_source(findings, i)) {
            report_horizontal(detection, self, window, findings[i].number, findings, count);
        }
    }
}

static void decide_vertical(struct detection *detection, struct detector *self, uint32_t window)
{
    const struct detection_finding *findings;
    const uint32_t count = detector_find_over(detection, self, window,
                                              level_of(self->rules, window), unanswered, &findings);

    for (uint32_t i = 0; i < count; i++) {
        const struct detection_subject scanner = {.source = findings[i].subject.source};

        if (incident_is_open(detection, ALERT_PORT_SCAN_HORIZONTAL, &scanner)) {
            incident_suppress(detection, ALERT_PORT_SCAN_HORIZONTAL, &scanner);
        } else {
            report_vertical(detection, self, window, findings[i].number);
        }
    }
}

static void decide(struct detection *detection, struct detector *self)
{
    decide_horizontal(detection, self, WINDOW_FAN);
    decide_horizontal(detection, self, WINDOW_FAN_SLOW);
    decide_vertical(detection, self, WINDOW_PAIR);
    decide_vertical(detection, self, WINDOW_PAIR_SLOW);
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    return detector_watch_members(level_of(rules, window));
}

const struct detector_ops port_scan_detector = {
    .name = "port_scan",
    .help = "Port scans.",
    .kind = ALERT_PORT_SCAN_VERTICAL,
    .defaults = {.mode = "alert",
                 .window = "10s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 6e10,
                 .window_alias = "window_secs",
                 .medium = "25",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 2,
                 .medium_max = 65536,
                 .medium_key = "unique_ports_threshold",
                 .medium_help = "Ports of one target tried without an answer: a vertical scan.",
                 .quiet = "30s",
                 .quiet_key = "cooldown",
                 .quiet_alias = "cooldown_secs"},
    .events = EVENT(SYN) | EVENT(SYN_ACK) | EVENT(ESTABLISHED) | EVENT(PROBE) | EVENT(STRAY) |
              EVENT(STRAY_ANSWER),
    .views = {{.name = "pair", .size = SIZE_SCANNERS, .members = 4},
              {.name = "fan", .size = SIZE_SCANNERS, .members = 4}},
    .windows = {{.view = VIEW_PAIR},
                {.view = VIEW_FAN},
                {.view = VIEW_PAIR, .param = 1 + PARAM_PAIR_SLOW, .needs_unanswered = true},
                {.view = VIEW_FAN, .param = 1 + PARAM_FAN_SLOW, .needs_unanswered = true}},
    .windows_count = 4,
    .params = {{.type = CONFIG_U64,
                .key = "unique_hosts_threshold",
                .value = "25",
                .min = 2,
                .max = 1e9,
                .help = "Targets tried on one port without an answer: a horizontal scan."},
               {.type = CONFIG_DURATION,
                .key = "slow_ports_window",
                .value = "1h",
                .min = 6e10,
                .max = 8.64e13,
                .help = "The long window of vertical scans."},
               {.type = CONFIG_U64,
                .key = "slow_ports_threshold",
                .value = "60",
                .min = 2,
                .max = 65536,
                .help = "Ports in it."},
               {.type = CONFIG_DURATION,
                .key = "slow_hosts_window",
                .value = "5m",
                .min = 6e10,
                .max = 8.64e13,
                .help = "The long window of horizontal scans."},
               {.type = CONFIG_U64,
                .key = "slow_hosts_threshold",
                .value = "60",
                .min = 2,
                .max = 1e9,
                .help = "Targets in it."},
               {.type = CONFIG_BOOL,
                .key = "count_named",
                .value = "false",
                .help = "Targets outside that do not answer count for horizontal scans also where "
                        "an answer of DNS had just led to them."}},
    .feed = feed,
    .decide = decide,
    .watch = watch};
