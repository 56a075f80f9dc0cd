/* Inside of a server, for server.c and listen.c. Depends on: internal.h. */
#pragma once

#include "base/rpc/connections.h"
#include "base/rpc/internal.h"

#define SLOTS_PER_QUEUE 4

enum server_state { SERVER_NEW, SERVER_STARTED, SERVER_STOPPING, SERVER_STOPPED };

/* One outstanding question for the next call. */
struct rpc_slot {
    struct rpc_tag tag;
    struct rpc_server *server;
    struct rpc_queue *queue;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array headers;
};

struct rpc_server {
    struct rpc_runtime *runtime;
    struct rpc_server_options options;
    grpc_server *core;
    const struct rpc_method **methods; /* by path */
    size_t methods_count;
    struct rpc_slot *slots;
    size_t slots_count;
    struct rpc_tag shutdown_tag;
    struct counter messages_dropped;
    struct rpc_connections *connections; /* NULL: not bounded */

    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t changed;
    enum server_state state;
    bool is_shut;
    size_t slots_armed;
    struct rpc_call *calls;
    uint64_t silent_look_ns; /* not looked for silent calls again before */
    struct rpc_server_counts counts;
};
