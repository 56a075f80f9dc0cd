/* One incident, not one alert a second: OPEN once, UPDATE on a higher severity or ten times the
 * value, CLOSE when quiet. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detection_internal.h"

#define UPDATE_FACTOR   10
#define HIGH_FACTOR     4
#define CRITICAL_FACTOR 20

/* The same for every sensor and run: keys of incidents must be equal everywhere. */
static const struct hash_key identity_key = {UINT64_C(0x6e657473636f7065),
                                             UINT64_C(0x696e636964656e74)};

struct alert_record *incident_draft(struct detection *detection, enum alert_kind kind)
{
    struct alert_record *draft = &detection->draft;

    memset(draft, 0, sizeof(*draft));
    draft->kind = (uint8_t)kind;
    draft->scope = (uint8_t)detection->settings.scope;
    memcpy(draft->config_hash, detection->settings.config_hash, sizeof(draft->config_hash));
    return draft;
}

static uint64_t key_of(const struct detection *detection, enum alert_kind kind,
                       const struct detection_subject *subject)
{
    const struct detection_port_scan_settings *scan = &detection->settings.port_scan;
    const struct detection_syn_flood_settings *flood = &detection->settings.syn_flood;
    const uint64_t parts[] = {
        (uint64_t)kind,
        (uint64_t)detection->settings.scope,
        hash_bytes(identity_key, subject, sizeof(*subject)),
        kind == ALERT_SYN_FLOOD ? flood->window_ns : scan->window_ns,
        kind == ALERT_SYN_FLOOD            ? flood->syn_threshold
        : kind == ALERT_PORT_SCAN_VERTICAL ? scan->unique_ports_threshold
                                           : scan->unique_hosts_threshold,
    };

    return hash_bytes(identity_key, parts, sizeof(parts));
}

/* UUIDv7 (RFC 9562) of the first packet's time; the rest is a hash, so that a replay gives the same
 * one. */
static void write_id(const struct alert_record *alert, uint64_t key, char out[37])
{
    const uint64_t ms = alert->first_ns / NS_PER_MS;
    const uint64_t high = hash_mix(key ^ hash_mix(alert->first_ns));
    const uint64_t low = hash_mix(high + key);

    (void)snprintf(out, 37, "%08" PRIx64 "-%04" PRIx64 "-7%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
                   ms >> 16 & UINT64_C(0xffffffff), ms & 0xffff, high & 0xfff,
                   UINT64_C(0x8000) | (high >> 16 & 0x3fff), low & UINT64_C(0xffffffffffff));
}

static enum severity severity_of(const struct alert_record *alert)
{
    const double factor = alert->observed / (alert->threshold > 0 ? alert->threshold : 1);

    return factor >= CRITICAL_FACTOR ? SEVERITY_CRITICAL
           : factor >= HIGH_FACTOR   ? SEVERITY_HIGH
                                     : SEVERITY_MEDIUM;
}

static uint8_t score_of(uint8_t severity)
{
    return severity == SEVERITY_CRITICAL ? 95 : severity == SEVERITY_HIGH ? 75 : 50;
}

static struct detection_incident *find(struct detection *detection, enum alert_kind kind,
                                       const struct detection_subject *subject)
{
    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        struct detection_incident *incident = &detection->incidents[i];

        if (incident->is_open && incident->alert.kind == kind &&
            memcmp(&incident->subject, subject, sizeof(*subject)) == 0) {
            return incident;
        }
    }
    return NULL;
}

bool detection_scan_is_open(const struct detection *detection, enum alert_kind kind,
                            const struct ip_address *source)
{
    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        const struct detection_incident *incident = &detection->incidents[i];

        if (incident->is_open && incident->alert.kind == kind &&
            address_equal(&incident->subject.source, source)) {
            return true;
        }
    }
    return false;
}

static void send(struct detection *detection, struct detection_incident *incident,
                 enum alert_state state)
{
    incident->alert.state = (uint8_t)state;
    detection->emit(detection->emit_context, &incident->alert);
}

static void fill_loss(const struct detection *detection, struct alert_record *draft)
{
    const uint64_t seconds = draft->window_ns / NS_PER_SEC + 1;

    for (uint64_t i = 0; i < seconds && i < detection->ring_seconds && i <= detection->now; i++) {
        draft->loss_during_window +=
            detection->lost[(detection->now - i) % detection->ring_seconds];
    }
}

static void open_incident(struct detection *detection, const struct detection_subject *subject,
                          uint64_t cooldown_ns)
{
    struct alert_record *draft = &detection->draft;
    const uint64_t key = key_of(detection, draft->kind, subject);

    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        struct detection_incident *incident = &detection->incidents[i];

        if (incident->is_open) {
            continue;
        }
        (void)snprintf(draft->alert_key, sizeof(draft->alert_key), "%016" PRIx64, key);
        write_id(draft, key, draft->alert_id);
        *incident = (struct detection_incident){.is_open = true,
                                                .subject = *subject,
                                                .found_second = detection->now,
                                                .cooldown_ns = cooldown_ns,
                                                .reported = draft->observed,
                                                .alert = *draft};
        detection->incidents_open++;
        send(detection, incident, ALERT_OPEN);
        return;
    }
    detection->incidents_refused++;
}

void incident_report(struct detection *detection, const struct detection_subject *subject,
                     uint64_t cooldown_ns)
{
    struct alert_record *draft = &detection->draft;
    struct detection_incident *incident = find(detection, draft->kind, subject);

    draft->severity = (uint8_t)severity_of(draft);
    draft->score = score_of(draft->severity);
    draft->confidence = draft->saturated ? 60 : 85;
    fill_loss(detection, draft);
    if (incident == NULL) {
        open_incident(detection, subject, cooldown_ns);
        return;
    }
    struct alert_record *held = &incident->alert;
    const bool is_more = draft->observed > held->observed;
    const bool is_news =
        draft->severity > held->severity || draft->observed >= incident->reported * UPDATE_FACTOR;

    incident->found_second = detection->now;
    held->suppressed_count += !is_news;
    held->last_ns = draft->last_ns > held->last_ns ? draft->last_ns : held->last_ns;
    held->saturated = held->saturated || draft->saturated;
    if (held->loss_during_window < draft->loss_during_window) {
        held->loss_during_window = draft->loss_during_window;
    }
    if (is_more || is_news) { /* what is told is the worst that was seen */
        memcpy(draft->alert_id, held->alert_id, sizeof(draft->alert_id));
        memcpy(draft->alert_key, held->alert_key, sizeof(draft->alert_key));
        draft->first_ns = held->first_ns;
        draft->last_ns = held->last_ns;
        draft->saturated = held->saturated;
        draft->suppressed_count = held->suppressed_count;
        draft->loss_during_window = held->loss_during_window;
        if (draft->severity < held->severity) {
            draft->severity = held->severity;
            draft->score = held->score;
        }
        *held = *draft;
    }
    if (is_news) {
        incident->reported = draft->observed;
        send(detection, incident, ALERT_UPDATE);
    }
}

void incident_suppress(struct detection *detection, enum alert_kind kind,
                       const struct detection_subject *subject)
{
    struct detection_incident *incident = find(detection, kind, subject);

    if (incident != NULL) {
        incident->alert.suppressed_count++;
    }
}

static void close_incident(struct detection *detection, struct detection_incident *incident,
                           enum close_reason reason)
{
    incident->alert.close_reason = (uint8_t)reason;
    incident->is_open = false;
    detection->incidents_open--;
    send(detection, incident, ALERT_CLOSE);
}

void incident_close_quiet(struct detection *detection)
{
    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        struct detection_incident *incident = &detection->incidents[i];

        if (incident->is_open && incident->found_second < detection->now &&
            detection->now * NS_PER_SEC >= incident->alert.last_ns + incident->cooldown_ns) {
            close_incident(detection, incident, CLOSE_QUIET);
        }
    }
}

void incident_close_all(struct detection *detection, uint64_t now_ns)
{
    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        struct detection_incident *incident = &detection->incidents[i];

        if (incident->is_open) {
            if (incident->alert.last_ns > now_ns) {
                incident->alert.last_ns = now_ns;
            }
            close_incident(detection, incident, CLOSE_SHUTDOWN);
        }
    }
}

void evidence_add(struct alert_evidence_item items[ALERT_EVIDENCE_MAX], uint8_t *count,
                  const char *key, uint64_t weight)
{
    uint8_t at = 0;

    for (uint8_t i = 0; i < *count; i++) {
        if (strcmp(items[i].key, key) == 0) { /* seen before: it takes its new place */
            weight += items[i].count;
            memmove(&items[i], &items[i + 1], (size_t)(*count - i - 1) * sizeof(items[0]));
            (*count)--;
            break;
        }
    }
    while (at < *count && (items[at].count > weight ||
                           (items[at].count == weight && strcmp(items[at].key, key) < 0))) {
        at++;
    }
    if (at == ALERT_EVIDENCE_MAX) {
        return;
    }
    if (*count < ALERT_EVIDENCE_MAX) {
        (*count)++;
    }
    memmove(&items[at + 1], &items[at], (size_t)(*count - at - 1) * sizeof(items[0]));
    items[at] = (struct alert_evidence_item){.count = weight};
    (void)snprintf(items[at].key, sizeof(items[at].key), "%s", key);
}

void evidence_add_address(struct alert_evidence_item items[ALERT_EVIDENCE_MAX], uint8_t *count,
                          const struct ip_address *address, uint64_t weight)
{
    char text[ADDRESS_TEXT_BYTES];

    (void)address_text(address, text);
    evidence_add(items, count, text, weight);
}

void evidence_add_port(struct alert_evidence_item items[ALERT_EVIDENCE_MAX], uint8_t *count,
                       uint8_t protocol, uint16_t port, uint64_t weight)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%s/%u",
                   protocol == 6    ? "tcp"
                   : protocol == 17 ? "udp"
                                    : "ip",
                   port);
    evidence_add(items, count, text, weight);
}
