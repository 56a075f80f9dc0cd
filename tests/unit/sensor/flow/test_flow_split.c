#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sensor/flow/flow_harness.h"

/* Random streams: the law of sums, and the same records from one table and from four. */

#define PACKETS 20000
#define TABLES  4

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return hash_mix(*state);
}

/* A packet of one of a few hundred flows; times rise, now and then by minutes. */
static void random_packet(uint64_t *random, uint64_t *now_ns, struct packet *packet)
{
    const uint64_t r = next_random(random);
    const uint64_t step = next_random(random);

    *now_ns += step % 400 == 0 ? step % (90 * SECOND) : step % (20 * MILLI);
    memset(packet, 0, sizeof(*packet));
    packet->ip_version = r % 10 == 0 ? 6 : 4;
    packet->source_ip[0] = packet->target_ip[0] = 10;
    packet->source_ip[3] = (uint8_t)(r >> 8 & 3);
    packet->target_ip[3] = (uint8_t)(r >> 10 & 3);
    packet->source_port = (uint16_t)(1000 + (r >> 12 & 7));
    packet->target_port = (uint16_t)(1000 + (r >> 15 & 7));
    packet->protocol = (r >> 18 & 1) != 0 ? IP_PROTOCOL_TCP : IP_PROTOCOL_UDP;
    packet->facts = PACKET_HAS_PORTS;
    packet->time_ns = *now_ns;
    packet->payload_bytes = (uint32_t)(r >> 20 & 1023);
    packet->ip_bytes = packet->payload_bytes + 40;
    packet->wire_bytes = packet->ip_bytes + 14;
    if (packet->protocol == IP_PROTOCOL_TCP) {
        packet->facts |= PACKET_HAS_TCP;
        packet->tcp_flags = (uint8_t)(r >> 32 & 0x17);
        packet->tcp_seq = (uint32_t)(r >> 40 & 0xfff);
        packet->tcp_ack = (uint32_t)(r >> 44 & 0xfff);
        packet->tcp_window = (uint16_t)(r >> 52 & 3);
    }
}

static int compare_records(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct flow_record));
}

/* Deals the stream of `seed` to `tables` tables; each is told the time every `advance_each`
 * packets. */
static void deal(struct harness *all, unsigned tables, uint64_t seed, unsigned advance_each,
                 uint64_t sums[2])
{
    const struct flow_settings settings = harness_settings();
    struct harness shards[TABLES];
    uint64_t random = seed, now_ns = 1000 * SECOND;

    memset(all, 0, sizeof(*all));
    for (unsigned i = 0; i < tables; i++) {
        harness_start(&shards[i], &settings);
    }
    sums[0] = sums[1] = 0;
    for (unsigned n = 0; n < PACKETS; n++) {
        struct packet packet;
        struct flow_key key;
        random_packet(&random, &now_ns, &packet);
        (void)flow_key_of(&packet, &key);
        const unsigned shard = (unsigned)(flow_key_hash(&key, settings.key) % tables);
        flow_table_add_batch(shards[shard].table, &packet, NULL, 1);
        sums[0] += 1;
        sums[1] += packet.wire_bytes;
        if (n % advance_each == 0) {
            (void)flow_table_advance(shards[shard].table, now_ns, 50);
        }
    }
    for (unsigned i = 0; i < tables; i++) {
        harness_finish(&shards[i], now_ns);
        all->records =
            realloc(all->records, (all->count + shards[i].count) * sizeof(struct flow_record));
        assert_non_null(all->records);
        memcpy(all->records + all->count, shards[i].records,
               shards[i].count * sizeof(struct flow_record));
        all->count += shards[i].count;
        const struct flow_table_statistics statistics = flow_table_statistics(shards[i].table);
        assert_int_equal(statistics.packets, statistics.reported_packets);
        assert_int_equal(flow_table_count(shards[i].table), 0);
        harness_stop(&shards[i]);
    }
    qsort(all->records, all->count, sizeof(struct flow_record), compare_records);
}

static void records_add_up_and_do_not_depend_on_tables_or_speed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct harness one, four;
        uint64_t sums[2], packets = 0, bytes = 0;
        deal(&one, 1, seed, 1, sums);
        deal(&four, TABLES, seed, 97, sums);
        for (uint32_t i = 0; i < one.count; i++) {
            packets += one.records[i].forward.delta_packets + one.records[i].reverse.delta_packets;
            bytes += one.records[i].forward.delta_bytes + one.records[i].reverse.delta_bytes;
        }
        assert_true(packets == sums[0]);
        assert_true(bytes == sums[1]);
        assert_true(one.count > 1000); /* not an empty test */
        assert_int_equal(one.count, four.count);
        assert_memory_equal(one.records, four.records, one.count * sizeof(struct flow_record));
        free(one.records);
        free(four.records);
    }
}

static void batches_give_what_single_packets_give(void **state)
{
    const struct flow_settings settings = harness_settings();
    struct harness single, batched;
    uint64_t random = 42, now_ns = SECOND;
    static struct packet packets[FLOW_BATCH_MAX];

    (void)state;
    harness_start(&single, &settings);
    harness_start(&batched, &settings);
    for (unsigned n = 0; n < 200; n++) {
        for (unsigned i = 0; i < FLOW_BATCH_MAX; i++) {
            random_packet(&random, &now_ns, &packets[i]);
            flow_table_add_batch(single.table, &packets[i], NULL, 1);
        }
        assert_int_equal(flow_table_add_batch(batched.table, packets, NULL, FLOW_BATCH_MAX),
                         FLOW_BATCH_MAX);
    }
    harness_finish(&single, 0);
    harness_finish(&batched, 0);
    assert_int_equal(single.count, batched.count);
    assert_memory_equal(single.records, batched.records, single.count * sizeof(struct flow_record));
    harness_stop(&single);
    harness_stop(&batched);
}

static void sums_hold_when_the_table_is_far_too_small(void **state)
{
    struct flow_settings settings = harness_settings();
    struct harness h;
    uint64_t random = 7, now_ns = SECOND, packets = 0;

    (void)state;
    settings.flows_max = 20;
    harness_start(&h, &settings);
    for (unsigned n = 0; n < PACKETS; n++) {
        struct packet packet;
        random_packet(&random, &now_ns, &packet);
        flow_table_add_batch(h.table, &packet, NULL, 1);
        assert_true(flow_table_count(h.table) <= 20);
    }
    harness_finish(&h, 0);
    for (uint32_t i = 0; i < h.count; i++) {
        packets += h.records[i].forward.delta_packets + h.records[i].reverse.delta_packets;
    }
    assert_int_equal(packets, PACKETS);
    assert_true(flow_table_statistics(h.table).flows_evicted > 1000);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_add_up_and_do_not_depend_on_tables_or_speed),
        cmocka_unit_test(batches_give_what_single_packets_give),
        cmocka_unit_test(sums_hold_when_the_table_is_far_too_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
