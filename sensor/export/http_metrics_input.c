/* The part of /metrics that tells of the input: interfaces, the kernel's rings, the shards' queues.
 */
#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "sensor/export/http_metrics_parts.h"

enum kind { KIND_U64, KIND_U32, KIND_BOOL, KIND_DOUBLE };

/* One column of a row. */
struct figure {
    const char *name;
    enum metrics_type type;
    const char *help;
    size_t offset;
    enum kind kind;
};

static void write_value(struct metrics_page *page, const struct figure *figure, const void *row,
                        const char *const *labels)
{
    const void *at = (const char *)row + figure->offset;

    switch (figure->kind) {
    case KIND_U64:
        metrics_u64(page, figure->name, labels, *(const uint64_t *)at);
        break;
    case KIND_U32:
        metrics_u64(page, figure->name, labels, *(const uint32_t *)at);
        break;
    case KIND_BOOL:
        metrics_u64(page, figure->name, labels, *(const bool *)at ? 1 : 0);
        break;
    case KIND_DOUBLE:
        metrics_double(page, figure->name, labels, *(const double *)at);
        break;
    }
}

static const char *text_of(struct record_text text, char *out, size_t capacity)
{
    (void)snprintf(out, capacity, "%.*s", (int)text.length, text.length == 0 ? "" : text.data);
    return out;
}

#define OF(member) offsetof(struct stats_interface, member)
static const struct figure interface_figures[] = {
    {"netscope_capture_packets_total", METRICS_COUNTER,
     "Packets handed over by the kernel or file.", OF(received_packets), KIND_U64},
    {"netscope_capture_bytes_total", METRICS_COUNTER, "Bytes on the wire of these packets.",
     OF(received_bytes), KIND_U64},
    {"netscope_missed_bytes_total", METRICS_COUNTER,
     "An estimate: bytes of ended flows that were acknowledged and never seen.",
     OF(missed_bytes_estimate), KIND_U64},
    {"netscope_sensor_up", METRICS_GAUGE, "1: the interface is read.", OF(up), KIND_BOOL},
    {"netscope_capture_truncated_total", METRICS_COUNTER,
     "Packets captured shorter than they were on the wire (capture.snaplen).",
     OF(truncated_packets), KIND_U64},
    {"netscope_capture_superpackets_total", METRICS_COUNTER,
     "Packets longer than the MTU allows: put together by segmentation offload.", OF(superpackets),
     KIND_U64},
    {"netscope_capture_reopened_total", METRICS_COUNTER,
     "Times that a lost interface was opened again.", OF(reopened), KIND_U64},
};
#undef OF

static void write_interfaces(struct metrics_page *page, struct pipeline *pipeline)
{
    struct stats_interface rows[HTTP_METRICS_ROWS_MAX];
    const uint32_t count = pipeline_interfaces(pipeline, rows, HTTP_METRICS_ROWS_MAX);
    char name[300];

    for (size_t f = 0; f < ARRAY_COUNT(interface_figures); f++) {
        const struct figure *figure = &interface_figures[f];

        metrics_family(page, figure->name, figure->type, figure->help);
        for (uint32_t i = 0; i < count; i++) {
            write_value(page, figure, &rows[i],
                        METRICS_LABELS("interface", text_of(rows[i].name, name, sizeof(name))));
        }
    }
}

#define OF(member) offsetof(struct stats_capture_ring, member)
static const struct figure ring_figures[] = {
    {"netscope_capture_ring_received_total", METRICS_COUNTER,
     "Packets that passed the kernel's filter; = processed + precut + dropped + held.",
     OF(received_packets), KIND_U64},
    {"netscope_capture_ring_processed_total", METRICS_COUNTER, "Handed over to the shard.",
     OF(processed_packets), KIND_U64},
    {"netscope_capture_ring_precut_total", METRICS_COUNTER,
     "From before all shards had opened the interface.", OF(precut_packets), KIND_U64},
    {"netscope_capture_ring_dropped_total", METRICS_COUNTER,
     "Dropped because the ring was full (capture.buffer_size).", OF(kernel_dropped), KIND_U64},
    {"netscope_capture_ring_held", METRICS_GAUGE, "In the ring now.", OF(in_ring), KIND_U64},
    {"netscope_capture_ring_high_water", METRICS_GAUGE,
     "Most packets that were found in the ring, looked at once a second.", OF(in_ring_high_water),
     KIND_U64},
    {"netscope_capture_ring_wakeups_total", METRICS_COUNTER,
     "Times that the shard woke up for the ring.", OF(wakeups), KIND_U64},
    {"netscope_capture_ring_batch_max", METRICS_GAUGE, "Most packets handed over in one go.",
     OF(batch_max), KIND_U64},
    {"netscope_capture_stall_tolerance_seconds", METRICS_GAUGE,
     "How long the shard may stand still at the last second's rate; 0: not known.",
     OF(stall_tolerance_seconds), KIND_DOUBLE},
};
#undef OF

static void write_rings(struct metrics_page *page, struct pipeline *pipeline)
{
    struct stats_capture_ring rows[HTTP_METRICS_ROWS_MAX];
    const uint32_t count = pipeline_capture_rings(pipeline, rows, HTTP_METRICS_ROWS_MAX);

    for (size_t f = 0; f < ARRAY_COUNT(ring_figures) && count > 0; f++) {
        const struct figure *figure = &ring_figures[f];

        metrics_family(page, figure->name, figure->type, figure->help);
        for (uint32_t i = 0; i < count; i++) {
            char name[300];
            char shard[16];

            (void)snprintf(shard, sizeof(shard), "%u", rows[i].shard);
            write_value(page, figure, &rows[i],
                        METRICS_LABELS("interface", text_of(rows[i].interface, name, sizeof(name)),
                                       "shard", shard));
        }
    }
}

#define OF(member) offsetof(struct stats_shard, member)
static const struct figure shard_figures[] = {
    {"netscope_shard_packets_total", METRICS_COUNTER, "Packets that a shard has decoded.",
     OF(packets), KIND_U64},
    {"netscope_shard_cpu_ratio", METRICS_GAUGE,
     "Share of one processor that its thread used, over the last half second or more.",
     OF(cpu_ratio), KIND_DOUBLE},
    {"netscope_shard_batches_held", METRICS_GAUGE,
     "Batches of records that wait for the publisher.", OF(ring_used), KIND_U32},
    {"netscope_shard_batches_high_water", METRICS_GAUGE, "Most batches that ever waited.",
     OF(ring_high_water), KIND_U32},
    {"netscope_shard_batches_max", METRICS_GAUGE, "Room for batches.", OF(ring_size), KIND_U32},
};
#undef OF

static void write_shards(struct metrics_page *page, struct pipeline *pipeline)
{
    struct stats_shard rows[HTTP_METRICS_ROWS_MAX];
    const uint32_t count = pipeline_shard_rows(pipeline, rows, HTTP_METRICS_ROWS_MAX);

    for (size_t f = 0; f < ARRAY_COUNT(shard_figures); f++) {
        const struct figure *figure = &shard_figures[f];

        metrics_family(page, figure->name, figure->type, figure->help);
        for (uint32_t i = 0; i < count; i++) {
            char shard[16];

            (void)snprintf(shard, sizeof(shard), "%u", rows[i].shard);
            write_value(page, figure, &rows[i], METRICS_LABELS("shard", shard));
        }
    }
}

#define OF(member) offsetof(struct pcap_writer_counts, member)
static const struct figure pcap_figures[] = {
    {"netscope_pcap_offered_total", METRICS_COUNTER,
     "Packets for the pcap files; = written + dropped by all reasons + those on their way.",
     OF(offered), KIND_U64},
    {"netscope_pcap_written_total", METRICS_COUNTER, "Packets written.", OF(written), KIND_U64},
    {"netscope_pcap_written_bytes_total", METRICS_COUNTER, "Bytes of them, with headers.",
     OF(written_bytes), KIND_U64},
    {"netscope_pcap_files_total", METRICS_COUNTER, "Files begun.", OF(files), KIND_U32},
    {"netscope_pcap_files_deleted_total", METRICS_COUNTER,
     "Segments deleted to make room, or for their age.", OF(files_deleted), KIND_U32},
    {"netscope_pcap_queue_high_water_bytes", METRICS_GAUGE,
     "Most bytes that waited in one queue (output.write_pcap_queue).", OF(queued_high_water),
     KIND_U64},
    {"netscope_pcap_disk_full", METRICS_GAUGE, "1: the disk was full at the last write.",
     OF(is_disk_full), KIND_BOOL},
};
#undef OF

static void write_pcap(struct metrics_page *page, struct pipeline *pipeline)
{
    struct pcap_writer_counts counts;

    if (!pipeline_pcap_counts(pipeline, &counts)) {
        return;
    }
    for (size_t f = 0; f < ARRAY_COUNT(pcap_figures); f++) {
        const struct figure *figure = &pcap_figures[f];

        metrics_family(page, figure->name, figure->type, figure->help);
        write_value(page, figure, &counts, NULL);
    }
    const struct {
        const char *reason;
        uint64_t count;
    } lost[] = {{"queue_full", counts.dropped},
                {"link_type", counts.link_type_refused},
                {"disk_full", counts.disk_full},
                {"failed", counts.failed}};

    metrics_family(page, "netscope_pcap_dropped_total", METRICS_COUNTER,
                   "Packets not written to the pcap files, by reason; flows count them all the "
                   "same.");
    for (size_t i = 0; i < ARRAY_COUNT(lost); i++) {
        metrics_u64(page, "netscope_pcap_dropped_total", METRICS_LABELS("reason", lost[i].reason),
                    lost[i].count);
    }
    metrics_family(page, "netscope_pcap_oldest_timestamp_seconds", METRICS_GAUGE,
                   "Time of the oldest packet that is kept; 0: none.");
    metrics_double(page, "netscope_pcap_oldest_timestamp_seconds", NULL,
                   (double)counts.oldest_ns / (double)NS_PER_SEC);
}

#define OF(member) offsetof(struct pipeline_evidence, member)
static const struct figure evidence_figures[] = {
    {"netscope_evidence_memory_bytes", METRICS_GAUGE,
     "Memory for packets that alerts will be shown by (packets.evidence_buffer).", OF(memory_bytes),
     KIND_U64},
    {"netscope_evidence_packets_total", METRICS_COUNTER, "Packets pinned to alerts.", OF(packets),
     KIND_U64},
    {"netscope_evidence_refused_total", METRICS_COUNTER,
     "Packets not pinned: more in one second than packets.evidence_per_second.", OF(refused),
     KIND_U64},
    {"netscope_evidence_alerts_total", METRICS_COUNTER, "Alerts that opened with packets.",
     OF(alerts), KIND_U64},
    {"netscope_evidence_alerts_without_total", METRICS_COUNTER,
     "Alerts of whose subjects no packet was kept when they opened.", OF(without), KIND_U64},
};
#undef OF

static void write_evidence(struct metrics_page *page, struct pipeline *pipeline)
{
    struct pipeline_evidence row;

    pipeline_evidence_read(pipeline, &row);
    for (size_t f = 0; f < ARRAY_COUNT(evidence_figures); f++) {
        const struct figure *figure = &evidence_figures[f];

        metrics_family(page, figure->name, figure->type, figure->help);
        write_value(page, figure, &row, NULL);
    }
}

void http_write_input(struct metrics_page *page, struct pipeline *pipeline)
{
    write_interfaces(page, pipeline);
    write_rings(page, pipeline);
    write_shards(page, pipeline);
    write_pcap(page, pipeline);
    write_evidence(page, pipeline);
}
