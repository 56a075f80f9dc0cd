/* FlowService over the fleet, out of the history. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/flow_service.pb-c.h"

enum { LIST_TOTAL = 3, LIST_COVERAGE = 4, LIST_DEDUP = 5 };
enum { GET_COVERAGE = 2 };
enum { TOP_GROUPS = 2, TOP_FROM = 3, TOP_TRUNCATED = 4, TOP_COVERAGE = 5, TOP_DEDUP = 6 };
enum { GROUP_KEY = 1, GROUP_BYTES = 2, GROUP_PACKETS = 3, GROUP_FLOWS = 4, GROUP_OVER = 5 };

#define GROUP_ROW_BYTES 80 /* without its key */

static const enum history_order orders[] = {
    [NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_UNSPECIFIED] = ORDER_BYTES,
    [NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_BYTES] = ORDER_BYTES,
    [NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_PACKETS] = ORDER_PACKETS,
    [NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_LAST_SEEN] = ORDER_END_TIME,
    [NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_RETRANSMITS] = ORDER_RETRANSMITS,
    [NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_RTT] = ORDER_RTT,
};

static bool read_order(struct grpc_ask *ask, const char *field, int order, enum history_order *out)
{
    if (order < 0 || (size_t)order >= ARRAY_COUNT(orders)) {
        grpc_refuse_field(ask, field, "OUT_OF_BOUNDS", -1, "%s: %d is none", field, order);
        return false;
    }
    *out = orders[order];
    return true;
}

/* ---- ListActiveFlows ---- */

static void run_list(struct fleet_job *job)
{
    struct history_flows flows;
    const struct history_flows_query query = {.from_ns = job->from_ns,
                                              .to_ns = job->to_ns,
                                              .filter = job->filter,
                                              .order = job->order,
                                              .page_size = job->page_size,
                                              .after = job->has_cursor ? &job->cursor : NULL,
                                              .is_all = job->is_all};
    char token[API_TOKEN_BYTES] = "";
    uint8_t more[24];
    struct wire_writer w = wire_writer_over(more, sizeof(more));

    if (fleet_job_succeeded(job, history_query_flows(job->reader, &query, &flows))) {
        const struct api_flow_token next = {.question = job->question,
                                            .order = job->order,
                                            .from_ns = job->from_ns,
                                            .to_ns = job->to_ns,
                                            .cursor = flows.last};

        if (flows.has_more) {
            api_flow_token_write(&next, token);
        }
        wire_write_varint(&w, LIST_TOTAL, flows.matched);
        fleet_write_dedup(&w, LIST_DEDUP, job);
        fleet_job_answer(job, &(struct fleet_answer){.records = flows.records.items,
                                                     .count = flows.records.count,
                                                     .next_page = token,
                                                     .coverage_field = LIST_COVERAGE,
                                                     .more = more,
                                                     .more_length = wire_written(&w)});
    }
    history_flows_fini(&flows);
}

static bool read_token(struct grpc_ask *ask, const Netscope__V1__ListActiveFlowsRequest *request,
                       struct fleet_job *job)
{
    const char *text = request->page_token;
    struct api_flow_token token;

    job->question = fleet_question(job, request->filter);
    if (text[0] == '\0') {
        job->to_ns = clock_wall_ns() + NS_PER_SEC;
        job->from_ns = job->to_ns - ask->server->settings.flow_age_ns;
        return true;
    }
    if (!api_flow_token_read(text, &token) || token.question != job->question ||
        token.order != job->order || token.is_ascending) {
        grpc_refuse_field(ask, "page_token", "INVALID_PAGE_TOKEN", -1,
                          "page_token: not one of an answer to the same request");
        return false;
    }
    job->from_ns = token.from_ns; /* every page is of the same range */
    job->to_ns = token.to_ns;
    job->cursor = token.cursor;
    job->has_cursor = true;
    return true;
}

void fleet_list_active_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListActiveFlowsRequest *request =
        (const Netscope__V1__ListActiveFlowsRequest *)grpc_unpack(
            ask, &netscope__v1__list_active_flows_request__descriptor, bytes, length);
    struct fleet_job *job = request == NULL ? NULL : fleet_job_new(ask, run_list);

    if (job == NULL) {
        return;
    }
    job->page_size = grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);
    if (job->page_size > 0 && fleet_read_dedup(job, (int)request->dedup) &&
        read_order(ask, "order_by", (int)request->order_by, &job->order) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &job->sensors) &&
        fleet_read_filter(ask, request->filter, "event != end", &job->sensors, &job->filter) &&
        read_token(ask, request, job)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}

/* ---- GetFlow ---- */

/* The newest record that the filter (an id, and sensors) lets through, ended or not. */
static void run_get(struct fleet_job *job)
{
    struct history_flows flows;
    const struct history_flows_query query = {.to_ns = INT64_MAX,
                                              .filter = job->filter,
                                              .order = ORDER_END_TIME,
                                              .page_size = 1,
                                              .is_all = true};

    if (fleet_job_succeeded(job, history_query_flows(job->reader, &query, &flows))) {
        if (flows.records.count == 0) {
            if (!fleet_job_tries_past(job)) {
                grpc_refuse(&job->ask, RPC_NOT_FOUND, "NO_SUCH_FLOW", -1,
                            "flow %s: not in the history of these sensors%s%s", job->id,
                            job->cost.past_reason[0] != '\0' ? "; " : "", job->cost.past_reason);
            }
        } else if (fleet_job_succeeded(
                       job, history_query_observers(job->reader, &flows.records.items[0]))) {
            fleet_job_answer(job, &(struct fleet_answer){.records = flows.records.items,
                                                         .count = 1,
                                                         .next_page = "",
                                                         .coverage_field = GET_COVERAGE});
        }
    }
    history_flows_fini(&flows);
}

static bool read_id(struct grpc_ask *ask, const Netscope__V1__GetFlowRequest *request,
                    struct fleet_job *job, char wanted[128])
{
    if (!grpc_check_flow_ids(ask, request->flow_id, request->community_id)) {
        return false;
    }
    if (strlen(request->community_id) >= 48 || strpbrk(request->community_id, "\"\\*") != NULL) {
        grpc_refuse_field(ask, "community_id", "BAD_ID", -1,
                          "community_id: '1:' and 28 characters were expected");
        return false;
    }
    (void)snprintf(job->id, sizeof(job->id), "%s%s", request->flow_id, request->community_id);
    (void)snprintf(wanted, 128, "%s = \"%s\"",
                   request->flow_id[0] != '\0' ? "flow_id" : "community_id", job->id);
    return true;
}

void fleet_get_flow(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetFlowRequest *request = (const Netscope__V1__GetFlowRequest *)grpc_unpack(
        ask, &netscope__v1__get_flow_request__descriptor, bytes, length);
    struct fleet_job *job = request == NULL ? NULL : fleet_job_new(ask, run_get);
    char wanted[128];

    if (job == NULL) {
        return;
    }
    if (read_id(ask, request, job, wanted) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &job->sensors) &&
        fleet_read_filter(ask, "", wanted, &job->sensors, &job->filter)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}

/* ---- GetTopFlows ---- */

static void write_group(struct wire_writer *w, const struct history_group_row *row)
{
    const struct wire_mark mark = wire_begin(w, TOP_GROUPS, 2);

    wire_write_text(w, GROUP_KEY, row->key);
    wire_write_varint(w, GROUP_BYTES, row->bytes);
    wire_write_varint(w, GROUP_PACKETS, row->packets);
    wire_write_varint(w, GROUP_FLOWS, row->flows);
    wire_write_varint(w, GROUP_OVER, row->bytes_before);
    wire_end(w, mark);
}

static void answer_top(struct fleet_job *job, const struct history_list *records,
                       const struct history_groups *groups)
{
    size_t room = 64;

    for (uint32_t i = 0; i < groups->count; i++) {
        room += GROUP_ROW_BYTES + strlen(groups->rows[i].key);
    }
    uint8_t *more = malloc(room);

    if (more == NULL) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    struct wire_writer w = wire_writer_over(more, room);

    for (uint32_t i = 0; i < groups->count; i++) {
        write_group(&w, &groups->rows[i]);
    }
    grpc_write_time(&w, TOP_FROM, job->from_ns);
    wire_write_bool(&w, TOP_TRUNCATED, groups->is_full || job->cost.is_partial);
    fleet_write_dedup(&w, TOP_DEDUP, job);
    fleet_job_answer(job, &(struct fleet_answer){.records = records->items,
                                                 .count = records->count,
                                                 .next_page = "",
                                                 .coverage_field = TOP_COVERAGE,
                                                 .more = more,
                                                 .more_length = wire_written(&w)});
    free(more);
}

/* By bytes and packets of the window, from the deltas of the records. */
static void run_groups(struct fleet_job *job)
{
    struct history_groups groups;
    const struct history_groups_query query = {.from_ns = job->from_ns,
                                               .to_ns = job->to_ns,
                                               .filter = job->filter,
                                               .group = job->group,
                                               .is_by_packets = job->is_by_packets,
                                               .limit = job->page_size,
                                               .is_all = job->is_all};

    if (fleet_job_succeeded(job, history_query_groups(job->reader, &query, &groups))) {
        answer_top(job, &groups.records, &groups);
    }
    history_groups_fini(&groups);
}

/* By what a flow says of itself: the flows seen in the window. */
static void run_ranked(struct fleet_job *job)
{
    struct history_flows flows;
    const struct history_groups none = {0};
    const struct history_flows_query query = {.from_ns = job->from_ns,
                                              .to_ns = job->to_ns,
                                              .filter = job->filter,
                                              .order = job->order,
                                              .page_size = job->page_size,
                                              .is_all = job->is_all};

    if (fleet_job_succeeded(job, history_query_flows(job->reader, &query, &flows))) {
        answer_top(job, &flows.records, &none);
    }
    history_flows_fini(&flows);
}

static bool read_group(struct grpc_ask *ask, const char *name, struct fleet_job *job)
{
    static const char *const names[GROUP_COUNT] = {
        [GROUP_FLOW] = "",           [GROUP_CLIENT] = "client",
        [GROUP_SERVER] = "server",   [GROUP_SERVER_PORT] = "server_port",
        [GROUP_APPLICATION] = "app", [GROUP_SENSOR] = "sensor"};
    const bool is_sum = job->order == ORDER_BYTES || job->order == ORDER_PACKETS;

    for (unsigned i = 0; i < GROUP_COUNT; i++) {
        if (strcmp(names[i], name) != 0) {
            continue;
        }
        job->group = (enum history_group)i;
        job->is_by_packets = job->order == ORDER_PACKETS;
        job->run = is_sum ? run_groups : run_ranked;
        if (i != GROUP_FLOW && !is_sum) {
            grpc_refuse_field(ask, "by", "OUT_OF_BOUNDS", -1,
                              "by: groups are ordered by bytes or packets");
        }
        return i == GROUP_FLOW || is_sum;
    }
    grpc_refuse_field(ask, "group_by", "OUT_OF_BOUNDS", -1,
                      "group_by: '%.40s' is none of client, server, server_port, app, sensor",
                      name);
    return false;
}

void fleet_get_top_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetTopFlowsRequest *request =
        (const Netscope__V1__GetTopFlowsRequest *)grpc_unpack(
            ask, &netscope__v1__get_top_flows_request__descriptor, bytes, length);
    struct fleet_job *job = request == NULL ? NULL : fleet_job_new(ask, run_groups);
    uint64_t window_ns = 0;

    if (job == NULL) {
        return;
    }
    job->page_size = grpc_read_page_size(ask, "limit", request->limit, GRPC_TOP_DEFAULT);
    job->to_ns = clock_wall_ns() + NS_PER_SEC;
    if (job->page_size > 0 && fleet_read_dedup(job, (int)request->dedup) &&
        read_order(ask, "by", (int)request->by, &job->order) &&
        grpc_read_duration(ask, request->window, "window", &window_ns) &&
        read_group(ask, request->group_by, job) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &job->sensors) &&
        fleet_read_filter(ask, request->filter, "", &job->sensors, &job->filter)) {
        window_ns = window_ns == 0 ? ask->server->settings.top_window_ns : window_ns;
        job->from_ns = window_ns < job->to_ns ? job->to_ns - window_ns : 0;
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}
