/* FleetService's lists, and StatsService's last records. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/fleet_service.pb-c.h"
#include "netscope/v1/stats_service.pb-c.h"

enum {
    LIST_SENSORS = 1,
    LIST_NEXT_PAGE = 2,
    LIST_TOTAL = 3,
    LIST_COVERAGE = 4,
    LIST_REVOCATIONS = 5
};
enum { STATS_NEWEST = 1, STATS_SENSORS = 2, STATS_COVERAGE = 3 };

/* ---- ListSensors ---- */

static bool has_state(const Netscope__V1__ListSensorsRequest *request, enum sensor_state state)
{
    for (size_t i = 0; i < request->n_states; i++) {
        if ((int)request->states[i] == (int)state) {
            return true;
        }
    }
    return request->n_states == 0;
}

struct sensor_page {
    uint32_t matched, count;
    const struct sensor_info *last; /* shown; NULL: none */
    bool has_more;
    struct history_bytes records[GRPC_PAGE_MAX]; /* Sensor messages, owned */
    size_t bytes;
};

static bool fill_page(struct grpc_ask *ask, const Netscope__V1__ListSensorsRequest *request,
                      const struct grpc_sensor_choice *choice, uint32_t page_size,
                      const struct sensor_info *list, uint32_t count, struct sensor_page *page)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct sensor_info *info = &list[i];

        if (!grpc_sensor_is_chosen(choice, info->sensor_id, strlen(info->sensor_id)) ||
            !has_state(request, info->state)) {
            continue;
        }
        page->matched++;
        if (strcmp(info->sensor_id, request->page_token) <= 0) {
            continue; /* shown before: the token is the last id */
        }
        if (page->count == page_size) {
            page->has_more = true;
            continue;
        }
        size_t length;
        uint8_t *bytes = fleet_encode_sensor(fleet_of(ask->server), info, true, &length);

        if (bytes == NULL) {
            return false;
        }
        page->records[page->count++] = (struct history_bytes){bytes, (uint32_t)length};
        page->bytes += length + 8;
        page->last = info;
    }
    return true;
}

static void answer_page(struct grpc_ask *ask, const struct grpc_sensor_choice *choice,
                        const struct sensor_page *page, bool is_first)
{
    struct revocations *revocations = fleet_of(ask->server)->parts.revocations;
    struct fleet_coverage coverage;
    uint32_t revoked = 0;

    if (!fleet_coverage_make(fleet_of(ask->server), choice, NULL, &coverage)) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    struct revocation *list =
        is_first && revocations != NULL ? revocations_list(revocations, &revoked) : NULL;
    struct rpc_buffer buffer = rpc_buffer_new(page->bytes + coverage.length + 256 +
                                              (size_t)revoked * FLEET_REVOCATION_BYTES);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    for (uint32_t i = 0; i < page->count; i++) {
        wire_write_bytes(&w, LIST_SENSORS, page->records[i].bytes, page->records[i].length);
    }
    if (page->has_more) {
        wire_write_text(&w, LIST_NEXT_PAGE, page->last->sensor_id);
    }
    wire_write_varint(&w, LIST_TOTAL, page->matched);
    wire_write_bytes(&w, LIST_COVERAGE, coverage.bytes, coverage.length);
    free(coverage.bytes);
    for (uint32_t i = 0; i < revoked; i++) {
        fleet_write_revocation(&w, LIST_REVOCATIONS, &list[i]);
    }
    free(list);
    grpc_answer(ask, &buffer, wire_written(&w));
}

/* A token is the id that was shown last: one that nobody knows was never given out. */
static bool is_token(const char *token, const struct sensor_info *list, uint32_t count)
{
    for (uint32_t i = 0; i < count && token[0] != '\0'; i++) {
        if (strcmp(list[i].sensor_id, token) == 0) {
            return true;
        }
    }
    return token[0] == '\0';
}

static void list_sensors(struct grpc_ask *ask, const Netscope__V1__ListSensorsRequest *request,
                         uint32_t page_size, const struct grpc_sensor_choice *choice)
{
    uint32_t count;
    struct sensor_info *list = fleet_list(fleet_of(ask->server), &count);
    struct sensor_page *page = calloc(1, sizeof(*page));

    if (list != NULL && !is_token(request->page_token, list, count)) {
        grpc_refuse_field(ask, "page_token", "INVALID_PAGE_TOKEN", -1,
                          "page_token: not one of this method's answers");
    } else if (list != NULL && page != NULL &&
               fill_page(ask, request, choice, page_size, list, count, page)) {
        answer_page(ask, choice, page, request->page_token[0] == '\0');
    } else {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a page");
    }
    for (uint32_t i = 0; page != NULL && i < page->count; i++) {
        free(page->records[i].bytes);
    }
    free(page);
    free(list);
}

void fleet_list_sensors(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListSensorsRequest *request =
        (const Netscope__V1__ListSensorsRequest *)grpc_unpack(
            ask, &netscope__v1__list_sensors_request__descriptor, bytes, length);
    struct grpc_sensor_choice choice = {0};

    if (request == NULL) {
        return;
    }
    const uint32_t page_size =
        grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);

    if (page_size > 0 &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &choice)) {
        list_sensors(ask, request, page_size, &choice);
    }
    grpc_sensor_choice_free(&choice);
}

/* ---- GetSensor ---- */

void fleet_get_sensor(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetSensorRequest *request =
        (const Netscope__V1__GetSensorRequest *)grpc_unpack(
            ask, &netscope__v1__get_sensor_request__descriptor, bytes, length);
    struct fleet_grpc *fleet = fleet_of(ask->server);
    struct sensor_info info;
    size_t sensor_length;

    if (request == NULL) {
        return;
    }
    if (request->sensor_id[0] == '\0') {
        grpc_refuse_field(ask, "sensor_id", "MISSING_FIELD", -1, "sensor_id: not given");
        return;
    }
    if (!sensor_registry_find(fleet->parts.registry, clock_wall_ns(), request->sensor_id, &info)) {
        grpc_refuse(ask, RPC_NOT_FOUND, "NO_SUCH_SENSOR", -1, "sensor %.128s: never seen here",
                    request->sensor_id);
        return;
    }
    uint8_t *sensor = fleet_encode_sensor(fleet, &info, true, &sensor_length);

    if (sensor == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    grpc_answer_field(ask, 1, sensor, sensor_length);
    free(sensor);
}

/* ---- GetStats ---- */

static void write_stats(struct fleet_grpc *fleet, const struct grpc_sensor_choice *choice,
                        struct wire_writer *w)
{
    const struct fleet_stats *newest = NULL;

    for (uint32_t i = 0; i < fleet->stats_count; i++) {
        const struct fleet_stats *stats = &fleet->stats[i];

        if (grpc_sensor_is_chosen(choice, stats->sensor_id, strlen(stats->sensor_id))) {
            wire_write_bytes(w, STATS_SENSORS, stats->bytes, stats->length);
            newest = newest == NULL || stats->end_ns > newest->end_ns ? stats : newest;
        }
    }
    if (newest != NULL) {
        wire_write_bytes(w, STATS_NEWEST, newest->bytes, newest->length);
    }
}

static void answer_stats(struct grpc_ask *ask, const struct grpc_sensor_choice *choice)
{
    struct fleet_grpc *fleet = fleet_of(ask->server);
    struct fleet_coverage coverage;
    size_t bytes = 64;

    if (!fleet_coverage_make(fleet, choice, NULL, &coverage)) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    pthread_mutex_lock(&fleet->stats_lock);
    for (uint32_t i = 0; i < fleet->stats_count; i++) {
        bytes += 2 * (size_t)fleet->stats[i].length + 16;
    }
    struct rpc_buffer buffer = rpc_buffer_new(bytes + coverage.length);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    write_stats(fleet, choice, &w);
    pthread_mutex_unlock(&fleet->stats_lock);
    wire_write_bytes(&w, STATS_COVERAGE, coverage.bytes, coverage.length);
    free(coverage.bytes);
    grpc_answer(ask, &buffer, wire_written(&w));
}

void fleet_get_stats(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetStatsRequest *request =
        (const Netscope__V1__GetStatsRequest *)grpc_unpack(
            ask, &netscope__v1__get_stats_request__descriptor, bytes, length);
    struct grpc_sensor_choice choice = {0};

    if (request != NULL &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &choice)) {
        answer_stats(ask, &choice);
    }
    grpc_sensor_choice_free(&choice);
}
