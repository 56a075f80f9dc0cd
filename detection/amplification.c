/* Amplification: answers of reflectors (DNS, NTP, CLDAP, SSDP, memcached, ...) to an address that
 * did not ask for them, or asked for far less. A resolver gets many answers too, each to a question
 * of its own size. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

enum { COUNT_IN, COUNT_OUT, COUNTERS }; /* bytes to the victim, and by it */
enum { PARAM_RATIO, PARAM_REFLECTORS };

static bool is_reflector_port(uint16_t port)
{
    switch (port) {
    case 17:    /* qotd */
    case 19:    /* chargen */
    case 53:    /* dns */
    case 69:    /* tftp */
    case 111:   /* portmap */
    case 123:   /* ntp */
    case 137:   /* netbios */
    case 161:   /* snmp */
    case 389:   /* cldap */
    case 520:   /* rip */
    case 1900:  /* ssdp */
    case 3283:  /* arms */
    case 3702:  /* ws-discovery */
    case 5060:  /* sip */
    case 5353:  /* mdns */
    case 5683:  /* coap */
    case 11211: /* memcached */
        return true;
    default:
        return false;
    }
}

/* Of the bytes at the level: how much those that were asked for may be off. */
#define DRAW_ERROR 0.02

/* Answers of the size that was asked for only tell that a victim asks: they are drawn. Of those
 * that nobody asked for each counts, and so does each reflector. */
static double chance_of(const struct detector_rules *rules, uint16_t source_port,
                        uint16_t target_port, const uint64_t bytes[2])
{
    const bool is_to_client = is_reflector_port(target_port);
    const double in = (double)bytes[is_to_client], out = (double)bytes[!is_to_client];

    if (!is_to_client && !is_reflector_port(source_port)) {
        return 0;
    }
    if (in >= out * rules->params[PARAM_RATIO].real) {
        return 1;
    }
    return detector_chance(in + out,
                           rules->least_level / 8 * (double)rules->window_ns / (double)NS_PER_SEC,
                           DRAW_ERROR);
}

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    return chance_of(rules, glance->source_port, glance->target_port, glance->bytes);
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    const bool is_to_client = is_reflector_port(fact->target_port);
    const double scale =
        address_is_multicast(&fact->target)
            ? 0
            : detector_draw(frame, fact,
                            chance_of(rules, fact->source_port, fact->target_port, fact->bytes));

    if (scale == 0) {
        return;
    }
    const struct ip_address *reflector = is_to_client ? &fact->target : &fact->source;
    const struct detection_subject subject = {.target = is_to_client ? fact->source : fact->target};
    const uint64_t in = detector_scale(fact->bytes[is_to_client], scale);
    struct detector_note *note = detector_note(rules, frame, 0, &subject, fact->time_ns, in);

    if (note == NULL) {
        return;
    }
    note->counts[COUNT_IN] = in;
    note->counts[COUNT_OUT] = detector_scale(fact->bytes[!is_to_client], scale);
    if (in > 0) {
        struct detection_member *member = detector_note_peer(note, frame, fact, reflector);

        member->port = is_to_client ? fact->target_port : fact->source_port;
        member->count = in < UINT32_MAX ? (uint32_t)in : UINT32_MAX;
    }
}

static double rate_of(struct detection *detection, const struct detector *self, uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, 0);
    const uint64_t bytes = detection_table_sum(table, number, COUNT_IN) -
                           detection_table_recent(table, number, COUNT_IN);

    return 8 * (double)bytes / (double)detector_window_seconds(detection, self, 0);
}

static double measure(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const union detector_value *params = self->rules->params;
    const double in = (double)detection_table_sum(table, number, COUNT_IN);
    const double out = (double)detection_table_sum(table, number, COUNT_OUT);

    if (in < out * params[PARAM_RATIO].real ||
        detection_table_members(table, number) < (double)params[PARAM_REFLECTORS].number) {
        return -1;
    }
    return rate_of(detection, self, number);
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const uint32_t number = finding->number;
    const struct detection_table *table = detector_window(detection, self, 0);
    const struct detection_subject subject = table->entries[number].subject;
    const double rate = rate_of(detection, self, number);
    const double reflectors = detection_table_members(table, number);
    const uint64_t in = detection_table_sum(table, number, COUNT_IN);
    const uint64_t out = detection_table_sum(table, number, COUNT_OUT);
    struct alert_record *draft = incident_draft(
        detection, self,
        &(struct incident_start){
            .kind = ALERT_AMPLIFICATION, .number = number, .observed = rate, .unit = "bit/s"});
    char target[ADDRESS_TEXT_BYTES];

    draft->estimate_error = DRAW_ERROR; /* of the bytes; reflectors are sampled */
    draft->attackers_total_estimate = (uint64_t)reflectors;
    draft->victims_total_estimate = 1;
    evidence_victim(draft, &subject.target, 0);
    evidence_of_set(draft->top_sources, &draft->top_sources_count, draft->top_ports,
                    &draft->top_ports_count, table, number);
    evidence_attackers_of_sources(draft);
    evidence_add_address(draft->top_targets, &draft->top_targets_count, &subject.target, in);
    evidence_mitre(draft, "TA0040", "T1498.002", "Reflection Amplification", 80);
    (void)address_text(&subject.target, target);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s gets %.2f Mbit/s of answers over %.4g s from %s%.0f reflectors, %llu bytes "
                   "for %llu asked (threshold %.10g bit/s)",
                   target, rate * 1e-6, (double)self->rules->window_ns / (double)NS_PER_SEC,
                   evidence_about(table, number), reflectors, (unsigned long long)in,
                   (unsigned long long)out, draft->threshold);
    incident_report(detection, self, &subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, measure, report);
}

const struct detector_ops amplification_detector = {
    .name = "amplification",
    .help = "Amplification: unasked answers of many reflectors to one address, in bit/s.",
    .kind = ALERT_AMPLIFICATION,
    .defaults = {.mode = "alert",
                 .window = "10s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 6e10,
                 .medium = "5000000",
                 .high = "50000000",
                 .critical = "500000000",
                 .medium_min = 1000,
                 .medium_max = 1e13,
                 .quiet = "30s"},
    .events = EVENT(VOLUME),
    .protocols = DETECTOR_UDP,
    .views = {{.name = "victim",
               .size = SIZE_VICTIMS,
               .counters = COUNTERS,
               .members = 4,
               .is_weighed = true}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .params = {{.type = CONFIG_DOUBLE,
                .key = "min_ratio",
                .value = "10",
                .min = 1,
                .max = 1e6,
                .help = "Bytes of answers for each byte that was asked."},
               {.type = CONFIG_U64,
                .key = "min_reflectors",
                .value = "10",
                .min = 1,
                .max = 1e9,
                .help = "Distinct reflectors."}},
    .cares = cares,
    .feed = feed,
    .decide = decide};
