/* ARP and neighbour spoofing: two MAC addresses claim one IP address at the same time, one of them
 * by answers or announcements. The owner may claim it by questions alone: whom the spoofer keeps
 * answering asks nobody else. A machine
 * that takes over another's address (failover, a new network card) claims it once the other has
 * fallen silent, and virtual router addresses (VRRP, HSRP, GLBP, CARP) move by intent. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

enum { PARAM_CLAIMS };

/* 00:00:5e:00:01 and :02 (RFC 9568), 00:00:0c:07:ac and 00:05:73:a0 (HSRP), 00:07:b4 (GLBP). */
static bool is_virtual(const uint8_t mac[6])
{
    static const struct {
        uint8_t bytes[5], length;
    } known[] = {{{0x00, 0x00, 0x5e, 0x00, 0x01}, 5}, {{0x00, 0x00, 0x5e, 0x00, 0x02}, 5},
                 {{0x00, 0x00, 0x0c, 0x07, 0xac}, 5}, {{0x00, 0x00, 0x0c, 0x9f}, 4},
                 {{0x00, 0x05, 0x73, 0xa0}, 4},       {{0x00, 0x07, 0xb4}, 3}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (memcmp(mac, known[i].bytes, known[i].length) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_nothing(const struct ip_address *address)
{
    static const uint8_t zeros[16];

    return address->version == 0 || memcmp(address->bytes, zeros, sizeof(zeros)) == 0;
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    const struct detection_subject subject = {.source = fact->source};
    struct detection_table *table = detector_view(rules, frame, 0);
    char name[24];

    if (is_nothing(&fact->source) || is_virtual(fact->mac) ||
        memcmp(fact->mac, (const uint8_t[6]){0}, sizeof(fact->mac)) == 0) {
        return;
    }
    const uint32_t number = detector_touch(rules, frame, 0, &subject, fact->time_ns);
    const struct detection_member member =
        detector_member(frame, detector_hash_bytes(frame, fact->mac, sizeof(fact->mac)), fact, true,
                        fact->is_answered);

    (void)snprintf(name, sizeof(name), "%02x:%02x:%02x:%02x:%02x:%02x", fact->mac[0], fact->mac[1],
                   fact->mac[2], fact->mac[3], fact->mac[4], fact->mac[5]);
    detection_table_add(table, number, &member, name);
}

/* MACs that claim the address while another one does; who only asks spoofs nobody. */
static double contested(struct detection *detection, const struct detector *self, uint32_t window,
                        uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const struct detection_entry *entry = &table->entries[number];
    const uint64_t claims = self->rules->params[PARAM_CLAIMS].number;
    double count = 0;

    for (const struct detection_member *one = detection_table_first(table, entry); one != NULL;
         one = detection_table_next(table, one)) {
        for (const struct detection_member *other = detection_table_first(table, entry);
             other != NULL; other = detection_table_next(table, other)) {
            if (other != one && one->count >= claims && other->count >= claims &&
                one->first_second <= other->attempt_second &&
                other->first_second <= one->attempt_second &&
                (one->answer_second != 0 || other->answer_second != 0)) {
                count++;
                break;
            }
        }
    }
    return count;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_table *table = detector_window(detection, self, 0);
    const struct detection_entry *entry = &table->entries[finding->number];
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_ARP_SPOOF,
                                                .number = finding->number,
                                                .observed = finding->observed,
                                                .unit = "MAC addresses"});
    char address[ADDRESS_TEXT_BYTES];

    draft->estimate_error = 0;
    draft->attackers_total_estimate = 1;
    draft->victims_total_estimate = 1;
    evidence_victim(draft, &finding->subject.source, 0);
    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL; member = detection_table_next(table, member)) {
        evidence_add(draft->top_names, &draft->top_names_count,
                     detection_member_name(table, member), member->count);
    }
    evidence_mitre(draft, "TA0006", "T1557.002", "ARP Cache Poisoning", 70);
    (void)address_text(&finding->subject.source, address);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%.0f MAC addresses claim %s at the same time, most often %s and %s "
                   "(threshold %.10g)",
                   finding->observed, address, draft->top_names[0].key, draft->top_names[1].key,
                   draft->threshold);
    incident_report(detection, self, &finding->subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, contested, report);
}

const struct detector_ops arp_spoof_detector = {
    .name = "arp_spoof",
    .help = "One IP address claimed by several MAC addresses.",
    .kind = ALERT_ARP_SPOOF,
    .severities = {SEVERITY_HIGH, SEVERITY_HIGH, SEVERITY_CRITICAL},
    .defaults = {.mode = "log",
                 .window = "5m",
                 .window_min_ns = 1e9,
                 .window_max_ns = 8.64e13,
                 .medium = "2",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 2,
                 .medium_max = 1e6,
                 .quiet = "10m"},
    .events = EVENT(ARP),
    .views = {{.name = "address", .size = SIZE_KEYS, .members = 2, .has_member_names = true}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .params = {{.type = CONFIG_U64,
                .key = "claims",
                .value = "3",
                .min = 1,
                .max = 1e6,
                .help = "Each MAC address must have claimed it so many times in the window."}},
    .feed = feed,
    .decide = decide};
