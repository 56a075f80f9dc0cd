#include "sensor/pipeline/evidence_pins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/community_id.h"
#include "sensor/wire/packet_summary.h"

#define TABLES         (EVIDENCE_HISTORY + 1U)
#define INCIDENTS_MAX  256U /* open at once that keep their ids; the oldest makes room */
#define CANDIDATES_MAX 512U

struct incident {
    char alert_id[37]; /* "": free */
    uint64_t second;   /* in which it opened */
    uint32_t ids_count, later_count;
    char ids[ALERT_SAMPLES_MAX][24];
    uint32_t subjects_count[2];
    struct ip_address subjects[2][ALERT_ENDPOINTS_MAX]; /* attackers, victims */
};

struct candidate {
    const struct evidence_packet *packet;
    uint32_t sides; /* 2: from an attacker to a victim or back */
};

struct evidence_pins {
    struct evidence_pins_settings settings;
    struct evidence_pins_counts counts;
    struct evidence **tables; /* TABLES of each shard */
    uint32_t *next;           /* of each shard: the table that is replaced next */
    uint64_t second, left;    /* packets of this second still allowed */
    uint64_t taken;
    struct incident *incidents;
    struct candidate candidates[CANDIDATES_MAX];
    uint32_t candidates_count;
    const struct incident *sought;
};

struct evidence_pins *evidence_pins_new(const struct evidence_pins_settings *settings,
                                        struct error *err)
{
    AUTO(evidence_pins) pins = calloc(1, sizeof(*pins));

    if (pins != NULL) {
        pins->settings = *settings;
        pins->tables = calloc((size_t)settings->shards * TABLES, sizeof(struct evidence *));
        pins->next = calloc(settings->shards, sizeof(*pins->next));
        pins->incidents = calloc(INCIDENTS_MAX, sizeof(*pins->incidents));
    }
    if (pins == NULL || pins->tables == NULL || pins->next == NULL || pins->incidents == NULL) {
        error_set(err, ENOMEM, "evidence: no memory");
        return NULL;
    }
    for (uint32_t i = 0; i < settings->shards * TABLES; i++) {
        pins->tables[i] = evidence_new(settings->packets, settings->key, err);
        if (pins->tables[i] == NULL) {
            return NULL;
        }
        counter_add(&pins->counts.memory_bytes, evidence_bytes(pins->tables[i]));
    }
    return TAKE(pins);
}

void evidence_pins_free(struct evidence_pins *pins)
{
    if (pins == NULL) {
        return;
    }
    for (uint32_t i = 0; pins->tables != NULL && i < pins->settings.shards * TABLES; i++) {
        evidence_free(pins->tables[i]);
    }
    free(pins->tables);
    free(pins->next);
    free(pins->incidents);
    free(pins);
}

const struct evidence_pins_counts *evidence_pins_counts_of(const struct evidence_pins *pins)
{
    return &pins->counts;
}

void evidence_pins_take(struct evidence_pins *pins, uint32_t shard, struct evidence **evidence)
{
    struct evidence **oldest = &pins->tables[shard * TABLES + pins->next[shard]];
    struct evidence *fresh = *oldest;

    pins->next[shard] = (pins->next[shard] + 1) % TABLES;
    *oldest = *evidence;
    evidence_reset(fresh, 0);
    *evidence = fresh;
}

/* ---- finding --------------------------------------------------------------------------------- */

static bool is_among(const struct incident *incident, uint32_t role,
                     const struct ip_address *address)
{
    for (uint32_t i = 0; i < incident->subjects_count[role]; i++) {
        if (address_equal(&incident->subjects[role][i], address)) {
            return true;
        }
    }
    return false;
}

static void on_found(void *context, const struct evidence_packet *packet)
{
    struct evidence_pins *pins = context;
    const struct incident *incident = pins->sought;

    for (uint32_t i = 0; i < pins->candidates_count; i++) {
        if (pins->candidates[i].packet->number == packet->number) {
            return; /* its copy in the other end's bucket */
        }
    }
    if (pins->candidates_count == CANDIDATES_MAX) {
        return;
    }
    const bool is_attack =
        is_among(incident, 0, &packet->source) && is_among(incident, 1, &packet->target);
    const bool is_answer =
        is_among(incident, 1, &packet->source) && is_among(incident, 0, &packet->target);

    pins->candidates[pins->candidates_count++] =
        (struct candidate){packet, is_attack || is_answer ? 2 : 1};
}

static int compare(const void *left, const void *right)
{
    const struct candidate *a = left;
    const struct candidate *b = right;

    if (a->sides != b->sides) {
        return a->sides > b->sides ? -1 : 1;
    }
    if (a->packet->time_ns != b->packet->time_ns) {
        return a->packet->time_ns < b->packet->time_ns ? -1 : 1;
    }
    return a->packet->number < b->packet->number ? -1 : 1;
}

/* What the tables of seconds `from`..`to` hold of the incident's subjects: those between an
 * attacker and a victim first, each sort in order of time. */
static void find(struct evidence_pins *pins, const struct incident *incident, uint64_t from,
                 uint64_t to)
{
    pins->candidates_count = 0;
    pins->sought = incident;
    for (uint32_t i = 0; i < pins->settings.shards * TABLES; i++) {
        const uint64_t second = evidence_second(pins->tables[i]);

        if (second < from || second > to) {
            continue;
        }
        for (uint32_t role = 0; role < 2; role++) {
            for (uint32_t k = 0; k < incident->subjects_count[role]; k++) {
                evidence_find(pins->tables[i], &incident->subjects[role][k], on_found, pins);
            }
        }
    }
    qsort(pins->candidates, pins->candidates_count, sizeof(pins->candidates[0]), compare);
}

/* ---- publishing ------------------------------------------------------------------------------ */

static void fill_sample(const struct evidence_pins *pins, const struct evidence_packet *from,
                        struct packet_sample *to, char summary[PACKET_SUMMARY_BYTES],
                        char community_id[COMMUNITY_ID_TEXT_BYTES])
{
    const struct frame frame = {from->bytes,   from->kept_bytes, from->wire_bytes,
                                from->time_ns, from->link_type,  from->interface};
    struct packet packet;

    (void)packet_decode_by(pins->settings.rules, &frame, 0, &packet);
    to->summary.data = summary;
    to->summary.length = (uint32_t)packet_summary(&frame, &packet, summary, PACKET_SUMMARY_BYTES);
    if (packet.ip_version != 0 && (packet.facts & PACKET_IS_FRAGMENT) == 0) {
        const bool is_icmp = packet.protocol == 1 || packet.protocol == 58;
        const struct community_id_flow flow = {
            .source = packet_source(&packet),
            .target = packet_target(&packet),
            .protocol = packet.protocol,
            .source_port = is_icmp ? packet.icmp_type : packet.source_port,
            .target_port = is_icmp ? packet.icmp_code : packet.target_port};

        community_id_v1(&flow, pins->settings.flow->community_id_seed, community_id);
        to->community_id = (struct record_text){community_id, COMMUNITY_ID_TEXT_BYTES - 1};
    }
}

static bool publish_one(struct evidence_pins *pins, struct incident *incident,
                        const struct evidence_packet *from, evidence_publish *publish,
                        void *context)
{
    char summary[PACKET_SUMMARY_BYTES];
    char community_id[COMMUNITY_ID_TEXT_BYTES];
    char *id = incident->ids[incident->ids_count];
    const unsigned long long number = pins->taken + 1;
    const int id_length = snprintf(id, sizeof(incident->ids[0]), "e-%llu", number);
    struct packet_sample sample = {
        .id = {id, (uint32_t)id_length},
        .alert_id = {incident->alert_id, (uint32_t)strlen(incident->alert_id)},
        .interface = flow_interface_name(pins->settings.flow, from->interface),
        .time_ns = from->time_ns,
        .flow_id = from->flow_id,
        .linktype = from->link_type,
        .wire_length = from->wire_bytes,
        .captured_length = from->captured_bytes,
        .direction = from->direction,
        .reason = SAMPLE_ALERT_EVIDENCE,
        .payload_redacted = from->is_redacted,
        .data = from->bytes,
        .data_length = from->kept_bytes};

    if (pins->left == 0) {
        counter_add(&pins->counts.refused, 1);
        return false;
    }
    fill_sample(pins, from, &sample, summary, community_id);
    if (!publish(context, &sample)) {
        counter_add(&pins->counts.refused, 1);
        return false;
    }
    pins->left--;
    pins->taken++;
    incident->ids_count++;
    counter_add(&pins->counts.packets, 1);
    return true;
}

/* Takes `wanted` of candidates[begin..begin+count), spread evenly over them. */
static uint32_t pick_spread(const struct evidence_pins *pins, uint32_t begin, uint32_t count,
                            uint32_t wanted, struct candidate *picked)
{
    if (wanted > count) {
        wanted = count;
    }
    for (uint32_t i = 0; i < wanted; i++) {
        const uint32_t at = wanted == 1 ? count - 1 : i * (count - 1) / (wanted - 1);

        picked[i] = pins->candidates[begin + at];
    }
    return wanted;
}

static int compare_times(const void *left, const void *right)
{
    const struct evidence_packet *a = ((const struct candidate *)left)->packet;
    const struct evidence_packet *b = ((const struct candidate *)right)->packet;

    if (a->time_ns != b->time_ns) {
        return a->time_ns < b->time_ns ? -1 : 1;
    }
    return a->number < b->number ? -1 : 1;
}

/* Of the candidates, those with both ends first; published in order of time. Returns how many. */
static uint32_t publish_best(struct evidence_pins *pins, struct incident *incident,
                             uint32_t count_max, evidence_publish *publish, void *context)
{
    struct candidate picked[ALERT_SAMPLES_MAX];
    const uint32_t room = ALERT_SAMPLES_MAX - incident->ids_count;
    const uint32_t wanted = count_max < room ? count_max : room;
    uint32_t both = 0;
    uint32_t done = 0;

    while (both < pins->candidates_count && pins->candidates[both].sides == 2) {
        both++;
    }
    uint32_t count = pick_spread(pins, 0, both, wanted, picked);

    count += pick_spread(pins, both, pins->candidates_count - both, wanted - count, picked + count);
    qsort(picked, count, sizeof(picked[0]), compare_times);
    for (uint32_t i = 0; i < count; i++) {
        done += publish_one(pins, incident, picked[i].packet, publish, context);
    }
    return done;
}

/* ---- incidents ------------------------------------------------------------------------------- */

static struct incident *incident_find(struct evidence_pins *pins, const char *alert_id)
{
    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        if (strcmp(pins->incidents[i].alert_id, alert_id) == 0) {
            return &pins->incidents[i];
        }
    }
    return NULL;
}

static struct incident *incident_open(struct evidence_pins *pins, const struct alert_record *alert)
{
    struct incident *incident = &pins->incidents[0];

    for (uint32_t i = 0; i < INCIDENTS_MAX && incident->alert_id[0] != '\0'; i++) {
        struct incident *other = &pins->incidents[i];

        if (other->alert_id[0] == '\0' || other->second < incident->second) {
            incident = other;
        }
    }
    *incident = (struct incident){.second = pins->second};
    memcpy(incident->alert_id, alert->alert_id, sizeof(incident->alert_id));
    for (uint32_t i = 0; i < alert->attackers_count && i < ALERT_ENDPOINTS_MAX; i++) {
        if (alert->attackers[i].ip.version != 0) {
            incident->subjects[0][incident->subjects_count[0]++] = alert->attackers[i].ip;
        }
    }
    for (uint32_t i = 0; i < alert->victims_count && i < ALERT_ENDPOINTS_MAX; i++) {
        if (alert->victims[i].ip.version != 0) {
            incident->subjects[1][incident->subjects_count[1]++] = alert->victims[i].ip;
        }
    }
    return incident;
}

void evidence_pins_second(struct evidence_pins *pins, uint64_t second, evidence_publish *publish,
                          void *context)
{
    pins->second = second;
    pins->left = pins->settings.per_second;
    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        struct incident *incident = &pins->incidents[i];

        if (incident->alert_id[0] == '\0' || second <= incident->second ||
            second > incident->second + EVIDENCE_LATER || incident->later_count >= EVIDENCE_AFTER) {
            continue;
        }
        find(pins, incident, second, second);
        incident->later_count +=
            publish_best(pins, incident, EVIDENCE_AFTER / EVIDENCE_LATER, publish, context);
    }
}

void evidence_pins_alert(struct evidence_pins *pins, struct alert_record *alert,
                         evidence_publish *publish, void *context)
{
    struct incident *incident = incident_find(pins, alert->alert_id);

    if (alert->state == ALERT_OPEN && incident == NULL && alert->alert_id[0] != '\0') {
        incident = incident_open(pins, alert);
        find(pins, incident, pins->second > EVIDENCE_HISTORY ? pins->second - EVIDENCE_HISTORY : 0,
             pins->second);
        const uint32_t done = publish_best(pins, incident, EVIDENCE_BEFORE, publish, context);

        counter_add(done > 0 ? &pins->counts.alerts : &pins->counts.without, 1);
    }
    if (incident == NULL) {
        return;
    }
    memcpy(alert->packet_sample_ids, incident->ids, sizeof(incident->ids));
    alert->samples_count = (uint8_t)incident->ids_count;
    if (alert->state == ALERT_CLOSE) {
        incident->alert_id[0] = '\0';
    }
}
