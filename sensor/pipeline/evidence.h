/* Packets of one second of one shard, kept in case an alert opens: what it will be shown by.
 *
 * A fixed number of slots, in buckets by address. A packet lies in the bucket of its source and in
 * that of its target; half of a bucket keeps the first packets of the second, half the last ones.
 * So whoever is named by an alert finds some of his own even when others flood. A bucket that has
 * seen many takes one in sixteen. Depends on: base, proto/record.h, wire/packet.h. Threads: owned
 * by whoever holds it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/hash.h"
#include "proto/record.h"
#include "sensor/wire/packet.h"

/* Of the packets that begin no flow and are no SYN one in so many is looked at. */
#define EVIDENCE_SKIP 16

struct evidence_packet {
    struct ip_address source, target;
    uint64_t time_ns, flow_id;
    uint64_t number; /* the shard's own, equal in both copies */
    uint32_t wire_bytes, captured_bytes;
    uint16_t kept_bytes;
    uint16_t link_type, interface;
    uint8_t direction; /* 0 unknown, 1 forward, 2 reverse */
    bool is_redacted;  /* the payload was cut off */
    uint8_t bytes[PACKET_SAMPLE_BYTES_MAX];
};

struct evidence;

/* How many packets a second's memory of `bytes` holds: 0 below the least (one bucket). */
uint32_t evidence_room(uint64_t bytes);
/* NULL with `err`: ENOMEM. `packets` as evidence_room says. Memory is touched as it is used. */
MUST_USE struct evidence *evidence_new(uint32_t packets, struct hash_key key, struct error *err);
void evidence_free(struct evidence *evidence); /* NULL is allowed */
DEFINE_AUTO(evidence, evidence_free);
void evidence_reset(struct evidence *evidence, uint64_t second);
uint64_t evidence_second(const struct evidence *evidence);
uint64_t evidence_bytes(const struct evidence *evidence);

/* The slots that a packet between these two goes to, none to two of them; whoever gets them fills
 * them. Addresses as in struct packet; one may be NULL. O(1). */
uint32_t evidence_slots(struct evidence *evidence, uint8_t ip_version, const uint8_t source[16],
                        const uint8_t target[16], struct evidence_packet *out[2]);

/* Calls `each` for every packet with this address that is kept. */
void evidence_find(const struct evidence *evidence, const struct ip_address *address,
                   void (*each)(void *context, const struct evidence_packet *packet),
                   void *context);
