/* Hosts and services inside that were not there in the learning period: an inventory note. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

enum { COUNT_CONNECTIONS, COUNTERS };
enum { VIEW_HOST, VIEW_SERVICE };
enum { PARAM_LEARNING };

static void count(const struct detector_rules *rules, struct detection_frame *frame, uint32_t view,
                  const struct detection_fact *fact, unsigned parts)
{
    struct detector_note *note = detector_note_of(rules, frame, view, fact, parts, 1);

    if (note != NULL) {
        note->counts[COUNT_CONNECTIONS] = 1;
    }
}

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    (void)rules;
    return glance->packets[0] > 0 && glance->packets[1] > 0 &&
           (glance->is_source_internal || glance->is_target_internal);
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    /* Both directions: a host that was answered, a service that answered. */
    const bool is_connection = fact->packets[0] > 0 && fact->packets[1] > 0;

    if (is_connection && fact->is_source_internal) {
        count(rules, frame, VIEW_HOST, fact, PART_SOURCE);
    }
    if (is_connection && fact->is_target_internal && fact->target_port != 0) {
        count(rules, frame, VIEW_SERVICE, fact, PART_TARGET | PART_SERVICE);
    }
}

static double connections(struct detection *detection, const struct detector *self, uint32_t window,
                          uint32_t number)
{
    const struct detection_table *table = detector_window(detection, self, window);

    return detector_is_learnt(self, table, number, self->rules->params[PARAM_LEARNING].number)
               ? -1
               : (double)detection_table_sum(table, number, COUNT_CONNECTIONS);
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const bool is_service = finding->window == VIEW_SERVICE;
    const struct detection_subject *subject = &finding->subject;
    const struct ip_address *address = is_service ? &subject->target : &subject->source;
    struct alert_record *draft = incident_draft(
        detection, self,
        &(struct incident_start){.kind = is_service ? ALERT_NEW_SERVICE : ALERT_NEW_HOST,
                                 .window = finding->window,
                                 .number = finding->number,
                                 .observed = finding->observed,
                                 .unit = "connections"});
    char text[ADDRESS_TEXT_BYTES];

    draft->estimate_error = 0;
    evidence_victim(draft, address, subject->port);
    (void)address_text(address, text);
    if (is_service) {
        (void)snprintf(draft->description, sizeof(draft->description),
                       "%s serves port %u, which it did not in the learning period (%.0f "
                       "connections, threshold %.10g)",
                       text, subject->port, finding->observed, draft->threshold);
    } else {
        (void)snprintf(draft->description, sizeof(draft->description),
                       "%s was not there in the learning period (%.0f connections, threshold "
                       "%.10g)",
                       text, finding->observed, draft->threshold);
    }
    incident_report(detection, self, subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, VIEW_HOST, 0, connections, report);
    detector_report_over(detection, self, VIEW_SERVICE, 0, connections, report);
}

static struct detection_watch watch(const struct detector_rules *rules, uint32_t window)
{
    (void)window;
    return (struct detection_watch){.first_second =
                                        rules->params[PARAM_LEARNING].number / NS_PER_SEC};
}

const struct detector_ops new_host_detector = {
    .name = "new_host",
    .help = "Hosts and services inside that were not there before, as information.",
    .kind = ALERT_NEW_HOST,
    .severities = {SEVERITY_INFO, SEVERITY_INFO, SEVERITY_INFO},
    .defaults = {.mode = "log",
                 .window = "24h",
                 .window_min_ns = 1e9,
                 .window_max_ns = 6.048e14,
                 .medium = "1",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 1,
                 .medium_max = 1e9,
                 .quiet = "24h"},
    .events = EVENT(END),
    .views = {{.name = "host", .size = SIZE_KEYS, .counters = COUNTERS},
              {.name = "service", .size = SIZE_KEYS, .counters = COUNTERS}},
    .windows = {{.view = VIEW_HOST}, {.view = VIEW_SERVICE}},
    .windows_count = 2,
    .params = {{.type = CONFIG_DURATION,
                .key = "learning",
                .value = "24h",
                .min = 0,
                .max = 6.048e14,
                .help = "After the start, what is seen belongs here."}},
    .memory = {.keeps_windows = true, .keeps_told = true, .learning_param = PARAM_LEARNING},
    .cares = cares,
    .feed = feed,
    .decide = decide,
    .watch = watch};
