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
    FLOW_IS_LIVE = 1 << 12,       /* the slot holds a flow */
    FLOW_INSPECT_DONE = 1 << 13,  /* inspect wants no more of its packets */
    FLOW_INSPECT_FULL = 1 << 14,  /* inspect holds as much as a record tells: report it now */
    FLOW_HAS_KEY_PORTS = 1 << 15, /* the ports are real ones, not ICMP's */
};

struct flow_sums {
    uint64_t packets;
    uint64_t bytes;         /* of frames on the wire */
    uint64_t payload_bytes; /* behind the transport header, as the headers say */
    uint64_t ip_bytes;
};

#define FLOW_ROUND_TRIP_UNIT_NS 16 /* of the fields below: 68 s at most */

struct flow_rtt {
    uint64_t sum_ns;
    uint64_t sent_ns;              /* when the segment being timed was seen; 0: none */
    uint32_t until;                /* the ACK that completes the sample */
    uint32_t min, max, last, ewma; /* in FLOW_ROUND_TRIP_UNIT_NS */
    uint32_t samples;
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
    uint16_t zero_window_events, keepalives, duplicate_packets;
    uint32_t retransmitted_segments, out_of_order_segments, duplicate_acks;
    uint8_t bits; /* enum flow_tcp_side_bit */
    uint8_t window_scale;
    uint8_t history_seen; /* Zeek's letters of this side, a bit each */
    uint8_t reserved;
    uint16_t duplicate_acks_running; /* since the last new ACK */
    uint16_t reserved_2;
    uint32_t hole_bytes; /* before next_seq, not seen so far */
    uint32_t reserved_3;
    uint64_t retransmitted_bytes;
    uint64_t missed_bytes;
    struct flow_rtt rtt; /* of this side's data: between the sensor and its receiver */
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

struct flow_tcp_part {
    struct flow_tcp_side side[2];
    uint64_t syn_ns;     /* 0: no SYN */
    uint64_t request_ns; /* first payload of the client; 0: none yet */
    uint32_t handshake;  /* in FLOW_ROUND_TRIP_UNIT_NS; 0: not measured */
    uint32_t response;
    char history[16]; /* Zeek's letters */
    uint8_t history_length;
    uint8_t reset_by; /* 1 + direction of the first RST; 0: none */
    uint8_t reserved[6];
};

struct flow {
    /* First line: key and what each packet asks. */
    struct flow_key key;
    uint64_t last_ns;        /* of the last packet; goes back when the clock does */
    uint64_t next_update_ns; /* of the next UPDATE; UINT64_MAX: none */
    uint16_t bits;           /* enum flow_bit */
    uint8_t tcp_state;       /* enum tcp_state */
    uint8_t initiator;       /* enum flow_initiator */
    uint32_t touched_tick;

    /* Second line: since the start of the flow. */
    struct flow_sums sums[2];

    /* Third line. */
    uint64_t first_ns;
    uint32_t reported[2][4]; /* low halves of `sums` at the last record */
    uint32_t ticked[2];      /* low halves of the bytes at the last tick */
    uint32_t wheel_next, wheel_previous;
    uint32_t app; /* inspect's handle; 0: none */
    uint32_t update_index;

    /* Fourth line. */
    uint64_t delta_start_ns;
    uint64_t flow_id;
    uint32_t wheel_slot;
    uint32_t ticked_packets;
    uint8_t client_mac[6], server_mac[6];
    uint16_t vlan_id, outer_vlan_id;
    uint16_t interface;
    uint8_t tcp_flags[2]; /* OR of the flag bytes */
    uint8_t ttl_min[2], ttl_max[2], dscp[2];
    uint8_t icmp_type, icmp_code;
    uint8_t app_confidence, app_protocol, app_payloads; /* inspect's, and */
    uint8_t app_handler, app_refusals, app_bits;        /* these, too */
    uint8_t fragment_fault; /* 1: a fragment of it overlapped or was built to evade */
    uint8_t reserved[1];
};
static_assert(sizeof(struct flow) == 256, "four cache lines");
static_assert(sizeof(struct flow_tcp_part) <= 320, "five cache lines");

static inline struct ip_address flow_address(const struct flow *flow, bool high)
{
    struct ip_address address = {.version = flow->key.ip_version};

    memcpy(address.bytes, high ? flow->key.high_ip : flow->key.low_ip, sizeof(address.bytes));
    return address;
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

static inline uint64_t flow_total_bytes(const struct flow *flow)
{
    return flow->sums[0].bytes + flow->sums[1].bytes;
}

static inline uint64_t flow_total_packets(const struct flow *flow)
{
    return flow->sums[0].packets + flow->sums[1].packets;
}

/* Packets counted and not yet in a record: what the ledger calls held. */
static inline uint64_t flow_held_packets(const struct flow *flow)
{
    return (uint32_t)flow->sums[0].packets - flow->reported[0][0] +
           (uint64_t)((uint32_t)flow->sums[1].packets - flow->reported[1][0]);
}

/* Since the flow's last tick (flow_table_tick); below 4 GiB a direction, as ticks of a second have
 * it up to 34 Gbit/s of one flow. */
struct flow_tick_delta {
    uint64_t bytes[2];
    uint64_t packets;
};

static inline struct flow_tick_delta flow_tick_delta(const struct flow *flow)
{
    return (struct flow_tick_delta){.bytes = {(uint32_t)flow->sums[0].bytes - flow->ticked[0],
                                              (uint32_t)flow->sums[1].bytes - flow->ticked[1]},
                                    .packets =
                                        (uint32_t)flow_total_packets(flow) - flow->ticked_packets};
}
