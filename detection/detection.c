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
/* Sub-buckets of a window: of one second up to a minute, then a minute's sixtieth part. */
#define BUCKETS_MAX 60
static_assert(BUCKETS_MAX < DETECTION_RING_MAX, "one more for the current one");
/* Over a gap in the input the clock goes on by seconds, then by minutes. */
#define GAP_SECONDS 120
#define GAP_MINUTES 1560

static uint64_t whole_seconds(uint64_t ns)
{
    const uint64_t seconds = (ns + NS_PER_SEC - 1) / NS_PER_SEC;

    return seconds > 0 ? seconds : 1;
}

/* ---- life ---- */

static bool open_window(struct detection *detection, uint32_t detector, uint32_t number)
{
    const struct detector_rules *rules = &detection->settings->rules[detector];
    const struct detector_window *from = &rules->ops->windows[number];
    struct window *window = &detection->windows[rules->first_window + number];
    struct detection_shape shape =
        detection_view_shape(detection->settings, &rules->ops->views[from->view], WINDOW_FACTOR);
    const uint64_t length_ns = from->seconds != 0 ? from->seconds * NS_PER_SEC
                               : from->param == 0 ? rules->window_ns
                                                  : rules->params[from->param - 1].number;

    window->detector = detector;
    window->view = rules->first_view + from->view;
    window->seconds = whole_seconds(length_ns);
    shape.bucket_seconds = (uint32_t)((window->seconds + BUCKETS_MAX - 1) / BUCKETS_MAX);
    /* One more: the second being decided, whose attempts may still get an answer. */
    shape.ring =
        (uint32_t)((window->seconds + shape.bucket_seconds - 1) / shape.bucket_seconds) + 1;
    shape.needs_unanswered = from->needs_unanswered;
    if (!rules->enabled) {
        shape.entries_max = 1;
        shape.members_max = 0;
        shape.ring = 2;
    }
    if (window->seconds + 1 > detection->lost_seconds) {
        detection->lost_seconds = window->seconds + 1;
    }
    return detection_table_init(&window->table, &shape);
}

static bool open_detectors(struct detection *detection)
{
    for (uint32_t i = 0; i < detection->settings->detectors_count; i++) {
        const struct detector_rules *rules = &detection->settings->rules[i];
        struct detector *detector = &detection->detectors[i];

        detector->rules = rules;
        for (uint32_t j = 0; j < rules->ops->windows_count; j++) {
            detection->windows_count = rules->first_window + j + 1;
            if (!open_window(detection, i, j)) {
                return false;
            }
        }
        if (rules->enabled && rules->ops->state_bytes > 0) {
            detector->state = calloc(1, rules->ops->state_bytes);
            if (detector->state == NULL) {
                return false;
            }
        }
    }
    return true;
}

static bool take_memory(struct detection *detection)
{
    uint32_t most = 1;

    if (!open_detectors(detection)) {
        return false;
    }
    for (uint32_t i = 0; i < detection->windows_count; i++) {
        const uint32_t entries = detection->windows[i].table.shape.entries_max;

        most = entries > most ? entries : most;
    }
    detection->lost_seconds = detection->lost_seconds > 0 ? detection->lost_seconds : 1;
    detection->findings = calloc(most, sizeof(*detection->findings));
    detection->lost = calloc(detection->lost_seconds, sizeof(*detection->lost));
    detection->incidents = calloc(INCIDENTS_MAX, sizeof(*detection->incidents));
    if (detection->settings->keeps_learnt) {
        detection->learnt_bytes = detection_learnt_bytes(detection);
        detection->learnt = malloc(detection->learnt_bytes);
    }
    return detection->findings != NULL && detection->lost != NULL && detection->incidents != NULL &&
           (detection->learnt != NULL || !detection->settings->keeps_learnt);
}

struct detection *detection_new(const struct detection_settings *settings, struct error *err)
{
    AUTO(detection) detection = calloc(1, sizeof(*detection));

    if (detection != NULL) {
        detection->settings = settings;
        detection->seed = settings->seed;
    }
    if (detection == NULL || !take_memory(detection)) {
        error_set(err, ENOMEM,
                  "detection: no memory for windows of %u victims, %u scanners and %u keys (lower "
                  "analysis.anomalies.victims_max, scanners_max or keys_max)",
                  settings->victims_max, settings->scanners_max, settings->keys_max);
        return NULL;
    }
    return TAKE(detection);
}

void detection_use(struct detection *detection, const struct detection_settings *settings)
{
    if (detection->settings == settings) {
        return;
    }
    assert(settings->detectors_count == detection->settings->detectors_count);
    detection->settings = settings;
    for (uint32_t i = 0; i < settings->detectors_count; i++) {
        detection->detectors[i].rules = &settings->rules[i];
    }
    for (uint32_t i = 0; i < detection->windows_count; i++) {
        if (settings->rules[detection->windows[i].detector].enabled) {
            detection_table_tell_all(&detection->windows[i].table);
        }
    }
}

void detection_free(struct detection *detection)
{
    if (detection != NULL) {
        for (uint32_t i = 0; i < detection->windows_count; i++) {
            detection_table_fini(&detection->windows[i].table);
        }
        for (uint32_t i = 0; i < DETECTORS_MAX; i++) {
            free(detection->detectors[i].state);
        }
        free(detection->learnt);
        free(detection->lost);
        free(detection->findings);
        free(detection->incidents);
        free(detection);
    }
}

uint64_t detection_bytes(const struct detection *detection)
{
    uint64_t bytes = sizeof(*detection) + INCIDENTS_MAX * sizeof(*detection->incidents) +
                     detection->lost_seconds * sizeof(*detection->lost) + detection->learnt_bytes;

    for (uint32_t i = 0; i < detection->windows_count; i++) {
        bytes += detection_table_bytes(&detection->windows[i].table);
    }
    for (uint32_t i = 0; i < detection->settings->detectors_count; i++) {
        bytes += detection->detectors[i].state != NULL
                     ? detection->settings->rules[i].ops->state_bytes
                     : 0;
    }
    return bytes;
}

double detection_level_error(unsigned level)
{
    /* Flajolet 1990: 1.2 / sqrt of the size of the sample, which is at least half full. */
    return level == 0 ? 0 : 1.2 / sqrt(DETECTION_SET_MAX);
}

void detection_know_names(struct detection *detection, detection_is_named *is_named,
                          const void *names)
{
    detection->is_named = is_named;
    detection->names = names;
}

bool detection_is_warm(const struct detection *detection)
{
    return detection->now - detection->first >= detection->settings->warm_up_ns / NS_PER_SEC;
}

/* ---- seconds ---- */

/* What the window's subjects need to be measured, by the rules of now. Those with levels of their
 * own may need less than others. */
static void watch_window(struct detection *detection, struct window *window, uint32_t number)
{
    const struct detector_rules *rules = &detection->settings->rules[window->detector];
    struct detection_watch watch = {0};

    if (rules->ops->watch != NULL && rules->overrides_count == 0) {
        watch = rules->ops->watch(rules, number - rules->first_window);
        watch.first_second +=
            watch.first_second != 0 ? detection->detectors[window->detector].since : 0;
    }
    window->table.watch = watch;
}

static void advance_windows(struct detection *detection, const struct detection_frame *frame)
{
    const uint64_t second = detection->now;

    for (uint32_t i = 0; i < detection->windows_count; i++) {
        struct window *window = &detection->windows[i];

        if (!detection->settings->rules[window->detector].enabled) {
            continue;
        }
        watch_window(detection, window, i);
        detection_table_advance(&window->table, second,
                                second > window->seconds ? second - window->seconds : 0);
        if (frame != NULL) {
            detection_table_merge(&window->table, &frame->views[window->view]);
        }
        if (window->table.is_saturated) {
            window->saturated_second = second;
        }
    }
}

/* Decides the second `second`; `frame` NULL: nothing happened in it. */
static void tick(struct detection *detection, uint64_t second, const struct detection_frame *frame,
                 const struct detection_second *costs)
{
    detection->now = second;
    detection->costs = costs != NULL ? *costs : (struct detection_second){0};
    detection->lost[second % detection->lost_seconds] = detection->costs.lost_packets;
    if (detection->costs.lost_packets > 0) {
        detection->last_loss = second;
    }
    advance_windows(detection, frame);
    for (uint32_t i = 0; i < detection->settings->detectors_count; i++) {
        struct detector *detector = &detection->detectors[i];

        if (detector->rules->enabled) {
            detector->rules->ops->decide(detection, detector);
        }
    }
    incident_close_quiet(detection);
}

static bool is_idle(const struct detection *detection)
{
    if (detection->incidents_open > 0) {
        return false;
    }
    for (uint32_t i = 0; i < detection->windows_count; i++) {
        if (detection->windows[i].table.entries_live > 0) {
            return false;
        }
    }
    return true;
}

/* The clock went back, or the seed changed: the windows are of another time. */
static void start_again(struct detection *detection, uint64_t second)
{
    detection_learnt_remember(detection);
    for (uint32_t i = 0; i < detection->settings->detectors_count; i++) {
        detection->detectors[i].since = second;
    }
    for (uint32_t i = 0; i < detection->windows_count; i++) {
        detection_table_reset(&detection->windows[i].table);
        detection->windows[i].saturated_second = 0;
    }
    detection_learnt_recall(detection, second);
    for (uint32_t i = 0; i < INCIDENTS_MAX; i++) {
        struct detection_incident *incident = &detection->incidents[i];

        if (incident->told_ns > second * NS_PER_SEC) {
            incident->told_ns = second * NS_PER_SEC; /* quiet counts from here */
        }
        if (incident->alert.last_ns > second * NS_PER_SEC) {
            incident->alert.last_ns = second * NS_PER_SEC;
        }
        if (incident->alert.first_ns > incident->alert.last_ns) { /* by the clock of now */
            incident->alert.first_ns = incident->alert.last_ns;
        }
    }
}

static void cross_gap(struct detection *detection, uint64_t second)
{
    for (uint32_t step = 0; detection->now + 1 < second && !is_idle(detection); step++) {
        const uint64_t by = step < GAP_SECONDS ? 1 : 60;

        if (step == GAP_SECONDS + GAP_MINUTES) {
            break; /* longer than the longest window */
        }
        tick(detection, detection->now + by < second ? detection->now + by : second - 1, NULL,
             NULL);
    }
    if (detection->now + 1 < second) {
        memset(detection->lost, 0, detection->lost_seconds * sizeof(*detection->lost));
    }
}

void detection_decide(struct detection *detection, struct detection_frame *merged,
                      const struct detection_second *costs, detection_emit *emit, void *context)
{
    const uint64_t second = merged->second;
    const bool is_first = detection->now == 0;
    const bool is_back = !is_first && second <= detection->now;

    detection_frame_settle(merged);
    detection->emit = emit;
    detection->emit_context = context;
    if (is_first || is_back || merged->seed != detection->seed) {
        detection->seed = merged->seed;
        start_again(detection, second);
    }
    if (is_first || (is_back && second < detection->first)) {
        detection->first = second;
    }
    if (!is_first && !is_back) {
        cross_gap(detection, second);
    }
    tick(detection, second, merged, costs);
}

void detection_finish(struct detection *detection, uint64_t now_ns, detection_emit *emit,
                      void *context)
{
    detection->emit = emit;
    detection->emit_context = context;
    if (detection->now != 0) {
        tick(detection, detection->now + 1, NULL, NULL); /* the last second has had its grace */
    }
    incident_close_all(detection, now_ns);
}

bool detection_is_saturated(const struct detection *detection, const struct window *window)
{
    return window->saturated_second != 0 &&
           window->saturated_second + window->seconds >= detection->now;
}

uint32_t detection_statistics(const struct detection *detection, struct stats_detector *rows,
                              uint32_t rows_max)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < detection->settings->detectors_count && count < rows_max; i++) {
        const struct detector_rules *rules = &detection->settings->rules[i];
        const struct detector_counts *counts = &detection->counts[i];
        struct stats_detector *row = &rows[count];

        if (!rules->enabled) {
            continue;
        }
        *row = (struct stats_detector){.kind = rules->ops->name,
                                       .saturated = counts->open > 0 &&
                                                    detection->incidents_open == INCIDENTS_MAX,
                                       .opened = counts->opened,
                                       .open = counts->open,
                                       .logged = counts->logged,
                                       .learnt = counts->learnt,
                                       .suppressed = counts->suppressed + counts->refused};
        for (uint32_t j = 0; j < rules->ops->windows_count; j++) {
            const struct window *window = &detection->windows[rules->first_window + j];
            const struct detection_table *table = &window->table;

            row->tracked_keys += table->entries_live;
            row->key_capacity += table->shape.entries_max;
            row->memory_bytes += detection_table_bytes(table);
            row->saturated = row->saturated || detection_is_saturated(detection, window);
        }
        count++;
    }
    return count;
}
