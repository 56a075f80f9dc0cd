/* What is packed in an entry of the flow table, at the limits of its fields: sums that are carried,
 * hop limits that differ, links without number, marks of a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "sensor/flow/flow_tcp_internal.h"
#include "tests/unit/sensor/flow/flow_harness.h"

static void take_delta(void *context, struct flow *flow, const struct flow_tick_delta *delta)
{
    (void)flow;
    *(struct flow_tick_delta *)context = *delta;
}

/* Sizes around each field's half and whole, and beyond any of them. */
static void sums_are_exact_whatever_is_carried(void **state)
{
    static const uint32_t sizes[] = {1,     60,    1500,   9000,   32767,  32768,      65535,
                                     65536, 65537, 131071, 131072, 131073, 0x3fffffff, 0x3ffffffe};
    struct harness h;
    struct flow_settings settings = harness_settings();
    uint64_t want[2][4] = {{0}}, state_of_random = 1;

    (void)state;
    settings.idle_timeout_ns = settings.first_update_ns = settings.active_timeout_ns = 0;
    harness_start(&h, &settings);
    for (uint32_t i = 0; i < 30000; i++) {
        struct flow_tick_delta delta = {0};
        uint64_t tick[2][2] = {{0}};

        for (unsigned j = 0; j < 1 + i % 3 * 700; j++) {
            state_of_random = state_of_random * UINT64_C(6364136223846793005) + 1;
            const uint64_t r = state_of_random >> 33;
            const int d = (int)(r & 1);
            const uint32_t limit = r % 64 == 0 ? 14 : 5;
            const uint32_t wire = sizes[(r >> 8) % limit];
            const uint32_t ip = sizes[(r >> 12) % limit], payload = sizes[(r >> 16) % limit];

            harness_sized(&h, SECOND + i, d, wire, ip, payload, 64);
            want[d][FLOW_SUM_PACKETS]++;
            want[d][FLOW_SUM_BYTES] += wire;
            want[d][FLOW_SUM_IP] += ip;
            want[d][FLOW_SUM_PAYLOAD] += payload;
            tick[d][0]++;
            tick[d][1] += wire;
        }
        const struct flow *flow = harness_flow(h.table);
        for (int d = 0; d < 2; d++) {
            for (unsigned j = 0; j < 4; j++) {
                assert_true(flow_total(h.table, flow, d, (enum flow_sum)j) == want[d][j]);
            }
            const uint64_t packets = want[d][FLOW_SUM_PACKETS], payload = want[d][FLOW_SUM_PAYLOAD];
            assert_true(packets < FLOW_PACKETS_EXACT
                            ? flow_packets_of(flow, d) == packets
                            : flow_packets_of(flow, d) >= FLOW_PACKETS_EXACT);
            assert_true(payload < FLOW_PAYLOAD_EXACT
                            ? flow_payload_of(flow, d) == payload
                            : flow_payload_of(flow, d) >= FLOW_PAYLOAD_EXACT);
        }
        flow_table_tick(h.table, true, take_delta, &delta);
        assert_true(delta.packets == tick[0][0] + tick[1][0]);
        assert_true(delta.reverse_packets == tick[1][0]);
        assert_true(delta.bytes[0] == tick[0][1] && delta.bytes[1] == tick[1][1]);
        if (i > 40) {
            i += 997;
        }
    }
    harness_finish(&h, 0);
    uint64_t told[2] = {0};
    for (uint32_t i = 0; i < h.count; i++) { /* a record is cut before its delta leaves 32 bits */
        assert_true(h.records[i].forward.delta_bytes <= UINT32_MAX);
        told[0] += h.records[i].forward.delta_bytes;
        told[1] += h.records[i].reverse.delta_bytes;
    }
    const struct flow_record *last = harness_last(&h);
    assert_true(last->forward.total_bytes == want[0][FLOW_SUM_BYTES]);
    assert_true(last->reverse.total_ip_bytes == want[1][FLOW_SUM_IP]);
    assert_true(last->forward.total_packets == want[0][FLOW_SUM_PACKETS]);
    assert_true(told[0] == want[0][FLOW_SUM_BYTES] && told[1] == want[1][FLOW_SUM_BYTES]);
    harness_stop(&h);
}

/* A capture may tell a length of nearly 4 GiB: the delta that it fills takes nothing more. */
static void deltas_of_huge_lengths_stay_within_32_bits(void **state)
{
    static const uint32_t sizes[] = {1,          60,         100,        65536,      0x3fffffff,
                                     0x40000000, 0x7fffffff, 0x80000000, 0xffffff00, 0xffffffff};
    const size_t count = sizeof(sizes) / sizeof(*sizes);
    uint64_t state_of_random = 1;

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        struct harness h;
        const struct flow_settings settings = harness_settings();
        uint64_t want[2][3] = {{0}}, told[2][3] = {{0}};

        harness_start(&h, &settings);
        for (unsigned i = 0; i < 40; i++) {
            state_of_random = state_of_random * UINT64_C(6364136223846793005) + 1;
            const uint64_t r = state_of_random >> 33;
            const int d = i == 0 ? 0 : (int)(r & 1); /* the client is the first */
            const uint32_t wire = sizes[(r >> 8) % count], ip = sizes[(r >> 13) % count];
            const uint32_t payload = sizes[(r >> 18) % count];

            harness_sized(&h, SECOND + (i ^ round % 2), d, wire, ip, payload, 64);
            want[d][0] += wire;
            want[d][1] += ip;
            want[d][2] += payload;
        }
        harness_finish(&h, 0);
        for (uint32_t i = 0; i < h.count; i++) {
            for (int d = 0; d < 2; d++) {
                const struct flow_counters *c =
                    d == 0 ? &h.records[i].forward : &h.records[i].reverse;
                told[d][0] += c->delta_bytes;
                told[d][1] += c->delta_ip_bytes;
                told[d][2] += c->delta_payload_bytes;
            }
        }
        assert_memory_equal(told, want, sizeof(told));
        harness_stop(&h);
    }
}

static void hop_limits_are_told_from_the_lowest_to_the_highest(void **state)
{
    static const uint8_t ttls[] = {64, 64, 63, 70, 1, 255, 0, 64};
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    for (unsigned i = 0; i < 8; i++) {
        harness_sized(&h, SECOND + i, 0, 60, 46, 4, ttls[i]);
        harness_sized(&h, SECOND + i, 1, 60, 46, 4, 128);
        struct flow_record record = {0};
        uint8_t least = 255, most = 0;

        for (unsigned j = 0; j <= i; j++) {
            least = ttls[j] < least ? ttls[j] : least;
            most = ttls[j] > most ? ttls[j] : most;
        }
        flow_fill_record(h.table, harness_flow(h.table), FLOW_EVENT_NONE, FLOW_END_NONE,
                         FLOW_DETAIL_NONE, &record);
        assert_int_equal(record.forward.ttl_min, least);
        assert_int_equal(record.forward.ttl_max, most);
        assert_int_equal(record.reverse.ttl_min, 128);
        assert_int_equal(record.reverse.ttl_max, 128);
    }
    harness_stop(&h);
}

static struct flow_link link_of(uint64_t number)
{
    struct flow_link link = {.bits = LINK_HAS_MAC_CLIENT, .interface = (uint16_t)(number % 7)};

    memcpy(link.macs[0], &number, 6);
    return link;
}

static void links_are_counted_and_come_back_whatever_their_number(void **state)
{
    enum { MANY = 20000 };
    struct flow_link_entry *entries = calloc(MANY + 2, sizeof(*entries));
    uint32_t *heads = calloc(MANY + FLOW_LISTS_MIN, sizeof(*heads));
    uint32_t *numbers = calloc(MANY, sizeof(*numbers));
    struct flow_links links;

    (void)state;
    if (entries == NULL || heads == NULL || numbers == NULL) {
        abort();
    }
    flow_links_init(&links, entries, heads, (struct hash_key){1, 2});
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < MANY; i++) {
            const struct flow_link link = link_of(i);
            numbers[i] = flow_links_take(&links, &link);
            assert_int_not_equal(numbers[i], 0);
            assert_memory_equal(flow_links_at(&links, numbers[i]), &link, sizeof(link));
        }
        assert_int_equal(links.count, MANY);
        for (uint32_t i = 0; i < MANY; i++) {
            const struct flow_link link = link_of(i);
            assert_int_equal(flow_links_take(&links, &link), numbers[i]);
        }
        for (uint32_t i = 0; i < MANY; i++) {
            flow_links_give(&links, numbers[i]);
        }
        assert_int_equal(links.count, MANY);
        for (uint32_t i = 0; i < MANY; i++) {
            flow_links_give(&links, numbers[(i * 7919U) % MANY]);
        }
        assert_int_equal(links.count, 0);
        assert_int_equal(links.fresh, MANY + 1); /* no more than there were at once */
    }
    free(entries);
    free(heads);
    free(numbers);
}

/* Each flow with addresses and tags of its own. */
static void records_tell_the_link_of_each_flow(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    for (uint16_t i = 0; i < 500; i++) {
        uint8_t frame[12] = {2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i,
                             6, 0, 0, 1, (uint8_t)(i >> 8), (uint8_t)i};
        const uint8_t *frames[1] = {frame};
        struct packet packet = {.ip_version = 4,
                                .protocol = IP_PROTOCOL_UDP,
                                .facts = PACKET_HAS_PORTS | PACKET_HAS_MACS,
                                .source_ip = {10, 0, 0, 1},
                                .target_ip = {10, 0, 0, 2},
                                .source_port = (uint16_t)(2000 + i),
                                .target_port = 3000,
                                .time_ns = SECOND + i,
                                .vlan_count = 2,
                                .vlan_ids = {(uint16_t)(i * 8), i},
                                .dscp = (uint8_t)(i % 64),
                                .ttl = 64};

        assert_int_equal(flow_table_add_batch(h.table, &packet, frames, 1), 1);
        const struct packet asked = packet; /* the answer differs by its DSCP alone */

        memcpy(packet.source_ip, asked.target_ip, 4);
        memcpy(packet.target_ip, asked.source_ip, 4);
        packet.source_port = asked.target_port;
        packet.target_port = asked.source_port;
        packet.dscp = (uint8_t)(63 - i % 64);
        memcpy(frame, (const uint8_t[]){6, 0, 0, 1}, 4);
        memcpy(frame + 6, (const uint8_t[]){2, 0, 0, 0}, 4);
        assert_int_equal(flow_table_add_batch(h.table, &packet, frames, 1), 1);
    }
    harness_finish(&h, 0);
    assert_int_equal(h.count, 500);
    for (uint32_t i = 0; i < h.count; i++) {
        const struct flow_record *record = &h.records[i];
        const uint16_t number = (uint16_t)(record->client.port - 2000);

        assert_int_equal(record->client.mac[4] << 8 | record->client.mac[5], number);
        assert_int_equal(record->server.mac[4] << 8 | record->server.mac[5], number);
        assert_int_equal(record->client.mac[0], 6);
        assert_int_equal(record->server.mac[0], 2);
        assert_int_equal(record->vlan_id, number);
        assert_int_equal(record->outer_vlan_id, number * 8);
        assert_int_equal(record->forward.dscp, number % 64);
        assert_int_equal(record->reverse.dscp, 63 - number % 64);
    }
    harness_stop(&h);
}

/* One of 300 flows of each kind. */
static void add_of_kind(struct harness *h, uint64_t at_ns, unsigned kind, unsigned number)
{
    const bool is_tcp = (kind & FLOW_KIND_TCP) != 0;
    const struct packet packet = {.ip_version = (kind & FLOW_KIND_WIDE) != 0 ? 6 : 4,
                                  .protocol = is_tcp ? IP_PROTOCOL_TCP : IP_PROTOCOL_UDP,
                                  .facts =
                                      (uint16_t)(PACKET_HAS_PORTS | (is_tcp ? PACKET_HAS_TCP : 0)),
                                  .source_ip = {10, 0, 0, 1},
                                  .target_ip = {10, 0, 0, 2},
                                  .source_port = (uint16_t)(2000 + number),
                                  .target_port = 5000,
                                  .time_ns = at_ns,
                                  .wire_bytes = 60,
                                  .ip_bytes = 46,
                                  .tcp_flags = TCP_ACK};

    assert_int_equal(flow_table_add_batch(h->table, &packet, NULL, 1), 1);
}

static void count_tick(void *context, struct flow *flow, const struct flow_tick_delta *delta)
{
    unsigned(*seen)[300] = context;

    assert_int_equal(delta->packets, 2);
    seen[flow_kind_of(flow)][flow_client_port(flow) - 2000]++;
}

static void a_tick_tells_each_flow_with_packets_once(void **state)
{
    struct harness h;
    struct flow_settings settings = harness_settings();

    (void)state;
    settings.flows_max = 4096;
    harness_start(&h, &settings);
    for (unsigned every = 1; every < 90; every += 11) {
        unsigned seen[FLOW_KINDS][300] = {{0}};

        for (unsigned i = 0; i < 300 * FLOW_KINDS * 2; i++) {
            const unsigned number = i / FLOW_KINDS % 300;
            if (number % every == 0) {
                add_of_kind(&h, SECOND + every, i % FLOW_KINDS, number);
            }
        }
        flow_table_tick(h.table, true, count_tick, seen);
        for (unsigned i = 0; i < 300 * FLOW_KINDS; i++) {
            const unsigned number = i / FLOW_KINDS;
            assert_int_equal(seen[i % FLOW_KINDS][number], number % every == 0);
        }
        memset(seen, 0, sizeof(seen));
        flow_table_tick(h.table, false, count_tick, seen); /* the next has none */
        for (unsigned i = 0; i < 300 * FLOW_KINDS; i++) {
            assert_int_equal(seen[i % FLOW_KINDS][i / FLOW_KINDS], 0);
        }
    }
    harness_stop(&h);
}

static void a_flow_in_the_place_of_one_that_ended_is_told_by_the_tick(void **state)
{
    struct harness h;
    const struct flow_settings settings = harness_settings();

    (void)state;
    for (unsigned ticks = 0; ticks < 2; ticks++) { /* between the two */
        unsigned seen[FLOW_KINDS][300] = {{0}};

        harness_start(&h, &settings);
        add_of_kind(&h, SECOND, 0, 1);
        const struct flow *first = harness_flow(h.table);
        harness_finish(&h, SECOND);
        for (unsigned i = 0; i < ticks; i++) {
            flow_table_tick(h.table, true, count_tick, seen);
        }
        add_of_kind(&h, SECOND, 0, 2);
        add_of_kind(&h, SECOND, 0, 2);
        assert_ptr_equal(harness_flow(h.table), first);
        flow_table_tick(h.table, true, count_tick, seen);
        assert_int_equal(seen[0][1], 0);
        assert_int_equal(seen[0][2], 1);
        harness_stop(&h);
    }
}

/* Sixteenths of the whole pages from `at` on that are in memory. */
static unsigned resident(const void *at, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t before = (page - (uintptr_t)at % page) % page, count = (bytes - before) / page;
    unsigned char *there = malloc(count);
    size_t pages = 0;

    assert_non_null(there);
    assert_int_equal(mincore((uint8_t *)(uintptr_t)at + before, count * page, there), 0);
    for (size_t i = 0; i < count; i++) {
        pages += there[i] & 1;
    }
    free(there);
    return (unsigned)(16 * pages / count);
}

static void what_begins_a_flow_is_in_memory_at_the_start_where_that_is_asked(void **state)
{
    const uint32_t flows = 262144; /* huge pages are small beside the smallest array */
    const struct flow_observer observer = {NULL, NULL, NULL};
    struct flow_settings settings = harness_settings();
    struct error err;

    (void)state;
    settings.flows_max = flows;
    for (int is_asked = 0; is_asked < 2; is_asked++) {
        settings.touched_flows = is_asked ? flows : 0;
        AUTO(flow_table) table = flow_table_new(&settings, &observer, &err);
        assert_non_null(table);
        const struct flow_kind_pool *udp = &table->kinds[0], *tcp = &table->kinds[FLOW_KIND_TCP];
        const unsigned all = is_asked ? 16 : 0, quarter = is_asked ? 4 : 0;

        assert_int_equal(resident(udp->base, flows * sizeof(struct flow)), all);
        assert_int_equal(resident(udp->cold, flows * sizeof(struct flow_cold)), all);
        assert_int_equal(resident(tcp->base, flows * sizeof(struct flow)), all);
        assert_int_equal(resident(tcp->cold, flows * sizeof(struct flow_tcp_cold)), all);
        assert_int_equal(resident(tcp->tcps, flows * sizeof(struct flow_tcp_part)), quarter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_exact_whatever_is_carried),
        cmocka_unit_test(deltas_of_huge_lengths_stay_within_32_bits),
        cmocka_unit_test(hop_limits_are_told_from_the_lowest_to_the_highest),
        cmocka_unit_test(links_are_counted_and_come_back_whatever_their_number),
        cmocka_unit_test(records_tell_the_link_of_each_flow),
        cmocka_unit_test(a_tick_tells_each_flow_with_packets_once),
        cmocka_unit_test(what_begins_a_flow_is_in_memory_at_the_start_where_that_is_asked),
        cmocka_unit_test(a_flow_in_the_place_of_one_that_ended_is_told_by_the_tick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
