#include "proto/codec.h"
#include "proto/codec_wire.h"

static void write_totals(struct wire_writer *w, const struct stats_totals *totals)
{
    const uint64_t values[] = {
        totals->packets,        totals->bytes,          totals->new_flows,
        totals->ended_flows,    totals->flows_active,   totals->bytes_in,
        totals->bytes_out,      totals->bytes_internal, totals->malformed_packets,
        totals->non_ip_packets, totals->late_packets,   totals->lost_packets};
    const struct wire_mark mark = wire_begin(w, 6, 1);
    for (uint32_t i = 0; i < ARRAY_COUNT(values); i++) {
        write_number(w, i + 1, values[i]);
    }
    wire_end(w, mark);
}

static void write_top(struct wire_writer *w, enum stats_dimension dimension,
                      const struct stats_top_list *top)
{
    if (top->count == 0) {
        return;
    }
    const struct wire_mark mark = wire_begin(w, 10, 2);
    write_chars(w, 1, stats_dimension_name(dimension));
    for (uint32_t i = 0; i < top->count && i < STATS_TOP_MAX; i++) {
        const struct stats_named_rate *item = &top->items[i];
        const struct wire_mark item_mark = wire_begin(w, 2, 1);
        write_text(w, 1, item->key);
        write_number(w, 2, item->bytes_in);
        write_number(w, 3, item->bytes_out);
        write_number(w, 4, item->packets);
        write_number(w, 5, item->max_overcount);
        write_number(w, 6, item->max_undercount);
        wire_end(w, item_mark);
    }
    wire_end(w, mark);
}

static void write_top_flow(struct wire_writer *w, const struct stats_top_flow *flow)
{
    const struct wire_mark mark = wire_begin(w, 11, 1);
    write_flow_id(w, 1, flow->flow_id);
    write_address(w, 2, &flow->client_ip);
    write_number(w, 3, flow->client_port);
    write_address(w, 4, &flow->server_ip);
    write_number(w, 5, flow->server_port);
    write_text(w, 6, flow->server_name);
    write_number(w, 7, flow->ip_protocol);
    write_text(w, 8, flow->app);
    write_number(w, 9, flow->delta_bytes_forward);
    write_number(w, 10, flow->delta_bytes_reverse);
    write_number(w, 11, flow->delta_packets);
    write_number(w, 12, flow->total_bytes);
    if (flow->has_rtt) {
        wire_write_double(w, 13, flow->rtt_seconds);
    }
    write_number(w, 14, flow->retransmitted_segments);
    write_chars(w, 15, tcp_state_name((enum tcp_state)flow->tcp_state));
    wire_end(w, mark);
}

static void write_interface(struct wire_writer *w, const struct stats_interface *interface)
{
    const struct wire_mark mark = wire_begin(w, 20, 2);
    write_text(w, 1, interface->name);
    write_number(w, 2, interface->linktype);
    write_number(w, 3, interface->snaplen);
    write_text(w, 4, interface->filter);
    write_number(w, 5, interface->received_packets);
    write_number(w, 6, interface->received_bytes);
    write_number(w, 7, interface->kernel_dropped);
    write_number(w, 8, interface->interface_dropped);
    write_number(w, 9, interface->promiscuous);
    write_number(w, 10, interface->up);
    write_number(w, 11, interface->precut_packets);
    write_number(w, 12, interface->truncated_packets);
    write_number(w, 13, interface->superpackets);
    write_number(w, 14, interface->wakeups);
    write_number(w, 15, interface->in_ring);
    write_number(w, 16, interface->in_ring_high_water);
    write_number(w, 17, interface->batch_max);
    write_number(w, 18, interface->reopened);
    write_chars(w, 19, interface->last_error);
    write_double(w, 20, interface->stall_tolerance_seconds);
    write_number(w, 21, interface->processed_packets);
    write_number(w, 22, interface->missed_bytes_estimate);
    wire_end(w, mark);
}

static void write_capture_ring(struct wire_writer *w, const struct stats_capture_ring *ring)
{
    const struct wire_mark mark = wire_begin(w, 36, 1);
    write_text(w, 1, ring->interface);
    write_number(w, 2, ring->shard);
    write_number(w, 3, ring->received_packets);
    write_number(w, 4, ring->processed_packets);
    write_number(w, 5, ring->precut_packets);
    write_number(w, 6, ring->kernel_dropped);
    write_number(w, 7, ring->in_ring);
    write_number(w, 8, ring->in_ring_high_water);
    write_number(w, 9, ring->wakeups);
    write_number(w, 10, ring->batch_max);
    write_double(w, 11, ring->stall_tolerance_seconds);
    wire_end(w, mark);
}

static void write_pcap(struct wire_writer *w, const struct stats_pcap *pcap)
{
    const struct wire_mark mark = wire_begin(w, 37, 1);
    write_number(w, 1, pcap->offered);
    write_number(w, 2, pcap->written);
    write_number(w, 3, pcap->written_bytes);
    write_number(w, 4, pcap->queue_full);
    write_number(w, 5, pcap->refused);
    write_number(w, 6, pcap->disk_full);
    write_number(w, 7, pcap->failed);
    write_number(w, 8, pcap->files);
    write_number(w, 9, pcap->files_deleted);
    write_time(w, 10, pcap->oldest_ns);
    write_number(w, 11, pcap->queued_high_water);
    write_number(w, 12, pcap->is_disk_full);
    wire_end(w, mark);
}

static void write_ledger_row(struct wire_writer *w, const struct stats_ledger_row *row)
{
    const struct wire_mark mark = wire_begin(w, 21, 1);
    write_number(w, 1, row->stage);
    write_chars(w, 2, row->name);
    write_chars(w, 3, row->unit);
    write_number(w, 4, row->in);
    write_number(w, 5, row->out);
    for (unsigned i = 0; i < row->lost_count && i < LEDGER_REASONS_MAX; i++) {
        const struct wire_mark lost = wire_begin(w, 6, 1);
        write_chars(w, 1, row->lost[i].reason);
        write_number(w, 2, row->lost[i].count);
        wire_end(w, lost);
    }
    write_number(w, 7, row->held);
    write_number(w, 8, row->packets_in);
    write_number(w, 9, row->packets_out);
    wire_end(w, mark);
}

static void write_shard(struct wire_writer *w, const struct stats_shard *shard)
{
    const struct wire_mark mark = wire_begin(w, 22, 1);
    write_number(w, 1, shard->shard);
    write_number(w, 2, shard->packets);
    write_number(w, 3, shard->bytes);
    write_number(w, 4, shard->ring_used);
    write_number(w, 5, shard->ring_size);
    write_number(w, 6, shard->ring_high_water);
    write_number(w, 7, shard->flows_active);
    write_number(w, 8, shard->flows_max);
    write_number(w, 9, shard->evicted);
    write_double(w, 10, shard->cpu_ratio);
    wire_end(w, mark);
}

static void write_memory(struct wire_writer *w, const struct stats_record *record)
{
    const struct wire_mark mark = wire_begin(w, 23, 1);
    write_number(w, 1, record->flow_table_bytes);
    write_number(w, 2, record->detectors_bytes);
    write_number(w, 3, record->spool_bytes);
    write_number(w, 4, record->rss_bytes);
    write_number(w, 5, record->limit_bytes);
    wire_end(w, mark);
}

static void write_detector(struct wire_writer *w, const struct stats_detector *detector)
{
    const struct wire_mark mark = wire_begin(w, 24, 2);
    write_chars(w, 1, detector->kind);
    write_number(w, 2, detector->tracked_keys);
    write_number(w, 3, detector->key_capacity);
    write_number(w, 4, detector->saturated);
    write_number(w, 5, detector->memory_bytes);
    write_number(w, 6, detector->opened);
    write_number(w, 7, detector->open);
    write_number(w, 8, detector->logged);
    write_number(w, 9, detector->learnt);
    write_number(w, 10, detector->suppressed);
    wire_end(w, mark);
}

/* A packed list; `length_bytes` as in wire_begin. */
static void write_packed(struct wire_writer *w, uint32_t field, const uint64_t *values,
                         unsigned count)
{
    const struct wire_mark mark = wire_begin(w, field, 1);
    for (unsigned i = 0; i < count; i++) {
        uint8_t number[WIRE_VARINT_BYTES_MAX];
        wire_write_raw(w, number, (size_t)(wire_put_varint(number, values[i]) - number));
    }
    wire_end(w, mark);
}

static void write_bounds(struct wire_writer *w, uint32_t field)
{
    const struct wire_mark bounds = wire_begin(w, field, 1);

    for (unsigned i = 0; i < STATS_RTT_BOUNDS; i++) {
        uint64_t bits;
        uint8_t number[sizeof bits];
        memcpy(&bits, &stats_rtt_bounds_seconds[i], sizeof bits);
        wire_write_raw(w, number, (size_t)(wire_put_fixed64(number, bits) - number));
    }
    wire_end(w, bounds);
}

static void write_tcp_health(struct wire_writer *w, const struct stats_record *record)
{
    const struct wire_mark mark = wire_begin(w, 25, 2);
    write_number(w, 1, record->data_segments);
    write_number(w, 2, record->retransmitted_segments);
    write_number(w, 3, record->out_of_order_segments);
    write_number(w, 4, record->zero_window_events);
    write_number(w, 5, record->resets);
    write_bounds(w, 6);
    write_packed(w, 7, record->rtt_counts, STATS_RTT_BOUNDS + 1);
    write_double(w, 8, record->rtt_sum_seconds);
    write_number(w, 9, record->half_open);
    wire_end(w, mark);
}

static void write_dns(struct wire_writer *w, const struct stats_record *record)
{
    unsigned rcodes = STATS_RCODES;
    while (rcodes > 0 && record->dns_rcode_counts[rcodes - 1] == 0) {
        rcodes--;
    }
    const struct wire_mark mark = wire_begin(w, 26, 2);
    write_number(w, 1, record->dns_queries);
    write_number(w, 2, record->dns_responses);
    if (rcodes > 0) {
        write_packed(w, 3, record->dns_rcode_counts, rcodes);
    }
    write_double(w, 4, record->dns_response_sum_seconds);
    write_bounds(w, 5);
    write_packed(w, 6, record->dns_response_counts, STATS_RTT_BOUNDS + 1);
    wire_end(w, mark);
}

static void write_sink(struct wire_writer *w, const struct stats_sink *sink)
{
    const struct wire_mark mark = wire_begin(w, 27, 1);
    write_chars(w, 1, sink->name);
    write_number(w, 2, sink->connected);
    write_number(w, 3, sink->sent);
    write_number(w, 4, sink->acked);
    write_number(w, 5, sink->retried);
    write_number(w, 6, sink->failed);
    write_number(w, 7, sink->unacked);
    write_number(w, 8, sink->spool_bytes);
    write_time(w, 9, sink->oldest_age_ns);
    write_chars(w, 10, sink->last_error);
    write_number(w, 11, sink->spool_errors);
    write_chars(w, 12, sink->spool_trouble);
    write_number(w, 13, sink->max_rate);
    write_number(w, 14, sink->throttles);
    write_number(w, 15, sink->redirects);
    write_number(w, 16, sink->redirects_refused);
    write_chars(w, 17, sink->redirected_to);
    wire_end(w, mark);
}

/* A Duration, whose parts have the same sign. */
static void write_signed_time(struct wire_writer *w, uint32_t field, int64_t ns)
{
    const struct wire_mark mark = wire_begin(w, field, 1);
    write_number(w, 1, (uint64_t)(ns / (int64_t)NS_PER_SECOND));
    write_number(w, 2, (uint64_t)(ns % (int64_t)NS_PER_SECOND));
    wire_end(w, mark);
}

static void write_clock(struct wire_writer *w, const struct stats_clock *clock)
{
    if (!clock->is_synced) {
        return;
    }
    const struct wire_mark mark = wire_begin(w, 28, 1);
    write_signed_time(w, 1, clock->offset_ns);
    write_time(w, 2, clock->trip_ns);
    write_number(w, 3, 1);
    wire_end(w, mark);
}

static void write_rows(struct wire_writer *w, const struct stats_record *record)
{
    for (uint32_t i = 0; i < record->interfaces_count && i < STATS_ROWS_MAX; i++) {
        write_interface(w, &record->interfaces[i]);
    }
    for (uint32_t i = 0; i < record->ledger_count && i < STATS_ROWS_MAX; i++) {
        write_ledger_row(w, &record->ledger[i]);
    }
    for (uint32_t i = 0; i < record->shards_count && i < STATS_ROWS_MAX; i++) {
        write_shard(w, &record->shards[i]);
    }
    write_memory(w, record);
    for (uint32_t i = 0; i < record->detectors_count && i < STATS_ROWS_MAX; i++) {
        write_detector(w, &record->detectors[i]);
    }
}

size_t codec_encode_stats(const struct stats_record *record, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    write_identity(&w, &record->identity);
    write_time(&w, 4, record->start_ns);
    write_time(&w, 5, record->end_ns);
    write_totals(&w, &record->totals);
    write_number(&w, 7, record->packets_total);
    write_number(&w, 8, record->bytes_total);
    write_time(&w, 9, record->uptime_ns);
    for (unsigned i = 0; i < STATS_DIMENSION_COUNT; i++) {
        write_top(&w, (enum stats_dimension)i, &record->top[i]);
    }
    for (uint32_t i = 0; i < record->top_flows_count && i < STATS_TOP_FLOWS_MAX; i++) {
        write_top_flow(&w, &record->top_flows[i]);
    }
    write_rows(&w, record);
    write_tcp_health(&w, record);
    write_dns(&w, record);
    for (uint32_t i = 0; i < record->sinks_count && i < STATS_ROWS_MAX; i++) {
        write_sink(&w, &record->sinks[i]);
    }
    write_clock(&w, &record->clock);
    write_text(&w, 29, record->version);
    write_text(&w, 30, record->config_hash);
    for (uint32_t i = 0; i < record->capture_rings_count && i < STATS_ROWS_MAX; i++) {
        write_capture_ring(&w, &record->capture_rings[i]);
    }
    if (record->pcap.is_on) {
        write_pcap(&w, &record->pcap);
    }
    return w.ok ? wire_written(&w) : 0;
}
