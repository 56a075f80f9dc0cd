/* SYN floods: many SYN towards one address, few of them become connections. From one source that
 * tries many ports it is a port scan, and left to that detector. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "detection/detection_internal.h"

/* A scanner sends each port a few SYN; a flood sends one port many. */
#define SYN_PER_SCANNED_PORT 4
#define COMPLETED_PERCENT    30

struct flood {
    uint64_t syn, answered, established;
    double sources;
};

static struct flood flood_of(const struct detection *detection, uint32_t number)
{
    const struct detection_table *table = &detection->views[VIEW_VICTIM];
    const struct detection_entry *entry = &table->entries[number];
    struct flood flood = {0};

    for (uint64_t i = 0; i <= detection->flood_seconds && i <= detection->now; i++) {
        const struct detection_counts *counts =
            detection_table_counts(table, number, detection->now - i);

        /* The SYN of this second may still become connections. */
        flood.syn += i > 0 ? counts->syn : 0;
        flood.answered += counts->answered;
        flood.established += counts->established;
    }
    flood.sources = (double)entry->members_count * (double)(UINT64_C(1) << entry->level);
    return flood;
}

/* True when one source with this many SYN has tried so many ports of the target that it is a scan.
 */
static bool is_scan(const struct detection *detection, const struct detection_entry *victim,
                    uint64_t syn)
{
    const struct detection_table *sources = &detection->views[VIEW_VICTIM];
    const struct detection_table *pairs = &detection->views[VIEW_PAIR];
    const struct hash_key key = detection_hash_key(detection->settings.seed);
    double ports = 0;

    if (!detection->settings.port_scan.enabled) {
        return false;
    }
    for (const struct detection_member *member = detection_table_first(sources, victim);
         member != NULL; member = detection_table_next(sources, member)) {
        const struct detection_subject pair = {.source = member->address,
                                               .target = victim->subject.target};
        const uint32_t number =
            detection_table_find(pairs, &pair, detection_subject_hash(key, &pair));

        if (number != DETECTION_NONE) {
            const struct detection_entry *entry = &pairs->entries[number];
            const double tried =
                (double)entry->members_count * (double)(UINT64_C(1) << entry->level);

            ports +=
                tried >= (double)detection->settings.port_scan.unique_ports_threshold ? tried : 0;
        }
    }
    return ports * SYN_PER_SCANNED_PORT >= (double)syn;
}

static int compare_members(const void *a, const void *b)
{
    const struct detection_member *const *left = a;
    const struct detection_member *const *right = b;

    return (*left)->hash < (*right)->hash ? -1 : (*left)->hash > (*right)->hash;
}

static void fill_sources(struct detection *detection, struct alert_record *draft,
                         const struct detection_entry *entry)
{
    const struct detection_table *table = &detection->views[VIEW_VICTIM];
    const struct detection_member *members[DETECTION_SET_MAX];
    uint32_t count = 0;

    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL && count < DETECTION_SET_MAX;
         member = detection_table_next(table, member)) {
        members[count++] = member;
    }
    /* Ports repeat, and the list is short: what it holds depends on the order. */
    qsort(members, count, sizeof(const struct detection_member *), compare_members);
    for (uint32_t i = 0; i < count; i++) {
        evidence_add_address(draft->top_sources, &draft->top_sources_count, &members[i]->address,
                             members[i]->count);
        evidence_add_port(draft->top_ports, &draft->top_ports_count, members[i]->protocol,
                          members[i]->port, members[i]->count);
    }
    for (uint8_t i = 0; i < draft->top_sources_count && i < ALERT_ENDPOINTS_MAX; i++) {
        struct alert_endpoint *attacker = &draft->attackers[draft->attackers_count++];

        if (!address_parse(draft->top_sources[i].key, __builtin_strlen(draft->top_sources[i].key),
                           &attacker->ip)) {
            draft->attackers_count--;
        }
    }
}

static void report(struct detection *detection, const struct detection_entry *entry,
                   const struct flood *flood)
{
    const struct detection_syn_flood_settings *settings = &detection->settings.syn_flood;
    const bool is_distributed = flood->sources >= (double)settings->unique_src_threshold;
    struct alert_record *draft = incident_draft(detection, ALERT_SYN_FLOOD);
    char target[ADDRESS_TEXT_BYTES];

    draft->first_ns = detection_first_ns(detection, entry, detection->flood_seconds);
    draft->last_ns = entry->last_ns;
    draft->window_ns = settings->window_ns;
    draft->observed = (double)flood->syn;
    draft->threshold = (double)settings->syn_threshold;
    draft->saturated = detection_is_saturated(detection, VIEW_VICTIM, detection->flood_seconds);
    draft->attackers_total_estimate = (uint64_t)flood->sources;
    draft->victims_total_estimate = 1;
    draft->victims[draft->victims_count++].ip = entry->subject.target;
    fill_sources(detection, draft, entry);
    evidence_add_address(draft->top_targets, &draft->top_targets_count, &entry->subject.target,
                         flood->syn);
    draft->mitre[draft->mitre_count++] =
        (struct alert_mitre){"TA0040", "T1499.001", "OS Exhaustion Flood", 80};
    (void)address_text(&entry->subject.target, target);
    (void)snprintf(draft->unit, sizeof(draft->unit), "SYN");
    (void)snprintf(draft->config_key, sizeof(draft->config_key),
                   "analysis.anomalies.syn_flood.syn_threshold");
    (void)snprintf(
        draft->description, sizeof(draft->description),
        "%s gets %llu SYN in %.4g s from %s%.0f %s (%s); %llu handshakes completed "
        "(threshold %llu)",
        target, (unsigned long long)flood->syn, (double)settings->window_ns / (double)NS_PER_SEC,
        entry->level > 0 ? "about " : "", flood->sources,
        flood->sources == 1 ? "source" : "sources",
        is_distributed ? "distributed" : "single source or few",
        (unsigned long long)flood->established, (unsigned long long)settings->syn_threshold);
    incident_report(detection, &entry->subject, settings->cooldown_ns);
}

void syn_flood_decide(struct detection *detection)
{
    const struct detection_syn_flood_settings *settings = &detection->settings.syn_flood;
    const struct detection_table *table = &detection->views[VIEW_VICTIM];
    uint32_t count = 0;

    if (!settings->enabled) {
        return;
    }
    for (uint32_t i = 0; i < table->entries_used; i++) {
        const struct detection_entry *entry = &table->entries[i];

        if (!entry->is_live) {
            continue;
        }
        const struct flood flood = flood_of(detection, i);

        if (flood.syn < settings->syn_threshold ||
            flood.established * 100 >= flood.syn * COMPLETED_PERCENT) {
            continue;
        }
        if (flood.sources < (double)settings->unique_src_threshold &&
            is_scan(detection, entry, flood.syn)) {
            continue;
        }
        detection->findings[count++] = (struct detection_finding){
            .observed = (double)flood.syn, .number = i, .subject = entry->subject};
    }
    detection_sort_findings(detection, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t number = detection->findings[i].number;
        const struct flood flood = flood_of(detection, number);

        report(detection, &table->entries[number], &flood);
    }
}
