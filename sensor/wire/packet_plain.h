/* What most frames are, at once: Ethernet II with IPv4 without options, or IPv6 without extension
 * headers, and TCP or UDP in it, all captured as far as the IP header says, and no port of a
 * tunnel.
 *
 * It finds what the walk finds of such a frame; any other is left to the walk. Private to wire.
 * Depends on: packet.h, packet_rules.h. Pure. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "sensor/wire/packet.h"
#include "sensor/wire/packet_rules.h"

/* All zero but for what the frame itself says. A line at a time: GCC makes `rep stos` of the whole,
 * which costs more than the walk (measured: 10 ns). */
static inline void packet_begin(struct packet *out, const struct frame *frame)
{
    uint8_t *bytes = (uint8_t *)out;

    memset(bytes, 0, 64);
    memset(bytes + 64, 0, 64);
    memset(bytes + 128, 0, sizeof(*out) - 128);
    out->time_ns = frame->time_ns;
    out->wire_bytes = frame->wire_bytes;
    out->captured_bytes = frame->captured_bytes;
    out->interface = frame->interface;
    out->link_type = frame->link_type;
}

/* False: the frame is another one, `out` is as it was. True: `out` is whole, its verdict is OK. */
bool packet_plain(const struct packet_rules *rules, const struct frame *frame, unsigned options,
                  struct packet *out);
