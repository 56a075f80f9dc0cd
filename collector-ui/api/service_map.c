#include "collector-ui/api/service_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "collector-ui/history/group_table.h"

static const char *const kind_names[] = {[MAP_HOST] = "host",
                                         [MAP_APPLICATION] = "application",
                                         [MAP_SERVER_NAME] = "server_name",
                                         [MAP_NETWORK] = "network"};

const char *map_kind_name(enum map_kind kind)
{
    return kind_names[kind];
}

void map_node_id(const struct map_node *node, char out[MAP_ID_BYTES])
{
    (void)snprintf(out, MAP_ID_BYTES, "%s:%s", node->is_other ? "other" : kind_names[node->kind],
                   node->is_other ? kind_names[node->kind] : node->name);
}

/* All nodes and edges, before the cut. */
struct making {
    const struct history_aggregate *sums;
    enum map_kind client_kind, server_kind; /* of the others on each side */
    struct group_table table;
    struct map_node *nodes; /* by the table's number */
    uint32_t *order;        /* numbers, largest first */
    uint32_t *place;        /* of each number in the answer */
    struct map_edge *edges;
    uint32_t nodes_count, edges_count;
    struct service_map *out;
    uint32_t nodes_max, other_client, other_server; /* places; UINT32_MAX: none yet */
};

static uint64_t node_bytes(const struct map_node *node)
{
    return node->sent + node->received;
}

static uint64_t edge_bytes(const struct map_edge *edge)
{
    return edge->sums.bytes_forward + edge->sums.bytes_reverse;
}

static enum map_kind kind_of(enum history_dimension server, const char *name)
{
    struct ip_address address;

    if (server == DIMENSION_APPLICATION) {
        return MAP_APPLICATION;
    }
    if (server == DIMENSION_SERVER_NETWORK) {
        return MAP_NETWORK;
    }
    return server == DIMENSION_SERVER || name[0] == '\0' ||
                   address_parse(name, strlen(name), &address)
               ? MAP_HOST
               : MAP_SERVER_NAME;
}

/* The table has room for two of each edge. */
static uint32_t node_of(struct making *m, enum map_kind kind, const char *name)
{
    char key[HISTORY_VALUE_BYTES + 1];
    const size_t length = strnlen(name, HISTORY_VALUE_BYTES - 1);

    key[0] = (char)kind;
    memcpy(key + 1, name, length);
    const uint32_t number = group_table_find(&m->table, key, length + 1);

    if (number == m->nodes_count) {
        m->nodes[m->nodes_count++] = (struct map_node){.kind = kind, .name = name, .members = 1};
    }
    return number;
}

static void add_to_nodes(struct map_node *client, struct map_node *server,
                         const struct history_sums *sums)
{
    client->sent += sums->bytes_forward;
    client->received += sums->bytes_reverse;
    client->packets += sums->packets;
    if (client != server) { /* a host that talks to itself has sent what it has received */
        server->packets += sums->packets;
    }
    server->sent += sums->bytes_reverse;
    server->received += sums->bytes_forward;
}

static bool read_edges(struct making *m, enum history_dimension server)
{
    for (uint32_t i = 0; i < m->sums->count; i++) {
        const struct history_aggregate_row *const row = &m->sums->rows[i];

        if (row->key == NULL) {
            continue; /* what found no room; see rest() */
        }
        const char *const name = row->key + strlen(row->key) + 1;
        const uint32_t from = node_of(m, m->client_kind, row->key);
        const uint32_t to = node_of(m, kind_of(server, name), name);

        if (from == GROUP_NONE || to == GROUP_NONE) {
            return false;
        }
        add_to_nodes(&m->nodes[from], &m->nodes[to], &row->sums);
        m->edges[m->edges_count++] =
            (struct map_edge){.client = from, .server = to, .sums = row->sums, .members = 1};
    }
    return true;
}

static int by_bytes(const void *a, const void *b, void *context)
{
    const struct making *const m = context;
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    const uint64_t p = node_bytes(&m->nodes[x]), q = node_bytes(&m->nodes[y]);

    return p > q ? -1 : p < q ? 1 : strcmp(m->nodes[x].name, m->nodes[y].name);
}

/* The place of the rest on one side, made if it is not there yet. */
static uint32_t other_place(struct making *m, bool is_server)
{
    const enum map_kind kind = is_server ? m->server_kind : m->client_kind;
    uint32_t *const place = kind == m->client_kind ? &m->other_client : &m->other_server;

    if (*place == UINT32_MAX) {
        *place = m->out->nodes_count++;
        m->out->nodes[*place] = (struct map_node){.kind = kind, .name = "", .is_other = true};
    }
    return *place;
}

/* Named nodes first; `kept` of them. */
static void place_nodes(struct making *m, uint32_t kept)
{
    for (uint32_t i = 0; i < m->nodes_count; i++) {
        m->order[i] = i;
    }
    if (m->nodes_count > 0) {
        qsort_r(m->order, m->nodes_count, sizeof(*m->order), by_bytes, m);
    }
    for (uint32_t i = 0; i < kept; i++) {
        m->place[m->order[i]] = m->out->nodes_count;
        m->out->nodes[m->out->nodes_count++] = m->nodes[m->order[i]];
    }
    for (uint32_t i = kept; i < m->nodes_count; i++) {
        const struct map_node *const node = &m->nodes[m->order[i]];
        const uint32_t place = other_place(m, node->kind != m->client_kind);
        struct map_node *const other = &m->out->nodes[place];

        m->place[m->order[i]] = place;
        other->sent += node->sent;
        other->received += node->received;
        other->packets += node->packets;
        other->members++;
    }
}

static int by_ends(const void *a, const void *b)
{
    const struct map_edge *const x = a;
    const struct map_edge *const y = b;

    if (x->client != y->client) {
        return x->client < y->client ? -1 : 1;
    }
    return x->server < y->server ? -1 : x->server > y->server;
}

static int by_edge_bytes(const void *a, const void *b)
{
    const struct map_edge *const x = a;
    const struct map_edge *const y = b;
    const uint64_t p = edge_bytes(x), q = edge_bytes(y);

    return p > q ? -1 : p < q ? 1 : by_ends(a, b);
}

static void merge(struct map_edge *into, const struct map_edge *from)
{
    history_sums_add(&into->sums, &from->sums);
    into->members += from->members;
}

/* Edges between the same places become one. */
static void place_edges(struct making *m)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < m->edges_count; i++) {
        struct map_edge *const edge = &m->edges[i];

        edge->client = m->place[edge->client];
        edge->server = m->place[edge->server];
        edge->is_other =
            m->out->nodes[edge->client].is_other || m->out->nodes[edge->server].is_other;
    }
    if (m->edges_count > 0) {
        qsort(m->edges, m->edges_count, sizeof(*m->edges), by_ends);
    }
    for (uint32_t i = 0; i < m->edges_count; i++) {
        if (kept > 0 && by_ends(&m->edges[kept - 1], &m->edges[i]) == 0) {
            merge(&m->edges[kept - 1], &m->edges[i]);
        } else {
            m->edges[kept++] = m->edges[i];
        }
    }
    m->edges_count = kept;
    if (kept > 0) {
        qsort(m->edges, kept, sizeof(*m->edges), by_edge_bytes);
    }
}

/* One edge from other to other for those behind `edges_max`, and for what found no room in the
 * sums. */
static void cut_edges(struct making *m, uint32_t edges_max)
{
    struct map_edge rest = {.is_other = true};
    bool has_rest = false;
    uint32_t kept = m->edges_count <= edges_max ? m->edges_count : edges_max - 1;

    for (uint32_t i = 0; i < m->sums->count; i++) {
        if (m->sums->rows[i].key == NULL) {
            has_rest = true;
            history_sums_add(&rest.sums, &m->sums->rows[i].sums);
        }
    }
    if (has_rest) {
        struct map_node *const client = &m->out->nodes[other_place(m, false)];

        add_to_nodes(client, &m->out->nodes[other_place(m, true)], &rest.sums);
        kept = m->edges_count < edges_max ? m->edges_count : edges_max - 1;
    }
    for (uint32_t i = kept; i < m->edges_count; i++) {
        has_rest = true;
        merge(&rest, &m->edges[i]);
    }
    for (uint32_t i = 0; has_rest && i < kept; i++) { /* it may be there already */
        if (m->edges[i].client == m->other_client && m->edges[i].server == other_place(m, true)) {
            merge(&rest, &m->edges[i]);
            memmove(&m->edges[i], &m->edges[i + 1], (kept - i - 1) * sizeof(*m->edges));
            kept--;
            break;
        }
    }
    m->edges_count = kept;
    if (has_rest) {
        rest.client = other_place(m, false);
        rest.server = other_place(m, true);
        m->edges[m->edges_count++] = rest;
    }
}

static bool take_memory(struct making *m)
{
    const size_t edges = (size_t)m->sums->count + 1;

    m->nodes = calloc(2 * edges, sizeof(*m->nodes));
    m->order = calloc(2 * edges, sizeof(*m->order));
    m->place = calloc(2 * edges, sizeof(*m->place));
    m->edges = calloc(edges + 1, sizeof(*m->edges));
    m->out->nodes = calloc((size_t)m->nodes_max + 2, sizeof(*m->out->nodes));
    return m->nodes != NULL && m->order != NULL && m->place != NULL && m->edges != NULL &&
           m->out->nodes != NULL;
}

bool service_map_make(const struct history_aggregate *sums, enum history_dimension server,
                      uint32_t nodes_max, uint32_t edges_max, struct service_map *out)
{
    struct making m = {.sums = sums,
                       .client_kind = server == DIMENSION_SERVER_NETWORK ? MAP_NETWORK : MAP_HOST,
                       .server_kind = server == DIMENSION_SERVER           ? MAP_HOST
                                      : server == DIMENSION_APPLICATION    ? MAP_APPLICATION
                                      : server == DIMENSION_SERVER_NETWORK ? MAP_NETWORK
                                                                           : MAP_SERVER_NAME,
                       .out = out,
                       .nodes_max = nodes_max,
                       .other_client = UINT32_MAX,
                       .other_server = UINT32_MAX};

    memset(out, 0, sizeof(*out));
    const bool has_table = group_table_init(
        &m.table, 2 * sums->count + 2, ((size_t)sums->count + 1) * 2 * (HISTORY_VALUE_BYTES + 1));
    const bool is_made = has_table && take_memory(&m) && read_edges(&m, server);

    if (is_made) {
        const uint32_t others = server == DIMENSION_SERVER ? 1 : 2;
        const bool is_cut = m.nodes_count > nodes_max || m.edges_count > edges_max || sums->is_full;
        const uint32_t room = is_cut ? nodes_max - others : nodes_max;

        out->nodes_total = m.nodes_count;
        out->edges_total = m.edges_count;
        place_nodes(&m, m.nodes_count < room ? m.nodes_count : room);
        place_edges(&m);
        cut_edges(&m, edges_max);
        out->edges = m.edges;
        out->edges_count = m.edges_count;
        m.edges = NULL;
    }
    group_table_fini(&m.table);
    free(m.nodes);
    free(m.order);
    free(m.place);
    free(m.edges);
    return is_made;
}

void service_map_fini(struct service_map *map)
{
    free(map->nodes);
    free(map->edges);
}
