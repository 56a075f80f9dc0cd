/* FleetService.GetConfigStatus: what sensors shall have, and what became of it. */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/api/fleet_push.h"
#include "netscope/v1/fleet_service.pb-c.h"

enum { STATUS_SENSOR = 1, STATUS_NEXT_PAGE, STATUS_TOTAL, STATUS_DESIRED };
enum {
    DESIRED_ID = 1,
    DESIRED_HASH,
    DESIRED_YAML,
    DESIRED_SELECTOR,
    DESIRED_CANARY,
    DESIRED_HOLD,
    DESIRED_STAGE,
    DESIRED_REASON,
    DESIRED_TIME,
    DESIRED_BY,
    DESIRED_TIMEOUT,
    DESIRED_CANARY_SELECTOR
};
enum {
    SENSOR_ID = 1,
    SENSOR_STATE,
    SENSOR_CONFIG,
    SENSOR_HASH,
    SENSOR_EFFECTIVE,
    SENSOR_REASON,
    SENSOR_PATH,
    SENSOR_LINE,
    SENSOR_RESTART,
    SENSOR_TIME,
    SENSOR_CANARY,
    SENSOR_CONNECTED
};

#define SENSOR_BYTES_MAX 4096 /* of a SensorConfig */

/* ---- DesiredConfig ---- */

static size_t choice_bytes(const struct rollout_choice *choice)
{
    size_t bytes = 16 + (choice->labels == NULL ? 0 : strlen(choice->labels));

    for (uint32_t i = 0; i < choice->patterns_count; i++) {
        bytes += strlen(choice->patterns[i]) + 8;
    }
    return bytes;
}

static void write_choice(struct wire_writer *w, uint32_t field, const struct rollout_choice *choice)
{
    const struct wire_mark mark = wire_begin(w, field, 1);

    for (uint32_t i = 0; i < choice->patterns_count; i++) {
        wire_write_text(w, 1, choice->patterns[i]);
    }
    wire_write_text_if_any(w, 2, choice->labels == NULL ? "" : choice->labels);
    wire_end(w, mark);
}

size_t fleet_desired_bytes(const struct rollout_wish *wish)
{
    return sizeof(*wish) + strlen(wish->yaml) + choice_bytes(&wish->who) +
           choice_bytes(&wish->first) + 128;
}

void fleet_write_desired(struct wire_writer *w, uint32_t field, const struct rollout_wish *wish)
{
    const struct wire_mark mark = wire_begin(w, field, 3);

    wire_write_text_if_any(w, DESIRED_ID, wish->id);
    wire_write_text_if_any(w, DESIRED_HASH, wish->hash);
    wire_write_text_if_any(w, DESIRED_YAML, wish->yaml);
    write_choice(w, DESIRED_SELECTOR, &wish->who);
    wire_write_varint(w, DESIRED_CANARY, wish->canary);
    fleet_write_duration(w, DESIRED_HOLD, wish->hold_ns);
    wire_write_varint(w, DESIRED_STAGE, wish->stage);
    wire_write_text_if_any(w, DESIRED_REASON, wish->stop_reason);
    if (wish->set_ns != 0) {
        grpc_write_time(w, DESIRED_TIME, wish->set_ns);
    }
    wire_write_text_if_any(w, DESIRED_BY, wish->set_by);
    fleet_write_duration(w, DESIRED_TIMEOUT, wish->timeout_ns);
    if (wish->has_first) {
        write_choice(w, DESIRED_CANARY_SELECTOR, &wish->first);
    }
    wire_end(w, mark);
}

/* ---- SensorConfig ---- */

static void write_told(struct wire_writer *w, const struct ingest_config_status *told)
{
    wire_write_text_if_any(w, SENSOR_REASON, told->reason);
    wire_write_text_if_any(w, SENSOR_PATH, told->path);
    if (told->line > 0) {
        wire_write_varint(w, SENSOR_LINE, told->line);
    }
    for (const char *at = told->needs_restart; *at != '\0';) {
        const size_t length = strcspn(at, ",");

        wire_write_bytes(w, SENSOR_RESTART, at, length);
        at += length + (at[length] == ',');
    }
}

static void write_sensor(struct wire_writer *w, const struct rollout *rollout,
                         const struct rollout_sensor *sensor)
{
    const struct rollout_wish *wish = rollout_find(rollout, sensor->wish_id);
    const struct wire_mark mark = wire_begin(w, STATUS_SENSOR, 2);

    wire_write_text(w, SENSOR_ID, sensor->sensor_id);
    wire_write_varint(w, SENSOR_STATE, sensor->state);
    wire_write_text_if_any(w, SENSOR_CONFIG, sensor->wish_id);
    wire_write_text_if_any(w, SENSOR_HASH, wish != NULL ? wish->hash : "");
    wire_write_text_if_any(w, SENSOR_EFFECTIVE, sensor->effective_hash);
    if (sensor->state == INGEST_CONFIG_PENDING) {
        wire_write_text_if_any(w, SENSOR_REASON, rollout_waits_for(rollout, sensor));
    } else if (sensor->told != NULL) {
        write_told(w, sensor->told);
    }
    if (sensor->wish_id[0] != '\0') {
        grpc_write_time(w, SENSOR_TIME, sensor->state_ns);
    }
    wire_write_bool(w, SENSOR_CANARY, sensor->is_canary);
    wire_write_bool(w, SENSOR_CONNECTED, sensor->is_connected);
    wire_end(w, mark);
}

/* ---- the page ---- */

struct status_page {
    const Netscope__V1__GetConfigStatusRequest *request;
    const struct grpc_sensor_choice *choice;
    uint32_t page_size;
    bool is_token; /* an id that is known, or none was given */
    bool ok;       /* there was memory */
    struct rpc_buffer buffer;
    size_t used;
};

static bool is_wanted(const struct status_page *page, const struct rollout_sensor *sensor)
{
    bool has_state = page->request->n_states == 0;

    for (size_t i = 0; i < page->request->n_states && !has_state; i++) {
        has_state = (int)page->request->states[i] == (int)sensor->state;
    }
    return has_state &&
           grpc_sensor_is_chosen(page->choice, sensor->sensor_id, strlen(sensor->sensor_id));
}

static void write_page(struct status_page *page, const struct rollout *rollout)
{
    struct wire_writer w = wire_writer_over(page->buffer.data, page->buffer.capacity);
    const struct rollout_sensor *sensor, *last = NULL;
    const struct rollout_wish *wish;
    uint32_t total = 0, shown = 0;
    bool has_more = false;

    for (uint32_t i = 0; (sensor = rollout_sensor_at(rollout, i)) != NULL; i++) {
        if (!is_wanted(page, sensor)) {
            continue;
        }
        total++;
        if (strcmp(sensor->sensor_id, page->request->page_token) <= 0) {
            continue;
        }
        has_more = has_more || shown == page->page_size;
        if (shown < page->page_size) {
            write_sensor(&w, rollout, sensor);
            last = sensor;
            shown++;
        }
    }
    if (has_more && last != NULL) {
        wire_write_text(&w, STATUS_NEXT_PAGE, last->sensor_id);
    }
    wire_write_varint(&w, STATUS_TOTAL, total);
    for (uint32_t i = 0; (wish = rollout_wish_at(rollout, i)) != NULL; i++) {
        if (wish->stage != ROLLOUT_NONE) {
            fleet_write_desired(&w, STATUS_DESIRED, wish);
        }
    }
    page->ok = w.ok;
    page->used = wire_written(&w);
}

static void look(void *context, const struct rollout *rollout)
{
    struct status_page *page = context;
    const struct rollout_sensor *sensor;
    const struct rollout_wish *wish;
    const char *token = page->request->page_token;
    size_t room = 256;
    uint32_t known = 0;

    page->is_token = token[0] == '\0';
    for (uint32_t i = 0; (sensor = rollout_sensor_at(rollout, i)) != NULL; i++) {
        page->is_token = page->is_token || strcmp(sensor->sensor_id, token) == 0;
        if (known < page->page_size && is_wanted(page, sensor) &&
            strcmp(sensor->sensor_id, token) > 0) {
            room += sensor->told != NULL ? SENSOR_BYTES_MAX : 512;
            known++;
        }
    }
    for (uint32_t i = 0; (wish = rollout_wish_at(rollout, i)) != NULL; i++) {
        room += fleet_desired_bytes(wish);
    }
    if (page->is_token) {
        page->buffer = rpc_buffer_new(room);
        write_page(page, rollout);
    }
}

static void answer_page(struct grpc_ask *ask, struct status_page *page)
{
    config_push_look(fleet_of(ask->server)->parts.push, look, page);
    if (!page->is_token) {
        grpc_refuse_field(ask, "page_token", "INVALID_PAGE_TOKEN", -1,
                          "page_token: not one of this method's answers");
    } else if (!page->ok) {
        rpc_buffer_discard(&page->buffer);
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no room for the answer");
    } else {
        grpc_answer(ask, &page->buffer, page->used);
    }
}

void fleet_get_config_status(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetConfigStatusRequest *request =
        (const Netscope__V1__GetConfigStatusRequest *)grpc_unpack(
            ask, &netscope__v1__get_config_status_request__descriptor, bytes, length);
    struct grpc_sensor_choice choice = {0};

    if (request == NULL || !fleet_can_push(ask)) {
        return;
    }
    struct status_page page = {.request = request, .choice = &choice};

    page.page_size = grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);
    if (page.page_size > 0 &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &choice)) {
        answer_page(ask, &page);
    }
    grpc_sensor_choice_free(&choice);
}
