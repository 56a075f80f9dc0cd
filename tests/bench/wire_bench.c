/* ns per packet of packet_decode: the plain walk, and tunnels around it. Usage: wire_bench
 * [rounds]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sensor/wire/packet.h"

static double now_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const uint8_t ethernet[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
static const uint8_t ip[] = {0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
static const uint8_t tcp[] = {0x9c, 0x40, 1, 0xbb, 0, 0, 0, 1,  0, 0, 0, 2, 0x80, 16, 255, 255,
                              0,    0,    0, 0,    1, 1, 8, 10, 0, 0, 0, 1, 0,    0,  0,   2};
static const uint8_t udp[] = {0x9c, 0x40, 0x30, 0x39, 0, 0, 0, 0};
static const uint8_t vxlan_udp[] = {0x9c, 0x40, 0x12, 0xb5, 0, 0, 0, 0};
static const uint8_t vxlan[] = {8, 0, 0, 0, 0, 0, 7, 0};
static const uint8_t gre[] = {0, 0, 8, 0};
static const uint8_t vlan[] = {0, 7, 8, 0};

struct part {
    const uint8_t *bytes;
    size_t length;
};

#define PART(bytes) ((struct part){bytes, sizeof(bytes)})

static uint8_t frame_bytes[512];

static struct frame make(const struct part *parts, size_t count)
{
    size_t length = 0;

    for (size_t i = 0; i < count; i++) {
        memcpy(frame_bytes + length, parts[i].bytes, parts[i].length);
        length += parts[i].length;
    }
    length += 64;
    for (size_t i = 0, at = 0; i < count; at += parts[i++].length) {
        const uint8_t *next = i + 1 < count ? parts[i + 1].bytes : NULL;

        if (parts[i].bytes == ip) {
            frame_bytes[at + 2] = (uint8_t)((length - at) >> 8);
            frame_bytes[at + 3] = (uint8_t)(length - at);
            frame_bytes[at + 9] = next == tcp ? 6 : next == gre ? 47 : next == ip ? 4 : 17;
        } else if (parts[i].bytes == udp || parts[i].bytes == vxlan_udp) {
            frame_bytes[at + 5] = (uint8_t)(length - at);
        } else if (parts[i].bytes == ethernet && next == vlan) {
            frame_bytes[at + 12] = 0x81;
            frame_bytes[at + 13] = 0;
        }
    }
    return (struct frame){.bytes = frame_bytes,
                          .captured_bytes = (uint32_t)length,
                          .wire_bytes = (uint32_t)length,
                          .link_type = LINK_ETHERNET};
}

static void measure(const char *name, const struct part *parts, size_t count, uint64_t rounds)
{
    const struct frame frame = make(parts, count);
    struct packet packet;
    uint64_t sum = 0;
    double best = 1e9;

    for (int run = 0; run < 5; run++) {
        const double start = now_seconds();
        for (uint64_t i = 0; i < rounds; i++) {
            frame_bytes[sizeof(ethernet) + 5] = (uint8_t)i;
            (void)packet_decode(&frame, PACKET_CHECKSUMS, &packet);
            sum += packet.payload_offset + packet.target_port;
        }
        const double ns = (now_seconds() - start) * 1e9 / (double)rounds;
        best = ns < best ? ns : best;
    }
    printf("%-24s %6.1f ns  (%s, payload at %u, %llu)\n", name, best,
           packet_verdict_name((enum packet_verdict)packet.verdict), packet.payload_offset,
           (unsigned long long)(sum % 7));
}

int main(int count, char **arguments)
{
    const uint64_t rounds = count > 1 ? strtoull(arguments[1], NULL, 10) : 5000000;
    const struct part e = PART(ethernet), i = PART(ip), t = PART(tcp), u = PART(udp);
    const struct part vu = PART(vxlan_udp), vx = PART(vxlan), g = PART(gre), v = PART(vlan);

    measure("Ethernet IPv4 TCP", (const struct part[]){e, i, t}, 3, rounds);
    measure("Ethernet IPv4 UDP", (const struct part[]){e, i, u}, 3, rounds);
    measure("802.1Q IPv4 TCP", (const struct part[]){e, v, i, t}, 4, rounds);
    measure("IPv4 in IPv4", (const struct part[]){e, i, i, t}, 4, rounds);
    measure("GRE", (const struct part[]){e, i, g, i, t}, 5, rounds);
    measure("VXLAN", (const struct part[]){e, i, vu, vx, e, i, t}, 7, rounds);
    return 0;
}
