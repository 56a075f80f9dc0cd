/* What detectors ask for while a second is decided: their windows, and the subjects over a level.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detection_internal.h"

#define RECENT_SECONDS 2 /* an answer may come in the next second */

static const struct window *window_of(const struct detection *detection,
                                      const struct detector *self, uint32_t window)
{
    return &detection->windows[self->rules->first_window + window];
}

struct detection_table *detector_window(struct detection *detection, const struct detector *self,
                                        uint32_t window)
{
    return &detection->windows[self->rules->first_window + window].table;
}

uint64_t detector_window_seconds(const struct detection *detection, const struct detector *self,
                                 uint32_t window)
{
    return window_of(detection, self, window)->seconds;
}

uint64_t detection_now(const struct detection *detection)
{
    return detection->now;
}

uint64_t detector_own_seed(const struct detection *detection)
{
    return hash_bytes((struct hash_key){detection->seed, 0}, "own", 3);
}

uint64_t detector_hash_subject(uint64_t own_seed, const struct detection_subject *subject)
{
    return detection_subject_hash(detection_hash_key(own_seed), subject);
}

void detector_is_full(struct detection *detection, const struct detector *self, uint32_t window)
{
    detection->windows[self->rules->first_window + window].saturated_second = detection->now;
}

const struct detection_second *detection_costs(const struct detection *detection)
{
    return &detection->costs;
}

struct detector *detection_find(struct detection *detection, const char *name)
{
    for (uint32_t i = 0; i < detection->settings->detectors_count; i++) {
        struct detector *detector = &detection->detectors[i];

        if (detector->rules->enabled && strcmp(detector->rules->ops->name, name) == 0) {
            return detector;
        }
    }
    return NULL;
}

uint32_t detection_lookup(struct detection *detection, const struct detector *self, uint32_t window,
                          const struct detection_subject *subject)
{
    return detection_table_find(
        detector_window(detection, self, window), subject,
        detection_subject_hash(detection_hash_key(detection->seed), subject));
}

const struct detector_override *detection_override(const struct detector_rules *rules,
                                                   const struct detection_subject *subject)
{
    for (uint32_t i = 0; i < rules->overrides_count; i++) {
        const struct ip_prefix *prefix = &rules->overrides[i].prefix;

        if ((subject->target.version != 0 && prefix_contains(prefix, &subject->target)) ||
            (subject->source.version != 0 && prefix_contains(prefix, &subject->source))) {
            return &rules->overrides[i];
        }
    }
    return NULL;
}

static int compare_findings(const void *a, const void *b)
{
    const struct detection_finding *left = a;
    const struct detection_finding *right = b;

    if (left->observed != right->observed) {
        return left->observed > right->observed ? -1 : 1;
    }
    return memcmp(&left->subject, &right->subject, sizeof(left->subject));
}

/* True when the subject is at its level; then `finding` is filled. */
static bool is_over(struct detection *detection, const struct detector *self, uint32_t number,
                    double scale, detector_measure *measure, struct detection_finding *finding)
{
    const struct detector_rules *rules = self->rules;
    const uint32_t window = finding->window;
    const double observed = measure(detection, self, window, number);

    if (observed <= 0) {
        return false;
    }
    const struct detection_entry *entry =
        &detector_window(detection, self, window)->entries[number];
    const struct detector_override *other =
        rules->overrides_count > 0 ? detection_override(rules, &entry->subject) : NULL;
    const double *levels = other != NULL ? other->levels : rules->levels;

    if (observed < levels[LEVEL_MEDIUM] * scale) {
        return false;
    }
    finding->observed = observed;
    finding->number = number;
    finding->subject = entry->subject;
    return true;
}

/* The next subject at or behind `from` that may be over a level. */
static uint32_t next_candidate(const struct detection *detection, const struct detector *self,
                               struct detection_table *table, uint32_t from)
{
    if (!self->rules->ops->measures_silence) {
        return detection_table_told(
            table, from, detection->now > RECENT_SECONDS ? detection->now - RECENT_SECONDS : 0);
    }
    while (from < table->entries_used && !table->entries[from].is_live) {
        from++;
    }
    return from < table->entries_used ? from : DETECTION_NONE;
}

uint32_t detector_find_over(struct detection *detection, const struct detector *self,
                            uint32_t window, double medium, detector_measure *measure,
                            const struct detection_finding **out)
{
    struct detection_table *table = detector_window(detection, self, window);
    const double scale = medium > 0 ? medium / self->rules->levels[LEVEL_MEDIUM] : 1;
    uint32_t count = 0;

    for (uint32_t i = next_candidate(detection, self, table, 0); i != DETECTION_NONE;
         i = next_candidate(detection, self, table, i + 1)) {
        struct detection_finding *finding = &detection->findings[count];

        finding->window = window;
        count += is_over(detection, self, i, scale, measure, finding);
    }
    if (count > 0) {
        qsort(detection->findings, count, sizeof(*detection->findings), compare_findings);
    }
    *out = detection->findings;
    return count;
}

void detector_report_over(struct detection *detection, struct detector *self, uint32_t window,
                          double medium, detector_measure *measure, detector_report *report)
{
    const struct detection_finding *findings;
    const uint32_t count = detector_find_over(detection, self, window, medium, measure, &findings);

    for (uint32_t i = 0; i < count; i++) {
        report(detection, self, &findings[i]);
    }
}

bool detector_is_learnt(const struct detector *self, const struct detection_table *table,
                        uint32_t number, uint64_t learning_ns)
{
    return table->entries[number].first_ns / NS_PER_SEC < self->since + learning_ns / NS_PER_SEC;
}

static bool is_named(const struct detection *detection, const struct detection_entry *entry,
                     const struct detection_member *member)
{
    return detection->is_named != NULL &&
           detection->is_named(detection->names, &member->address, &entry->subject.source,
                               (member->first_second + UINT64_C(1)) * NS_PER_SEC - 1);
}

static struct detection_tally tally_of(const struct detection *detection,
                                       const struct detection_table *table, uint32_t number,
                                       bool has_named)
{
    const struct detection_entry *entry = &table->entries[number];
    const double each = (double)(UINT64_C(1) << entry->level);
    struct detection_tally tally = {0};

    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL; member = detection_table_next(table, member)) {
        if (member->attempt_second == 0 || member->first_second >= detection->now ||
            (!has_named && member->answer_second == 0 && is_named(detection, entry, member))) {
            continue;
        }
        tally.tried += each;
        tally.answered += member->answer_second != 0 ? each : 0;
    }
    return tally;
}

struct detection_tally detector_tally(const struct detection *detection,
                                      const struct detection_table *table, uint32_t number)
{
    return tally_of(detection, table, number, true);
}

struct detection_tally detector_tally_unnamed(const struct detection *detection,
                                              const struct detection_table *table, uint32_t number)
{
    return tally_of(detection, table, number, false);
}
