#include "sensor/pipeline/alert_join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/hash.h"
#include "proto/codec.h"

#define INCIDENTS_MAX 256U /* as many as detection has open; a closed one makes room first */
#define STEPS_MAX     4U   /* of an incident's score: severities rise three times at most */
#define KEPT_NS       (600 * NS_PER_SEC) /* after its end: flows that end by silence leave later */
#define PORTS_MAX     ALERT_EVIDENCE_MAX
#define SUBJECTS_MAX  (INCIDENTS_MAX * 2U * ALERT_ENDPOINTS_MAX)
#define BUCKETS       4096U /* a power of two */
#define NONE          UINT16_MAX

enum role { ATTACKER, VICTIM, ROLES };

struct port {
    uint8_t protocol;
    uint16_t port;
};

struct incident {
    char alert_id[37]; /* "": free */
    bool is_closed, is_single[ROLES], is_open_ended[ROLES];
    uint8_t ends_count[ROLES], ports_count, steps_count;
    uint64_t first_ns, last_ns, opened_second;
    struct alert_endpoint ends[ROLES][ALERT_ENDPOINTS_MAX];
    struct port ports[PORTS_MAX];
    struct {
        uint64_t second;
        uint8_t score;
    } steps[STEPS_MAX];
};

/* An end of an incident, in the list of its address' bucket. */
struct subject {
    uint16_t incident, next;
    uint8_t role, end;
};

struct alert_join {
    struct alert_join_settings settings;
    struct alert_join_counts counts;
    struct hash_key key;
    uint32_t incidents_count; /* that are not free */
    struct incident incidents[INCIDENTS_MAX];
    uint16_t heads[BUCKETS];
    struct subject subjects[SUBJECTS_MAX];
};

static_assert(SUBJECTS_MAX < NONE, "their numbers fit");

struct alert_join *alert_join_new(const struct alert_join_settings *settings, struct error *err)
{
    struct alert_join *join = calloc(1, sizeof(*join));

    if (join == NULL) {
        error_set(err, ENOMEM, "alerts of flows: no memory");
        return NULL;
    }
    join->settings = *settings;
    join->key = hash_key_random();
    return join;
}

void alert_join_free(struct alert_join *join)
{
    free(join);
}

const struct alert_join_counts *alert_join_counts_of(const struct alert_join *join)
{
    return &join->counts;
}

/* ---- incidents ---- */

static uint32_t bucket_of(const struct alert_join *join, const struct ip_address *address)
{
    return (uint32_t)hash_bytes(join->key, address->bytes, sizeof(address->bytes)) & (BUCKETS - 1);
}

/* From the start: alerts are rare. */
static void make_index(struct alert_join *join)
{
    uint16_t count = 0;

    join->incidents_count = 0;
    memset(join->heads, 0xff, sizeof(join->heads));
    for (uint16_t i = 0; i < INCIDENTS_MAX; i++) {
        const struct incident *incident = &join->incidents[i];

        join->incidents_count += incident->alert_id[0] != '\0';
        for (uint8_t role = 0; incident->alert_id[0] != '\0' && role < ROLES; role++) {
            for (uint8_t end = 0; end < incident->ends_count[role]; end++) {
                uint16_t *head = &join->heads[bucket_of(join, &incident->ends[role][end].ip)];

                join->subjects[count] = (struct subject){i, *head, role, end};
                *head = count++;
            }
        }
    }
}

/* "tcp/443". */
static bool read_port(const char *text, struct port *out)
{
    out->protocol = strncmp(text, "tcp/", 4) == 0 ? 6 : strncmp(text, "udp/", 4) == 0 ? 17 : 0;
    if (out->protocol == 0) {
        return false;
    }
    const unsigned long port = strtoul(text + 4, NULL, 10);

    out->port = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

static void take_ends(struct incident *incident, enum role role, const struct alert_endpoint *ends,
                      uint8_t count, uint64_t estimate)
{
    for (uint8_t i = 0; i < count && i < ALERT_ENDPOINTS_MAX; i++) {
        if (ends[i].ip.version != 0) {
            incident->ends[role][incident->ends_count[role]++] = ends[i];
        }
    }
    incident->is_single[role] = incident->ends_count[role] == 1 && estimate <= 1;
    incident->is_open_ended[role] = estimate > count;
}

static struct incident *find(struct alert_join *join, const char *alert_id)
{
    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        if (strcmp(join->incidents[i].alert_id, alert_id) == 0) {
            return &join->incidents[i];
        }
    }
    return NULL;
}

/* The place of one that is free, else of the closed one that ended first, else of the oldest. */
static struct incident *place(struct alert_join *join)
{
    struct incident *best = &join->incidents[0];

    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        struct incident *other = &join->incidents[i];

        if (other->alert_id[0] == '\0') {
            return other;
        }
        if (other->is_closed != best->is_closed ? other->is_closed
                                                : other->last_ns < best->last_ns) {
            best = other;
        }
    }
    return best;
}

static void forget_old(struct alert_join *join, uint64_t now_ns)
{
    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        struct incident *incident = &join->incidents[i];

        if (incident->is_closed && incident->last_ns + KEPT_NS < now_ns) {
            *incident = (struct incident){.is_closed = false};
        }
    }
}

static struct incident *open_incident(struct alert_join *join, const struct alert_record *alert,
                                      uint64_t second)
{
    struct incident *incident = place(join);

    *incident = (struct incident){.first_ns = alert->first_ns, .opened_second = second};
    memcpy(incident->alert_id, alert->alert_id, sizeof(incident->alert_id));
    take_ends(incident, ATTACKER, alert->attackers, alert->attackers_count,
              alert->attackers_total_estimate);
    take_ends(incident, VICTIM, alert->victims, alert->victims_count,
              alert->victims_total_estimate);
    for (uint8_t i = 0; i < alert->top_ports_count && i < PORTS_MAX; i++) {
        if (read_port(alert->top_ports[i].key, &incident->ports[incident->ports_count])) {
            incident->ports_count++;
        }
    }
    return incident;
}

void alert_join_note(struct alert_join *join, const struct alert_record *alert, uint64_t second)
{
    struct incident *incident = alert->alert_id[0] != '\0' ? find(join, alert->alert_id) : NULL;

    forget_old(join, second * NS_PER_SEC);
    if (incident == NULL && alert->state == ALERT_OPEN && alert->alert_id[0] != '\0') {
        incident = open_incident(join, alert, second);
    }
    if (incident != NULL) {
        const uint8_t before =
            incident->steps_count == 0 ? 0 : incident->steps[incident->steps_count - 1].score;

        if (alert->score > before && incident->steps_count < STEPS_MAX) {
            incident->steps[incident->steps_count].second = second;
            incident->steps[incident->steps_count++].score = alert->score;
        }
        incident->last_ns = alert->last_ns;
        incident->is_closed = alert->state == ALERT_CLOSE;
    }
    make_index(join);
}

/* ---- records ---- */

/* The last second whose decisions the record has. */
static uint64_t known_second(const struct alert_join *join, const struct batch_entry *entry)
{
    const uint64_t left_ns =
        entry->time_ns + (entry->end_reason == FLOW_END_IDLE ? join->settings.idle_timeout_ns : 0);
    const uint64_t second = left_ns / NS_PER_SEC;

    return join->settings.is_live ? UINT64_MAX : second < 2 ? 0 : second - 2;
}

uint64_t alert_join_wants(const struct alert_join *join, const struct record_batch *batch)
{
    uint64_t latest = 0;

    for (uint32_t i = 0; !join->settings.is_live && i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];

        if (entry->stream == RECORD_FLOWS && entry->name_room > 0) {
            const uint64_t second = known_second(join, entry);

            latest = second > latest ? second : latest;
        }
    }
    return latest;
}

static bool has_port(const struct incident *incident, const struct batch_entry *entry)
{
    for (uint8_t i = 0; i < incident->ports_count; i++) {
        if (incident->ports[i].protocol == entry->ip_protocol &&
            incident->ports[i].port == entry->server_port) {
            return true;
        }
    }
    return false;
}

/* NULL: it is not among them. */
static const struct alert_endpoint *named(const struct incident *incident, enum role role,
                                          const struct ip_address *address)
{
    for (uint8_t i = 0; i < incident->ends_count[role]; i++) {
        if (address_equal(&incident->ends[role][i].ip, address)) {
            return &incident->ends[role][i];
        }
    }
    return NULL;
}

/* As alert_join.h says, of one end of the flow that the incident names. */
static bool belongs(const struct incident *incident, enum role role,
                    const struct alert_endpoint *end, const struct batch_entry *entry,
                    bool is_server)
{
    const struct ip_address *peer = is_server ? &entry->client : &entry->server;
    const enum role other = role == ATTACKER ? VICTIM : ATTACKER;
    const struct alert_endpoint *peer_end = named(incident, other, peer);
    const struct alert_endpoint *victim = role == VICTIM ? end : peer_end;
    const bool victim_is_server = (role == VICTIM) == is_server;
    const bool port_fits = victim == NULL || victim->port == 0 || !victim_is_server ||
                           victim->port == entry->server_port;

    if (peer_end != NULL) {
        return port_fits && !is_server; /* found by the client already */
    }
    if (role == VICTIM && incident->ends_count[ATTACKER] == 0) {
        return end->port != 0 && is_server && port_fits;
    }
    return incident->is_single[role] && incident->is_open_ended[other] && has_port(incident, entry);
}

static bool lasted_with(const struct incident *incident, const struct batch_entry *entry)
{
    return entry->time_ns >= incident->first_ns &&
           (!incident->is_closed || entry->start_ns <= incident->last_ns);
}

static uint8_t score_at(const struct incident *incident, uint64_t second)
{
    uint8_t score = 0;

    for (uint8_t i = 0; i < incident->steps_count && incident->steps[i].second <= second; i++) {
        score = incident->steps[i].score;
    }
    return score;
}

struct found {
    uint32_t count, left_out;
    uint16_t incidents[ALERT_JOIN_IDS]; /* the highest score first, then the oldest */
    uint8_t scores[ALERT_JOIN_IDS];
};

static bool is_before(const struct alert_join *join, uint16_t a, uint8_t a_score, uint16_t b,
                      uint8_t b_score)
{
    return a_score != b_score
               ? a_score > b_score
               : strcmp(join->incidents[a].alert_id, join->incidents[b].alert_id) < 0;
}

static void put(const struct alert_join *join, struct found *found, uint16_t number, uint8_t score)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < found->count; i++) {
        if (found->incidents[i] == number) {
            return; /* one address in two places */
        }
    }
    while (at < found->count &&
           is_before(join, found->incidents[at], found->scores[at], number, score)) {
        at++;
    }
    found->left_out += found->count == ALERT_JOIN_IDS;
    if (at == ALERT_JOIN_IDS) {
        return;
    }
    found->count += found->count < ALERT_JOIN_IDS;
    for (uint32_t i = found->count - 1; i > at; i--) {
        found->incidents[i] = found->incidents[i - 1];
        found->scores[i] = found->scores[i - 1];
    }
    found->incidents[at] = number;
    found->scores[at] = score;
}

static void find_of(const struct alert_join *join, const struct batch_entry *entry, bool is_server,
                    uint64_t known, struct found *found)
{
    const struct ip_address *address = is_server ? &entry->server : &entry->client;

    for (uint16_t i = join->heads[bucket_of(join, address)]; i != NONE;
         i = join->subjects[i].next) {
        const struct subject *subject = &join->subjects[i];
        const struct incident *incident = &join->incidents[subject->incident];
        const struct alert_endpoint *end = &incident->ends[subject->role][subject->end];

        if (address_equal(&end->ip, address) && incident->opened_second <= known &&
            lasted_with(incident, entry) &&
            belongs(incident, (enum role)subject->role, end, entry, is_server)) {
            put(join, found, subject->incident, score_at(incident, known));
        }
    }
}

static void write(struct alert_join *join, struct record_batch *batch, struct batch_entry *entry,
                  const struct found *found)
{
    struct record_text ids[ALERT_JOIN_IDS];
    uint32_t count = found->count;
    size_t written = 0;

    for (uint32_t i = 0; i < count; i++) {
        ids[i] = (struct record_text){join->incidents[found->incidents[i]].alert_id, 36};
    }
    for (; count > 0 && written == 0; count -= written == 0) { /* as many as there is room for */
        written =
            codec_append_alerts(found->scores[0], ids, count,
                                batch->bytes + entry->offset + entry->length, entry->name_room);
    }
    entry->length += (uint32_t)written;
    entry->full_length = entry->length;
    entry->name_room -= (uint16_t)written;
    counter_add(&join->counts.flows, written > 0);
    counter_add(&join->counts.no_room, found->count - count + found->left_out);
}

void alert_join_batch(struct alert_join *join, struct record_batch *batch)
{
    if (join->incidents_count == 0) {
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_entry *entry = &batch->entries[i];
        struct found found = {.count = 0};

        if (entry->stream != RECORD_FLOWS || entry->name_room == 0 || entry->client.version == 0) {
            continue;
        }
        const uint64_t known = known_second(join, entry);

        find_of(join, entry, false, known, &found);
        find_of(join, entry, true, known, &found);
        if (found.count > 0) {
            write(join, batch, entry, &found);
        }
    }
}
