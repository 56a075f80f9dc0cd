/* QueryService.GetServiceMap: who talks to whom, with the rest of the nodes and edges in "other".
 */
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/clock.h"
#include "collector-ui/api/fleet_private.h"
#include "collector-ui/api/service_map.h"
#include "netscope/v1/query_service.pb-c.h"

enum {
    MAP_NODES = 1,
    MAP_EDGES = 2,
    MAP_COVERAGE = 3,
    MAP_FROM = 4,
    MAP_TO = 5,
    MAP_NODES_TOTAL = 6,
    MAP_EDGES_TOTAL = 7,
    MAP_TRUNCATED = 8,
    MAP_REASON = 9,
    MAP_MATCHED = 10,
    MAP_SCANNED = 11,
    MAP_TOOK = 12,
    MAP_DEDUP = 13
};
enum {
    NODE_ID = 1,
    NODE_KIND = 2,
    NODE_NAME = 3,
    NODE_SENT = 4,
    NODE_RECEIVED = 5,
    NODE_PACKETS = 6,
    NODE_OTHER = 7,
    NODE_MEMBERS = 8
};
enum {
    EDGE_CLIENT = 1,
    EDGE_SERVER = 2,
    EDGE_FORWARD = 3,
    EDGE_REVERSE = 4,
    EDGE_PACKETS = 5,
    EDGE_RECORDS = 6,
    EDGE_NEW_FLOWS = 7,
    EDGE_ENDED = 8,
    EDGE_FAILED = 9,
    EDGE_ERROR_RATE = 10,
    EDGE_RETRANSMITS = 11,
    EDGE_TCP_PACKETS = 12,
    EDGE_RETRANSMIT_RATIO = 13,
    EDGE_RTT = 14,
    EDGE_OTHER = 15,
    EDGE_MEMBERS = 16
};

#define LABELS     "labels." /* and a key: by what networks are called */
#define NODE_BYTES (128 + 2 * HISTORY_VALUE_BYTES)
#define EDGE_BYTES (256 + 2 * MAP_ID_BYTES)

static void write_node(struct wire_writer *w, const struct map_node *node)
{
    const struct wire_mark mark = wire_begin(w, MAP_NODES, 1);
    char id[MAP_ID_BYTES];

    map_node_id(node, id);
    wire_write_text(w, NODE_ID, id);
    wire_write_text(w, NODE_KIND, map_kind_name(node->kind));
    wire_write_text(w, NODE_NAME, node->is_other ? "other" : node->name);
    wire_write_varint(w, NODE_SENT, node->sent);
    wire_write_varint(w, NODE_RECEIVED, node->received);
    wire_write_varint(w, NODE_PACKETS, node->packets);
    wire_write_bool(w, NODE_OTHER, node->is_other);
    wire_write_varint(w, NODE_MEMBERS, node->members);
    wire_end(w, mark);
}

static void write_edge(struct wire_writer *w, const struct service_map *map,
                       const struct map_edge *edge)
{
    const struct wire_mark mark = wire_begin(w, MAP_EDGES, 2);
    const struct history_sums *const sums = &edge->sums;
    char id[MAP_ID_BYTES];

    map_node_id(&map->nodes[edge->client], id);
    wire_write_text(w, EDGE_CLIENT, id);
    map_node_id(&map->nodes[edge->server], id);
    wire_write_text(w, EDGE_SERVER, id);
    wire_write_varint(w, EDGE_FORWARD, sums->bytes_forward);
    wire_write_varint(w, EDGE_REVERSE, sums->bytes_reverse);
    wire_write_varint(w, EDGE_PACKETS, sums->packets);
    wire_write_varint(w, EDGE_RECORDS, sums->records);
    wire_write_varint(w, EDGE_NEW_FLOWS, sums->new_flows);
    wire_write_varint(w, EDGE_ENDED, sums->ended);
    wire_write_varint(w, EDGE_FAILED, sums->failed);
    if (sums->ended > 0) {
        wire_write_double(w, EDGE_ERROR_RATE, (double)sums->failed / (double)sums->ended);
    }
    wire_write_varint(w, EDGE_RETRANSMITS, sums->retransmits);
    wire_write_varint(w, EDGE_TCP_PACKETS, sums->tcp_packets);
    if (sums->tcp_packets > 0) {
        wire_write_double(w, EDGE_RETRANSMIT_RATIO,
                          (double)sums->retransmits / (double)sums->tcp_packets);
    }
    if (sums->rtt_count > 0) {
        fleet_write_duration(w, EDGE_RTT, sums->rtt_sum_ns / sums->rtt_count);
    }
    wire_write_bool(w, EDGE_OTHER, edge->is_other);
    wire_write_varint(w, EDGE_MEMBERS, edge->members);
    wire_end(w, mark);
}

static void write_map(struct wire_writer *w, const struct fleet_job *job,
                      const struct service_map *map, const struct history_aggregate *sums,
                      const char *reason)
{
    for (uint32_t i = 0; i < map->nodes_count; i++) {
        write_node(w, &map->nodes[i]);
    }
    for (uint32_t i = 0; i < map->edges_count; i++) {
        write_edge(w, map, &map->edges[i]);
    }
    grpc_write_time(w, MAP_FROM, job->from_ns);
    grpc_write_time(w, MAP_TO, job->to_ns);
    wire_write_varint(w, MAP_NODES_TOTAL, map->nodes_total);
    wire_write_varint(w, MAP_EDGES_TOTAL, map->edges_total);
    wire_write_bool(w, MAP_TRUNCATED, job->cost.is_partial);
    wire_write_text(w, MAP_REASON, reason);
    wire_write_varint(w, MAP_MATCHED, sums->matched);
    wire_write_varint(w, MAP_SCANNED, job->cost.scanned);
    fleet_write_duration(w, MAP_TOOK, clock_monotonic_ns() - job->started_ns);
    fleet_write_dedup(w, MAP_DEDUP, job);
}

static bool answer_map(struct fleet_job *job, const struct service_map *map,
                       const struct history_aggregate *sums)
{
    char reason[FLEET_REASON_BYTES];
    const size_t room = 512 + sizeof(reason) + (size_t)map->nodes_count * NODE_BYTES +
                        (size_t)map->edges_count * EDGE_BYTES;
    uint8_t *const more = malloc(room);

    if (more == NULL) {
        return false;
    }
    struct wire_writer w = wire_writer_over(more, room);

    fleet_sums_reason(job, sums, reason);
    write_map(&w, job, map, sums, reason);
    fleet_job_answer(job, &(struct fleet_answer){.next_page = "",
                                                 .coverage_field = MAP_COVERAGE,
                                                 .more = more,
                                                 .more_length = wire_written(&w)});
    free(more);
    return true;
}

static void run_map(struct fleet_job *job)
{
    struct history_aggregate sums;
    struct service_map map = {0};

    job->sums.from_ns = job->from_ns;
    job->sums.to_ns = job->to_ns;
    job->sums.filter = job->filter;
    job->sums.is_all = job->is_all;
    job->sums.limit = UINT32_MAX; /* the map itself cuts */
    if (fleet_job_succeeded(job, history_query_aggregate(job->reader, &job->sums, &sums)) &&
        (!service_map_make(&sums, job->sums.by[1], job->map_nodes, job->map_edges, &map) ||
         !answer_map(job, &map, &sums))) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the map");
    }
    service_map_fini(&map);
    history_aggregate_fini(&sums);
}

/* ---- the request ---- */

static bool read_most(struct grpc_ask *ask, const char *name, uint32_t value, uint32_t otherwise,
                      uint32_t max, uint32_t *out)
{
    if (value > max || value == 1) {
        grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1, "%s is %u: 2 to %u, or 0 for %u", name,
                          value, max, otherwise);
        return false;
    }
    *out = value == 0 ? otherwise : value;
    return true;
}

/* "labels.site": from network to network, as that label calls them. */
static bool read_label(struct history_aggregate_query *sums, const char *name)
{
    if (!fleet_read_label_key(name, LABELS, sums->labels[0])) {
        return false;
    }
    sums->by[0] = DIMENSION_CLIENT_NETWORK;
    sums->by[1] = DIMENSION_SERVER_NETWORK;
    memcpy(sums->labels[1], sums->labels[0], sizeof(sums->labels[1]));
    return true;
}

static bool read_grouping(struct fleet_job *job, const char *name)
{
    static const struct {
        const char *name;
        enum history_dimension server;
    } groupings[] = {{"host", DIMENSION_SERVER},
                     {"application", DIMENSION_APPLICATION},
                     {"server_name", DIMENSION_SERVER_LABEL}};

    job->sums.by[0] = DIMENSION_CLIENT;
    job->sums.by_count = 2;
    job->sums.wants_quality = true;
    for (unsigned i = 0; i < ARRAY_COUNT(groupings); i++) {
        if (strcmp(name[0] == '\0' ? "host" : name, groupings[i].name) == 0) {
            job->sums.by[1] = groupings[i].server;
            return true;
        }
    }
    if (read_label(&job->sums, name)) {
        return true;
    }
    grpc_refuse_field(&job->ask, "group_by", "OUT_OF_BOUNDS", -1,
                      "group_by: '%.40s' is none of host, application, server_name, " LABELS "KEY",
                      name);
    return false;
}

void fleet_get_service_map(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetServiceMapRequest *request =
        (const Netscope__V1__GetServiceMapRequest *)grpc_unpack(
            ask, &netscope__v1__get_service_map_request__descriptor, bytes, length);
    struct fleet_job *job = request == NULL ? NULL : fleet_job_new(ask, run_map);

    if (job == NULL) {
        return;
    }
    if (fleet_read_dedup(job, (int)request->dedup) &&
        fleet_read_range(job, request->from, request->to) &&
        read_grouping(job, request->group_by) &&
        read_most(ask, "max_nodes", request->max_nodes, MAP_NODES_DEFAULT, MAP_NODES_MAX,
                  &job->map_nodes) &&
        read_most(ask, "max_edges", request->max_edges, MAP_EDGES_DEFAULT, MAP_EDGES_MAX,
                  &job->map_edges) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &job->sensors) &&
        fleet_read_filter(ask, request->filter, "", &job->sensors, &job->filter)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}
