/* Brute force: one source that logs in to a service again and again, each time for a moment; or
 * many sources at one service, or one source at many, each pair too slow to be seen alone.
 *
 * What counts is a connection to a service with log-ins, recognised by its first bytes or else by
 * its port, in which the client said enough to have tried and that was over soon; for HTTP an
 * answer 401 or 407 to credentials. A health check says less, a session that works says more. When
 * a connection of the same pair is a session while the incident is open, the guess may have been
 * right: severity is at least HIGH. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define ATTEMPT_NS  (10 * NS_PER_SEC)
#define SESSION_NS  (30 * NS_PER_SEC)
#define SPREAD_EACH 3 /* attempts at each of many targets */

enum {
    VIEW_PAIR,   /* source, target, port */
    VIEW_VICTIM, /* target, port: sources */
    VIEW_SPREAD, /* source, port: targets */
};
enum { COUNT_ATTEMPT, COUNT_SESSION, COUNTERS };
enum { PARAM_SOURCES };

/* Payload of the client in one attempt: below it has not come to a log-in, above it has got in. */
struct attempt_bytes {
    uint64_t least, most;
};

static struct attempt_bytes bytes_of(uint8_t service)
{
    switch (service) {
    case DETECTION_SERVICE_SSH: /* the key exchange alone is over a kilobyte */
        return (struct attempt_bytes){900, 6000};
    case DETECTION_SERVICE_RDP:
    case DETECTION_SERVICE_SMB:
        return (struct attempt_bytes){300, 10000};
    case DETECTION_SERVICE_FTP:
    case DETECTION_SERVICE_TELNET:
    case DETECTION_SERVICE_MAIL:
        return (struct attempt_bytes){12, 1500};
    case DETECTION_SERVICE_DATABASE:
        return (struct attempt_bytes){30, 2500};
    default:
        return (struct attempt_bytes){0};
    }
}

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    (void)rules;
    return bytes_of(glance->service).most > 0;
}

static const char *name_of(uint16_t port)
{
    return port == 22 ? " (SSH)" : port == 3389 ? " (RDP)" : port == 445 ? " (SMB)" : "";
}

/* An attempt in a view of many: the other end of it. */
static void add_peer(const struct detector_rules *rules, struct detection_frame *frame,
                     const struct detection_fact *fact, uint32_t view,
                     const struct ip_address *peer)
{
    const unsigned parts = view == VIEW_VICTIM ? PART_TARGET : PART_SOURCE;
    struct detector_note *note =
        detector_note_of(rules, frame, view, fact, parts | PART_SERVICE, 1);

    if (note == NULL) {
        return;
    }
    note->counts[COUNT_ATTEMPT] = 1;
    (void)detector_note_peer(note, frame, fact, peer);
}

static void count(const struct detector_rules *rules, struct detection_frame *frame,
                  const struct detection_fact *fact, uint32_t counter)
{
    struct detector_note *note = detector_note_of(rules, frame, VIEW_PAIR, fact,
                                                  PART_SOURCE | PART_TARGET | PART_SERVICE, 1);

    if (note != NULL) {
        note->counts[counter] = 1;
    }
    if (counter == COUNT_ATTEMPT) {
        add_peer(rules, frame, fact, VIEW_VICTIM, &fact->source);
        add_peer(rules, frame, fact, VIEW_SPREAD, &fact->target);
    }
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    const uint64_t lasted_ns = fact->time_ns > fact->first_ns ? fact->time_ns - fact->first_ns : 0;

    if (fact->event == DETECTION_REFUSED) {
        count(rules, frame, fact, COUNT_ATTEMPT);
        return;
    }
    const struct attempt_bytes bytes = bytes_of(fact->service);

    if (bytes.most == 0 || !fact->is_answered || fact->payload_bytes[0] < bytes.least) {
        return;
    }
    if (fact->payload_bytes[0] <= bytes.most && lasted_ns <= ATTEMPT_NS) {
        count(rules, frame, fact, COUNT_ATTEMPT);
    } else if (lasted_ns >= SESSION_NS || fact->payload_bytes[0] > 2 * bytes.most) {
        count(rules, frame, fact, COUNT_SESSION);
    }
}

static double attempts(struct detection *detection, const struct detector *self, uint32_t window,
                       uint32_t number)
{
    return (double)detection_table_sum(detector_window(detection, self, window), number,
                                       COUNT_ATTEMPT);
}

/* What of a victim's sources, or of a source's targets, is no incident of its own. */
struct rest {
    double peers, attempts;
};

static struct rest rest_of(struct detection *detection, const struct detector *self,
                           uint32_t window, uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const struct detection_entry *entry = &table->entries[number];
    struct rest rest = {.peers = detection_table_members(table, number),
                        .attempts = attempts(detection, self, window, number)};

    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL; member = detection_table_next(table, member)) {
        struct detection_subject pair = entry->subject;

        *(window == VIEW_VICTIM ? &pair.source : &pair.target) = member->address;
        if (incident_is_open(detection, ALERT_BRUTE_FORCE, &pair)) {
            const uint32_t found = detection_lookup(detection, self, VIEW_PAIR, &pair);

            rest.peers -= (double)(UINT64_C(1) << entry->level);
            rest.attempts -=
                found != DETECTION_NONE ? attempts(detection, self, VIEW_PAIR, found) : 0;
        }
    }
    return rest;
}

static bool is_wide(struct detection *detection, const struct detector *self, uint32_t window,
                    uint32_t number)
{
    return detection_table_members(detector_window(detection, self, window), number) >=
           (double)self->rules->params[PARAM_SOURCES].number;
}

/* Many sources, each too slow to be seen alone. */
static double distributed(struct detection *detection, const struct detector *self, uint32_t window,
                          uint32_t number)
{
    if (!is_wide(detection, self, window, number)) {
        return -1;
    }
    const struct rest rest = rest_of(detection, self, window, number);

    return rest.peers >= (double)self->rules->params[PARAM_SOURCES].number ? rest.attempts : -1;
}

/* One source at many targets, each of which it leaves soon. What manages hosts logs in to many as
 * well, and needs one log-in each. */
static double spread(struct detection *detection, const struct detector *self, uint32_t window,
                     uint32_t number)
{
    if (!is_wide(detection, self, window, number)) {
        return -1;
    }
    const struct rest rest = rest_of(detection, self, window, number);

    return rest.peers >= (double)self->rules->params[PARAM_SOURCES].number &&
                   rest.attempts >= rest.peers * SPREAD_EACH
               ? rest.attempts
               : -1;
}

static double minutes(const struct detector *self)
{
    return (double)self->rules->window_ns / (60 * (double)NS_PER_SEC);
}

static void report_pair(struct detection *detection, struct detector *self,
                        const struct detection_finding *finding)
{
    const uint32_t number = finding->number;
    const struct detection_table *table = detector_window(detection, self, VIEW_PAIR);
    const struct detection_subject subject = table->entries[number].subject;
    const uint64_t tries = detection_table_sum(table, number, COUNT_ATTEMPT);
    const uint64_t sessions = detection_table_sum(table, number, COUNT_SESSION);
    struct alert_record *draft = incident_draft(detection, self,
                                                &(struct incident_start){.kind = ALERT_BRUTE_FORCE,
                                                                         .window = VIEW_PAIR,
                                                                         .number = number,
                                                                         .observed = (double)tries,
                                                                         .unit = "attempts"});
    char source[ADDRESS_TEXT_BYTES], target[ADDRESS_TEXT_BYTES];

    if (sessions > 0 && draft->severity < SEVERITY_HIGH) {
        draft->severity = SEVERITY_HIGH;
    }
    draft->estimate_error = 0;
    draft->attackers_total_estimate = draft->victims_total_estimate = 1;
    evidence_attacker(draft, &subject.source, 0);
    evidence_victim(draft, &subject.target, subject.port);
    evidence_add_address(draft->top_sources, &draft->top_sources_count, &subject.source, tries);
    evidence_add_address(draft->top_targets, &draft->top_targets_count, &subject.target, tries);
    evidence_add_port(draft->top_ports, &draft->top_ports_count, subject.protocol, subject.port,
                      tries);
    evidence_mitre(draft, "TA0006", "T1110", "Brute Force", 75);
    (void)address_text(&subject.source, source);
    (void)address_text(&subject.target, target);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s logs in to %s port %u%s %llu times in %.4g min, each for a moment; %llu "
                   "connections became sessions (threshold %.10g)",
                   source, target, subject.port, name_of(subject.port), (unsigned long long)tries,
                   minutes(self), (unsigned long long)sessions, draft->threshold);
    incident_report(detection, self, &subject);
}

/* A victim with many sources, or a source with many victims. */
static void report_wide(struct detection *detection, struct detector *self,
                        const struct detection_finding *finding)
{
    const bool is_victim = finding->window == VIEW_VICTIM;
    const struct detection_table *table = detector_window(detection, self, finding->window);
    const struct detection_subject *subject = &finding->subject;
    const struct ip_address *address = is_victim ? &subject->target : &subject->source;
    const double peers = rest_of(detection, self, finding->window, finding->number).peers;
    const uint64_t tries = (uint64_t)finding->observed;
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_BRUTE_FORCE,
                                                .window = finding->window,
                                                .number = finding->number,
                                                .observed = finding->observed,
                                                .unit = "attempts"});
    char text[ADDRESS_TEXT_BYTES];

    draft->attackers_total_estimate = is_victim ? (uint64_t)peers : 1;
    draft->victims_total_estimate = is_victim ? 1 : (uint64_t)peers;
    (void)address_text(address, text);
    if (is_victim) {
        evidence_victim(draft, address, subject->port);
        evidence_of_set(draft->top_sources, &draft->top_sources_count, NULL, NULL, table,
                        finding->number);
        evidence_attackers_of_sources(draft);
        evidence_add_address(draft->top_targets, &draft->top_targets_count, address, tries);
    } else {
        evidence_attacker(draft, address, 0);
        evidence_of_set(draft->top_targets, &draft->top_targets_count, NULL, NULL, table,
                        finding->number);
        evidence_victims_of_targets(draft, subject->port);
        evidence_add_address(draft->top_sources, &draft->top_sources_count, address, tries);
    }
    evidence_add_port(draft->top_ports, &draft->top_ports_count, subject->protocol, subject->port,
                      tries);
    evidence_mitre(draft, "TA0006", "T1110.003", "Password Spraying", 60);
    (void)snprintf(draft->description, sizeof(draft->description),
                   is_victim ? "%s port %u%s: %s%.0f sources log in %llu times in %.4g min, each "
                               "for a moment (threshold %.10g)"
                             : "%s logs in to port %u%s of %s%.0f hosts %llu times in %.4g min, "
                               "each for a moment (threshold %.10g)",
                   text, subject->port, name_of(subject->port),
                   evidence_about(table, finding->number), peers, (unsigned long long)tries,
                   minutes(self), draft->threshold);
    incident_report(detection, self, subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, VIEW_PAIR, 0, attempts, report_pair);
    detector_report_over(detection, self, VIEW_VICTIM, 0, distributed, report_wide);
    detector_report_over(detection, self, VIEW_SPREAD, 0, spread, report_wide);
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    return window == VIEW_PAIR
               ? detector_watch_sum(COUNT_ATTEMPT, rules->levels[LEVEL_MEDIUM])
               : detector_watch_members((double)rules->params[PARAM_SOURCES].number);
}

const struct detector_ops brute_force_detector = {
    .name = "brute_force",
    .help = "Log-ins guessed at: SSH, RDP, SMB, FTP, Telnet, mail, databases, HTTP 401.",
    .kind = ALERT_BRUTE_FORCE,
    .defaults = {.mode = "alert",
                 .window = "30m",
                 .window_min_ns = 1e10,
                 .window_max_ns = 8.64e13,
                 .medium = "30",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 2,
                 .medium_max = 1e9,
                 .quiet = "10m"},
    .events = EVENT(CLOSE) | EVENT(REFUSED),
    .views = {{.name = "pair", .size = SIZE_SCANNERS, .counters = COUNTERS},
              {.name = "victim", .size = SIZE_VICTIMS, .counters = COUNTERS, .members = 4},
              {.name = "spread", .size = SIZE_SCANNERS, .counters = COUNTERS, .members = 4}},
    .windows = {{.view = VIEW_PAIR}, {.view = VIEW_VICTIM}, {.view = VIEW_SPREAD}},
    .windows_count = 3,
    .params =
        {{.type = CONFIG_U64,
          .key = "sources",
          .value = "10",
          .min = 2,
          .max = 1e9,
          .help =
              "From so many sources on one service, or of one source on so many hosts, it is one "
              "distributed attack."}},
    .cares = cares,
    .feed = feed,
    .decide = decide,
    .watch = watch};
