/* The inbox of the gRPC server. Private to sensor/export/grpc_*.c. Depends on: proto/serve,
 * pipeline. Threads: the publisher offers, the rpc thread takes. */
#pragma once

struct grpc_server;

/* Frees the parcels nobody has taken. After the publisher and the rpc thread are through. */
void grpc_inbox_free(struct grpc_server *server);
