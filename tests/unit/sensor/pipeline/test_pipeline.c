/* The whole packet path over a capture file: the same answer with any number of shards, sums exact.
 */
#include <errno.h>
#include <pcap/pcap.h>
#include <pthread.h>
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

/* The same numbers in every run. */
static uint32_t next_random(void)
{
    static uint32_t seed = 3;

    seed = seed * 1664525U + 1013904223U;
    return seed >> 8;
}

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
    build_start(&b, buffer, sizeof(buffer));
    for (uint32_t i = 0; i < PACKETS; i++) {
        const uint32_t flow = next_random() % 300;
        const bool back = next_random() % 2 != 0;
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

static void count_flow(void *context, struct flow_record *record)
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

/* A pcapng file with one interface of nanoseconds and one small UDP packet at each time. */
static void write_times(const char *out_path, const uint64_t *times_ns, uint32_t count)
{
    FILE *out = fopen(out_path, "wb");
    const uint32_t section[7] = {0x0A0D0D0A, 28, 0x1A2B3C4D, 1, UINT32_MAX, UINT32_MAX, 28};
    const uint32_t interface[8] = {1, 32, 1, 65535, 9 | 1U << 16, 9, 0, 32};
    uint8_t buffer[256];
    struct packet_builder b;

    assert_non_null(out);
    build_start(&b, buffer, sizeof(buffer));
    assert_int_equal(fwrite(section, sizeof(section), 1, out), 1);
    assert_int_equal(fwrite(interface, sizeof(interface), 1, out), 1);
    for (uint32_t i = 0; i < count; i++) {
        const struct frame frame =
            build_udp_frame(&b, "10.0.0.1", 1000, "10.0.0.2", 2000, "ab", 2, 0);
        const uint32_t length = 32 + frame.captured_bytes;
        const uint32_t head[7] = {6,
                                  length,
                                  0,
                                  (uint32_t)(times_ns[i] >> 32),
                                  (uint32_t)times_ns[i],
                                  frame.captured_bytes,
                                  frame.wire_bytes};

        assert_int_equal(frame.captured_bytes % 4, 0);
        assert_int_equal(fwrite(head, sizeof(head), 1, out), 1);
        assert_int_equal(fwrite(frame.bytes, frame.captured_bytes, 1, out), 1);
        assert_int_equal(fwrite(&length, sizeof(length), 1, out), 1);
    }
    assert_int_equal(fclose(out), 0);
}

static void a_time_at_the_end_of_time_neither_hangs_nor_loses(void **state)
{
    (void)state;
    static const uint64_t times_ns[] = {
        0, START_NS, UINT64_MAX, UINT64_MAX - 1, UINT64_C(18446744073) * NS_PER_SEC, START_NS + 5,
        1};
    const char *paths[1] = {"/tmp/netscope-test-pipeline-times.pcapng"};

    write_times(paths[0], times_ns, 7);
    for (uint32_t shards = 1; shards <= 3; shards += 2) {
        struct fake_sink sink = {0};
        struct pipeline_totals totals;
        struct pipeline_settings settings = settings_for(shards, &sink);

        settings.capture.read_paths = paths;
        run(&settings, &totals);
        assert_int_equal(totals.packets, 7);
        assert_int_equal(sink.packets, 7);
        fake_sink_clear(&sink);
    }
    assert_int_equal(unlink(paths[0]), 0);
}

/* libpcap lets D-Bus captures have frames of up to 128 MiB. */
static void a_frame_larger_than_a_block_is_cut(void **state)
{
    (void)state;
    enum { FRAME_BYTES = 700000 };
    const char *paths[1] = {"/tmp/netscope-test-pipeline-large.pcap"};
    const uint32_t header[6] = {0xa1b2c3d4, 2 | 4U << 16, 0, 0, FRAME_BYTES, 231};
    const uint32_t record[4] = {1700000000, 0, FRAME_BYTES, FRAME_BYTES};
    uint8_t *bytes = calloc(1, FRAME_BYTES);
    FILE *out = fopen(paths[0], "wb");

    assert_non_null(bytes);
    assert_non_null(out);
    assert_int_equal(fwrite(header, sizeof(header), 1, out), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fwrite(record, sizeof(record), 1, out), 1);
        assert_int_equal(fwrite(bytes, FRAME_BYTES, 1, out), 1);
    }
    assert_int_equal(fclose(out), 0);
    free(bytes);
    for (uint32_t shards = 1; shards <= 3; shards += 2) {
        struct fake_sink sink = {0};
        struct pipeline_totals totals;
        struct pipeline_settings settings = settings_for(shards, &sink);

        settings.capture.read_paths = paths;
        run(&settings, &totals);
        assert_int_equal(totals.packets, 3);
        assert_int_equal(totals.bytes, 3 * FRAME_BYTES);
        fake_sink_clear(&sink);
    }
    assert_int_equal(unlink(paths[0]), 0);
}

static void a_loop_over_nothing_ends_with_a_reason(void **state)
{
    (void)state;
    struct fake_sink sink = {0};
    struct error err = {0};
    struct pipeline_settings settings = settings_for(1, &sink);

    settings.capture.filter = "host 203.0.113.1";
    settings.is_looped = true;
    struct pipeline *pipeline = pipeline_new(&settings, NULL, &err);

    assert_non_null(pipeline);
    assert_int_equal(pipeline_start(pipeline, &err), 0);
    assert_int_equal(pipeline_join(pipeline, &err), -ENODATA);
    assert_non_null(strstr(err.message, "nothing to loop over"));
    pipeline_free(pipeline);
    fake_sink_clear(&sink);
}

/* Threads that may still be made before one fails; -1 = all. */
static int threads_left = -1;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*routine)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*routine)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*routine)(void *), void *argument)
{
    if (threads_left == 0) {
        return EAGAIN;
    }
    threads_left -= threads_left > 0;
    return __real_pthread_create(thread, attributes, routine, argument);
}

static void a_start_that_fails_half_way_leaves_nothing_running(void **state)
{
    (void)state;
    for (int threads = 0; threads < 5; threads++) {
        struct fake_sink sink = {0};
        struct error err = {0};
        const struct pipeline_settings settings = settings_for(3, &sink);
        struct pipeline *pipeline = pipeline_new(&settings, NULL, &err);

        assert_non_null(pipeline);
        threads_left = threads;
        assert_int_equal(pipeline_start(pipeline, &err), -EAGAIN);
        threads_left = -1;
        pipeline_free(pipeline);
        fake_sink_clear(&sink);
    }
}

static void a_stop_ends_though_a_sink_never_takes_anything(void **state)
{
    (void)state;
    struct fake_sink sink = {.busy = 1};
    struct error err = {0};
    struct pipeline_settings settings = settings_for(2, &sink);
    struct pipeline_totals totals;

    settings.flow.flows_max = 64; /* evictions: many records */
    settings.is_looped = true;
    settings.flush_ns = 50 * NS_PER_MS;
    struct pipeline *pipeline = pipeline_new(&settings, NULL, &err);

    assert_non_null(pipeline);
    assert_int_equal(pipeline_start(pipeline, &err), 0);
    (void)usleep(200000); /* until all queues and pools are full, as a rule */
    pipeline_totals_read(pipeline, &totals);
    assert_true(totals.packets > 0);
    pipeline_stop(pipeline);
    assert_int_equal(pipeline_join(pipeline, &err), 0);
    assert_true(pipeline_has_ended(pipeline));
    assert_true(pipeline_owed(pipeline) > 0);
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
        cmocka_unit_test(a_time_at_the_end_of_time_neither_hangs_nor_loses),
        cmocka_unit_test(a_frame_larger_than_a_block_is_cut),
        cmocka_unit_test(a_loop_over_nothing_ends_with_a_reason),
        cmocka_unit_test(a_start_that_fails_half_way_leaves_nothing_running),
        cmocka_unit_test(a_stop_ends_though_a_sink_never_takes_anything),
    };
    return cmocka_run_group_tests(tests, write_capture, remove_capture);
}
