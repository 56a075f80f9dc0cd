/* The page of /metrics. Addresses and names never become labels: they would be without bound. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/process.h"
#include "sensor/export/http_export.h"
#include "sensor/export/http_metrics_parts.h"
#include "sensor/export/kafka_metrics.h"

#define STAT_START_TIME 22

/* Since the process began: field 22 of /proc/self/stat counts clock ticks since boot. */
static double uptime_seconds(void)
{
    char text[1024];
    struct timespec now;
    FILE *file = fopen("/proc/self/stat", "re");
    const size_t length = file == NULL ? 0 : fread(text, 1, sizeof(text) - 1, file);
    unsigned fields = 2; /* the name ends the second, and may hold anything */

    if (file != NULL) {
        (void)fclose(file);
    }
    text[length] = '\0';
    const char *at = strrchr(text, ')');

    for (; at != NULL && fields < STAT_START_TIME; fields++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL || clock_gettime(CLOCK_BOOTTIME, &now) != 0) {
        return 0;
    }
    const double started = (double)strtoull(at, NULL, 10) / (double)sysconf(_SC_CLK_TCK);

    return (double)now.tv_sec + (double)now.tv_nsec / (double)NS_PER_SEC - started;
}

/* The eight names of the first NetScope. */
static void write_classic(struct metrics_page *page, const struct pipeline_totals *totals)
{
    metrics_family(page, "netscope_build_info", METRICS_GAUGE, "Version of the program; always 1.");
    metrics_u64(page, "netscope_build_info", METRICS_LABELS("version", NETSCOPE_VERSION), 1);
    metrics_family(page, "netscope_uptime_seconds", METRICS_GAUGE, "Since the process began.");
    metrics_double(page, "netscope_uptime_seconds", NULL, uptime_seconds());
    process_write_metrics(page);
    metrics_one(page, "netscope_active_flows", METRICS_GAUGE, "Flows alive now.",
                totals->flows_active);
    metrics_one(page, "netscope_dispatch_drops_total", METRICS_COUNTER,
                "Records and lines lost because no batch was free.", totals->dispatch_dropped);
    metrics_one(page, "netscope_kernel_drops_total", METRICS_COUNTER,
                "Packets dropped because the capture ring was full.", totals->kernel_dropped);
    metrics_one(page, "netscope_kernel_if_drops_total", METRICS_COUNTER,
                "Packets dropped by the interface.", totals->interface_dropped);
}

static void write_lost(struct metrics_page *page, const struct stats_ledger_row *rows,
                       uint32_t count, const char *unit, const char *name, const char *help)
{
    metrics_family(page, name, METRICS_COUNTER, help);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < rows[i].lost_count && strcmp(rows[i].unit, unit) == 0; j++) {
            metrics_u64(page, name,
                        METRICS_LABELS("stage", ledger_stage_name(rows[i].stage), "name",
                                       rows[i].name, "reason", rows[i].lost[j].reason),
                        rows[i].lost[j].count);
        }
    }
}

static void write_ledger(struct metrics_page *page, struct pipeline *pipeline)
{
    struct stats_ledger_row *rows = calloc(HTTP_METRICS_ROWS_MAX, sizeof(*rows));

    if (rows == NULL) {
        return;
    }
    const uint32_t count = pipeline_ledger(pipeline, rows, HTTP_METRICS_ROWS_MAX);

    write_lost(page, rows, count, "packets", "netscope_dropped_packets_total",
               "Packets lost, by stage and reason.");
    write_lost(page, rows, count, "records", "netscope_dropped_records_total",
               "Records lost, by stage and reason.");
    metrics_family(page, "netscope_export_records_total", METRICS_COUNTER,
                   "Records a sink has taken or lost.");
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].stage == LEDGER_SINK) {
            metrics_u64(page, "netscope_export_records_total",
                        METRICS_LABELS("sink", rows[i].name, "outcome", "taken"), rows[i].out);
            metrics_u64(page, "netscope_export_records_total",
                        METRICS_LABELS("sink", rows[i].name, "outcome", "lost"),
                        rows[i].in - rows[i].out - rows[i].held);
        }
    }
    free(rows);
}

/* What the peers of sinks asked for. */
static void write_requests(struct metrics_page *page, const struct stats_sink *rows, uint32_t count)
{
    static const struct {
        const char *name, *help;
        enum metrics_type type;
        size_t offset;
    } families[] = {
        {"netscope_stream_max_rate",
         "Records a second of a stream that the peer takes, the lowest of all streams; 0: no "
         "limit.",
         METRICS_GAUGE, offsetof(struct stats_sink, max_rate)},
        {"netscope_stream_throttles_total", "Requests of the peer to send less, or all again.",
         METRICS_COUNTER, offsetof(struct stats_sink, throttles)},
        {"netscope_stream_redirects_total", "Moves to another peer that this one asked for.",
         METRICS_COUNTER, offsetof(struct stats_sink, redirects)},
        {"netscope_stream_redirects_refused_total", "Such requests that were not followed.",
         METRICS_COUNTER, offsetof(struct stats_sink, redirects_refused)},
    };

    for (size_t f = 0; f < ARRAY_COUNT(families); f++) {
        metrics_family(page, families[f].name, families[f].type, families[f].help);
        for (uint32_t i = 0; i < count; i++) {
            const void *at = (const char *)&rows[i] + families[f].offset;

            metrics_u64(page, families[f].name, METRICS_LABELS("sink", rows[i].name),
                        *(const uint64_t *)at);
        }
    }
}

static void write_sinks(struct metrics_page *page, struct pipeline *pipeline)
{
    struct stats_sink *rows = calloc(HTTP_METRICS_ROWS_MAX, sizeof(*rows));

    if (rows == NULL) {
        return;
    }
    const uint32_t count = pipeline_sink_rows(pipeline, rows, HTTP_METRICS_ROWS_MAX);

    metrics_family(page, "netscope_spool_bytes", METRICS_GAUGE, "Bytes waiting, by sink.");
    for (uint32_t i = 0; i < count; i++) {
        metrics_u64(page, "netscope_spool_bytes", METRICS_LABELS("sink", rows[i].name),
                    rows[i].spool_bytes);
    }
    metrics_family(page, "netscope_spool_oldest_age_seconds", METRICS_GAUGE,
                   "Age of the oldest record that waits, by sink.");
    for (uint32_t i = 0; i < count; i++) {
        metrics_double(page, "netscope_spool_oldest_age_seconds",
                       METRICS_LABELS("sink", rows[i].name),
                       (double)rows[i].oldest_age_ns / (double)NS_PER_SEC);
    }
    metrics_family(page, "netscope_spool_disk_errors_total", METRICS_COUNTER,
                   "Failures of the spool's disk, by sink.");
    for (uint32_t i = 0; i < count; i++) {
        metrics_u64(page, "netscope_spool_disk_errors_total", METRICS_LABELS("sink", rows[i].name),
                    rows[i].spool_errors);
    }
    write_requests(page, rows, count);
    metrics_family(page, "netscope_stream_unacked_records", METRICS_GAUGE,
                   "Records sent and not confirmed, by sink.");
    for (uint32_t i = 0; i < count; i++) {
        metrics_u64(page, "netscope_stream_unacked_records", METRICS_LABELS("sink", rows[i].name),
                    rows[i].unacked);
    }
    free(rows);
}

static void write_grpc(struct metrics_page *page, struct grpc_server *grpc)
{
    struct grpc_server_counts counts;

    if (grpc == NULL) {
        return;
    }
    grpc_server_counts_read(grpc, &counts);
    metrics_one(page, "netscope_grpc_streams", METRICS_GAUGE, "Streams served now.",
                counts.streams);
    metrics_one(page, "netscope_grpc_records_sent_total", METRICS_COUNTER,
                "Records sent to readers.", counts.records_sent);
    metrics_one(page, "netscope_grpc_records_dropped_total", METRICS_COUNTER,
                "Records that readers did not get, each told by a LossNotice.",
                counts.records_dropped);
    metrics_one(page, "netscope_grpc_calls_refused_total", METRICS_COUNTER,
                "Calls refused: no token, or too many calls.", counts.calls_refused);
    metrics_one(page, "netscope_grpc_connections", METRICS_GAUGE, "Connections on TCP now.",
                counts.connections);
    metrics_one(page, "netscope_grpc_connections_refused_total", METRICS_COUNTER,
                "Connections closed at once: there were grpc.connections_max.",
                counts.connections_refused);
    metrics_family(page, "netscope_config_changes_total", METRICS_COUNTER,
                   "ApplyConfig: put in force, confirmed, gone back, refused.");
    metrics_u64(page, "netscope_config_changes_total", METRICS_LABELS("result", "applied"),
                counts.config_applied);
    metrics_u64(page, "netscope_config_changes_total", METRICS_LABELS("result", "confirmed"),
                counts.config_confirmed);
    metrics_u64(page, "netscope_config_changes_total", METRICS_LABELS("result", "rolled_back"),
                counts.config_rolled_back);
    metrics_u64(page, "netscope_config_changes_total", METRICS_LABELS("result", "refused"),
                counts.config_refused);
}

static void write_captures(struct metrics_page *page, const struct pipeline *pipeline)
{
    struct pipeline_taps taps;

    pipeline_taps_read(pipeline, &taps);
    metrics_one(page, "netscope_packet_captures", METRICS_GAUGE,
                "Captures on request that run now.", taps.running);
    metrics_one(page, "netscope_packet_captures_started_total", METRICS_COUNTER,
                "Captures on request that began.", taps.started);
    metrics_one(page, "netscope_packet_captures_refused_total", METRICS_COUNTER,
                "Captures on request refused: packets.capture_at_once ran.", taps.refused);
    metrics_one(page, "netscope_packet_capture_packets_total", METRICS_COUNTER,
                "Packets sent in captures on request.", taps.packets);
    metrics_one(page, "netscope_packet_capture_bytes_total", METRICS_COUNTER,
                "Bytes sent in captures on request.", taps.bytes);
    metrics_one(page, "netscope_packet_capture_dropped_total", METRICS_COUNTER,
                "Packets lost to captures on request whose client did not keep up.", taps.dropped);
}

void http_export_metrics(struct pipeline *pipeline, struct grpc_server *grpc,
                         struct metrics_page *page)
{
    struct pipeline_totals totals;

    pipeline_totals_read(pipeline, &totals);
    write_classic(page, &totals);
    http_write_input(page, pipeline);
    write_ledger(page, pipeline);
    http_write_traffic(page, pipeline, &totals);
    http_write_hosts(page, pipeline, &totals);
    http_write_detection(page, pipeline);
    write_sinks(page, pipeline);
    kafka_metrics_write(pipeline, page);
    write_grpc(page, grpc);
    write_captures(page, pipeline);
}
