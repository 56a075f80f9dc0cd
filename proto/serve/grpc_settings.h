/* The gRPC server as programs see it: its settings, its tokens, its counts. Depends on: base. Its
 * inside is proto/serve/grpc_serve.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "proto/serve/grpc_access.h"

struct grpc_settings {
    const char *enabled;     /* auto (live or paced input) | on | off */
    const char *listen;      /* "127.0.0.1:50051"; empty = no TCP */
    const char *unix_socket; /* path; empty: $RUNTIME_DIRECTORY/sensor.sock if set, else none */
    const char *tls_certificate, *tls_key, *tls_client_ca;
    const char *token_file; /* bearer token wanted on TCP; empty = none */
    bool insecure;          /* another address than loopback without TLS and token */
    uint64_t history_records,
        history_bytes;         /* 65536 flows and 64 MiB; packets: 2000; alerts: 4096; DNS: 16384 */
    uint64_t streams_max;      /* 64 */
    uint64_t queue_messages;   /* of one reader: 64 */
    uint64_t calls_per_second; /* of one peer; 0: no limit */
    uint64_t connections_max;  /* on TCP; 256 */
    uint64_t flow_age_ns;      /* of the last record of a flow that a fleet counts as active */
    uint64_t top_window_ns;    /* of a fleet's GetTopFlows that asks for none */
    const char *apply_config;  /* of a sensor: off | run | file */
    bool has_dns_records;      /* no setting of its own: there are some, else DnsService refuses */
};

struct grpc_server;

/* Callers on TCP must show a token. */
bool grpc_server_has_token(const struct grpc_server *server);
/* Whose token this is, with the scopes it has; false: nobody's, or there are none. Any thread. */
MUST_USE bool grpc_server_find_token(struct grpc_server *server, const char *token,
                                     char who[GRPC_WHO_BYTES], unsigned *scopes);
/* Other tokens from the next call on; streams of those that are gone end. Taken over. Only where
 * grpc_server_has_token. Any thread. */
void grpc_server_use_access(struct grpc_server *server, struct grpc_access *access);
