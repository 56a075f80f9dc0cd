/* Prints random records, one a line: message name, wire bytes in hex, our JSON. For
 * compare_json.py. */
#include <stdio.h>

#include "proto/codec.h"
#include "proto/json/transcoder.h"
#include "tests/support/record_random.h"

static uint8_t bytes[4 * CODEC_STATS_BYTES_MAX];
static char json[1 << 21];
static union {
    struct flow_record flow;
    struct alert_record alert;
    struct stats_record stats;
    struct packet_sample packet;
} record;

static void print(const char *name, size_t length)
{
    struct json_writer out;
    json_init(&out, json, sizeof json);
    const bool ok = json_from_wire(json_message_find(name), bytes, length, &out);
    printf("%s\t", name);
    for (size_t i = 0; i < length; i++) {
        printf("%02x", bytes[i]);
    }
    printf("\t%.*s\n", ok && !out.overflow ? (int)out.length : 0, json);
}

int main(void)
{
    struct record_random random = record_random_from(20);
    for (int i = 0; i < 200; i++) {
        record_random_flow(&random, &record.flow);
        print("netscope.v1.FlowRecord", codec_encode_flow(&record.flow, bytes, sizeof bytes));
    }
    for (int i = 0; i < 50; i++) {
        record_random_alert(&random, &record.alert);
        print("netscope.v1.AlertRecord", codec_encode_alert(&record.alert, bytes, sizeof bytes));
        record_random_stats(&random, &record.stats);
        print("netscope.v1.StatsRecord", codec_encode_stats(&record.stats, bytes, sizeof bytes));
        record_random_packet(&random, &record.packet);
        print("netscope.v1.PacketSample", codec_encode_packet(&record.packet, bytes, sizeof bytes));
    }
    return 0;
}
