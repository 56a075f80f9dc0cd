#include "sensor/wire/tcp.h"

enum tcp_option_kind {
    KIND_END = 0,
    KIND_NOP = 1,
    KIND_MSS = 2,
    KIND_WINDOW_SCALE = 3,
    KIND_SACK_PERMITTED = 4,
    KIND_SACK = 5,
    KIND_TIMESTAMPS = 8,
};

static void read_option(uint8_t kind, struct cursor value, struct tcp_options *out)
{
    const size_t length = cursor_left(&value);

    if (kind == KIND_MSS && length == 2) {
        out->mss = cursor_u16(&value);
        out->present |= TCP_OPTION_MSS;
    } else if (kind == KIND_WINDOW_SCALE && length == 1) {
        const uint8_t scale = cursor_u8(&value);

        out->window_scale = scale > 14 ? 14 : scale; /* RFC 7323 2.3 */
        out->present |= TCP_OPTION_WINDOW_SCALE;
    } else if (kind == KIND_SACK_PERMITTED && length == 0) {
        out->present |= TCP_OPTION_SACK_PERMITTED;
    } else if (kind == KIND_SACK && length >= 8) {
        out->sack_left = cursor_u32(&value);
        out->sack_right = cursor_u32(&value);
        out->present |= TCP_OPTION_SACK;
    } else if (kind == KIND_TIMESTAMPS && length == 8) {
        out->timestamp_value = cursor_u32(&value);
        out->timestamp_echo = cursor_u32(&value);
        out->present |= TCP_OPTION_TIMESTAMPS;
    }
}

void tcp_options_parse(const uint8_t *options, uint32_t length, struct tcp_options *out)
{
    struct cursor c = cursor_over(options, length);

    *out = (struct tcp_options){0};
    if (length == 12 &&
        wire_u32(options) == 0x0101080a) { /* NOP NOP timestamps: nearly every segment */
        out->present = TCP_OPTION_TIMESTAMPS;
        out->timestamp_value = wire_u32(options + 4);
        out->timestamp_echo = wire_u32(options + 8);
        return;
    }
    while (cursor_left(&c) > 0) {
        const uint8_t kind = cursor_u8(&c);

        if (kind == KIND_END) {
            return;
        }
        if (kind == KIND_NOP) {
            continue;
        }
        const uint8_t option_bytes = cursor_u8(&c);
        if (!c.ok || option_bytes < 2 || option_bytes - 2U > cursor_left(&c)) {
            out->present |= TCP_OPTION_BROKEN;
            return;
        }
        read_option(kind, cursor_sub(&c, option_bytes - 2U), out);
    }
}
