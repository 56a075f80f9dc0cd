/* The part of /metrics that tells of the traffic: flows, its health, what was decoded and
 * inspected, fragments. */
#include <stdio.h>

#include "base/clock.h"
#include "base/counter.h"
#include "sensor/export/http_metrics_parts.h"
#include "sensor/wire/dns.h"

static void write_flows(struct metrics_page *page, struct pipeline *pipeline,
                        const struct pipeline_totals *totals)
{
    static const char *const events[] = {NULL, "start", "update", "end"};
    static const char *const ends[] = {NULL,          "idle",   "active",
                                       "end_of_flow", "forced", "lack_of_resources"};
    const struct publisher_counts *counts = pipeline_publisher_counts(pipeline);
    struct stats_shard rows[HTTP_METRICS_ROWS_MAX];
    const uint32_t count = pipeline_shard_rows(pipeline, rows, HTTP_METRICS_ROWS_MAX);

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
    metrics_one(page, "netscope_flows_created_total", METRICS_COUNTER, "Flows begun.",
                totals->flows_created);
    metrics_one(page, "netscope_flows_evicted_total", METRICS_COUNTER, "Flows ended to make room.",
                totals->flows_evicted);
    metrics_one(page, "netscope_flow_table_memory_bytes", METRICS_GAUGE,
                "Memory of the flow tables.", totals->flow_table_bytes);
    metrics_one(page, "netscope_detectors_memory_bytes", METRICS_GAUGE, "Memory of the detectors.",
                totals->detectors_bytes);
}

static void write_inspect(struct metrics_page *page, const struct pipeline_totals *totals)
{
    char name[80];

    for (unsigned i = 0; i < INSPECT_FIGURES; i++) {
        const struct inspect_figure *figure = &inspect_figures[i];

        (void)snprintf(name, sizeof(name), "netscope_inspect_%s", figure->name);
        metrics_one(page, name, figure->is_gauge ? METRICS_GAUGE : METRICS_COUNTER, figure->help,
                    totals->inspect[i]);
    }
}

/* `name` may have 40 characters; `buckets`: by stats_rtt_bounds_seconds. */
static void write_histogram(struct metrics_page *page, const char *name, const char *help,
                            const struct counter *buckets, const struct counter *sum_ns)
{
    char sample[48];
    uint64_t samples = 0;

    metrics_family(page, name, METRICS_HISTOGRAM, help);
    (void)snprintf(sample, sizeof(sample), "%.40s_bucket", name);
    for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
        char bound[24] = "+Inf";

        samples += counter_get(&buckets[i]);
        if (i < STATS_RTT_BOUNDS) {
            (void)snprintf(bound, sizeof(bound), "%g", stats_rtt_bounds_seconds[i]);
        }
        metrics_u64(page, sample, METRICS_LABELS("le", bound), samples);
    }
    (void)snprintf(sample, sizeof(sample), "%.40s_sum", name);
    metrics_double(page, sample, NULL, (double)counter_get(sum_ns) / (double)NS_PER_SEC);
    (void)snprintf(sample, sizeof(sample), "%.40s_count", name);
    metrics_u64(page, sample, NULL, samples);
}

static void write_dns(struct metrics_page *page, const struct pipeline_health_counts *health)
{
    static const char answers[] = "netscope_dns_responses_total";
    uint64_t others = counter_get(&health->dns_rcodes_other);

    metrics_one(page, "netscope_dns_queries_total", METRICS_COUNTER, "DNS queries.",
                counter_get(&health->dns_queries));
    metrics_family(page, answers, METRICS_COUNTER, "DNS answers by response code.");
    for (uint16_t i = 0; i < STATS_RCODES; i++) {
        const uint64_t count = counter_get(&health->dns_rcodes[i]);
        const char *name = dns_rcode_name(i);

        if (name != NULL) {
            metrics_u64(page, answers, METRICS_LABELS("rcode", name), count);
        } else {
            others += count;
        }
    }
    metrics_u64(page, answers, METRICS_LABELS("rcode", "other"), others);
    write_histogram(page, "netscope_dns_response_seconds", "Time from DNS query to answer.",
                    health->dns_response, &health->dns_response_ns);
}

static void write_health(struct metrics_page *page, struct pipeline *pipeline)
{
    const struct pipeline_health_counts *health = pipeline_health(pipeline);

    write_histogram(page, "netscope_tcp_rtt_seconds", "Round-trip times, samples of both sides.",
                    health->rtt, &health->rtt_ns);
    metrics_one(page, "netscope_tcp_data_segments_total", METRICS_COUNTER, "Segments with payload.",
                counter_get(&health->data_segments));
    metrics_one(page, "netscope_tcp_retransmitted_segments_total", METRICS_COUNTER,
                "Retransmitted segments.", counter_get(&health->retransmitted_segments));
    metrics_one(page, "netscope_tcp_out_of_order_segments_total", METRICS_COUNTER,
                "Segments that filled a hole left before.",
                counter_get(&health->out_of_order_segments));
    metrics_one(page, "netscope_tcp_zero_windows_total", METRICS_COUNTER,
                "Times a receive window fell to zero.", counter_get(&health->zero_windows));
    metrics_one(page, "netscope_tcp_resets_total", METRICS_COUNTER, "Connections reset.",
                counter_get(&health->resets));
    write_dns(page, health);
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
    for (size_t i = 0; i < ARRAY_COUNT(verdicts); i++) {
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
    metrics_one(page, "netscope_flow_tunnels_full_total", METRICS_COUNTER,
                "Flows recorded without their tunnels: no room for another stack of them.",
                totals->tunnels_full);
    metrics_one(page, "netscope_quic_initials_total", METRICS_COUNTER,
                "QUIC Initials that were tried to be opened, at most 32 a flow.",
                totals->quic_initials);
    metrics_one(page, "netscope_quic_initials_unopened_total", METRICS_COUNTER,
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

    metrics_one(page, "netscope_fragments_total", METRICS_COUNTER, "IP fragments seen.",
                fragments->fragments);
    metrics_one(page, "netscope_fragment_datagrams_total", METRICS_COUNTER,
                "Fragmented datagrams begun.", fragments->datagrams);
    metrics_one(page, "netscope_fragment_datagrams_evicted_total", METRICS_COUNTER,
                "Datagrams that made room for others (flow.fragments_max).", fragments->evicted);
    metrics_family(
        page, "netscope_fragments_later_total", METRICS_COUNTER,
        "Later fragments: counted in the flow of their first one (attributed), or without "
        "ports and why.");
    for (size_t i = 0; i < ARRAY_COUNT(fates); i++) {
        metrics_u64(page, "netscope_fragments_later_total", METRICS_LABELS("fate", fates[i].fate),
                    fates[i].count);
    }
    metrics_one(page, "netscope_fragments_held_total", METRICS_COUNTER,
                "Later fragments that came before their first one and were held back.",
                fragments->held);
    metrics_one(page, "netscope_fragments_held", METRICS_GAUGE, "Held back now.",
                fragments->held_now);
    metrics_one(page, "netscope_fragment_duplicates_total", METRICS_COUNTER,
                "Fragments seen twice.", fragments->duplicates);
    metrics_family(page, "netscope_fragment_faults_total", METRICS_COUNTER,
                   "Fragments that overlap or are built to evade, by fault.");
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        metrics_u64(page, "netscope_fragment_faults_total",
                    METRICS_LABELS("fault", faults[i].fault), faults[i].count);
    }
    metrics_one(page, "netscope_handover_packets_total", METRICS_COUNTER,
                "Packets of tunnels and fragments that one shard received and another one owns.",
                totals->handover_packets);
    metrics_one(page, "netscope_handover_dropped_total", METRICS_COUNTER,
                "Of them lost because the ring was full (pipeline.handover_buffer).",
                totals->handover_dropped);
    metrics_one(page, "netscope_handover_high_water_bytes", METRICS_GAUGE,
                "Most bytes that stood in one ring.", totals->handover_high_water_bytes);
}

void http_write_traffic(struct metrics_page *page, struct pipeline *pipeline,
                        const struct pipeline_totals *totals)
{
    write_flows(page, pipeline, totals);
    write_health(page, pipeline);
    write_packets(page, totals);
    write_decode(page, totals);
    write_inspect(page, totals);
    write_fragments(page, totals);
}
