/* The loss ledger: each stage's in = out + lost + held.
 *
 * All counters have one writer and are read while packets move, so they are read downstream first:
 * what a counter behind has seen, the one before it has seen, too. What lies between two of them is
 * `held`: inside the stage, or on its way. It is a difference and no count of its own, so the rows
 * of one answer join without a gap (what a stage has put out is what the next took in), and packets
 * that vanish without a reason stay `held` for good, where a look at a sensor at rest finds them.
 */
#include <stdatomic.h>

#include "sensor/pipeline/pipeline_private.h"

static void hold_rest(struct stats_ledger_row *row)
{
    const uint64_t gone = row->out + stats_ledger_lost(row);

    row->held = row->in > gone ? row->in - gone : 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* DECODE, FLOW; `taken` = packets in the records that the publisher has taken over. */
static uint32_t packet_rows(const struct pipeline_totals *totals, uint64_t taken,
                            struct stats_ledger_row rows[2])
{
    struct stats_ledger_row *decode = &rows[0];
    struct stats_ledger_row *flow = &rows[1];
    /* A shard counts a batch's packets after the records that they ended. */
    const uint64_t in_flows = larger(totals->flow_packets, totals->reported_packets);

    *decode = (struct stats_ledger_row){
        .stage = LEDGER_DECODE, .unit = "packets", .in = totals->packets, .out = in_flows};
    stats_ledger_add(decode, "non_ip", totals->not_in_flow_by[DECODE_WHOLE]);
    for (unsigned reason = DECODE_WHOLE + 1; reason < DECODE_REASON_COUNT; reason++) {
        stats_ledger_add(decode, decode_reason_name((enum decode_reason)reason),
                         totals->not_in_flow_by[reason]);
    }
    stats_ledger_add(decode, "handover_full", totals->handover_dropped);
    hold_rest(decode);
    *flow = (struct stats_ledger_row){
        .stage = LEDGER_FLOW, .unit = "packets", .in = in_flows, .out = taken};
    stats_ledger_add(flow, "no_batch", totals->lost_packets);
    hold_rest(flow);
    return 2;
}

uint32_t pipeline_ledger(struct pipeline *pipeline, struct stats_ledger_row *rows,
                         uint32_t rows_max)
{
    struct stats_ledger_row after[STATS_ROWS_MAX];
    struct pipeline_totals totals;
    uint32_t written = 0;

    const uint32_t after_count = publisher_ledger(pipeline->publisher, after, STATS_ROWS_MAX);

    atomic_thread_fence(memory_order_acquire);
    pipeline_totals_read(pipeline, &totals);
    atomic_thread_fence(memory_order_acquire);
    written = pipeline_input_ledger(pipeline, totals.packets, rows, rows_max);
    if (written + 2 > rows_max || after_count == 0) {
        return written;
    }
    written += packet_rows(&totals, after[0].packets_in, rows + written);
    /* Records that found no batch at the shard never came to be numbered. */
    after[0].in += totals.lost_records;
    after[0].lost[0].count += totals.lost_records;
    for (uint32_t i = 0; i < after_count && written < rows_max; i++) {
        rows[written++] = after[i];
    }
    return written;
}
