/* What an answer could see of the fleet. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/fleet_private.h"

enum {
    COVERAGE_OLDEST = 1,
    COVERAGE_NEWEST = 2,
    COVERAGE_COMPLETE = 3,
    COVERAGE_ASKED = 4,
    COVERAGE_ANSWERED = 5,
    COVERAGE_MISSING = 6,
    COVERAGE_PAST = 7,
};
enum { PAST_RECORDS = 1, PAST_FROM = 2, PAST_REASON = 3 };

struct sensor_info *fleet_list(const struct fleet_grpc *fleet, uint32_t *count)
{
    return sensor_registry_all(fleet->parts.registry, clock_wall_ns(), count);
}

/* An id that was asked for and that nobody knows. */
static bool is_unknown(const char *pattern, const struct sensor_info *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(pattern, list[i].sensor_id) == 0) {
            return false;
        }
    }
    return pattern[0] != '\0' && strchr(pattern, '*') == NULL;
}

static void write_past(struct wire_writer *w, const struct history_cost *cost)
{
    const struct wire_mark mark = wire_begin(w, COVERAGE_PAST, 2);

    wire_write_varint(w, PAST_RECORDS, cost->past_records);
    grpc_write_time(w, PAST_FROM, cost->past_from_ns);
    wire_write_text(w, PAST_REASON, cost->past_reason);
    wire_end(w, mark);
}

bool fleet_coverage_make(const struct fleet_grpc *fleet, const struct grpc_sensor_choice *sensors,
                         const struct history_cost *cost, struct fleet_coverage *out)
{
    uint32_t count;
    struct sensor_info *list = fleet_list(fleet, &count);
    const size_t room = 512 + (size_t)(count + sensors->count) * 140;
    uint64_t oldest_ns = 0;
    uint64_t newest_ns = 0;
    uint32_t asked = 0;
    uint32_t answered = 0;

    out->bytes = malloc(room);
    if (list == NULL || out->bytes == NULL) {
        free(list);
        free(out->bytes);
        return false;
    }
    struct wire_writer w = wire_writer_over(out->bytes, room);

    if (history_span(fleet->parts.history, &oldest_ns, &newest_ns)) {
        grpc_write_time(&w, COVERAGE_OLDEST, oldest_ns);
        grpc_write_time(&w, COVERAGE_NEWEST, newest_ns);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!grpc_sensor_is_chosen(sensors, list[i].sensor_id, strlen(list[i].sensor_id))) {
            continue;
        }
        asked++;
        if (list[i].state == SENSOR_LIVE) {
            answered++;
        } else {
            wire_write_text(&w, COVERAGE_MISSING, list[i].sensor_id);
        }
    }
    for (uint32_t i = 0; i < sensors->count; i++) {
        if (is_unknown(sensors->patterns[i], list, count)) {
            asked++;
            wire_write_text(&w, COVERAGE_MISSING, sensors->patterns[i]);
        }
    }
    wire_write_bool(&w, COVERAGE_COMPLETE,
                    (cost == NULL || !cost->is_partial) && asked == answered);
    wire_write_varint(&w, COVERAGE_ASKED, asked);
    wire_write_varint(&w, COVERAGE_ANSWERED, answered);
    if (cost != NULL && cost->has_past) {
        write_past(&w, cost);
    }
    out->length = wire_written(&w);
    free(list);
    return true;
}
