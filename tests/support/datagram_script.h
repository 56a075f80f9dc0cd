/* IP fragments fed to sensor/inspect/datagrams.c, by hand or by a script of bytes; what it delivers
 * is compared with the datagram that they were cut from. Used by a unit test and a fuzz target.
 *
 * It stands in for inspect.c (inspect_payload): include it once. Depends on:
 * sensor/inspect/datagrams.h. Threads: one. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/inspect/datagrams.h"

#define PIECES_NETWORK_OFFSET 14u
#define PIECES_BLOCKS         64u
#define PIECES_BYTES          6000u
#define PIECES_EXTENSION      8u /* destination options behind the fragment header */

static struct pieces {
    struct inspect inspect;
    union {
        struct flow flow;
        struct flow_wide wide; /* with IPv6 */
    };
    uint8_t first[PIECES_BYTES]; /* of the datagram under test: what was seen first */
    bool seen[PIECES_BYTES];
    bool has_extension; /* IPv6: an extension header stands before the transport header */
    bool is_watched;    /* deliveries are compared with first[] */
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

void inspect_payload(struct inspect *inspect, const struct packet *packet, const uint8_t *frame,
                     struct flow *flow, int direction)
{
    const struct wire_span payload = {frame + packet->payload_offset,
                                      packet->payload_captured_bytes};
    const struct wire_span *bytes = &payload;
    const bool is_tcp = (packet->facts & PACKET_HAS_TCP) != 0;
    const uint32_t extension = pieces.has_extension ? PIECES_EXTENSION : 0;
    const uint32_t header =
        extension + (is_tcp ? (pieces.is_watched ? pieces.first[extension + 12] >> 4 : 5) * 4u : 8);

    (void)inspect;
    (void)flow;
    PIECES_CHECK(direction == 0);
    PIECES_CHECK((packet->facts & (PACKET_IS_FRAGMENT | PACKET_IS_LATER_FRAGMENT |
                                   PACKET_HAS_MORE_FRAGMENTS)) == 0);
    PIECES_CHECK(packet->payload_bytes >= bytes->length);
    if (bytes->length == 0) {
        return; /* as inspect.c has it */
    }
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
    struct flow_key key = {
        .low_port = 4000, .high_port = 53, .ip_version = ip_version, .protocol = protocol};
    memset(key.low_ip, 1, ip_version == 6 ? 16 : 4);
    memset(key.high_ip, 2, ip_version == 6 ? 16 : 4);
    flow_set_key(&pieces.flow, &key);
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
    const bool is_tcp = pieces.flow.key.protocol == IP_PROTOCOL_TCP;
    const uint8_t options[PIECES_EXTENSION] = {pieces.flow.key.protocol, 0, 1, 4};

    if (pieces.has_extension) {
        total -= PIECES_EXTENSION;
        if (at < PIECES_EXTENSION) {
            return options[at];
        }
        at -= PIECES_EXTENSION;
    }
    const uint8_t udp[8] = {0x0f, 0xa0, 0, 53, (uint8_t)(total >> 8), (uint8_t)total};
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

/* The IP header of a fragment; returns its length. */
static uint32_t pieces_header(const struct fragment_sent *sent, uint8_t *at)
{
    const struct flow_key whole = flow_whole_key(&pieces.flow);
    const struct flow_key *key = &whole;
    const uint32_t more = sent->is_last ? 0 : 1;

    if (key->ip_version == 6) {
        const uint32_t bytes = 8 + sent->length;
        const uint8_t next = pieces.has_extension ? IP_PROTOCOL_DESTINATION : key->protocol;
        const uint8_t header[48] = {0x60, 0, 0, 0, (uint8_t)(bytes >> 8), (uint8_t)bytes, 44, 64};
        const uint8_t fragment[8] = {next,
                                     0,
                                     (uint8_t)(sent->offset >> 8),
                                     (uint8_t)(sent->offset | more),
                                     (uint8_t)(sent->id >> 24),
                                     (uint8_t)(sent->id >> 16),
                                     (uint8_t)(sent->id >> 8),
                                     (uint8_t)sent->id};
        memcpy(at, header, 40);
        memcpy(at + 8, key->low_ip, 16);
        memcpy(at + 24, key->high_ip, 16);
        memcpy(at + 40, fragment, 8);
        return 48;
    }
    const uint32_t bytes = 20 + sent->length;
    const uint32_t offset = sent->offset / 8 | more << 13;
    const uint8_t header[20] = {0x45,
                                0,
                                (uint8_t)(bytes >> 8),
                                (uint8_t)bytes,
                                (uint8_t)(sent->id >> 8),
                                (uint8_t)sent->id,
                                (uint8_t)(offset >> 8),
                                (uint8_t)offset,
                                64,
                                key->protocol};
    memcpy(at, header, 20);
    memcpy(at + 12, key->low_ip, 4);
    memcpy(at + 16, key->high_ip, 4);
    return 20;
}

static void pieces_send(struct fragment_sent sent)
{
    const uint32_t captured_data = sent.length > sent.cut ? sent.length - sent.cut : 0;
    const bool is_v6 = pieces.flow.key.ip_version == 6;
    const uint32_t data_at = PIECES_NETWORK_OFFSET + (is_v6 ? 48 : 20);
    uint8_t *bytes = malloc(data_at + captured_data); /* exactly so long: asan sees the end */
    struct packet packet;

    PIECES_CHECK(bytes != NULL);
    memset(bytes, 0, PIECES_NETWORK_OFFSET);
    bytes[12] = is_v6 ? 0x86 : 0x08;
    bytes[13] = is_v6 ? 0xdd : 0x00;
    PIECES_CHECK(PIECES_NETWORK_OFFSET + pieces_header(&sent, bytes + PIECES_NETWORK_OFFSET) ==
                 data_at);
    /* From the start and with nothing behind it: no piece, and not part of the one under way. */
    const bool is_piece = sent.offset > 0 || !sent.is_last;
    for (uint32_t i = 0; i < captured_data; i++) {
        bytes[data_at + i] = pieces_byte(sent.offset + i, sent.total) ^ sent.twist;
        const uint32_t at = sent.offset + i;
        if (is_piece && at < PIECES_BYTES && !pieces.seen[at]) {
            pieces.seen[at] = true;
            pieces.first[at] = bytes[data_at + i];
        }
    }
    const struct frame frame = {.bytes = bytes,
                                .captured_bytes = data_at + captured_data,
                                .wire_bytes = data_at + sent.length,
                                .time_ns = sent.time_ns,
                                .link_type = LINK_ETHERNET};
    (void)packet_decode(&frame, 0, &packet);
    packet.facts |= PACKET_HAS_PORTS; /* as the table of fragments tells it */
    datagrams_add(&pieces.inspect, &pieces.flow, &packet, bytes, 0);
    free(bytes);
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
        const uint64_t completed = pieces.inspect.statistics.datagrams_completed;
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
        /* One put together may name other ports than the flow's: it ends without a delivery. */
        if (pieces.deliveries != before || script[0] % 32 == 20 ||
            pieces.inspect.statistics.datagrams_completed != completed) {
            id++;
            memset(pieces.seen, 0, sizeof(pieces.seen));
            datagrams_drop(&pieces.inspect, &pieces.flow);
        }
    }
    pieces_finish();
}
