/* Sensors that are dialed, on the page of metrics. */
#include <stddef.h>

#include "base/attributes.h"
#include "base/metrics.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/ledger.h"

void metrics_write_dials(struct metrics_page *page, struct api *api)
{
#define COLUMN(member) offsetof(struct api_dial_counts, member)
#define DIAL(name)     "netscope_collector_dial_" name
    static const struct {
        const char *result;
        size_t offset;
    } results[] = {{"taken", COLUMN(taken)},
                   {"duplicate", COLUMN(known)},
                   {"lost", COLUMN(lost)},
                   {"by_stream", COLUMN(passed)},
                   {"refused", COLUMN(refused)}};
    static const struct {
        const char *name, *help;
        size_t offset;
    } families[] = {
        {DIAL("attempts_total"), "Attempts to connect.", COLUMN(attempts)},
        {DIAL("connections_total"), "Of them: the sensor reported.", COLUMN(connections)},
        {DIAL("disconnections_total"), "Times that its streams ended again.",
         COLUMN(disconnections)},
        {DIAL("messages_total"), "Messages of its streams.", COLUMN(messages)},
        {DIAL("undecodable_total"), "Of them: none that a sensor sends.", COLUMN(undecodable)},
        {DIAL("before_records_total"),
         "Records that a sensor had numbered and no longer held when it was met first.",
         COLUMN(before)}};
#undef COLUMN
    static const char records[] = DIAL("records_total");
    struct api_dial_counts c[API_DIALS_MAX];
    const uint32_t count = ledger_dials(api, c);

    if (count == 0) {
        return;
    }
    metrics_family(page, DIAL("connected"), METRICS_GAUGE, "1: the dialed sensor reports now.");
    for (uint32_t i = 0; i < count; i++) {
        metrics_u64(page, DIAL("connected"),
                    METRICS_LABELS("dial", c[i].name, "sensor", c[i].sensor_id), c[i].is_connected);
    }
    metrics_family(page, records, METRICS_COUNTER,
                   "Records of dialed sensors and what became of them; lost: told as lost.");
    for (uint32_t i = 0; i < count; i++) {
        for (size_t j = 0; j < ARRAY_COUNT(results); j++) {
            metrics_u64(page, records,
                        METRICS_LABELS("dial", c[i].name, "result", results[j].result),
                        *(const uint64_t *)((const char *)&c[i] + results[j].offset));
        }
    }
    for (size_t j = 0; j < ARRAY_COUNT(families); j++) {
        metrics_family(page, families[j].name, METRICS_COUNTER, families[j].help);
        for (uint32_t i = 0; i < count; i++) {
            metrics_u64(page, families[j].name, METRICS_LABELS("dial", c[i].name),
                        *(const uint64_t *)((const char *)&c[i] + families[j].offset));
        }
    }
#undef DIAL
}
