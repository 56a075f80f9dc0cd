/* The common way of a TCP segment: data or an acknowledgement that goes on where both sides stand,
 * with nothing that is lost, comes again or is the first of its kind. tcp_measure gives the same
 * for it, in four times as many steps (test_tcp_plain plays both).
 *
 * Depends on: tcp_track_internal.h. Threads: those of the table. */
#pragma once

#include <assert.h>

#include "sensor/flow/tcp_track_internal.h"

/* What tcp_count_plain returns besides enum tcp_event. */
#define TCP_NOT_PLAIN UINT32_MAX

/* Whether `packet`, whose connection was in `state_before`, is such a segment. */
static ALWAYS_INLINE bool tcp_is_plain(const struct flow_table *table,
                                       const struct flow_tcp_part *part,
                                       const struct packet *packet, int direction,
                                       uint8_t state_before)
{
    assert(part != NULL);

    const struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    const unsigned known = SIDE_HAS_SEQ | SIDE_HAS_ACK | SIDE_HAS_WINDOW;
    const uint32_t payload_bytes = packet->payload_bytes;
    const uint32_t outstanding = peer->next_seq - packet->tcp_ack; /* of the peer's data */
    const uint32_t advance = packet->tcp_ack - side->ack;

    if ((packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) != table->plain_flags ||
        packet->tcp_seq != side->next_seq || packet->tcp_window == 0 ||
        (packet->tcp_options & TCP_OPTION_SACK) != 0 || state_before == TCP_SYN_ACK) {
        return false;
    }
    /* Without faults nothing was sent again or timed for long, and no hole is open. */
    if ((side->bits & known) != known || (peer->bits & known) != known ||
        (part->side[1].bits & SIDE_1_HAS_FAULTS) != 0 ||
        (side->endpoint & 15) == ENDPOINT_INACTIVE) {
        return false;
    }
    if (((outstanding | advance) & UINT32_C(1) << 31) != 0) {
        return false; /* acknowledges what was not seen, or what is acknowledged already */
    }
    if (payload_bytes == 0) { /* and no duplicate */
        return (side->history_seen >> HISTORY_ACK & 1) != 0 && (advance != 0 || outstanding == 0);
    }
    return (side->history_seen >> HISTORY_DATA & 1) != 0 && payload_bytes <= UINT16_MAX &&
           (side->options & SIDE_HAS_ASKED) != 0 && /* of the server: SIDE_HAS_ANSWERED */
           (packet->tcp_seq + payload_bytes - peer->ack < peer->window ||
            !tcp_fills_window(part, direction, packet->tcp_seq + payload_bytes));
}

/* tcp_start_timing, of a flow whose slot is known. */
static ALWAYS_INLINE void tcp_time_plain(const struct flow_table *table, struct flow_tcp_part *part,
                                         uint32_t slot, int direction, const struct packet *packet)
{
    struct flow_tcp_side *side = &part->side[direction];

    side->rtt_sent_low = (uint32_t)packet->time_ns;
    side->rtt_sent_high = (uint8_t)(packet->time_ns >> 32);
    side->rtt_until = side->next_seq;
    side->options &= (uint8_t) ~(SIDE_RTT_IS_STAMPED | SIDE_RTT_SENT_AGAIN);
    if ((packet->tcp_options & TCP_OPTION_TIMESTAMPS) != 0) {
        side->options |= SIDE_RTT_IS_STAMPED;
        flow_take_rtt_at(table, part, slot)->stamp[direction] = packet->tcp_timestamp_value;
    }
    side->bits |= SIDE_RTT_IS_TIMED;
}

/* A round trip of the peer's data. */
static ALWAYS_INLINE void tcp_sample_plain(struct flow_table *table, struct flow_tcp_part *part,
                                           uint32_t slot, int direction,
                                           const struct packet *packet)
{
    struct flow_tcp_side *peer = &part->side[!direction];
    const uint64_t since = (packet->time_ns - tcp_sent_low(peer)) & TCP_SENT_MASK;
    const uint64_t ns = since < TCP_SENT_IS_AHEAD ? since : 0;

    peer->bits &= (uint8_t)~SIDE_RTT_IS_TIMED;
    if (UNLIKELY(!flow_add_near_rtt(&flow_take_rtt_at(table, part, slot)->side[!direction], ns))) {
        flow_add_rtt(table, part, !direction, ns);
    }
}

/* Counts such a segment: enum tcp_event bits. Any other: TCP_NOT_PLAIN, and nothing was changed. */
static ALWAYS_INLINE unsigned tcp_count_plain(struct flow_table *table, struct flow_tcp_part *part,
                                              uint32_t slot, const struct packet *packet,
                                              int direction, uint8_t state_before)
{
    struct flow_tcp_side *side = &part->side[direction];
    unsigned events = 0;

    if (!tcp_is_plain(table, part, packet, direction, state_before)) {
        return TCP_NOT_PLAIN;
    }
    if (packet->payload_bytes > 0) {
        side->next_seq += packet->payload_bytes;
        side->highest_at = (uint32_t)(packet->time_ns >> TCP_HIGHEST_SHIFT);
        if (!tcp_is_timed(side) && table->settings.measure_rtt) {
            tcp_time_plain(table, part, slot, direction, packet);
        }
        side->last_ip_id = (uint16_t)packet->ip_id;
        side->last_payload_bytes = (uint16_t)packet->payload_bytes;
        side->options &= (uint8_t) ~(3U << SIDE_LAST_FLAGS_SHIFT | (unsigned)SIDE_LAST_IS_KEPT);
    }
    if (tcp_may_sample(part, packet, direction)) {
        tcp_sample_plain(table, part, slot, direction, packet);
        events = TCP_EVENT_SAMPLE;
    }
    side->ack = packet->tcp_ack;
    if (side->window != packet->tcp_window) {
        side->window = packet->tcp_window;
    }
    return events;
}
