#include "sensor/flow/flow_key.h"

#include "proto/icmp.h"

void flow_key_ports(const struct packet *packet, uint16_t *source_port, uint16_t *target_port)
{
    *source_port = packet->source_port;
    *target_port = packet->target_port;
    if ((packet->facts & PACKET_HAS_ICMP) != 0) {
        const int counterpart = icmp_counterpart(packet->protocol, packet->icmp_type);
        *source_port = packet->icmp_type;
        *target_port = counterpart >= 0 ? (uint16_t)counterpart : packet->icmp_code;
    }
}

/* Network order, so that numbers compare as the bytes do. */
static inline uint64_t word_of(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return __builtin_bswap64(value);
}

bool flow_key_of(const struct packet *packet, struct flow_key *key)
{
    const uint64_t s0 = word_of(packet->source_ip), t0 = word_of(packet->target_ip);
    uint16_t source_port, target_port;
    bool source_is_high;

    flow_key_ports(packet, &source_port, &target_port);
    if (s0 != t0) {
        source_is_high = s0 > t0;
    } else {
        const uint64_t s1 = word_of(packet->source_ip + 8), t1 = word_of(packet->target_ip + 8);
        source_is_high = s1 != t1 ? s1 > t1 : source_port > target_port;
    }
    memcpy(key->low_ip, source_is_high ? packet->target_ip : packet->source_ip, 16);
    memcpy(key->high_ip, source_is_high ? packet->source_ip : packet->target_ip, 16);
    key->low_port = source_is_high ? target_port : source_port;
    key->high_port = source_is_high ? source_port : target_port;
    key->protocol = packet->protocol;
    key->ip_version = packet->ip_version;
    key->tenant = packet->tenant;
    return source_is_high;
}

uint64_t flow_key_hash(const struct flow_key *key, struct hash_key secret)
{
    uint64_t w[5];

    memcpy(w, key, sizeof(w));
    w[4] &= FLOW_KEY_TUPLE_MASK;
    if (key->ip_version == 4) {
        return flow_key_hash_ipv4((w[0] & UINT32_MAX) | w[2] << 32, w[4], secret);
    }
    const uint64_t low = hash_fold(w[0] ^ secret.a, w[1] ^ secret.b);
    const uint64_t high = hash_fold(w[2] ^ secret.b ^ low, w[3] ^ secret.a ^ w[4]);
    return hash_fold(high ^ secret.a, UINT64_C(0x9e3779b97f4a7c15) ^ secret.b ^ w[4]);
}
