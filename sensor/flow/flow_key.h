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

#include "base/attributes.h"
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

/* A key in two words, as flows have it: IPv4 addresses in network order; of IPv6 ones the last
 * word, the whole ones stand elsewhere. */
struct flow_short_key {
    uint32_t low, high;
    uint16_t low_port;
    uint16_t high_port;
    uint8_t protocol;
    uint8_t ip_version;
    uint16_t tenant;
};
static_assert(sizeof(struct flow_short_key) == 16, "two words");

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

/* flow_key_hash of IPv4: `addresses` are the first word of the short key, `rest` the second. */
static inline uint64_t flow_key_hash_ipv4(uint64_t addresses, uint64_t rest, struct hash_key secret)
{
    const uint64_t tuple = rest & FLOW_KEY_TUPLE_MASK;

    return hash_fold(hash_fold(addresses ^ secret.a, tuple ^ secret.b) ^ secret.b,
                     UINT64_C(0x9e3779b97f4a7c15) ^ secret.a);
}

/* flow_key_of and its hash for IPv4 in one, in registers: a key that was written in halves and is
 * read in words waits for its bytes. */
static ALWAYS_INLINE bool flow_key_of_ipv4(const struct packet *packet, struct hash_key secret,
                                           struct flow_short_key *key, uint64_t *hash)
{
    uint32_t source, target;
    uint16_t source_port = packet->source_port, target_port = packet->target_port;

    memcpy(&source, packet->source_ip, sizeof(source));
    memcpy(&target, packet->target_ip, sizeof(target));
    if (UNLIKELY((packet->facts & PACKET_HAS_ICMP) != 0)) {
        flow_key_ports(packet, &source_port, &target_port);
    }
    /* Numbers that compare as address and port do; which is higher is anyone's guess, so no jump
     * depends on it. */
    const uint64_t from = (uint64_t)__builtin_bswap32(source) << 16 | source_port;
    const uint64_t to = (uint64_t)__builtin_bswap32(target) << 16 | target_port;
    const bool source_is_high = from > to;
    const uint64_t turn = source_is_high ? UINT64_MAX : 0;
    const uint64_t swap_ips =
        ((uint64_t)(source ^ target) | (uint64_t)(source ^ target) << 32) & turn;
    const uint32_t swap_ports = (uint32_t)(source_port ^ target_port) & (uint32_t)turn;
    const uint64_t words[2] = {
        ((uint64_t)source | (uint64_t)target << 32) ^ swap_ips,
        (((uint32_t)source_port | (uint32_t)target_port << 16) ^ (swap_ports | swap_ports << 16)) |
            (uint64_t)packet->protocol << 32 | (uint64_t)packet->ip_version << 40 |
            (uint64_t)packet->tenant << 48};

    memcpy(key, words, sizeof(*key));
    *hash = flow_key_hash_ipv4(words[0], words[1], secret);
    return source_is_high;
}

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
