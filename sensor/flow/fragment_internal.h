/* What the two files of the fragment table share; nobody else includes it. */
#pragma once

#include "sensor/flow/fragment_table.h"
#include "sensor/wire/fragment.h"

#define RANGES_MAX 64 /* pieces of a datagram told apart: 64 KiB at an MTU of 1280 has 53 */

/* What a datagram is known by. 0 in all padding: it is hashed as bytes. */
struct datagram_key {
    uint8_t source[16], target[16];
    uint32_t id;
    uint16_t vlan_ids[2];
    uint16_t tenant;
    uint8_t ip_version;
    uint8_t protocol; /* IPv4 alone */
    uint32_t reserved;
};
static_assert(sizeof(struct datagram_key) == 48, "a key is six words");

/* What the first fragment told: the flow of the others. */
struct flow_facts {
    uint8_t source_ip[16], target_ip[16];
    uint16_t source_port, target_port;
    uint16_t tenant, icmp_id;
    uint16_t facts; /* PACKET_HAS_PORTS, PACKET_HAS_ICMP */
    uint8_t ip_version, protocol;
    uint8_t icmp_type, icmp_code;
};
static_assert(sizeof(struct flow_facts) == 46, "no padding: compared as bytes");

struct range {
    uint16_t start; /* in 8 bytes */
    uint16_t bytes;
};

enum datagram_bit {
    HAS_FIRST = 1 << 0,
    HAS_END = 1 << 1,
    IS_COMPLETE = 1 << 2,
    IS_UNCHECKED = 1 << 3, /* more pieces than `ranges` holds, or one that cannot be placed */
};

struct datagram {
    struct datagram_key key;
    struct flow_facts flow;
    uint64_t deadline_ns;
    uint64_t last_ns;
    uint32_t next_in_bucket;        /* NONE: the last */
    uint32_t older, younger;        /* of the same IP version: in order of their deadlines */
    uint32_t held_first, held_last; /* NONE: none */
    uint32_t end_bytes;             /* with HAS_END */
    uint32_t seen_bytes;            /* of all ranges */
    uint32_t bucket;
    uint16_t held_count;
    uint8_t range_count;
    uint8_t bits;
    struct range ranges[RANGES_MAX];
};

enum fragment_where { PLACE_NEW, PLACE_DUPLICATE, PLACE_OVERLAP };

/* fragment_pieces.c */

/* Where the fragment lies among those seen. */
enum fragment_where fragment_place(const struct datagram *datagram,
                                   const struct fragment *fragment);
/* Faults that the fragment shows alone; counts them. */
bool fragment_is_faulty_alone(struct fragment_counts *counts, const struct fragment *fragment,
                              const struct packet *packet);
/* Places the fragment among those seen; true when it overlaps or contradicts them. */
bool fragment_examine(struct fragment_counts *counts, struct datagram *datagram,
                      const struct fragment *fragment);
