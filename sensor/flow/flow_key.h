/* The 5-tuple in canonical order, so that both directions have one key, and its keyed hash.
 *
 * `low` is the smaller endpoint by version, address, port. ICMP and ICMPv6 have the two "ports" of
 * Community ID v1 (type and its counterpart, else type and code), so that a request and its reply
 * are one flow. A packet without ports (a later fragment, GRE, a cut header) is keyed by its
 * addresses and protocol. VLANs do not split a flow.
 *
 * Networks inside tunnels may use the same addresses, so the key has the packet's tenant (see
 * packet_tenant) too. Some name a network differently by direction (OVN and asymmetric routing use
 * the identifier of where the packet goes), so the hash leaves it out: flow_index_find sees all
 * flows of a 5-tuple and gives answers under another name to the flow that has none. TEIDs, labels
 * and sessions are no part of it. Depends on: base, wire/packet.h. Pure, any thread. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "sensor/wire/packet.h"

struct flow_key {
    uint8_t low_ip[16]; /* network order; IPv4 in the first four, the rest 0 */
    uint8_t high_ip[16];
    uint16_t low_port;
    uint16_t high_port;
    uint8_t protocol;
    uint8_t ip_version;
    uint16_t tenant; /* of the flow's first packet */
};
static_assert(sizeof(struct flow_key) == 40, "a key is five words");

/* The ports of `packet` as the key has them: those of TCP, UDP, SCTP; Community ID's for ICMP. */
void flow_key_ports(const struct packet *packet, uint16_t *source_port, uint16_t *target_port);

/* Fills `key`; true when the packet's source is the high endpoint. `packet->ip_version` is not 0.
 */
bool flow_key_of(const struct packet *packet, struct flow_key *key);

/* Same for both directions and all tenants. Bits 32..63 choose the bucket and 16..31 the tag, so a
 * dispatcher deals by the low 16 bits. */
uint64_t flow_key_hash(const struct flow_key *key, struct hash_key secret);

/* Bits of the last word that are no tenant. */
#define FLOW_KEY_TUPLE_MASK UINT64_C(0x0000ffffffffffff)
static_assert(offsetof(struct flow_key, tenant) == 38, "the tenant ends the key");

/* The same 5-tuple, of any tenant. */
static inline bool flow_key_same_tuple(const struct flow_key *a, const struct flow_key *b)
{
    uint64_t x[5], y[5];

    memcpy(x, a, sizeof(x));
    memcpy(y, b, sizeof(y));
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) |
            ((x[4] ^ y[4]) & FLOW_KEY_TUPLE_MASK)) == 0;
}

static inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
    uint64_t x[5], y[5];

    memcpy(x, a, sizeof(x));
    memcpy(y, b, sizeof(y));
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}
