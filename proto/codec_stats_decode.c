#include <netscope/v1/stats.pb-c.h>

#include "proto/codec.h"
#include "proto/codec_unpacked.h"

#define NANOS INT32_C(1000000000)

static void take_totals(const Netscope__V1__IntervalTotals *from, struct stats_totals *to)
{
    if (from != NULL) {
        *to = (struct stats_totals){
            .packets = from->packets,
            .bytes = from->bytes,
            .new_flows = from->new_flows,
            .ended_flows = from->ended_flows,
            .flows_active = from->flows_active,
            .bytes_in = from->bytes_in,
            .bytes_out = from->bytes_out,
            .bytes_internal = from->bytes_internal,
            .malformed_packets = from->malformed_packets,
            .non_ip_packets = from->non_ip_packets,
            .late_packets = from->late_packets,
            .lost_packets = from->lost_packets,
        };
    }
}

static void take_top(const Netscope__V1__TopList *from, struct stats_record *out)
{
    for (unsigned d = 0; d < STATS_DIMENSION_COUNT; d++) {
        if (strcmp(from->dimension, stats_dimension_name((enum stats_dimension)d)) != 0) {
            continue;
        }
        struct stats_top_list *to = &out->top[d];
        to->count = (uint32_t)unpacked_count(from->n_items, STATS_TOP_MAX);
        for (uint32_t i = 0; i < to->count; i++) {
            const Netscope__V1__NamedRate *item = from->items[i];
            to->items[i] = (struct stats_named_rate){.key = unpacked_text(item->key),
                                                     .bytes_in = item->bytes_in,
                                                     .bytes_out = item->bytes_out,
                                                     .packets = item->packets,
                                                     .max_overcount = item->max_overcount,
                                                     .max_undercount = item->max_undercount};
        }
    }
}

static uint8_t state_named(const char *name)
{
    for (unsigned state = TCP_SYN_SENT; state <= TCP_RESET; state++) {
        if (strcmp(name, tcp_state_name((enum tcp_state)state)) == 0) {
            return (uint8_t)state;
        }
    }
    return TCP_NONE;
}

static bool take_top_flow(const Netscope__V1__TopFlow *from, struct stats_top_flow *to)
{
    if (from->client_port > UINT16_MAX || from->server_port > UINT16_MAX ||
        from->ip_protocol > UINT8_MAX) {
        return false;
    }
    *to = (struct stats_top_flow){
        .client_port = (uint16_t)from->client_port,
        .server_port = (uint16_t)from->server_port,
        .server_name = unpacked_text(from->server_name),
        .ip_protocol = (uint8_t)from->ip_protocol,
        .app = unpacked_text(from->app),
        .delta_bytes_forward = from->delta_bytes_forward,
        .delta_bytes_reverse = from->delta_bytes_reverse,
        .delta_packets = from->delta_packets,
        .total_bytes = from->total_bytes,
        .has_rtt = from->rtt_value_case == NETSCOPE__V1__TOP_FLOW__RTT_VALUE_RTT_SECONDS,
        .retransmitted_segments = from->retransmitted_segments,
        .tcp_state = state_named(from->tcp_state),
    };
    to->rtt_seconds = to->has_rtt ? from->rtt_seconds : 0.0;
    return unpacked_flow_id(from->flow_id, &to->flow_id) &&
           unpacked_address(from->client_ip, &to->client_ip) &&
           unpacked_address(from->server_ip, &to->server_ip);
}

static void take_interface(const Netscope__V1__InterfaceStats *from, struct stats_interface *to)
{
    *to = (struct stats_interface){
        .name = unpacked_text(from->name),
        .linktype = from->linktype,
        .snaplen = from->snaplen,
        .filter = unpacked_text(from->filter),
        .received_packets = from->received_packets,
        .received_bytes = from->received_bytes,
        .kernel_dropped = from->kernel_dropped,
        .interface_dropped = from->interface_dropped,
        .missed_bytes_estimate = from->missed_bytes_estimate,
        .promiscuous = from->promiscuous != 0,
        .up = from->up != 0,
        .processed_packets = from->processed_packets,
        .precut_packets = from->precut_packets,
        .truncated_packets = from->truncated_packets,
        .superpackets = from->superpackets,
        .wakeups = from->wakeups,
        .in_ring = from->in_ring,
        .in_ring_high_water = from->in_ring_high_water,
        .batch_max = from->batch_max,
        .reopened = from->reopened,
        .stall_tolerance_seconds = from->stall_tolerance_seconds,
    };
    unpacked_chars(to->last_error, sizeof to->last_error, from->last_error);
}

static void take_capture_ring(const Netscope__V1__CaptureRingStats *from,
                              struct stats_capture_ring *to)
{
    *to = (struct stats_capture_ring){
        .interface = unpacked_text(from->interface),
        .shard = from->shard,
        .received_packets = from->received_packets,
        .processed_packets = from->processed_packets,
        .precut_packets = from->precut_packets,
        .kernel_dropped = from->kernel_dropped,
        .in_ring = from->in_ring,
        .in_ring_high_water = from->in_ring_high_water,
        .wakeups = from->wakeups,
        .batch_max = from->batch_max,
        .stall_tolerance_seconds = from->stall_tolerance_seconds,
    };
}

static void take_ledger_row(const Netscope__V1__LedgerRow *from, struct stats_ledger_row *to)
{
    *to = (struct stats_ledger_row){
        .stage = unpacked_enum((int)from->stage),
        .unit = from->unit,
        .in = from->in,
        .out = from->out,
        .held = from->held,
        .packets_in = from->packets_in,
        .packets_out = from->packets_out,
        .lost_count = (uint8_t)unpacked_count(from->n_lost, LEDGER_REASONS_MAX),
    };
    unpacked_chars(to->name, sizeof to->name, from->name);
    for (unsigned i = 0; i < to->lost_count; i++) {
        to->lost[i] = (struct stats_ledger_reason){.reason = from->lost[i]->reason,
                                                   .count = from->lost[i]->count};
    }
}

static void take_shard(const Netscope__V1__ShardStats *from, struct stats_shard *to)
{
    *to = (struct stats_shard){
        .shard = from->shard,
        .packets = from->packets,
        .bytes = from->bytes,
        .ring_used = from->ring_used,
        .ring_size = from->ring_size,
        .ring_high_water = from->ring_high_water,
        .flows_active = from->flows_active,
        .flows_max = from->flows_max,
        .evicted = from->evicted,
        .cpu_ratio = from->cpu_ratio,
    };
}

static void take_detector(const Netscope__V1__DetectorStats *from, struct stats_detector *to)
{
    *to = (struct stats_detector){
        .kind = from->kind,
        .tracked_keys = from->tracked_keys,
        .key_capacity = from->key_capacity,
        .memory_bytes = from->memory_bytes,
        .saturated = from->saturated != 0,
        .opened = from->opened,
        .open = from->open,
        .logged = from->logged,
        .learnt = from->learnt,
        .suppressed = from->suppressed,
    };
}

static bool take_sink(const Netscope__V1__SinkStats *from, struct stats_sink *to)
{
    *to = (struct stats_sink){
        .connected = from->connected != 0,
        .sent = from->sent,
        .acked = from->acked,
        .retried = from->retried,
        .failed = from->failed,
        .unacked = from->unacked,
        .spool_bytes = from->spool_bytes,
        .spool_errors = from->spool_disk_errors,
        .max_rate = from->max_rate,
        .throttles = from->throttles,
        .redirects = from->redirects,
        .redirects_refused = from->redirects_refused,
    };
    unpacked_chars(to->redirected_to, sizeof to->redirected_to, from->redirected_to);
    unpacked_chars(to->spool_trouble, sizeof to->spool_trouble, from->spool_trouble);
    unpacked_chars(to->name, sizeof to->name, from->name);
    unpacked_chars(to->last_error, sizeof to->last_error, from->last_error);
    return unpacked_duration(from->oldest_age, &to->oldest_age_ns);
}

static bool take_clock(const Netscope__V1__ClockStats *from, struct stats_clock *to)
{
    *to = (struct stats_clock){0};
    if (from == NULL) {
        return true;
    }
    to->is_synced = from->synced != 0;
    if (from->offset_estimate != NULL) {
        const int64_t seconds = from->offset_estimate->seconds;
        const int32_t nanos = from->offset_estimate->nanos;

        if (seconds > INT64_MAX / NANOS - 1 || seconds < INT64_MIN / NANOS + 1 || nanos >= NANOS ||
            nanos <= -NANOS) {
            return false;
        }
        to->offset_ns = seconds * NANOS + nanos;
    }
    return unpacked_duration(from->rtt, &to->trip_ns);
}

static void take_health(const Netscope__V1__StatsRecord *from, struct stats_record *out)
{
    const Netscope__V1__TcpHealth *tcp = from->tcp_health;
    if (tcp != NULL) {
        out->data_segments = tcp->data_segments;
        out->retransmitted_segments = tcp->retransmitted_segments;
        out->out_of_order_segments = tcp->out_of_order_segments;
        out->zero_window_events = tcp->zero_window_events;
        out->resets = tcp->resets;
        out->half_open = tcp->half_open;
        out->rtt_sum_seconds = tcp->rtt_sum_seconds;
        const size_t counts = unpacked_count(tcp->n_rtt_counts, STATS_RTT_BOUNDS + 1);
        for (size_t i = 0; i < counts; i++) {
            out->rtt_counts[i] = tcp->rtt_counts[i];
        }
    }
    const Netscope__V1__DnsHealth *dns = from->dns;
    if (dns != NULL) {
        out->dns_queries = dns->queries;
        out->dns_responses = dns->responses;
        out->dns_response_sum_seconds = dns->response_sum_seconds;
        const size_t counts = unpacked_count(dns->n_rcode_counts, STATS_RCODES);
        for (size_t i = 0; i < counts; i++) {
            out->dns_rcode_counts[i] = dns->rcode_counts[i];
        }
        const size_t buckets = unpacked_count(dns->n_response_counts, STATS_RTT_BOUNDS + 1);
        for (size_t i = 0; i < buckets; i++) {
            out->dns_response_counts[i] = dns->response_counts[i];
        }
    }
    const Netscope__V1__MemoryStats *memory = from->memory;
    if (memory != NULL) {
        out->flow_table_bytes = memory->flow_table_bytes;
        out->detectors_bytes = memory->detectors_bytes;
        out->spool_bytes = memory->spool_bytes;
        out->rss_bytes = memory->rss_bytes;
        out->limit_bytes = memory->limit_bytes;
    }
}

static bool take_pcap(const Netscope__V1__PcapWriterStats *from, struct stats_pcap *to)
{
    if (from == NULL) {
        return true;
    }
    *to = (struct stats_pcap){
        .is_on = true,
        .is_disk_full = from->is_disk_full != 0,
        .offered = from->offered,
        .written = from->written,
        .written_bytes = from->written_bytes,
        .queue_full = from->queue_full,
        .refused = from->refused,
        .disk_full = from->disk_full,
        .failed = from->failed,
        .files = from->files,
        .files_deleted = from->files_deleted,
        .queued_high_water = from->queued_high_water,
    };
    return unpacked_timestamp(from->oldest_time, &to->oldest_ns);
}

static bool take_rows(const Netscope__V1__StatsRecord *from, struct stats_record *out)
{
    bool ok = true;
    for (size_t i = 0; i < from->n_top; i++) {
        take_top(from->top[i], out);
    }
    out->top_flows_count = (uint32_t)unpacked_count(from->n_top_flows, STATS_TOP_FLOWS_MAX);
    for (uint32_t i = 0; i < out->top_flows_count; i++) {
        ok = ok && take_top_flow(from->top_flows[i], &out->top_flows[i]);
    }
    out->interfaces_count = (uint32_t)unpacked_count(from->n_interfaces, STATS_ROWS_MAX);
    for (uint32_t i = 0; i < out->interfaces_count; i++) {
        take_interface(from->interfaces[i], &out->interfaces[i]);
    }
    out->ledger_count = (uint32_t)unpacked_count(from->n_ledger, STATS_ROWS_MAX);
    for (uint32_t i = 0; i < out->ledger_count; i++) {
        take_ledger_row(from->ledger[i], &out->ledger[i]);
    }
    out->shards_count = (uint32_t)unpacked_count(from->n_shards, STATS_ROWS_MAX);
    for (uint32_t i = 0; i < out->shards_count; i++) {
        take_shard(from->shards[i], &out->shards[i]);
    }
    out->detectors_count = (uint32_t)unpacked_count(from->n_detectors, STATS_ROWS_MAX);
    for (uint32_t i = 0; i < out->detectors_count; i++) {
        take_detector(from->detectors[i], &out->detectors[i]);
    }
    out->sinks_count = (uint32_t)unpacked_count(from->n_sinks, STATS_ROWS_MAX);
    for (uint32_t i = 0; i < out->sinks_count; i++) {
        ok = ok && take_sink(from->sinks[i], &out->sinks[i]);
    }
    out->capture_rings_count = (uint32_t)unpacked_count(from->n_capture_rings, STATS_ROWS_MAX);
    for (uint32_t i = 0; i < out->capture_rings_count; i++) {
        take_capture_ring(from->capture_rings[i], &out->capture_rings[i]);
    }
    return ok;
}

bool codec_decode_stats(const uint8_t *bytes, size_t length, struct arena *scratch,
                        struct stats_record *out)
{
    memset(out, 0, sizeof *out);
    ProtobufCAllocator allocator = unpacked_allocator(scratch);
    const Netscope__V1__StatsRecord *from =
        netscope__v1__stats_record__unpack(&allocator, length, bytes);
    if (from == NULL) {
        return false;
    }
    out->identity = (struct record_identity){.sensor_id = unpacked_text(from->sensor_id),
                                             .boot_id = unpacked_text(from->boot_id),
                                             .seq = from->record_seq};
    out->packets_total = from->packets_total;
    out->bytes_total = from->bytes_total;
    out->version = unpacked_text(from->version);
    out->config_hash = unpacked_text(from->config_hash);
    take_totals(from->totals, &out->totals);
    take_health(from, out);
    return unpacked_timestamp(from->start_time, &out->start_ns) &&
           unpacked_timestamp(from->end_time, &out->end_ns) &&
           unpacked_duration(from->uptime, &out->uptime_ns) &&
           take_clock(from->clock, &out->clock) && take_pcap(from->pcap, &out->pcap) &&
           take_rows(from, out);
}
