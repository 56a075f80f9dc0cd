/* FlowService. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "netscope/v1/flow.pb-c.h"
#include "sensor/export/grpc_window.h"

enum { LIST_NEXT_PAGE = 2, LIST_TOTAL = 3 };
enum { GET_FLOW = 1 };
enum { RECORD_SENSOR_ID = 1, RECORD_BOOT_ID = 2 };

/* ---- flows alive now ---- */

static bool read_order(struct grpc_ask *ask, const char *field, Netscope__V1__FlowOrder order)
{
    if ((int)order < 0 || order > NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_RTT) {
        grpc_refuse_field(ask, field, "OUT_OF_BOUNDS", -1, "%s: %d is no order", field, (int)order);
        return false;
    }
    return true;
}

void gather_write_flow(struct wire_writer *w, const struct grpc_server *server, uint32_t field,
                       const struct gather_flow *flow)
{
    const struct wire_mark mark = wire_begin(w, field, 2);

    wire_write_text(w, RECORD_SENSOR_ID, grpc_sensor_of(server)->identity.sensor_id);
    wire_write_text(w, RECORD_BOOT_ID, grpc_sensor_of(server)->identity.boot_id);
    wire_write_raw(w, flow->bytes, flow->length);
    wire_end(w, mark);
}

static size_t flows_bytes(const struct grpc_server *server, const struct gather_result *result)
{
    const size_t identity = strlen(grpc_sensor_of(server)->identity.sensor_id) +
                            strlen(grpc_sensor_of(server)->identity.boot_id) + 16;
    size_t bytes = 256;

    for (uint32_t i = 0; i < result->flows_count; i++) {
        bytes += result->flows[i].length + identity;
    }
    return bytes;
}

static void answer_list(struct grpc_ask *ask, const struct gather_settings *settings,
                        const struct gather_result *result)
{
    const struct grpc_server *server = ask->server;
    /* One more than the page was asked for: is there another? */
    const uint32_t page = settings->limit - 1;
    const uint32_t count = result->flows_count < page ? result->flows_count : page;
    struct rpc_buffer buffer = rpc_buffer_new(flows_bytes(server, result));
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    for (uint32_t i = 0; i < count; i++) {
        gather_write_flow(&w, server, 1, &result->flows[i]);
    }
    if (result->flows_count > page) {
        const struct gather_flow *last = &result->flows[count - 1];
        char token[80];

        (void)snprintf(token, sizeof(token), "f%d-%llx-%llx-%llx", (int)settings->order,
                       (unsigned long long)settings->question, (unsigned long long)last->key,
                       (unsigned long long)last->flow_id);
        wire_write_text(&w, LIST_NEXT_PAGE, token);
    }
    wire_write_varint(&w, LIST_TOTAL, result->matched);
    grpc_answer(ask, &buffer, wire_written(&w));
}

static bool read_token(struct grpc_ask *ask, const char *token, struct gather_settings *settings)
{
    char *end;

    if (token[0] == '\0') {
        return true;
    }
    const unsigned long order = token[0] == 'f' ? strtoul(token + 1, &end, 10) : 0;

    if (token[0] == 'f' && end == token + 2 && *end == '-' &&
        order == (unsigned long)settings->order &&
        strtoull(end + 1, &end, 16) == settings->question && *end == '-') {
        settings->cursor_key = strtoull(end + 1, &end, 16);
        if (*end == '-' && end[1] != '\0') {
            settings->cursor_flow_id = strtoull(end + 1, &end, 16);
            settings->has_cursor = *end == '\0';
        }
    }
    if (!settings->has_cursor) {
        grpc_refuse_field(ask, "page_token", "INVALID_PAGE_TOKEN", -1,
                          "page_token: not one of an answer to the same request");
    }
    return settings->has_cursor;
}

void grpc_list_active_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListActiveFlowsRequest *request =
        (const Netscope__V1__ListActiveFlowsRequest *)grpc_unpack(
            ask, &netscope__v1__list_active_flows_request__descriptor, bytes, length);

    if (request == NULL || !read_order(ask, "order_by", request->order_by) ||
        !grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, NULL)) {
        return;
    }
    const uint32_t page_size =
        grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);
    struct gather_settings settings = {
        .order = request->order_by,
        .limit = page_size + 1,
        .question = hash_fnv1a(HASH_FNV1A_START, request->filter, strlen(request->filter))};

    if (page_size > 0 && read_token(ask, request->page_token, &settings) &&
        grpc_read_filter(ask, NULL, 0, NULL, 0, request->filter, &settings.filter)) {
        gather_start(ask, &settings, answer_list);
    }
}

static void answer_flow(struct grpc_ask *ask, const struct gather_settings *settings,
                        const struct gather_result *result)
{
    const struct grpc_server *server = ask->server;

    if (result->flows_count == 0) {
        if (settings->has_flow_id) {
            grpc_refuse(ask, RPC_NOT_FOUND, "NO_SUCH_FLOW", -1,
                        "flow %016llx: not alive now; its records may be in the history "
                        "(ObserveFlows)",
                        (unsigned long long)settings->flow_id);
        } else {
            grpc_refuse(ask, RPC_NOT_FOUND, "NO_SUCH_FLOW", -1,
                        "no flow with Community ID %s is alive now", settings->community_id);
        }
        return;
    }
    struct rpc_buffer buffer = rpc_buffer_new(flows_bytes(server, result));
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    gather_write_flow(&w, server, GET_FLOW, &result->flows[0]);
    grpc_answer(ask, &buffer, wire_written(&w));
}

void grpc_get_flow(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetFlowRequest *request = (const Netscope__V1__GetFlowRequest *)grpc_unpack(
        ask, &netscope__v1__get_flow_request__descriptor, bytes, length);
    struct gather_settings settings = {.order = NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_LAST_SEEN,
                                       .limit = 1};

    if (request == NULL ||
        !grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, NULL)) {
        return;
    }
    if (!grpc_check_flow_ids(ask, request->flow_id, request->community_id)) {
        return;
    }
    if (strlen(request->community_id) >= sizeof(settings.community_id)) {
        grpc_refuse_field(ask, "community_id", "BAD_ID", -1,
                          "community_id: '1:' and 28 characters were expected");
        return;
    }
    if (request->flow_id[0] != '\0') {
        settings.has_flow_id = true;
        settings.flow_id = strtoull(request->flow_id, NULL, 16);
    }
    (void)snprintf(settings.community_id, sizeof(settings.community_id), "%s",
                   request->community_id);
    gather_start(ask, &settings, answer_flow);
}

/* ---- GetTopFlows ---- */

static void answer_top(struct grpc_ask *ask, const struct gather_settings *settings,
                       const struct gather_result *result)
{
    const struct grpc_server *server = ask->server;
    struct rpc_buffer buffer = rpc_buffer_new(
        flows_bytes(server, result) + (size_t)result->groups_count * (GATHER_KEY_BYTES + 192));
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    for (uint32_t i = 0; i < result->flows_count; i++) {
        gather_write_flow(&w, server, 1, &result->flows[i]);
    }
    for (uint32_t i = 0; i < result->groups_count; i++) {
        const struct gather_row *row = &result->groups[i];
        const struct wire_mark mark = wire_begin(&w, TOP_GROUPS, 1);

        wire_write_text(&w, 1,
                        settings->group == GATHER_BY_SENSOR
                            ? grpc_sensor_of(server)->identity.sensor_id
                            : row->key);
        wire_write_varint(&w, 2, row->bytes);
        wire_write_varint(&w, 3, row->packets);
        wire_write_varint(&w, 4, row->flows);
        wire_end(&w, mark);
    }
    wire_write_bool(&w, TOP_TRUNCATED, result->is_full);
    grpc_answer(ask, &buffer, wire_written(&w));
}

static bool read_group(struct grpc_ask *ask, const char *name, struct gather_settings *settings)
{
    static const char *const names[] = {"", "client", "server", "server_port", "app", "sensor"};

    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(names[i], name) == 0) {
            settings->group = (enum gather_group)i;
            if (i != GATHER_FLOWS &&
                settings->order > NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_PACKETS) {
                grpc_refuse_field(ask, "by", "OUT_OF_BOUNDS", -1,
                                  "by: groups are ordered by bytes or packets");
                return false;
            }
            return true;
        }
    }
    grpc_refuse_field(ask, "group_by", "OUT_OF_BOUNDS", -1,
                      "group_by: '%.40s' is none of client, server, server_port, app, sensor",
                      name);
    return false;
}

void grpc_get_top_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetTopFlowsRequest *request =
        (const Netscope__V1__GetTopFlowsRequest *)grpc_unpack(
            ask, &netscope__v1__get_top_flows_request__descriptor, bytes, length);

    if (request == NULL || !read_order(ask, "by", request->by) ||
        !grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, NULL)) {
        return;
    }
    struct gather_settings settings = {
        .order = request->by,
        .limit = grpc_read_page_size(ask, "limit", request->limit, GRPC_TOP_DEFAULT)};

    if (settings.limit == 0 ||
        !grpc_read_duration(ask, request->window, "window", &settings.window_ns) ||
        !read_group(ask, request->group_by, &settings) ||
        !grpc_read_filter(ask, NULL, 0, NULL, 0, request->filter, &settings.filter)) {
        return;
    }
    if (settings.window_ns > 0) {
        window_start(ask, &settings);
    } else {
        gather_start(ask, &settings, answer_top);
    }
}
