/* The hash by which packets are dealt to shards: a function of addresses, protocol and ports, the
 * same for both directions.
 *
 * The classic BPF program of live capture (capture/live_fanout.c) computes it in the kernel over
 * what it can see, the outer header of a whole packet; whoever has decoded a packet computes it
 * here over the innermost. Where the two differ the packet goes to the wrong shard first, and is
 * handed on. So everything here is 32-bit arithmetic that BPF has. Keyed: traffic cannot choose one
 * shard. Depends on: base/hash.h, wire/packet.h. Pure, any thread. */
#pragma once

#include "base/hash.h"
#include "sensor/wire/cursor.h"
#include "sensor/wire/packet.h"

#define DEAL_MULTIPLY_1 0x9e3779b1U
#define DEAL_MULTIPLY_2 0x85ebca77U
#define DEAL_SHIFT_1    15
#define DEAL_SHIFT_2    13

/* The program's constants. */
struct deal_key {
    uint32_t address, port;
};

static inline struct deal_key deal_key_of(struct hash_key key)
{
    return (struct deal_key){(uint32_t)(key.a >> 32) ^ (uint32_t)key.b,
                             (uint32_t)(key.b >> 32) ^ (uint32_t)key.a};
}

static inline uint32_t deal_mix(uint32_t value, uint32_t key)
{
    value = (value ^ key) * DEAL_MULTIPLY_1;
    value = (value ^ value >> DEAL_SHIFT_1) * DEAL_MULTIPLY_2;
    return value ^ value >> DEAL_SHIFT_2;
}

/* A sum over both ends is the same in both directions. */
static inline uint32_t deal_one_end(const uint8_t *ip, uint8_t ip_version, uint32_t key)
{
    uint32_t end = deal_mix(wire_u32(ip), key);

    for (int word = 1; ip_version == 6 && word < 4; word++) {
        end = deal_mix(end + wire_u32(ip + 4 * word), key);
    }
    return end;
}

static inline uint32_t deal_finish(uint32_t hash)
{
    return deal_mix(hash, 0); /* the modulo takes the low bits: all others must reach them */
}

/* Protocols whose ports count, here and in the program. */
static inline bool deal_has_ports(uint8_t protocol)
{
    return protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_UDP ||
           protocol == IP_PROTOCOL_SCTP || protocol == IP_PROTOCOL_UDPLITE ||
           protocol == IP_PROTOCOL_DCCP;
}

/* By addresses alone: as the program does with fragments, and with protocols without ports. */
static inline uint32_t deal_hash_addresses(const uint8_t *source, const uint8_t *target,
                                           uint8_t ip_version, struct deal_key key)
{
    return deal_finish(deal_one_end(source, ip_version, key.address) +
                       deal_one_end(target, ip_version, key.address));
}

/* By what keys its flow; ip_version is not 0. */
static inline uint32_t deal_hash(const struct packet *packet, struct deal_key key)
{
    uint32_t hash = deal_one_end(packet->source_ip, packet->ip_version, key.address) +
                    deal_one_end(packet->target_ip, packet->ip_version, key.address);

    if (deal_has_ports(packet->protocol)) {
        hash += deal_mix(packet->source_port, key.port) + deal_mix(packet->target_port, key.port);
    }
    return deal_finish(hash);
}
