/* `netscopectl map`: who talks to whom. */
#include "ctl/history/map.h"

#include <string.h>

#include "ctl/history/history.h"
#include "ctl/json_list.h"

#define PATH "/netscope.v1.QueryService/GetServiceMap"
#define EDGES                                                                                      \
    "client,server,bytes_forward,bytes_reverse,packets,records,new_flows,ended_flows,"             \
    "failed_flows,error_rate,retransmits,tcp_packets,retransmit_ratio,rtt,other,members"

static const struct table_column columns[] = {
    {"CLIENT", TABLE_WORD}, {"SERVER", TABLE_WORD}, {"BYTES", TABLE_FIGURE},
    {"UP", TABLE_FIGURE},   {"DOWN", TABLE_FIGURE}, {"NEW FLOWS", TABLE_FIGURE},
    {"RTT", TABLE_FIGURE},  {"RTX", TABLE_FIGURE},  {"FAILED", TABLE_FIGURE}};

/* "host:10.0.0.1" is shown without its kind, "other:host" as "other". */
static void put_end(struct table *table, struct record_text id)
{
    const char *colon = memchr(id.data, ':', id.length);
    const bool is_other = id.length > 6 && memcmp(id.data, "other:", 6) == 0;
    const uint32_t begin = colon == NULL || is_other ? 0 : (uint32_t)(colon - id.data) + 1;

    table_put_name(table, is_other ? SHOW_DIM : SHOW_NAME,
                   (struct record_text){id.data + begin, id.length - begin});
}

static void put_edge(struct table *table, const struct view *edge)
{
    const uint64_t up = view_number(edge, "bytes_forward");
    const uint64_t down = view_number(edge, "bytes_reverse");

    put_end(table, view_text(edge, "client"));
    put_end(table, view_text(edge, "server"));
    table_put_bytes(table, up + down);
    table_put_bytes(table, up);
    table_put_bytes(table, down);
    table_put_count(table, view_number(edge, "new_flows"));
    history_put_rtt(table, edge);
    history_put_share(table, edge, "retransmit_ratio", false);
    history_put_share(table, edge, "error_rate", true);
}

static bool show(struct ctl *ctl, const struct view *answer, struct error *err)
{
    switch (ctl->options.form) {
    case FORM_JSON:
        return json_object_put(&ctl->out, answer, err);
    case FORM_CSV:
        return history_put_csv(ctl, answer, "edges", "MapEdge", EDGES, err);
    case FORM_DOT:
        map_put_dot(&ctl->out, answer);
        return true;
    default:
        return history_put_table(ctl, answer, "edges", columns, ARRAY_COUNT(columns), put_edge,
                                 err);
    }
}

static enum ctl_exit use(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct request request;

    if (history_begin(ctl, &request, "GetServiceMapRequest", err) != 0) {
        return CTL_USAGE;
    }
    request_set(&request, "group_by", ctl->options.by);
    request_set_number(&request, "max_nodes", ctl->options.max_nodes);
    request_set_number(&request, "max_edges", ctl->options.max_edges);
    return request_is_whole(&request)
               ? history_ask(ctl, connection, PATH, &request, "GetServiceMapResponse", show, err)
               : CTL_USAGE;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    return history_run(ctl, use, err);
}

const struct ctl_command map_command = {
    .name = "map",
    .bit = FOR_MAP,
    .summary = "who talks to whom, of a collector's history; also for Graphviz",
    .examples =
        "  netscopectl map --by application                      clients and what they call\n"
        "  netscopectl map --since 1d --max-nodes 30 -o dot | dot -Tsvg > map.svg\n"
        "  netscopectl map --filter 'client.ip = \"10.1.0.0/16\"' --by server_name\n",
    .run = run,
};
