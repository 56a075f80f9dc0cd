/* The stream to a collector: IngestService.Connect, dialled from here.
 *
 * Batches are encoded once into a memory spool per stream (bounded; the oldest goes and is told as
 * GapNotice), sent within the collector's window, kept until its Ack says they are on disk, and
 * sent again after a reconnect from where Welcome says. Never blocks the publisher. Depends on:
 * base, base/rpc, base/spool, proto, pipeline. Threads: offer by the publisher; the rest on the rpc
 * thread. */
#pragma once

#include "base/config/config.h"
#include "base/error.h"
#include "base/rpc/rpc.h"
#include "sensor/pipeline/sink.h"

struct collector_settings {
    const char *address;     /* "host:50052"; empty = off */
    const char *ca;          /* PEM of the CA; with it TLS is used */
    const char *certificate; /* PEM, mTLS */
    const char *key;
    const char *server_name; /* expected in the collector's certificate; empty = host of address */
    const char *token_file;  /* bearer token; file mode must not be readable by others */
    bool insecure;           /* plaintext to an address that is not loopback */
    uint64_t spool_bytes;    /* 256 MiB */
    uint64_t backoff_max_ns; /* 15 s, jittered */
};

extern const struct config_field collector_fields[];

/* What Hello says. Borrowed for life. */
struct collector_hello {
    const char *sensor_id, *boot_id, *config_hash;
};

/* 0 with `out` filled; -errno with `err` (certificate files, plaintext refused, token file's mode).
 * A collector that is down is no error. */
MUST_USE int collector_sink_open(const struct collector_settings *settings,
                                 const struct collector_hello *hello, struct rpc_runtime *runtime,
                                 struct sink *out, struct error *err);
