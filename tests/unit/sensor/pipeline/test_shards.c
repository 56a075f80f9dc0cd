/* Random traffic with tunnels and fragments in any order: every number of shards gives the records
 * of one. The seed is printed when it does not. */
#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sensor/pipeline/pipeline.h"
#include "tests/support/packet_builder.h"
#include "tests/unit/sensor/pipeline/fake_sink.h"

#define ACTIONS  6000
#define ASSETS   1024
#define START_NS (UINT64_C(1700000000) * NS_PER_SEC)

static char path[64];
static uint32_t seed;
static uint64_t now_ns, frames_written, ip_frames;
static pcap_dumper_t *dumper;
static uint8_t buffer[4096], inner_buffer[4096];
static struct asset assets[2][ASSETS]; /* of one shard, of several */
static uint32_t assets_count[2];

static uint32_t next_random(uint32_t below)
{
    seed = seed * 1664525U + 1013904223U;
    return (uint32_t)((uint64_t)(seed >> 4) * below >> 28);
}

static void write_frame(const struct frame *frame)
{
    const struct pcap_pkthdr header = {
        .ts = {(time_t)(now_ns / NS_PER_SEC), (suseconds_t)(now_ns % NS_PER_SEC)},
        .caplen = frame->captured_bytes,
        .len = frame->wire_bytes};

    pcap_dump((u_char *)dumper, &header, frame->bytes);
    frames_written++;
    ip_frames += frame->bytes[12] != 8 || frame->bytes[13] != 6;
    now_ns += 1 + next_random(20) * NS_PER_MS / 4;
    if (next_random(400) == 0) {
        now_ns += next_random(50) * NS_PER_SEC; /* timeouts pass */
    }
}

struct talk { /* one of the flows there are */
    char client[40], server[40];
    uint16_t client_port, server_port;
    bool is_6, is_reply;
};

static struct talk random_talk(void)
{
    struct talk talk = {.client_port = (uint16_t)(2000 + next_random(6)),
                        .server_port = next_random(2) != 0 ? 53 : 9000,
                        .is_6 = next_random(4) == 0,
                        .is_reply = next_random(3) == 0};
    const char *form = talk.is_6 ? "2001:db8::%u" : "10.0.0.%u";

    (void)snprintf(talk.client, sizeof(talk.client), form, 1 + next_random(12));
    (void)snprintf(talk.server, sizeof(talk.server), form, 100 + next_random(3));
    return talk;
}

static struct build_ip ip_of(const struct talk *talk)
{
    return (struct build_ip){.source = talk->is_reply ? talk->server : talk->client,
                             .target = talk->is_reply ? talk->client : talk->server};
}

/* A datagram of the talk in `b`, from its IP header on. */
static void build_datagram(struct packet_builder *b, const struct talk *talk, size_t payload)
{
    static const uint8_t data[1024];
    const uint16_t source = talk->is_reply ? talk->server_port : talk->client_port;
    const uint16_t target = talk->is_reply ? talk->client_port : talk->server_port;

    if (talk->is_6) {
        build_ipv6(b, ip_of(talk));
    } else {
        build_ipv4(b, ip_of(talk));
    }
    switch (next_random(8)) {
    case 0:
        build_icmp(b, talk->is_6 ? 128 : 8, 0, 1, 1);
        break;
    case 1:
    case 2:
    case 3:
        build_tcp(b, (struct build_tcp){.source_port = source,
                                        .target_port = target,
                                        .seq = next_random(5000),
                                        .ack = next_random(5000),
                                        .flags = (uint8_t)(next_random(6) == 0 ? 2 : 0x10)});
        break;
    default:
        build_udp(b, source, target);
        break;
    }
    build_bytes(b, data, payload);
}

static void write_plain(void)
{
    struct packet_builder b;
    const struct talk talk = random_talk();

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    if (next_random(5) == 0) {
        build_vlan(&b, (uint16_t)(1 + next_random(2)));
    }
    build_datagram(&b, &talk, next_random(200));
    struct frame frame = build_frame(&b, now_ns);

    if (next_random(30) == 0) {
        frame.captured_bytes -= next_random(frame.captured_bytes - 20);
    }
    write_frame(&frame);
}

static void write_arp(void)
{
    struct packet_builder b;

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_set_ethertype(&b, 0x0806);
    const uint8_t arp[28] = {0,  1,
                             8,  0,
                             6,  4,
                             0,  2,
                             2,  0,
                             0,  0,
                             0,  (uint8_t)next_random(3),
                             10, 0,
                             0,  (uint8_t)next_random(30)};

    build_bytes(&b, arp, sizeof(arp));
    const struct frame frame = build_frame(&b, now_ns);

    write_frame(&frame);
}

/* An inner flow in VXLAN or GRE; the outer port changes from packet to packet. */
static void write_tunnel(void)
{
    static const uint8_t vxlan[8] = {8, 0, 0, 0, 0, 0, 7, 0};
    static const uint8_t gre[4] = {0, 0, 8, 0};
    struct packet_builder inner, outer;
    struct talk talk = random_talk();
    const bool is_vxlan = next_random(2) != 0;

    talk.is_6 = talk.is_6 && is_vxlan;
    if (!talk.is_6 && strchr(talk.client, ':') != NULL) {
        return;
    }
    build_start(&inner, inner_buffer, sizeof(inner_buffer));
    if (is_vxlan) {
        build_ethernet(&inner);
    } else {
        build_raw(&inner);
    }
    build_datagram(&inner, &talk, next_random(100));
    build_finish(&inner);
    build_start(&outer, buffer, sizeof(buffer));
    build_ethernet(&outer);
    build_ipv4(&outer, (struct build_ip){.source = "192.0.2.1",
                                         .target = "192.0.2.2",
                                         .protocol = is_vxlan ? 0 : 47});
    if (is_vxlan) {
        build_udp(&outer, (uint16_t)(40000 + next_random(500)), 4789);
        build_bytes(&outer, vxlan, sizeof(vxlan));
    } else {
        build_bytes(&outer, gre, sizeof(gre));
    }
    build_bytes(&outer, inner_buffer, inner.length);
    const struct frame frame = build_frame(&outer, now_ns);

    write_frame(&frame);
}

struct cut {
    uint16_t offset, length;
};

static void write_piece(const struct talk *talk, uint32_t id, struct cut cut, bool is_last)
{
    struct packet_builder b;
    struct build_ip ip = ip_of(talk);
    uint8_t data[1024] = {0};
    const uint16_t source = talk->is_reply ? talk->server_port : talk->client_port;
    const uint16_t target = talk->is_reply ? talk->client_port : talk->server_port;

    data[0] = (uint8_t)(source >> 8);
    data[1] = (uint8_t)source;
    data[2] = (uint8_t)(target >> 8);
    data[3] = (uint8_t)target;
    data[4] = 4; /* a UDP length of 1024 */
    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    if (talk->is_6) {
        build_ipv6(&b, ip);
        build_fragment(&b, cut.offset, !is_last, id);
        buffer[14 + 40] = 17;
    } else {
        ip.protocol = 17;
        ip.id = (uint16_t)id;
        ip.fragment_offset_bytes = cut.offset;
        ip.has_more_fragments = !is_last;
        build_ipv4(&b, ip);
    }
    build_bytes(&b, data + (cut.offset == 0 ? 0 : 8), cut.length);
    const struct frame frame = build_frame(&b, now_ns);

    write_frame(&frame);
}

/* A datagram in three to five pieces, in any order; some never come, some twice, some overlap.
 * Other traffic goes on between. */
static void write_fragments(void)
{
    const struct talk talk = random_talk();
    const uint32_t id = next_random(300);
    const uint32_t pieces = 3 + next_random(3);
    uint32_t order[5];

    for (uint32_t i = 0; i < pieces; i++) {
        order[i] = i;
    }
    for (uint32_t i = pieces; next_random(3) != 0 && i > 1; i--) {
        const uint32_t other = next_random(i), kept = order[i - 1];

        order[i - 1] = order[other];
        order[other] = kept;
    }
    for (uint32_t i = 0; i < pieces; i++) {
        struct cut cut = {(uint16_t)(order[i] * 64), 64};

        if (next_random(8) == 0) {
            continue;
        }
        if (next_random(20) == 0) {
            cut.length = 80;
        }
        write_piece(&talk, id, cut, order[i] == pieces - 1);
        if (next_random(3) == 0) {
            write_plain();
        }
    }
}

static void write_capture(uint32_t of_seed)
{
    pcap_t *dead =
        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 65535, PCAP_TSTAMP_PRECISION_NANO);

    seed = of_seed;
    now_ns = START_NS;
    frames_written = ip_frames = 0;
    (void)snprintf(path, sizeof(path), "/tmp/netscope-test-shards-%d.pcap", (int)getpid());
    dumper = pcap_dump_open(dead, path);
    assert_non_null(dumper);
    for (uint32_t i = 0; i < ACTIONS; i++) {
        switch (next_random(8)) {
        case 0:
            write_arp();
            break;
        case 1:
        case 2:
            write_fragments();
            break;
        case 3:
        case 4:
            write_tunnel();
            break;
        default:
            write_plain();
            break;
        }
    }
    pcap_dump_close(dumper);
    pcap_close(dead);
}

static int remove_capture(void **state)
{
    (void)state;
    return unlink(path);
}

static struct pipeline_settings settings_for(uint32_t shards, struct fake_sink *sink)
{
    static const char *paths[1];

    paths[0] = path;
    struct pipeline_settings settings = {.capture = {.read_paths = paths, .read_paths_count = 1},
                                         .shards = shards,
                                         .flow = {.flows_max = 65536,
                                                  .idle_timeout_ns = 20 * NS_PER_SEC,
                                                  .active_timeout_ns = 30 * NS_PER_SEC,
                                                  .first_update_ns = 5 * NS_PER_SEC,
                                                  .measure_rtt = true,
                                                  .measure_retransmissions = true,
                                                  .measure_out_of_order = true,
                                                  .key = hash_key_random()},
                                         .inspect = {.flows_max = 65536},
                                         .fragments = {.datagrams_max = 64,
                                                       .held_max = 64,
                                                       .timeout_v4_ns = 30 * NS_PER_SEC,
                                                       .timeout_v6_ns = 60 * NS_PER_SEC},
                                         .assets_max = ASSETS,
                                         .sensor_id = "test",
                                         .boot_id = "0123456789abcdef0123456789abcdef",
                                         .config_hash = "0",
                                         .sinks_count = 1,
                                         .queue_batches = 4,
                                         .batches_per_shard = 16,
                                         .flush_ns = 10 * NS_PER_SEC};

    settings.sinks[0] = fake_sink_of(sink, SINK_PUSHES_BACK);
    return settings;
}

static void run(uint32_t shards, struct fake_sink *sink, struct pipeline_totals *totals)
{
    struct error err = {0};
    const struct pipeline_settings settings = settings_for(shards, sink);
    struct pipeline *pipeline = pipeline_new(&settings, NULL, &err);
    struct stats_ledger_row rows[16];

    if (pipeline == NULL) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(pipeline_start(pipeline, &err), 0);
    assert_int_equal(pipeline_join(pipeline, &err), 0);
    pipeline_totals_read(pipeline, totals);
    const uint32_t count = pipeline_ledger(pipeline, rows, 16);

    for (uint32_t i = 0; i < count; i++) {
        uint64_t lost = 0;

        for (uint32_t j = 0; j < rows[i].lost_count; j++) {
            lost += rows[i].lost[j].count;
        }
        assert_int_equal(rows[i].in, rows[i].out + lost + rows[i].held);
        assert_int_equal(rows[i].held, 0);
    }
    struct asset_list_sum sum;

    assets_count[shards > 1] = pipeline_assets(pipeline, NULL, assets[shards > 1], ASSETS, &sum);
    assert_int_equal(assets_count[shards > 1], sum.count);
    pipeline_free(pipeline);
    fake_sink_sort(sink);
}

static void compare(uint32_t of_seed, uint32_t shards, const struct fake_sink *one,
                    const struct fake_sink *many)
{
    if (many->flows_count != one->flows_count ||
        many->records[RECORD_STATS] != one->records[RECORD_STATS]) {
        fail_msg("seed %u, %u shards: %u records and %llu seconds, not %u and %llu", of_seed,
                 shards, many->flows_count, (unsigned long long)many->records[RECORD_STATS],
                 one->flows_count, (unsigned long long)one->records[RECORD_STATS]);
    }
    for (uint32_t i = 0; i < one->flows_count; i++) {
        if (strcmp(many->flows[i], one->flows[i]) != 0) {
            fail_msg("seed %u, %u shards, record %u:\n%s\n%s", of_seed, shards, i, many->flows[i],
                     one->flows[i]);
        }
    }
}

static void any_number_of_shards_gives_the_records_of_one(void **state)
{
    static const uint32_t numbers[] = {2, 3, 8, 16};

    (void)state;
    for (uint32_t of_seed = 1; of_seed <= 4; of_seed++) {
        struct fake_sink one = {.keeps_flows = true};
        struct pipeline_totals alone, totals;

        write_capture(of_seed);
        run(1, &one, &alone);
        assert_int_equal(alone.packets, frames_written);
        assert_int_equal(alone.flow_packets, alone.packets - alone.not_in_flow);
        assert_int_equal(one.packets, alone.flow_packets);
        /* The traffic is what the test is about. */
        assert_true(alone.fragments.attributed > 500 && alone.fragments.held > 100);
        assert_true(alone.fragments.unattributed_timeout > 0);
        assert_true(alone.fragments.evicted > 0 && alone.fragments.overlaps > 0);
        assert_true(assets_count[0] > 50);
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            struct fake_sink many = {.keeps_flows = true};

            run(numbers[i], &many, &totals);
            assert_int_equal(totals.packets, alone.packets);
            assert_int_equal(totals.bytes, alone.bytes);
            assert_memory_equal(&totals.fragments, &alone.fragments, sizeof(totals.fragments));
            compare(of_seed, numbers[i], &one, &many);
            assert_int_equal(assets_count[1], assets_count[0]);
            assert_memory_equal(assets[1], assets[0], assets_count[0] * sizeof(assets[0][0]));
            fake_sink_clear(&many);
        }
        fake_sink_clear(&one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_shards_gives_the_records_of_one),
    };

    return cmocka_run_group_tests(tests, NULL, remove_capture);
}
