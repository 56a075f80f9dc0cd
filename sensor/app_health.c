/* What the running sensor tells its surroundings: the service manager and its watchdog, and whoever
 * sends SIGUSR1. */
#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/process.h"
#include "base/service/notify.h"
#include "sensor/app_private.h"

#define STATUS_NS (5 * NS_PER_SEC)

/* True when each thread has gone on since the last time that all had. Live, a shard's loop turns at
 * least each read timeout; from a file shards and publisher may wait for a slow pipe, and only the
 * publisher's loop turns by itself. */
static bool has_moved(struct app *app)
{
    uint64_t rounds[PUBLISHER_SHARDS_MAX + 1];
    bool is_over[PUBLISHER_SHARDS_MAX + 1];
    const uint32_t shards = pipeline_shards(app->pipeline);

    pipeline_rounds(app->pipeline, rounds, is_over);
    for (uint32_t i = app->is_live ? 0 : shards; i <= shards; i++) {
        if (!is_over[i] && rounds[i] == app->rounds[i]) {
            return false;
        }
    }
    memcpy(app->rounds, rounds, (shards + 1) * sizeof(rounds[0]));
    return true;
}

void app_tell_manager(struct app *app, uint64_t now_ns)
{
    if (!notify_is_on()) {
        return;
    }
    if (notify_watchdog_ns() > 0 && has_moved(app)) {
        notify_alive(now_ns);
    }
    if (now_ns >= app->status_due_ns) {
        struct pipeline_totals totals;

        pipeline_totals_read(app->pipeline, &totals);
        notify_status("%" PRIu64 " packets, %" PRIu64 " flows now, %" PRIu64 " dropped",
                      totals.packets, totals.flows_active,
                      totals.kernel_dropped + totals.interface_dropped + totals.dispatch_dropped);
        app->status_due_ns = now_ns + STATUS_NS;
    }
}

static void note_sinks(const struct app *app)
{
    struct stats_sink rows[PUBLISHER_SINKS_MAX];
    const uint32_t count = pipeline_sink_rows(app->pipeline, rows, PUBLISHER_SINKS_MAX);

    for (uint32_t i = 0; i < count; i++) {
        log_note("counters", "sink",
                 "name=%s connected=%d sent=%" PRIu64 " failed=%" PRIu64 " unacked=%" PRIu64
                 " spool_bytes=%" PRIu64,
                 rows[i].name, (int)rows[i].connected, rows[i].sent, rows[i].failed,
                 rows[i].unacked, rows[i].spool_bytes);
    }
}

int app_check_sums(const struct app *app, struct error *err)
{
    struct pipeline_totals totals;

    pipeline_totals_read(app->pipeline, &totals);
    if (totals.flow_packets == totals.reported_packets) {
        return 0;
    }
    return error_set(err, EPROTO,
                     "a fault of the sensor: %" PRIu64 " packets in flows, %" PRIu64
                     " packets in records",
                     totals.flow_packets, totals.reported_packets);
}

void app_note_counters(const struct app *app)
{
    const struct publisher_counts *published = pipeline_publisher_counts(app->pipeline);
    struct pipeline_totals totals;

    pipeline_totals_read(app->pipeline, &totals);
    /* Read while shards count: what is in records was in a flow before. */
    const uint64_t in_flows = totals.flow_packets > totals.reported_packets
                                  ? totals.flow_packets
                                  : totals.reported_packets;
    log_note("counters", "capture",
             "packets=%" PRIu64 " bytes=%" PRIu64 " kernel_dropped=%" PRIu64
             " interface_dropped=%" PRIu64 " malformed=%" PRIu64 " truncated=%" PRIu64
             " non_ip=%" PRIu64,
             totals.packets, totals.bytes, totals.kernel_dropped, totals.interface_dropped,
             totals.malformed, totals.truncated, totals.non_ip);
    log_note("counters", "flows",
             "active=%" PRIu64 " created=%" PRIu64 " evicted=%" PRIu64 " packets=%" PRIu64
             " reported_packets=%" PRIu64 " held_packets=%" PRIu64,
             totals.flows_active, totals.flows_created, totals.flows_evicted, in_flows,
             totals.reported_packets, in_flows - totals.reported_packets);
    log_note("counters", "records",
             "in=%" PRIu64 " out=%" PRIu64 " dispatch_dropped=%" PRIu64 " alerts=%" PRIu64,
             counter_get(&published->records_in), counter_get(&published->records_out),
             totals.dispatch_dropped, counter_get(&published->records[RECORD_ALERTS]));
    note_sinks(app);
    log_note("counters", "process",
             "resident_bytes=%" PRIu64 " log_lines_suppressed=%" PRIu64 " config_hash=%s",
             process_resident_bytes(), log_suppressed(), app->hash_now);
}
