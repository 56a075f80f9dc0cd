/* DHCP servers and IPv6 routers that were not there before: whoever answers first gives out the
 * gateway. What is seen in the learning period after the start belongs here, and what the settings
 * name; a server that comes later does not. */
#include <stdio.h>
#include <string.h>

#include "detection/detector.h"
#include "detection/detectors.h"

#define DHCP_OFFER       2
#define DHCP_ACK         5
#define DHCPV6_ADVERTISE 2
#define DHCPV6_REPLY     7

enum { COUNT_MESSAGES, COUNTERS };
enum { KIND_DHCP = 1, KIND_ROUTER = 2 }; /* in subject.port */
enum { PARAM_LEARNING, PARAM_SERVERS };

static bool is_offer(const struct detection_fact *fact)
{
    return fact->source.version == 4 ? fact->code == DHCP_OFFER || fact->code == DHCP_ACK
                                     : fact->code == DHCPV6_ADVERTISE || fact->code == DHCPV6_REPLY;
}

static bool is_named(const struct detector_rules *rules, const struct ip_address *address)
{
    const struct config_list *list = &rules->params[PARAM_SERVERS].list;

    for (uint32_t i = 0; i < list->count; i++) {
        struct ip_address known;

        if (address_parse(list->items[i], strlen(list->items[i]), &known) &&
            address_equal(&known, address)) {
            return true;
        }
    }
    return false;
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    const bool is_router = fact->event == DETECTION_ROUTER;
    struct detection_subject subject = {.source = fact->source,
                                        .port = is_router ? KIND_ROUTER : KIND_DHCP};

    if ((!is_router && !is_offer(fact)) || is_named(rules, &fact->source)) {
        return;
    }
    memcpy(subject.label, fact->mac, sizeof(fact->mac));
    detection_table_count(detector_view(rules, frame, 0),
                          detector_touch(rules, frame, 0, &subject, fact->time_ns), COUNT_MESSAGES,
                          1);
}

static double messages(struct detection *detection, const struct detector *self, uint32_t window,
                       uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);

    return detector_is_learnt(self, table, number, self->rules->params[PARAM_LEARNING].number)
               ? -1
               : (double)detection_table_sum(table, number, COUNT_MESSAGES);
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const bool is_router = finding->subject.port == KIND_ROUTER;
    const uint8_t *mac = finding->subject.label;
    struct alert_record *draft = incident_draft(
        detection, self,
        &(struct incident_start){.kind = is_router ? ALERT_IPV6_RA_SPOOF : ALERT_ROGUE_DHCP,
                                 .number = finding->number,
                                 .observed = finding->observed,
                                 .unit = is_router ? "advertisements" : "offers",
                                 .key = "servers"});
    char source[ADDRESS_TEXT_BYTES];

    draft->estimate_error = 0;
    draft->attackers_total_estimate = 1;
    evidence_attacker(draft, &finding->subject.source, 0);
    if (is_router) {
        evidence_mitre(draft, "TA0006", "T1557", "Adversary-in-the-Middle", 50);
    } else {
        evidence_mitre(draft, "TA0006", "T1557.003", "DHCP Spoofing", 60);
    }
    (void)address_text(&finding->subject.source, source);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s (%02x:%02x:%02x:%02x:%02x:%02x) %s, and was not there in the learning "
                   "period (threshold %.10g)",
                   source, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
                   is_router ? "advertises itself as an IPv6 router" : "answers as a DHCP server",
                   draft->threshold);
    incident_report(detection, self, &finding->subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, messages, report);
}

const struct detector_ops rogue_server_detector = {
    .name = "rogue_server",
    .help = "DHCP servers and IPv6 routers that were not there before.",
    .kind = ALERT_ROGUE_DHCP,
    .severities = {SEVERITY_HIGH, SEVERITY_HIGH, SEVERITY_CRITICAL},
    .defaults = {.mode = "log",
                 .window = "24h",
                 .window_min_ns = 1e9,
                 .window_max_ns = 6.048e14,
                 .medium = "1",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 1,
                 .medium_max = 1e9,
                 .quiet = "1h"},
    .opens_at_once = true,
    .events = EVENT(DHCP) | EVENT(ROUTER),
    .views = {{.name = "server", .size = SIZE_FEW, .counters = COUNTERS}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .params = {{.type = CONFIG_DURATION,
                .key = "learning",
                .value = "1h",
                .min = 0,
                .max = 6.048e14,
                .help = "After the start, servers that are seen belong here."},
               {.type = CONFIG_LIST,
                .key = "servers",
                .value = "",
                .min = 0,
                .max = 64,
                .help = "Addresses of servers and routers that belong here.",
                .is_addresses = true}},
    .memory = {.keeps_windows = true, .learning_param = PARAM_LEARNING},
    .feed = feed,
    .decide = decide};
