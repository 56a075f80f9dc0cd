/* The page of /metrics. Addresses and names never become labels: they would be without bound. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "sensor/export/http_export.h"
#include "sensor/export/http_parts.h"
#include "sensor/export/kafka_metrics.h"

#define ROWS_MAX        64
#define STAT_START_TIME 22

static void one(struct metrics_page *page, const char *name, enum metrics_type type,
                const char *help, uint64_t value)
{
    metrics_family(page, name, type, help);
    metrics_u64(page, name, NULL, value);
}

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
    one(page, "netscope_active_flows", METRICS_GAUGE, "Flows alive now.", totals->flows_active);
    one(page, "netscope_dispatch_drops_total", METRICS_COUNTER,
        "Records and lines lost because no batch was free.", totals->dispatch_dropped);
    one(page, "netscope_kernel_drops_total", METRICS_COUNTER,
        "Packets dropped because the capture ring was full.", totals->kernel_dropped);
    one(page, "netscope_kernel_if_drops_total", METRICS_COUNTER,
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
    struct stats_ledger_row *rows = calloc(ROWS_MAX, sizeof(*rows));

    if (rows == NULL) {
        return;
    }
    const uint32_t count = pipeline_ledger(pipeline, rows, ROWS_MAX);

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

static void write_flows(struct metrics_page *page, struct pipeline *pipeline,
                        const struct pipeline_totals *totals)
{
    static const char *const events[] = {NULL, "start", "update", "end"};
    static const char *const ends[] = {NULL,          "idle",   "active",
                                       "end_of_flow", "forced", "lack_of_resources"};
    const struct publisher_counts *counts = pipeline_publisher_counts(pipeline);
    struct stats_shard rows[ROWS_MAX];
    const uint32_t count = pipeline_shard_rows(pipeline, rows, ROWS_MAX);

    metrics_family(page, "netscope_flows_active", METRICS_GAUGE, "Flows alive now, by shard.");
    for (uint32_t i = 0; i < count; i++) {
        char shard[16];

        (void)snprintf(shard, sizeof(shard), "%u", rows[i].shard);
        metrics_u64(page, "netscope_flows_active", METRICS_LABELS("shard", shard),
                    rows[i].flows_active);
    }
    metrics_family(page, "netscope_flow_records_total", METRICS_COUNTER,
                   "Flow records, by event and why the flow ended.");
    for (unsigned i = FLOW_START; i < FLOW_END; i++) {
        metrics_u64(page, "netscope_flow_records_total",
                    METRICS_LABELS("event", events[i], "end_reason", ""),
                    counter_get(&counts->flow_events[i]));
    }
    for (unsigned i = FLOW_END_IDLE; i <= FLOW_END_LACK_OF_RESOURCES; i++) {
        metrics_u64(page, "netscope_flow_records_total",
                    METRICS_LABELS("event", events[FLOW_END], "end_reason", ends[i]),
                    counter_get(&counts->flow_ends[i]));
    }
    one(page, "netscope_flows_created_total", METRICS_COUNTER, "Flows begun.",
        totals->flows_created);
    one(page, "netscope_flows_evicted_total", METRICS_COUNTER, "Flows ended to make room.",
        totals->flows_evicted);
    one(page, "netscope_flow_table_memory_bytes", METRICS_GAUGE, "Memory of the flow tables.",
        totals->flow_table_bytes);
    one(page, "netscope_detectors_memory_bytes", METRICS_GAUGE, "Memory of the detectors.",
        totals->detectors_bytes);
}

static void write_inspect(struct metrics_page *page, const struct pipeline_totals *totals)
{
    char name[80];

    for (unsigned i = 0; i < INSPECT_FIGURES; i++) {
        const struct inspect_figure *figure = &inspect_figures[i];

        (void)snprintf(name, sizeof(name), "netscope_inspect_%s", figure->name);
        one(page, name, figure->is_gauge ? METRICS_GAUGE : METRICS_COUNTER, figure->help,
            totals->inspect[i]);
    }
}

static void write_health(struct metrics_page *page, struct pipeline *pipeline)
{
    static const char rtt[] = "netscope_tcp_rtt_seconds";
    const struct pipeline_health_counts *health = pipeline_health(pipeline);
    uint64_t samples = 0;

    metrics_family(page, rtt, METRICS_HISTOGRAM, "Round-trip times, samples of both sides.");
    for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
        char bound[24] = "+Inf";

        samples += counter_get(&health->rtt[i]);
        if (i < STATS_RTT_BOUNDS) {
            (void)snprintf(bound, sizeof(bound), "%g", stats_rtt_bounds_seconds[i]);
        }
        metrics_u64(page, "netscope_tcp_rtt_seconds_bucket", METRICS_LABELS("le", bound), samples);
    }
    metrics_double(page, "netscope_tcp_rtt_seconds_sum", NULL,
                   (double)counter_get(&health->rtt_ns) / (double)NS_PER_SEC);
    metrics_u64(page, "netscope_tcp_rtt_seconds_count", NULL, samples);
    one(page, "netscope_tcp_data_segments_total", METRICS_COUNTER, "Segments with payload.",
        counter_get(&health->data_segments));
    one(page, "netscope_tcp_retransmitted_segments_total", METRICS_COUNTER,
        "Retransmitted segments.", counter_get(&health->retransmitted_segments));
    one(page, "netscope_tcp_out_of_order_segments_total", METRICS_COUNTER,
        "Segments that filled a hole left before.", counter_get(&health->out_of_order_segments));
    one(page, "netscope_tcp_zero_windows_total", METRICS_COUNTER,
        "Times a receive window fell to zero.", counter_get(&health->zero_windows));
    one(page, "netscope_tcp_resets_total", METRICS_COUNTER, "Connections reset.",
        counter_get(&health->resets));
    one(page, "netscope_dns_queries_total", METRICS_COUNTER, "DNS queries.",
        counter_get(&health->dns_queries));
    metrics_family(page, "netscope_dns_response_seconds", METRICS_SUMMARY,
                   "Time from DNS query to answer.");
    metrics_double(page, "netscope_dns_response_seconds_sum", NULL,
                   (double)counter_get(&health->dns_response_ns) / (double)NS_PER_SEC);
    metrics_u64(page, "netscope_dns_response_seconds_count", NULL,
                counter_get(&health->dns_responses));
}

static void write_packets(struct metrics_page *page, const struct pipeline_totals *totals)
{
    const struct {
        const char *verdict;
        uint64_t count;
    } verdicts[] = {{"malformed", totals->malformed},       {"truncated", totals->truncated},
                    {"unsupported", totals->unsupported},   {"non_ip", totals->non_ip},
                    {"checksum_bad", totals->checksum_bad}, {"late", totals->late}};

    metrics_family(page, "netscope_packet_verdicts_total", METRICS_COUNTER,
                   "Packets that are not plainly decoded and counted, by verdict.");
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        metrics_u64(page, "netscope_packet_verdicts_total",
                    METRICS_LABELS("verdict", verdicts[i].verdict), verdicts[i].count);
    }
}

static void write_decode(struct metrics_page *page, const struct pipeline_totals *totals)
{
    metrics_family(page, "netscope_decode_faults_total", METRICS_COUNTER,
                   "Packets not read to their last header, by the layer where it ended and why; "
                   "pairs that never happened are left out.");
    for (unsigned layer = 0; layer < LAYER_COUNT; layer++) {
        for (unsigned reason = 0; reason < DECODE_REASON_COUNT; reason++) {
            const uint64_t count = totals->decode_faults[layer][reason];

            if (count > 0) {
                metrics_u64(page, "netscope_decode_faults_total",
                            METRICS_LABELS("layer", wire_layer_name((enum wire_layer)layer),
                                           "reason",
                                           decode_reason_name((enum decode_reason)reason)),
                            count);
            }
        }
    }
    one(page, "netscope_flow_tunnels_full_total", METRICS_COUNTER,
        "Flows recorded without their tunnels: no room for another stack of them.",
        totals->tunnels_full);
    one(page, "netscope_quic_initials_total", METRICS_COUNTER,
        "QUIC Initials that were tried to be opened, at most 32 a flow.", totals->quic_initials);
    one(page, "netscope_quic_initials_unopened_total", METRICS_COUNTER,
        "QUIC Initials that did not open: other keys, or junk.", totals->quic_unopened);
}

static void write_fragments(struct metrics_page *page, const struct pipeline_totals *totals)
{
    const struct pipeline_fragments *fragments = &totals->fragments;
    const struct {
        const char *fate;
        uint64_t count;
    } fates[] = {{"attributed", fragments->attributed},
                 {"timeout", fragments->unattributed_timeout},
                 {"evicted", fragments->unattributed_evicted},
                 {"no_room", fragments->unattributed_full},
                 {"end", fragments->unattributed_end}};
    const struct {
        const char *fault;
        uint64_t count;
    } faults[] = {{"overlap", fragments->overlaps},    {"tiny", fragments->tiny},
                  {"oversized", fragments->oversized}, {"odd", fragments->odd},
                  {"empty", fragments->empty},         {"contradictory", fragments->contradictory},
                  {"too_many", fragments->too_many}};

    one(page, "netscope_fragments_total", METRICS_COUNTER, "IP fragments seen.",
        fragments->fragments);
    one(page, "netscope_fragment_datagrams_total", METRICS_COUNTER, "Fragmented datagrams begun.",
        fragments->datagrams);
    one(page, "netscope_fragment_datagrams_evicted_total", METRICS_COUNTER,
        "Datagrams that made room for others (flow.fragments_max).", fragments->evicted);
    metrics_family(
        page, "netscope_fragments_later_total", METRICS_COUNTER,
        "Later fragments: counted in the flow of their first one (attributed), or without "
        "ports and why.");
    for (size_t i = 0; i < sizeof(fates) / sizeof(fates[0]); i++) {
        metrics_u64(page, "netscope_fragments_later_total", METRICS_LABELS("fate", fates[i].fate),
                    fates[i].count);
    }
    one(page, "netscope_fragments_held_total", METRICS_COUNTER,
        "Later fragments that came before their first one and were held back.", fragments->held);
    one(page, "netscope_fragments_held", METRICS_GAUGE, "Held back now.", fragments->held_now);
    one(page, "netscope_fragment_duplicates_total", METRICS_COUNTER, "Fragments seen twice.",
        fragments->duplicates);
    metrics_family(page, "netscope_fragment_faults_total", METRICS_COUNTER,
                   "Fragments that overlap or are built to evade, by fault.");
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        metrics_u64(page, "netscope_fragment_faults_total",
                    METRICS_LABELS("fault", faults[i].fault), faults[i].count);
    }
    one(page, "netscope_handover_packets_total", METRICS_COUNTER,
        "Packets of tunnels and fragments that one shard received and another one owns.",
        totals->handover_packets);
    one(page, "netscope_handover_dropped_total", METRICS_COUNTER,
        "Of them lost because the ring was full (pipeline.handover_buffer).",
        totals->handover_dropped);
    one(page, "netscope_handover_high_water_bytes", METRICS_GAUGE,
        "Most bytes that stood in one ring.", totals->handover_high_water_bytes);
}

static void write_assets(struct metrics_page *page, struct pipeline *pipeline,
                         const struct pipeline_totals *totals)
{
    struct asset_list_sum sum;

    (void)pipeline_assets(pipeline, NULL, NULL, 0, &sum);
    one(page, "netscope_assets", METRICS_GAUGE, "Pairs of address and MAC known now.", sum.count);
    one(page, "netscope_assets_replaced_total", METRICS_COUNTER,
        "Unseen for the longest, that made room (assets.max).", sum.replaced);
    one(page, "netscope_assets_refused_total", METRICS_COUNTER,
        "More than a shard keeps of one second.", sum.refused);
    metrics_family(page, "netscope_arp_packets_total", METRICS_COUNTER, "ARP packets, by kind.");
    for (unsigned kind = 0; kind < ARP_KIND_COUNT; kind++) {
        metrics_u64(page, "netscope_arp_packets_total",
                    METRICS_LABELS("kind", arp_kind_name((enum arp_kind)kind)), totals->arp[kind]);
    }
}

static void write_learnt(struct metrics_page *page, const struct pipeline *pipeline)
{
    const struct learnt_file_counts *counts = pipeline_learnt(pipeline);

    if (counts == NULL) {
        return;
    }
    one(page, "netscope_learnt_saves_total", METRICS_COUNTER,
        "Writings of what detectors have learnt.", counter_get(&counts->saved));
    one(page, "netscope_learnt_save_failures_total", METRICS_COUNTER,
        "Writings of it that failed: a restart would lose what came since the last one.",
        counter_get(&counts->failed));
    one(page, "netscope_learnt_refused_total", METRICS_COUNTER,
        "Files of it that were damaged, foreign, too old or of another version, and set aside.",
        counter_get(&counts->refused));
    one(page, "netscope_learnt_subjects_read", METRICS_GAUGE,
        "Hosts, services and servers that were known at the start.",
        counter_get(&counts->subjects));
    one(page, "netscope_learnt_left_out", METRICS_GAUGE,
        "Those that the last writing had no room for.", counter_get(&counts->left_out));
    one(page, "netscope_learnt_bytes", METRICS_GAUGE, "Bytes of the file.",
        counter_get(&counts->bytes));
    one(page, "netscope_learnt_saved_timestamp_seconds", METRICS_GAUGE,
        "When it was written last; 0: not since the start.", counter_get(&counts->saved_wall_sec));
}

static void write_labels(struct metrics_page *page, const struct pipeline *pipeline)
{
    struct pipeline_labels labels;

    if (!pipeline_labels_read(pipeline, &labels)) {
        return;
    }
    one(page, "netscope_labels_prefixes", METRICS_GAUGE, "Prefixes with labels (networks.labels).",
        labels.prefixes);
    one(page, "netscope_labels_memory_bytes", METRICS_GAUGE,
        "Memory for addresses whose labels are remembered.", labels.memory_bytes);
    one(page, "netscope_labels_ends_total", METRICS_COUNTER,
        "Ends of flow records with at least one label.", labels.labelled);
    one(page, "netscope_labels_lookups_total", METRICS_COUNTER,
        "Addresses looked up in prefixes and databases.", labels.looked_up);
    one(page, "netscope_labels_remembered_total", METRICS_COUNTER,
        "Addresses whose labels were remembered.", labels.found);
    one(page, "netscope_labels_omitted_total", METRICS_COUNTER,
        "Labels that found no room in their record.", labels.omitted);
}

static void write_names(struct metrics_page *page, struct pipeline *pipeline)
{
    struct pipeline_names names;

    pipeline_names_read(pipeline, &names);
    one(page, "netscope_names_answers", METRICS_GAUGE, "DNS answers remembered now.",
        names.answers_used);
    one(page, "netscope_names_answers_max", METRICS_GAUGE, "Room for them (names.max).",
        names.answers_max);
    one(page, "netscope_names_memory_bytes", METRICS_GAUGE, "Memory taken for them at the start.",
        names.memory_bytes);
    one(page, "netscope_names_added_total", METRICS_COUNTER, "Answers remembered since the start.",
        names.added);
    one(page, "netscope_names_replaced_total", METRICS_COUNTER,
        "Oldest answers that made room for newer ones.", names.replaced);
    one(page, "netscope_names_refused_total", METRICS_COUNTER, "Answers for what is no host name.",
        names.refused);
    one(page, "netscope_names_lost_total", METRICS_COUNTER,
        "Answers that found the way to the publisher full.", names.lost);
    one(page, "netscope_names_servers_total", METRICS_COUNTER,
        "Flow records whose server was named by an answer.", names.named_servers);
    one(page, "netscope_names_clients_total", METRICS_COUNTER,
        "Flow records whose client was named by an answer.", names.named_clients);
    one(page, "netscope_names_no_room_total", METRICS_COUNTER,
        "Names that did not fit behind their record.", names.no_room);
    one(page, "netscope_names_early_total", METRICS_COUNTER,
        "Batches that did not wait for the answers of all shards.", names.early);
}

static void write_alerts(struct metrics_page *page, struct pipeline *pipeline)
{
    const struct publisher_counts *counts = pipeline_publisher_counts(pipeline);

    metrics_family(page, "netscope_alerts_total", METRICS_COUNTER,
                   "Incidents opened, by kind and severity at the opening.");
    for (unsigned i = ALERT_NONE + 1; i < ALERT_KIND_COUNT; i++) {
        for (unsigned j = SEVERITY_NONE; j <= SEVERITY_CRITICAL; j++) {
            const uint64_t count = counter_get(&counts->alerts[i][j]);

            if (count > 0) {
                metrics_u64(page, "netscope_alerts_total",
                            METRICS_LABELS("kind", alert_kind_name((enum alert_kind)i), "severity",
                                           severity_name((enum severity)j)),
                            count);
            }
        }
    }
    one(page, "netscope_alerts_open", METRICS_GAUGE, "Incidents open now.",
        counter_get(&counts->alerts_open));
}

static void write_detectors(struct metrics_page *page, struct pipeline *pipeline)
{
    const struct publisher_counts *counts = pipeline_publisher_counts(pipeline);
    const struct {
        const char *name;
        enum metrics_type type;
        const char *help;
        size_t offset;
    } families[] = {
#define COLUMN(member) offsetof(struct publisher_detector_counts, member)
        {"netscope_detector_memory_bytes", METRICS_GAUGE, "Memory of its windows.",
         COLUMN(memory_bytes)},
        {"netscope_detector_tracked_keys", METRICS_GAUGE, "Subjects held.", COLUMN(tracked_keys)},
        {"netscope_detector_key_capacity", METRICS_GAUGE, "Room for subjects.",
         COLUMN(key_capacity)},
        {"netscope_detector_saturated", METRICS_GAUGE,
         "1 while a table was full in the last second: figures are lower bounds.",
         COLUMN(saturated)},
        {"netscope_detector_incidents_open", METRICS_GAUGE, "Incidents open, in any mode.",
         COLUMN(open)},
        {"netscope_detector_alerts_total", METRICS_COUNTER, "Incidents opened as alerts.",
         COLUMN(opened)},
        {"netscope_detector_logged_total", METRICS_COUNTER, "Incidents opened in mode log.",
         COLUMN(logged)},
        {"netscope_detector_learnt_total", METRICS_COUNTER,
         "Incidents that mode learn kept to itself.", COLUMN(learnt)},
        {"netscope_detector_suppressed_total", METRICS_COUNTER,
         "Findings that became no message of their own.", COLUMN(suppressed)},
#undef COLUMN
    };

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        metrics_family(page, families[i].name, families[i].type, families[i].help);
        for (uint32_t j = 0; j < DETECTORS_MAX; j++) {
            const struct publisher_detector_counts *row = &counts->detectors[j];
            const char *name = atomic_load_explicit(&row->name, memory_order_acquire);
            const char *column = (const char *)row + families[i].offset;

            if (name != NULL) {
                metrics_u64(page, families[i].name, METRICS_LABELS("detector", name),
                            counter_get((const struct counter *)(const void *)column));
            }
        }
    }
    one(page, "netscope_sketch_frames_refused_total", METRICS_COUNTER,
        "Seconds of a shard that were not merged: sketched under another seed.",
        counter_get(&counts->sketch_frames_refused));
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
    struct stats_sink *rows = calloc(ROWS_MAX, sizeof(*rows));

    if (rows == NULL) {
        return;
    }
    const uint32_t count = pipeline_sink_rows(pipeline, rows, ROWS_MAX);

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
    one(page, "netscope_grpc_streams", METRICS_GAUGE, "Streams served now.", counts.streams);
    one(page, "netscope_grpc_records_sent_total", METRICS_COUNTER, "Records sent to readers.",
        counts.records_sent);
    one(page, "netscope_grpc_records_dropped_total", METRICS_COUNTER,
        "Records that readers did not get, each told by a LossNotice.", counts.records_dropped);
    one(page, "netscope_grpc_calls_refused_total", METRICS_COUNTER,
        "Calls refused: no token, or too many calls.", counts.calls_refused);
    one(page, "netscope_grpc_connections", METRICS_GAUGE, "Connections on TCP now.",
        counts.connections);
    one(page, "netscope_grpc_connections_refused_total", METRICS_COUNTER,
        "Connections closed at once: there were grpc.connections_max.", counts.connections_refused);
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
    one(page, "netscope_packet_captures", METRICS_GAUGE, "Captures on request that run now.",
        taps.running);
    one(page, "netscope_packet_captures_started_total", METRICS_COUNTER,
        "Captures on request that began.", taps.started);
    one(page, "netscope_packet_captures_refused_total", METRICS_COUNTER,
        "Captures on request refused: packets.capture_at_once ran.", taps.refused);
    one(page, "netscope_packet_capture_packets_total", METRICS_COUNTER,
        "Packets sent in captures on request.", taps.packets);
    one(page, "netscope_packet_capture_bytes_total", METRICS_COUNTER,
        "Bytes sent in captures on request.", taps.bytes);
    one(page, "netscope_packet_capture_dropped_total", METRICS_COUNTER,
        "Packets lost to captures on request whose client did not keep up.", taps.dropped);
}

void http_export_metrics(struct pipeline *pipeline, struct grpc_server *grpc,
                         struct metrics_page *page)
{
    struct pipeline_totals totals;

    pipeline_totals_read(pipeline, &totals);
    write_classic(page, &totals);
    http_write_capture(page, pipeline);
    write_ledger(page, pipeline);
    write_flows(page, pipeline, &totals);
    write_health(page, pipeline);
    write_packets(page, &totals);
    write_decode(page, &totals);
    write_inspect(page, &totals);
    write_fragments(page, &totals);
    write_assets(page, pipeline, &totals);
    write_names(page, pipeline);
    write_labels(page, pipeline);
    write_alerts(page, pipeline);
    write_detectors(page, pipeline);
    write_learnt(page, pipeline);
    write_sinks(page, pipeline);
    kafka_metrics_write(pipeline, page);
    write_grpc(page, grpc);
    write_captures(page, pipeline);
}
