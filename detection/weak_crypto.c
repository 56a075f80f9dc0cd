/* Log-ins in clear text, and TLS below 1.2 or with ciphers that are broken: one note a service, as
 * information. */
#include <stdio.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define TLS_1_2 0x0303

enum { COUNT_TIMES, COUNTERS };
enum { KIND_CREDENTIALS = 1, KIND_TLS = 2 }; /* in subject.label[0] */

/* NULL, export, RC2, RC4, DES and anonymous suites of RFC 2246 and 4346 (RFC 9325 4.1). */
static bool is_broken(uint16_t cipher)
{
    static const uint16_t others[] = {0x0034, 0x003a, 0xc002, 0xc007, 0xc00c, 0xc011};

    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        if (cipher == others[i]) {
            return true;
        }
    }
    return cipher <= 0x002b;
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    struct detection_subject subject = {
        .target = fact->target, .port = fact->target_port, .protocol = fact->protocol};
    struct detection_table *table = detector_view(rules, frame, 0);

    if (fact->event == DETECTION_TLS) {
        if (fact->code == 0 || (fact->code >= TLS_1_2 && !fact->is_weak &&
                                (fact->type == 0 || !is_broken(fact->type)))) {
            return;
        }
        subject.label[0] = KIND_TLS;
    } else if (fact->event == DETECTION_HTTP && !fact->is_weak) {
        return;
    } else {
        subject.label[0] = KIND_CREDENTIALS;
    }
    const uint32_t number = detector_touch(rules, frame, 0, &subject, fact->time_ns);
    struct detection_member member =
        detector_member(frame, detector_hash_address(frame, &fact->source), fact, true, false);

    member.address = fact->source;
    detection_table_count(table, number, COUNT_TIMES, 1);
    detection_table_add(table, number, &member, NULL);
    if (fact->event == DETECTION_CREDENTIALS) {
        detection_table_set_name(table, number, fact->name.data, fact->name.length);
    } else {
        char text[DETECTION_NAME_BYTES];
        const int length = fact->event == DETECTION_HTTP
                               ? snprintf(text, sizeof(text), "HTTP Basic")
                               : snprintf(text, sizeof(text), "version 0x%04x, cipher 0x%04x",
                                          fact->code, fact->type);

        detection_table_set_name(table, number, text, (size_t)length);
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
    const bool is_tls = subject.label[0] == KIND_TLS;
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
    .events = EVENT(TLS) | EVENT(HTTP) | EVENT(CREDENTIALS),
    .views = {{.name = "service",
               .size = SIZE_KEYS,
               .counters = COUNTERS,
               .members = 2,
               .has_names = true}},
    .windows = {{0, 0}},
    .windows_count = 1,
    .feed = feed,
    .decide = decide};
