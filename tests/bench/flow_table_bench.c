/* ns per packet of decode and flow table with many concurrent flows in random order, and memory per
 * flow. Usage: flow_table_bench [flows] [packets]. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sensor/flow/flow_table.h"

#define FRAME_BYTES 54

static double now_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Ethernet, IPv4, TCP with ACK; the flow's number is its source address and port. */
static void make_frame(uint8_t *frame, uint32_t flow, uint32_t seq)
{
    static const uint8_t head[] = {2,  0, 0, 0, 0, 1,  2, 0, 0, 0,  0, 2, 8, 0,   0x45, 0, 0,
                                   40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 0, 192, 0,    2, 1};

    memset(frame, 0, FRAME_BYTES);
    memcpy(frame, head, sizeof(head));
    frame[27] = (uint8_t)(flow >> 24);
    frame[28] = (uint8_t)(flow >> 16);
    frame[29] = (uint8_t)(flow >> 8);
    frame[34] = 0x80;
    frame[35] = (uint8_t)flow;
    frame[36] = 1;
    frame[37] = 0xbb;
    frame[38] = (uint8_t)(seq >> 24);
    frame[39] = (uint8_t)(seq >> 16);
    frame[40] = (uint8_t)(seq >> 8);
    frame[41] = (uint8_t)seq;
    frame[46] = 0x50;
    frame[47] = TCP_ACK;
    frame[48] = 0xff;
}

static double run(uint32_t flows, uint32_t packets_total, bool is_measured)
{
    const struct flow_settings settings = {.flows_max = flows + flows / 5,
                                           .idle_timeout_ns = UINT64_C(60000000000),
                                           .active_timeout_ns = UINT64_C(60000000000),
                                           .first_update_ns = UINT64_C(5000000000),
                                           .measure_rtt = is_measured,
                                           .measure_retransmissions = is_measured,
                                           .measure_out_of_order = is_measured,
                                           .key = hash_key_random()};
    const struct flow_observer nobody = {.context = NULL};
    struct error err;
    AUTO(flow_table) table = flow_table_new(&settings, &nobody, &err);
    uint8_t *bytes = malloc((size_t)packets_total * FRAME_BYTES);
    struct packet packets[FLOW_BATCH_MAX];
    const uint8_t *frames[FLOW_BATCH_MAX];
    uint64_t random = 1;

    if (table == NULL || bytes == NULL) {
        fprintf(stderr, "flow_table_bench: no memory\n");
        exit(1);
    }
    for (uint32_t i = 0; i < packets_total; i++) {
        random = random * UINT64_C(6364136223846793005) + 1;
        const uint32_t flow = i < flows ? i : (uint32_t)((random >> 33) % flows);
        make_frame(bytes + (size_t)i * FRAME_BYTES, flow, i);
    }
    const double start = now_seconds();
    for (uint32_t i = 0; i < packets_total;) {
        uint32_t n = 0;
        for (; n < FLOW_BATCH_MAX && i < packets_total; n++, i++) {
            const struct frame frame = {.bytes = bytes + (size_t)i * FRAME_BYTES,
                                        .captured_bytes = FRAME_BYTES,
                                        .wire_bytes = FRAME_BYTES,
                                        .time_ns = UINT64_C(1000000000) + i * UINT64_C(1000),
                                        .link_type = LINK_ETHERNET};
            frames[n] = frame.bytes;
            packet_decode(&frame, 0, &packets[n]);
        }
        (void)flow_table_add_batch(table, packets, frames, n);
        (void)flow_table_advance(table, packets[n - 1].time_ns, 256);
    }
    const double spent = now_seconds() - start;
    printf("%s: %.0f ns/packet, %u flows, %.0f bytes/flow of capacity\n",
           is_measured ? "full   " : "compact", spent * 1e9 / packets_total,
           flow_table_count(table),
           (double)flow_table_memory_bytes(table) / flow_table_capacity(table));
    free(bytes);
    return spent;
}

int main(int argc, char **argv)
{
    const uint32_t asked = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    const uint32_t flows = asked > 0 ? asked : 1000000;
    const uint32_t packets = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 10000000;

    (void)run(flows, packets, true);
    (void)run(flows, packets, false);
    return 0;
}
