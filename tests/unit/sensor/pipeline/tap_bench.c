#include "tap_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tests/support/packet_builder.h"

const struct tap_policy bench_policy = {.mode = TAP_FULL,
                                        .at_once = 2,
                                        .snaplen_bytes = 262144,
                                        .packets_max = 1000000,
                                        .bytes_max = 1 << 30,
                                        .duration_ns = 60 * NS_PER_SEC,
                                        .queue_bytes = 1 << 20};
_Atomic bool bench_input_is_over;

void bench_name_of(void *context, uint16_t interface, char *out, size_t capacity)
{
    (void)context;
    (void)snprintf(out, capacity, "if%u", interface);
}

static const char *over(void *context)
{
    (void)context;
    return bench_input_is_over ? "input_ended" : NULL;
}

struct tap_source bench_source_of(uint32_t interfaces)
{
    struct tap_source source = {.interfaces_count = interfaces,
                                .link_type = LINK_ETHERNET,
                                .is_mixed = true,
                                .name_of = bench_name_of,
                                .over = over};

    for (uint32_t i = 0; i < interfaces; i++) {
        source.interfaces[i] =
            (struct tap_interface){.number = (uint16_t)i, .link_type = LINK_ETHERNET};
        bench_name_of(NULL, (uint16_t)i, source.interfaces[i].name, TAP_NAME_BYTES);
    }
    return source;
}

static uint8_t bytes[2][256];
struct frame bench_frames[2];
struct packet bench_packets[2];

int bench_build(void **state)
{
    static const uint8_t data[100] = {1};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct packet_builder b;

        build_start(&b, bytes[i], sizeof(bytes[i]));
        build_ethernet(&b);
        build_ipv4(&b, (struct build_ip){.source = "10.0.0.1", .target = "10.0.0.2"});
        if (i == 0) {
            build_udp(&b, 4000, 53);
        } else {
            build_tcp(&b, (struct build_tcp){.source_port = 4000, .target_port = 80, .flags = 2});
        }
        build_bytes(&b, data, sizeof(data));
        bench_frames[i] = build_frame(&b, 1);
        assert_true(packet_decode(&bench_frames[i], 0, &bench_packets[i]) == PACKET_OK);
    }
    bench_input_is_over = false;
    return 0;
}

void bench_offer(struct tap_set *set, uint32_t shard, int kind, uint64_t time_ns,
                 uint16_t interface)
{
    struct frame frame = bench_frames[kind];

    frame.time_ns = time_ns;
    frame.interface = interface;
    if (tap_set_is_open(set)) {
        tap_set_offer(set, shard, &frame, &bench_packets[kind], 1);
    }
}

struct bench_packet bench_found[BENCH_PACKETS_MAX];
uint32_t bench_found_count, bench_blocks_count;

static uint32_t u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static void read_blocks(const uint8_t *at, size_t length)
{
    while (length > 0) {
        const uint32_t block = u32(at + 4);

        assert_true(block <= length && block % 4 == 0);
        assert_int_equal(u32(at + block - 4), block);
        if (u32(at) == 6) {
            bench_found[bench_found_count++] =
                (struct bench_packet){.block = u32(at + 8),
                                      .captured = u32(at + 20),
                                      .wire = u32(at + 24),
                                      .time_ns = (uint64_t)u32(at + 12) << 32 | u32(at + 16)};
        } else {
            bench_blocks_count += u32(at) == 1;
        }
        at += block;
        length -= block;
    }
}

bool bench_read_on(struct tap *tap)
{
    static uint8_t room[TAP_ROOM_BYTES];

    for (size_t length; (length = tap_read(tap, room, sizeof(room))) > 0;) {
        read_blocks(room, length);
    }
    return tap_is_over(tap);
}

void bench_read_all(struct tap *tap)
{
    while (!bench_read_on(tap)) {
        const struct timespec pause = {0, NS_PER_MS};

        (void)nanosleep(&pause, NULL);
    }
}

struct tap_bench bench_start_by(const struct tap_policy *by, uint32_t shards,
                                const struct tap_source *source, const struct tap_request *request)
{
    struct error err = {0};
    struct tap_bench f = {.set = tap_set_new(by, shards, &err)};

    bench_found_count = bench_blocks_count = 0;
    assert_non_null(f.set);
    f.tap = tap_new(f.set, source, request, &err);
    if (f.tap == NULL || tap_start(f.tap, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return f;
}

struct tap_bench bench_start(uint32_t shards, const struct tap_request *request)
{
    const struct tap_source source = bench_source_of(2);

    return bench_start_by(&bench_policy, shards, &source, request);
}

void bench_stop(struct tap_bench *f)
{
    tap_free(f->tap);
    assert_false(tap_set_is_open(f->set));
    assert_int_equal(f->set->running, 0);
    tap_set_free(f->set);
}

struct tap_counts bench_counts_of(const struct tap_bench *f)
{
    struct tap_counts counts;

    tap_counts_read(f->tap, &counts);
    return counts;
}
