/* What tests of captures on request stand on: two packets, a set with one capture, and what that
 * wrote, read back.
 *
 * Depends on: cmocka, sensor/pipeline/tap.h, tests/support. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sensor/pipeline/tap.h"

#define BENCH_PACKETS_MAX 70000

struct tap_bench {
    struct tap_set *set;
    struct tap *tap;
};

extern const struct tap_policy bench_policy;
extern _Atomic bool bench_input_is_over; /* what the source says */
extern struct frame bench_frames[2];     /* UDP to port 53, TCP to port 80 */
extern struct packet bench_packets[2];   /* the same, decoded */

/* Setup: makes the packets. */
int bench_build(void **state);
/* Ethernet, interfaces "if0", "if1", ... */
void bench_name_of(void *context, uint16_t interface, char *out, size_t capacity);
struct tap_source bench_source_of(uint32_t interfaces);
/* A set, and a capture in it that runs. */
struct tap_bench bench_start_by(const struct tap_policy *by, uint32_t shards,
                                const struct tap_source *source, const struct tap_request *request);
struct tap_bench bench_start(uint32_t shards, const struct tap_request *request);
/* Nothing is left of it. */
void bench_stop(struct tap_bench *f);
struct tap_counts bench_counts_of(const struct tap_bench *f);
/* One packet from a shard: `kind` 0 UDP, 1 TCP. */
void bench_offer(struct tap_set *set, uint32_t shard, int kind, uint64_t time_ns,
                 uint16_t interface);

struct bench_packet {
    uint32_t block, captured, wire;
    uint64_t time_ns;
};
/* What was read since bench_start: packets, and blocks that tell of interfaces. */
extern struct bench_packet bench_found[BENCH_PACKETS_MAX];
extern uint32_t bench_found_count, bench_blocks_count;

/* Reads all there is now; true: the capture is over. */
bool bench_read_on(struct tap *tap);
/* Until it is over. */
void bench_read_all(struct tap *tap);
