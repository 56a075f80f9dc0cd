/* --synthetic-flows: what one flow costs in a compact table, without any traffic. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/process.h"
#include "sensor/app.h"
#include "sensor/flow/flow_table.h"

#define BATCH 64

/* UDP from 10.0.0.0/8 and up to 1024 ports each to one server: all keys differ. */
static void make_packet(struct packet *packet, uint32_t number)
{
    const uint32_t host = number >> 10;

    memset(packet, 0, sizeof(*packet));
    packet->ip_version = 4;
    packet->protocol = IP_PROTOCOL_UDP;
    packet->facts = PACKET_HAS_PORTS;
    packet->source_ip[0] = 10;
    packet->source_ip[1] = (uint8_t)(host >> 16);
    packet->source_ip[2] = (uint8_t)(host >> 8);
    packet->source_ip[3] = (uint8_t)host;
    packet->target_ip[0] = 192;
    packet->target_ip[2] = 2;
    packet->target_ip[3] = 1;
    packet->source_port = (uint16_t)(1024 + (number & 1023));
    packet->target_port = 9;
    packet->wire_bytes = 60;
    packet->ip_bytes = 46;
    packet->time_ns = UINT64_C(1700000000) * NS_PER_SEC + number;
}

int app_synthetic_flows(uint32_t flows, struct error *err)
{
    const uint64_t before = process_resident_bytes();
    const struct flow_settings settings = {.flows_max = flows, .key = hash_key_random()};
    const struct flow_observer observer = {0};
    AUTO(flow_table) table = flow_table_new(&settings, &observer, err);
    struct packet packets[BATCH];
    const uint8_t *frames[BATCH] = {0};

    if (table == NULL) {
        return EXIT_FAILURE;
    }
    const uint64_t start_ns = clock_monotonic_ns();

    for (uint32_t done = 0; done < flows;) {
        const uint32_t count = flows - done < BATCH ? flows - done : BATCH;

        for (uint32_t i = 0; i < count; i++) {
            make_packet(&packets[i], done + i);
        }
        (void)flow_table_add_batch(table, packets, frames, count);
        done += count;
    }
    const double seconds = (double)(clock_monotonic_ns() - start_ns) * 1e-9;
    const uint64_t resident = process_resident_bytes();

    (void)printf("flows: %u inserted, %u held\n", flows, flow_table_count(table));
    (void)printf("insert time: %.3f s (%.1f ns per flow)\n", seconds, seconds * 1e9 / flows);
    (void)printf("table: %.1f bytes per flow (%llu bytes)\n",
                 (double)flow_table_memory_bytes(table) / flows,
                 (unsigned long long)flow_table_memory_bytes(table));
    (void)printf("rss: %llu bytes (%.1f per flow over the start)\n", (unsigned long long)resident,
                 (double)(resident - before) / flows);
    return EXIT_SUCCESS;
}
