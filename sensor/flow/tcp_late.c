/* Segments below the highest byte seen, with tshark's rules: one is out of order when it fills a
 * hole within the initial round-trip time (3 ms where that is unknown) of the highest segment, else
 * a retransmission. Depends on: tcp_track_internal.h. Threads: the table's. */
#include "sensor/flow/tcp_track_internal.h"

#define OUT_OF_ORDER_NS    UINT64_C(3000000)
#define COPY_NS            UINT64_C(1000000)
#define FAST_RETRANSMIT_NS UINT64_C(20000000)

/* Since the highest segment; the low bits of the clock are left out, and 73 minutes wrap. */
static uint64_t since_highest(const struct flow_tcp_side *side, const struct packet *packet)
{
    const uint32_t now = (uint32_t)(packet->time_ns >> TCP_HIGHEST_SHIFT);

    return (uint64_t)(now - side->highest_at) << TCP_HIGHEST_SHIFT;
}

static inline unsigned last_flags(const struct flow_tcp_side *side)
{
    return side->options >> SIDE_LAST_FLAGS_SHIFT & 3;
}

/* The last segment of a side, to know a copy. One that ended at next_seq needs no number of its
 * own; others, and those that are larger than 16 bits tell, stand with the faults. */
void tcp_note_last(struct flow_table *table, struct flow_tcp_part *part, int direction,
                   const struct packet *packet, uint32_t end)
{
    struct flow_tcp_side *side = &part->side[direction];
    const unsigned keeps = ~(3U << SIDE_LAST_FLAGS_SHIFT | (unsigned)SIDE_LAST_IS_KEPT);

    side->last_ip_id = (uint16_t)packet->ip_id;
    side->options =
        (uint8_t)((side->options & keeps) | tcp_flags_length(packet) << SIDE_LAST_FLAGS_SHIFT);
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
void tcp_keep_last(struct flow_tcp_side *side, struct flow_tcp_fault_side *faults)
{
    if ((side->options & SIDE_LAST_IS_KEPT) == 0) {
        side->options |= SIDE_LAST_IS_KEPT;
        faults->last_payload_bytes = side->last_payload_bytes;
        faults->last_seq = side->next_seq - side->last_payload_bytes - last_flags(side);
    }
}

/* The switch showed the last segment twice: a host that sends it again takes a timeout for it.
 * Without an IP id (IPv6, and hosts that leave it 0) only what comes again at once is one. */
static bool is_copy(const struct flow_tcp_side *side, const struct flow_tcp_fault_side *faults,
                    const struct packet *packet)
{
    const bool is_kept = (side->options & SIDE_LAST_IS_KEPT) != 0;
    const uint32_t payload_bytes = is_kept ? faults->last_payload_bytes : side->last_payload_bytes;
    const uint32_t seq =
        is_kept ? faults->last_seq : side->next_seq - payload_bytes - last_flags(side);

    return (uint16_t)packet->ip_id == side->last_ip_id && packet->tcp_seq == seq &&
           packet->payload_bytes == payload_bytes &&
           since_highest(side, packet) < (packet->ip_id != 0 ? OUT_OF_ORDER_NS : COPY_NS);
}

/* Whether bytes of the segment may be among those not seen so far. */
static bool is_in_hole(const struct flow_tcp_fault_side *faults, uint32_t seq, uint32_t end)
{
    return faults->hole_bytes > 0 && tcp_seq_diff(end, faults->hole_from) > 0 &&
           tcp_seq_diff(seq, faults->hole_to) < 0;
}

/* A hole before `seq`. */
void tcp_open_hole(struct flow_tcp_side *side, struct flow_tcp_fault_side *faults, uint32_t seq)
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
    if (tcp_seq_diff(seq, faults->hole_from) <= 0) {
        faults->hole_from = end;
    }
    if (tcp_seq_diff(end, faults->hole_to) >= 0) {
        faults->hole_to = seq;
    }
    if (faults->hole_bytes == 0 || tcp_seq_diff(faults->hole_to, faults->hole_from) <= 0) {
        faults->hole_bytes = 0;
        side->bits &= (uint8_t)~SIDE_HAS_HOLE;
    }
}

/* Whether the late segment fills a hole in time. */
static bool is_out_of_order(const struct flow_table *table, const struct flow_tcp_part *part,
                            int direction, const struct packet *packet, uint32_t end, bool may_fill)
{
    const struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    const uint64_t handshake_ns = tcp_handshake_ns(table, part);
    const uint64_t limit = handshake_ns != 0 ? handshake_ns : OUT_OF_ORDER_NS;

    if ((side->bits & SIDE_HAS_HOLE) == 0 || end == side->next_seq || !may_fill) {
        return false; /* it was seen before */
    }
    if ((peer->bits & SIDE_HAS_ACK) != 0) {
        if (tcp_seq_diff(end, peer->ack) <= 0) {
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
    return tcp_seq_diff(end, peer->ack) <= 0 ||
           (peer_faults->sack_left != peer_faults->sack_right &&
            tcp_seq_diff(packet->tcp_seq, peer_faults->sack_left) >= 0 &&
            tcp_seq_diff(end, peer_faults->sack_right) <= 0);
}

/* The receiver has asked for it: two duplicate ACKs stand before it, or it is a hole that SACK told
 * (RFC 5681 3.2, RFC 6675), and no timeout has passed since. */
static bool is_fast(uint64_t handshake_ns, const struct flow_tcp_side *peer,
                    const struct flow_tcp_fault_side *peer_faults, const struct packet *packet,
                    uint32_t end)
{
    const uint32_t now = (uint32_t)(packet->time_ns >> TCP_HIGHEST_SHIFT);
    const uint64_t since = (uint64_t)(now - peer_faults->duplicate_ack_at) << TCP_HIGHEST_SHIFT;
    const bool is_hole = peer_faults->sack_left != peer_faults->sack_right &&
                         tcp_seq_diff(packet->tcp_seq, peer->ack) >= 0 &&
                         tcp_seq_diff(end, peer_faults->sack_left) <= 0;

    return peer_faults->duplicate_acks_running >= 2 && (packet->tcp_seq == peer->ack || is_hole) &&
           since < FAST_RETRANSMIT_NS + handshake_ns;
}

void tcp_note_late(struct flow_table *table, struct flow_tcp_part *part, int direction,
                   const struct packet *packet, uint32_t end, unsigned *events)
{
    struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    struct flow_tcp_fault_side *faults = tcp_faults_of(table, part, direction);
    const struct flow_tcp_fault_side *peer_faults = tcp_faults_of(table, part, !direction);
    const bool may_fill = is_in_hole(faults, packet->tcp_seq, end);

    if (is_copy(side, faults, packet)) {
        faults->duplicate_packets++;
        return;
    }
    tcp_doubt_timing(table, part, direction, packet);
    const bool fills = is_out_of_order(table, part, direction, packet, end, may_fill);
    if (may_fill) {
        fill_hole(side, faults, packet->tcp_seq, end);
    }
    if (tcp_seq_diff(end, side->next_seq) > 0) {
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
        } else if (is_fast(tcp_handshake_ns(table, part), peer, peer_faults, packet, end)) {
            faults->fast_retransmissions++;
        }
    }
}
