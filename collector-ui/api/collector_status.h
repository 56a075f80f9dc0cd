/* The collector's figures in one piece, for CollectorService.GetCollectorStatus.
 *
 * Depends on: api, history, base/http. Any thread. */
#pragma once

#include "base/http/http.h"
#include "collector-ui/api/api.h"
#include "collector-ui/api/fleet_grpc.h"
#include "collector-ui/history/history.h"

#define STATUS_DAYS_MAX    512
#define STATUS_CLIENTS_MAX 64

struct live_client_state {
    char user[128];
    uint64_t connected_ns, interval_ns; /* 0: it has not subscribed */
    uint64_t frames, unacked, lag_ns, queued_bytes;
    bool is_behind;
};

struct collector_status {
    char boot_id[33], host_name[65];
    uint64_t started_ns, now_ns;
    uint64_t resident_bytes, memory_limit, cpu_ns;
    uint32_t cpus;
    struct api_ingest_counts ingest;
    struct history_counts store;
    uint64_t retention_ns, retention_bytes;
    struct history_day days[STATUS_DAYS_MAX];
    uint32_t days_count;
    const char *failure; /* NULL: none */
    struct history_query_times times;
    struct live_client_state clients[STATUS_CLIENTS_MAX];
    uint32_t clients_count, clients_total, clients_max;
    uint64_t live_frames, live_merged, live_lost, live_resyncs, live_refused;
    struct api_receiver_counts receivers[API_RECEIVERS_MAX];
    uint32_t receivers_count;
    struct api_clickhouse_counts clickhouse[API_CLICKHOUSE_MAX];
    uint32_t clickhouse_count; /* 0: nothing is written there */
    struct fleet_grpc_counts grpc;
    struct http_server_stats http;
};

struct api;
void collector_status_read(struct api *api, struct collector_status *out);
