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
#include "proto/record_flow.h"
#include "sensor/flow/flow_key.h"

enum flow_bit {
    FLOW_CLIENT_IS_HIGH = 1 << 0,
    FLOW_SOURCE_WAS_HIGH = 1 << 1, /* sender of the first packet */
    FLOW_IS_LIVE = 1 << 2,         /* the slot holds a flow */
    FLOW_IS_TOUCHED = 1 << 3, /* it had packets since the tick: its kind's `touched` has it, too */
    FLOW_HAS_TCP_ROOM = 1 << 4, /* beside the flow is room for a struct flow_tcp_part ... */
    FLOW_HAS_TCP_PART = 1 << 5, /* ... and it is in use: not before the segment behind a SYN */
    FLOW_SAW_SYN = 1 << 6,
    FLOW_SAW_SYN_ACK = 1 << 7,
    FLOW_SAW_MIDSTREAM = 1 << 8,
    FLOW_SAW_FRAGMENT = 1 << 9,
    FLOW_SAW_CLOCK_STEP = 1 << 10,
    FLOW_TABLE_WAS_FULL = 1 << 11,
    FLOW_SAW_FRAGMENT_FAULT = 1 << 12, /* a fragment overlapped or was built to evade */
    FLOW_HAS_KEY_PORTS = 1 << 13,      /* the ports are real ones, not ICMP's */
    FLOW_REUSED_PORTS = 1 << 14,       /* its SYN ended another flow */
    FLOW_INSPECT_DONE = 1 << 15,       /* inspect wants no more of its packets */
    FLOW_INSPECT_FULL = 1 << 16,       /* inspect holds as much as a record tells: report it now */
    FLOW_INSPECT_SHIFT = 17,           /* INSPECT_ bits of inspect.h, 4 bits */
    FLOW_CONFIDENCE_SHIFT = 21,        /* enum app_confidence, 3 bits */
    FLOW_REFUSALS_SHIFT = 24,          /* handlers that gave up, 2 bits */
    FLOW_INITIATOR_SHIFT = 26,         /* enum flow_initiator, 3 bits */
    FLOW_STATE_SHIFT = 29,             /* enum tcp_state, 3 bits */
};

/* What the table's entries cost is memory and cache lines of every packet, so a member goes where
 * the rarest of its readers is:
 * - struct flow, one line, all flows: what each packet reads or writes.
 * - struct flow_cold (flow_layout_internal.h): what begin, end and records of a flow want.
 * - struct flow_tcp_cold (flow_layout_internal.h): the same of TCP, with what its first segments
 *   told. Only when something is measured; the same goes for what follows. Of a flow whose one
 *   segment is a SYN it holds all.
 * - struct flow_tcp_part, one line: what each TCP segment asks. Not before the second.
 * - struct flow_tcp_rest (flow_layout_internal.h): what few segments ask, and samples.
 * - struct flow_tcp_faults: from the first retransmission, loss, duplicate ACK, ... on.
 * - struct flow_tcp_rtt: of round trips that are long or many.
 * - struct flow_tiny, flow_brief, flow_told, flow_large (flow_layout_internal.h): from the first
 * record on that is not the last; the last one for a flow whose sums outgrew struct flow, or with
 * other things that few have.
 * Parts stand in pools of the table, are found by index and go back with the flow. A part that is
 * not there reads as zeros. static_asserts below hold the sizes. */

#define FLOW_ROUND_TRIP_UNIT_NS 16 /* of the fields below: 68 s at most */

/* Of each side's data: between the sensor and its receiver. */
struct flow_tcp_rtt {
    uint64_t sum_ns[2];
    struct flow_rtt {
        uint32_t min, max, last, ewma; /* in FLOW_ROUND_TRIP_UNIT_NS */
        uint32_t samples;
    } side[2];
};

#define FLOW_HISTORY_MAX  26 /* Zeek's letters */
#define FLOW_HISTORY_NEAR 12 /* of them in struct flow_tcp_rest; the rest with the faults */

/* What one side sent in its segments' headers. */
enum flow_tcp_flag { TCP_FLAG_SYN, TCP_FLAG_FIN, TCP_FLAG_RST, TCP_FLAGS };

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
    uint32_t last_seq, last_payload_bytes; /* of the last segment, with SIDE_LAST_IS_KEPT */
    uint32_t timestamp_samples; /* round trips of data sent again, told by the timestamps */
    uint16_t zero_window_events, keepalives, duplicate_packets;
    uint16_t duplicate_acks_running; /* since the last new ACK */
    uint16_t window_full_events, zero_window_probes;
    uint16_t letters_t, letters_w, letters_g; /* Zeek's letters: times behind the first */
};

struct flow_tcp_faults {
    struct flow_tcp_fault_side side[2];
    uint64_t sent_ns[2];          /* of the segment being timed, with SIDE_RTT_IS_OLD */
    uint64_t syn_ns;              /* with REST_SYN_IS_FAR */
    uint64_t request_ns;          /* with REST_REQUEST_IS_FAR */
    uint32_t handshake;           /* as in struct flow_tcp_rest, where this part's index stands */
    uint16_t flags[2][TCP_FLAGS]; /* beyond what struct flow_tcp_rest counts */
    uint8_t history[FLOW_HISTORY_MAX - FLOW_HISTORY_NEAR]; /* as in struct flow_tcp_rest */
    uint8_t history_length;
};

/* TCP of one direction: what its sender sent. */
struct flow_tcp_side {
    uint32_t next_seq;     /* behind the highest byte seen */
    uint32_t ack;          /* highest acknowledged to the peer */
    uint32_t highest_at;   /* when the highest segment was seen, in 1024 ns */
    uint32_t rtt_until;    /* the ACK that completes the sample */
    uint32_t rtt_sent_low; /* when the segment being timed was seen, with SIDE_RTT_IS_TIMED: */
    uint16_t window;       /* the lower 40 bits, see tcp_sent_ns */
    uint16_t last_payload_bytes; /* of the last segment, with its IP id and how far it ended behind
                                    its payload: to know a copy. Not with SIDE_LAST_IS_KEPT */
    uint16_t last_ip_id;
    uint16_t history_seen; /* Zeek's letters of this side, a bit each; enum flow_tcp_seen */
    uint8_t rtt_sent_high;
    uint8_t bits;     /* enum flow_tcp_side_bit */
    uint8_t options;  /* enum flow_tcp_side_option */
    uint8_t endpoint; /* enum tcp_endpoint, that before in the upper half */
};

enum flow_tcp_seen {
    SEEN_SCALE_SHIFT = 11, /* window scale, 4 bits */
    SEEN_SYN = 1 << 15,
};

enum flow_tcp_side_bit {
    SIDE_HAS_SEQ = 1 << 0, /* next_seq is valid */
    SIDE_HAS_ACK = 1 << 1,
    SIDE_HAS_WINDOW = 1 << 2,
    SIDE_HAS_WINDOW_SCALE = 1 << 3,
    SIDE_HAS_HOLE = 1 << 4, /* bytes before next_seq are missing: a late segment may fill them */
    SIDE_RTT_IS_TIMED = 1 << 5,
    SIDE_RTT_IS_OLD = 1 << 6, /* timed for so long that the time stands with the faults */
    /* Of the connection. */
    SIDE_0_HAS_RTT = 1 << 7,    /* side 0: the struct flow_tcp_rtt_near is in use */
    SIDE_1_HAS_FAULTS = 1 << 7, /* side 1: there is a struct flow_tcp_faults */
};

enum flow_tcp_side_option {
    SIDE_TIMESTAMPS = 1 << 0,
    SIDE_RTT_IS_STAMPED = 1 << 1, /* the segment being timed had the option ... */
    SIDE_RTT_SENT_AGAIN = 1 << 2, /* ... and was sent again, with another stamp */
    SIDE_HAS_ASKED = 1 << 3,      /* side 0: the time of the first request is known */
    SIDE_HAS_ANSWERED = 1 << 3,   /* side 1: the response time is known */
    SIDE_LAST_IS_KEPT =
        1 << 4, /* the last segment did not end at next_seq: it stands with the faults */
    SIDE_LAST_FLAGS_SHIFT =
        5, /* 2 bits: SYN and FIN of the last segment, which take a number each */
    SIDE_0_IS_SIMULTANEOUS = 1 << 7, /* side 0: both sides sent a SYN first */
};

struct flow_tcp_part {
    struct flow_tcp_side side[2];
};

struct flow {
    struct flow_short_key key; /* IPv6 addresses stand behind the flow: flow_address */
    uint64_t last_ns;          /* of the last packet; goes back when the clock does */
    uint64_t sums[2];          /* by direction: enum flow_sum_place */
    uint64_t tick; /* packets and bytes of both directions at the tick, where FLOW_IS_TOUCHED; in
                      the upper 6 bits inspect's count of payloads */
    uint32_t bits; /* enum flow_bit */
    uint32_t app;  /* inspect's handle; 0: none */
    union {
        uint8_t tcp_flags[2]; /* OR of the flag bytes */
        struct {
            uint8_t icmp_type, icmp_code;
        };
    };
    uint8_t ttl[2];       /* the lowest; that there were others is in the struct flow_large */
    uint16_t update_tick; /* no UPDATE is due before: in ticks of the wheel, modulo 2^16 */
    uint8_t app_protocol; /* this and all other app_ members are inspect's */
    uint8_t app_handler;
};
static_assert(sizeof(struct flow) == 64, "one cache line");

/* A sum of a direction in struct flow: its lower bits, with a bit above them that is set for the
 * length of one addition (the guard). When it is, half of what the field can hold is carried to the
 * flow's struct flow_large. So a field below its half is the whole sum, and one that was carried
 * stays above. flow_total gives the whole. */
enum flow_sum_place {
    FLOW_PACKETS_SHIFT = 0,
    FLOW_PACKETS_BITS = 10, /* without the guard */
    FLOW_BYTES_SHIFT = 11,  /* of frames on the wire */
    FLOW_BYTES_BITS = 17,
    FLOW_IP_SHIFT = 29,
    FLOW_IP_BITS = 17,
    FLOW_PAYLOAD_SHIFT = 47, /* behind the transport header, as the headers say */
    FLOW_PAYLOAD_BITS = 16,
};
#define FLOW_TICK_BITS     29 /* packets and bytes of one direction */
#define FLOW_PAYLOADS_BITS 6
#define FLOW_VLAN_MASK     0x7fff /* 15 bits: ISL */

static_assert(sizeof(struct flow_tcp_side) == 32, "half a cache line a side");
static_assert(sizeof(struct flow_tcp_part) == 64, "one cache line");

/* With IPv6. */
struct flow_wide {
    struct flow flow;
    uint8_t ips[2][16]; /* network order: low, high */
};

/* IPv6 alone: low and high, 16 bytes each. */
static inline const uint8_t *flow_wide_ips(const struct flow *flow)
{
    return (const uint8_t *)flow + offsetof(struct flow_wide, ips);
}

static inline struct ip_address flow_address(const struct flow *flow, bool high)
{
    if (UNLIKELY(flow->key.ip_version == 6)) {
        struct ip_address address;

        memcpy(address.bytes, flow_wide_ips(flow) + (high ? 16 : 0), sizeof(address.bytes));
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

/* With IPv6 the addresses go behind the flow. */
static inline void flow_set_key(struct flow *flow, const struct flow_key *key)
{
    flow->key = flow_short_key_of(key);
    if (key->ip_version == 6) {
        struct flow_wide *wide = (struct flow_wide *)flow;

        memcpy(wide->ips[0], key->low_ip, sizeof(key->low_ip));
        memcpy(wide->ips[1], key->high_ip, sizeof(key->high_ip));
    }
}

static inline enum flow_initiator flow_initiator(const struct flow *flow)
{
    return (enum flow_initiator)(flow->bits >> FLOW_INITIATOR_SHIFT & 7);
}

static inline enum tcp_state flow_tcp_state(const struct flow *flow)
{
    return (enum tcp_state)(flow->bits >> FLOW_STATE_SHIFT);
}

static inline void flow_set_field(struct flow *flow, unsigned shift, unsigned width, unsigned value)
{
    const uint32_t mask = ((UINT32_C(1) << width) - 1) << shift;

    flow->bits = (flow->bits & ~mask) | (value << shift & mask);
}

static inline enum app_confidence flow_app_confidence(const struct flow *flow)
{
    return (enum app_confidence)(flow->bits >> FLOW_CONFIDENCE_SHIFT & 7);
}

static inline void flow_set_app_confidence(struct flow *flow, enum app_confidence confidence)
{
    flow_set_field(flow, FLOW_CONFIDENCE_SHIFT, 3, confidence);
}

/* Inspect's count of payloads that said nothing: 63 stands for more, too. */
static inline unsigned flow_app_payloads(const struct flow *flow)
{
    return (unsigned)(flow->tick >> (64 - FLOW_PAYLOADS_BITS));
}

static inline void flow_set_app_payloads(struct flow *flow, unsigned payloads)
{
    const uint64_t most = (1U << FLOW_PAYLOADS_BITS) - 1;
    const uint64_t value = payloads < most ? payloads : most;

    flow->tick =
        (flow->tick & (UINT64_MAX >> FLOW_PAYLOADS_BITS)) | value << (64 - FLOW_PAYLOADS_BITS);
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

/* Of a direction's sums: flow_table.h gives the whole. */
enum flow_sum { FLOW_SUM_PACKETS, FLOW_SUM_BYTES, FLOW_SUM_PAYLOAD, FLOW_SUM_IP };

#define FLOW_PACKETS_EXACT 512   /* below it flow_packets_of is exact, above a lower bound */
#define FLOW_PAYLOAD_EXACT 32768 /* the same of flow_payload_of, in bytes */

#define FLOW_SUM_HALVES                                                                            \
    (UINT64_C(1) << (FLOW_PACKETS_SHIFT + FLOW_PACKETS_BITS - 1) |                                 \
     UINT64_C(1) << (FLOW_BYTES_SHIFT + FLOW_BYTES_BITS - 1) |                                     \
     UINT64_C(1) << (FLOW_IP_SHIFT + FLOW_IP_BITS - 1) |                                           \
     UINT64_C(1) << (FLOW_PAYLOAD_SHIFT + FLOW_PAYLOAD_BITS - 1))

/* One field of `sums`. */
static inline uint32_t flow_low_sum(uint64_t sums, enum flow_sum which)
{
    switch (which) {
    case FLOW_SUM_PACKETS:
        return (uint32_t)(sums >> FLOW_PACKETS_SHIFT) & ((1U << FLOW_PACKETS_BITS) - 1);
    case FLOW_SUM_BYTES:
        return (uint32_t)(sums >> FLOW_BYTES_SHIFT) & ((1U << FLOW_BYTES_BITS) - 1);
    case FLOW_SUM_IP:
        return (uint32_t)(sums >> FLOW_IP_SHIFT) & ((1U << FLOW_IP_BITS) - 1);
    case FLOW_SUM_PAYLOAD:
    default:
        return (uint32_t)(sums >> FLOW_PAYLOAD_SHIFT);
    }
}

static inline uint32_t flow_packets_of(const struct flow *flow, int direction)
{
    return flow_low_sum(flow->sums[direction], FLOW_SUM_PACKETS);
}

static inline uint32_t flow_payload_of(const struct flow *flow, int direction)
{
    return flow_low_sum(flow->sums[direction], FLOW_SUM_PAYLOAD);
}

/* Of both directions: exact below FLOW_PACKETS_EXACT, above a lower bound. */
static inline uint32_t flow_packets(const struct flow *flow)
{
    return flow_packets_of(flow, 0) + flow_packets_of(flow, 1);
}

/* Since the flow's last tick (flow_table_tick). */
struct flow_tick_delta {
    uint64_t bytes[2];
    uint64_t packets, reverse_packets; /* of both directions; of direction 1 alone */
};
