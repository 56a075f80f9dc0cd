/* What a pipeline counts: sums, rows of interfaces and shards. */
#include <stdatomic.h>

#include "base/clock.h"
#include "base/process.h"
#include "sensor/pipeline/pipeline_private.h"

uint32_t pipeline_shards(const struct pipeline *pipeline)
{
    return pipeline->settings.shards;
}

void pipeline_names_read(struct pipeline *pipeline, struct pipeline_names *out)
{
    const struct name_join_counts *counts = publisher_names(pipeline->publisher);

    *out = (struct pipeline_names){0};
    if (counts == NULL) {
        return;
    }
    out->answers_used = counter_get(&counts->answers_used);
    out->answers_max = counter_get(&counts->answers_max);
    out->added = counter_get(&counts->added);
    out->replaced = counter_get(&counts->replaced);
    out->refused = counter_get(&counts->refused);
    out->memory_bytes = counter_get(&counts->memory_bytes);
    out->named_servers = counter_get(&counts->named_servers);
    out->named_clients = counter_get(&counts->named_clients);
    out->no_room = counter_get(&counts->no_room);
    out->early = counter_get(&counts->early);
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        out->lost += counter_get(&shard_counts_of(pipeline->shards[i])->lost_names);
    }
}

const struct learnt_file_counts *pipeline_learnt(const struct pipeline *pipeline)
{
    return publisher_learnt(pipeline->publisher);
}

bool pipeline_labels_read(const struct pipeline *pipeline, struct pipeline_labels *out)
{
    const struct label_join_counts *counts = publisher_labels(pipeline->publisher);

    *out = (struct pipeline_labels){0};
    if (counts == NULL) {
        return false;
    }
    out->found = counter_get(&counts->found);
    out->looked_up = counter_get(&counts->looked_up);
    out->labelled = counter_get(&counts->labelled);
    out->named = counter_get(&counts->named);
    out->omitted = counter_get(&counts->omitted);
    out->prefixes = counter_get(&counts->prefixes);
    out->memory_bytes = counter_get(&counts->memory_bytes);
    return true;
}

bool pipeline_view_labels(const struct pipeline *pipeline, struct label_view **view)
{
    struct label_source *labels = pipeline->settings.labels;

    *view = labels == NULL ? NULL : label_view_new(labels);
    return labels == NULL || *view != NULL;
}

size_t pipeline_append_labels(const struct pipeline *pipeline, const struct label_end *end,
                              uint8_t *out, size_t capacity)
{
    struct label_source *labels = pipeline->settings.labels;

    return labels == NULL ? 0 : label_source_append(labels, end, out, capacity);
}

void pipeline_evidence_read(const struct pipeline *pipeline, struct pipeline_evidence *out)
{
    const struct evidence_pins_counts *counts = publisher_evidence(pipeline->publisher);

    *out = (struct pipeline_evidence){0};
    if (counts != NULL) {
        /* The publisher's tables are EVIDENCE_HISTORY + 1 of a shard's share. */
        out->memory_bytes = (uint64_t)pipeline->settings.shards * pipeline->settings.evidence_bytes;
        out->packets = counter_get(&counts->packets);
        out->refused = counter_get(&counts->refused);
        out->alerts = counter_get(&counts->alerts);
        out->without = counter_get(&counts->without);
    }
}

const struct publisher_counts *pipeline_publisher_counts(const struct pipeline *pipeline)
{
    return publisher_counts_of(pipeline->publisher);
}

uint64_t pipeline_owed(const struct pipeline *pipeline)
{
    return publisher_owed(pipeline->publisher);
}

static void add_shard(struct pipeline_totals *out, const struct shard_counts *counts)
{
    const uint64_t last_ns = counter_get(&counts->last_packet_ns);

    /* Downstream first: see pipeline_ledger.c. */
    out->reported_packets += counter_get(&counts->reported_packets);
    atomic_thread_fence(memory_order_acquire);
    out->flow_packets += counter_get(&counts->flow_packets);
    out->dispatch_dropped += counter_get(&counts->lost_records) + counter_get(&counts->lost_lines);
    out->lost_packets += counter_get(&counts->lost_packets);
    out->lost_records += counter_get(&counts->lost_records);
    out->malformed += counter_get(&counts->malformed);
    out->truncated += counter_get(&counts->truncated);
    out->unsupported += counter_get(&counts->unsupported);
    out->non_ip += counter_get(&counts->non_ip);
    out->not_in_flow += counter_get(&counts->not_in_flow);
    for (unsigned reason = 0; reason < DECODE_REASON_COUNT; reason++) {
        out->not_in_flow_by[reason] += counter_get(&counts->not_in_flow_by[reason]);
        for (unsigned layer = 0; layer < LAYER_COUNT; layer++) {
            out->decode_faults[layer][reason] += counter_get(&counts->decode_faults[layer][reason]);
        }
    }
    for (unsigned kind = 0; kind < ARP_KIND_COUNT; kind++) {
        out->arp[kind] += counter_get(&counts->arp[kind]);
    }
    out->tunnels_full += counter_get(&counts->tunnels_full);
    out->quic_initials += counter_get(&counts->quic_initials);
    out->quic_unopened += counter_get(&counts->quic_unopened);
    out->checksum_bad += counter_get(&counts->checksum_bad);
    out->late += counter_get(&counts->late_packets);
    out->flows_active += counter_get(&counts->flows_active);
    out->flows_max += counter_get(&counts->flows_max);
    out->flows_created += counter_get(&counts->flows_created);
    out->flows_evicted += counter_get(&counts->flows_evicted);
    out->flow_table_bytes += counter_get(&counts->flow_table_bytes);
    out->inspect_bytes += counter_get(&counts->inspect_bytes);
    for (unsigned i = 0; i < INSPECT_FIGURES; i++) {
        out->inspect[i] += counter_get(&counts->inspect[i]);
    }
    out->samples += counter_get(&counts->samples);
    out->last_packet_ns = last_ns > out->last_packet_ns ? last_ns : out->last_packet_ns;
    atomic_thread_fence(memory_order_acquire);
    out->packets += counter_get(&counts->frames);
    out->bytes += counter_get(&counts->bytes);
}

bool pipeline_pcap_counts(struct pipeline *pipeline, struct pcap_writer_counts *out)
{
    (void)pthread_mutex_lock(&pipeline->pcap_lock);
    *out = pipeline->pcap_counts;
    if (pipeline->pcap != NULL) {
        pcap_writer_counts_read(pipeline->pcap, out);
    }
    (void)pthread_mutex_unlock(&pipeline->pcap_lock);
    return pipeline->settings.write_pcap != NULL;
}

static void fill_pcap(struct pipeline *pipeline, struct stats_pcap *to)
{
    struct pcap_writer_counts counts;

    to->is_on = pipeline_pcap_counts(pipeline, &counts);
    to->offered = counts.offered;
    to->written = counts.written;
    to->written_bytes = counts.written_bytes;
    to->queue_full = counts.dropped;
    to->refused = counts.link_type_refused;
    to->disk_full = counts.disk_full;
    to->failed = counts.failed;
    to->files = counts.files;
    to->files_deleted = counts.files_deleted;
    to->oldest_ns = counts.oldest_ns;
    to->queued_high_water = counts.queued_high_water;
    to->is_disk_full = counts.is_disk_full;
}

static void add_fragments(struct pipeline_fragments *out, const struct fragment_counts *counts)
{
    if (counts == NULL) {
        return;
    }
    out->fragments += counter_get(&counts->fragments);
    out->atomic += counter_get(&counts->atomic);
    out->datagrams += counter_get(&counts->datagrams);
    out->completed += counter_get(&counts->completed);
    out->attributed += counter_get(&counts->attributed);
    out->held += counter_get(&counts->held);
    out->held_now += counter_get(&counts->held_now);
    out->unattributed_timeout += counter_get(&counts->unattributed_timeout);
    out->unattributed_evicted += counter_get(&counts->unattributed_evicted);
    out->unattributed_full += counter_get(&counts->unattributed_full);
    out->unattributed_end += counter_get(&counts->unattributed_end);
    out->evicted += counter_get(&counts->evicted);
    out->duplicates += counter_get(&counts->duplicates);
    out->overlaps += counter_get(&counts->overlaps);
    out->tiny += counter_get(&counts->tiny);
    out->oversized += counter_get(&counts->oversized);
    out->odd += counter_get(&counts->odd);
    out->empty += counter_get(&counts->empty);
    out->contradictory += counter_get(&counts->contradictory);
    out->too_many += counter_get(&counts->too_many);
}

static void read_fragments(const struct pipeline *pipeline, struct pipeline_fragments *out)
{
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        add_fragments(out, shard_fragment_counts(pipeline->shards[i]));
    }
    if (pipeline->reader != NULL) {
        add_fragments(out, reader_fragment_counts(pipeline->reader));
    }
}

void pipeline_totals_read(struct pipeline *pipeline, struct pipeline_totals *out)
{
    *out = (struct pipeline_totals){0};
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        add_shard(out, shard_counts_of(pipeline->shards[i]));
    }
    for (uint32_t i = 0; pipeline->live != NULL && i < capture_live_interfaces(pipeline->live);
         i++) {
        struct capture_interface_status status;

        capture_live_status(pipeline->live, i, &status);
        out->kernel_dropped += status.sum.kernel_dropped;
        out->interface_dropped += status.sum.interface_dropped;
    }
    struct pcap_writer_counts pcap;

    (void)pipeline_pcap_counts(pipeline, &pcap);
    out->pcap_dropped = pcap.dropped + pcap.link_type_refused + pcap.disk_full;
    out->detectors_bytes = counter_get(&publisher_counts_of(pipeline->publisher)->detectors_bytes);
    for (uint32_t i = 0; pipeline->handover != NULL && i < pipeline->settings.shards; i++) {
        const struct handover_counts *counts = handover_counts(pipeline->handover, i);

        out->handover_packets += counter_get(&counts->pushed);
        out->handover_dropped += counter_get(&counts->dropped);
        const uint64_t high_water = counter_get(&counts->high_water_bytes);
        out->handover_high_water_bytes = high_water > out->handover_high_water_bytes
                                             ? high_water
                                             : out->handover_high_water_bytes;
    }
    out->handover_held = pipeline->handover == NULL ? 0 : handover_held(pipeline->handover);
    read_fragments(pipeline, &out->fragments);
    out->fragments_held = out->fragments.held_now;
    if (pipeline->reader != NULL) {
        const struct reader_counts *counts = reader_counts_of(pipeline->reader);

        out->file_bytes_read = counter_get(&counts->file_bytes_read);
        out->file_bytes_total = counter_get(&counts->file_bytes_total);
        out->kernel_dropped = counter_get(&counts->kernel_dropped);
        out->interface_dropped = counter_get(&counts->interface_dropped);
    }
}

uint32_t pipeline_shard_rows(struct pipeline *pipeline, struct stats_shard *rows, uint32_t rows_max)
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < pipeline->settings.shards && written < rows_max; i++) {
        const struct shard_counts *counts = shard_counts_of(pipeline->shards[i]);

        rows[written++] =
            (struct stats_shard){.shard = i,
                                 .ring_used = ring_used(pipeline->outlets[i].batches),
                                 .ring_size = ring_capacity(pipeline->outlets[i].batches),
                                 .ring_high_water = (uint32_t)counter_get(&counts->ring_high_water),
                                 .packets = counter_get(&counts->frames),
                                 .bytes = counter_get(&counts->bytes),
                                 .flows_active = counter_get(&counts->flows_active),
                                 .flows_max = counter_get(&counts->flows_max),
                                 .evicted = counter_get(&counts->flows_evicted),
                                 .cpu_ratio = (double)counter_get(&counts->cpu_millionths) * 1e-6};
    }
    return written;
}

uint32_t pipeline_assets(struct pipeline *pipeline, const struct asset_list_query *query,
                         struct asset *out, uint32_t out_max, struct asset_list_sum *sum)
{
    return publisher_list_assets(pipeline->publisher, query, out, out_max, sum);
}

struct record_text pipeline_interface_name(const struct pipeline *pipeline, uint16_t number)
{
    return flow_interface_name(&pipeline->settings.flow, number);
}

const struct sink *pipeline_sinks(const struct pipeline *pipeline, uint32_t *count)
{
    *count = pipeline->settings.sinks_count;
    return pipeline->settings.sinks;
}

uint32_t pipeline_sink_rows(struct pipeline *pipeline, struct stats_sink *rows, uint32_t rows_max)
{
    return publisher_sink_rows(pipeline->publisher, rows, rows_max);
}

void pipeline_fill_stats(void *context, struct stats_record *record)
{
    struct pipeline *pipeline = context;
    struct pipeline_totals totals;

    pipeline_totals_read(pipeline, &totals);
    const uint64_t lost = totals.kernel_dropped + totals.interface_dropped + totals.lost_packets +
                          totals.handover_dropped;

    record->totals.lost_packets = lost - pipeline->lost_told;
    pipeline->lost_told = lost;
    record->packets_total = totals.packets;
    record->bytes_total = totals.bytes;
    record->uptime_ns = clock_monotonic_ns() - pipeline->started_ns;
    record->flow_table_bytes = totals.flow_table_bytes;
    record->detectors_bytes = totals.detectors_bytes;
    record->rss_bytes = process_resident_bytes();
    record->version = pipeline_text(NETSCOPE_VERSION);
    record->config_hash =
        pipeline_text(atomic_load_explicit(&pipeline->config_hash, memory_order_acquire));
    record->interfaces_count = pipeline_interfaces(pipeline, record->interfaces, STATS_ROWS_MAX);
    record->shards_count = pipeline_shard_rows(pipeline, record->shards, STATS_ROWS_MAX);
    record->capture_rings_count =
        pipeline_capture_rings(pipeline, record->capture_rings, STATS_ROWS_MAX);
    fill_pcap(pipeline, &record->pcap);
    record->ledger_count = pipeline_ledger(pipeline, record->ledger, STATS_ROWS_MAX);
}

bool pipeline_ask_names(struct pipeline *pipeline, struct name_question *question)
{
    return publisher_ask_names(pipeline->publisher, question);
}
