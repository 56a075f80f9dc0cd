/* One live flow: both directions of one 5-tuple. Direction 0 is client to server, 1 the way back.
 *
 * The client is decided on the flow's first packet and stays: the sender of a SYN, the receiver of
 * a SYN-ACK, else the sender of the first packet; without SYN and with a port below 1024 on the
 * sender's side alone, the sender is taken for the server (INITIATOR_PORT_GUESS). All fields but
 * `app`, the app_ fields and the FLOW_INSPECT_ bits are the table's; others read. A pointer to a
 * flow is valid until the table's next call. Depends on: base, proto/record.h, flow_key.h. Threads:
 * the table's. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/address.h"
#include "proto/record.h"
#include "sensor/flow/flow_key.h"

enum flow_bit {
    FLOW_CLIENT_IS_HIGH = 1 << 0,
    FLOW_SOURCE_WAS_HIGH = 1 << 1, /* sender of the first packet */
    FLOW_HAS_MAC_CLIENT = 1 << 2,
    FLOW_HAS_MAC_SERVER = 1 << 3,
    FLOW_HAS_VLAN = 1 << 4,
    FLOW_HAS_OUTER_VLAN = 1 << 5,
    FLOW_SAW_SYN = 1 << 6,
    FLOW_SAW_SYN_ACK = 1 << 7,
    FLOW_SAW_MIDSTREAM = 1 << 8,
    FLOW_SAW_FRAGMENT = 1 << 9,
    FLOW_SAW_CLOCK_STEP = 1 << 10,
    FLOW_TABLE_WAS_FULL = 1 << 11,
    FLOW_IS_LIVE = 1 << 12,            /* the slot holds a flow */
    FLOW_INSPECT_DONE = 1 << 13,       /* inspect wants no more of its packets */
    FLOW_INSPECT_FULL = 1 << 14,       /* inspect holds as much as a record tells: report it now */
    FLOW_HAS_KEY_PORTS = 1 << 15,      /* the ports are real ones, not ICMP's */
    FLOW_SAW_FRAGMENT_FAULT = 1 << 16, /* a fragment overlapped or was built to evade */
    FLOW_HAS_TCP_PART = 1 << 17,       /* `part` is a struct flow_tcp_part */
    FLOW_REUSED_PORTS = 1 << 18,       /* its SYN ended another flow */
    FLOW_INITIATOR_SHIFT = 20,         /* enum flow_initiator, 3 bits */
    FLOW_VLAN_SHIFT = 24,              /* bits 12..14 of the VLAN ids (ISL), 3 bits each */
};

/* What the table's entries cost is memory and cache lines of every packet, so a member goes where
 * the rarest of its readers is:
 * - struct flow, two lines, all flows: what each packet reads or writes, and what each flow has.
 * - struct flow_tcp_part, three lines: what each TCP segment asks, one line a side; the third line
 *   is for the handshake, first data and new letters, so that most segments never fetch it. Only
 *   for TCP and only when something is measured.
 * - struct flow_tcp_rtt: from the first sample on.
 * - struct flow_tcp_faults: from the first retransmission, loss, duplicate ACK, ... on.
 * - struct flow_reported: from the first record on that is not the last.
 * Parts stand in pools of the table, are found by index and go back with the flow. A part that is
 * not there reads as zeros (flow_table_internal.h). static_asserts below hold the sizes. */

/* Low halves of a direction's sums since the start; flow_total_ gives the whole. */
struct flow_sums {
    uint32_t packets;
    uint32_t bytes;         /* of frames on the wire */
    uint32_t payload_bytes; /* behind the transport header, as the headers say */
    uint32_t ip_bytes;
};

#define FLOW_ROUND_TRIP_UNIT_NS 16 /* of the fields below: 68 s at most */

struct flow_rtt {
    uint64_t sum_ns;
    uint32_t min, max, last, ewma; /* in FLOW_ROUND_TRIP_UNIT_NS */
    uint32_t samples;
    uint32_t timestamp_samples; /* of them: of data sent again, told by the timestamps */
};

/* Of each side's data: between the sensor and its receiver. */
struct flow_tcp_rtt {
    struct flow_rtt side[2];
};

/* What goes wrong with one side's segments. */
struct flow_tcp_fault_side {
    uint64_t retransmitted_bytes;
    uint64_t missed_bytes;
    uint32_t retransmitted_segments, out_of_order_segments, duplicate_acks;
    uint32_t hole_bytes;         /* before next_seq, not seen so far; all of them lie ... */
    uint32_t hole_from, hole_to; /* ... between these */
    uint32_t fast_retransmissions, spurious_retransmissions, sack_acks, sequence_gaps;
    uint32_t duplicate_ack_at;      /* when this side sent the last one, in 1024 ns */
    uint32_t sack_left, sack_right; /* what it reported last of its peer's data; equal: nothing */
    uint16_t zero_window_events, keepalives, duplicate_packets;
    uint16_t duplicate_acks_running; /* since the last new ACK */
    uint16_t window_full_events, zero_window_probes;
    uint16_t letters_t, letters_w, letters_g; /* Zeek's letters: times behind the first */
};

struct flow_tcp_faults {
    struct flow_tcp_fault_side side[2];
};

/* TCP of one direction: what its sender sent. */
struct flow_tcp_side {
    uint32_t next_seq;    /* behind the highest byte seen */
    uint32_t initial_seq; /* of the SYN */
    uint32_t ack;         /* highest acknowledged to the peer */
    uint32_t highest_at;  /* when the highest segment was seen, in 1024 ns */
    uint32_t last_seq;    /* of the last segment, with its length and IP id: to know a copy */
    uint32_t last_payload_bytes;
    uint16_t last_ip_id;
    uint16_t window;
    uint16_t initial_window, mss;
    uint16_t syn_count, fin_count, rst_count;
    uint8_t bits; /* enum flow_tcp_side_bit */
    uint8_t window_scale;
    uint64_t rtt_sent_ns;   /* when the segment being timed was seen; 0: none */
    uint32_t rtt_until;     /* the ACK that completes the sample */
    uint32_t rtt_timestamp; /* of the segment being timed */
    uint32_t part;          /* of side 0: the struct flow_tcp_rtt; of side 1: the flow_tcp_faults */
    uint16_t history_seen;  /* Zeek's letters of this side, a bit each */
    uint8_t endpoint;       /* enum tcp_endpoint, that before in the upper half */
    uint8_t options;        /* enum flow_tcp_side_option */
};

enum flow_tcp_side_bit {
    SIDE_HAS_SEQ = 1 << 0, /* next_seq is valid */
    SIDE_HAS_ACK = 1 << 1,
    SIDE_HAS_WINDOW = 1 << 2,
    SIDE_HAS_MSS = 1 << 3,
    SIDE_HAS_WINDOW_SCALE = 1 << 4,
    SIDE_SENT_FIN = 1 << 5,
    SIDE_SENT_RST = 1 << 6,
    SIDE_HAS_HOLE = 1 << 7, /* bytes before next_seq are missing: a late segment may fill them */
};

enum flow_tcp_side_option {
    SIDE_SACK_PERMITTED = 1 << 0,
    SIDE_TIMESTAMPS = 1 << 1,
    SIDE_RTT_IS_STAMPED = 1 << 2, /* the segment being timed had the option ... */
    SIDE_RTT_SENT_AGAIN = 1 << 3, /* ... and was sent again, with another stamp */
    SIDE_HAS_ASKED = 1 << 4,      /* side 0: request_ns is known */
    SIDE_HAS_ANSWERED = 1 << 5,   /* side 1: the response time is known */
};

#define FLOW_HISTORY_MAX 26

struct flow_tcp_part {
    struct flow_tcp_side side[2];
    uint64_t syn_ns;     /* 0: no SYN */
    uint64_t request_ns; /* first payload of the client; 0: none yet */
    uint32_t handshake;  /* in FLOW_ROUND_TRIP_UNIT_NS; 0: not measured */
    uint32_t response;
    char history[FLOW_HISTORY_MAX]; /* Zeek's letters */
    uint8_t history_length;
    uint8_t is_simultaneous; /* 1: both sides sent a SYN first */
    uint8_t room[8];
    uint32_t reported; /* a struct flow_reported; 0: none */
};

enum flow_tcp_link { FLOW_TCP_RTT, FLOW_TCP_FAULTS }; /* side[i].part */

/* What the last record told. */
struct flow_reported {
    uint32_t sums[2][4];  /* low halves, as in struct flow_sums */
    uint16_t highs[2][4]; /* of the sums since the start: bits 32..47 */
    uint64_t delta_start_ns;
    uint32_t update_index;
    uint32_t reserved;
};

struct flow {
    struct flow_short_key key; /* IPv6 addresses stand behind the flow: flow_address */
    uint64_t last_ns;          /* of the last packet; goes back when the clock does */
    uint64_t next_update_ns;   /* of the next UPDATE; UINT64_MAX: none */
    uint32_t bits;             /* enum flow_bit */
    uint32_t part;             /* a struct flow_tcp_part or flow_reported; 0: none */
    uint32_t touched;          /* 1 + its place among those with packets since the tick; 0: none */
    uint8_t tcp_state;         /* enum tcp_state */
    uint8_t app_protocol;      /* this and all other app_ members are inspect's */
    union {
        uint8_t tcp_flags[2]; /* OR of the flag bytes */
        struct {
            uint8_t icmp_type, icmp_code;
        };
    };
    uint32_t app; /* inspect's handle; 0: none */
    uint8_t app_confidence, app_payloads, app_handler, app_refusals, app_bits;
    uint8_t ttl_min[2];
    uint8_t vlan_ids[3]; /* twelve bits each; flow_vlan_id, flow_outer_vlan_id */
    uint16_t interface;

    /* Second line. */
    struct flow_sums sums[2];
    uint8_t ttl_max[2], dscp[2];
    uint8_t client_mac[6], server_mac[6];
    uint64_t first_ns;
    uint32_t wheel_next, wheel_previous;
};
static_assert(sizeof(struct flow) == 128, "two cache lines");
static_assert(sizeof(struct flow_tcp_side) == 64, "a cache line a side");
static_assert(sizeof(struct flow_tcp_part) == 192, "three cache lines");
static_assert(sizeof(struct flow_tcp_rtt) == 64, "one cache line");
static_assert(sizeof(struct flow_reported) == 64, "one cache line");

struct flow_wide {
    struct flow flow;
    uint8_t low_ip[16], high_ip[16]; /* network order */
};

static inline struct ip_address flow_address(const struct flow *flow, bool high)
{
    if (UNLIKELY(flow->key.ip_version == 6)) {
        const struct flow_wide *wide = (const struct flow_wide *)(const void *)flow;
        struct ip_address address;

        memcpy(address.bytes, high ? wide->high_ip : wide->low_ip, sizeof(address.bytes));
        address.version = 6;
        return address;
    }
    return address_of_ipv4(high ? &flow->key.high : &flow->key.low);
}

/* The key as it was made from the first packet. */
static inline struct flow_key flow_whole_key(const struct flow *flow)
{
    struct flow_key key = {.low_port = flow->key.low_port,
                           .high_port = flow->key.high_port,
                           .protocol = flow->key.protocol,
                           .ip_version = flow->key.ip_version,
                           .tenant = flow->key.tenant};
    const struct ip_address low = flow_address(flow, false), high = flow_address(flow, true);

    memcpy(key.low_ip, low.bytes, sizeof(key.low_ip));
    memcpy(key.high_ip, high.bytes, sizeof(key.high_ip));
    return key;
}

static inline struct flow_short_key flow_short_key_of(const struct flow_key *key)
{
    const unsigned at = key->ip_version == 6 ? 12 : 0;
    struct flow_short_key out;

    memcpy(&out.low, key->low_ip + at, sizeof(out.low));
    memcpy(&out.high, key->high_ip + at, sizeof(out.high));
    memcpy(&out.low_port, &key->low_port, sizeof(out) - offsetof(struct flow_short_key, low_port));
    return out;
}

/* With IPv6 `flow` is the beginning of a struct flow_wide. */
static inline void flow_set_key(struct flow *flow, const struct flow_key *key)
{
    flow->key = flow_short_key_of(key);
    if (key->ip_version == 6) {
        struct flow_wide *wide = (struct flow_wide *)(void *)flow;

        memcpy(wide->low_ip, key->low_ip, sizeof(wide->low_ip));
        memcpy(wide->high_ip, key->high_ip, sizeof(wide->high_ip));
    }
}

static inline enum flow_initiator flow_initiator(const struct flow *flow)
{
    return (enum flow_initiator)(flow->bits >> FLOW_INITIATOR_SHIFT & 7);
}

static inline uint16_t flow_vlan_id(const struct flow *flow)
{
    return (uint16_t)(flow->vlan_ids[0] | (flow->vlan_ids[1] & 15U) << 8 |
                      (flow->bits >> FLOW_VLAN_SHIFT & 7) << 12);
}

static inline uint16_t flow_outer_vlan_id(const struct flow *flow)
{
    return (uint16_t)(flow->vlan_ids[1] >> 4 | (unsigned)flow->vlan_ids[2] << 4 |
                      (flow->bits >> (FLOW_VLAN_SHIFT + 3) & 7) << 12);
}

static inline bool flow_client_is_high(const struct flow *flow)
{
    return (flow->bits & FLOW_CLIENT_IS_HIGH) != 0;
}

static inline struct ip_address flow_client_address(const struct flow *flow)
{
    return flow_address(flow, flow_client_is_high(flow));
}

static inline struct ip_address flow_server_address(const struct flow *flow)
{
    return flow_address(flow, !flow_client_is_high(flow));
}

/* 0 where the protocol has no ports. */
static inline uint16_t flow_port(const struct flow *flow, bool high)
{
    if ((flow->bits & FLOW_HAS_KEY_PORTS) == 0) {
        return 0;
    }
    return high ? flow->key.high_port : flow->key.low_port;
}

static inline uint16_t flow_client_port(const struct flow *flow)
{
    return flow_port(flow, flow_client_is_high(flow));
}

static inline uint16_t flow_server_port(const struct flow *flow)
{
    return flow_port(flow, !flow_client_is_high(flow));
}

/* Of a direction's sums; the bits 32..47 stand in a part of the table's: flow_table.h. */
enum flow_sum { FLOW_SUM_PACKETS, FLOW_SUM_BYTES, FLOW_SUM_PAYLOAD, FLOW_SUM_IP };

/* Up to 2^32. */
static inline uint64_t flow_packets(const struct flow *flow)
{
    return (uint64_t)flow->sums[0].packets + flow->sums[1].packets;
}

/* Since the flow's last tick (flow_table_tick); below 4 GiB a direction, as ticks of a second have
 * it up to 34 Gbit/s of one flow. */
struct flow_tick_delta {
    uint64_t bytes[2];
    uint64_t packets, reverse_packets; /* of both directions; of direction 1 alone */
};
