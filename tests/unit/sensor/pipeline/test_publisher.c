/* The publisher between hand-made shards and sinks that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proto/codec.h"
#include "sensor/pipeline/loss_mark.h"
#include "sensor/pipeline/publisher.h"
#include "tests/unit/sensor/pipeline/fake_sink.h"

#define RECORDS 16 /* a batch */

struct bench {
    struct shard_outlet outlet;
    struct batch_pool *pool;
    struct publisher *publisher;
    struct fake_sink sinks[2];
    uint64_t stats_records;
    uint64_t lost; /* packets of each second */
    bool is_live;
};

static void fill_stats(void *context, struct stats_record *record)
{
    struct bench *bench = context;

    record->totals.lost_packets = bench->lost;
    bench->stats_records++;
}

static void bench_start(struct bench *bench, uint32_t sinks, enum sink_when_full second,
                        uint32_t queue)
{
    struct publisher_settings settings = {.identity = {{"s", 1}, {"b", 1}, 0},
                                          .outlets = &bench->outlet,
                                          .shards = 1,
                                          .sinks_count = sinks,
                                          .queue_batches = queue,
                                          .flush_ns = NS_PER_SEC / 5,
                                          .is_live = bench->is_live,
                                          .fill_stats = fill_stats,
                                          .context = bench};

    bench->pool = batch_pool_new(64, 65536, 64, NULL);
    bench->outlet.batches = ring_new(64);
    bench->outlet.epochs = ring_new(32);
    bench->outlet.epochs_free = ring_new(32);
    settings.sinks[0] = fake_sink_of(&bench->sinks[0], SINK_PUSHES_BACK);
    settings.sinks[1] = fake_sink_of(&bench->sinks[1], second);
    bench->publisher = publisher_new(&settings, NULL);
    assert_non_null(bench->publisher);
    assert_int_equal(publisher_start(bench->publisher, NULL), 0);
}

/* A batch of flows of 3 packets each; waits while the pool is empty. */
static void push_batch(struct bench *bench)
{
    struct record_batch *batch;

    while ((batch = batch_take(bench->pool)) == NULL) {
    }
    for (int i = 0; i < RECORDS; i++) {
        struct flow_record record = {.flow_id = 1, .event = FLOW_END, .forward.delta_packets = 3};
        uint8_t *out = batch_reserve(batch, 2048);

        assert_non_null(out);
        const size_t length = codec_encode_flow(&record, out, 2048);
        struct batch_entry *entry = batch_commit(batch, (uint32_t)length);

        entry->stream = RECORD_FLOWS;
        entry->event = FLOW_END;
        entry->packets = 3;
    }
    while (!ring_push(bench->outlet.batches, batch)) {
    }
    wake_up(publisher_wake(bench->publisher));
}

static void push_epoch(struct bench *bench, uint64_t second)
{
    struct epoch *epoch = epoch_new(NULL, NULL);

    epoch_reset(epoch, second);
    epoch->totals.packets = 5;
    assert_true(ring_push(bench->outlet.epochs, epoch));
    atomic_store(&bench->outlet.place, second + 1);
    wake_up(publisher_wake(bench->publisher));
}

static void bench_finish(struct bench *bench)
{
    atomic_store(&bench->outlet.is_finished, true);
    wake_up(publisher_wake(bench->publisher));
    publisher_join(bench->publisher);
}

static void bench_free(struct bench *bench)
{
    struct epoch *epoch;

    publisher_free(bench->publisher);
    while ((epoch = ring_pop(bench->outlet.epochs_free)) != NULL) {
        epoch_free(epoch);
    }
    ring_free(bench->outlet.batches);
    ring_free(bench->outlet.epochs);
    ring_free(bench->outlet.epochs_free);
    batch_pool_free(bench->pool);
}

static void wait_until(const struct counter *counter, uint64_t value)
{
    const uint64_t deadline = clock_monotonic_ns() + 10 * NS_PER_SEC;

    while (counter_get(counter) < value) {
        assert_true(clock_monotonic_ns() < deadline);
    }
}

/* In = out + lost + held in every row, whatever happened. */
static void assert_balanced(const struct publisher *publisher)
{
    struct stats_ledger_row rows[8];
    const uint32_t count = publisher_ledger(publisher, rows, 8);

    for (uint32_t i = 0; i < count; i++) {
        uint64_t lost = 0;

        for (uint32_t j = 0; j < rows[i].lost_count; j++) {
            lost += rows[i].lost[j].count;
        }
        assert_int_equal(rows[i].in, rows[i].out + lost + rows[i].held);
    }
}

static void every_sink_gets_every_record_with_contiguous_numbers(void **state)
{
    (void)state;
    struct bench bench = {0};

    bench_start(&bench, 2, SINK_DROPS, 64);
    for (int i = 0; i < 40; i++) {
        push_batch(&bench);
    }
    bench_finish(&bench);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(bench.sinks[i].records[RECORD_FLOWS], 40 * RECORDS);
        assert_int_equal(bench.sinks[i].packets, 40 * RECORDS * 3);
        assert_int_equal(bench.sinks[i].seq_faults, 0);
        assert_int_equal(bench.sinks[i].undecodable, 0);
    }
    assert_balanced(bench.publisher);
    assert_int_equal(publisher_owed(bench.publisher), 0);
    bench_free(&bench);
}

static void a_busy_sink_that_drops_loses_its_own_records_alone(void **state)
{
    (void)state;
    struct bench bench = {0};

    atomic_store(&bench.sinks[1].busy, 1);
    bench_start(&bench, 2, SINK_DROPS, 4);
    for (int i = 0; i < 40; i++) {
        push_batch(&bench);
    }
    const struct publisher_counts *counts = publisher_counts_of(bench.publisher);

    wait_until(&counts->sinks[0].records_out, 40 * RECORDS);
    atomic_store(&bench.sinks[1].busy, 0);
    bench_finish(&bench);
    assert_int_equal(bench.sinks[0].records[RECORD_FLOWS], 40 * RECORDS);
    assert_int_equal(bench.sinks[1].records[RECORD_FLOWS], 4 * RECORDS);
    assert_int_equal(counter_get(&counts->sinks[1].dropped_full), 36 * RECORDS);
    assert_balanced(bench.publisher);
    bench_free(&bench);
}

static void a_ready_sink_loses_nothing_however_short_its_queue(void **state)
{
    (void)state;
    struct bench bench = {0};

    bench_start(&bench, 2, SINK_DROPS, 1);
    for (uint64_t i = 0; i < 40; i++) {
        push_batch(&bench);
        if (i % 2 == 0 && i < 30) {
            push_epoch(&bench, 100 + i);
        }
    }
    bench_finish(&bench);
    assert_int_equal(bench.sinks[1].records[RECORD_FLOWS], 40 * RECORDS);
    assert_int_equal(bench.sinks[1].records[RECORD_STATS], 15);
    assert_int_equal(counter_get(&publisher_counts_of(bench.publisher)->sinks[1].dropped_full), 0);
    bench_free(&bench);
}

static void a_busy_sink_that_pushes_back_holds_the_shard(void **state)
{
    (void)state;
    struct bench bench = {0};

    atomic_store(&bench.sinks[0].busy, 1);
    bench_start(&bench, 1, SINK_DROPS, 4);
    for (int i = 0; i < 20; i++) {
        push_batch(&bench);
    }
    const struct publisher_counts *counts = publisher_counts_of(bench.publisher);

    wait_until(&counts->sinks[0].held, 4 * RECORDS);
    assert_int_equal(counter_get(&counts->sinks[0].dropped_full), 0);
    assert_true(ring_used(bench.outlet.batches) > 0);
    atomic_store(&bench.sinks[0].busy, 0);
    bench_finish(&bench);
    assert_int_equal(bench.sinks[0].records[RECORD_FLOWS], 20 * RECORDS);
    assert_balanced(bench.publisher);
    bench_free(&bench);
}

static void a_refusal_is_counted_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct bench bench = {.sinks[1].refuses = true};

    bench_start(&bench, 2, SINK_DROPS, 64);
    for (int i = 0; i < 10; i++) {
        push_batch(&bench);
    }
    bench_finish(&bench);
    assert_int_equal(bench.sinks[0].records[RECORD_FLOWS], 10 * RECORDS);
    assert_int_equal(counter_get(&publisher_counts_of(bench.publisher)->sinks[1].dropped_refused),
                     10 * RECORDS);
    assert_balanced(bench.publisher);
    bench_free(&bench);
}

static void a_sink_that_stays_busy_at_the_end_is_owed_what_it_missed(void **state)
{
    (void)state;
    struct bench bench = {0};

    bench_start(&bench, 2, SINK_DROPS, 64);
    atomic_store(&bench.sinks[1].busy, 1);
    for (int i = 0; i < 10; i++) {
        push_batch(&bench);
    }
    bench_finish(&bench);
    assert_int_equal(publisher_owed(bench.publisher) + bench.sinks[1].records[RECORD_FLOWS],
                     10 * RECORDS);
    assert_balanced(bench.publisher);
    bench_free(&bench);
}

static void each_second_gives_one_statistics_record_in_order(void **state)
{
    (void)state;
    struct bench bench = {0};

    bench_start(&bench, 1, SINK_DROPS, 64);
    for (uint64_t second = 100; second < 110; second++) {
        push_epoch(&bench, second);
    }
    push_epoch(&bench, 5000); /* a gap in time is no record */
    bench_finish(&bench);
    assert_int_equal(bench.stats_records, 11);
    assert_int_equal(bench.sinks[0].records[RECORD_STATS], 11);
    assert_int_equal(bench.sinks[0].seq_faults, 0);
    bench_free(&bench);
}

/* One flow that ended now and keeps room for what the publisher knows of it. */
static void push_flow(struct bench *bench, uint64_t start, uint64_t end)
{
    const struct flow_record record = {.flow_id = 1, .event = FLOW_END};
    struct record_batch *batch = batch_take(bench->pool);

    assert_non_null(batch);
    uint8_t *out = batch_reserve(batch, 2048);
    assert_non_null(out);
    struct batch_entry *entry =
        batch_commit_named(batch, (uint32_t)codec_encode_flow(&record, out, 1024), LOSS_MARK_ROOM);

    entry->stream = RECORD_FLOWS;
    entry->event = FLOW_END;
    entry->start_ns = start * NS_PER_SEC;
    entry->time_ns = end * NS_PER_SEC;
    assert_true(ring_push(bench->outlet.batches, batch));
    wake_up(publisher_wake(bench->publisher));
}

/* How many of three flows are marked when seven packets were lost in one second. */
static uint64_t marked_after_loss(bool is_live)
{
    struct bench bench = {.lost = 7, .is_live = is_live};

    bench_start(&bench, 1, SINK_DROPS, 64);
    const struct publisher_counts *counts = publisher_counts_of(bench.publisher);

    push_epoch(&bench, 100);
    wait_until(&counts->records[RECORD_STATS], 1);
    push_flow(&bench, 90, 101);
    push_flow(&bench, 103, 104);
    push_flow(&bench, 90, 99);
    wait_until(&counts->records[RECORD_FLOWS], 3);
    bench_finish(&bench);
    const uint64_t marked = counter_get(&counts->gap_flows);

    assert_int_equal(bench.sinks[0].undecodable, 0);
    bench_free(&bench);
    return marked;
}

static void flows_that_lived_when_packets_were_lost_are_marked(void **state)
{
    (void)state;
    assert_int_equal(marked_after_loss(true), 1);
}

static void what_a_capture_file_has_lost_marks_no_flow_since_nobody_knows_when(void **state)
{
    (void)state;
    assert_int_equal(marked_after_loss(false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sink_gets_every_record_with_contiguous_numbers),
        cmocka_unit_test(a_busy_sink_that_drops_loses_its_own_records_alone),
        cmocka_unit_test(a_ready_sink_loses_nothing_however_short_its_queue),
        cmocka_unit_test(a_busy_sink_that_pushes_back_holds_the_shard),
        cmocka_unit_test(a_refusal_is_counted_and_the_rest_goes_on),
        cmocka_unit_test(a_sink_that_stays_busy_at_the_end_is_owed_what_it_missed),
        cmocka_unit_test(each_second_gives_one_statistics_record_in_order),
        cmocka_unit_test(flows_that_lived_when_packets_were_lost_are_marked),
        cmocka_unit_test(what_a_capture_file_has_lost_marks_no_flow_since_nobody_knows_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
