/* One incident, not one alert a second: OPEN once, UPDATE on a higher severity or ten times the
 * value, CLOSE when quiet. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detection_internal.h"

#define UPDATE_FACTOR 10

/* The same for every sensor and run: keys of incidents must be equal everywhere. */
static const struct hash_key identity_key = {UINT64_C(0x6e657473636f7065),
                                             UINT64_C(0x696e636964656e74)};

/* ---- drafts ---- */

static uint8_t severity_of(const struct detector_rules *rules, const double levels[LEVEL_COUNT],
                           double scale, double observed)
{
    static const uint8_t usual[LEVEL_COUNT] = {SEVERITY_MEDIUM, SEVERITY_HIGH, SEVERITY_CRITICAL};
    const uint8_t *severities =
        rules->ops->severities[0] != SEVERITY_NONE ? rules->ops->severities : usual;
    uint32_t level = LEVEL_MEDIUM;

    while (rules->ops->defaults.medium != NULL && level + 1 < LEVEL_COUNT &&
           observed >= levels[level + 1] * scale) {
        level++;
    }
    return severities[level];
}

static uint8_t score_of(uint8_t severity)
{
    static const uint8_t scores[] = {0, 10, 25, 50, 75, 95};

    return scores[severity];
}

static void fill_loss(const struct detection *detection, struct alert_record *draft)
{
    const uint64_t seconds = draft->window_ns / NS_PER_SEC + 1;

    if (detection->last_loss == 0 || detection->last_loss + seconds < detection->now) {
        return;
    }
    for (uint64_t i = 0; i < seconds && i < detection->lost_seconds && i <= detection->now; i++) {
        draft->loss_during_window +=
            detection->lost[(detection->now - i) % detection->lost_seconds];
    }
}

/* What the window knows of the draft's subject. */
static void fill_window(struct detection *detection, const struct detector *self,
                        const struct incident_start *start, struct alert_record *draft)
{
    const struct window *window = &detection->windows[self->rules->first_window + start->window];
    const struct detection_entry *entry = &window->table.entries[start->number];
    const uint64_t start_ns =
        detection->now > window->seconds ? (detection->now - window->seconds) * NS_PER_SEC : 0;
    const uint8_t param = self->rules->ops->windows[start->window].param;

    draft->window_ns = param == 0 ? self->rules->window_ns : self->rules->params[param - 1].number;
    draft->first_ns = entry->first_ns > start_ns ? entry->first_ns : start_ns;
    draft->last_ns = entry->last_ns;
    if (draft->first_ns > draft->last_ns) { /* old news that were told in the window */
        draft->first_ns = draft->last_ns;
    }
    draft->estimate_error = detection_level_error(entry->level);
    draft->saturated = detection_is_saturated(detection, window);
    detection->draft_origins = entry->origins;
    detection->draft_told_ns = entry->told_second * NS_PER_SEC > entry->last_ns
                                   ? entry->told_second * NS_PER_SEC
                                   : entry->last_ns;
    detection->draft_table = &window->table;
    detection->draft_number = start->number;
}

struct alert_record *incident_draft(struct detection *detection, const struct detector *self,
                                    const struct incident_start *start)
{
    const struct detector_rules *rules = self->rules;
    struct alert_record *draft = &detection->draft;
    const struct detector_override *other = NULL;
    const double scale = start->scale > 0 ? start->scale : 1;

    memset(draft, 0, sizeof(*draft));
    draft->kind = (uint8_t)start->kind;
    draft->scope = (uint8_t)detection->settings->scope;
    draft->observed = start->observed;
    memcpy(draft->config_hash, detection->settings->config_hash, sizeof(draft->config_hash));
    (void)snprintf(draft->unit, sizeof(draft->unit), "%s", start->unit);
    (void)snprintf(draft->config_key, sizeof(draft->config_key), "%s.%s", rules->path,
                   start->key != NULL ? start->key : "levels.medium");
    detection->draft_origins = 0;
    detection->draft_table = NULL;
    if (start->window != INCIDENT_NO_WINDOW) {
        const struct detection_table *table = detector_window(detection, self, start->window);

        fill_window(detection, self, start, draft);
        other = detection_override(rules, &table->entries[start->number].subject);
    } else {
        draft->window_ns = rules->window_ns;
        draft->first_ns = draft->last_ns = detection->now * NS_PER_SEC;
        detection->draft_told_ns = draft->last_ns;
    }
    const double *levels = other != NULL ? other->levels : rules->levels;

    detection->draft_mode = other != NULL ? other->mode : rules->mode;
    draft->threshold = levels[LEVEL_MEDIUM] * scale;
    draft->severity = severity_of(rules, levels, scale, draft->observed);
    draft->score = score_of(draft->severity);
    draft->confidence = draft->saturated ? 60 : 85;
    fill_loss(detection, draft);
    return draft;
}

void incident_add_origins(struct detection *detection, uint64_t origins)
{
    detection->draft_origins |= origins;
}

/* ---- incidents ---- */

static uint64_t hash_of(enum alert_kind kind, const struct detection_subject *subject)
{
    return hash_bytes(identity_key, subject, sizeof(*subject)) + (uint64_t)kind;
}

static uint64_t key_of(const struct detection *detection, const struct alert_record *draft,
                       const struct detection_subject *subject)
{
    const uint64_t parts[] = {
        draft->kind,
        (uint64_t)detection->settings->scope,
        hash_bytes(identity_key, subject, sizeof(*subject)),
        draft->window_ns,
        (uint64_t)draft->threshold,
    };

    return hash_bytes(identity_key, parts, sizeof(parts));
}

static struct detection_incident *find(struct detection *detection, enum alert_kind kind,
                                       const struct detection_subject *subject)
{
    const uint64_t hash = hash_of(kind, subject);

    for (uint32_t i = 0; detection->incidents_open > 0 && i < INCIDENTS_MAX; i++) {
        struct detection_incident *incident = &detection->incidents[i];

        if (incident->is_open && incident->hash == hash && incident->alert.kind == kind &&
            memcmp(&incident->subject, subject, sizeof(*subject)) == 0) {
            return incident;
        }
    }
    return NULL;
}

bool incident_is_open(const struct detection *detection, enum alert_kind kind,
                      const struct detection_subject *subject)
{
    for (uint32_t i = 0; detection->incidents_open > 0 && i < INCIDENTS_MAX; i++) {
        const struct detection_incident *incident = &detection->incidents[i];

        if (incident->is_open && incident->alert.kind == kind &&
            memcmp(&incident->subject, subject, sizeof(*subject)) == 0) {
            return true;
        }
    }
    return false;
}

static void send(struct detection *detection, struct detection_incident *incident,
                 enum alert_state state)
{
    struct detector_counts *counts = &detection->counts[incident->detector];

    incident->alert.state = (uint8_t)state;
    incident->alert.is_logged = incident->mode == DETECTOR_LOG;
    if (state == ALERT_OPEN) {
        counts->opened += incident->mode == DETECTOR_ALERT;
        counts->logged += incident->mode == DETECTOR_LOG;
        counts->learnt += incident->mode == DETECTOR_LEARN;
    }
    if (incident->mode != DETECTOR_LEARN) {
        alert_notes_put(&detection->settings->notes, &incident->alert);
        detection->emit(detection->emit_context, &incident->alert, incident->origins);
    }
}

static void open_incident(struct detection *detection, const struct detector *self,
                          const struct detection_subject *subject)
{
    struct alert_record *draft = &detection->draft;
    const uint64_t key = key_of(detection, draft, subject);
    const uint32_t detector = (uint32_t)(self - detection->detectors);
    struct detector_counts *counts = &detection->counts[detector];

    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        struct detection_incident *incident = &detection->incidents[i];

        if (incident->is_open) {
            continue;
        }
        evidence_flows(detection, draft);
        (void)snprintf(draft->alert_key, sizeof(draft->alert_key), "%016" PRIx64, key);
        alert_id_write(draft->first_ns, key ^ detection->settings->identity, draft->alert_id);
        *incident = (struct detection_incident){.is_open = true,
                                                .hash = hash_of(draft->kind, subject),
                                                .subject = *subject,
                                                .quiet_ns = self->rules->quiet_ns,
                                                .origins = detection->draft_origins,
                                                .told_ns = detection->draft_told_ns,
                                                .reported = draft->observed,
                                                .mode = detection->draft_mode,
                                                .detector = detector,
                                                .alert = *draft};
        detection->incidents_open++;
        counts->open++;
        send(detection, incident, ALERT_OPEN);
        return;
    }
    counts->refused++;
}

/* What is told is the worst that was seen. */
static void take_draft(struct detection *detection, struct alert_record *held)
{
    struct alert_record *draft = &detection->draft;

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

void incident_report(struct detection *detection, const struct detector *self,
                     const struct detection_subject *subject)
{
    struct alert_record *draft = &detection->draft;
    struct detection_incident *incident = find(detection, draft->kind, subject);

    if (detection->now * NS_PER_SEC >= detection->draft_told_ns + self->rules->quiet_ns) {
        return; /* a long window still holds what is over */
    }
    if (incident == NULL) {
        const bool is_local = detection->settings->scope == ALERT_FLEET_SCOPE &&
                              __builtin_popcountll(detection->draft_origins) < 2;

        if (is_local || (!self->rules->ops->opens_at_once && !detection_is_warm(detection))) {
            detection->counts[self - detection->detectors].suppressed += !is_local;
            return; /* one sensor's own finding, or too early to tell */
        }
        open_incident(detection, self, subject);
        return;
    }
    struct alert_record *held = &incident->alert;
    const bool is_more = draft->observed > held->observed;
    const bool is_news =
        draft->severity > held->severity || draft->observed >= incident->reported * UPDATE_FACTOR;

    incident->origins |= detection->draft_origins;
    if (incident->told_ns < detection->draft_told_ns) {
        incident->told_ns = detection->draft_told_ns;
    }
    held->suppressed_count += !is_news;
    detection->counts[incident->detector].suppressed += !is_news;
    held->last_ns = draft->last_ns > held->last_ns ? draft->last_ns : held->last_ns;
    held->saturated = held->saturated || draft->saturated;
    if (held->loss_during_window < draft->loss_during_window) {
        held->loss_during_window = draft->loss_during_window;
    }
    if (is_more || is_news) {
        take_draft(detection, held);
    }
    if (is_news) {
        evidence_flows(detection, held);
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
        detection->counts[incident->detector].suppressed++;
    }
}

static void close_incident(struct detection *detection, struct detection_incident *incident,
                           enum close_reason reason)
{
    incident->alert.close_reason = (uint8_t)reason;
    incident->is_open = false;
    detection->incidents_open--;
    detection->counts[incident->detector].open--;
    send(detection, incident, ALERT_CLOSE);
}

void incident_close_quiet(struct detection *detection)
{
    for (uint32_t i = 0; detection->incidents_open > 0 && i < INCIDENTS_MAX; i++) {
        struct detection_incident *incident = &detection->incidents[i];

        if (incident->is_open &&
            detection->now * NS_PER_SEC >= incident->told_ns + incident->quiet_ns) {
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
