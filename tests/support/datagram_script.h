/* IP fragments fed to sensor/inspect/datagrams.c, by hand or by a script of bytes; what it delivers
 * is compared with the datagram that they were cut from. Used by a unit test and a fuzz target.
 *
 * It stands in for inspect.c (inspect_transport): include it once. Depends on:
 * sensor/inspect/datagrams.h. Threads: one. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/inspect/datagrams.h"

#define PIECES_NETWORK_OFFSET 14u
#define PIECES_HEADERS        48u /* of IP, IPv6 with its fragment header */
#define PIECES_BLOCKS         64u
#define PIECES_BYTES          6000u

static struct pieces {
    struct inspect inspect;
    struct flow flow;
    uint8_t first[PIECES_BYTES]; /* of the datagram under test: what was seen first */
    bool seen[PIECES_BYTES];
    bool is_watched; /* deliveries are compared with first[] */
    uint32_t deliveries;
    uint32_t delivered_bytes, declared_bytes; /* of the last payload */
    uint64_t delivered_ns;
    uint16_t source_port;
    uint32_t tcp_seq;
    unsigned seed;
} pieces;

static void pieces_check(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "fragment script %u: %s\n", pieces.seed, what);
        abort();
    }
}
#define PIECES_CHECK(holds) pieces_check((holds), #holds)

void inspect_transport(struct inspect *inspect, struct flow *flow, const struct packet *packet,
                       const struct wire_span *bytes, int direction)
{
    const bool is_tcp = (packet->facts & PACKET_HAS_TCP) != 0;
    const uint32_t header = is_tcp ? (pieces.is_watched ? pieces.first[12] >> 4 : 5) * 4u : 8;

    (void)inspect;
    (void)flow;
    PIECES_CHECK(direction == 0);
    PIECES_CHECK((packet->facts & (PACKET_IS_FRAGMENT | PACKET_IS_LATER_FRAGMENT |
                                   PACKET_HAS_MORE_FRAGMENTS)) == 0);
    PIECES_CHECK(packet->payload_captured_bytes == bytes->length);
    PIECES_CHECK(packet->payload_bytes >= bytes->length);
    for (uint32_t i = 0; pieces.is_watched && i < bytes->length; i++) {
        PIECES_CHECK(header + i < PIECES_BYTES && pieces.seen[header + i]);
        PIECES_CHECK(bytes->bytes[i] == pieces.first[header + i]);
    }
    pieces.deliveries++;
    pieces.delivered_bytes = bytes->length;
    pieces.declared_bytes = packet->payload_bytes;
    pieces.delivered_ns = packet->time_ns;
    pieces.source_port = packet->source_port;
    pieces.tcp_seq = packet->tcp_seq;
}

static void pieces_start(uint8_t ip_version, uint8_t protocol, uint32_t datagrams_max)
{
    const unsigned seed = pieces.seed;
    struct error err;

    memset(&pieces, 0, sizeof(pieces));
    pieces.seed = seed;
    pieces.inspect.blocks = calloc(PIECES_BLOCKS, sizeof(struct inspect_block));
    pieces.inspect.blocks_max = PIECES_BLOCKS;
    pieces.inspect.datagrams_max = datagrams_max;
    pieces.inspect.datagram_timeout_ns = 30000;
    PIECES_CHECK(pieces.inspect.blocks != NULL &&
                 byte_pool_init(&pieces.inspect.held, 1 << 20, &err));
    pieces.flow.key.ip_version = ip_version;
    pieces.flow.key.protocol = protocol;
}

static void pieces_finish(void)
{
    const struct packet last = {.time_ns = 99};

    datagrams_finish(&pieces.inspect, &pieces.flow, &last);
    datagrams_drop(&pieces.inspect, &pieces.flow);
    PIECES_CHECK(pieces.inspect.held.used_bytes == 0);
    PIECES_CHECK(pieces.inspect.statistics.states_used == 0);
    PIECES_CHECK(pieces.inspect.statistics.datagrams_used == 0);
    byte_pool_fini(&pieces.inspect.held);
    free(pieces.inspect.blocks);
}

/* The datagram: a header of TCP or UDP with port 4000 and sequence number 0x01020304, then bytes
 * that tell where they are. */
static uint8_t pieces_byte(uint32_t at, uint32_t total)
{
    static const uint8_t tcp[20] = {0x0f, 0xa0, 0, 53, 1, 2, 3, 4, 0, 0, 0, 9, 0x50, 0x10};
    const uint8_t udp[8] = {0x0f, 0xa0, 0, 53, (uint8_t)(total >> 8), (uint8_t)total};
    const bool is_tcp = pieces.flow.key.protocol == IP_PROTOCOL_TCP;

    if (at < (is_tcp ? sizeof(tcp) : sizeof(udp))) {
        return is_tcp ? tcp[at] : udp[at];
    }
    return (uint8_t)(at * 7 + (at >> 8));
}

struct fragment_sent {
    uint32_t id, offset, length;
    uint32_t total; /* of the datagram, as its UDP header says */
    uint32_t cut;   /* bytes that the capture left out */
    bool is_last;
    uint8_t twist;
    uint64_t time_ns;
};

static void pieces_send(struct fragment_sent sent)
{
    const uint32_t captured_data = sent.length > sent.cut ? sent.length - sent.cut : 0;
    const uint32_t data_at = PIECES_NETWORK_OFFSET + PIECES_HEADERS;
    const uint32_t header = pieces.flow.key.protocol == IP_PROTOCOL_TCP ? 20 : 8;
    uint8_t *frame = malloc(data_at + captured_data); /* exactly so long: asan sees the end */
    struct packet packet = {.ip_version = pieces.flow.key.ip_version,
                            .protocol = pieces.flow.key.protocol,
                            .facts = PACKET_IS_FRAGMENT | PACKET_HAS_PORTS,
                            .ip_id = sent.id,
                            .fragment_offset_bytes = (uint16_t)sent.offset,
                            .network_offset = PIECES_NETWORK_OFFSET,
                            .transport_offset = (uint16_t)data_at,
                            .ip_bytes = PIECES_HEADERS + sent.length,
                            .captured_bytes = data_at + captured_data,
                            .time_ns = sent.time_ns};

    PIECES_CHECK(frame != NULL);
    memset(frame, 0xee, data_at);
    for (uint32_t i = 0; i < captured_data; i++) {
        frame[data_at + i] = pieces_byte(sent.offset + i, sent.total) ^ sent.twist;
        const uint32_t at = sent.offset + i;
        if (at < PIECES_BYTES && !pieces.seen[at]) {
            pieces.seen[at] = true;
            pieces.first[at] = frame[data_at + i];
        }
    }
    packet.facts |= sent.is_last ? 0 : PACKET_HAS_MORE_FRAGMENTS;
    if (sent.offset > 0) {
        packet.facts |= PACKET_IS_LATER_FRAGMENT;
        packet.payload_offset = data_at;
        packet.payload_bytes = sent.length;
        packet.payload_captured_bytes = captured_data;
    } else if (captured_data >= header) {
        packet.payload_offset = data_at + header;
        packet.payload_bytes = sent.length - header;
        packet.payload_captured_bytes = captured_data - header;
    } /* else the decoder found no transport header */
    datagrams_add(&pieces.inspect, &pieces.flow, &packet, frame, 0);
    free(frame);
    PIECES_CHECK(pieces.inspect.statistics.datagrams_used <= pieces.inspect.datagrams_max);
    PIECES_CHECK(pieces.inspect.held.used_bytes <= DATAGRAMS_FLOW_MAX * BYTE_POOL_BLOCK_MAX);
}

/* Five bytes a step: what, offset (2, in 8 bytes), length, twist. One datagram at a time: with a
 * second delivery the bytes seen first begin anew. */
static void pieces_script(const uint8_t *script, size_t size)
{
    const uint8_t kind = size > 0 ? script[0] : 0;
    uint32_t id = 1;

    pieces_start(kind & 1 ? 6 : 4, kind & 2 ? IP_PROTOCOL_TCP : IP_PROTOCOL_UDP, 1);
    pieces.is_watched = true;
    for (; size >= 5; script += 5, size -= 5) {
        const uint32_t offset = ((uint32_t)script[1] << 8 | script[2]) % (script[0] & 4 ? 700 : 8);
        const uint32_t before = pieces.deliveries;
        if (offset * 8 + script[3] > PIECES_BYTES) {
            continue;
        }
        pieces_send((struct fragment_sent){.id = id,
                                           .offset = offset * 8,
                                           .length = script[3] & 128 ? 8 : script[3],
                                           .total = 500,
                                           .is_last = script[0] % 16 == 3,
                                           .twist = script[0] % 32 == 7 ? script[4] : 0,
                                           .cut = script[0] % 64 == 9 ? script[4] : 0});
        PIECES_CHECK(pieces.deliveries <= before + 1);
        if (pieces.deliveries != before || script[0] % 32 == 20) {
            id++;
            memset(pieces.seen, 0, sizeof(pieces.seen));
            datagrams_drop(&pieces.inspect, &pieces.flow);
        }
    }
    pieces_finish();
}
