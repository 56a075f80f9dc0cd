/* What the decode stage tells of packets that were not read to their last header, and that the
 * rules reach whoever reads: the shards, and the reader that deals. */
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

#define START_NS (UINT64_C(1700000000) * NS_PER_SEC)

static char path[64];
static uint8_t buffer[2048];
static struct packet_builder b;

static void start_frame(void)
{
    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
}

static void write_frame(pcap_dumper_t *dumper, uint32_t captured_bytes)
{
    const struct frame frame = build_frame(&b, START_NS);
    const struct pcap_pkthdr header = {
        .ts = {START_NS / NS_PER_SEC, 0},
        .caplen = captured_bytes < frame.captured_bytes ? captured_bytes : frame.captured_bytes,
        .len = frame.wire_bytes};

    pcap_dump((u_char *)dumper, &header, frame.bytes);
}

/* Inner packets of twenty conversations in VXLAN, then one each of the faults. */
static int write_capture(void **state)
{
    static const struct build_ip outside = {.source = "198.51.100.1", .target = "198.51.100.2"};
    static const uint8_t zeros[8];
    pcap_t *dead = pcap_open_dead(DLT_EN10MB, 65535);

    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/netscope-test-decode-%d.pcap", (int)getpid());
    pcap_dumper_t *dumper = pcap_dump_open(dead, path);
    assert_non_null(dumper);
    for (uint16_t i = 0; i < 20; i++) {
        start_frame();
        build_ipv4(&b, outside);
        build_vxlan_udp(&b, 7);
        build_ethernet(&b);
        build_ipv4(&b, (struct build_ip){.source = "10.0.0.1", .target = "10.0.0.2"});
        build_udp(&b, (uint16_t)(40000 + i), 7777);
        write_frame(dumper, UINT32_MAX);
    }
    start_frame(); /* ARP: read to its end, and no IP */
    build_set_ethertype(&b, 0x0806);
    build_zeros(&b, 28);
    write_frame(dumper, UINT32_MAX);
    start_frame(); /* the capture ends in the Ethernet header */
    build_ipv4(&b, outside);
    write_frame(dumper, 9);
    start_frame(); /* and in GRE, behind an IP header */
    build_ipv4(&b, outside);
    build_gre_key(&b, 5);
    build_ipv4(&b, outside);
    write_frame(dumper, 14 + 20 + 6);
    start_frame(); /* the port of VXLAN, and something else */
    build_ipv4(&b, outside);
    build_udp(&b, 50000, 4789);
    build_bytes(&b, zeros, sizeof(zeros));
    write_frame(dumper, UINT32_MAX);
    start_frame(); /* PPPoE of version 0 */
    build_pppoe(&b, 5);
    build_ipv4(&b, outside);
    buffer[14] = 0;
    write_frame(dumper, UINT32_MAX);
    pcap_dump_close(dumper);
    pcap_close(dead);
    return 0;
}

static int remove_capture(void **state)
{
    (void)state;
    return unlink(path);
}

static void run(uint32_t shards, const struct packet_rules *rules, struct pipeline_totals *totals,
                struct stats_ledger_row *decode)
{
    const char *paths[1] = {path};
    struct fake_sink sink = {0};
    struct pipeline_settings settings = {.capture = {.read_paths = paths, .read_paths_count = 1},
                                         .shards = shards,
                                         .flow = {.flows_max = 1024},
                                         .inspect = {.flows_max = 256},
                                         .sensor_id = "test",
                                         .boot_id = "0123456789abcdef0123456789abcdef",
                                         .config_hash = "0",
                                         .rules = rules,
                                         .sinks_count = 1,
                                         .queue_batches = 4,
                                         .batches_per_shard = 16,
                                         .flush_ns = NS_PER_SEC};
    struct stats_ledger_row rows[16];
    struct error err = {0};

    settings.sinks[0] = fake_sink_of(&sink, SINK_PUSHES_BACK);
    struct pipeline *pipeline = pipeline_new(&settings, NULL, &err);
    if (pipeline == NULL) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(pipeline_start(pipeline, &err), 0);
    assert_int_equal(pipeline_join(pipeline, &err), 0);
    pipeline_totals_read(pipeline, totals);
    memset(decode, 0, sizeof(*decode));
    for (uint32_t i = 0, count = pipeline_ledger(pipeline, rows, 16); i < count; i++) {
        if (rows[i].stage == LEDGER_DECODE) {
            *decode = rows[i];
        }
    }
    pipeline_free(pipeline);
    fake_sink_clear(&sink);
}

static uint64_t lost_by(const struct stats_ledger_row *row, const char *reason)
{
    for (unsigned i = 0; i < row->lost_count; i++) {
        if (strcmp(row->lost[i].reason, reason) == 0) {
            return row->lost[i].count;
        }
    }
    return 0;
}

static void packets_without_a_flow_are_in_the_ledger_by_reason(void **state)
{
    struct pipeline_totals totals;
    struct stats_ledger_row decode;
    uint64_t lost = 0;

    (void)state;
    run(1, NULL, &totals, &decode);
    assert_int_equal(decode.in, 25);
    assert_int_equal(decode.out, 22);
    assert_int_equal(lost_by(&decode, "non_ip"), 1);
    assert_int_equal(lost_by(&decode, "truncated"), 1);
    assert_int_equal(lost_by(&decode, "malformed"), 1);
    for (unsigned i = 0; i < decode.lost_count; i++) {
        lost += decode.lost[i].count;
    }
    assert_int_equal(decode.in, decode.out + lost + decode.held);
}

static void faults_are_counted_by_layer_and_reason(void **state)
{
    struct pipeline_totals totals;
    struct stats_ledger_row decode;
    uint64_t sum = 0;

    (void)state;
    for (uint32_t shards = 1; shards <= 3; shards += 2) {
        run(shards, NULL, &totals, &decode);
        assert_int_equal(totals.decode_faults[LAYER_ETHERNET][DECODE_TRUNCATED], 1);
        assert_int_equal(totals.decode_faults[LAYER_GRE][DECODE_TRUNCATED], 1);
        assert_int_equal(totals.decode_faults[LAYER_VXLAN][DECODE_REFUSED], 1);
        assert_int_equal(totals.decode_faults[LAYER_PPPOE][DECODE_MALFORMED], 1);
        sum = 0;
        for (unsigned layer = 0; layer < LAYER_COUNT; layer++) {
            for (unsigned reason = 0; reason < DECODE_REASON_COUNT; reason++) {
                sum += totals.decode_faults[layer][reason];
            }
        }
        assert_int_equal(sum, 4);
        assert_int_equal(totals.flows_created, 22); /* 20 inside, GRE's and the refused one's */
    }
}

static void a_layer_switched_off_is_off_for_all_who_read(void **state)
{
    struct packet_rules rules = packet_rules_default;
    struct pipeline_totals totals;
    struct stats_ledger_row decode;

    (void)state;
    packet_rules_disable(&rules, LAYER_VXLAN);
    for (uint32_t shards = 1; shards <= 3; shards += 2) {
        run(shards, &rules, &totals, &decode);
        assert_int_equal(totals.flows_created, 2); /* the tunnel, and GRE */
        assert_int_equal(totals.decode_faults[LAYER_VXLAN][DECODE_REFUSED], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_without_a_flow_are_in_the_ledger_by_reason),
        cmocka_unit_test(faults_are_counted_by_layer_and_reason),
        cmocka_unit_test(a_layer_switched_off_is_off_for_all_who_read),
    };

    return cmocka_run_group_tests(tests, write_capture, remove_capture);
}
