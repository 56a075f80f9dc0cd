/* Loss where a running sensor can hardly be made to lose: a shard without a free batch, a queue
 * that is full, a peer that does not confirm. The sums add up to the packet and to the record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proto/codec.h"
#include "sensor/pipeline/pipeline.h"
#include "sensor/pipeline/publisher.h"
#include "sensor/pipeline/shard.h"
#include "tests/support/packet_builder.h"
#include "tests/unit/sensor/pipeline/fake_sink.h"

#define BATCHES  8
#define FLOWS    20000
#define RECORDS  16 /* a batch */
#define START_NS (UINT64_C(1700000000) * NS_PER_SEC)

/* ---- FLOW: no batch ---- */

/* Two seconds: a shard waits where it has no room for another one. */
static void feed(struct shard *shard)
{
    uint8_t buffer[256];
    struct packet_builder b;

    build_start(&b, buffer, sizeof(buffer));
    for (uint32_t i = 0; i < FLOWS; i++) {
        char client[24];

        (void)snprintf(client, sizeof(client), "10.%u.%u.1", i / 250, i % 250);
        const struct frame frame = build_udp_frame(&b, client, 4000, "192.0.2.9", 9, "abc", 3,
                                                   START_NS + (uint64_t)i * NS_PER_MS / 10);

        shard_frames(shard, &frame, 1, 0);
    }
}

static void a_shard_without_a_free_batch_loses_whole_records_and_counts_their_packets(void **state)
{
    (void)state;
    struct error err = {0};
    struct wake wake = {0};
    struct counter index = {0};
    struct shard_outlet outlet = {
        .batches = ring_new(BATCHES), .epochs = ring_new(32), .epochs_free = ring_new(32)};
    const struct shard_settings settings = {.shards_count = 1,
                                            .flow = {.flows_max = 65536,
                                                     .idle_timeout_ns = NS_PER_SEC / 10,
                                                     .active_timeout_ns = NS_PER_SEC,
                                                     .first_update_ns = NS_PER_SEC,
                                                     .key = hash_key_random()},
                                            .inspect = {.flows_max = 1024},
                                            .outlet = &outlet,
                                            .publisher_wake = &wake,
                                            .sensor_id = {"s", 1},
                                            .boot_id = {"b", 1},
                                            .batches = BATCHES,
                                            .packet_index = &index};
    struct shard *shard = shard_new(&settings, &err);
    uint64_t handed_over = 0;
    struct record_batch *batch;

    if (shard == NULL) {
        fail_msg("%s", err.message);
    }
    feed(shard); /* nobody takes a batch away */
    shard_finish(shard, 0, FLOW_DETAIL_CAPTURE_END);
    while ((batch = ring_pop(outlet.batches)) != NULL) {
        for (uint32_t i = 0; i < batch->count; i++) {
            handed_over += batch->entries[i].packets;
        }
        batch_unref(batch);
    }
    const struct shard_counts *counts = shard_counts_of(shard);

    assert_true(counter_get(&counts->lost_packets) > 0);
    assert_int_equal(counter_get(&counts->lost_records), counter_get(&counts->lost_packets));
    assert_int_equal(counter_get(&counts->flow_packets), FLOWS);
    assert_int_equal(counter_get(&counts->reported_packets), FLOWS);
    assert_int_equal(handed_over + counter_get(&counts->lost_packets), FLOWS);
    shard_free(shard);
    for (struct epoch *epoch; (epoch = ring_pop(outlet.epochs)) != NULL;) {
        epoch_free(epoch);
    }
    for (struct epoch *epoch; (epoch = ring_pop(outlet.epochs_free)) != NULL;) {
        epoch_free(epoch);
    }
    ring_free(outlet.batches);
    ring_free(outlet.epochs);
    ring_free(outlet.epochs_free);
}

/* ---- SINK, SPOOL, WIRE ---- */

struct bench {
    struct shard_outlet outlet;
    struct batch_pool *pool;
    struct publisher *publisher;
    struct fake_sink sinks[2];
    uint32_t queue_batches; /* of each sink; 0: 4 */
    atomic_uint stats_made; /* statistics that the publisher has made */
};

static void count_stats(void *context, const struct stats_record *record)
{
    struct bench *bench = context;

    (void)record;
    atomic_fetch_add(&bench->stats_made, 1);
}

static void fill_stats(void *context, struct stats_record *record)
{
    (void)context;
    (void)record;
}

/* The figures of a peer that has confirmed some, and of a spool that gave some up. */
static struct stats_sink told;

static void tell(void *sink, struct stats_sink *row)
{
    (void)sink;
    *row = told;
}

static void bench_start(struct bench *bench, struct sink_ops *durable)
{
    struct publisher_settings settings = {.identity = {{"s", 1}, {"b", 1}, 0},
                                          .outlets = &bench->outlet,
                                          .shards = 1,
                                          .sinks_count = 2,
                                          .queue_batches =
                                              bench->queue_batches > 0 ? bench->queue_batches : 4,
                                          .flush_ns = NS_PER_SEC / 20,
                                          .fill_stats = fill_stats,
                                          .on_stats = count_stats,
                                          .context = bench};

    bench->pool = batch_pool_new(64, 65536, 64, NULL);
    bench->outlet.batches = ring_new(64);
    bench->outlet.epochs = ring_new(32);
    bench->outlet.epochs_free = ring_new(32);
    settings.sinks[0] = fake_sink_of(&bench->sinks[0], SINK_DROPS);
    settings.sinks[1] = fake_sink_of(&bench->sinks[1], SINK_DROPS);
    if (durable != NULL) {
        *durable = *settings.sinks[1].ops;
        durable->is_durable = true;
        durable->statistics = tell;
        settings.sinks[1].ops = durable;
    }
    bench->publisher = publisher_new(&settings, NULL);
    assert_non_null(bench->publisher);
    assert_int_equal(publisher_start(bench->publisher, NULL), 0);
}

static void push_batch(struct bench *bench)
{
    struct record_batch *batch;

    while ((batch = batch_take(bench->pool)) == NULL) {
    }
    for (int i = 0; i < RECORDS; i++) {
        const struct flow_record record = {
            .flow_id = 1, .event = FLOW_END, .forward.delta_packets = 3};
        uint8_t *out = batch_reserve(batch, 2048);

        assert_non_null(out);
        struct batch_entry *entry =
            batch_commit(batch, (uint32_t)codec_encode_flow(&record, out, 2048));

        entry->stream = RECORD_FLOWS;
        entry->event = FLOW_END;
        entry->packets = 3;
    }
    while (!ring_push(bench->outlet.batches, batch)) {
    }
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
    publisher_free(bench->publisher);
    ring_free(bench->outlet.batches);
    ring_free(bench->outlet.epochs);
    ring_free(bench->outlet.epochs_free);
    batch_pool_free(bench->pool);
}

static const struct stats_ledger_row *row_of(const struct stats_ledger_row *rows, uint32_t count,
                                             enum ledger_stage stage, uint32_t nth)
{
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].stage == stage && nth-- == 0) {
            return &rows[i];
        }
    }
    fail_msg("no row of stage %d", (int)stage);
    return NULL;
}

static void assert_law(const struct stats_ledger_row *row)
{
    assert_int_equal(row->in, row->out + stats_ledger_lost(row) + row->held);
}

static void a_sink_that_is_full_loses_batches_and_packets_for_itself_alone(void **state)
{
    (void)state;
    struct bench bench = {0};
    struct stats_ledger_row rows[16];

    atomic_store(&bench.sinks[1].busy, 1);
    bench_start(&bench, NULL);
    for (int i = 0; i < 40; i++) {
        push_batch(&bench);
    }
    bench_finish(&bench); /* what its queue still held is lost at the end, too */
    const uint32_t count = publisher_ledger(bench.publisher, rows, 16);
    const struct stats_ledger_row *publish = row_of(rows, count, LEDGER_PUBLISH, 0);
    const struct stats_ledger_row *good = row_of(rows, count, LEDGER_SINK, 0);
    const struct stats_ledger_row *stuck = row_of(rows, count, LEDGER_SINK, 1);

    assert_law(publish);
    assert_law(good);
    assert_law(stuck);
    assert_int_equal(publish->out, 40 * RECORDS);
    assert_int_equal(publish->packets_out, 40 * RECORDS * 3);
    assert_int_equal(good->in, publish->out);
    assert_int_equal(good->packets_out, publish->packets_out);
    assert_int_equal(stuck->in, publish->out);
    assert_int_equal(stuck->packets_in, publish->packets_out);
    assert_int_equal(stuck->out, 0);
    assert_string_equal(stuck->lost[0].reason, "sink_full");
    assert_int_equal(stuck->lost[0].count, 40 * RECORDS);
    bench_free(&bench);
}

/* ---- PUBLISH: no batch for what the publisher itself makes ---- */

static void push_second(struct bench *bench, uint64_t second)
{
    struct epoch *epoch = ring_pop(bench->outlet.epochs_free);

    if (epoch == NULL) {
        epoch = epoch_new(NULL, NULL);
    }
    assert_non_null(epoch);
    epoch_reset(epoch, second);
    epoch->totals.packets = 1;
    while (!ring_push(bench->outlet.epochs, epoch)) {
        wake_up(publisher_wake(bench->publisher));
    }
    atomic_store(&bench->outlet.place, second + 1);
    wake_up(publisher_wake(bench->publisher));
}

/* A sink that is stuck holds, in a long queue, all batches that the publisher has for what it makes
 * itself; the other sink takes what it gets. */
static void a_publisher_without_a_batch_loses_its_own_records_and_counts_each(void **state)
{
    enum { SECONDS = 300, LATER = 5, FLOW_BATCHES = 8 };
    (void)state;
    struct bench bench = {.queue_batches = 256};
    struct stats_ledger_row rows[16];

    atomic_store(&bench.sinks[0].busy, 1);
    bench_start(&bench, NULL);
    for (int i = 0; i < FLOW_BATCHES; i++) {
        push_batch(&bench);
    }
    for (unsigned i = 0; i < SECONDS + LATER; i++) {
        if (i == SECONDS) {
            atomic_store(&bench.sinks[0].busy, 0);
            (void)usleep(50000); /* so that its queue empties before the next ones */
        }
        push_second(&bench, 1000 + i);
        while (atomic_load(&bench.stats_made) <= i) {
            wake_up(publisher_wake(bench.publisher));
            (void)usleep(100);
        }
    }
    bench_finish(&bench);
    const uint32_t count = publisher_ledger(bench.publisher, rows, 16);
    const struct stats_ledger_row *publish = row_of(rows, count, LEDGER_PUBLISH, 0);
    const uint64_t taken = bench.sinks[0].records[RECORD_STATS];

    assert_law(publish);
    assert_int_equal(publish->held, 0);
    assert_string_equal(publish->lost[0].reason, "no_batch");
    assert_true(publish->lost[0].count > 0);
    assert_true(taken >= LATER); /* it goes on when there is room */
    assert_int_equal(taken + publish->lost[0].count, SECONDS + LATER);
    assert_int_equal(publish->in, FLOW_BATCHES * RECORDS + SECONDS + LATER);
    assert_int_equal(publish->out, FLOW_BATCHES * RECORDS + taken);
    for (uint32_t i = 0; i < 2; i++) { /* no sink has lost anything of what was numbered */
        const struct stats_ledger_row *sink = row_of(rows, count, LEDGER_SINK, i);

        assert_law(sink);
        assert_int_equal(sink->out, publish->out);
        assert_int_equal(bench.sinks[i].records[RECORD_FLOWS], FLOW_BATCHES * RECORDS);
        assert_int_equal(bench.sinks[i].records[RECORD_STATS], taken);
        assert_int_equal(bench.sinks[i].seq_faults, 0); /* numbers of what is there have no holes */
    }
    for (struct epoch *epoch; (epoch = ring_pop(bench.outlet.epochs_free)) != NULL;) {
        epoch_free(epoch);
    }
    bench_free(&bench);
}

static void a_durable_sink_tells_what_was_given_up_before_and_after_it_was_sent(void **state)
{
    (void)state;
    struct bench bench = {0};
    struct sink_ops durable;
    struct stats_ledger_row rows[16];
    /* Of 100 records 60 were sent and 40 confirmed; 5 of the others are under way. Given up are 15
     * that were under way, and 10 that had never been sent; 30 wait to be sent. */
    told = (struct stats_sink){.sent = 60, .acked = 40, .failed = 25, .unacked = 35};
    bench_start(&bench, &durable);
    bench_finish(&bench);
    const uint32_t count = publisher_ledger(bench.publisher, rows, 16);
    const struct stats_ledger_row *spool = row_of(rows, count, LEDGER_SPOOL, 0);
    const struct stats_ledger_row *wire = row_of(rows, count, LEDGER_WIRE, 0);

    assert_law(spool);
    assert_law(wire);
    assert_int_equal(spool->in, 100);
    assert_int_equal(spool->out, 60);
    assert_int_equal(wire->in, 60);
    assert_int_equal(wire->out, 40);
    assert_int_equal(stats_ledger_lost(spool) + stats_ledger_lost(wire), 25);
    assert_int_equal(spool->held + wire->held, 35);
    bench_free(&bench);
}

/* All that waits was sent, and more than waits is not confirmed: the rest was lost on the way. */
static void what_was_sent_and_given_up_is_lost_on_the_wire(void **state)
{
    (void)state;
    struct bench bench = {0};
    struct sink_ops durable;
    struct stats_ledger_row rows[16];

    told = (struct stats_sink){.sent = 60, .acked = 40, .failed = 15, .unacked = 5};
    bench_start(&bench, &durable);
    bench_finish(&bench);
    const uint32_t count = publisher_ledger(bench.publisher, rows, 16);
    const struct stats_ledger_row *spool = row_of(rows, count, LEDGER_SPOOL, 0);
    const struct stats_ledger_row *wire = row_of(rows, count, LEDGER_WIRE, 0);

    assert_law(spool);
    assert_law(wire);
    assert_int_equal(stats_ledger_lost(spool), 0);
    assert_int_equal(stats_ledger_lost(wire), 15);
    assert_int_equal(wire->held, 5);
    bench_free(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_without_a_free_batch_loses_whole_records_and_counts_their_packets),
        cmocka_unit_test(a_sink_that_is_full_loses_batches_and_packets_for_itself_alone),
        cmocka_unit_test(a_publisher_without_a_batch_loses_its_own_records_and_counts_each),
        cmocka_unit_test(a_durable_sink_tells_what_was_given_up_before_and_after_it_was_sent),
        cmocka_unit_test(what_was_sent_and_given_up_is_lost_on_the_wire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
