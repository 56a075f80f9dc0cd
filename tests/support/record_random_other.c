/* Alerts, figures, packets. */
#include <string.h>

#include "tests/support/record_random_private.h"

static double real(struct record_random *random)
{
    return random_chance(random, 4) ? 0.0 : (double)random_number(random, 50) / 1024.0;
}

static uint8_t endpoints(struct record_random *random, struct alert_endpoint *out)
{
    const uint8_t count = (uint8_t)record_random_below(random, ALERT_ENDPOINTS_MAX + 1);
    for (unsigned i = 0; i < count; i++) {
        out[i] =
            (struct alert_endpoint){.ip = random_address(random), .port = random_number16(random)};
    }
    return count;
}

static uint8_t evidence(struct record_random *random, struct alert_evidence_item *out)
{
    const uint8_t count = (uint8_t)record_random_below(random, ALERT_EVIDENCE_MAX + 1);
    for (unsigned i = 0; i < count; i++) {
        random_letters(random, out[i].key, sizeof out[i].key);
        out[i].count = random_number(random, 64);
        out[i].max_overcount = random_number(random, 32);
    }
    return count;
}

void record_random_alert(struct record_random *random, struct alert_record *out)
{
    memset(out, 0, sizeof *out);
    out->identity = random_identity(random);
    random_letters(random, out->alert_id, sizeof out->alert_id);
    random_letters(random, out->alert_key, sizeof out->alert_key);
    out->kind = (uint8_t)record_random_below(random, ALERT_KIND_COUNT);
    out->state = (uint8_t)record_random_below(random, ALERT_CLOSE + 1);
    out->severity = (uint8_t)record_random_below(random, SEVERITY_CRITICAL + 1);
    out->scope = (uint8_t)record_random_below(random, ALERT_FLEET_SCOPE + 1);
    out->close_reason = (uint8_t)record_random_below(random, CLOSE_SHUTDOWN + 1);
    out->score = (uint8_t)record_random_below(random, 101);
    out->confidence = (uint8_t)record_random_below(random, 101);
    out->has_baseline = random_chance(random, 2);
    out->baseline = out->has_baseline ? real(random) : 0.0;
    out->saturated = random_chance(random, 2);
    out->first_ns = random_time_ns(random);
    out->last_ns = random_time_ns(random);
    out->window_ns = random_number(random, 40);
    out->observed = real(random);
    out->threshold = real(random);
    out->estimate_error = real(random);
    random_letters(random, out->unit, sizeof out->unit);
    random_letters(random, out->description, sizeof out->description);
    random_letters(random, out->config_key, sizeof out->config_key);
    random_letters(random, out->runbook_url, sizeof out->runbook_url);
    out->labels_count = (uint8_t)record_random_below(random, ALERT_LABELS_MAX + 1);
    for (unsigned i = 0; i < out->labels_count; i++) {
        random_letters(random, out->labels[i].key, sizeof out->labels[i].key);
        random_letters(random, out->labels[i].value, sizeof out->labels[i].value);
    }
    random_letters(random, out->config_hash, sizeof out->config_hash);
    out->suppressed_count = random_number(random, 64);
    out->loss_during_window = random_number(random, 64);
    out->attackers_total_estimate = random_number(random, 64);
    out->victims_total_estimate = random_number(random, 64);
    out->attackers_count = endpoints(random, out->attackers);
    out->victims_count = endpoints(random, out->victims);
    out->mitre_count = (uint8_t)record_random_below(random, ALERT_MITRE_MAX + 1);
    for (unsigned i = 0; i < out->mitre_count; i++) {
        out->mitre[i] = (struct alert_mitre){"TA0043", "T1595",
                                             random_chance(random, 2) ? "Active Scanning" : "",
                                             random_number8(random)};
    }
    out->top_sources_count = evidence(random, out->top_sources);
    out->top_targets_count = evidence(random, out->top_targets);
    out->top_ports_count = evidence(random, out->top_ports);
    out->top_names_count = evidence(random, out->top_names);
    out->samples_count = (uint8_t)record_random_below(random, ALERT_SAMPLES_MAX + 1);
    for (unsigned i = 0; i < out->samples_count; i++) {
        random_letters(random, out->packet_sample_ids[i], sizeof out->packet_sample_ids[i]);
    }
    out->community_ids_count = (uint8_t)record_random_below(random, ALERT_FLOWS_MAX + 1);
    for (unsigned i = 0; i < out->community_ids_count; i++) {
        random_letters(random, out->community_ids[i], sizeof out->community_ids[i]);
    }
    out->sensor_ids_count = (uint8_t)record_random_below(random, ALERT_SENSORS_MAX + 1);
    for (unsigned i = 0; i < out->sensor_ids_count; i++) {
        random_letters(random, out->sensor_ids[i], sizeof out->sensor_ids[i]);
    }
    out->explains_count = (uint8_t)record_random_below(random, ALERT_EXPLAINS_MAX + 1);
    for (unsigned i = 0; i < out->explains_count; i++) {
        random_letters(random, out->explains[i], sizeof out->explains[i]);
    }
}

static void fill_top(struct record_random *random, struct stats_record *out)
{
    for (unsigned d = 0; d < STATS_DIMENSION_COUNT; d++) {
        out->top[d].count = record_random_below(random, STATS_TOP_MAX + 1);
        for (uint32_t i = 0; i < out->top[d].count; i++) {
            out->top[d].items[i] =
                (struct stats_named_rate){.key = random_text(random),
                                          .bytes_in = random_number(random, 64),
                                          .bytes_out = random_number(random, 64),
                                          .packets = random_number(random, 64),
                                          .max_overcount = random_number(random, 8),
                                          .max_undercount = random_number(random, 8)};
        }
    }
    out->top_flows_count = record_random_below(random, STATS_TOP_FLOWS_MAX + 1);
    for (uint32_t i = 0; i < out->top_flows_count; i++) {
        out->top_flows[i] = (struct stats_top_flow){
            .flow_id = random_number(random, 64),
            .client_ip = random_address(random),
            .server_ip = random_address(random),
            .client_port = random_number16(random),
            .server_port = random_number16(random),
            .ip_protocol = random_number8(random),
            .tcp_state = (uint8_t)record_random_below(random, TCP_RESET + 1),
            .has_rtt = random_chance(random, 2),
            .server_name = random_text(random),
            .app = random_text(random),
            .delta_bytes_forward = random_number(random, 40),
            .delta_bytes_reverse = random_number(random, 40),
            .delta_packets = random_number(random, 40),
            .total_bytes = random_number(random, 40),
            .retransmitted_segments = random_number(random, 40),
        };
        out->top_flows[i].rtt_seconds = out->top_flows[i].has_rtt ? real(random) : 0.0;
    }
}

static void fill_rows(struct record_random *random, struct stats_record *out)
{
    out->interfaces_count = record_random_below(random, 3);
    for (uint32_t i = 0; i < out->interfaces_count; i++) {
        out->interfaces[i] =
            (struct stats_interface){.name = random_text(random),
                                     .filter = random_text(random),
                                     .linktype = random_number32(random),
                                     .snaplen = random_number32(random),
                                     .received_packets = random_number(random, 64),
                                     .received_bytes = random_number(random, 64),
                                     .kernel_dropped = random_number(random, 64),
                                     .interface_dropped = random_number(random, 64),
                                     .missed_bytes_estimate = random_number(random, 64),
                                     .promiscuous = random_chance(random, 2),
                                     .up = random_chance(random, 2),
                                     .processed_packets = random_number(random, 64),
                                     .precut_packets = random_number(random, 64),
                                     .truncated_packets = random_number(random, 64),
                                     .superpackets = random_number(random, 64),
                                     .wakeups = random_number(random, 64),
                                     .in_ring = random_number(random, 64),
                                     .in_ring_high_water = random_number(random, 64),
                                     .batch_max = random_number(random, 64),
                                     .reopened = random_number(random, 64),
                                     .stall_tolerance_seconds = real(random)};
        random_letters(random, out->interfaces[i].last_error, sizeof out->interfaces[i].last_error);
    }
    if (random_chance(random, 2)) {
        out->pcap = (struct stats_pcap){.is_on = true,
                                        .is_disk_full = random_chance(random, 2),
                                        .offered = random_number(random, 64),
                                        .written = random_number(random, 64),
                                        .written_bytes = random_number(random, 64),
                                        .queue_full = random_number(random, 64),
                                        .refused = random_number(random, 64),
                                        .disk_full = random_number(random, 64),
                                        .failed = random_number(random, 64),
                                        .files = random_number(random, 64),
                                        .files_deleted = random_number(random, 64),
                                        .oldest_ns = random_number(random, 60),
                                        .queued_high_water = random_number(random, 64)};
    }
    out->capture_rings_count = record_random_below(random, 8);
    for (uint32_t i = 0; i < out->capture_rings_count; i++) {
        out->capture_rings[i] =
            (struct stats_capture_ring){.interface = random_text(random),
                                        .shard = random_number32(random),
                                        .received_packets = random_number(random, 64),
                                        .processed_packets = random_number(random, 64),
                                        .precut_packets = random_number(random, 64),
                                        .kernel_dropped = random_number(random, 64),
                                        .in_ring = random_number(random, 64),
                                        .in_ring_high_water = random_number(random, 64),
                                        .wakeups = random_number(random, 64),
                                        .batch_max = random_number(random, 64),
                                        .stall_tolerance_seconds = real(random)};
    }
    out->ledger_count = record_random_below(random, 20);
    for (uint32_t i = 0; i < out->ledger_count; i++) {
        struct stats_ledger_row *row = &out->ledger[i];
        row->stage = (uint8_t)record_random_below(random, LEDGER_FEED + 1);
        random_letters(random, row->name, sizeof row->name);
        row->unit = random_chance(random, 2) ? "packets" : "records";
        row->in = random_number(random, 64);
        row->out = random_number(random, 64);
        row->held = random_number(random, 64);
        row->packets_in = random_number(random, 64);
        row->packets_out = random_number(random, 64);
        row->lost_count = (uint8_t)record_random_below(random, LEDGER_REASONS_MAX + 1);
        for (unsigned j = 0; j < row->lost_count; j++) {
            row->lost[j] = (struct stats_ledger_reason){"ring_full", random_number(random, 64)};
        }
    }
    out->shards_count = record_random_below(random, 8);
    for (uint32_t i = 0; i < out->shards_count; i++) {
        out->shards[i] = (struct stats_shard){.shard = i,
                                              .ring_used = random_number32(random),
                                              .ring_size = random_number32(random),
                                              .ring_high_water = random_number32(random),
                                              .packets = random_number(random, 64),
                                              .bytes = random_number(random, 64),
                                              .flows_active = random_number(random, 64),
                                              .flows_max = random_number(random, 64),
                                              .evicted = random_number(random, 64),
                                              .cpu_ratio = real(random)};
    }
    out->detectors_count = record_random_below(random, 8);
    for (uint32_t i = 0; i < out->detectors_count; i++) {
        out->detectors[i] = (struct stats_detector){.kind = "syn_flood",
                                                    .tracked_keys = random_number(random, 64),
                                                    .key_capacity = random_number(random, 64),
                                                    .memory_bytes = random_number(random, 64),
                                                    .saturated = random_chance(random, 2),
                                                    .opened = random_number(random, 64),
                                                    .open = random_number(random, 64),
                                                    .logged = random_number(random, 64),
                                                    .learnt = random_number(random, 64),
                                                    .suppressed = random_number(random, 64)};
    }
    out->sinks_count = record_random_below(random, 5);
    for (uint32_t i = 0; i < out->sinks_count; i++) {
        struct stats_sink *sink = &out->sinks[i];
        random_letters(random, sink->name, sizeof sink->name);
        random_letters(random, sink->last_error, sizeof sink->last_error);
        sink->connected = random_chance(random, 2);
        sink->sent = random_number(random, 64);
        sink->acked = random_number(random, 64);
        sink->retried = random_number(random, 64);
        sink->failed = random_number(random, 64);
        sink->unacked = random_number(random, 64);
        sink->spool_bytes = random_number(random, 64);
        sink->oldest_age_ns = random_number(random, 50);
        sink->spool_errors = random_number(random, 64);
        sink->max_rate = random_number(random, 64);
        sink->throttles = random_number(random, 64);
        sink->redirects = random_number(random, 64);
        sink->redirects_refused = random_number(random, 64);
        random_letters(random, sink->spool_trouble, sizeof sink->spool_trouble);
        random_letters(random, sink->redirected_to, sizeof sink->redirected_to);
    }
}

void record_random_stats(struct record_random *random, struct stats_record *out)
{
    memset(out, 0, sizeof *out);
    out->identity = random_identity(random);
    out->start_ns = random_time_ns(random);
    out->end_ns = random_time_ns(random);
    out->packets_total = random_number(random, 64);
    out->bytes_total = random_number(random, 64);
    out->uptime_ns = random_number(random, 60);
    uint64_t *const totals[] = {
        &out->totals.packets,
        &out->totals.bytes,
        &out->totals.new_flows,
        &out->totals.ended_flows,
        &out->totals.flows_active,
        &out->totals.bytes_in,
        &out->totals.bytes_out,
        &out->totals.bytes_internal,
        &out->totals.malformed_packets,
        &out->totals.non_ip_packets,
        &out->totals.late_packets,
        &out->totals.lost_packets,
        &out->data_segments,
        &out->retransmitted_segments,
        &out->out_of_order_segments,
        &out->zero_window_events,
        &out->resets,
        &out->half_open,
        &out->dns_queries,
        &out->dns_responses,
        &out->flow_table_bytes,
        &out->detectors_bytes,
        &out->spool_bytes,
        &out->rss_bytes,
        &out->limit_bytes,
    };
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        *totals[i] = random_number(random, 64);
    }
    for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
        out->rtt_counts[i] = random_number(random, 64);
        out->dns_response_counts[i] = random_number(random, 64);
    }
    for (unsigned i = 0; i < STATS_RCODES; i++) {
        out->dns_rcode_counts[i] = random_number(random, 64);
    }
    out->rtt_sum_seconds = real(random);
    out->dns_response_sum_seconds = real(random);
    out->version = random_text(random);
    out->config_hash = random_text(random);
    fill_top(random, out);
    fill_rows(random, out);
}

void record_random_packet(struct record_random *random, struct packet_sample *out)
{
    static const uint8_t frame[PACKET_SAMPLE_BYTES_MAX] = {0xff, 0x00, 0x80, 0x7f};
    *out = (struct packet_sample){
        .identity = random_identity(random),
        .id = random_text(random),
        .interface = random_text(random),
        .community_id = random_text(random),
        .summary = random_text(random),
        .time_ns = random_time_ns(random),
        .flow_id = random_number(random, 64),
        .linktype = random_number32(random),
        .wire_length = random_number32(random),
        .captured_length = random_number32(random),
        .sampling_interval = random_number32(random),
        .alert_id = random_text(random),
        .direction = (uint8_t)record_random_below(random, 3),
        .reason = (uint8_t)record_random_below(random, SAMPLE_REQUESTED + 1),
        .payload_redacted = random_chance(random, 2),
        .data = frame,
        .data_length = record_random_below(random, PACKET_SAMPLE_BYTES_MAX + 1),
    };
}
