/* What the files about one TCP segment share (tcp_track.c, tcp_timing.c, tcp_late.c).
 *
 * Depends on: flow_tcp_internal.h. Threads: those of the table. */
#pragma once

#include "sensor/flow/flow_tcp_internal.h"

#define TCP_HIGHEST_SHIFT 10 /* flow_tcp_side.highest_at */

/* SYN and FIN take a sequence number each. */
static inline unsigned tcp_flags_length(const struct packet *packet)
{
    return (unsigned)((packet->tcp_flags & TCP_SYN) != 0) + ((packet->tcp_flags & TCP_FIN) != 0);
}

/* When the segment being timed was seen: its lower bits. Of the 18 minutes that they tell, one is
 * for times that lie behind: packets out of order and fragments that were held back. */
#define TCP_SENT_BITS     40
#define TCP_SENT_MASK     ((UINT64_C(1) << TCP_SENT_BITS) - 1)
#define TCP_SENT_IS_AHEAD (TCP_SENT_MASK + 1 - (UINT64_C(1) << 36))

static inline uint64_t tcp_sent_low(const struct flow_tcp_side *side)
{
    return (uint64_t)side->rtt_sent_high << 32 | side->rtt_sent_low;
}

/* The faults of a side, to be written. */
static inline struct flow_tcp_fault_side *tcp_faults_of(struct flow_table *table,
                                                        struct flow_tcp_part *part, int direction)
{
    return &flow_take_faults(table, part)->side[direction];
}

/* Whether `end` is behind the last byte that the receiver's window has room for: known where it
 * told its scale, or that it has none. */
static inline bool tcp_fills_window(const struct flow_tcp_part *part, int direction, uint32_t end)
{
    const struct flow_tcp_side *side = &part->side[direction];
    const struct flow_tcp_side *peer = &part->side[!direction];
    const unsigned known = SIDE_HAS_WINDOW | SIDE_HAS_ACK;
    const unsigned scale = (side->bits & peer->bits & SIDE_HAS_WINDOW_SCALE) != 0
                               ? peer->history_seen >> SEEN_SCALE_SHIFT & 15U
                               : 0;

    return (peer->bits & known) == known && peer->window != 0 &&
           (peer->history_seen & side->history_seen & SEEN_SYN) != 0 &&
           end == peer->ack + ((uint32_t)peer->window << scale);
}

/* tcp_timing.c: round trips, handshake, response time. */

/* tcp_settle() of a part: the segments that are timed were seen near `last_ns`. */
void tcp_settle_part(struct flow_table *table, struct flow_tcp_part *part, uint64_t last_ns,
                     uint64_t now_ns);
/* A round trip of the data that `direction` has sent, which is not timed any more. */
void tcp_add_sample(struct flow_table *table, struct flow_tcp_part *part, int direction,
                    uint64_t now_ns);
/* The segment, which ends at `end`, is the one whose acknowledgement is waited for. */
void tcp_start_timing(struct flow_table *table, struct flow_tcp_part *part, int direction,
                      const struct packet *packet, uint32_t end);
/* What is timed was sent again: which copy will be acknowledged is not known (Karn), unless their
 * stamps differ (RFC 7323 3). */
void tcp_doubt_timing(const struct flow_table *table, struct flow_tcp_part *part, int direction,
                      const struct packet *packet);
/* Whether the acknowledgement `packet` of what `direction` is timed for tells when it arrived. */
bool tcp_ends_timing(const struct flow_table *table, struct flow_tcp_part *part, int direction,
                     const struct packet *packet);
/* When the client sent a SYN: the last of repeated ones, the one that is answered. */
void tcp_note_syn_time(struct flow_table *table, struct flow_tcp_part *part,
                       struct flow_tcp_rest *rest, uint64_t now_ns);
/* Times of the connection: handshake, first request, first response. */
void tcp_note_times(struct flow_table *table, struct flow_tcp_part *part,
                    const struct packet *packet, int direction, uint8_t state_before);
/* 0: not measured. */
uint64_t tcp_handshake_ns(const struct flow_table *table, const struct flow_tcp_part *part);

/* tcp_late.c: segments that come late, again, or behind a hole. */

/* The last segment of a side, to know a copy of it. */
void tcp_note_last(struct flow_table *table, struct flow_tcp_part *part, int direction,
                   const struct packet *packet, uint32_t end);
/* The same where next_seq is about to go on without a segment. */
void tcp_keep_last(struct flow_tcp_side *side, struct flow_tcp_fault_side *faults);
/* A hole before `seq`. */
void tcp_open_hole(struct flow_tcp_side *side, struct flow_tcp_fault_side *faults, uint32_t seq);
/* A segment below the highest byte seen, which ends at `end`; adds to `events`. */
void tcp_note_late(struct flow_table *table, struct flow_tcp_part *part, int direction,
                   const struct packet *packet, uint32_t end, unsigned *events);
