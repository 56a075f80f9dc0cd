/* The part of a flow record that tells of TCP. */
#include <assert.h>

#include "proto/codec_flow_encode.h"

/* What went wrong in most directions: nothing. */
static bool has_faults(const struct flow_tcp_direction *side)
{
    return (side->retransmitted_segments | side->retransmitted_bytes | side->out_of_order_segments |
            side->duplicate_acks | side->zero_window_events | side->keepalives |
            side->duplicate_packets | side->fast_retransmissions | side->spurious_retransmissions |
            side->window_full_events | side->zero_window_probes | side->sack_acks |
            side->sequence_gaps) != 0;
}

/* A side that sent nothing, but for its faults. */
static bool is_silent(const struct flow_tcp_direction *side)
{
    return side->flags == 0 && (side->syn_count | side->fin_count | side->rst_count) == 0 &&
           !side->has_initial_window && !side->has_mss && !side->has_window_scale &&
           !side->sack_permitted && !side->timestamps;
}

static uint8_t *put_measured(uint8_t *at, const struct flow_tcp_direction *side, bool is_faulty)
{
    if (LIKELY((side->syn_count | side->fin_count | side->rst_count) < 0x80)) {
        at = put_small(at, 2, side->syn_count);
        at = put_small(at, 3, side->fin_count);
        at = put_small(at, 4, side->rst_count);
    } else {
        at = put_count(at, 2, side->syn_count);
        at = put_count(at, 3, side->fin_count);
        at = put_count(at, 4, side->rst_count);
    }
    if (is_faulty) {
        at = put_number(at, 5, side->retransmitted_segments);
        at = put_number(at, 6, side->retransmitted_bytes);
        at = put_number(at, 7, side->out_of_order_segments);
        at = put_number(at, 8, side->duplicate_acks);
        at = put_number(at, 9, side->zero_window_events);
        at = put_number(at, 10, side->keepalives);
    }
    at = put_numeral_if(at, 11, numeral_of_28(side->initial_window), side->has_initial_window);
    at = put_numeral_if(at, 12, numeral_of_28(side->mss), side->has_mss);
    at = put_numeral_if(at, 13, numeral_of_byte(side->window_scale), side->has_window_scale);
    if (is_faulty) {
        at = put_number(at, 14, side->duplicate_packets);
        at = put_number(at, 15, side->fast_retransmissions);
        at = put_number(at, 16, side->spurious_retransmissions);
        at = put_number(at, 17, side->window_full_events);
        at = put_number(at, 18, side->zero_window_probes);
        at = put_number(at, 19, side->sack_acks);
        at = put_number(at, 20, side->sequence_gaps);
    }
    at = put_small(at, 21, side->sack_permitted);
    return put_small(at, 22, side->timestamps);
}

static uint8_t *put_direction(uint8_t *at, uint32_t field, const struct flow_tcp_direction *side,
                              bool is_measured)
{
    const bool is_faulty = has_faults(side);

    if (is_silent(side) && !is_faulty) {
        return at;
    }
    uint8_t *body = begin_message(at, field);
    uint8_t *end = put_byte(body, 1, side->flags);
    if (is_measured) {
        end = put_measured(end, side, is_faulty);
    }
    return end == body ? at : end_message(body, end);
}

static uint8_t *put_round_trip(uint8_t *at, uint32_t field, const struct flow_round_trip *rtt)
{
    if (rtt->samples == 0) {
        return at;
    }
    uint8_t *body = begin_message(at, field);
    uint8_t *end = put_time_always(body, 1, rtt->min_ns);
    end = put_time_always(end, 2, rtt->mean_ns);
    end = put_time_always(end, 3, rtt->max_ns);
    end = put_time_always(end, 4, rtt->last_ns);
    end = put_time_always(end, 5, rtt->ewma_ns);
    end = put_count(end, 6, rtt->samples);
    end = put_count(end, 7, rtt->timestamp_samples);
    return end_message(body, end);
}

/* Of eight bytes, the last a NUL. */
static ALWAYS_INLINE uint8_t *put_code(uint8_t *at, uint32_t field, const char text[8])
{
    const unsigned length = text_length_8(text) & 7; /* one byte too many says nothing */

    at[0] = (uint8_t)WIRE_TAG(field, WIRE_BYTES);
    at[1] = (uint8_t)length;
    memcpy(at + 2, text, 8);
    return at + (length == 0 ? 0 : 2 + length);
}

static uint8_t *put_history(uint8_t *at, uint32_t field, const char text[34])
{
    unsigned length = 0;

    for (unsigned here = 8; here == 8 && length < 32;) {
        here = text_length_8(text + length);
        length += here;
    }
    length += length == 32 && text[32] != '\0' ? 1 : 0;
    return length == 0 ? at : wire_put_bytes(put_tag(at, field, WIRE_BYTES), text, length);
}

uint8_t *codec_put_tcp(uint8_t *at, const struct flow_tcp *tcp)
{
    const bool is_long = tcp->is_measured && tcp->client_rtt.samples + tcp->server_rtt.samples > 0;
    uint8_t *body = is_long ? begin_long_message(at, 15) : begin_message(at, 15);
    uint8_t *end = put_byte(body, 1, tcp->state);
    if (tcp->is_measured) {
        static_assert(sizeof tcp->conn_state == 8 && sizeof tcp->history == 34, "as put_ has them");
        end = put_code(end, 2, tcp->conn_state);
        end = put_history(end, 3, tcp->history);
    }
    end = put_direction(end, 4, &tcp->forward, tcp->is_measured);
    end = put_direction(end, 5, &tcp->reverse, tcp->is_measured);
    if (tcp->is_measured) {
        end = put_round_trip(end, 6, &tcp->client_rtt);
        end = put_round_trip(end, 7, &tcp->server_rtt);
        if (tcp->has_handshake) {
            end = put_time_always(end, 8, tcp->handshake_ns);
        }
        if (tcp->has_response) {
            end = put_time_always(end, 9, tcp->response_ns);
        }
        end = put_byte(end, 10, tcp->simultaneous_open);
    }
    return is_long ? end_long_message(body, end) : end_message(body, end);
}
