/* Log-ins in clear text, and TLS that is weak: an old version, a broken cipher, a certificate that
 * nothing vouches for or that is out of date. One note a service and weakness, as information. */
#include <stdio.h>

#include "base/attributes.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define TLS_1_2 0x0303

enum { COUNT_TIMES, COUNTERS };
/* In subject.label[0]. */
enum weakness {
    WEAK_LOGIN = 1,
    WEAK_VERSION,
    WEAK_CIPHER,
    WEAK_EXPIRED,
    WEAK_EARLY,
    WEAK_SELF_SIGNED
};

/* NULL, export, RC2, RC4, DES, 3DES and anonymous suites of the registry (RFC 9325 section 4.1). */
static bool is_broken(uint16_t cipher)
{
    static const struct {
        uint16_t first, last;
    } ranges[] = {
        {0x0001, 0x002e}, /* RFC 2246 to 4785; 0x002b and below, NULL with PSK */
        {0x0034, 0x0034}, {0x003a, 0x003b}, {0x0046, 0x0046}, {0x0060, 0x0066}, /* export 1024 */
        {0x006c, 0x006d}, {0x0089, 0x008b}, {0x008e, 0x008f}, {0x0092, 0x0093}, {0x009b, 0x009b},
        {0x00a6, 0x00a7}, {0x00b0, 0x00b1}, {0x00b4, 0x00b5}, {0x00b8, 0x00b9}, {0x00bf, 0x00bf},
        {0x00c5, 0x00c5}, {0xc001, 0xc003}, {0xc006, 0xc008}, {0xc00b, 0xc00d}, {0xc010, 0xc012},
        {0xc015, 0xc01c}, {0xc033, 0xc034}, {0xc039, 0xc03b}, {0xc046, 0xc047}, {0xc05a, 0xc05b},
        {0xc084, 0xc085}};

    for (size_t i = 0; i < ARRAY_COUNT(ranges) && cipher >= ranges[i].first; i++) { /* in order */
        if (cipher <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

static void note(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact, enum weakness weakness, struct record_text what)
{
    struct detection_subject subject = {.target = fact->target,
                                        .port = fact->target_port,
                                        .protocol = fact->protocol,
                                        .label = {(uint8_t)weakness}};
    struct detection_table *table = detector_view(rules, frame, 0);
    const uint32_t number = detector_touch(rules, frame, 0, &subject, fact->time_ns);
    struct detection_member member =
        detector_member(frame, detector_hash_address(frame, &fact->source), fact, true, false);

    member.address = fact->source;
    detection_table_count(table, number, COUNT_TIMES, 1);
    detection_table_add(table, number, &member, NULL);
    detection_table_set_name(table, number, what.data, what.length);
}

static void note_number(const struct detector_rules *rules, struct detection_frame *frame,
                        const struct detection_fact *fact, enum weakness weakness,
                        const char *format, uint32_t number)
{
    char text[DETECTION_NAME_BYTES];
    const int length = snprintf(text, sizeof(text), format, number);

    note(rules, frame, fact, weakness, (struct record_text){text, (uint32_t)length});
}

static bool is_old(uint32_t version)
{
    return version != 0 && version < TLS_1_2;
}

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    (void)rules;
    return is_old(glance->code) || glance->certificate != 0 || is_broken(glance->type);
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    if (fact->event == DETECTION_CREDENTIALS) {
        note(rules, frame, fact, WEAK_LOGIN, fact->name);
        return;
    }
    if (is_old(fact->code)) {
        note_number(rules, frame, fact, WEAK_VERSION, fact->code > 0x0300 ? "TLS 1.%u" : "SSL %u",
                    fact->code > 0x0300 ? fact->code - 0x0301 : fact->code >> 8);
    }
    if (is_broken(fact->type)) {
        note_number(rules, frame, fact, WEAK_CIPHER, "cipher 0x%04x", fact->type);
    }
    if ((fact->certificate & DETECTION_CERT_EXPIRED) != 0) {
        note(rules, frame, fact, WEAK_EXPIRED, (struct record_text){"expired certificate", 19});
    }
    if ((fact->certificate & DETECTION_CERT_EARLY) != 0) {
        note(rules, frame, fact, WEAK_EARLY, (struct record_text){"certificate not valid yet", 25});
    }
    if ((fact->certificate & DETECTION_CERT_SELF) != 0) {
        note(rules, frame, fact, WEAK_SELF_SIGNED,
             (struct record_text){"self-signed certificate", 23});
    }
}

static double times(struct detection *detection, const struct detector *self, uint32_t window,
                    uint32_t number)
{
    return (double)detection_table_sum(detector_window(detection, self, window), number,
                                       COUNT_TIMES);
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_table *table = detector_window(detection, self, 0);
    const struct detection_subject subject = finding->subject;
    const bool is_tls = subject.label[0] != WEAK_LOGIN;
    struct alert_record *draft = incident_draft(
        detection, self,
        &(struct incident_start){.kind = is_tls ? ALERT_WEAK_TLS : ALERT_CLEARTEXT_CREDENTIALS,
                                 .number = finding->number,
                                 .observed = finding->observed,
                                 .unit = is_tls ? "handshakes" : "log-ins"});
    char target[ADDRESS_TEXT_BYTES];

    draft->estimate_error = 0;
    draft->victims_total_estimate = 1;
    evidence_victim(draft, &subject.target, subject.port);
    evidence_of_set(draft->top_sources, &draft->top_sources_count, NULL, NULL, table,
                    finding->number);
    evidence_mitre(draft, "TA0006", "T1040", "Network Sniffing", 30);
    (void)address_text(&subject.target, target);
    (void)snprintf(draft->description, sizeof(draft->description),
                   is_tls ? "%s port %u speaks weak TLS (%s), %.0f handshakes (threshold %.10g)"
                          : "%s port %u takes log-ins in clear text (%s), %.0f times "
                            "(threshold %.10g)",
                   target, subject.port, detection_table_name(table, finding->number),
                   finding->observed, draft->threshold);
    incident_report(detection, self, &subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, times, report);
}

const struct detector_ops weak_crypto_detector = {
    .name = "weak_crypto",
    .help = "Log-ins in clear text and weak TLS, as information.",
    .kind = ALERT_CLEARTEXT_CREDENTIALS,
    .severities = {SEVERITY_INFO, SEVERITY_INFO, SEVERITY_LOW},
    .defaults = {.mode = "log",
                 .window = "1h",
                 .window_min_ns = 1e9,
                 .window_max_ns = 8.64e13,
                 .medium = "1",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 1,
                 .medium_max = 1e9,
                 .quiet = "1h"},
    .events = EVENT(TLS) | EVENT(CREDENTIALS),
    .views = {{.name = "service",
               .size = SIZE_KEYS,
               .counters = COUNTERS,
               .members = 2,
               .has_names = true}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .cares = cares,
    .feed = feed,
    .decide = decide};
