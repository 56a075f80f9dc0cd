/* DHCP starvation: addresses are asked for in the name of so many clients that a server has none
 * left, and whoever has one to give is the network's gateway.
 *
 * Counted are clients that ask whether there is a server at all (DISCOVER, SOLICIT): whoever was
 * here before asks for the address it had. One Ethernet sender asks for itself; where it asks for
 * many it makes them up. Relays are told apart by their address, and ask for their whole network.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define DISCOVER 1 /* SOLICIT of DHCPv6 too */

enum { VIEW_LINK, VIEW_SENDER };
enum { PARAM_SENDER };

static bool is_zero(const void *bytes, size_t length)
{
    static const uint8_t zeros[16];

    return memcmp(bytes, zeros, length) == 0;
}

/* A client is its hardware address, or of DHCPv6 the address it asks from. */
static void add_client(const struct detector_rules *rules, struct detection_frame *frame,
                       uint32_t view, const struct detection_subject *subject,
                       const struct detection_fact *fact)
{
    struct detector_note *note = detector_note(rules, frame, view, subject, fact->time_ns, 1);
    const bool is_v6 = fact->source.version == 6;
    char name[ADDRESS_TEXT_BYTES];

    if (note == NULL) {
        return;
    }
    if (is_v6) {
        (void)address_text(&fact->source, name);
    } else {
        (void)mac_text(fact->client_mac, name);
    }
    (void)detector_note_member(
        note, frame,
        is_v6 ? detector_hash_address(frame, &fact->source)
              : detector_hash_bytes(frame, fact->client_mac, sizeof(fact->client_mac)),
        fact, true, false);
    detector_note_member_name(note, (struct record_text){name, (uint32_t)strlen(name)});
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    const bool is_v6 = fact->source.version == 6;
    struct detection_subject link = {.source = {.version = fact->source.version}};
    struct detection_subject sender = link;

    if (fact->is_answered || fact->code != DISCOVER ||
        (!is_v6 && is_zero(fact->client_mac, sizeof(fact->client_mac)))) {
        return;
    }
    if (!is_v6) {
        link.source = fact->source; /* 0.0.0.0, or the relay's */
    }
    add_client(rules, frame, VIEW_LINK, &link, fact);
    if (is_zero(fact->mac, sizeof(fact->mac)) ||
        (!is_v6 && (!is_zero(fact->source.bytes, sizeof(fact->source.bytes)) ||
                    memcmp(fact->mac, fact->client_mac, sizeof(fact->mac)) == 0))) {
        return; /* it is not known, a relay, or asks for itself */
    }
    memcpy(sender.label, fact->mac, sizeof(fact->mac));
    add_client(rules, frame, VIEW_SENDER, &sender, fact);
}

static double clients(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    return detection_table_members(detector_window(detection, self, window), number);
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detector_rules *rules = self->rules;
    const bool is_sender = finding->window == VIEW_SENDER;
    const struct detection_table *table = detector_window(detection, self, finding->window);
    const struct detection_entry *entry = &table->entries[finding->number];
    const struct ip_address *source = &finding->subject.source;
    struct alert_record *draft = incident_draft(
        detection, self,
        &(struct incident_start){.kind = ALERT_DHCP_STARVATION,
                                 .window = finding->window,
                                 .number = finding->number,
                                 .observed = finding->observed,
                                 .scale = is_sender ? (double)rules->params[PARAM_SENDER].number /
                                                          rules->levels[LEVEL_MEDIUM]
                                                    : 1,
                                 .unit = "clients",
                                 .key = is_sender ? "sender_threshold" : NULL});
    char who[ADDRESS_TEXT_BYTES + 8] = "Somebody";

    if (is_sender) {
        (void)mac_text(finding->subject.label, who);
        draft->attackers_total_estimate = 1;
    } else if (!is_zero(source->bytes, sizeof(source->bytes))) {
        char relay[ADDRESS_TEXT_BYTES];

        (void)address_text(source, relay);
        (void)snprintf(who, sizeof(who), "relay %s", relay);
        evidence_attacker(draft, source, 0);
    }
    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL; member = detection_table_next(table, member)) {
        evidence_add(draft->top_names, &draft->top_names_count,
                     detection_member_name(table, member), member->count);
    }
    evidence_mitre(draft, "TA0040", "T1499.002", "Service Exhaustion Flood", 50);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s asks DHCP%s for addresses for %s%.0f new clients in %.4g s (threshold "
                   "%.10g)",
                   who, source->version == 6 ? "v6" : "", evidence_about(table, finding->number),
                   finding->observed, (double)rules->window_ns / (double)NS_PER_SEC,
                   draft->threshold);
    incident_report(detection, self, &finding->subject);
}

/* What a sender asks for explains what its link does. */
static void decide(struct detection *detection, struct detector *self)
{
    const double level = (double)self->rules->params[PARAM_SENDER].number;
    const struct detection_finding *findings;
    const uint32_t senders =
        detector_find_over(detection, self, VIEW_SENDER, level, clients, &findings);

    for (uint32_t i = 0; i < senders; i++) {
        report(detection, self, &findings[i]);
    }
    if (senders == 0) {
        detector_report_over(detection, self, VIEW_LINK, 0, clients, report);
    }
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    return detector_watch_members(window == VIEW_SENDER ? (double)rules->params[PARAM_SENDER].number
                                                        : rules->levels[LEVEL_MEDIUM]);
}

const struct detector_ops dhcp_starvation_detector = {
    .name = "dhcp_starvation",
    .help = "Addresses asked for by DHCP in the name of many clients, until none are left.",
    .kind = ALERT_DHCP_STARVATION,
    .defaults = {.mode = "log",
                 .window = "60s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 3.6e12,
                 .medium = "100",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 2,
                 .medium_max = 1e9,
                 .quiet = "5m"},
    .events = EVENT(DHCP),
    .views = {{.name = "link", .size = SIZE_FEW, .members = 8, .has_member_names = true},
              {.name = "sender", .size = SIZE_FEW, .members = 8, .has_member_names = true}},
    .windows = {{.view = VIEW_LINK}, {.view = VIEW_SENDER}},
    .windows_count = 2,
    .params = {{.type = CONFIG_U64,
                .key = "sender_threshold",
                .value = "20",
                .min = 2,
                .max = 1e9,
                .help = "Clients for whom one Ethernet sender asks, which is no relay."}},
    .feed = feed,
    .decide = decide,
    .watch = watch};
