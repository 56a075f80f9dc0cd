/* The flow table beside a plain model that is told each packet and checks each record: random
 * traffic of both IP versions, with room and without, in batches of every size. And traffic that is
 * meant to hurt: SYNs from everywhere, one flow alone, keys that collide under a known secret.
 *
 * NETSCOPE_LONG_TESTS=1: 10 M SYNs instead of 300 k. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sensor/flow/flow_table_internal.h"
#include "tests/unit/sensor/flow/flow_harness.h"

#define HOSTS     24
#define PORTS     6
#define MODEL_MAX (2 * HOSTS * HOSTS * PORTS * PORTS)
#define PACKETS   20000
#define IDLE_NS   (60 * SECOND)

struct model_sums {
    uint64_t packets, bytes, payload_bytes, ip_bytes;
};

struct model_flow {
    bool is_live, source_is_first; /* the first packet came from the smaller host number */
    uint64_t first_ns, last_ns;
    struct model_sums total[2], told[2]; /* by direction */
    uint32_t records;
};

struct model {
    struct flow_table *table;
    struct model_flow flows[MODEL_MAX];
    struct model_flow *current; /* of the packet at hand, by its own fields */
    uint32_t live;
    uint64_t packets, told_packets, created, evicted;
    uint64_t now_ns;
    uint64_t digest; /* of all records, in any order */
};

static struct model model;
static bool is_tuned; /* the active timeout is changed while flows live */

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return hash_mix(*state);
}

/* Hosts and ports as numbers, so that the model needs no addresses. */
struct choice {
    uint32_t source, target, source_port, target_port;
    bool is_v6;
};

static struct model_flow *flow_of(const struct choice *c, bool *source_is_low)
{
    const uint32_t a = c->source * PORTS + c->source_port, b = c->target * PORTS + c->target_port;
    const uint32_t low = a < b ? a : b, high = a < b ? b : a;

    *source_is_low = a < b;
    return &model.flows[((c->is_v6 ? 1U : 0U) * HOSTS * PORTS + low) * HOSTS * PORTS + high];
}

static uint8_t host_byte(uint32_t host)
{
    return (uint8_t)(host * 7 + 1); /* in order */
}

static void make_packet(const struct choice *c, uint64_t time_ns, uint32_t payload,
                        struct packet *out)
{
    memset(out, 0, sizeof(*out));
    out->ip_version = c->is_v6 ? 6 : 4;
    out->source_ip[0] = out->target_ip[0] = 10;
    /* In the bytes that tell flows of IPv6 apart behind the short key, too. */
    out->source_ip[c->is_v6 ? 7 : 3] = host_byte(c->source);
    out->target_ip[c->is_v6 ? 7 : 3] = host_byte(c->target);
    out->source_port = (uint16_t)(2000 + c->source_port);
    out->target_port = (uint16_t)(2000 + c->target_port);
    out->protocol = IP_PROTOCOL_UDP;
    out->facts = PACKET_HAS_PORTS;
    out->time_ns = time_ns;
    out->payload_bytes = payload;
    out->ip_bytes = payload + 28;
    out->wire_bytes = payload + 42;
    out->ttl = 64;
}

static struct choice choice_of(const struct packet *packet)
{
    const unsigned at = packet->ip_version == 6 ? 7 : 3;

    return (struct choice){.source = (packet->source_ip[at] - 1U) / 7,
                           .target = (packet->target_ip[at] - 1U) / 7,
                           .source_port = packet->source_port - 2000U,
                           .target_port = packet->target_port - 2000U,
                           .is_v6 = packet->ip_version == 6};
}

static void on_packet(void *context, const struct packet *packet, const uint8_t *frame,
                      struct flow *flow, bool is_new, int direction)
{
    const struct choice c = choice_of(packet);
    bool source_is_low;
    struct model_flow *own = flow_of(&c, &source_is_low);

    (void)context;
    (void)frame;
    assert_true(is_new == !own->is_live);
    if (is_new) {
        *own = (struct model_flow){
            .is_live = true, .source_is_first = source_is_low, .first_ns = packet->time_ns};
        model.live++;
        model.created++;
    } else if (packet->time_ns > own->last_ns) {
        assert_true(packet->time_ns - own->last_ns <= IDLE_NS);
    }
    assert_int_equal(direction, source_is_low != own->source_is_first);
    if (packet->time_ns > own->last_ns) {
        own->last_ns = packet->time_ns;
    }
    struct model_sums *sums = &own->total[direction];
    sums->packets++;
    sums->bytes += packet->wire_bytes;
    sums->payload_bytes += packet->payload_bytes;
    sums->ip_bytes += packet->ip_bytes;
    model.packets++;
    for (int d = 0; d < 2; d++) {
        assert_true(flow_total(model.table, flow, d, FLOW_SUM_PACKETS) == own->total[d].packets);
        assert_true(flow_total(model.table, flow, d, FLOW_SUM_PAYLOAD) ==
                    own->total[d].payload_bytes);
    }
}

static void check_counters(const struct flow_counters *c, const struct model_sums *total,
                           struct model_sums *told)
{
    assert_true(c->total_packets == total->packets);
    assert_true(c->total_bytes == total->bytes);
    assert_true(c->total_payload_bytes == total->payload_bytes);
    assert_true(c->total_ip_bytes == total->ip_bytes);
    assert_true(c->delta_packets == total->packets - told->packets);
    assert_true(c->delta_bytes == total->bytes - told->bytes);
    assert_true(c->delta_payload_bytes == total->payload_bytes - told->payload_bytes);
    assert_true(c->delta_ip_bytes == total->ip_bytes - told->ip_bytes);
    model.told_packets += c->delta_packets;
    *told = *total;
}

static void on_record(void *context, struct flow *flow, enum flow_event event,
                      enum flow_end_reason reason, enum flow_end_detail detail)
{
    struct flow_record record;
    struct packet packet = {.ip_version = flow->key.ip_version};

    (void)context;
    memset(&record, 0, sizeof(record));
    flow_fill_record(model.table, flow, event, reason, detail, &record);
    memcpy(packet.source_ip, record.client.ip.bytes, 16);
    memcpy(packet.target_ip, record.server.ip.bytes, 16);
    packet.source_port = record.client.port;
    packet.target_port = record.server.port;
    const struct choice c = choice_of(&packet);
    bool source_is_low;
    struct model_flow *own = flow_of(&c, &source_is_low);

    assert_true(own->is_live);
    assert_int_equal(source_is_low, own->source_is_first);
    assert_true(record.start_ns == own->first_ns);
    assert_true(record.end_ns == own->last_ns);
    assert_int_equal(record.update_index, own->records++);
    check_counters(&record.forward, &own->total[0], &own->told[0]);
    check_counters(&record.reverse, &own->total[1], &own->told[1]);
    if (event == FLOW_END) {
        assert_true(reason != FLOW_END_IDLE || model.now_ns - own->last_ns > IDLE_NS);
        model.evicted += reason == FLOW_END_LACK_OF_RESOURCES;
        own->is_live = false;
        model.live--;
    }
    record.community_id.data = NULL;
    model.digest += hash_bytes((struct hash_key){3, 4}, &record, offsetof(struct flow_record, tcp));
}

/* Plays the traffic of `seed`; the digest of all records. */
static uint64_t play(uint64_t seed, uint32_t flows_max, uint32_t batch, bool is_skewed)
{
    struct flow_settings settings = harness_settings();
    const struct flow_observer observer = {NULL, on_packet, on_record};
    struct packet packets[FLOW_BATCH_MAX];
    struct error err;
    uint64_t random = seed;

    memset(&model, 0, sizeof(model));
    settings.flows_max = flows_max;
    model.table = flow_table_new(&settings, &observer, &err);
    assert_non_null(model.table);
    model.now_ns = 1000 * SECOND;
    for (uint32_t sent = 0; sent < PACKETS;) {
        uint32_t count = 0;

        for (; count < batch && sent < PACKETS; count++, sent++) {
            const uint64_t r = next_random(&random), s = next_random(&random);
            const uint32_t hosts = is_skewed && r % 4 != 0 ? 3 : HOSTS;
            const struct choice c = {.source = (uint32_t)(s >> 8) % hosts,
                                     .target = (uint32_t)(s >> 16) % hosts,
                                     .source_port = (uint32_t)(s >> 24) % PORTS,
                                     .target_port = (uint32_t)(s >> 32) % PORTS,
                                     .is_v6 = (s & 1) != 0};
            model.now_ns += r % 5000 == 0 ? r % (90 * SECOND) : r % (4 * MILLI);
            make_packet(&c, model.now_ns, (uint32_t)(r >> 40) & 1023, &packets[count]);
        }
        assert_int_equal(flow_table_add_batch(model.table, packets, NULL, count), count);
        assert_int_equal(flow_table_count(model.table), model.live);
        if (batch == 64) { /* the others leave it to the packets: the records must be the same */
            (void)flow_table_advance(model.table, model.now_ns, 1000);
        }
        if (is_tuned && next_random(&random) % 16 == 0) {
            flow_table_set_timeouts(model.table, IDLE_NS, next_random(&random) % 4 * 7 * SECOND);
        }
        assert_true(model.live <= flows_max);
    }
    const struct flow_table_statistics statistics = flow_table_statistics(model.table);
    assert_true(statistics.packets == PACKETS && model.packets == PACKETS);
    assert_true(statistics.flows_created == model.created);
    assert_true(statistics.flows_evicted == model.evicted);
    flow_table_finish(model.table, model.now_ns, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
    assert_int_equal(model.live, 0);
    assert_true(model.told_packets == PACKETS);
    harness_check_parts(model.table);
    flow_table_free(model.table);
    return model.digest;
}

static void with_room_records_are_the_models_for_every_batch_size(void **state)
{
    static const uint32_t batches[] = {1, 2, 7, 19, 20, 21, 63, 64, FLOW_BATCH_MAX};

    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const uint64_t first = play(seed, 65536, 1, seed == 2);
        assert_true(model.evicted == 0);
        for (unsigned i = 1; i < ARRAY_COUNT(batches); i++) {
            assert_true(play(seed, 65536, batches[i], seed == 2) == first);
        }
    }
}

static void without_room_sums_hold_and_each_eviction_is_counted(void **state)
{
    static const uint32_t sizes[] = {1, 2, 9, 100, 1000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
        for (uint32_t batch = 1; batch <= FLOW_BATCH_MAX; batch *= 4) {
            (void)play(100 + i, sizes[i], batch, i % 2 == 0);
            assert_true(model.evicted > 0);
        }
    }
}

static void deltas_add_up_however_often_the_active_timeout_is_changed(void **state)
{
    (void)state;
    is_tuned = true;
    for (uint64_t seed = 200; seed < 206; seed++) {
        (void)play(seed, seed % 2 == 0 ? 65536 : 100, 8, seed % 3 == 0);
    }
    is_tuned = false;
}

/* ---- traffic that is meant to hurt ---- */

static void count_record(void *context, struct flow *flow, enum flow_event event,
                         enum flow_end_reason reason, enum flow_end_detail detail)
{
    (void)flow;
    (void)reason;
    (void)detail;
    ((uint64_t *)context)[event == FLOW_END]++;
}

static struct packet syn_from(uint32_t address, uint16_t port, uint64_t time_ns)
{
    struct packet packet = {.ip_version = 4,
                            .protocol = IP_PROTOCOL_TCP,
                            .facts = PACKET_HAS_PORTS | PACKET_HAS_TCP,
                            .tcp_flags = TCP_SYN,
                            .source_port = port,
                            .target_port = 443,
                            .wire_bytes = 60,
                            .ip_bytes = 40,
                            .time_ns = time_ns};

    memcpy(packet.source_ip, &address, sizeof(address));
    packet.target_ip[0] = 192;
    return packet;
}

static void syns_from_everywhere_leave_memory_flat(void **state)
{
    const uint64_t count = getenv("NETSCOPE_LONG_TESTS") != NULL ? 10000000 : 300000;
    struct flow_settings settings = harness_settings();
    uint64_t records[2] = {0, 0}, random = 1, flat = 0;
    const struct flow_observer observer = {records, NULL, count_record};
    struct error err;

    (void)state;
    settings.flows_max = 65536;
    AUTO(flow_table) table = flow_table_new(&settings, &observer, &err);
    assert_non_null(table);
    for (uint64_t sent = 0; sent < count; sent += FLOW_BATCH_MAX) {
        struct packet packets[FLOW_BATCH_MAX];
        for (unsigned i = 0; i < FLOW_BATCH_MAX; i++) {
            const uint64_t r = next_random(&random);
            packets[i] = syn_from((uint32_t)r, (uint16_t)(r >> 32), SECOND + (sent + i) * 1000);
        }
        (void)flow_table_add_batch(table, packets, NULL, FLOW_BATCH_MAX);
        (void)flow_table_advance(table, packets[FLOW_BATCH_MAX - 1].time_ns, 256);
        if (sent % 1048576 == 0) { /* as each second does */
            flow_table_tick(table, true, NULL, NULL);
        }
        if (sent >= UINT64_C(2) * settings.flows_max && flat == 0) {
            flat = flow_table_memory_bytes(table);
        }
    }
    const struct flow_table_statistics statistics = flow_table_statistics(table);
    assert_int_equal(flow_table_count(table), settings.flows_max);
    assert_true(flow_table_memory_bytes(table) == flat);
    assert_true(flat < settings.flows_max * UINT64_C(420));
    assert_true(statistics.flows_evicted == records[1]);
    assert_true(statistics.flows_created == statistics.flows_evicted + settings.flows_max);
}

static void one_flow_of_all_packets_is_exact(void **state)
{
    struct flow_settings settings = harness_settings();
    uint64_t records[2] = {0, 0};
    const struct flow_observer observer = {records, NULL, count_record};
    struct packet packets[FLOW_BATCH_MAX];
    struct error err;

    (void)state;
    settings.flows_max = 16;
    AUTO(flow_table) table = flow_table_new(&settings, &observer, &err);
    assert_non_null(table);
    const uint32_t batches = 1048576 / FLOW_BATCH_MAX;
    for (uint32_t sent = 0; sent < batches; sent++) {
        for (unsigned i = 0; i < FLOW_BATCH_MAX; i++) {
            const struct choice c = {.source = i % 2, .target = 1 - i % 2};
            make_packet(&c, SECOND + sent, 8930, &packets[i]);
        }
        (void)flow_table_add_batch(table, packets, NULL, FLOW_BATCH_MAX);
    }
    uint32_t cursor = 0;
    assert_int_equal(flow_table_count(table), 1);
    assert_int_equal(records[1], 0);
    const struct flow *flow = flow_at(table, cursor);
    /* 4.7 GB a direction: beyond 32 bits, in records below. */
    assert_true(flow_total(table, flow, 0, FLOW_SUM_BYTES) == UINT64_C(524288) * 8972);
    assert_true(flow_total(table, flow, 1, FLOW_SUM_PACKETS) == 524288);
    assert_true(records[0] >= 2);
    assert_true(flow_table_statistics(table).packets == 1048576);
}

/* Who knows one secret finds keys that share a bucket; under another they are spread like any. */
static void keys_that_collide_under_one_secret_do_not_under_another(void **state)
{
    enum { KEYS = 4096, BUCKETS = 1024 };
    const struct hash_key known = {11, 12}, secret = hash_key_random();
    const struct flow_index index = {.bucket_count = BUCKETS};
    static uint32_t homes[BUCKETS];
    uint32_t found = 0, largest = 0;

    (void)state;
    memset(homes, 0, sizeof(homes));
    for (uint32_t address = 0; found < KEYS; address++) {
        const struct packet packet = syn_from(address * 2654435761U, 1, 0);
        struct flow_key key;
        (void)flow_key_of(&packet, &key);
        if (flow_index_home(&index, flow_key_hash(&key, known)) != 7) {
            continue;
        }
        found++;
        const uint32_t home = flow_index_home(&index, flow_key_hash(&key, secret));
        homes[home]++;
        largest = homes[home] > largest ? homes[home] : largest;
    }
    assert_true(largest <= 24); /* 4 in the mean; 24 or more: less than once in 10^8 runs */
}

static void counted_keys_spread_over_buckets(void **state)
{
    enum { KEYS = 65536, BUCKETS = 8192 };
    const struct flow_index index = {.bucket_count = BUCKETS};
    static uint32_t homes[BUCKETS];

    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) { /* addresses, ports, both ends of IPv6 counted up */
        const struct hash_key secret = hash_key_random();
        double chi = 0;
        memset(homes, 0, sizeof(homes));
        for (uint32_t i = 0; i < KEYS; i++) {
            struct packet packet = syn_from(kind == 1 ? 5 : __builtin_bswap32(i), 1, 0);
            struct flow_key key;
            packet.source_port = (uint16_t)(kind == 1 ? i : 1);
            if (kind == 2) {
                packet.ip_version = 6;
                packet.source_ip[14] = packet.target_ip[12] = (uint8_t)(i >> 8);
                packet.source_ip[15] = packet.target_ip[13] = (uint8_t)i;
            }
            (void)flow_key_of(&packet, &key);
            homes[flow_index_home(&index, flow_key_hash(&key, secret))]++;
        }
        for (uint32_t i = 0; i < BUCKETS; i++) {
            const double off = homes[i] - (double)KEYS / BUCKETS;
            chi += off * off / ((double)KEYS / BUCKETS);
        }
        /* Chi square of 8191 degrees: standard deviation 128. */
        assert_true(chi < BUCKETS + 10 * 128);
    }
}

/* Keys are made in registers where the packet is IPv4: as by the general way. */
static void keys_of_ipv4_are_those_of_any_packet(void **state)
{
    static const uint8_t protocols[] = {IP_PROTOCOL_TCP, IP_PROTOCOL_UDP, IP_PROTOCOL_ICMP};
    const struct hash_key secret = hash_key_random();
    uint64_t random = 7;

    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        random = hash_mix(random + i);
        struct packet packet = syn_from((uint32_t)random, 1, 0);
        packet.target_ip[0] = (random >> 60 & 1) != 0 ? packet.source_ip[0] : packet.target_ip[0];
        if ((random >> 61 & 1) != 0) {
            memcpy(packet.target_ip, packet.source_ip, 4);
        }
        packet.protocol = protocols[(random >> 32 & 3) % 3];
        packet.source_port = (uint16_t)(random >> 34 & 3);
        packet.target_port = (uint16_t)(random >> 36 & 3);
        packet.tenant = (uint16_t)(random >> 38 & 1);
        packet.icmp_type = (uint8_t)(random >> 40 & 31);
        packet.facts |= packet.protocol == IP_PROTOCOL_ICMP ? PACKET_HAS_ICMP : 0;
        struct flow_key key;
        struct flow_short_key quick;
        uint64_t hash;
        const bool source_is_high = flow_key_of(&packet, &key);
        const struct flow_short_key plain = flow_short_key_of(&key);

        assert_true(flow_key_of_ipv4(&packet, secret, &quick, &hash) == source_is_high);
        assert_memory_equal(&quick, &plain, sizeof(plain));
        assert_true(hash == flow_key_hash(&key, secret));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_room_records_are_the_models_for_every_batch_size),
        cmocka_unit_test(without_room_sums_hold_and_each_eviction_is_counted),
        cmocka_unit_test(deltas_add_up_however_often_the_active_timeout_is_changed),
        cmocka_unit_test(syns_from_everywhere_leave_memory_flat),
        cmocka_unit_test(one_flow_of_all_packets_is_exact),
        cmocka_unit_test(keys_that_collide_under_one_secret_do_not_under_another),
        cmocka_unit_test(counted_keys_spread_over_buckets),
        cmocka_unit_test(keys_of_ipv4_are_those_of_any_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
