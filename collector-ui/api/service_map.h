/* A map of who talks to whom: sums by client and server side become nodes and edges, as many as can
 * be looked at; what is behind the largest is "other", so that all sums stay whole.
 *
 * Depends on: history. Any thread. */
#pragma once

#include "collector-ui/history/query.h"

#define MAP_NODES_DEFAULT 60
#define MAP_NODES_MAX     500
#define MAP_EDGES_DEFAULT 200
#define MAP_EDGES_MAX     2000
#define MAP_ID_BYTES      (HISTORY_VALUE_BYTES + 24)

enum map_kind { MAP_HOST, MAP_APPLICATION, MAP_SERVER_NAME, MAP_NETWORK };

struct map_node {
    enum map_kind kind;
    const char *name; /* borrowed from the sums */
    uint64_t sent, received, packets;
    uint32_t members; /* 1; as many as `other` stands for, 0 where nobody knows */
    bool is_other;
};

struct map_edge {
    uint32_t client, server; /* index of nodes */
    struct history_sums sums;
    uint32_t members;
    bool is_other; /* an end of it is other, or it is the rest of the edges */
};

struct service_map {
    struct map_node *nodes; /* largest first, others at last */
    struct map_edge *edges; /* likewise */
    uint32_t nodes_count, edges_count;
    uint32_t nodes_total, edges_total; /* before they were cut */
};

/* `sums`: by DIMENSION_CLIENT and `server` (DIMENSION_SERVER, _APPLICATION or _SERVER_LABEL), or by
 * DIMENSION_CLIENT_NETWORK and `server` DIMENSION_SERVER_NETWORK, in one bucket. False: no memory;
 * service_map_fini is due in both cases. The map borrows from `sums`. */
MUST_USE bool service_map_make(const struct history_aggregate *sums, enum history_dimension server,
                               uint32_t nodes_max, uint32_t edges_max, struct service_map *out);
void service_map_fini(struct service_map *map);
/* "host"; static. */
const char *map_kind_name(enum map_kind kind);
/* "host:10.0.0.1"; "other:host" for the rest. */
void map_node_id(const struct map_node *node, char out[MAP_ID_BYTES]);
