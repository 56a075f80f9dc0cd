/* What one flow record costs to write, read and print: CPU time per record, the best of several
 * rounds.
 *
 * The record is tests/support's typical TCP flow with TLS and round trips. One thread. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json_writer.h"
#include "proto/codec.h"
#include "proto/json/transcoder.h"
#include "tests/support/record_random.h"

#define RECORDS 20000
#define ROUNDS  9

static struct flow_record flow;
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

/* A TCP flow as a plain exporter tells it: addresses, times, counters, flags, some 25 fields. */
static void keep_few_fields(void)
{
    flow.flow_id = 0;
    flow.delta_start_ns = 0;
    flow.server.name.length = 0;
    flow.app.length = flow.app_method.length = 0;
    flow.app_confidence = 0;
    flow.community_id.length = 0;
    flow.tcp.is_measured = false;
    flow.forward.delta_packets = flow.forward.delta_bytes = flow.forward.delta_payload_bytes = 0;
    flow.reverse.delta_packets = flow.reverse.delta_bytes = flow.reverse.delta_payload_bytes = 0;
    flow.forward.delta_ip_bytes = flow.reverse.delta_ip_bytes = 0;
}

static void encode_one(void)
{
    wire_bytes = codec_encode_flow(&flow, wire, sizeof(wire));
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
    (void)printf("%-28s %8.0f ns/record  (%zu bytes)\n", name, best, *bytes);
}

int main(void)
{
    message = json_message_find("netscope.v1.FlowRecord");
    record_typical_flow(&flow);
    keep_few_fields();
    measure("protobuf, encode, few fields", encode_one, &wire_bytes);
    record_typical_flow(&flow);
    measure("protobuf, encode", encode_one, &wire_bytes);
    measure("protobuf, decode", decode_one, &wire_bytes);
    measure("JSON from protobuf bytes", print_one, &text_bytes);
    return EXIT_SUCCESS;
}
