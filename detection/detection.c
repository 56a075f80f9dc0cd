#include "detection/detection.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "detection/detection_internal.h"

/* The window holds several seconds of frames. */
#define WINDOW_FACTOR 4

static uint64_t whole_seconds(uint64_t ns)
{
    const uint64_t seconds = (ns + NS_PER_SEC - 1) / NS_PER_SEC;

    return seconds > 0 ? seconds : 1;
}

static bool findings_init(struct detection *detection)
{
    uint32_t most = 1;

    for (unsigned i = 0; i < VIEW_COUNT; i++) {
        const uint32_t entries = detection->views[i].entries_max;

        most = entries > most ? entries : most;
    }
    detection->findings = calloc(most, sizeof(*detection->findings));
    return detection->findings != NULL;
}

struct detection *detection_new(const struct detection_settings *settings, struct error *err)
{
    AUTO(detection) detection = calloc(1, sizeof(*detection));

    if (detection != NULL) {
        detection->settings = *settings;
        detection->scan_seconds = whole_seconds(settings->port_scan.window_ns);
        detection->flood_seconds = whole_seconds(settings->syn_flood.window_ns);
        detection->ring_seconds =
            1 + (detection->scan_seconds > detection->flood_seconds ? detection->scan_seconds
                                                                    : detection->flood_seconds);
        detection->lost = calloc(detection->ring_seconds, sizeof(*detection->lost));
        detection->incidents = calloc(INCIDENTS_MAX, sizeof(*detection->incidents));
    }
    if (detection == NULL || detection->lost == NULL || detection->incidents == NULL ||
        !detection_views_init(detection->views, settings, WINDOW_FACTOR,
                              (uint32_t)(detection->flood_seconds + 1)) ||
        !findings_init(detection)) {
        error_set(err, ENOMEM,
                  "detection: no memory for windows of %u victims and %u scanners (lower "
                  "analysis.anomalies.victims_max or scanners_max)",
                  settings->victims_max, settings->scanners_max);
        return NULL;
    }
    return TAKE(detection);
}

void detection_free(struct detection *detection)
{
    if (detection != NULL) {
        for (unsigned i = 0; i < VIEW_COUNT; i++) {
            detection_table_fini(&detection->views[i]);
        }
        free(detection->lost);
        free(detection->findings);
        free(detection->incidents);
        free(detection);
    }
}

double detection_level_error(unsigned level)
{
    /* Flajolet 1990: 1.2 / sqrt of the size of the sample, which is at least half full. */
    return level == 0 ? 0 : 1.2 / sqrt(DETECTION_SET_MAX);
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

void detection_sort_findings(struct detection *detection, uint32_t count)
{
    qsort(detection->findings, count, sizeof(*detection->findings), compare_findings);
}

bool detection_is_saturated(const struct detection *detection, enum detection_view view,
                            uint64_t window_seconds)
{
    const uint64_t last = detection->saturated_second[view];

    return last != 0 && last + window_seconds >= detection->now;
}

uint64_t detection_first_ns(const struct detection *detection, const struct detection_entry *entry,
                            uint64_t window_seconds)
{
    const uint64_t start_ns =
        detection->now > window_seconds ? (detection->now - window_seconds) * NS_PER_SEC : 0;

    return entry->first_ns > start_ns ? entry->first_ns : start_ns;
}

/* Decides the second `second`; `frame` NULL: nothing happened in it. */
static void tick(struct detection *detection, uint64_t second, const struct detection_frame *frame,
                 uint64_t lost_packets)
{
    assert(detection->ring_seconds > 0);
    detection->now = second;
    detection->lost[second % detection->ring_seconds] = lost_packets;
    for (unsigned i = 0; i < VIEW_COUNT; i++) {
        const uint64_t window =
            i == VIEW_VICTIM ? detection->flood_seconds : detection->scan_seconds;

        detection_table_advance(&detection->views[i], second,
                                second > window ? second - window : 0);
        if (frame != NULL) {
            detection_table_merge(&detection->views[i], &frame->views[i], second);
        }
        if (detection->views[i].is_saturated) {
            detection->saturated_second[i] = second;
        }
    }
    port_scan_decide(detection);
    syn_flood_decide(detection);
    incident_close_quiet(detection);
}

static bool is_idle(const struct detection *detection)
{
    return detection->incidents_open == 0 && detection->views[VIEW_VICTIM].entries_live == 0 &&
           detection->views[VIEW_PAIR].entries_live == 0 &&
           detection->views[VIEW_FAN].entries_live == 0;
}

/* The clock went back: the window is of another time. */
static void start_again(struct detection *detection, uint64_t second)
{
    for (unsigned i = 0; i < VIEW_COUNT; i++) {
        detection_table_reset(&detection->views[i]);
    }
    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        detection->incidents[i].found_second = second;
    }
}

void detection_decide(struct detection *detection, const struct detection_frame *merged,
                      uint64_t lost_packets, detection_emit *emit, void *context)
{
    const uint64_t second = merged->second;

    detection->emit = emit;
    detection->emit_context = context;
    if (detection->now != 0 && second <= detection->now) {
        start_again(detection, second);
    } else if (detection->now != 0) {
        while (detection->now + 1 < second && !is_idle(detection)) {
            tick(detection, detection->now + 1, NULL, 0);
        }
        if (detection->now + 1 < second) {
            for (uint64_t i = 0; i < detection->ring_seconds; i++) {
                detection->lost[i] = 0;
            }
        }
    }
    tick(detection, second, merged, lost_packets);
}

void detection_finish(struct detection *detection, uint64_t now_ns, detection_emit *emit,
                      void *context)
{
    detection->emit = emit;
    detection->emit_context = context;
    if (detection->now != 0) {
        tick(detection, detection->now + 1, NULL, 0); /* the last second has had its grace */
    }
    incident_close_all(detection, now_ns);
}

uint32_t detection_statistics(const struct detection *detection, struct stats_detector *rows,
                              uint32_t rows_max)
{
    static const enum alert_kind kinds[VIEW_COUNT] = {ALERT_SYN_FLOOD, ALERT_PORT_SCAN_VERTICAL,
                                                      ALERT_PORT_SCAN_HORIZONTAL};
    uint32_t count = 0;

    for (unsigned i = 0; i < VIEW_COUNT && count < rows_max; i++) {
        const struct detection_table *table = &detection->views[i];

        rows[count++] = (struct stats_detector){
            .kind = alert_kind_name(kinds[i]),
            .tracked_keys = table->entries_live,
            .key_capacity = table->entries_max,
            .memory_bytes = detection_table_bytes(table),
            .saturated = table->is_saturated || detection->incidents_open == INCIDENTS_MAX};
    }
    return count;
}
