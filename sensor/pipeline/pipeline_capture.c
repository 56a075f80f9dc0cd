/* What the input of a pipeline counts: interfaces, the kernel's rings, their part of the ledger. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/pipeline/pipeline_private.h"

/* 0 where nothing but traffic fills the ring and there is none. */
static double stall_seconds(uint64_t stall_ns)
{
    return stall_ns == UINT64_MAX ? 0 : (double)stall_ns / (double)NS_PER_SEC;
}

static uint64_t missed_bytes(const struct pipeline *pipeline, uint32_t first, uint32_t end)
{
    uint64_t missed = 0;

    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        for (uint32_t j = first; j < end && j < SHARD_INTERFACES; j++) {
            missed += counter_get(&shard_counts_of(pipeline->shards[i])->missed_bytes[j]);
        }
    }
    return missed;
}

static struct stats_interface file_row(const struct pipeline *pipeline)
{
    const struct reader_counts *counts = reader_counts_of(pipeline->reader);

    return (struct stats_interface){.name = pipeline_text(pipeline->file_name),
                                    .filter = pipeline_text(pipeline->settings.capture.filter),
                                    .received_packets = counter_get(&counts->packets),
                                    .received_bytes = counter_get(&counts->bytes),
                                    .processed_packets = counter_get(&counts->packets),
                                    .kernel_dropped = counter_get(&counts->kernel_dropped),
                                    .interface_dropped = counter_get(&counts->interface_dropped),
                                    .missed_bytes_estimate =
                                        missed_bytes(pipeline, 0, SHARD_INTERFACES),
                                    .up = !atomic_load(&pipeline->is_finished)};
}

static struct stats_interface live_row(const struct pipeline *pipeline, uint32_t index)
{
    const struct capture_settings *capture = &pipeline->settings.capture;
    struct capture_interface_status status;

    capture_live_status(pipeline->live, index, &status);
    struct stats_interface row = {
        .name = flow_interface_name(&pipeline->settings.flow, (uint16_t)index),
        .filter = pipeline_text(capture->filter),
        .linktype = status.link_type,
        .snaplen = capture->snaplen_bytes,
        .received_packets = status.sum.received,
        .received_bytes = status.sum.processed_bytes,
        .processed_packets = status.sum.processed,
        .precut_packets = status.sum.precut,
        .kernel_dropped = status.sum.kernel_dropped,
        .interface_dropped = status.sum.interface_dropped,
        .missed_bytes_estimate = missed_bytes(pipeline, index, index + 1),
        .truncated_packets = status.sum.truncated,
        .superpackets = status.sum.superpackets,
        .wakeups = status.sum.wakeups,
        .in_ring = status.sum.in_ring,
        .in_ring_high_water = status.sum.in_ring_high_water,
        .batch_max = status.sum.batch_max,
        .reopened = status.reopened,
        .stall_tolerance_seconds = stall_seconds(status.sum.stall_ns),
        .promiscuous = capture->is_promiscuous,
        .up = status.state == CAPTURE_UP};

    (void)snprintf(row.last_error, sizeof(row.last_error), "%.159s", status.last_error);
    return row;
}

uint32_t pipeline_interfaces(struct pipeline *pipeline, struct stats_interface *rows,
                             uint32_t rows_max)
{
    uint32_t written = 0;

    if (pipeline->reader != NULL && rows_max > 0) {
        rows[written++] = file_row(pipeline);
        return written;
    }
    while (pipeline->live != NULL && written < capture_live_interfaces(pipeline->live) &&
           written < rows_max) {
        rows[written] = live_row(pipeline, written);
        written++;
    }
    return written;
}

uint32_t pipeline_capture_rings(struct pipeline *pipeline, struct stats_capture_ring *rows,
                                uint32_t rows_max)
{
    const uint32_t interfaces =
        pipeline->live == NULL ? 0 : capture_live_interfaces(pipeline->live);
    uint32_t written = 0;

    for (uint32_t i = 0; i < interfaces; i++) {
        for (uint32_t shard = 0; shard < pipeline->settings.shards && written < rows_max; shard++) {
            struct capture_counts counts;

            capture_live_counts(pipeline->live, i, shard, &counts);
            rows[written++] = (struct stats_capture_ring){
                .interface = flow_interface_name(&pipeline->settings.flow, (uint16_t)i),
                .shard = shard,
                .received_packets = counts.received,
                .processed_packets = counts.processed,
                .precut_packets = counts.precut,
                .kernel_dropped = counts.kernel_dropped,
                .in_ring = counts.in_ring,
                .in_ring_high_water = counts.in_ring_high_water,
                .wakeups = counts.wakeups,
                .batch_max = counts.batch_max,
                .stall_tolerance_seconds = stall_seconds(counts.stall_ns)};
        }
    }
    return written;
}

void pipeline_look(struct pipeline *pipeline)
{
    if (pipeline->live != NULL) {
        capture_live_look(pipeline->live);
    }
}

/* INTERFACE and KERNEL as a capture file tells of the machine that wrote it. */
static uint32_t file_rows(struct pipeline *pipeline, struct stats_ledger_row *rows)
{
    const struct reader_counts *counts = reader_counts_of(pipeline->reader);
    const uint64_t packets = counter_get(&counts->packets);
    const uint64_t by_kernel = counter_get(&counts->kernel_dropped);
    const uint64_t by_interface = counter_get(&counts->interface_dropped);

    if (by_kernel == 0 && by_interface == 0) { /* most files say nothing */
        return 0;
    }
    rows[0] = (struct stats_ledger_row){.stage = LEDGER_INTERFACE,
                                        .unit = "packets",
                                        .in = packets + by_kernel + by_interface,
                                        .out = packets + by_kernel};
    stats_ledger_add(&rows[0], "interface_dropped", by_interface);
    rows[1] = (struct stats_ledger_row){
        .stage = LEDGER_KERNEL, .unit = "packets", .in = packets + by_kernel, .out = packets};
    stats_ledger_add(&rows[1], "ring_full", by_kernel);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(rows[i].name, sizeof(rows[i].name), "%s", pipeline->file_name);
    }
    return 2;
}

/* INTERFACE and KERNEL, one of each an interface. `handed_over`: sum of what left the rings. */
static uint32_t live_rows(struct pipeline *pipeline, struct stats_ledger_row *rows,
                          uint32_t rows_max, uint64_t *handed_over)
{
    uint32_t written = 0;

    for (uint32_t i = 0; pipeline->live != NULL && i < capture_live_interfaces(pipeline->live);
         i++) {
        struct capture_interface_status status;

        capture_live_status(pipeline->live, i, &status);
        const struct capture_counts *sum = &status.sum;

        *handed_over += sum->processed;
        if (written + 2 > rows_max) {
            continue;
        }
        struct stats_ledger_row *row = &rows[written++];

        *row = (struct stats_ledger_row){.stage = LEDGER_INTERFACE,
                                         .unit = "packets",
                                         .in = sum->received + sum->interface_dropped,
                                         .out = sum->received};
        memcpy(row->name, status.name, sizeof(status.name));
        stats_ledger_add(row, "interface_dropped", sum->interface_dropped);
        row = &rows[written++];
        *row = (struct stats_ledger_row){.stage = LEDGER_KERNEL,
                                         .unit = "packets",
                                         .in = sum->received,
                                         .out = sum->processed,
                                         .held = sum->in_ring};
        memcpy(row->name, status.name, sizeof(status.name));
        stats_ledger_add(row, "ring_full", sum->kernel_dropped);
        stats_ledger_add(row, "before_start", sum->precut);
    }
    return written;
}

uint32_t pipeline_input_ledger(struct pipeline *pipeline, uint64_t decoded,
                               struct stats_ledger_row *rows, uint32_t rows_max)
{
    uint64_t in = decoded;
    uint32_t written = 0;

    if (pipeline->reader != NULL) {
        written = rows_max >= 2 ? file_rows(pipeline, rows) : 0;
    } else {
        in = 0;
        written = live_rows(pipeline, rows, rows_max, &in);
    }
    if (written == rows_max) {
        return written;
    }
    /* Live, --count is told by packets of all shards: what the last batch held beyond it. */
    const uint64_t most = pipeline->settings.count_max;
    const uint64_t taken = counter_get(&pipeline->live_count);
    const uint64_t beyond = most > 0 && taken > most ? taken - most : 0;
    struct stats_ledger_row *row = &rows[written++];

    *row = (struct stats_ledger_row){
        .stage = LEDGER_CAPTURE, .unit = "packets", .in = in, .out = decoded};
    stats_ledger_add(row, "count_reached", beyond);
    row->held = in > decoded + beyond ? in - decoded - beyond : 0;
    return written;
}
