#include "sensor/flow/flow_key.h"

/* Type and counterpart of Community ID v1; -1: no counterpart. */
static int icmp_counterpart(uint8_t protocol, uint8_t type)
{
    static const uint8_t pairs_4[][2] = {{0, 8},   {8, 0},   {9, 10},  {10, 9},  {13, 14},
                                         {14, 13}, {15, 16}, {16, 15}, {17, 18}, {18, 17}};
    static const uint8_t pairs_6[][2] = {{128, 129}, {129, 128}, {130, 131}, {131, 130},
                                         {133, 134}, {134, 133}, {135, 136}, {136, 135},
                                         {139, 140}, {140, 139}, {144, 145}, {145, 144}};
    const bool is_6 = protocol == IP_PROTOCOL_ICMPV6;
    const uint8_t(*pairs)[2] = is_6 ? pairs_6 : pairs_4;
    const unsigned count = is_6 ? sizeof(pairs_6) / 2 : sizeof(pairs_4) / 2;

    for (unsigned i = 0; i < count; i++) {
        if (pairs[i][0] == type) {
            return pairs[i][1];
        }
    }
    return -1;
}

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
