/* What an alert rests on, in an order that depends on the evidence alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detection/detection_internal.h"

#define PROTOCOL_SCTP 132
#define PROTOCOL_TCP  6
#define PROTOCOL_UDP  17

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
                   protocol == PROTOCOL_TCP    ? "tcp"
                   : protocol == PROTOCOL_UDP  ? "udp"
                   : protocol == PROTOCOL_SCTP ? "sctp"
                                               : "ip",
                   port != 0 ? port : protocol);
    evidence_add(items, count, text, weight);
}

void evidence_attacker(struct alert_record *draft, const struct ip_address *address, uint16_t port)
{
    if (draft->attackers_count < ALERT_ENDPOINTS_MAX) {
        draft->attackers[draft->attackers_count++] =
            (struct alert_endpoint){.ip = *address, .port = port};
    }
}

void evidence_victim(struct alert_record *draft, const struct ip_address *address, uint16_t port)
{
    if (draft->victims_count < ALERT_ENDPOINTS_MAX) {
        draft->victims[draft->victims_count++] =
            (struct alert_endpoint){.ip = *address, .port = port};
    }
}

void evidence_attackers_of_sources(struct alert_record *draft)
{
    for (uint8_t i = 0; i < draft->top_sources_count; i++) {
        struct ip_address address;
        const char *text = draft->top_sources[i].key;

        if (address_parse(text, strlen(text), &address)) {
            evidence_attacker(draft, &address, 0);
        }
    }
}

void evidence_victims_of_targets(struct alert_record *draft, uint16_t port)
{
    for (uint8_t i = 0; i < draft->top_targets_count; i++) {
        struct ip_address address;
        const char *text = draft->top_targets[i].key;

        if (address_parse(text, strlen(text), &address)) {
            evidence_victim(draft, &address, port);
        }
    }
}

static int compare_members(const void *a, const void *b)
{
    const struct detection_member *const *left = a;
    const struct detection_member *const *right = b;

    return (*left)->hash < (*right)->hash ? -1 : (*left)->hash > (*right)->hash;
}

static uint32_t sorted_attempts(const struct detection_table *table, uint32_t number,
                                const struct detection_member *members[DETECTION_SET_MAX])
{
    uint32_t count = 0;

    for (const struct detection_member *member =
             detection_table_first(table, &table->entries[number]);
         member != NULL && count < DETECTION_SET_MAX;
         member = detection_table_next(table, member)) {
        if (member->attempt_second != 0) {
            members[count++] = member;
        }
    }
    /* Ports repeat, and the list is short: what it holds depends on the order. */
    if (count > 0) {
        qsort(members, count, sizeof(const struct detection_member *), compare_members);
    }
    return count;
}

void evidence_flows(const struct detection *detection, struct alert_record *alert)
{
    const struct detection_settings *settings = detection->settings;
    const struct detection_member *members[DETECTION_SET_MAX];
    const struct detection_table *table = detection->draft_table;
    const bool has_flows =
        settings->community_id != NULL && table != NULL && table->members != NULL;
    const uint32_t count = has_flows ? sorted_attempts(table, detection->draft_number, members) : 0;

    alert->community_ids_count = 0;
    for (uint32_t i = 0; i < count && alert->community_ids_count < ALERT_FLOWS_MAX; i++) {
        const struct detection_subject *subject = &table->entries[detection->draft_number].subject;
        const struct detection_flow flow = {
            .source = subject->source.version != 0 ? subject->source : members[i]->address,
            .target = subject->target.version != 0 ? subject->target : members[i]->address,
            .source_port = members[i]->client_port,
            .target_port = members[i]->port,
            .protocol = members[i]->protocol};

        if (flow.source_port != 0 && flow.source.version == flow.target.version) {
            settings->community_id(&flow, settings->community_id_seed,
                                   alert->community_ids[alert->community_ids_count++]);
        }
    }
}

void evidence_of_set(struct alert_evidence_item addresses[ALERT_EVIDENCE_MAX],
                     uint8_t *addresses_count, struct alert_evidence_item ports[ALERT_EVIDENCE_MAX],
                     uint8_t *ports_count, const struct detection_table *table, uint32_t number)
{
    const struct detection_member *members[DETECTION_SET_MAX];
    const uint32_t count = sorted_attempts(table, number, members);

    for (uint32_t i = 0; i < count; i++) {
        if (addresses != NULL) {
            evidence_add_address(addresses, addresses_count, &members[i]->address,
                                 members[i]->count);
        }
        if (ports != NULL) {
            evidence_add_port(ports, ports_count, members[i]->protocol, members[i]->port,
                              members[i]->count);
        }
    }
}

void evidence_mitre(struct alert_record *draft, const char *tactic_id, const char *technique_id,
                    const char *technique_name, uint8_t confidence)
{
    if (draft->mitre_count < ALERT_MITRE_MAX) {
        draft->mitre[draft->mitre_count++] =
            (struct alert_mitre){tactic_id, technique_id, technique_name, confidence};
    }
}

void evidence_mitre_scan(struct alert_record *draft, const struct ip_address *source)
{
    if (address_is_private(source)) {
        evidence_mitre(draft, "TA0007", "T1046", "Network Service Discovery", 80);
    } else {
        evidence_mitre(draft, "TA0043", "T1595", "Active Scanning", 80);
    }
}

const char *evidence_about(const struct detection_table *table, uint32_t number)
{
    return table->entries[number].level > 0 ? "about " : "";
}

const char *evidence_answered(const struct detection_table *table, uint32_t number,
                              const struct detection_tally *tally,
                              char out[EVIDENCE_ANSWERED_BYTES])
{
    if (table->entries[number].level > 0 && !(tally->answered > 0)) {
        return "none of those looked at answered";
    }
    (void)snprintf(out, EVIDENCE_ANSWERED_BYTES, "%s%.0f answered", evidence_about(table, number),
                   tally->answered);
    return out;
}
