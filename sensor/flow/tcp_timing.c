/* When a segment, a SYN and a request were seen, and how long their answers took. Depends on:
 * tcp_track_internal.h. Threads: the table's. */
#include "sensor/flow/tcp_track_internal.h"

/* ---- when the segment being timed was seen ---- */

#define SENT_OLD_NS (UINT64_C(1) << 38)
static_assert(SENT_OLD_NS + FLOW_LOOK_NS < TCP_SENT_IS_AHEAD, "looked at in time");

/* From its low bits, by a time that is known to be near. */
static uint64_t whole_time(uint64_t low, uint64_t near_ns)
{
    const uint64_t since = (near_ns - low) & TCP_SENT_MASK;

    return since < TCP_SENT_IS_AHEAD ? near_ns - since : near_ns + (TCP_SENT_MASK + 1 - since);
}

static inline void end_timing(struct flow_tcp_side *side)
{
    side->bits &= (uint8_t) ~(SIDE_RTT_IS_TIMED | SIDE_RTT_IS_OLD);
}

static void keep_old(struct flow_table *table, struct flow_tcp_part *part, int direction,
                     uint64_t sent_ns)
{
    flow_take_faults(table, part)->sent_ns[direction] = sent_ns;
    part->side[direction].bits |= SIDE_RTT_IS_OLD;
}

void tcp_settle_part(struct flow_table *table, struct flow_tcp_part *part, uint64_t last_ns,
                     uint64_t now_ns)
{
    for (int i = 0; i < 2; i++) {
        const struct flow_tcp_side *side = &part->side[i];

        if ((side->bits & (SIDE_RTT_IS_TIMED | SIDE_RTT_IS_OLD)) == SIDE_RTT_IS_TIMED) {
            const uint64_t sent_ns = whole_time(tcp_sent_low(side), last_ns);
            if (now_ns < sent_ns || now_ns - sent_ns > SENT_OLD_NS) {
                keep_old(table, part, i, sent_ns);
            }
        }
    }
}

void tcp_settle(struct flow_table *table, struct flow *flow, uint64_t now_ns)
{
    tcp_settle_part(table, flow_tcp_part(table, flow), flow->last_ns, now_ns);
}

/* Of the data that `direction` has sent. */
void tcp_add_sample(struct flow_table *table, struct flow_tcp_part *part, int direction,
                    uint64_t now_ns)
{
    struct flow_tcp_side *side = &part->side[direction];
    const uint64_t sent_ns = (side->bits & SIDE_RTT_IS_OLD) != 0
                                 ? flow_tcp_faults(table, part)->sent_ns[direction]
                                 : whole_time(tcp_sent_low(side), now_ns);
    const uint64_t ns = now_ns > sent_ns ? now_ns - sent_ns : 0;

    if (UNLIKELY((side->options & SIDE_RTT_SENT_AGAIN) != 0)) {
        flow_take_faults(table, part)->side[direction].timestamp_samples++;
    }
    end_timing(side);
    flow_add_rtt(table, part, direction, ns);
}

/* The segment is the one whose acknowledgement is waited for. */
void tcp_start_timing(struct flow_table *table, struct flow_tcp_part *part, int direction,
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
void tcp_doubt_timing(const struct flow_table *table, struct flow_tcp_part *part, int direction,
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
bool tcp_ends_timing(const struct flow_table *table, struct flow_tcp_part *part, int direction,
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
void tcp_note_syn_time(struct flow_table *table, struct flow_tcp_part *part,
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
void tcp_note_times(struct flow_table *table, struct flow_tcp_part *part,
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

/* 0: not measured. */
uint64_t tcp_handshake_ns(const struct flow_table *table, const struct flow_tcp_part *part)
{
    return (uint64_t)flow_tcp_handshake(table, part, flow_tcp_rest(table, part)) *
           FLOW_ROUND_TRIP_UNIT_NS;
}
