/* An application on a port that is not its own. What is spoken was recognised by what was said, so
 * the port is what is odd: weakly where the port is nobody's (SSH on 2222), more so where it is the
 * well-known port of another application (SSH on 53, HTTP on 22). One note a service and
 * application, as information. */
#include <stdio.h>
#include <string.h>

#include "detection/detector.h"
#include "detection/detectors.h"

enum { COUNT_RECORDS, COUNTERS };
enum { LABEL_APP, LABEL_USE }; /* in subject.label */

static bool is_allowed(const struct detector_rules *rules, uint8_t app, uint16_t port)
{
    for (uint32_t i = 0; i < rules->ports_count; i++) {
        const struct detector_ports *ports = &rules->ports[i];

        if (ports->app == app && port >= ports->first && port <= ports->last) {
            return true;
        }
    }
    return false;
}

static enum app_port_use use_of(const struct detector_rules *rules, uint8_t app, uint8_t protocol,
                                uint16_t port)
{
    const enum app_port_use use = app_port_use((enum detection_app)app, protocol, port);

    return use == APP_PORT_USUAL || is_allowed(rules, app, port) ? APP_PORT_USUAL : use;
}

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    return glance->app != DETECTION_APP_NONE && glance->is_answered &&
           use_of(rules, glance->app, glance->protocol, glance->target_port) != APP_PORT_USUAL;
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    const enum app_port_use use = use_of(rules, fact->app, fact->protocol, fact->target_port);

    if (use == APP_PORT_USUAL || !fact->is_answered) {
        return;
    }
    const struct detection_subject subject = {
        .target = fact->target,
        .port = fact->target_port,
        .protocol = fact->protocol,
        .label = {[LABEL_APP] = fact->app, [LABEL_USE] = (uint8_t)use}};
    const char *name = detection_app_name((enum detection_app)fact->app);
    struct detection_table *table = detector_view(rules, frame, 0);
    const uint32_t number = detector_touch(rules, frame, 0, &subject, fact->time_ns);
    /* A flow is told twice and is one. */
    const uint64_t hash =
        detector_hash_address(frame, &fact->source) + detector_hash_u32(frame, fact->source_port);
    struct detection_member member = detector_member(frame, hash, fact, true, false);

    member.address = fact->source;
    detection_table_count(table, number, COUNT_RECORDS, 1);
    detection_table_add(table, number, &member, NULL);
    detection_table_set_name(table, number, name, strlen(name));
}

static double connections(struct detection *detection, const struct detector *self, uint32_t window,
                          uint32_t number)
{
    return detection_table_members(detector_window(detection, self, window), number);
}

/* "which is usually on port 22", "the port of dns". */
static void tell_port(const struct detection_subject *subject, const char *app, char *out,
                      size_t size)
{
    const uint16_t usual = app_port_first(detection_app_of(app, strlen(app)));
    const enum detection_app owner = app_port_owner(subject->protocol, subject->port);
    const int used = owner != DETECTION_APP_NONE
                         ? snprintf(out, size, ", the port of %s", detection_app_name(owner))
                         : 0;

    if (usual != 0) {
        (void)snprintf(out + used, size - (size_t)used, ", which is usually on port %u", usual);
    }
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_table *table = detector_window(detection, self, 0);
    const struct detection_subject *subject = &finding->subject;
    const bool is_foreign = subject->label[LABEL_USE] == APP_PORT_FOREIGN;
    const char *app = detection_table_name(table, finding->number);
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_UNUSUAL_PORT,
                                                .number = finding->number,
                                                .observed = finding->observed,
                                                .unit = "connections",
                                                .key = "ports"});
    char target[ADDRESS_TEXT_BYTES], port[96] = "";

    if (is_foreign && draft->severity < SEVERITY_LOW) {
        draft->severity = SEVERITY_LOW;
        draft->score = 25;
    }
    draft->victims_total_estimate = 1;
    evidence_victim(draft, &subject->target, subject->port);
    evidence_of_set(draft->top_sources, &draft->top_sources_count, NULL, NULL, table,
                    finding->number);
    evidence_mitre(draft, "TA0011", "T1571", "Non-Standard Port", is_foreign ? 50 : 30);
    (void)address_text(&subject->target, target);
    tell_port(subject, app, port, sizeof(port));
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s speaks %s on %s port %u%s: %s%.0f connection%s (threshold %.10g)", target,
                   app, subject->protocol == 17 ? "UDP" : "TCP", subject->port, port,
                   evidence_about(table, finding->number), finding->observed,
                   finding->observed == 1 ? "" : "s", draft->threshold);
    incident_report(detection, self, subject);
}

static void decide(struct detection *detection, struct detector *self)
{
    detector_report_over(detection, self, 0, 0, connections, report);
}

static bool take_allowed(const char *item, struct detector_ports *out)
{
    const char *colon = strchr(item, ':');

    if (colon == NULL) {
        return false;
    }
    out->app = (uint8_t)detection_app_of(item, (size_t)(colon - item));
    return out->app != DETECTION_APP_NONE && app_port_range(colon + 1, &out->first, &out->last);
}

static bool take_ignored(const char *item, struct detector_ports *out)
{
    *out = (struct detector_ports){(uint8_t)detection_app_of(item, strlen(item)), 0, 65535};
    return out->app != DETECTION_APP_NONE;
}

const struct detector_ops unusual_port_detector = {
    .name = "unusual_port",
    .help = "Applications on ports that are not theirs, as information.",
    .kind = ALERT_UNUSUAL_PORT,
    .severities = {SEVERITY_INFO, SEVERITY_INFO, SEVERITY_LOW},
    .defaults = {.mode = "log",
                 .window = "1h",
                 .window_min_ns = 1e9,
                 .window_max_ns = 8.64e13,
                 .medium = "1",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 1,
                 .medium_max = 1e9,
                 .quiet = "1h"},
    .events = EVENT(FLOW),
    .protocols = DETECTOR_TCP | DETECTOR_UDP,
    .views = {{.name = "service",
               .size = SIZE_KEYS,
               .counters = COUNTERS,
               .members = 2,
               .has_names = true}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .params = {{.type = CONFIG_LIST,
                .key = "ports",
                .value = "",
                .max = DETECTOR_PORTS_MAX,
                .help = "Ports that are usual here besides the known ones: ssh:2222, "
                        "http:8000-8100.",
                .take_ports = take_allowed,
                .form = "an application and its ports such as ssh:2222 or dns:5300-5399"},
               {.type = CONFIG_LIST,
                .key = "ignore",
                .value = "",
                .max = DETECTION_APP_COUNT,
                .help = "Applications that may be on any port: openvpn.",
                .take_ports = take_ignored,
                .form = "an application whose ports are known, such as ssh, rdp or dns"}},
    .cares = cares,
    .feed = feed,
    .decide = decide};
