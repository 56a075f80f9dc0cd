/* Decodes a capture with packet_decode, packet_tree and packet_summary, each packet in a heap block
 * of its own size, and prints one JSON object with the counts. Usage: decode_corpus FILE... Used by
 * test_corpus.py. */
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/community_id.h"
#include "sensor/wire/packet.h"
#include "sensor/wire/packet_summary.h"
#include "sensor/wire/packet_tree.h"

struct counts {
    uint64_t packets;
    uint64_t wire_bytes;
    uint64_t without_ip;
    uint64_t ipv4;
    uint64_t ipv6;
    uint64_t later_fragments;
    uint64_t first_fragments;
    uint64_t verdicts[PACKET_VERDICT_COUNT];
    uint64_t protocols[256];
    uint64_t tunnelled; /* packets with an IP header around the one that keys them */
    uint64_t tunnels[TUNNEL_TYPE_COUNT];
    uint64_t faults[LAYER_COUNT][DECODE_REASON_COUNT];
};

static void count_walk(const struct packet *packet, struct counts *counts)
{
    bool has_outer = false;

    for (unsigned i = 0; i < packet->tunnel_count && i < PACKET_TUNNELS_MAX; i++) {
        counts->tunnels[packet->tunnel_types[i]]++;
        has_outer |= packet->tunnel_offsets[i] != PACKET_NO_OUTER_IP;
    }
    counts->tunnelled += has_outer;
    counts->faults[packet->fault_layer][packet->fault_reason]++;
}

static void decode(const struct frame *frame, struct counts *counts)
{
    static struct packet_tree tree;
    static char line[PACKET_SUMMARY_BYTES];
    char hex[PACKET_HEX_LINE_BYTES];
    struct packet packet;

    counts->verdicts[packet_decode(frame, PACKET_CHECKSUMS, &packet)]++;
    count_walk(&packet, counts);
    counts->packets++;
    counts->wire_bytes += frame->wire_bytes;
    counts->without_ip += packet.ip_version == 0;
    counts->ipv4 += packet.ip_version == 4;
    counts->ipv6 += packet.ip_version == 6;
    counts->later_fragments += (packet.facts & PACKET_IS_LATER_FRAGMENT) != 0;
    counts->first_fragments +=
        (packet.facts & (PACKET_IS_FRAGMENT | PACKET_IS_LATER_FRAGMENT)) == PACKET_IS_FRAGMENT;
    if (packet.ip_version != 0) {
        counts->protocols[packet.protocol]++;
    }
    struct packet walked; /* the tree always takes the whole walk */

    (void)packet_tree_by(NULL, frame, &walked, &tree);
    if (memcmp(&walked, &packet, sizeof(packet)) != 0) {
        (void)fprintf(stderr, "packet %llu: decoded and walked differ\n",
                      (unsigned long long)counts->packets);
        abort();
    }
    (void)packet_line(counts->packets, frame, &packet, line, sizeof(line));
    for (uint32_t offset = 0; packet_hex_line(frame, offset, hex); offset += 16) {
    }
    if (getenv("DECODE_CORPUS_LINES") != NULL) {
        (void)fprintf(stderr, "%s\n", line);
    }
    if (getenv("DECODE_CORPUS_IDS") != NULL && packet.ip_version != 0) {
        struct community_id_flow flow = {.source = packet_source(&packet),
                                         .target = packet_target(&packet),
                                         .protocol = packet.protocol,
                                         .source_port = packet.source_port,
                                         .target_port = packet.target_port};
        char id[COMMUNITY_ID_TEXT_BYTES];

        if ((packet.facts & PACKET_HAS_ICMP) != 0) {
            flow.source_port = packet.icmp_type;
            flow.target_port = packet.icmp_code;
        }
        community_id_v1(&flow, 0, id);
        (void)fprintf(stderr, "%s\n", id);
    }
}

static void print_walk(const struct counts *counts)
{
    const char *separator = "";

    (void)printf(",\"tunnelled\":%" PRIu64 ",\"tunnels\":{", counts->tunnelled);
    for (unsigned type = TUNNEL_NONE + 1; type < TUNNEL_TYPE_COUNT; type++) {
        if (counts->tunnels[type] > 0) {
            (void)printf("%s\"%s\":%" PRIu64, separator, tunnel_type_name((enum tunnel_type)type),
                         counts->tunnels[type]);
            separator = ",";
        }
    }
    (void)printf("},\"faults\":{");
    separator = "";
    for (unsigned layer = LAYER_NONE + 1; layer < LAYER_COUNT; layer++) {
        for (unsigned reason = 0; reason < DECODE_REASON_COUNT; reason++) {
            if (counts->faults[layer][reason] > 0) {
                (void)printf(
                    "%s\"%s %s\":%" PRIu64, separator, wire_layer_name((enum wire_layer)layer),
                    decode_reason_name((enum decode_reason)reason), counts->faults[layer][reason]);
                separator = ",";
            }
        }
    }
    (void)printf("}");
}

static void read_file(const char *path, struct counts *counts)
{
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);
    struct pcap_pkthdr *header;
    const u_char *bytes;

    if (pcap == NULL) {
        return; /* not a capture: counts stay 0 */
    }
    while (pcap_next_ex(pcap, &header, &bytes) == 1) {
        uint8_t *copy = malloc(header->caplen > 0 ? header->caplen : 1);

        if (copy == NULL) {
            break;
        }
        memcpy(copy, bytes, header->caplen);
        const struct frame frame = {.bytes = copy,
                                    .captured_bytes = header->caplen,
                                    .wire_bytes = header->len,
                                    .time_ns = (uint64_t)header->ts.tv_sec * 1000000000U +
                                               (uint64_t)header->ts.tv_usec,
                                    .link_type = (uint16_t)pcap_datalink(pcap)};
        decode(&frame, counts);
        free(copy);
    }
    pcap_close(pcap);
}

int main(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        struct counts counts = {0};

        read_file(arguments[i], &counts);
        (void)printf("{\"file\":\"%s\",\"packets\":%" PRIu64 ",\"bytes_wire\":%" PRIu64
                     ",\"non_ip_packets\":%" PRIu64 ",\"ipv4\":%" PRIu64 ",\"ipv6\":%" PRIu64
                     ",\"first_fragments\":%" PRIu64 ",\"later_fragments\":%" PRIu64,
                     arguments[i], counts.packets, counts.wire_bytes, counts.without_ip,
                     counts.ipv4, counts.ipv6, counts.first_fragments, counts.later_fragments);
        for (unsigned verdict = 0; verdict < PACKET_VERDICT_COUNT; verdict++) {
            (void)printf(",\"%s\":%" PRIu64, packet_verdict_name(verdict),
                         counts.verdicts[verdict]);
        }
        print_walk(&counts);
        (void)printf(",\"tcp\":%" PRIu64 ",\"udp\":%" PRIu64 ",\"icmp\":%" PRIu64
                     ",\"icmpv6\":%" PRIu64 "}\n",
                     counts.protocols[6], counts.protocols[17], counts.protocols[1],
                     counts.protocols[58]);
    }
    return 0;
}
