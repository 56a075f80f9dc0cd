/* What one flow record costs to write, read and print: CPU time per record, the best of several
 * rounds.
 *
 * The record is tests/support's typical TCP flow with TLS and round trips; "numbers that differ"
 * are short flows of which no two are alike, since a processor learns the jumps of one record by
 * heart. One thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/attributes.h"
#include "base/json_writer.h"
#include "proto/codec.h"
#include "proto/json/transcoder.h"
#include "tests/support/record_random.h"

#define RECORDS 20000
#define ROUNDS  9
#define MANY    1024 /* short flows */

static struct flow_record flow, many[MANY];
static uint8_t wire[CODEC_FLOW_BYTES_MAX];
static char text[65536];
static size_t wire_bytes, text_bytes;
static const struct json_message *message;

static double cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void encode_one(void)
{
    wire_bytes = codec_encode_flow(&flow, wire, sizeof(wire));
}

static void differ_in_direction(struct record_random *random, struct flow_counters *counters)
{
    const uint64_t packets = 1 + record_random_below(random, 12);
    const uint64_t payload =
        record_random_below(random, 4) == 0
            ? 0
            : record_random_u64(random) >> (46 + record_random_below(random, 10));

    counters->delta_packets = counters->total_packets = packets;
    counters->delta_payload_bytes = counters->total_payload_bytes = payload;
    counters->delta_ip_bytes = counters->total_ip_bytes = payload + 40 * packets;
    counters->delta_bytes = counters->total_bytes = payload + 54 * packets;
}

static void differ_in_round_trip(struct record_random *random, struct flow_round_trip *rtt)
{
    rtt->samples = 1 + record_random_below(random, 5);
    rtt->min_ns = 1000U * (1 + record_random_below(random, 40000));
    rtt->mean_ns = rtt->min_ns + record_random_below(random, 10000000);
    rtt->max_ns = rtt->mean_ns + 1000U * record_random_below(random, 40000);
    rtt->last_ns = rtt->ewma_ns = rtt->mean_ns;
}

static void make_many(void)
{
    static const char *const apps[] = {"", "dns", "tls", "http", "ntp", "postgresql"};
    struct record_random random = record_random_from(1);

    for (unsigned i = 0; i < MANY; i++) {
        struct flow_record *one = &many[i];

        record_typical_flow(one);
        one->has_tls = false;
        one->server.name.length = 0;
        one->flow_id = record_random_u64(&random);
        for (unsigned at = 0; at < 4; at++) {
            one->client.ip.bytes[at] = (uint8_t)record_random_below(&random, 256);
            one->server.ip.bytes[at] = (uint8_t)record_random_below(&random, 256);
        }
        one->client.port = (uint16_t)(1024 + record_random_below(&random, 60000));
        one->server.port = (uint16_t)(record_random_below(&random, 2) == 0 ? 53 : 443);
        one->start_ns += record_random_below(&random, 2000000000);
        one->end_ns = one->start_ns + record_random_u64(&random) % 10000000000;
        one->delta_start_ns = one->start_ns;
        one->app.data = apps[record_random_below(&random, ARRAY_COUNT(apps))];
        one->app.length = (uint32_t)strlen(one->app.data);
        one->has_tcp = record_random_below(&random, 10) < 7;
        differ_in_direction(&random, &one->forward);
        differ_in_direction(&random, &one->reverse);
        differ_in_round_trip(&random, &one->tcp.client_rtt);
        differ_in_round_trip(&random, &one->tcp.server_rtt);
    }
}

static void encode_next(void)
{
    static unsigned next;

    wire_bytes = codec_encode_flow(&many[next++ % MANY], wire, sizeof(wire));
}

static void decode_one(void)
{
    static struct flow_record back;

    if (!codec_decode_flow(wire, wire_bytes, &back)) {
        abort();
    }
}

static void print_one(void)
{
    struct json_writer out;

    json_init(&out, text, sizeof(text));
    if (!json_from_wire(message, wire, wire_bytes, &out)) {
        abort();
    }
    text_bytes = out.length;
}

static void measure(const char *name, void (*one)(void), const size_t *bytes)
{
    double best = 1e18;

    for (int round = 0; round < ROUNDS; round++) {
        const double start = cpu_ns();

        for (int i = 0; i < RECORDS; i++) {
            one();
        }
        const double spent = (cpu_ns() - start) / RECORDS;

        best = spent < best ? spent : best;
    }
    (void)printf("%-30s %8.0f ns/record  (%zu bytes)\n", name, best, *bytes);
}

int main(void)
{
    message = json_message_find("netscope.v1.FlowRecord");
    record_plain_flow(&flow);
    measure("protobuf, encode, few fields", encode_one, &wire_bytes);
    record_typical_flow(&flow);
    make_many();
    measure("protobuf, numbers that differ", encode_next, &wire_bytes);
    measure("protobuf, encode", encode_one, &wire_bytes);
    measure("protobuf, decode", decode_one, &wire_bytes);
    measure("JSON from protobuf bytes", print_one, &text_bytes);
    return EXIT_SUCCESS;
}
