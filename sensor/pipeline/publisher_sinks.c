/* The publisher's queues, one for each sink, and their rows of the ledger. */
#include <stdatomic.h>
#include <stdio.h>

#include "base/prefetch.h"
#include "sensor/pipeline/publisher_private.h"

static bool pushes_back(const struct publisher *publisher, uint32_t sink)
{
    return !publisher->is_impatient &&
           (publisher->settings.is_lossless ||
            publisher->settings.sinks[sink].ops->when_full == SINK_PUSHES_BACK);
}

void publisher_lose_patience(struct publisher *publisher, uint64_t now_ns)
{
    const atomic_bool *stop = publisher->settings.stop;

    if (stop == NULL || !atomic_load_explicit(stop, memory_order_relaxed)) {
        return;
    }
    if (publisher->patience_end_ns == 0) {
        publisher->patience_end_ns = now_ns + publisher->settings.flush_ns;
    }
    publisher->is_impatient = now_ns >= publisher->patience_end_ns;
}

static void batch_packets(const struct record_batch *batch, uint64_t *records, uint64_t *packets)
{
    *records = 0;
    *packets = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        *records += batch->entries[i].stream != RECORD_STREAM_NONE;
        *packets += batch->entries[i].packets;
    }
}

enum leave { LEAVE_TAKEN, LEAVE_REFUSED, LEAVE_FULL };

/* The head of a sink's queue leaves it, one way or the other. */
static void queue_leave(struct publisher *publisher, uint32_t sink, enum leave how)
{
    struct sink_queue *queue = &publisher->queues[sink];
    struct publisher_sink_counts *counts = &publisher->counts.sinks[sink];
    struct record_batch *batch = queue->slots[queue->head];
    uint64_t records;
    uint64_t packets;

    batch_packets(batch, &records, &packets);
    switch (how) {
    case LEAVE_TAKEN:
        counter_add(&counts->records_out, records);
        counter_add(&counts->packets_out, packets);
        break;
    case LEAVE_REFUSED:
        counter_add(&counts->dropped_refused, records);
        break;
    case LEAVE_FULL:
        counter_add(&counts->dropped_full, records);
        break;
    }
    counter_set(&counts->held, counter_get(&counts->held) - records);
    queue->head = (queue->head + 1) % queue->capacity;
    queue->count--;
    batch_unref(batch);
}

/* Offers what waits for one sink; true when anything moved. */
static bool drain_queue(struct publisher *publisher, uint32_t sink)
{
    const struct sink *to = &publisher->settings.sinks[sink];
    struct sink_queue *queue = &publisher->queues[sink];
    bool moved = false;

    while (queue->count > 0) {
        const enum sink_verdict verdict = to->ops->offer(to->state, queue->slots[queue->head]);

        if (verdict == SINK_BUSY) {
            break;
        }
        queue_leave(publisher, sink, verdict == SINK_TAKEN ? LEAVE_TAKEN : LEAVE_REFUSED);
        moved = true;
    }
    return moved;
}

bool publisher_drain(struct publisher *publisher, uint64_t now_ns)
{
    bool moved = false;

    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        const struct sink *sink = &publisher->settings.sinks[i];
        struct sink_queue *queue = &publisher->queues[i];

        moved |= drain_queue(publisher, i);
        if (sink->ops->tick != NULL && now_ns >= queue->next_tick_ns) {
            sink->ops->tick(sink->state);
            queue->next_tick_ns = now_ns + PUBLISHER_SLEEP_NS;
        }
    }
    return moved;
}

bool publisher_has_room(const struct publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        if (pushes_back(publisher, i) &&
            publisher->queues[i].count == publisher->queues[i].capacity) {
            return false;
        }
    }
    return true;
}

static void queue_batch(struct publisher *publisher, uint32_t sink, struct record_batch *batch,
                        uint64_t records, uint64_t packets)
{
    struct sink_queue *queue = &publisher->queues[sink];
    struct publisher_sink_counts *counts = &publisher->counts.sinks[sink];

    /* Only a sink that is busy now loses anything. */
    if (queue->count == queue->capacity && !drain_queue(publisher, sink)) {
        queue_leave(publisher, sink, LEAVE_FULL);
    }
    batch_ref(batch);
    queue->slots[(queue->head + queue->count) % queue->capacity] = batch;
    queue->count++;
    counter_add(&counts->records_in, records);
    counter_add(&counts->packets_in, packets);
    counter_add(&counts->held, records);
}

/* ---- numbering ---- */

static void print_line(const struct publisher *publisher, const struct record_batch *batch,
                       const struct batch_entry *entry)
{
    if (publisher->settings.on_line != NULL) {
        publisher->settings.on_line(publisher->settings.context,
                                    (const char *)batch->bytes + entry->offset, entry->length);
    }
}

static void number_entry(struct publisher *publisher, struct record_batch *batch,
                         struct batch_entry *entry)
{
    struct counter *records = &publisher->counts.records[entry->stream];
    const size_t room = batch->capacity - entry->offset - entry->length;

    counter_add(records, 1);
    entry->seq = counter_get(records);
    entry->full_length = entry->length + (uint32_t)codec_append_number(
                                             &publisher->identity, entry->seq,
                                             batch->bytes + entry->offset + entry->length, room);
}

/* Sums of a batch. */
struct batch_sums {
    uint64_t records, packets;
    uint64_t flow_packets, flow_bytes; /* of flow records */
};

static ALWAYS_INLINE void count_entry(struct publisher_counts *counts,
                                      const struct batch_entry *entry, struct batch_sums *sums)
{
    sums->records++;
    sums->packets += entry->packets;
    if (entry->stream == RECORD_FLOWS) {
        sums->flow_packets += entry->packets;
        sums->flow_bytes += entry->wire_bytes;
        counter_add(&counts->flow_events[entry->event & 3], 1);
        counter_add(&counts->flow_ends[entry->event == FLOW_END ? entry->end_reason & 7 : 0], 1);
    }
}

#define NUMBER_AHEAD 6 /* records whose ends are on their way from the shard's processor */

void publisher_publish(struct publisher *publisher, struct record_batch *batch)
{
    struct publisher_counts *counts = &publisher->counts;
    struct batch_sums sums = {0};

    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_entry *entry = &batch->entries[i];

        if (i + NUMBER_AHEAD < batch->count) {
            const struct batch_entry *later = &batch->entries[i + NUMBER_AHEAD];
            prefetch_to_write(batch->bytes + later->offset + later->length);
        }
        if (entry->stream == RECORD_STREAM_NONE) {
            print_line(publisher, batch, entry);
        } else {
            number_entry(publisher, batch, entry);
            count_entry(counts, entry, &sums);
        }
    }
    counter_add(&counts->delta_packets, sums.flow_packets);
    counter_add(&counts->delta_bytes, sums.flow_bytes);
    counter_add(&counts->records_in, sums.records);
    counter_add(&counts->packets_in, sums.packets);
    for (uint32_t i = 0; sums.records > 0 && i < publisher->settings.sinks_count; i++) {
        queue_batch(publisher, i, batch, sums.records, sums.packets);
    }
    counter_add(&counts->records_out, sums.records);
    counter_add(&counts->packets_out, sums.packets);
    batch_unref(batch);
}
static bool queues_empty(const struct publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        if (publisher->queues[i].count > 0) {
            return false;
        }
    }
    return true;
}

void publisher_flush(struct publisher *publisher)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + publisher->settings.flush_ns;

    while (!queues_empty(publisher) && clock_monotonic_ns() < deadline_ns) {
        if (!publisher_drain(publisher, clock_monotonic_ns())) {
            wake_sleep(&publisher->wake, NS_PER_MS);
        }
    }
    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        const struct sink *sink = &publisher->settings.sinks[i];

        publisher->owed += counter_get(&publisher->counts.sinks[i].held);
        while (publisher->queues[i].count > 0) {
            queue_leave(publisher, i, LEAVE_FULL);
        }
        if (sink->ops->flush != NULL) {
            publisher->owed += sink->ops->flush(sink->state, deadline_ns);
        }
    }
}

/* ---- rows ---- */

/* SPOOL and WIRE of a durable sink. What was sent and is neither confirmed nor waiting for that any
 * more was dropped on the way; what else was given up had not been sent. */
static uint32_t durable_ledger(const struct sink *sink, struct stats_ledger_row rows[2])
{
    struct stats_sink row = {0};

    sink->ops->statistics(sink->state, &row);
    const uint64_t unconfirmed = row.sent > row.acked ? row.sent - row.acked : 0;
    const uint64_t waiting = row.unacked < unconfirmed ? row.unacked : unconfirmed;
    const uint64_t given_up =
        row.failed < unconfirmed - waiting ? row.failed : unconfirmed - waiting;

    rows[0] = (struct stats_ledger_row){.stage = LEDGER_SPOOL,
                                        .unit = "records",
                                        .in = row.acked + row.failed + row.unacked,
                                        .out = row.sent};
    stats_ledger_add(&rows[0], "given_up_unsent", row.failed - given_up);
    rows[1] = (struct stats_ledger_row){
        .stage = LEDGER_WIRE, .unit = "records", .in = row.sent, .out = row.acked};
    stats_ledger_add(&rows[1], "given_up_unconfirmed", given_up);
    for (int i = 0; i < 2; i++) {
        const uint64_t gone = rows[i].out + rows[i].lost[0].count;

        rows[i].held = rows[i].in > gone ? rows[i].in - gone : 0;
        (void)snprintf(rows[i].name, sizeof(rows[i].name), "%s", sink->ops->name);
    }
    return 2;
}

/* The sink's own row, and those of what it keeps behind it. */
static uint32_t sink_ledger(const struct publisher *publisher, uint32_t sink,
                            struct stats_ledger_row *rows, uint32_t rows_max)
{
    const struct sink *to = &publisher->settings.sinks[sink];
    const struct publisher_sink_counts *counts = &publisher->counts.sinks[sink];
    struct stats_ledger_row *row = &rows[0];
    const uint32_t behind = to->ops->is_durable && rows_max >= 3 ? durable_ledger(to, rows + 1) : 0;
    struct stats_sink own = {0};

    /* Without a row of its own behind this one: what the sink took and could not write. */
    if (!to->ops->is_durable && to->ops->statistics != NULL) {
        to->ops->statistics(to->state, &own);
    }
    atomic_thread_fence(memory_order_acquire);
    const uint64_t out = counter_get(&counts->records_out);
    const uint64_t failed = own.failed < out ? own.failed : out;

    *row = (struct stats_ledger_row){.stage = LEDGER_SINK,
                                     .unit = "records",
                                     .out = out - failed,
                                     .packets_out = counter_get(&counts->packets_out)};
    (void)snprintf(row->name, sizeof(row->name), "%s", to->ops->name);
    stats_ledger_add(row, "sink_full", counter_get(&counts->dropped_full));
    stats_ledger_add(row, "refused", counter_get(&counts->dropped_refused));
    atomic_thread_fence(memory_order_acquire);
    row->in = counter_get(&counts->records_in);
    row->packets_in = counter_get(&counts->packets_in);
    row->held = row->in - row->out - row->lost[0].count - row->lost[1].count - failed;
    stats_ledger_add(row, "write_failed", failed);
    return 1 + behind;
}

uint32_t publisher_ledger(const struct publisher *publisher, struct stats_ledger_row *rows,
                          uint32_t rows_max)
{
    const struct publisher_counts *counts = &publisher->counts;
    uint32_t written = 0;

    if (rows_max == 0) {
        return 0;
    }
    struct stats_ledger_row *const own = &rows[written++];

    *own = (struct stats_ledger_row){.stage = LEDGER_PUBLISH, .unit = "records"};
    for (uint32_t i = 0; i < publisher->settings.sinks_count && written < rows_max; i++) {
        written += sink_ledger(publisher, i, &rows[written], rows_max - written);
    }
    /* Downstream first, here and above: what is counted behind was counted before. */
    const uint64_t lost = counter_get(&counts->lost_no_batch);

    own->out = counter_get(&counts->records_out);
    own->packets_out = counter_get(&counts->packets_out);
    atomic_thread_fence(memory_order_acquire);
    own->in = counter_get(&counts->records_in) + lost;
    own->packets_in = counter_get(&counts->packets_in);
    own->held = own->in - own->out - lost;
    stats_ledger_add(own, "no_batch", lost);
    return written;
}

uint32_t publisher_sink_rows(const struct publisher *publisher, struct stats_sink *rows,
                             uint32_t rows_max)
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < publisher->settings.sinks_count && written < rows_max; i++) {
        const struct sink *sink = &publisher->settings.sinks[i];
        struct stats_sink *row = &rows[written++];

        *row = (struct stats_sink){0};
        (void)snprintf(row->name, sizeof(row->name), "%s", sink->ops->name);
        if (sink->ops->statistics != NULL) {
            sink->ops->statistics(sink->state, row);
        }
    }
    return written;
}
