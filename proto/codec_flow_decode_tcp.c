/* Reads Tcp of FlowRecord. */
#include "proto/codec_flow_decode.h"

static bool read_direction(struct wire_reader *from, struct flow_tcp_direction *out,
                           bool *is_measured)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    while ((tag = wire_read_tag(&r)) != 0) {
        *is_measured |= tag != NUMBER(1);
        switch (tag) {
        case NUMBER(1):
            out->flags = (uint8_t)take_number(&r, UINT8_MAX, &ok);
            break;
        case NUMBER(2):
            out->syn_count = (uint32_t)take_number(&r, UINT32_MAX, &ok);
            break;
        case NUMBER(3):
            out->fin_count = (uint32_t)take_number(&r, UINT32_MAX, &ok);
            break;
        case NUMBER(4):
            out->rst_count = (uint32_t)take_number(&r, UINT32_MAX, &ok);
            break;
        case NUMBER(5):
            out->retransmitted_segments = wire_read_varint(&r);
            break;
        case NUMBER(6):
            out->retransmitted_bytes = wire_read_varint(&r);
            break;
        case NUMBER(7):
            out->out_of_order_segments = wire_read_varint(&r);
            break;
        case NUMBER(8):
            out->duplicate_acks = wire_read_varint(&r);
            break;
        case NUMBER(9):
            out->zero_window_events = wire_read_varint(&r);
            break;
        case NUMBER(10):
            out->keepalives = wire_read_varint(&r);
            break;
        case NUMBER(11):
            out->initial_window = (uint16_t)take_number(&r, UINT16_MAX, &ok);
            out->has_initial_window = true;
            break;
        case NUMBER(12):
            out->mss = (uint16_t)take_number(&r, UINT16_MAX, &ok);
            out->has_mss = true;
            break;
        case NUMBER(13):
            out->window_scale = (uint8_t)take_number(&r, UINT8_MAX, &ok);
            out->has_window_scale = true;
            break;
        case NUMBER(14):
            out->duplicate_packets = wire_read_varint(&r);
            break;
        case NUMBER(15):
            out->fast_retransmissions = wire_read_varint(&r);
            break;
        case NUMBER(16):
            out->spurious_retransmissions = wire_read_varint(&r);
            break;
        case NUMBER(17):
            out->window_full_events = wire_read_varint(&r);
            break;
        case NUMBER(18):
            out->zero_window_probes = wire_read_varint(&r);
            break;
        case NUMBER(19):
            out->sack_acks = wire_read_varint(&r);
            break;
        case NUMBER(20):
            out->sequence_gaps = wire_read_varint(&r);
            break;
        case NUMBER(21):
            out->sack_permitted = wire_read_varint(&r) != 0;
            break;
        case NUMBER(22):
            out->timestamps = wire_read_varint(&r) != 0;
            break;
        default:
            wire_skip(&r, tag);
            break;
        }
    }
    return r.ok && ok;
}

static bool read_round_trip(struct wire_reader *from, struct flow_round_trip *out)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    while ((tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case BYTES(1):
            ok &= take_time(&r, &out->min_ns);
            break;
        case BYTES(2):
            ok &= take_time(&r, &out->mean_ns);
            break;
        case BYTES(3):
            ok &= take_time(&r, &out->max_ns);
            break;
        case BYTES(4):
            ok &= take_time(&r, &out->last_ns);
            break;
        case BYTES(5):
            ok &= take_time(&r, &out->ewma_ns);
            break;
        case NUMBER(6):
            out->samples = (uint32_t)take_number(&r, UINT32_MAX, &ok);
            break;
        case NUMBER(7):
            out->timestamp_samples = (uint32_t)take_number(&r, UINT32_MAX, &ok);
            break;
        default:
            wire_skip(&r, tag);
            break;
        }
    }
    return r.ok && ok;
}

bool codec_read_tcp(struct wire_reader *from, struct flow_tcp *out)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    while ((tag = wire_read_tag(&r)) != 0) {
        /* Compact mode sends the state and the flags alone. */
        out->is_measured |= tag != NUMBER(1) && tag != BYTES(4) && tag != BYTES(5);
        switch (tag) {
        case NUMBER(1):
            out->state = take_enum(&r);
            break;
        case BYTES(2):
            take_chars(&r, out->conn_state, sizeof out->conn_state);
            break;
        case BYTES(3):
            take_chars(&r, out->history, sizeof out->history);
            break;
        case BYTES(4):
            ok &= read_direction(&r, &out->forward, &out->is_measured);
            break;
        case BYTES(5):
            ok &= read_direction(&r, &out->reverse, &out->is_measured);
            break;
        case BYTES(6):
            ok &= read_round_trip(&r, &out->client_rtt);
            break;
        case BYTES(7):
            ok &= read_round_trip(&r, &out->server_rtt);
            break;
        case BYTES(8):
            ok &= take_time(&r, &out->handshake_ns);
            out->has_handshake = true;
            break;
        case BYTES(9):
            ok &= take_time(&r, &out->response_ns);
            out->has_response = true;
            break;
        case NUMBER(10):
            out->simultaneous_open = wire_read_varint(&r) != 0;
            break;
        default:
            wire_skip(&r, tag);
            break;
        }
    }
    return r.ok && ok;
}
