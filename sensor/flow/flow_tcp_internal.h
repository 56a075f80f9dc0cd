/* What the files of this folder share about TCP: where its parts are, round trips, history.
 *
 * Depends on: flow_table_internal.h. Threads: those of the table. */
#pragma once

#include "sensor/flow/flow_table_internal.h"

/* The flow has the room for it. */
static inline struct flow_tcp_part *flow_tcp_part_at(const struct flow_table *table, uint32_t slot)
{
    return &table->kinds[slot >> FLOW_KIND_SHIFT].tcps[slot & FLOW_PLACE_MASK];
}

static inline struct flow_tcp_part *flow_tcp_part(const struct flow_table *table,
                                                  const struct flow *flow)
{
    return flow_tcp_part_at(table, flow_slot(table, flow));
}

static inline bool flow_has_tcp_part(const struct flow *flow)
{
    return (flow->bits & FLOW_HAS_TCP_PART) != 0;
}

static inline struct flow_tcp_rest *flow_tcp_rest_at(const struct flow_table *table, uint32_t slot)
{
    return &table->kinds[slot >> FLOW_KIND_SHIFT].rests[slot & FLOW_PLACE_MASK];
}

static inline struct flow_tcp_rtt_near *flow_tcp_rtt_at(const struct flow_table *table,
                                                        uint32_t slot)
{
    return &flow_tcp_rest_at(table, slot)->rtt;
}

/* Of a flow with room for TCP. */
static inline struct flow_tcp_cold *flow_tcp_cold_at(const struct flow_table *table, uint32_t slot)
{
    return (struct flow_tcp_cold *)(void *)flow_cold_at(table, slot);
}

/* NULL: the flow has more than the SYN, or none. */
static inline const struct flow_tcp_cold *flow_kept_syn(const struct flow_table *table,
                                                        const struct flow *flow)
{
    if ((flow->bits & (FLOW_HAS_TCP_ROOM | FLOW_HAS_TCP_PART)) != FLOW_HAS_TCP_ROOM) {
        return NULL;
    }
    const struct flow_tcp_cold *cold = flow_tcp_cold_at(table, flow_slot(table, flow));

    return (cold->mss[1] & FLOW_SYN_IS_KEPT) != 0 ? cold : NULL;
}

static inline uint32_t flow_tcp_slot(const struct flow_table *table,
                                     const struct flow_tcp_part *part)
{
    const struct flow_kind_pool *narrow = &table->kinds[FLOW_KIND_TCP];
    const struct flow_kind_pool *wide = &table->kinds[FLOW_KIND_TCP | FLOW_KIND_WIDE];
    const bool is_wide = (uint64_t)(part - narrow->tcps) >= table->settings.flows_max;
    const unsigned kind = FLOW_KIND_TCP | (UNLIKELY(is_wide) ? FLOW_KIND_WIDE : 0U);

    return kind << FLOW_KIND_SHIFT |
           (uint32_t)(part - (UNLIKELY(is_wide) ? wide->tcps : narrow->tcps));
}

static inline struct flow_tcp_rest *flow_tcp_rest(const struct flow_table *table,
                                                  const struct flow_tcp_part *part)
{
    return flow_tcp_rest_at(table, flow_tcp_slot(table, part));
}

static inline bool flow_tcp_has_faults(const struct flow_tcp_part *part)
{
    return (part->side[1].bits & SIDE_1_HAS_FAULTS) != 0;
}

static inline struct flow_tcp_cold *flow_tcp_cold(const struct flow_table *table,
                                                  const struct flow_tcp_part *part)
{
    return flow_tcp_cold_at(table, flow_tcp_slot(table, part));
}

static inline bool flow_tcp_has_rtt(const struct flow_tcp_part *part)
{
    return (part->side[0].bits & SIDE_0_HAS_RTT) != 0;
}

/* To be read: zeros where there was no fault so far. */
static inline const struct flow_tcp_faults *flow_tcp_faults(const struct flow_table *table,
                                                            const struct flow_tcp_part *part)
{
    static const struct flow_tcp_faults none;

    return flow_tcp_has_faults(part) ? flow_pool_at(&table->parts[FLOW_PART_FAULTS],
                                                    flow_tcp_rest(table, part)->handshake)
                                     : &none;
}

/* Segments of a side with the flag; 65535: so many or more. */
static inline uint16_t flow_tcp_flag_count(const struct flow_table *table,
                                           const struct flow_tcp_part *part,
                                           const struct flow_tcp_rest *rest, int direction,
                                           enum flow_tcp_flag flag)
{
    uint32_t count = rest->flags[direction] >> flow_flag_shift(flag) & flow_flag_most(flag);

    if (UNLIKELY(count == flow_flag_most(flag))) {
        count += flow_tcp_faults(table, part)->flags[direction][flag];
    }
    return count < UINT16_MAX ? (uint16_t)count : UINT16_MAX;
}

/* flow_tcp_rest.handshake, wherever it stands. */
static inline uint32_t flow_tcp_handshake_field(const struct flow_table *table,
                                                const struct flow_tcp_part *part,
                                                const struct flow_tcp_rest *rest)
{
    return flow_tcp_has_faults(part) ? flow_tcp_faults(table, part)->handshake : rest->handshake;
}

/* In FLOW_ROUND_TRIP_UNIT_NS; 0: not measured. */
static inline uint32_t flow_tcp_handshake(const struct flow_table *table,
                                          const struct flow_tcp_part *part,
                                          const struct flow_tcp_rest *rest)
{
    return (rest->bits & REST_HAS_HANDSHAKE) != 0 ? flow_tcp_handshake_field(table, part, rest) : 0;
}

static inline unsigned flow_rtt_samples(const struct flow_rtt_near *side)
{
    return side->words[0] >> FLOW_RTT_UNIT_BITS | side->words[1] >> FLOW_RTT_UNIT_BITS << 3 |
           (side->words[2] >> FLOW_RTT_UNIT_BITS & 3) << 6;
}

/* NULL: they stand in `near`. */
static inline struct flow_tcp_rtt *flow_rtt_far(const struct flow_table *table,
                                                const struct flow_tcp_rtt_near *near)
{
    return UNLIKELY(flow_rtt_samples(&near->side[0]) == FLOW_RTT_IS_FAR)
               ? flow_pool_at(&table->parts[FLOW_PART_RTT], near->side[0].words[4])
               : NULL;
}

/* The flow's, zeroed when it is first asked for. */
static inline struct flow_tcp_rtt_near *flow_take_rtt_at(const struct flow_table *table,
                                                         struct flow_tcp_part *part, uint32_t slot)
{
    struct flow_tcp_rtt_near *rtt = flow_tcp_rtt_at(table, slot);

    if (!flow_tcp_has_rtt(part)) {
        part->side[0].bits |= SIDE_0_HAS_RTT;
        *rtt = (struct flow_tcp_rtt_near){0};
    }
    return rtt;
}

static inline struct flow_tcp_rtt_near *flow_take_rtt(const struct flow_table *table,
                                                      struct flow_tcp_part *part)
{
    return flow_take_rtt_at(table, part, flow_tcp_slot(table, part));
}

#define FLOW_RTT_UNIT_MASK ((UINT32_C(1) << FLOW_RTT_UNIT_BITS) - 1)

/* One more round trip of a side, where it fits beside it; else false, and nothing was changed. */
static ALWAYS_INLINE bool flow_add_near_rtt(struct flow_rtt_near *near, uint64_t ns)
{
    uint32_t *words = near->words;
    const uint32_t one = UINT32_C(1) << FLOW_RTT_UNIT_BITS;
    const uint32_t units = (uint32_t)(ns / FLOW_ROUND_TRIP_UNIT_NS);
    const uint32_t shortest = words[0] & FLOW_RTT_UNIT_MASK;
    const uint32_t longest = words[1] & FLOW_RTT_UNIT_MASK;
    const uint32_t mean = words[3] & FLOW_RTT_UNIT_MASK;

    if (UNLIKELY(words[4] + ns > UINT32_MAX)) {
        return false;
    }
    if (words[0] + 2 * one < 3 * one) { /* by the lowest three bits of their number 0, 6, or 7 */
        const unsigned samples = flow_rtt_samples(near);

        if (samples == 0) {
            *near = (struct flow_rtt_near){{units | one, units, units, units, (uint32_t)ns}};
            return true;
        }
        if (UNLIKELY(samples >= FLOW_RTT_SAMPLES_MAX)) {
            return false;
        }
        if ((samples & 7) == 7) {
            words[1] += one;
            words[2] += words[1] < one ? one : 0;
        }
    }
    words[0] += one - shortest + (units < shortest ? units : shortest);
    words[1] += (units > longest ? units : longest) - longest;
    words[2] = (words[2] & ~FLOW_RTT_UNIT_MASK) | units;
    words[3] += (uint32_t)((mean * UINT64_C(7) + units) / 8) - mean;
    words[4] += (uint32_t)ns;
    return true;
}

/* tcp_round_trips.c */

/* All of the flow's; zeros where there are none. */
void flow_get_rtt(const struct flow_table *table, const struct flow_tcp_part *part,
                  struct flow_tcp_rtt *out);
/* One more, of the data that `direction` has sent. */
void flow_add_rtt(struct flow_table *table, struct flow_tcp_part *part, int direction, uint64_t ns);
/* The means of both sides together, in FLOW_ROUND_TRIP_UNIT_NS; of a flow with samples. */
static inline uint64_t flow_rtt_ewmas(const struct flow_table *table, uint32_t slot)
{
    const struct flow_tcp_rtt_near *near = flow_tcp_rtt_at(table, slot);
    const struct flow_tcp_rtt *far = flow_rtt_far(table, near);

    return far != NULL ? (uint64_t)far->side[0].ewma + far->side[1].ewma
                       : (uint64_t)(near->side[0].words[3] & FLOW_RTT_UNIT_MASK) +
                             (near->side[1].words[3] & FLOW_RTT_UNIT_MASK);
}

/* In FLOW_ROUND_TRIP_UNIT_NS. */
static inline uint32_t flow_round_trip_units(uint64_t ns)
{
    const uint64_t units = ns / FLOW_ROUND_TRIP_UNIT_NS;

    return units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

/* Which of rtt_counts the sum of both sides' round trips belongs to. */
static inline unsigned flow_rtt_bucket(uint64_t units)
{
    /* stats_rtt_bounds_seconds in FLOW_ROUND_TRIP_UNIT_NS */
    static const uint32_t bounds[STATS_RTT_BOUNDS] = {
        31250,   62500,   125000,   312500,   625000,   1250000,
        3125000, 6250000, 12500000, 31250000, 62500000, 125000000,
    };
    /* By the highest bit of a value how many bounds lie below all that have it: no more than one
     * lies between them, since each bound is twice the one before at least. */
    static const uint8_t below[33] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0,  0,  0,  0,  0,  0, 1,
                                      2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12, 12, 12};
    const uint32_t value = units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
    const unsigned bits = value == 0 ? 0 : 32U - (unsigned)__builtin_clz(value);
    const unsigned bucket = below[bits];

    return bucket + (bucket < STATS_RTT_BOUNDS && value > bounds[bucket]);
}

/* tcp_track.c */

/* State and flags, before tcp_measure and in compact mode alone. */
void tcp_follow(struct flow *flow, const struct packet *packet, int direction);
/* What one segment added, besides bytes: for the sums over all flows. */
enum tcp_event {
    TCP_EVENT_RETRANSMITTED = 1 << 0,
    TCP_EVENT_OUT_OF_ORDER = 1 << 1,
    TCP_EVENT_ZERO_WINDOW = 1 << 2,
    TCP_EVENT_SAMPLE = 1 << 3, /* a round trip of the peer's data */
};
/* Keeps the flow's first segment in its struct flow_tcp_cold where that has room for all of it;
 * else false. */
bool tcp_keep_syn(const struct flow_table *table, const struct flow *flow, uint32_t slot,
                  const struct packet *packet);
/* The flow's part, made from what was kept. */
struct flow_tcp_part *tcp_make_part(struct flow_table *table, struct flow *flow, uint32_t slot,
                                    uint64_t now_ns);
/* Returns enum tcp_event bits. */
unsigned tcp_measure(struct flow_table *table, struct flow_tcp_part *part,
                     const struct packet *packet, int direction, uint8_t state_before);
/* A SYN that opens a new connection over the ports of `flow`. */
bool tcp_is_reuse(const struct flow_table *table, const struct flow *flow,
                  const struct packet *packet, int direction);

/* tcp_timing.c */

/* What is timed for long is kept whole, since its 40 bits wrap in 18 minutes: at `now_ns`, within
 * FLOW_LOOK_NS of the last call or of a timed segment, and before the flow's last_ns goes back. */
void tcp_settle(struct flow_table *table, struct flow *flow, uint64_t now_ns);

static inline bool tcp_is_timed(const struct flow_tcp_side *side)
{
    return (side->bits & SIDE_RTT_IS_TIMED) != 0;
}

/* Whether the segment completes the sample that is waited for. */
static inline bool tcp_may_sample(const struct flow_tcp_part *part, const struct packet *packet,
                                  int direction)
{
    const struct flow_tcp_side *peer = &part->side[!direction];

    return tcp_is_timed(peer) && tcp_seq_diff(packet->tcp_ack, peer->rtt_until) >= 0;
}

/* Whether the segment may be timed by its timestamp. */
static inline bool tcp_may_stamp(const struct flow_tcp_part *part, const struct packet *packet,
                                 int direction)
{
    return (packet->tcp_options & TCP_OPTION_TIMESTAMPS) != 0 && packet->payload_bytes > 0 &&
           !tcp_is_timed(&part->side[direction]);
}

/* tcp_history.c: Zeek's view of a connection. */

/* States of one side, by Zeek's names. */
enum tcp_endpoint {
    ENDPOINT_INACTIVE,
    ENDPOINT_SYN_SENT,
    ENDPOINT_SYN_ACK_SENT, /* and no SYN before it */
    ENDPOINT_PARTIAL,      /* seen without its SYN */
    ENDPOINT_ESTABLISHED,
    ENDPOINT_CLOSED, /* sent a FIN */
    ENDPOINT_RESET,  /* sent a RST */
};
enum tcp_letter {
    LETTER_RETRANSMISSION, /* T */
    LETTER_ZERO_WINDOW,    /* W */
    LETTER_GAP,            /* G */
};
/* Letters of a side by bit of its history_seen. */
enum tcp_history_bit {
    HISTORY_SYN,
    HISTORY_SYN_ACK,
    HISTORY_ACK,
    HISTORY_DATA,
    HISTORY_FIN,
    HISTORY_RST,
    HISTORY_FIN_RST,
    HISTORY_MULTI_FLAG,
    HISTORY_SCALED, /* + enum tcp_letter */
    HISTORY_NOTHING = HISTORY_SCALED,
};

/* What flags and data of the segment are called; HISTORY_NOTHING: no letter. */
static inline enum tcp_history_bit tcp_history_bit_of(const struct packet *packet)
{
    const bool has_ack = (packet->tcp_flags & TCP_ACK) != 0;

    switch (packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) {
    case 0:
        return packet->payload_bytes > 0 ? HISTORY_DATA : has_ack ? HISTORY_ACK : HISTORY_NOTHING;
    case TCP_SYN:
        return has_ack ? HISTORY_SYN_ACK : HISTORY_SYN;
    case TCP_FIN:
        return HISTORY_FIN;
    case TCP_RST:
        return HISTORY_RST;
    case TCP_FIN | TCP_RST:
    case TCP_FIN | TCP_RST | TCP_SYN:
        return HISTORY_FIN_RST;
    default:
        return HISTORY_MULTI_FLAG;
    }
}

/* Whether the segment has a letter that its side has not had. */
static inline bool tcp_adds_to_history(const struct flow_tcp_part *part,
                                       const struct packet *packet, int direction)
{
    const enum tcp_history_bit bit = tcp_history_bit_of(packet);

    return bit != HISTORY_NOTHING && (part->side[direction].history_seen >> bit & 1) == 0;
}

/* Flags and data of a segment, before anything else is made of it. */
void tcp_note_flags(struct flow_table *table, struct flow_tcp_part *part,
                    const struct packet *packet, int direction);
/* The letters so far, into room for FLOW_HISTORY_MAX; returns how many. */
unsigned tcp_history(const struct flow_table *table, const struct flow_tcp_part *part, char *out);
/* One more of what has a letter at the first, tenth, hundredth, ... time. */
void tcp_note_letter(struct flow_table *table, struct flow_tcp_part *part, int direction,
                     enum tcp_letter letter);
/* The states after the segment. */
void tcp_note_endpoints(struct flow_tcp_part *part, const struct packet *packet, int direction);
/* Zeek's conn_state; with `part` NULL (compact mode) as far as flags tell it. Static. */
const char *tcp_conn_state(const struct flow *flow, const struct flow_tcp_part *part);
