/* What is the sensor's own of its gRPC server; the rest is proto/serve. Private to
 * sensor/export/grpc_*.c. All of it belongs to the one thread of the rpc runtime. */
#pragma once

#include "proto/serve/grpc_serve.h"
#include "sensor/export/capture_pump.h"
#include "sensor/export/grpc_server.h"

/* How the sensor itself stands, as streams of flows tell it. */
struct grpc_node {
    bool is_ready;
    char reason[256];
    uint64_t looked_ns;
};

/* The owner of the server. */
struct grpc_sensor {
    struct grpc_identity identity;
    struct pipeline *pipeline;
    struct rpc_server *rpc;
    struct rpc_health *health;
    struct rpc_reflection *reflection;
    _Atomic(struct grpc_retune *) retune; /* waits for the rpc thread; NULL = none */
    char config_hash[17];                 /* identity.config_hash, once it has changed */
    uint16_t port;
    struct grpc_node node;
    struct capture_threads captures; /* that run */
};

static inline struct grpc_sensor *grpc_sensor_of(const struct grpc_server *server)
{
    return server->owner;
}

extern const struct grpc_program grpc_sensor_program; /* grpc_table.c */

/* ---- news of the sensor (grpc_node.c) ---- */

/* Looks again when a second has passed. */
void grpc_node_look(struct grpc_server *server, uint64_t now_ns);
/* A whole ObserveFlowsResponse with a NodeStatus; 0: nothing new, or no room. */
size_t grpc_node_write(const struct grpc_server *server, uint32_t *told,
                       uint8_t out[GRPC_NODE_BYTES]);

/* A PacketSample's flow as far as its own bytes tell. False: no IP. */
bool grpc_packet_flow(const uint8_t *bytes, size_t length, struct flow_record *out);

/* ---- captures on request (grpc_capture.c) ---- */

/* Answers a request of PacketService.CapturePackets. */
void grpc_capture_packets(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
/* Callbacks of its call: there is room, the server stops, it is over. */
void grpc_capture_writable(struct rpc_call *call);
void grpc_capture_drain(struct rpc_call *call);
void grpc_capture_done(struct rpc_call *call, const struct rpc_result *result);

/* ---- methods: one question each (grpc_table.c) ---- */

void grpc_get_info(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_status(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_loss_ledger(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_list_assets(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_list_active_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_flow(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_top_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_list_alerts(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_alert(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
/* Methods that the collector alone has. */
void grpc_ask_collector(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_stats(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void grpc_get_packet(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
