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
    record_plain_flow(&flow);
    measure("protobuf, encode, few fields", encode_one, &wire_bytes);
    record_typical_flow(&flow);
    measure("protobuf, encode", encode_one, &wire_bytes);
    measure("protobuf, decode", decode_one, &wire_bytes);
    measure("JSON from protobuf bytes", print_one, &text_bytes);
    return EXIT_SUCCESS;
}
