/* The whole packet path over a capture file: the same answer with any number of shards, sums exact.
 */
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

#define PACKETS  20000
#define START_NS (UINT64_C(1700000000) * NS_PER_SEC)

static char path[64];
static uint64_t file_bytes, ip_packets;

/* 300 conversations over 100 s of packet time, TCP and UDP, some ARP between. */
static int write_capture(void **state)
{
    (void)state;
    uint8_t buffer[2048];
    struct packet_builder b;
    pcap_t *dead =
        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 65535, PCAP_TSTAMP_PRECISION_NANO);

    (void)snprintf(path, sizeof(path), "/tmp/netscope-test-pipeline-%d.pcap", (int)getpid());
    pcap_dumper_t *dumper = pcap_dump_open(dead, path);

    assert_non_null(dumper);
    srand(3);
    build_start(&b, buffer, sizeof(buffer));
    for (uint32_t i = 0; i < PACKETS; i++) {
        const uint32_t flow = (uint32_t)rand() % 300;
        const bool back = rand() % 2 != 0;
        char client[24];
        struct frame frame;
        const uint64_t time_ns = START_NS + (uint64_t)i * 5 * NS_PER_MS;

        (void)snprintf(client, sizeof(client), "10.0.%u.%u", flow / 200, flow % 200 + 1);
        if (flow % 3 == 0) {
            frame =
                build_udp_frame(&b, back ? "192.0.2.9" : client, back ? 53 : 4000,
                                back ? client : "192.0.2.9", back ? 4000 : 53, "abc", 3, time_ns);
        } else {
            const struct build_tcp tcp = {.source_port = back ? 443 : (uint16_t)(5000 + flow),
                                          .target_port = back ? (uint16_t)(5000 + flow) : 443,
                                          .seq = i * 10,
                                          .ack = i,
                                          .flags = 0x10};

            frame = build_tcp_frame(&b, back ? "192.0.2.9" : client, back ? client : "192.0.2.9",
                                    tcp, "0123456789", 10, time_ns);
        }
        if (i % 50 == 7) {
            buffer[12] = 0x08;
            buffer[13] = 0x06; /* ARP */
        } else {
            ip_packets++;
        }
        const struct pcap_pkthdr header = {
            .ts = {(time_t)(time_ns / NS_PER_SEC), (suseconds_t)(time_ns % NS_PER_SEC)},
            .caplen = frame.captured_bytes,
            .len = frame.wire_bytes};

        file_bytes += frame.wire_bytes;
        pcap_dump((u_char *)dumper, &header, frame.bytes);
    }
    pcap_dump_close(dumper);
    pcap_close(dead);
    return 0;
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
                                         .flow = {.flows_max = 4096,
                                                  .idle_timeout_ns = 10 * NS_PER_SEC,
                                                  .active_timeout_ns = 20 * NS_PER_SEC,
                                                  .first_update_ns = 5 * NS_PER_SEC,
                                                  .measure_rtt = true,
                                                  .measure_retransmissions = true,
                                                  .measure_out_of_order = true},
                                         .inspect = {.flows_max = 4096},
                                         .sensor_id = "test",
                                         .boot_id = "0123456789abcdef0123456789abcdef",
                                         .config_hash = "0",
                                         .sinks_count = 1,
                                         .queue_batches = 4,
                                         .batches_per_shard = 16,
                                         .flush_ns = NS_PER_SEC};

    settings.sinks[0] = fake_sink_of(sink, SINK_PUSHES_BACK);
    return settings;
}

static void run(const struct pipeline_settings *settings, struct pipeline_totals *totals)
{
    struct error err = {0};
    struct pipeline *pipeline = pipeline_new(settings, NULL, &err);
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
    pipeline_free(pipeline);
}

static void the_sum_of_deltas_is_what_came_in(void **state)
{
    (void)state;
    for (uint32_t shards = 1; shards <= 4; shards++) {
        struct fake_sink sink = {0};
        struct pipeline_totals totals;
        const struct pipeline_settings settings = settings_for(shards, &sink);

        run(&settings, &totals);
        assert_int_equal(totals.packets, PACKETS);
        assert_int_equal(totals.bytes, file_bytes);
        assert_int_equal(totals.flow_packets, ip_packets);
        assert_int_equal(totals.reported_packets, ip_packets);
        assert_int_equal(totals.not_in_flow, PACKETS - ip_packets);
        assert_int_equal(sink.packets, ip_packets);
        assert_int_equal(sink.seq_faults, 0);
        assert_int_equal(sink.undecodable, 0);
        assert_int_equal(sink.records[RECORD_STATS], 100);
        fake_sink_clear(&sink);
    }
}

static void records_are_the_same_with_any_number_of_shards(void **state)
{
    (void)state;
    struct fake_sink one = {.keeps_flows = true};
    struct pipeline_totals totals;
    struct pipeline_settings settings = settings_for(1, &one);

    run(&settings, &totals);
    fake_sink_sort(&one);
    for (uint32_t shards = 2; shards <= 4; shards++) {
        struct fake_sink many = {.keeps_flows = true};

        settings = settings_for(shards, &many);
        run(&settings, &totals);
        fake_sink_sort(&many);
        assert_int_equal(many.flows_count, one.flows_count);
        for (uint32_t i = 0; i < one.flows_count; i++) {
            assert_string_equal(many.flows[i], one.flows[i]);
        }
        fake_sink_clear(&many);
    }
    fake_sink_clear(&one);
}

static void a_count_stops_after_so_many_packets(void **state)
{
    (void)state;
    for (uint32_t shards = 1; shards <= 2; shards++) {
        struct fake_sink sink = {0};
        struct pipeline_totals totals;
        struct pipeline_settings settings = settings_for(shards, &sink);

        settings.count_max = 1234;
        run(&settings, &totals);
        assert_int_equal(totals.packets, 1234);
        fake_sink_clear(&sink);
    }
}

struct ask {
    struct shard_question question;
    atomic_uint *answers;
    uint32_t flows;
};

static void count_flow(void *context, const struct flow_record *record)
{
    struct ask *ask = context;

    assert_true(record->ip_version == 4);
    ask->flows++;
}

static void answer(struct shard *shard, struct shard_question *question)
{
    struct ask *ask = (struct ask *)(void *)question;

    shard_each_flow(shard, count_flow, ask);
    atomic_fetch_add(ask->answers, 1);
}

static void shards_answer_questions_while_they_run(void **state)
{
    (void)state;
    struct fake_sink sink = {0};
    struct error err = {0};
    struct pipeline_settings settings = settings_for(2, &sink);
    atomic_uint answers = 0;
    struct ask asks[2] = {{{.answer = answer}, &answers, 0}, {{.answer = answer}, &answers, 0}};
    struct shard_question *questions[2] = {&asks[0].question, &asks[1].question};

    settings.is_paced = true; /* 100 s: it is stopped long before */
    settings.flow.first_update_ns = 0;
    struct pipeline *pipeline = pipeline_new(&settings, NULL, &err);

    assert_non_null(pipeline);
    assert_int_equal(pipeline_start(pipeline, &err), 0);
    struct pipeline_totals totals;

    do {
        pipeline_totals_read(pipeline, &totals);
    } while (totals.flows_active < 5);
    const uint32_t asked = pipeline_ask(pipeline, questions);

    assert_int_equal(asked, 2);
    while (atomic_load(&answers) < asked) {
    }
    assert_true(asks[0].flows + asks[1].flows >= 5);
    pipeline_stop(pipeline);
    assert_int_equal(pipeline_join(pipeline, &err), 0);
    pipeline_totals_read(pipeline, &totals);
    assert_int_equal(totals.reported_packets, totals.flow_packets);
    assert_int_equal(pipeline_ask(pipeline, questions), 0);
    pipeline_free(pipeline);
    fake_sink_clear(&sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_of_deltas_is_what_came_in),
        cmocka_unit_test(records_are_the_same_with_any_number_of_shards),
        cmocka_unit_test(a_count_stops_after_so_many_packets),
        cmocka_unit_test(shards_answer_questions_while_they_run),
    };
    return cmocka_run_group_tests(tests, write_capture, remove_capture);
}
