#include "collector-ui/api/collector_status.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/process.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/ledger.h"

static void read_live(struct api *api, struct collector_status *out)
{
    const uint32_t total = live_feed_clients(api->feed, out->clients, STATUS_CLIENTS_MAX);

    out->clients_total = total;
    out->clients_count = total < STATUS_CLIENTS_MAX ? total : STATUS_CLIENTS_MAX;
    out->clients_max = (uint32_t)api->settings.clients_max;
    out->live_frames = atomic_load(&api->live_frames);
    out->live_merged = atomic_load(&api->live_merged);
    out->live_lost = atomic_load(&api->live_lost);
    out->live_resyncs = atomic_load(&api->live_resyncs);
    out->live_refused = atomic_load(&api->live_refused);
}

static void read_process(struct collector_status *out)
{
    out->resident_bytes = process_resident_bytes();
    out->memory_limit = process_memory_limit();
    out->cpu_ns = process_cpu_ns();
    out->cpus = process_cpus();
}

void collector_status_read(struct api *api, struct collector_status *out)
{
    *out = (struct collector_status){.started_ns = api->started_ns, .now_ns = clock_wall_ns()};
    (void)snprintf(out->boot_id, sizeof(out->boot_id), "%s", api->boot_id);
    (void)snprintf(out->host_name, sizeof(out->host_name), "%s", api->host_name);
    read_process(out);
    if (api->ingest_counts != NULL) {
        api->ingest_counts(api->context, &out->ingest);
    }
    history_counts_read(api->history, &out->store);
    history_retention(api->history, &out->retention_ns, &out->retention_bytes);
    out->days_count = history_days(api->history, out->days, STATUS_DAYS_MAX);
    out->failure = history_failure(api->history);
    history_query_times_read(api->history, &out->times);
    read_live(api, out);
    out->receivers_count = ledger_receivers(api, out->receivers);
    out->clickhouse_count = ledger_clickhouse(api, out->clickhouse);
    if (api->fleet != NULL) {
        fleet_grpc_counts_read(api->fleet, &out->grpc);
    }
    http_server_stats(api->server, &out->http);
}
