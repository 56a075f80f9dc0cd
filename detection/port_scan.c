/* Port scans: distinct ports of one target (vertical), or distinct targets on one port
 * (horizontal), that were tried and gave no answer.
 *
 * One horizontal incident a source, whatever ports it tries; while it is open, vertical findings of
 * that source are its suppressed ones. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detection_internal.h"

struct tally {
    double tried, answered; /* estimates */
    uint64_t last_second;   /* of an attempt in the window */
};

/* Attempts of the window that ends before `now`: those of `now` may still get an answer. */
static struct tally tally_of(const struct detection *detection, const struct detection_table *table,
                             const struct detection_entry *entry)
{
    const double each = (double)(UINT64_C(1) << entry->level);
    struct tally tally = {0};

    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL; member = detection_table_next(table, member)) {
        if (member->attempt_second == 0 || member->first_second >= detection->now) {
            continue;
        }
        tally.tried += each;
        tally.answered += member->answer_second != 0 ? each : 0;
        if (member->attempt_second > tally.last_second) {
            tally.last_second = member->attempt_second;
        }
    }
    return tally;
}

static void add_mitre(struct alert_record *alert, const struct ip_address *source)
{
    alert->mitre[alert->mitre_count++] =
        address_is_private(source)
            ? (struct alert_mitre){"TA0007", "T1046", "Network Service Discovery", 80}
            : (struct alert_mitre){"TA0043", "T1595", "Active Scanning", 80};
}

static void fill_common(const struct detection *detection, struct alert_record *draft,
                        enum detection_view view, const struct detection_entry *entry,
                        const struct tally *tally)
{
    draft->first_ns = detection_first_ns(detection, entry, detection->scan_seconds);
    draft->last_ns = entry->last_ns;
    draft->window_ns = detection->settings.port_scan.window_ns;
    draft->observed = tally->tried - tally->answered;
    draft->estimate_error = detection_level_error(entry->level);
    draft->saturated = detection_is_saturated(detection, view, detection->scan_seconds);
    draft->attackers[draft->attackers_count++].ip = entry->subject.source;
    draft->attackers_total_estimate = 1;
    add_mitre(draft, &entry->subject.source);
    evidence_add_address(draft->top_sources, &draft->top_sources_count, &entry->subject.source,
                         (uint64_t)tally->tried);
}

static double window_seconds(const struct detection *detection)
{
    return (double)detection->settings.port_scan.window_ns / (double)NS_PER_SEC;
}

static void report_vertical(struct detection *detection, const struct detection_entry *entry,
                            const struct tally *tally)
{
    const struct detection_table *table = &detection->views[VIEW_PAIR];
    const uint64_t threshold = detection->settings.port_scan.unique_ports_threshold;
    struct alert_record *draft = incident_draft(detection, ALERT_PORT_SCAN_VERTICAL);
    char source[ADDRESS_TEXT_BYTES], target[ADDRESS_TEXT_BYTES];

    fill_common(detection, draft, VIEW_PAIR, entry, tally);
    draft->threshold = (double)threshold;
    draft->victims[draft->victims_count++].ip = entry->subject.target;
    draft->victims_total_estimate = 1;
    evidence_add_address(draft->top_targets, &draft->top_targets_count, &entry->subject.target,
                         (uint64_t)tally->tried);
    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL; member = detection_table_next(table, member)) {
        if (member->attempt_second != 0) {
            evidence_add_port(draft->top_ports, &draft->top_ports_count, member->protocol,
                              member->port, member->count);
        }
    }
    (void)address_text(&entry->subject.source, source);
    (void)address_text(&entry->subject.target, target);
    (void)snprintf(draft->unit, sizeof(draft->unit), "ports");
    (void)snprintf(draft->config_key, sizeof(draft->config_key),
                   "analysis.anomalies.port_scan.unique_ports_threshold");
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s tries %s%.0f ports of %s in %.4g s; %s%.0f answered (threshold %llu)",
                   source, entry->level > 0 ? "about " : "", tally->tried, target,
                   window_seconds(detection), entry->level > 0 ? "about " : "", tally->answered,
                   (unsigned long long)threshold);
    incident_report(detection, &entry->subject, detection->settings.port_scan.cooldown_ns);
}

/* `entry` is the port with most hosts; ports[] are the others of this source that are over the
 * threshold too. */
static void report_horizontal(struct detection *detection, const struct detection_entry *entry,
                              const struct tally *tally, uint32_t findings)
{
    const struct detection_table *table = &detection->views[VIEW_FAN];
    const uint64_t threshold = detection->settings.port_scan.unique_hosts_threshold;
    const struct detection_subject subject = {.source = entry->subject.source};
    struct alert_record *draft = incident_draft(detection, ALERT_PORT_SCAN_HORIZONTAL);
    char source[ADDRESS_TEXT_BYTES];

    fill_common(detection, draft, VIEW_FAN, entry, tally);
    draft->threshold = (double)threshold;
    draft->victims_total_estimate = (uint64_t)tally->tried;
    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL; member = detection_table_next(table, member)) {
        if (member->attempt_second != 0) {
            evidence_add_address(draft->top_targets, &draft->top_targets_count, &member->address,
                                 member->count);
        }
    }
    for (uint8_t i = 0; i < draft->top_targets_count && i < ALERT_ENDPOINTS_MAX; i++) {
        struct alert_endpoint *victim = &draft->victims[draft->victims_count++];

        victim->port = entry->subject.port;
        if (!address_parse(draft->top_targets[i].key, __builtin_strlen(draft->top_targets[i].key),
                           &victim->ip)) {
            draft->victims_count--;
        }
    }
    for (uint32_t i = 0; i < findings; i++) {
        const struct detection_finding *finding = &detection->findings[i];

        if (address_equal(&finding->subject.source, &entry->subject.source)) {
            evidence_add_port(draft->top_ports, &draft->top_ports_count, finding->subject.protocol,
                              finding->subject.port, (uint64_t)finding->observed);
        }
    }
    (void)address_text(&entry->subject.source, source);
    (void)snprintf(draft->unit, sizeof(draft->unit), "hosts");
    (void)snprintf(draft->config_key, sizeof(draft->config_key),
                   "analysis.anomalies.port_scan.unique_hosts_threshold");
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s tries port %u of %s%.0f hosts in %.4g s; %s%.0f answered (threshold %llu)",
                   source, entry->subject.port, entry->level > 0 ? "about " : "", tally->tried,
                   window_seconds(detection), entry->level > 0 ? "about " : "", tally->answered,
                   (unsigned long long)threshold);
    incident_report(detection, &subject, detection->settings.port_scan.cooldown_ns);
}

/* Fills detection->findings, sorted; returns how many. */
static uint32_t find_over(struct detection *detection, enum detection_view view, uint64_t threshold)
{
    const struct detection_table *table = &detection->views[view];
    uint32_t count = 0;

    for (uint32_t i = 0; i < table->entries_used; i++) {
        const struct detection_entry *entry = &table->entries[i];

        if (!entry->is_live) {
            continue;
        }
        const struct tally tally = tally_of(detection, table, entry);
        const double observed = tally.tried - tally.answered;

        if (observed >= (double)threshold) {
            detection->findings[count++] = (struct detection_finding){
                .observed = observed, .number = i, .subject = entry->subject};
        }
    }
    detection_sort_findings(detection, count);
    return count;
}

static bool is_first_of_source(const struct detection *detection, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++) {
        if (address_equal(&detection->findings[i].subject.source,
                          &detection->findings[at].subject.source)) {
            return false;
        }
    }
    return true;
}

void port_scan_decide(struct detection *detection)
{
    const struct detection_port_scan_settings *settings = &detection->settings.port_scan;

    if (!settings->enabled) {
        return;
    }
    uint32_t count = find_over(detection, VIEW_FAN, settings->unique_hosts_threshold);

    for (uint32_t i = 0; i < count; i++) {
        const struct detection_table *table = &detection->views[VIEW_FAN];
        const struct detection_entry *entry = &table->entries[detection->findings[i].number];

        if (is_first_of_source(detection, i)) {
            const struct tally tally = tally_of(detection, table, entry);

            report_horizontal(detection, entry, &tally, count);
        }
    }
    count = find_over(detection, VIEW_PAIR, settings->unique_ports_threshold);
    for (uint32_t i = 0; i < count; i++) {
        const struct detection_table *table = &detection->views[VIEW_PAIR];
        const struct detection_entry *entry = &table->entries[detection->findings[i].number];
        const struct detection_subject scanner = {.source = entry->subject.source};

        if (detection_scan_is_open(detection, ALERT_PORT_SCAN_HORIZONTAL, &scanner.source)) {
            incident_suppress(detection, ALERT_PORT_SCAN_HORIZONTAL, &scanner);
        } else {
            const struct tally tally = tally_of(detection, table, entry);

            report_vertical(detection, entry, &tally);
        }
    }
}
