#include "detection/flood.h"

#include <stdio.h>

#include "base/clock.h"

/* The mean of about ten minutes; trusted after one. */
#define BASELINE_SECONDS 600
#define BASELINE_LEAST   60

void flood_add(const struct detector_rules *rules, struct detection_frame *frame,
               const struct detection_fact *fact, bool is_backward)
{
    const struct ip_address *target = is_backward ? &fact->source : &fact->target;
    const struct ip_address *source = is_backward ? &fact->target : &fact->source;
    const struct detection_subject subject = {.target = *target};
    struct detector_note *note =
        detector_note(rules, frame, 0, &subject, fact->time_ns, fact->packets[is_backward]);

    if (note == NULL) {
        return;
    }
    struct detection_member *member = detector_note_peer(note, frame, fact, source);

    member->port = is_backward ? fact->source_port : fact->target_port;
    member->client_port = is_backward ? fact->target_port : fact->source_port;
    member->count =
        fact->packets[is_backward] < UINT32_MAX ? (uint32_t)fact->packets[is_backward] : UINT32_MAX;
    note->counts[FLOOD_PACKETS] = fact->packets[is_backward];
    note->counts[FLOOD_BYTES] = fact->bytes[is_backward];
}

static double rate_of(struct detection *detection, const struct detector *self, uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, 0);
    const uint64_t packets = detection_table_sum(table, number, FLOOD_PACKETS) -
                             detection_table_recent(table, number, FLOOD_PACKETS);

    return (double)packets / (double)detector_window_seconds(detection, self, 0);
}

static double usual_of(const struct detection_entry *entry)
{
    return entry->baseline_seconds >= BASELINE_LEAST ? entry->baseline : 0;
}

static double measure(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    struct detection_entry *entry = &detector_window(detection, self, window)->entries[number];
    const double rate = rate_of(detection, self, number);

    if (rate >= self->rules->levels[LEVEL_MEDIUM] && rate >= FLOOD_FACTOR * usual_of(entry)) {
        return rate; /* what is usual is not learnt from a flood */
    }
    const double weight =
        1.0 / (entry->baseline_seconds < BASELINE_SECONDS ? entry->baseline_seconds + 1
                                                          : BASELINE_SECONDS);

    entry->baseline += (rate - entry->baseline) * weight;
    entry->baseline_seconds++;
    return rate >= FLOOD_FACTOR * usual_of(entry) ? rate : -1;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const enum alert_kind kind = self->rules->ops->kind;
    const char *what = kind == ALERT_UDP_FLOOD ? "UDP" : "ICMP";
    const uint32_t number = finding->number;
    const struct detection_table *table = detector_window(detection, self, 0);
    const struct detection_entry *entry = &table->entries[number];
    const struct detection_subject subject = entry->subject;
    const double rate = rate_of(detection, self, number);
    const double sources = detection_table_members(table, number);
    const double floor = self->rules->levels[LEVEL_MEDIUM];
    const double usual = usual_of(entry);
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){
                           .kind = kind,
                           .number = number,
                           .observed = rate,
                           .scale = FLOOD_FACTOR * usual > floor ? FLOOD_FACTOR * usual / floor : 1,
                           .unit = "packets/s"});
    char target[ADDRESS_TEXT_BYTES];

    draft->estimate_error = 0; /* packets are counted, only sources are sampled */
    draft->has_baseline = usual > 0;
    draft->baseline = usual;
    draft->attackers_total_estimate = (uint64_t)sources;
    draft->victims_total_estimate = 1;
    evidence_victim(draft, &subject.target, 0);
    evidence_of_set(draft->top_sources, &draft->top_sources_count, draft->top_ports,
                    &draft->top_ports_count, table, number);
    evidence_attackers_of_sources(draft);
    evidence_add_address(draft->top_targets, &draft->top_targets_count, &subject.target,
                         detection_table_sum(table, number, FLOOD_PACKETS));
    evidence_mitre(draft, "TA0040", "T1498.001", "Direct Network Flood", 80);
    (void)address_text(&subject.target, target);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s gets %.0f %s packets a second over %.4g s from %s%.0f %s; usual are %.0f "
                   "(threshold %.10g)",
                   target, rate, what, (double)self->rules->window_ns / (double)NS_PER_SEC,
                   evidence_about(table, number), sources, sources == 1 ? "source" : "sources",
                   usual, draft->threshold);
    incident_report(detection, self, &subject);
}

void flood_decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, measure, report);
}
