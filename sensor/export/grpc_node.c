/* News of the sensor itself in streams of flows: whether it does its work, and why not. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/export/grpc_private.h"
#include "sensor/export/readiness.h"

#define LOOK_NS NS_PER_SEC

enum { RESPONSE_NODE = 3 };
enum { NODE_SENSOR_ID = 1, NODE_STATE = 2, NODE_MESSAGE = 3 };

void grpc_node_look(struct grpc_server *server, uint64_t now_ns)
{
    struct grpc_node *node = &grpc_sensor_of(server)->node;
    struct readiness readiness;

    if (server->node_version > 0 && now_ns - node->looked_ns < LOOK_NS) {
        return;
    }
    node->looked_ns = now_ns;
    readiness_read(grpc_sensor_of(server)->pipeline, &readiness);
    const char *reason = readiness.count == 0 ? "" : readiness.reasons[0];

    if (server->node_version == 0 || node->is_ready != (readiness.count == 0) ||
        strncmp(node->reason, reason, sizeof(node->reason) - 1) != 0) {
        server->node_version++;
        node->is_ready = readiness.count == 0;
        (void)snprintf(node->reason, sizeof(node->reason), "%s", reason);
    }
}

size_t grpc_node_write(const struct grpc_server *server, uint32_t *told,
                       uint8_t out[GRPC_NODE_BYTES])
{
    const struct grpc_node *node = &grpc_sensor_of(server)->node;
    struct wire_writer w = wire_writer_over(out, GRPC_NODE_BYTES);

    if (*told == server->node_version) {
        return 0;
    }
    const struct wire_mark mark = wire_begin(&w, RESPONSE_NODE, 2);

    wire_write_text(&w, NODE_SENSOR_ID, grpc_sensor_of(server)->identity.sensor_id);
    wire_write_text(&w, NODE_STATE, node->is_ready ? "ready" : "not_ready");
    wire_write_text(&w, NODE_MESSAGE, node->is_ready ? "the sensor does its work" : node->reason);
    wire_end(&w, mark);
    *told = server->node_version; /* what was between is old by now */
    return w.ok ? wire_written(&w) : 0;
}
