/* TCP headers (RFC 9293) and the options of RFC 7323 and 2018.
 * Inline, since it is on the way of most packets. Depends on: wire/cursor.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"
#include "sensor/wire/packet.h"

#define TCP_HEADER_BYTES 20

struct tcp {
    const uint8_t *header; /* NULL when the fixed header was not there */
    uint16_t source_port;
    uint16_t target_port;
    uint32_t seq;
    uint32_t ack;
    uint8_t header_bytes;
    uint8_t flags; /* enum tcp_flag */
    uint16_t window;
    uint16_t urgent;
};

struct tcp_options {
    uint8_t present; /* enum tcp_option_bit */
    uint8_t window_scale;
    uint16_t mss;
    uint32_t timestamp_value;
    uint32_t timestamp_echo;
    uint32_t sack_left, sack_right; /* the first block; 0, 0: none */
};

/* Reads a header and narrows `in` to its payload; the options are header[20..header_bytes). On
 * failure `in` has not changed. WIRE_TRUNCATED: what is left ends inside the header (the fixed part
 * stands in `out` when header is set). WIRE_MALFORMED: data offset below 5 words. */
static inline enum wire_status tcp_parse(struct cursor *in, struct tcp *out)
{
    struct cursor c = *in;
    const uint8_t *at = cursor_take(&c, TCP_HEADER_BYTES);

    out->header = NULL;
    if (at == NULL) {
        return WIRE_TRUNCATED;
    }
    *out = (struct tcp){.header = at,
                        .source_port = wire_u16(at),
                        .target_port = wire_u16(at + 2),
                        .seq = wire_u32(at + 4),
                        .ack = wire_u32(at + 8),
                        .header_bytes = (uint8_t)((at[12] >> 4) * 4),
                        .flags = at[13],
                        .window = wire_u16(at + 14),
                        .urgent = wire_u16(at + 18)};
    if (out->header_bytes < TCP_HEADER_BYTES) {
        return WIRE_MALFORMED;
    }
    cursor_skip(&c, out->header_bytes - TCP_HEADER_BYTES);
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    *in = c;
    return WIRE_OK;
}

/* Reads the option list of a header that tcp_parse accepted. A list that contradicts itself is read
 * up to there and marked TCP_OPTION_BROKEN. */
void tcp_options_parse(const uint8_t *options, uint32_t length, struct tcp_options *out);

/* The same into what a packet has of them. */
static inline void tcp_take_options(const uint8_t *bytes, uint32_t length, struct packet *out)
{
    struct tcp_options options;

    tcp_options_parse(bytes, length, &options);
    out->tcp_options = options.present;
    out->tcp_mss = options.mss;
    out->tcp_window_scale = options.window_scale;
    out->tcp_timestamp_value = options.timestamp_value;
    out->tcp_timestamp_echo = options.timestamp_echo;
    out->tcp_sack_left = options.sack_left;
    out->tcp_sack_right = options.sack_right;
}
