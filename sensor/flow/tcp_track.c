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

enum history_letter {
    HISTORY_SYN = 1 << 0,
    HISTORY_SYN_ACK = 1 << 1,
    HISTORY_ACK = 1 << 2,
    HISTORY_DATA = 1 << 3,
    HISTORY_FIN = 1 << 4,
    HISTORY_RST = 1 << 5,
    HISTORY_RETRANSMISSION = 1 << 6,
    HISTORY_ZERO_WINDOW = 1 << 7,
};

static inline int32_t seq_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static inline uint32_t round_trip_units(uint64_t ns)
{
    const uint64_t units = ns / FLOW_ROUND_TRIP_UNIT_NS;

    return units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

void tcp_follow(struct flow *flow, const struct packet *packet, int direction)
{
    const uint8_t flags = packet->tcp_flags;
    uint8_t state = flow->tcp_state;

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
    flow->tcp_state = state;
}

bool tcp_is_reuse(const struct flow *flow, const struct flow_tcp_part *part,
                  const struct packet *packet, int direction)
{
    if ((packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN) {
        return false;
    }
    if (part != NULL && part->side[direction].syn_count > 0 &&
        part->side[direction].initial_seq == packet->tcp_seq) {
        return false; /* the same SYN again */
    }
    if (flow_is_closed(flow) || flow->tcp_state == TCP_FIN_WAIT) {
        return true;
    }
    return part != NULL && flow->tcp_state == TCP_ESTABLISHED && packet->time_ns > flow->last_ns &&
           packet->time_ns - flow->last_ns >= FLOW_REUSE_NS;
}

static void note_history(struct flow_tcp_part *part, int direction, unsigned letters)
{
    static const char names[2][9] = {"SHADFRTW", "shadfrtw"};
    struct flow_tcp_side *side = &part->side[direction];

    letters &= ~(unsigned)side->history_seen;
    for (; letters != 0; letters &= letters - 1) {
        const int bit = __builtin_ctz(letters);
        side->history_seen |= (uint8_t)(1u << bit);
        part->history[part->history_length++] = names[direction][bit];
    }
}

static void add_sample(struct flow_table *table, struct flow_tcp_part *part, int direction,
                       uint64_t now_ns)
{
    struct flow_tcp_side *side = &part->side[direction];
    struct flow_rtt *rtt = &flow_take_rtt(table, part)->side[direction];
    const uint64_t ns = now_ns > side->rtt_sent_ns ? now_ns - side->rtt_sent_ns : 0;
    const uint32_t units = round_trip_units(ns);

    side->rtt_sent_ns = 0;
    rtt->sum_ns += ns;
    rtt->last = units;
    if (rtt->samples == 0) {
        rtt->min = rtt->max = rtt->ewma = units;
    } else {
        rtt->min = units < rtt->min ? units : rtt->min;
        rtt->max = units > rtt->max ? units : rtt->max;
        /* RFC 6298: alpha 1/8 */
        rtt->ewma = (uint32_t)(((uint64_t)rtt->ewma * 7 + units) / 8);
    }
    rtt->samples++;
}

/* The faults of a side, to be written. */
static struct flow_tcp_fault_side *faults_of(struct flow_table *table, struct flow_tcp_part *part,
                                             int direction)
{
    return &flow_take_faults(table, part)->side[direction];
}

/* The handshake's SYN, or SYN-ACK, of this side. */
static void note_syn(struct flow_tcp_part *part, struct flow_tcp_side *side,
                     const struct packet *packet, int direction)
{
    side->syn_count++;
    if (side->syn_count == 1) {
        side->initial_seq = packet->tcp_seq;
    }
    if ((packet->tcp_flags & TCP_ACK) == 0 && direction == 0) {
        part->syn_ns = packet->time_ns; /* the last of repeated SYNs: the one that is answered */
    }
    if ((packet->tcp_options & TCP_OPTION_MSS) != 0) {
        side->mss = packet->tcp_mss;
        side->bits |= SIDE_HAS_MSS;
    }
    if ((packet->tcp_options & TCP_OPTION_WINDOW_SCALE) != 0) {
        side->window_scale = packet->tcp_window_scale;
        side->bits |= SIDE_HAS_WINDOW_SCALE;
    }
}

/* Since the highest segment; the low bits of the clock are left out, and 73 minutes wrap. */
static uint64_t since_highest(const struct flow_tcp_side *side, const struct packet *packet)
{
    const uint32_t now = (uint32_t)(packet->time_ns >> HIGHEST_SHIFT);

    return (uint64_t)(now - side->highest_at) << HIGHEST_SHIFT;
}

/* The switch showed the last segment twice: a host that sends it again takes a timeout for it. */
static bool is_copy(const struct flow_tcp_side *side, const struct packet *packet)
{
    return packet->ip_id != 0 && (uint16_t)packet->ip_id == side->last_ip_id &&
           packet->tcp_seq == side->last_seq && packet->payload_bytes == side->last_payload_bytes &&
           since_highest(side, packet) < OUT_OF_ORDER_NS;
}

/* Whether the late segment fills a hole in time. */
static bool is_out_of_order(const struct flow_table *table, const struct flow_tcp_part *part,
                            int direction, const struct packet *packet, uint32_t end)
{
    const struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    const uint64_t limit = part->handshake != 0
                               ? (uint64_t)part->handshake * FLOW_ROUND_TRIP_UNIT_NS
                               : OUT_OF_ORDER_NS;

    if ((side->bits & SIDE_HAS_HOLE) == 0 || end == side->next_seq) {
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

static unsigned note_late_segment(struct flow_table *table, struct flow_tcp_part *part,
                                  int direction, const struct packet *packet, uint32_t end,
                                  unsigned *events)
{
    struct flow_tcp_side *side = &part->side[direction];
    struct flow_tcp_fault_side *faults = faults_of(table, part, direction);
    const uint32_t length = end - packet->tcp_seq;

    side->rtt_sent_ns = 0; /* Karn: which copy was acknowledged is not known */
    if (is_copy(side, packet)) {
        faults->duplicate_packets++;
        return 0;
    }
    const bool fills = is_out_of_order(table, part, direction, packet, end);
    if ((side->bits & SIDE_HAS_HOLE) != 0) {
        faults->hole_bytes -= length < faults->hole_bytes ? length : faults->hole_bytes;
    }
    if (seq_diff(end, side->next_seq) > 0) {
        side->next_seq = end;
    }
    if (fills) {
        if (table->settings.measure_out_of_order) {
            faults->out_of_order_segments++;
            *events |= TCP_EVENT_OUT_OF_ORDER;
        }
        return 0;
    }
    if (table->settings.measure_retransmissions) {
        faults->retransmitted_segments++;
        faults->retransmitted_bytes += packet->payload_bytes;
        *events |= TCP_EVENT_RETRANSMITTED;
    }
    return HISTORY_RETRANSMISSION;
}

/* Bytes of this segment against what was seen; gives letters for the history. */
static unsigned note_segment(struct flow_table *table, struct flow_tcp_part *part, int direction,
                             const struct packet *packet, unsigned *events)
{
    struct flow_tcp_side *side = &part->side[direction];
    const uint8_t flags = packet->tcp_flags;
    const uint32_t length =
        packet->payload_bytes + ((flags & TCP_SYN) != 0) + ((flags & TCP_FIN) != 0);
    const uint32_t end = packet->tcp_seq + length;
    unsigned letters = 0;

    if ((side->bits & SIDE_HAS_SEQ) == 0) {
        side->bits |= SIDE_HAS_SEQ;
        side->next_seq = packet->tcp_seq;
    }
    const int32_t ahead = seq_diff(packet->tcp_seq, side->next_seq);
    if (ahead == -1 && packet->payload_bytes <= 1 && (flags & (TCP_SYN | TCP_FIN)) == 0) {
        faults_of(table, part, direction)->keepalives++;
        return 0;
    }
    if (length == 0) {
        return 0;
    }
    if (ahead < 0) {
        letters = note_late_segment(table, part, direction, packet, end, events);
    } else {
        if (ahead > 0) {
            side->bits |= SIDE_HAS_HOLE;
            faults_of(table, part, direction)->hole_bytes += (uint32_t)ahead;
        }
        side->next_seq = end;
        side->highest_at = (uint32_t)(packet->time_ns >> HIGHEST_SHIFT);
        if (table->settings.measure_rtt && side->rtt_sent_ns == 0) {
            side->rtt_sent_ns = packet->time_ns;
            side->rtt_until = end;
        }
    }
    side->last_seq = packet->tcp_seq;
    side->last_payload_bytes = packet->payload_bytes;
    side->last_ip_id = (uint16_t)packet->ip_id;
    return letters;
}

/* What `side` acknowledges of what `peer` sent. A duplicate ACK is that of RFC 5681: the peer has
 * data under way; the answer to a window probe is none. */
static void note_ack(struct flow_table *table, struct flow_tcp_part *part, int direction,
                     const struct packet *packet, unsigned *events)
{
    struct flow_tcp_side *side = &part->side[direction];
    struct flow_tcp_side *peer = &part->side[!direction];
    const uint32_t ack = packet->tcp_ack;
    const bool had_ack = (side->bits & SIDE_HAS_ACK) != 0;
    const int32_t advance = had_ack ? seq_diff(ack, side->ack) : 0;

    if (peer->rtt_sent_ns != 0 && seq_diff(ack, peer->rtt_until) >= 0) {
        add_sample(table, part, !direction, packet->time_ns);
        *events |= TCP_EVENT_SAMPLE;
    }
    if (had_ack && advance < 0) {
        return; /* old */
    }
    if (had_ack && advance == 0) {
        const bool is_plain = packet->payload_bytes == 0 &&
                              (packet->tcp_flags & (TCP_SYN | TCP_FIN)) == 0 &&
                              packet->tcp_window == side->window && packet->tcp_window != 0 &&
                              packet->tcp_seq == side->next_seq;
        if (is_plain && (peer->bits & SIDE_HAS_SEQ) != 0 && seq_diff(peer->next_seq, ack) > 0) {
            struct flow_tcp_fault_side *faults = faults_of(table, part, direction);
            faults->duplicate_acks++;
            if (faults->duplicate_acks_running < UINT16_MAX) {
                faults->duplicate_acks_running++;
            }
        }
        return;
    }
    if (part->side[FLOW_TCP_FAULTS].part != 0) {
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
        if (unseen > 0 || part->side[FLOW_TCP_FAULTS].part != 0) {
            struct flow_tcp_fault_side *faults = faults_of(table, part, !direction);
            faults->missed_bytes += (uint32_t)unseen + faults->hole_bytes;
            faults->hole_bytes = 0;
        }
        peer->bits &= (uint8_t)~SIDE_HAS_HOLE;
        peer->next_seq = ack;
    }
}

static void note_window(struct flow_table *table, struct flow_tcp_part *part, int direction,
                        const struct packet *packet, unsigned *letters, unsigned *events)
{
    struct flow_tcp_side *side = &part->side[direction];
    const uint16_t window = packet->tcp_window;

    if ((side->bits & SIDE_HAS_WINDOW) == 0) {
        side->bits |= SIDE_HAS_WINDOW;
        side->initial_window = window;
    } else if (window == 0 && side->window != 0) {
        faults_of(table, part, direction)->zero_window_events++;
        *events |= TCP_EVENT_ZERO_WINDOW;
        *letters |= HISTORY_ZERO_WINDOW;
    }
    if (side->window != window) { /* a line that is not written need not go back to memory */
        side->window = window;
    }
}

/* Times of the connection: handshake, first request, first response. */
static void note_times(struct flow_tcp_part *part, const struct packet *packet, int direction,
                       uint8_t state_before)
{
    const uint64_t now = packet->time_ns;

    if (state_before == TCP_SYN_ACK && direction == 0 &&
        (packet->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK && part->handshake == 0 &&
        part->syn_ns != 0 && now >= part->syn_ns) {
        const uint32_t units = round_trip_units(now - part->syn_ns);
        part->handshake = units > 0 ? units : 1;
    }
    if (packet->payload_bytes == 0) {
        return;
    }
    if (direction == 0) {
        if ((part->side[0].history_seen & HISTORY_DATA) == 0) {
            part->request_ns = now;
        }
    } else if (!part->side[1].has_answered && part->request_ns != 0 && now >= part->request_ns) {
        const uint32_t units = round_trip_units(now - part->request_ns);
        part->response = units > 0 ? units : 1;
        part->side[1].has_answered = true;
    }
}

unsigned tcp_measure(struct flow_table *table, struct flow_tcp_part *part,
                     const struct packet *packet, int direction, uint8_t state_before)
{
    struct flow_tcp_side *side = &part->side[direction];
    const uint8_t flags = packet->tcp_flags;
    unsigned letters = 0, events = 0;

    if ((flags & TCP_RST) != 0) {
        /* Its sequence number need not be one of the stream. */
        side->rst_count++;
        if (part->reset_by == 0) {
            part->reset_by = (uint8_t)(1 + direction);
        }
        note_history(part, direction, HISTORY_RST);
        return 0;
    }
    if ((flags & TCP_SYN) != 0) {
        note_syn(part, side, packet, direction);
        letters |= (flags & TCP_ACK) != 0 ? HISTORY_SYN_ACK : HISTORY_SYN;
    } else if (packet->payload_bytes == 0 && (flags & (TCP_ACK | TCP_FIN)) == TCP_ACK) {
        letters |= HISTORY_ACK;
    }
    letters |= packet->payload_bytes > 0 ? HISTORY_DATA : 0;
    if ((flags & TCP_FIN) != 0) {
        side->fin_count++;
        letters |= HISTORY_FIN;
    }
    letters |= note_segment(table, part, direction, packet, &events);
    if ((flags & TCP_ACK) != 0) {
        note_ack(table, part, direction, packet, &events);
    }
    note_window(table, part, direction, packet, &letters, &events);
    note_times(part, packet, direction, state_before);
    note_history(part, direction, letters);
    return events;
}

const char *tcp_conn_state(const struct flow *flow)
{
    const bool syn = (flow->bits & FLOW_SAW_SYN) != 0;
    const bool syn_ack = (flow->bits & FLOW_SAW_SYN_ACK) != 0;
    const bool client_fin = (flow->tcp_flags[0] & TCP_FIN) != 0;
    const bool server_fin = (flow->tcp_flags[1] & TCP_FIN) != 0;
    const bool client_rst = (flow->tcp_flags[0] & TCP_RST) != 0;
    const bool server_rst = (flow->tcp_flags[1] & TCP_RST) != 0;

    if (!syn) {
        if (!syn_ack) {
            return "OTH";
        }
        return server_rst ? "RSTRH" : server_fin ? "SHR" : "OTH";
    }
    if (!syn_ack && flow->tcp_state != TCP_ESTABLISHED && !(client_fin && server_fin)) {
        if (server_rst) {
            return "REJ";
        }
        return client_rst ? "RSTOS0" : client_fin ? "SH" : "S0";
    }
    if (client_fin && server_fin) {
        return "SF";
    }
    if (client_rst || server_rst) {
        return client_rst ? "RSTO" : "RSTR";
    }
    return client_fin ? "S2" : server_fin ? "S3" : "S1";
}
