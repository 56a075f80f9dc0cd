/* DNS tunnels: one client asks for ever new names below one registered domain, and the names carry
 * data: they look random, they are long, or records of raw bytes (NULL, private types) are asked
 * for, which nothing else uses. Tunnels to a server that the client asks itself need no domain:
 * names that end in random bytes count together. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"
#include "detection/dns_name.h"

/* Where the domain would stand. */
#define NO_DOMAIN "no registered domain"

#define DNS_PORT           53
#define TYPE_NULL          10    /* RFC 1035 3.3.10 */
#define TYPE_PRIVATE_FIRST 65280 /* RFC 6895 3.1 */

enum { COUNT_QUERIES, COUNT_NAME_BYTES, COUNT_ENTROPY, COUNT_UP_BYTES, COUNT_RAW, COUNTERS };
enum { PARAM_ENTROPY, PARAM_UPLOAD, PARAM_EXEMPT_DOMAINS };

static bool is_exempt(const struct detector_rules *rules, struct record_text domain)
{
    const struct config_list *list = &rules->params[PARAM_EXEMPT_DOMAINS].list;

    for (uint32_t i = 0; i < list->count; i++) {
        if (strlen(list->items[i]) == domain.length &&
            strncasecmp(list->items[i], domain.data, domain.length) == 0) {
            return true;
        }
    }
    return false;
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    struct record_text domain, host;
    struct detection_subject subject = {.source = fact->source};

    if (dns_name_is_of_no_registry(fact->name)) {
        host = fact->name;
        domain = (struct record_text){NO_DOMAIN, sizeof(NO_DOMAIN) - 1};
    } else {
        dns_name_split(fact->name, &host, &domain);
    }
    if (host.length == 0 || dns_name_is_local(fact->name) || is_exempt(rules, domain)) {
        return;
    }
    const uint64_t hash = detector_hash_bytes(frame, domain.data, domain.length);

    memcpy(subject.label, &hash, sizeof(subject.label));
    struct detector_note *note = detector_note(rules, frame, 0, &subject, fact->time_ns, 1);

    if (note == NULL) {
        return;
    }
    detector_note_name(note, domain);
    note->counts[COUNT_QUERIES] = 1;
    note->counts[COUNT_NAME_BYTES] = host.length;
    note->counts[COUNT_ENTROPY] = dns_name_entropy(host);
    note->counts[COUNT_UP_BYTES] = fact->payload_bytes[0];
    note->counts[COUNT_RAW] = fact->type == TYPE_NULL || fact->type >= TYPE_PRIVATE_FIRST;
    (void)detector_note_member(note, frame, detector_hash_bytes(frame, host.data, host.length),
                               fact, true, fact->is_answered);
}

static double mean_entropy(const struct detection_table *table, uint32_t number)
{
    const uint64_t queries = detection_table_sum(table, number, COUNT_QUERIES);

    return queries > 0
               ? (double)detection_table_sum(table, number, COUNT_ENTROPY) / (double)queries / 1000
               : 0;
}

/* Names, where they carry data; else no candidate. */
static double measure(struct detection *detection, const struct detector *self, uint32_t window,
                      uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);
    const union detector_value *params = self->rules->params;
    const bool is_data =
        mean_entropy(table, number) >= params[PARAM_ENTROPY].real ||
        2 * detection_table_sum(table, number, COUNT_RAW) >=
            detection_table_sum(table, number, COUNT_QUERIES) ||
        detection_table_sum(table, number, COUNT_NAME_BYTES) >= params[PARAM_UPLOAD].number;

    return is_data ? detection_table_members(table, number) : -1;
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_table *table = detector_window(detection, self, 0);
    const uint32_t number = finding->number;
    const struct detection_subject subject = finding->subject;
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_DNS_TUNNEL,
                                                .number = number,
                                                .observed = finding->observed,
                                                .unit = "names"});
    char source[ADDRESS_TEXT_BYTES];

    draft->attackers_total_estimate = 1;
    evidence_attacker(draft, &subject.source, 0);
    evidence_add_address(draft->top_sources, &draft->top_sources_count, &subject.source,
                         detection_table_sum(table, number, COUNT_QUERIES));
    evidence_of_set(draft->top_targets, &draft->top_targets_count, NULL, NULL, table, number);
    evidence_victims_of_targets(draft, DNS_PORT); /* the server that is asked, often a relay */
    evidence_add(draft->top_names, &draft->top_names_count, detection_table_name(table, number),
                 detection_table_sum(table, number, COUNT_QUERIES));
    evidence_mitre(draft, "TA0011", "T1071.004", "DNS", 70);
    (void)address_text(&subject.source, source);
    (void)snprintf(
        draft->description, sizeof(draft->description),
        "%s asks for %s%.0f names below %s in %.4g min: %.1f bit a character, %llu "
        "bytes in names (threshold %.10g)",
        source, evidence_about(table, number), finding->observed,
        detection_table_name(table, number),
        (double)self->rules->window_ns / (60 * (double)NS_PER_SEC), mean_entropy(table, number),
        (unsigned long long)detection_table_sum(table, number, COUNT_NAME_BYTES), draft->threshold);
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

const struct detector_ops dns_tunnel_detector = {
    .name = "dns_tunnel",
    .help = "Data carried in DNS names.",
    .kind = ALERT_DNS_TUNNEL,
    .defaults = {.mode = "alert",
                 .window = "1h",
                 .window_min_ns = 1e10,
                 .window_max_ns = 8.64e13,
                 .medium = "100",
                 .high = "500",
                 .critical = "1000",
                 .medium_min = 2,
                 .medium_max = 1e9,
                 .quiet = "10m"},
    .events = EVENT(DNS),
    .views = {{.name = "domain",
               .size = SIZE_KEYS,
               .counters = COUNTERS,
               .members = 4,
               .has_names = true}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .params = {{.type = CONFIG_DOUBLE,
                .key = "entropy",
                .value = "3.5",
                .min = 0,
                .max = 8,
                .help = "Bits a character of the names, on average, from which they carry data."},
               {.type = CONFIG_BYTES,
                .key = "upload",
                .value = "50kB",
                .min = 0,
                .max = 1e15,
                .help = "Or so many bytes of names."},
               {.type = CONFIG_LIST,
                .key = "exempt_domains",
                .value = "",
                .min = 0,
                .max = 64,
                .help =
                    "Registered domains to leave alone: reputation services, content networks."}},
    .feed = feed,
    .decide = decide,
    .watch = watch};
