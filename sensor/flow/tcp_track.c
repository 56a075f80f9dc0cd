/* What one TCP segment tells about its connection.
 *
 * The rules for late segments are tshark's: a segment below the highest byte seen is out of order
 * when it fills a hole within the initial round-trip time (3 ms where that is unknown) of the
 * highest segment, else a retransmission. Sequence numbers are compared modulo 2^32 (RFC 9293
 * 3.4). Depends on: flow_table_internal.h. Threads: the table's. */
#include "sensor/flow/flow_table_internal.h"

#define OUT_OF_ORDER_NS    UINT64_C(3000000)
#define FAST_RETRANSMIT_NS UINT64_C(20000000)
#define HIGHEST_SHIFT      10 /* flow_tcp_side.highest_at */

static inline int32_t seq_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

void tcp_follow(struct flow *flow, const struct packet *packet, int direction)
{
    const uint8_t flags = packet->tcp_flags;
    uint8_t state = (uint8_t)flow_tcp_state(flow);

    flow->tcp_flags[direction] |= flags;
    if (state == TCP_RESET) {
        return;
    }
    if ((flags & TCP_RST) != 0) {
        state = TCP_RESET;
    } else if ((flags & TCP_SYN) != 0) {
        const bool is_answer = (flags & TCP_ACK) != 0;
        flow->bits |= is_answer ? FLOW_SAW_SYN_ACK : FLOW_SAW_SYN;
        if (!is_answer && flow_initiator(flow) == INITIATOR_SYN) {
            flow->bits &= ~(uint32_t)FLOW_SAW_MIDSTREAM;
        }
        if (is_answer && state < TCP_SYN_ACK) {
            state = TCP_SYN_ACK;
        } else if (is_answer && state == TCP_SYN_ACK &&
                   (~(flow->tcp_flags[0] & flow->tcp_flags[1]) & (TCP_SYN | TCP_ACK)) == 0) {
            state = TCP_ESTABLISHED; /* both answered: a simultaneous open */
        } else if (state == TCP_NONE) {
            state = TCP_SYN_SENT;
        }
    } else if ((flow->tcp_flags[0] & flow->tcp_flags[1] & TCP_FIN) != 0) {
        state = TCP_CLOSED;
    } else if ((flags & TCP_FIN) != 0) {
        state = TCP_FIN_WAIT;
    } else if (state == TCP_NONE || (state == TCP_SYN_ACK && direction == 0) ||
               (state == TCP_SYN_SENT && packet->payload_bytes > 0)) {
        state = TCP_ESTABLISHED;
    }
    if (state != flow_tcp_state(flow)) {
        flow_set_field(flow, FLOW_STATE_SHIFT, 3, state);
    }
}

bool tcp_is_reuse(const struct flow_table *table, const struct flow *flow,
                  const struct packet *packet, int direction)
{
    const bool is_measured = flow_has_tcp_part(flow);

    if ((packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN) {
        return false;
    }
    if (is_measured && (flow_tcp_part(table, flow)->side[direction].history_seen & SEEN_SYN) != 0 &&
        flow_tcp_initial_seq(table, flow, direction) == packet->tcp_seq) {
        return false; /* the same SYN again */
    }
    if (flow_is_closed(flow) || flow_tcp_state(flow) == TCP_FIN_WAIT) {
        return true;
    }
    return is_measured && flow_tcp_state(flow) == TCP_ESTABLISHED &&
           packet->time_ns > flow->last_ns && packet->time_ns - flow->last_ns >= FLOW_REUSE_NS;
}

/* ---- when the segment being timed was seen ---- */

#define SENT_BITS 40
#define SENT_MASK ((UINT64_C(1) << SENT_BITS) - 1)
/* Of the 18 minutes that 40 bits tell, one is for times that lie behind: packets out of order and
 * fragments that were held back. */
#define SENT_BEHIND_NS (UINT64_C(1) << 36)
#define SENT_OLD_NS    (UINT64_C(1) << 38)
static_assert(SENT_OLD_NS + FLOW_LOOK_NS + SENT_BEHIND_NS < SENT_MASK, "looked at in time");

/* From its low bits, by a time that is known to be near. */
static uint64_t whole_time(uint64_t low, uint64_t near_ns)
{
    const uint64_t since = (near_ns - low) & SENT_MASK;

    return since <= SENT_MASK - SENT_BEHIND_NS ? near_ns - since
                                               : near_ns + (SENT_MASK + 1 - since);
}

static inline uint64_t sent_low(const struct flow_tcp_side *side)
{
    return (uint64_t)side->rtt_sent_high << 32 | side->rtt_sent_low;
}

static inline void end_timing(struct flow_tcp_side *side)
{
    side->bits &= (uint8_t) ~(SIDE_RTT_IS_TIMED | SIDE_RTT_IS_OLD);
}

static inline bool is_timed(const struct flow_tcp_side *side)
{
    return (side->bits & SIDE_RTT_IS_TIMED) != 0;
}

static void keep_old(struct flow_table *table, struct flow_tcp_part *part, int direction,
                     uint64_t sent_ns)
{
    flow_take_faults(table, part)->sent_ns[direction] = sent_ns;
    part->side[direction].bits |= SIDE_RTT_IS_OLD;
}

static void settle(struct flow_table *table, struct flow_tcp_part *part, uint64_t last_ns,
                   uint64_t now_ns)
{
    for (int i = 0; i < 2; i++) {
        const struct flow_tcp_side *side = &part->side[i];

        if ((side->bits & (SIDE_RTT_IS_TIMED | SIDE_RTT_IS_OLD)) == SIDE_RTT_IS_TIMED) {
            const uint64_t sent_ns = whole_time(sent_low(side), last_ns);
            if (now_ns < sent_ns || now_ns - sent_ns > SENT_OLD_NS) {
                keep_old(table, part, i, sent_ns);
            }
        }
    }
}

void tcp_settle(struct flow_table *table, struct flow *flow, uint64_t now_ns)
{
    settle(table, flow_tcp_part(table, flow), flow->last_ns, now_ns);
}

/* Of the data that `direction` has sent. */
static void add_sample(struct flow_table *table, struct flow_tcp_part *part, int direction,
                       uint64_t now_ns)
{
    struct flow_tcp_side *side = &part->side[direction];
    const uint64_t sent_ns = (side->bits & SIDE_RTT_IS_OLD) != 0
                                 ? flow_tcp_faults(table, part)->sent_ns[direction]
                                 : whole_time(sent_low(side), now_ns);
    const uint64_t ns = now_ns > sent_ns ? now_ns - sent_ns : 0;

    if (UNLIKELY((side->options & SIDE_RTT_SENT_AGAIN) != 0)) {
        flow_take_faults(table, part)->side[direction].timestamp_samples++;
    }
    end_timing(side);
    flow_add_rtt(table, part, direction, ns);
}

/* The faults of a side, to be written. */
static struct flow_tcp_fault_side *faults_of(struct flow_table *table, struct flow_tcp_part *part,
                                             int direction)
{
    return &flow_take_faults(table, part)->side[direction];
}

static inline void count_up(uint16_t *count)
{
    *count = (uint16_t)(*count + (*count < UINT16_MAX));
}

/* One more segment with the flag. */
static void count_flag(struct flow_table *table, struct flow_tcp_part *part, int direction,
                       enum flow_tcp_flag flag)
{
    uint8_t *counts = &flow_tcp_rest(table, part)->flags[direction];
    const unsigned shift = flow_flag_shift(flag);

    if (LIKELY((*counts >> shift & flow_flag_most(flag)) < flow_flag_most(flag))) {
        *counts = (uint8_t)(*counts + (1U << shift));
    } else {
        count_up(&flow_take_faults(table, part)->flags[direction][flag]);
    }
}

static void set_handshake(struct flow_table *table, struct flow_tcp_part *part,
                          struct flow_tcp_rest *rest, uint32_t handshake)
{
    if (LIKELY(!flow_tcp_has_faults(part))) {
        rest->handshake = handshake;
    } else {
        flow_take_faults(table, part)->handshake = handshake;
    }
}

/* When the client sent a SYN: the last of repeated ones, the one that is answered. */
static void note_syn_time(struct flow_table *table, struct flow_tcp_part *part,
                          struct flow_tcp_rest *rest, uint64_t now_ns)
{
    /* Large where it is before the flow. */
    const uint64_t since = now_ns - flow_tcp_cold(table, part)->cold.first_ns;

    if ((rest->bits & REST_HAS_HANDSHAKE) != 0) {
        return;
    }
    rest->bits &= (uint8_t) ~(REST_HAS_SYN | REST_SYN_IS_FAR);
    if (now_ns == 0) {
        return;
    }
    rest->bits |= REST_HAS_SYN;
    set_handshake(table, part, rest, (uint32_t)since);
    if (UNLIKELY(since > UINT32_MAX)) {
        rest->bits |= REST_SYN_IS_FAR;
        flow_take_faults(table, part)->syn_ns = now_ns;
    }
}

/* The handshake's SYN, or SYN-ACK, of this side. */
static void note_syn(struct flow_table *table, struct flow_tcp_part *part,
                     const struct packet *packet, int direction)
{
    struct flow_tcp_side *side = &part->side[direction];
    struct flow_tcp_rest *rest = flow_tcp_rest(table, part);
    struct flow_tcp_cold *cold = flow_tcp_cold(table, part);

    count_flag(table, part, direction, TCP_FLAG_SYN);
    if ((side->history_seen & SEEN_SYN) == 0) {
        side->history_seen |= SEEN_SYN;
        cold->initial_seq[direction] = packet->tcp_seq;
    }
    if ((packet->tcp_flags & TCP_ACK) == 0 && direction == 0) {
        note_syn_time(table, part, rest, packet->time_ns);
    }
    if ((packet->tcp_options & TCP_OPTION_MSS) != 0) {
        cold->mss[direction] = packet->tcp_mss;
        rest->bits |= (uint8_t)(REST_HAS_MSS << (direction * REST_SERVER_SHIFT));
    }
    if ((packet->tcp_options & TCP_OPTION_WINDOW_SCALE) != 0) {
        const unsigned scale = packet->tcp_window_scale & 15U; /* 14 at most */

        side->history_seen = (uint16_t)((side->history_seen & ~(15U << SEEN_SCALE_SHIFT)) |
                                        scale << SEEN_SCALE_SHIFT);
        side->bits |= SIDE_HAS_WINDOW_SCALE;
    }
    if ((packet->tcp_options & TCP_OPTION_SACK_PERMITTED) != 0) {
        rest->bits |= (uint8_t)(REST_SACK_PERMITTED << (direction * REST_SERVER_SHIFT));
    }
}

/* The segment is the one whose acknowledgement is waited for. */
static void start_timing(struct flow_table *table, struct flow_tcp_part *part, int direction,
                         const struct packet *packet, uint32_t end)
{
    struct flow_tcp_side *side = &part->side[direction];

    side->rtt_sent_low = (uint32_t)packet->time_ns;
    side->rtt_sent_high = (uint8_t)(packet->time_ns >> 32);
    side->bits |= SIDE_RTT_IS_TIMED;
    side->rtt_until = end;
    side->options &= (uint8_t) ~(SIDE_RTT_IS_STAMPED | SIDE_RTT_SENT_AGAIN);
    if ((packet->tcp_options & TCP_OPTION_TIMESTAMPS) != 0) {
        side->options |= SIDE_RTT_IS_STAMPED;
        flow_take_rtt(table, part)->stamp[direction] = packet->tcp_timestamp_value;
    }
}

/* Karn: which copy will be acknowledged is not known, unless their stamps differ (RFC 7323 3). */
static void doubt_timing(const struct flow_table *table, struct flow_tcp_part *part, int direction,
                         const struct packet *packet)
{
    struct flow_tcp_side *side = &part->side[direction];

    if ((side->options & SIDE_RTT_IS_STAMPED) != 0 &&
        (packet->tcp_options & TCP_OPTION_TIMESTAMPS) != 0 &&
        packet->tcp_timestamp_value != flow_take_rtt(table, part)->stamp[direction]) {
        side->options |= SIDE_RTT_SENT_AGAIN;
    } else {
        end_timing(side);
    }
}

/* Whether the acknowledgement `packet` of what `direction` is timed for tells when it arrived. */
static bool ends_timing(const struct flow_table *table, struct flow_tcp_part *part, int direction,
                        const struct packet *packet)
{
    struct flow_tcp_side *side = &part->side[direction];

    if ((side->options & SIDE_RTT_SENT_AGAIN) == 0 ||
        ((packet->tcp_options & TCP_OPTION_TIMESTAMPS) != 0 &&
         packet->tcp_timestamp_echo == flow_take_rtt(table, part)->stamp[direction])) {
        return true;
    }
    end_timing(side); /* of the later copy */
    return false;
}

/* Since the highest segment; the low bits of the clock are left out, and 73 minutes wrap. */
static uint64_t since_highest(const struct flow_tcp_side *side, const struct packet *packet)
{
    const uint32_t now = (uint32_t)(packet->time_ns >> HIGHEST_SHIFT);

    return (uint64_t)(now - side->highest_at) << HIGHEST_SHIFT;
}

/* SYN and FIN take a sequence number each. */
static inline unsigned flags_length(const struct packet *packet)
{
    return (unsigned)((packet->tcp_flags & TCP_SYN) != 0) + ((packet->tcp_flags & TCP_FIN) != 0);
}

static inline unsigned last_flags(const struct flow_tcp_side *side)
{
    return side->options >> SIDE_LAST_FLAGS_SHIFT & 3;
}

/* The last segment of a side, to know a copy. One that ended at next_seq needs no number of its
 * own; others, and those that are larger than 16 bits tell, stand with the faults. */
static void note_last(struct flow_table *table, struct flow_tcp_part *part, int direction,
                      const struct packet *packet, uint32_t end)
{
    struct flow_tcp_side *side = &part->side[direction];
    const unsigned keeps = ~(3U << SIDE_LAST_FLAGS_SHIFT | (unsigned)SIDE_LAST_IS_KEPT);

    side->last_ip_id = (uint16_t)packet->ip_id;
    side->options =
        (uint8_t)((side->options & keeps) | flags_length(packet) << SIDE_LAST_FLAGS_SHIFT);
    if (LIKELY(end == side->next_seq && packet->payload_bytes <= UINT16_MAX)) {
        side->last_payload_bytes = (uint16_t)packet->payload_bytes;
        return;
    }
    struct flow_tcp_fault_side *faults = &flow_take_faults(table, part)->side[direction];

    side->options |= SIDE_LAST_IS_KEPT;
    faults->last_seq = packet->tcp_seq;
    faults->last_payload_bytes = packet->payload_bytes;
}

/* next_seq is about to go on without a segment. */
static void keep_last(struct flow_tcp_side *side, struct flow_tcp_fault_side *faults)
{
    if ((side->options & SIDE_LAST_IS_KEPT) == 0) {
        side->options |= SIDE_LAST_IS_KEPT;
        faults->last_payload_bytes = side->last_payload_bytes;
        faults->last_seq = side->next_seq - side->last_payload_bytes - last_flags(side);
    }
}

/* The switch showed the last segment twice: a host that sends it again takes a timeout for it. */
static bool is_copy(const struct flow_tcp_side *side, const struct flow_tcp_fault_side *faults,
                    const struct packet *packet)
{
    const bool is_kept = (side->options & SIDE_LAST_IS_KEPT) != 0;
    const uint32_t payload_bytes = is_kept ? faults->last_payload_bytes : side->last_payload_bytes;
    const uint32_t seq =
        is_kept ? faults->last_seq : side->next_seq - payload_bytes - last_flags(side);

    return packet->ip_id != 0 && (uint16_t)packet->ip_id == side->last_ip_id &&
           packet->tcp_seq == seq && packet->payload_bytes == payload_bytes &&
           since_highest(side, packet) < OUT_OF_ORDER_NS;
}

/* Whether bytes of the segment may be among those not seen so far. */
static bool is_in_hole(const struct flow_tcp_fault_side *faults, uint32_t seq, uint32_t end)
{
    return faults->hole_bytes > 0 && seq_diff(end, faults->hole_from) > 0 &&
           seq_diff(seq, faults->hole_to) < 0;
}

/* A hole before `seq`. */
static void open_hole(struct flow_tcp_side *side, struct flow_tcp_fault_side *faults, uint32_t seq)
{
    if (faults->hole_bytes == 0) {
        faults->hole_from = side->next_seq;
    }
    faults->hole_to = seq;
    faults->hole_bytes += seq - side->next_seq;
    faults->sequence_gaps++;
    side->bits |= SIDE_HAS_HOLE;
}

static void fill_hole(struct flow_tcp_side *side, struct flow_tcp_fault_side *faults, uint32_t seq,
                      uint32_t end)
{
    const uint32_t length = end - seq;

    faults->hole_bytes -= length < faults->hole_bytes ? length : faults->hole_bytes;
    if (seq_diff(seq, faults->hole_from) <= 0) {
        faults->hole_from = end;
    }
    if (seq_diff(end, faults->hole_to) >= 0) {
        faults->hole_to = seq;
    }
    if (faults->hole_bytes == 0 || seq_diff(faults->hole_to, faults->hole_from) <= 0) {
        faults->hole_bytes = 0;
        side->bits &= (uint8_t)~SIDE_HAS_HOLE;
    }
}

/* 0: not measured. */
static uint64_t handshake_of(const struct flow_table *table, const struct flow_tcp_part *part)
{
    return (uint64_t)flow_tcp_handshake(table, part, flow_tcp_rest(table, part)) *
           FLOW_ROUND_TRIP_UNIT_NS;
}

/* Whether the late segment fills a hole in time. */
static bool is_out_of_order(const struct flow_table *table, const struct flow_tcp_part *part,
                            int direction, const struct packet *packet, uint32_t end, bool may_fill)
{
    const struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    const uint64_t handshake_ns = handshake_of(table, part);
    const uint64_t limit = handshake_ns != 0 ? handshake_ns : OUT_OF_ORDER_NS;

    if ((side->bits & SIDE_HAS_HOLE) == 0 || end == side->next_seq || !may_fill) {
        return false; /* it was seen before */
    }
    if ((peer->bits & SIDE_HAS_ACK) != 0) {
        if (seq_diff(end, peer->ack) <= 0) {
            return false; /* the receiver has it already */
        }
        if (flow_tcp_faults(table, part)->side[!direction].duplicate_acks_running >= 2 &&
            packet->tcp_seq == peer->ack && since_highest(side, packet) < FAST_RETRANSMIT_NS) {
            return false; /* asked for: fast retransmission (RFC 5681 3.2) */
        }
    }
    return since_highest(side, packet) < limit;
}

/* The receiver was known to have the bytes up to `end`. */
static bool is_spurious(const struct flow_tcp_side *peer,
                        const struct flow_tcp_fault_side *peer_faults, const struct packet *packet,
                        uint32_t end)
{
    if (packet->payload_bytes == 0 || (peer->bits & SIDE_HAS_ACK) == 0) {
        return false;
    }
    return seq_diff(end, peer->ack) <= 0 ||
           (peer_faults->sack_left != peer_faults->sack_right &&
            seq_diff(packet->tcp_seq, peer_faults->sack_left) >= 0 &&
            seq_diff(end, peer_faults->sack_right) <= 0);
}

/* The receiver has asked for it: two duplicate ACKs stand before it, or it is a hole that SACK told
 * (RFC 5681 3.2, RFC 6675), and no timeout has passed since. */
static bool is_fast(uint64_t handshake_ns, const struct flow_tcp_side *peer,
                    const struct flow_tcp_fault_side *peer_faults, const struct packet *packet,
                    uint32_t end)
{
    const uint32_t now = (uint32_t)(packet->time_ns >> HIGHEST_SHIFT);
    const uint64_t since = (uint64_t)(now - peer_faults->duplicate_ack_at) << HIGHEST_SHIFT;
    const bool is_hole = peer_faults->sack_left != peer_faults->sack_right &&
                         seq_diff(packet->tcp_seq, peer->ack) >= 0 &&
                         seq_diff(end, peer_faults->sack_left) <= 0;

    return peer_faults->duplicate_acks_running >= 2 && (packet->tcp_seq == peer->ack || is_hole) &&
           since < FAST_RETRANSMIT_NS + handshake_ns;
}

static void note_late_segment(struct flow_table *table, struct flow_tcp_part *part, int direction,
                              const struct packet *packet, uint32_t end, unsigned *events)
{
    struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    struct flow_tcp_fault_side *faults = faults_of(table, part, direction);
    const struct flow_tcp_fault_side *peer_faults = faults_of(table, part, !direction);
    const bool may_fill = is_in_hole(faults, packet->tcp_seq, end);

    doubt_timing(table, part, direction, packet);
    if (is_copy(side, faults, packet)) {
        faults->duplicate_packets++;
        return;
    }
    const bool fills = is_out_of_order(table, part, direction, packet, end, may_fill);
    if (may_fill) {
        fill_hole(side, faults, packet->tcp_seq, end);
    }
    if (seq_diff(end, side->next_seq) > 0) {
        side->next_seq = end;
    }
    if (fills) {
        if (table->settings.measure_out_of_order) {
            faults->out_of_order_segments++;
            *events |= TCP_EVENT_OUT_OF_ORDER;
        }
        return;
    }
    if (table->settings.measure_retransmissions) {
        faults->retransmitted_segments++;
        faults->retransmitted_bytes += packet->payload_bytes;
        *events |= TCP_EVENT_RETRANSMITTED;
        if (is_spurious(peer, peer_faults, packet, end)) {
            faults->spurious_retransmissions++;
        } else if (is_fast(handshake_of(table, part), peer, peer_faults, packet, end)) {
            faults->fast_retransmissions++;
        }
    }
}

/* The last byte that the receiver's window has room for: known where it told its scale, or that it
 * has none. */
static void note_window_full(struct flow_table *table, struct flow_tcp_part *part, int direction,
                             uint32_t end)
{
    const struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    const unsigned known = SIDE_HAS_WINDOW | SIDE_HAS_ACK;
    const unsigned scale = (side->bits & peer->bits & SIDE_HAS_WINDOW_SCALE) != 0
                               ? peer->history_seen >> SEEN_SCALE_SHIFT & 15U
                               : 0;

    if ((peer->bits & known) == known && peer->window != 0 &&
        (peer->history_seen & side->history_seen & SEEN_SYN) != 0 &&
        end == peer->ack + ((uint32_t)peer->window << scale)) {
        faults_of(table, part, direction)->window_full_events++;
    }
}

/* Bytes of this segment against what was seen. */
static void note_segment(struct flow_table *table, struct flow_tcp_part *part, int direction,
                         const struct packet *packet, unsigned *events)
{
    struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    const uint8_t flags = packet->tcp_flags;
    const uint32_t length = packet->payload_bytes + flags_length(packet);
    const uint32_t end = packet->tcp_seq + length;

    if ((side->bits & SIDE_HAS_SEQ) == 0) {
        side->bits |= SIDE_HAS_SEQ;
        side->next_seq = packet->tcp_seq;
        side->options |= (packet->tcp_options & TCP_OPTION_TIMESTAMPS) != 0 ? SIDE_TIMESTAMPS : 0;
    }
    const int32_t ahead = seq_diff(packet->tcp_seq, side->next_seq);
    if (ahead == -1 && packet->payload_bytes <= 1 && (flags & (TCP_SYN | TCP_FIN)) == 0) {
        faults_of(table, part, direction)->keepalives++;
        return;
    }
    if (length == 0) {
        return;
    }
    if (UNLIKELY(packet->payload_bytes == 1 && ahead == 0 && peer->window == 0 &&
                 (peer->bits & SIDE_HAS_WINDOW) != 0 && (flags & (TCP_SYN | TCP_FIN)) == 0)) {
        faults_of(table, part, direction)->zero_window_probes++;
        return; /* it will be sent again, and is none of the stream so far */
    }
    if (ahead < 0) {
        if (packet->payload_bytes > 0 && seq_diff(end, side->next_seq) <= 0) {
            tcp_note_letter(table, part, direction, LETTER_RETRANSMISSION);
        }
        note_late_segment(table, part, direction, packet, end, events);
    } else {
        if (ahead > 0) {
            open_hole(side, faults_of(table, part, direction), packet->tcp_seq);
        }
        side->next_seq = end;
        side->highest_at = (uint32_t)(packet->time_ns >> HIGHEST_SHIFT);
        if (table->settings.measure_rtt && !is_timed(side)) {
            start_timing(table, part, direction, packet, end);
        }
        if (packet->payload_bytes > 0) {
            note_window_full(table, part, direction, end);
        }
    }
    note_last(table, part, direction, packet, end);
}

/* SACK blocks of `direction` (RFC 2018): the first one tells what came last, at once. One below the
 * acknowledgement tells of bytes that came twice (RFC 2883). */
static void note_sack(struct flow_table *table, struct flow_tcp_part *part, int direction,
                      const struct packet *packet, unsigned *events)
{
    struct flow_tcp_side *peer = &part->side[!direction];
    struct flow_tcp_fault_side *faults = faults_of(table, part, direction);

    faults->sack_acks++;
    if (seq_diff(packet->tcp_sack_left, packet->tcp_ack) <= 0 ||
        seq_diff(packet->tcp_sack_right, packet->tcp_sack_left) <= 0) {
        return;
    }
    faults->sack_left = packet->tcp_sack_left;
    faults->sack_right = packet->tcp_sack_right;
    if (is_timed(peer) && seq_diff(packet->tcp_sack_right, peer->rtt_until) >= 0 &&
        seq_diff(peer->rtt_until, packet->tcp_sack_left) > 0 &&
        ends_timing(table, part, !direction, packet)) {
        add_sample(table, part, !direction, packet->time_ns);
        *events |= TCP_EVENT_SAMPLE;
    }
}

/* An acknowledgement of what is acknowledged already. That it is a duplicate (RFC 5681 2) wants
 * data under way; the answer to a window probe is none. With new SACK blocks the window may change
 * (RFC 6675 2). */
static void note_same_ack(struct flow_table *table, struct flow_tcp_part *part, int direction,
                          const struct packet *packet)
{
    const struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    const bool has_sack = (packet->tcp_options & TCP_OPTION_SACK) != 0;

    if (packet->payload_bytes == 0 && (packet->tcp_flags & (TCP_SYN | TCP_FIN)) == 0 &&
        (packet->tcp_window == side->window || has_sack) && packet->tcp_window != 0 &&
        packet->tcp_seq == side->next_seq && (peer->bits & SIDE_HAS_SEQ) != 0 &&
        seq_diff(peer->next_seq, packet->tcp_ack) > 0) {
        struct flow_tcp_fault_side *faults = faults_of(table, part, direction);
        faults->duplicate_acks++;
        faults->duplicate_ack_at = (uint32_t)(packet->time_ns >> HIGHEST_SHIFT);
        if (faults->duplicate_acks_running < UINT16_MAX) {
            faults->duplicate_acks_running++;
        }
    }
}

/* What `side` acknowledges of what `peer` sent. */
static void note_ack(struct flow_table *table, struct flow_tcp_part *part, int direction,
                     const struct packet *packet, unsigned *events)
{
    struct flow_tcp_side *side = &part->side[direction];
    struct flow_tcp_side *peer = &part->side[!direction];
    const uint32_t ack = packet->tcp_ack;
    const bool had_ack = (side->bits & SIDE_HAS_ACK) != 0;
    const int32_t advance = had_ack ? seq_diff(ack, side->ack) : 0;

    if (UNLIKELY((packet->tcp_options & TCP_OPTION_SACK) != 0)) {
        note_sack(table, part, direction, packet, events);
    }
    if (is_timed(peer) && seq_diff(ack, peer->rtt_until) >= 0 &&
        ends_timing(table, part, !direction, packet)) {
        add_sample(table, part, !direction, packet->time_ns);
        *events |= TCP_EVENT_SAMPLE;
    }
    if (had_ack && advance < 0) {
        return; /* old */
    }
    if (had_ack && advance == 0) {
        note_same_ack(table, part, direction, packet);
        return;
    }
    if (flow_tcp_has_faults(part)) {
        faults_of(table, part, direction)->duplicate_acks_running = 0;
    }
    side->ack = ack;
    side->bits |= SIDE_HAS_ACK;
    if ((peer->bits & SIDE_HAS_SEQ) == 0) {
        if (advance != 0) { /* the other direction is not seen at all */
            faults_of(table, part, !direction)->missed_bytes += (uint32_t)advance;
        }
        return;
    }
    const int32_t unseen = seq_diff(ack, peer->next_seq);
    if (unseen >= 0) {
        if (unseen > 0 || flow_tcp_has_faults(part)) {
            struct flow_tcp_fault_side *faults = faults_of(table, part, !direction);
            const uint32_t missed = (uint32_t)unseen + faults->hole_bytes;
            if (unseen > 0) {
                keep_last(peer, faults);
            }
            faults->missed_bytes += missed;
            faults->hole_bytes = 0;
            if (missed > 0 && (packet->tcp_flags & TCP_FIN) == 0) {
                tcp_note_letter(table, part, !direction, LETTER_GAP);
            }
        }
        peer->bits &= (uint8_t)~SIDE_HAS_HOLE;
        peer->next_seq = ack;
    }
}

static void note_window(struct flow_table *table, struct flow_tcp_part *part, int direction,
                        const struct packet *packet, unsigned *events)
{
    struct flow_tcp_side *side = &part->side[direction];
    const uint16_t window = packet->tcp_window;

    if ((side->bits & SIDE_HAS_WINDOW) == 0) {
        side->bits |= SIDE_HAS_WINDOW;
        flow_tcp_cold(table, part)->initial_window[direction] = window;
    } else if (window == 0 && side->window != 0) {
        faults_of(table, part, direction)->zero_window_events++;
        *events |= TCP_EVENT_ZERO_WINDOW;
    }
    if (side->window != window) { /* a line that is not written need not go back to memory */
        side->window = window;
    }
}

/* The round trip of the handshake, when it is complete. */
static void note_handshake(struct flow_table *table, struct flow_tcp_part *part,
                           const struct packet *packet, int direction)
{
    const uint64_t now = packet->time_ns;
    const unsigned flags = packet->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST);
    const bool is_last = (part->side[0].options & SIDE_0_IS_SIMULTANEOUS) != 0
                             ? flags == (TCP_ACK | TCP_SYN)
                             : direction == 0 && flags == TCP_ACK;

    if (!is_last) {
        return;
    }
    struct flow_tcp_rest *rest = flow_tcp_rest(table, part);
    if ((rest->bits & (REST_HAS_SYN | REST_HAS_HANDSHAKE)) != REST_HAS_SYN) {
        return;
    }
    const uint64_t syn_ns = (rest->bits & REST_SYN_IS_FAR) != 0
                                ? flow_tcp_faults(table, part)->syn_ns
                                : flow_tcp_cold(table, part)->cold.first_ns +
                                      flow_tcp_handshake_field(table, part, rest);
    if (now >= syn_ns) {
        const uint32_t units = flow_round_trip_units(now - syn_ns);
        set_handshake(table, part, rest, units > 0 ? units : 1);
        rest->bits |= REST_HAS_HANDSHAKE;
    }
}

/* When the client sent its first payload. */
static void note_request(struct flow_table *table, struct flow_tcp_part *part, uint64_t now_ns)
{
    struct flow_tcp_rest *rest = flow_tcp_rest(table, part);
    /* Large where it is before the flow. */
    const uint64_t since = now_ns - flow_tcp_cold(table, part)->cold.first_ns;

    rest->request = (uint32_t)since;
    rest->request_high = (uint8_t)(since >> 32);
    if (UNLIKELY(since >> FLOW_REQUEST_BITS != 0)) {
        rest->bits |= REST_REQUEST_IS_FAR;
        flow_take_faults(table, part)->request_ns = now_ns;
    }
}

static uint64_t request_of(const struct flow_table *table, const struct flow_tcp_part *part,
                           const struct flow_tcp_rest *rest)
{
    return (rest->bits & REST_REQUEST_IS_FAR) != 0
               ? flow_tcp_faults(table, part)->request_ns
               : flow_tcp_cold(table, part)->cold.first_ns +
                     ((uint64_t)rest->request_high << 32 | rest->request);
}

/* Times of the connection: handshake, first request, first response. */
static void note_times(struct flow_table *table, struct flow_tcp_part *part,
                       const struct packet *packet, int direction, uint8_t state_before)
{
    const uint64_t now = packet->time_ns;

    if (state_before == TCP_SYN_ACK) {
        note_handshake(table, part, packet, direction);
    }
    if (packet->payload_bytes == 0) {
        return;
    }
    if (direction == 0) {
        if ((part->side[0].options & SIDE_HAS_ASKED) == 0) {
            note_request(table, part, now);
            part->side[0].options |= SIDE_HAS_ASKED;
        }
    } else if ((part->side[0].options & SIDE_HAS_ASKED) != 0 &&
               (part->side[1].options & SIDE_HAS_ANSWERED) == 0) {
        struct flow_tcp_rest *rest = flow_tcp_rest(table, part);
        const uint64_t request_ns = request_of(table, part, rest);

        if (request_ns != 0 && now >= request_ns) {
            const uint32_t units = flow_round_trip_units(now - request_ns);
            rest->request = units > 0 ? units : 1;
            part->side[1].options |= SIDE_HAS_ANSWERED;
        }
    }
}

unsigned tcp_measure(struct flow_table *table, struct flow_tcp_part *part,
                     const struct packet *packet, int direction, uint8_t state_before)
{
    struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    const uint8_t flags = packet->tcp_flags;
    unsigned events = 0;

    tcp_note_flags(table, part, packet, direction);
    if ((flags & TCP_RST) != 0) {
        /* its sequence number need not be one of the stream */
        count_flag(table, part, direction, TCP_FLAG_RST);
        tcp_note_endpoints(part, packet, direction);
        return 0;
    }
    if ((flags & TCP_SYN) != 0) {
        note_syn(table, part, packet, direction);
        if ((flags & TCP_ACK) == 0 && side->endpoint == ENDPOINT_INACTIVE &&
            peer->endpoint == ENDPOINT_SYN_SENT) {
            part->side[0].options |= SIDE_0_IS_SIMULTANEOUS;
        }
    }
    if ((flags & TCP_FIN) != 0) {
        count_flag(table, part, direction, TCP_FLAG_FIN);
    }
    if (UNLIKELY(packet->tcp_window == 0) && (peer->endpoint & 15) != ENDPOINT_CLOSED &&
        (side->endpoint & 15) != ENDPOINT_RESET) {
        tcp_note_letter(table, part, direction, LETTER_ZERO_WINDOW);
    }
    note_segment(table, part, direction, packet, &events);
    if ((flags & TCP_ACK) != 0) {
        note_ack(table, part, direction, packet, &events);
    }
    tcp_note_endpoints(part, packet, direction);
    note_window(table, part, direction, packet, &events);
    note_times(table, part, packet, direction, state_before);
    return events;
}

/* ---- a flow's first segment ---- */

#define SYN_OPTIONS                                                                                \
    (TCP_OPTION_MSS | TCP_OPTION_WINDOW_SCALE | TCP_OPTION_TIMESTAMPS | TCP_OPTION_SACK_PERMITTED)

bool tcp_keep_syn(const struct flow_table *table, const struct flow *flow, uint32_t slot,
                  const struct packet *packet)
{
    struct flow_tcp_cold *cold = flow_tcp_cold_at(table, slot);
    const unsigned flags = packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST);

    if (flags != TCP_SYN || flow_packets(flow) != 1 || packet->payload_bytes != 0 ||
        packet->tcp_window == 0 || packet->time_ns == 0 || packet->time_ns != cold->cold.first_ns) {
        return false;
    }
    cold->initial_seq[0] = packet->tcp_seq;
    cold->initial_seq[1] = packet->tcp_timestamp_value;
    cold->initial_window[0] = packet->tcp_window;
    cold->initial_window[1] = (uint16_t)packet->ip_id;
    cold->mss[0] = packet->tcp_mss;
    cold->mss[1] = (uint16_t)(FLOW_SYN_IS_KEPT | (packet->tcp_options & SYN_OPTIONS) |
                              (packet->tcp_window_scale & 15U) << FLOW_SYN_SCALE_SHIFT);
    return true;
}

struct flow_tcp_part *tcp_make_part(struct flow_table *table, struct flow *flow, uint32_t slot,
                                    uint64_t now_ns)
{
    struct flow_kind_pool *pool = &table->kinds[slot >> FLOW_KIND_SHIFT];
    struct flow_tcp_part *part = flow_tcp_part_at(table, slot);
    struct flow_tcp_cold *cold = flow_tcp_cold_at(table, slot);
    const struct flow_tcp_cold syn = *cold;

    flow->bits |= FLOW_HAS_TCP_PART;
    *part = (struct flow_tcp_part){0};
    memset(flow_tcp_rest_at(table, slot), 0, offsetof(struct flow_tcp_rest, rtt));
    if (pool->tcps_fresh <= (slot & FLOW_PLACE_MASK)) {
        pool->tcps_fresh = (slot & FLOW_PLACE_MASK) + 1;
    }
    *cold = (struct flow_tcp_cold){.cold = syn.cold};
    if ((syn.mss[1] & FLOW_SYN_IS_KEPT) == 0) {
        return part;
    }
    const struct packet packet = {
        .protocol = IP_PROTOCOL_TCP,
        .tcp_flags = TCP_SYN,
        .time_ns = syn.cold.first_ns,
        .tcp_seq = syn.initial_seq[0],
        .tcp_timestamp_value = syn.initial_seq[1],
        .tcp_window = syn.initial_window[0],
        .tcp_mss = syn.mss[0],
        .tcp_window_scale = (uint8_t)(syn.mss[1] >> FLOW_SYN_SCALE_SHIFT & 15),
        .tcp_options = (uint8_t)(syn.mss[1] & FLOW_SYN_OPTIONS),
        .ip_id = syn.initial_window[1],
    };
    (void)tcp_measure(table, part, &packet, 0, TCP_NONE);
    settle(table, part, syn.cold.first_ns, now_ns);
    return part;
}
