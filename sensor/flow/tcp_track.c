/* What one TCP segment tells about its connection. Sequence numbers are compared modulo 2^32 (RFC
 * 9293 3.4). Depends on: tcp_track_internal.h. Threads: the table's. */
#include "sensor/flow/tcp_track_internal.h"

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
        tcp_note_syn_time(table, part, rest, packet->time_ns);
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

/* Bytes of this segment against what was seen. */
static void note_segment(struct flow_table *table, struct flow_tcp_part *part, int direction,
                         const struct packet *packet, unsigned *events)
{
    struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    const uint8_t flags = packet->tcp_flags;
    const uint32_t length = packet->payload_bytes + tcp_flags_length(packet);
    const uint32_t end = packet->tcp_seq + length;

    if ((side->bits & SIDE_HAS_SEQ) == 0) {
        side->bits |= SIDE_HAS_SEQ;
        side->next_seq = packet->tcp_seq;
        side->options |= (packet->tcp_options & TCP_OPTION_TIMESTAMPS) != 0 ? SIDE_TIMESTAMPS : 0;
    }
    const int32_t ahead = tcp_seq_diff(packet->tcp_seq, side->next_seq);
    if (ahead == -1 && packet->payload_bytes <= 1 && (flags & (TCP_SYN | TCP_FIN)) == 0) {
        tcp_faults_of(table, part, direction)->keepalives++;
        return;
    }
    if (length == 0) {
        return;
    }
    if (UNLIKELY(packet->payload_bytes == 1 && ahead == 0 && peer->window == 0 &&
                 (peer->bits & SIDE_HAS_WINDOW) != 0 && (flags & (TCP_SYN | TCP_FIN)) == 0)) {
        tcp_faults_of(table, part, direction)->zero_window_probes++;
        return; /* it will be sent again, and is none of the stream so far */
    }
    if (ahead < 0) {
        if (packet->payload_bytes > 0 && tcp_seq_diff(end, side->next_seq) <= 0) {
            tcp_note_letter(table, part, direction, LETTER_RETRANSMISSION);
        }
        tcp_note_late(table, part, direction, packet, end, events);
    } else {
        if (ahead > 0) {
            tcp_open_hole(side, tcp_faults_of(table, part, direction), packet->tcp_seq);
        }
        side->next_seq = end;
        side->highest_at = (uint32_t)(packet->time_ns >> TCP_HIGHEST_SHIFT);
        if (table->settings.measure_rtt && !tcp_is_timed(side)) {
            tcp_start_timing(table, part, direction, packet, end);
        }
    }
    if (packet->payload_bytes > 0 && tcp_fills_window(part, direction, end)) {
        tcp_faults_of(table, part, direction)->window_full_events++;
    }
    tcp_note_last(table, part, direction, packet, end);
}

/* SACK blocks of `direction` (RFC 2018): the first one tells what came last, at once. One below the
 * acknowledgement tells of bytes that came twice (RFC 2883). */
static void note_sack(struct flow_table *table, struct flow_tcp_part *part, int direction,
                      const struct packet *packet, unsigned *events)
{
    struct flow_tcp_side *peer = &part->side[!direction];
    struct flow_tcp_fault_side *faults = tcp_faults_of(table, part, direction);

    faults->sack_acks++;
    if (tcp_seq_diff(packet->tcp_sack_left, packet->tcp_ack) <= 0 ||
        tcp_seq_diff(packet->tcp_sack_right, packet->tcp_sack_left) <= 0) {
        return;
    }
    faults->sack_left = packet->tcp_sack_left;
    faults->sack_right = packet->tcp_sack_right;
    if (tcp_is_timed(peer) && tcp_seq_diff(packet->tcp_sack_right, peer->rtt_until) >= 0 &&
        tcp_seq_diff(peer->rtt_until, packet->tcp_sack_left) > 0 &&
        tcp_ends_timing(table, part, !direction, packet)) {
        tcp_add_sample(table, part, !direction, packet->time_ns);
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
        tcp_seq_diff(peer->next_seq, packet->tcp_ack) > 0) {
        struct flow_tcp_fault_side *faults = tcp_faults_of(table, part, direction);
        faults->duplicate_acks++;
        faults->duplicate_ack_at = (uint32_t)(packet->time_ns >> TCP_HIGHEST_SHIFT);
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
    const int32_t advance = had_ack ? tcp_seq_diff(ack, side->ack) : 0;

    if (UNLIKELY((packet->tcp_options & TCP_OPTION_SACK) != 0)) {
        note_sack(table, part, direction, packet, events);
    }
    if (tcp_is_timed(peer) && tcp_seq_diff(ack, peer->rtt_until) >= 0 &&
        tcp_ends_timing(table, part, !direction, packet)) {
        tcp_add_sample(table, part, !direction, packet->time_ns);
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
        tcp_faults_of(table, part, direction)->duplicate_acks_running = 0;
    }
    side->ack = ack;
    side->bits |= SIDE_HAS_ACK;
    if ((peer->bits & SIDE_HAS_SEQ) == 0) {
        if (advance != 0) { /* the other direction is not seen at all */
            tcp_faults_of(table, part, !direction)->missed_bytes += (uint32_t)advance;
        }
        return;
    }
    const int32_t unseen = tcp_seq_diff(ack, peer->next_seq);
    if (unseen >= 0) {
        if (unseen > 0 || flow_tcp_has_faults(part)) {
            struct flow_tcp_fault_side *faults = tcp_faults_of(table, part, !direction);
            const uint32_t missed = (uint32_t)unseen + faults->hole_bytes;
            if (unseen > 0) {
                tcp_keep_last(peer, faults);
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
        tcp_faults_of(table, part, direction)->zero_window_events++;
        *events |= TCP_EVENT_ZERO_WINDOW;
    }
    if (side->window != window) { /* a line that is not written need not go back to memory */
        side->window = window;
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
    tcp_note_times(table, part, packet, direction, state_before);
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
    tcp_settle_part(table, part, syn.cold.first_ns, now_ns);
    return part;
}
