/* TCP streams put in order for the handlers, both directions of a flow in one part (PART_STREAM).
 *
 * In-order bytes that the handler consumes are read in the frame and nothing is kept; a window
 * (window.h) holds what the handler left and what came early. The first byte of a direction is the
 * one behind its SYN; without one, what the peer expects, else the first seen, before which earlier
 * bytes are still taken as long as nothing was consumed. Bytes before the next wanted one
 * (retransmissions, keep-alives) are ignored, a RST carries no stream bytes.
 *
 * A hole is given up, and the handler told by is_after_gap, when the receiver acknowledges beyond
 * it; when the window or the pool has no room for what came behind it; after
 * ASSEMBLY_WAITING_MAX segments behind it; at once when the segment was seen but the capture cut
 * it; at the flow's end. A segment far beyond what the receiver has acknowledged is ignored: it
 * would blind us and not the receiver. All of this follows from the flow's own packets, but for a
 * full pool. Standards: RFC 9293 3.4, 3.10.7; RFC 7413 (data in a SYN). Depends on:
 * inspect_internal.h, window.h. Threads: those of inspect. */
#pragma once

#include "sensor/inspect/inspect_internal.h"
#include "sensor/inspect/window.h"

#define ASSEMBLY_WAITING_MAX   32         /* segments behind a hole */
#define ASSEMBLY_IN_FLIGHT_MAX (16 << 20) /* bytes beyond the last ACK that are believed */

enum assembly_bit {
    ASSEMBLY_IS_STARTED = 1 << 0,
    ASSEMBLY_IS_GUESSED = 1 << 1, /* no SYN: the base may go back, nothing was consumed */
    ASSEMBLY_IS_AFTER_GAP = 1 << 2,
    ASSEMBLY_IS_LOST = 1 << 3, /* what the handler said last (inspect_step) */
};

struct assembly_side {
    struct window window;  /* offsets are sequence numbers */
    uint32_t handler_from; /* offset at which the present handler began */
    uint8_t bits;          /* enum assembly_bit */
    uint8_t waiting;       /* segments that came behind the hole */
    uint8_t reserved[2];
};

struct assembly {
    struct assembly_side side[2];
};
static_assert(sizeof(struct assembly) == INSPECT_STREAM_PART_BYTES, "a line with what leads on");

/* Takes a segment: `bytes` are those captured of its packet->payload_bytes; may be empty (an ACK).
 */
void assembly_segment(struct inspect *inspect, struct flow *flow, const struct packet *packet,
                      const struct wire_span *bytes, int direction);

/* The flow ends: what waits is offered, holes are given up. */
void assembly_finish(struct inspect *inspect, struct flow *flow, const struct packet *last);

/* Gives back what the flow holds. */
void assembly_drop(struct inspect *inspect, struct flow *flow);
