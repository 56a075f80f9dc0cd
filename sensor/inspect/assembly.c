#include "sensor/inspect/assembly.h"

#include "sensor/flow/flow_table.h"

/* One packet's way through this file. */
struct call {
    struct inspect *inspect;
    struct flow *flow;
    struct assembly *assembly;
    const struct packet *packet;
    int switched_by; /* the direction whose bytes led to another handler; -1: none */
};

static inline bool is_over(const struct flow *flow, int direction)
{
    return (flow->bits & FLOW_INSPECT_DONE) != 0 ||
           (flow->bits & (INSPECT_DONE_CLIENT << direction)) != 0;
}

static void advance(struct call *call, struct assembly_side *side, uint32_t bytes)
{
    window_consume(&side->window, &call->inspect->held, bytes);
}

/* Passes over what is missing. */
static void open_gap(struct call *call, struct assembly_side *side, uint32_t bytes)
{
    advance(call, side, bytes);
    side->bits |= ASSEMBLY_IS_AFTER_GAP;
    side->bits &= (uint8_t)~ASSEMBLY_IS_GUESSED;
    side->waiting = 0;
    call->inspect->statistics.stream_gaps++;
}

static void end_direction(struct call *call, int direction)
{
    struct flow *flow = call->flow;

    window_clear(&call->assembly->side[direction].window, &call->inspect->held);
    flow->bits |= INSPECT_DONE_CLIENT << direction;
    if ((flow->bits & INSPECT_DONE_BOTH) == INSPECT_DONE_BOTH) {
        flow->bits |= FLOW_INSPECT_DONE;
    }
}

/* Offers bytes at the base to the handler; what it consumed, which may be more than there is.
 * `fresh` is where in them the newest segment begins. Look at is_over afterwards. */
static uint32_t offer(struct call *call, int direction, const struct wire_span *bytes,
                      uint32_t fresh, bool is_last)
{
    struct assembly_side *side = &call->assembly->side[direction];
    struct flow *flow = call->flow;
    const uint8_t handler = flow->app_handler;
    const struct inspect_app_ops *ops = handler != APP_UNKNOWN ? inspect_ops(handler) : NULL;
    const bool is_capped =
        ops != NULL && ops->is_handshake &&
        side->window.base + bytes->length - side->handler_from >= call->inspect->stream_bytes;
    /* By member: a span that was just put together is not read as a whole at once. */
    const struct inspect_input input = {.packet = call->packet,
                                        .bytes = {bytes->bytes, bytes->length},
                                        .direction = direction,
                                        .is_after_gap = (side->bits & ASSEMBLY_IS_AFTER_GAP) != 0,
                                        .is_last = is_last || is_capped};
    const struct inspect_step step = inspect_dispatch(call->inspect, flow, &input, fresh);

    if (step.verdict == INSPECT_DONE) {
        flow->bits |= FLOW_INSPECT_DONE;
    }
    if (is_over(flow, direction)) {
        return 0;
    }
    side->bits &= (uint8_t)~ASSEMBLY_IS_LOST;
    if (step.is_passed_over && flow->app_handler == handler) {
        /* Bytes may still come before a beginning that is a guess. */
        return (side->bits & ASSEMBLY_IS_GUESSED) != 0 ? 0 : step.consumed_bytes;
    }
    if (step.consumed_bytes > 0) {
        side->bits &= (uint8_t) ~(ASSEMBLY_IS_AFTER_GAP | ASSEMBLY_IS_GUESSED);
    }
    if (flow->app_handler != handler) {
        call->switched_by = direction;
        call->assembly->side[!direction].bits &= (uint8_t)~ASSEMBLY_IS_LOST;
        side->handler_from = side->window.base + step.consumed_bytes;
        call->assembly->side[!direction].handler_from =
            call->assembly->side[!direction].window.base;
    } else if (step.verdict == INSPECT_DIRECTION_DONE || is_capped) {
        end_direction(call, direction);
        return 0;
    } else if (step.is_lost) {
        side->bits |= ASSEMBLY_IS_LOST;
    }
    return step.consumed_bytes;
}

/* Offers what the window has at its base, as long as the handler consumes all of it. */
static void deliver(struct call *call, int direction, uint32_t fresh_offset)
{
    struct assembly_side *side = &call->assembly->side[direction];

    for (;;) {
        const struct wire_span bytes = window_bytes(&side->window, &call->inspect->held);
        const uint32_t fresh = fresh_offset - side->window.base;
        if (bytes.length == 0) {
            return;
        }
        const uint32_t consumed =
            offer(call, direction, &bytes, fresh < bytes.length ? fresh : 0, false);
        if (consumed == 0 || is_over(call->flow, direction)) {
            return;
        }
        advance(call, side, consumed);
        if (consumed < bytes.length) {
            return; /* the rest waits for more */
        }
    }
}

/* The contiguous bytes get no longer: the handler's last look, then they go. */
static void close_front(struct call *call, int direction)
{
    struct assembly_side *side = &call->assembly->side[direction];
    const struct wire_span bytes = window_bytes(&side->window, &call->inspect->held);

    if (bytes.length == 0) {
        return;
    }
    const uint32_t consumed = offer(call, direction, &bytes, 0, true);
    if (is_over(call->flow, direction)) {
        return;
    }
    if (consumed < bytes.length) {
        side->bits |= ASSEMBLY_IS_AFTER_GAP;
    }
    side->bits &= (uint8_t)~ASSEMBLY_IS_GUESSED;
    advance(call, side, consumed > bytes.length ? consumed : bytes.length);
}

/* Gives up the hole in front of held bytes and goes on behind it. */
static void skip_hole(struct call *call, int direction)
{
    struct assembly_side *side = &call->assembly->side[direction];

    close_front(call, direction);
    const uint32_t hole = window_hole_bytes(&side->window, &call->inspect->held);
    if (is_over(call->flow, direction) || hole == 0) {
        return;
    }
    open_gap(call, side, hole);
    deliver(call, direction, side->window.base);
}

/* In order and nothing held: read in the frame. What is left is held, where there is room. */
static void take_direct(struct call *call, int direction, const struct wire_span *bytes)
{
    struct assembly_side *side = &call->assembly->side[direction];
    const uint32_t consumed = offer(call, direction, bytes, 0, false);

    if (is_over(call->flow, direction)) {
        return;
    }
    advance(call, side, consumed);
    if (consumed >= bytes->length) {
        return;
    }
    const struct wire_span rest = {bytes->bytes + consumed, bytes->length - consumed};
    if (rest.length <= call->inspect->stream_bytes &&
        window_put(&side->window, &call->inspect->held, call->inspect->stream_bytes,
                   side->window.base, &rest)
                .status == WINDOW_OK) {
        return;
    }
    call->inspect->statistics.stream_overflows++;
    const uint32_t taken = offer(call, direction, &rest, 0, true);
    if (!is_over(call->flow, direction)) {
        open_gap(call, side, taken > rest.length ? taken : rest.length);
    }
}

/* Makes way for bytes that find no room. False: nothing is held. */
static bool make_way(struct call *call, int direction, uint32_t status)
{
    struct assembly_side *side = &call->assembly->side[direction];

    if (side->window.range_count == 0) {
        return false;
    }
    if (window_ranges(&side->window, &call->inspect->held)[0].from > 0 ||
        status == WINDOW_SCATTERED) {
        skip_hole(call, direction);
    } else {
        call->inspect->statistics.stream_overflows++;
        close_front(call, direction);
    }
    return true;
}

static struct window_put put_piece(struct call *call, struct assembly_side *side, uint32_t offset,
                                   const struct wire_span *bytes)
{
    const struct window_put put =
        window_put(&side->window, &call->inspect->held, call->inspect->stream_bytes, offset, bytes);

    call->inspect->statistics.stream_overlaps += put.overlapped_bytes > 0;
    if (put.conflicts) {
        call->inspect->statistics.stream_conflicts++;
        call->flow->bits |= INSPECT_SAW_CONFLICT;
    }
    return put;
}

/* Bytes at `offset`, at or behind the base, with others held or missing before them. Each round
 * takes some, or moves the base. */
static void take_piece(struct call *call, int direction, uint32_t offset, struct wire_span bytes)
{
    struct assembly_side *side = &call->assembly->side[direction];

    for (;;) {
        const uint32_t base = side->window.base;
        const struct window_put put = put_piece(call, side, offset, &bytes);
        if (put.new_bytes > 0) {
            deliver(call, direction, offset);
        }
        if (put.status == WINDOW_OK || is_over(call->flow, direction)) {
            return;
        }
        if (side->window.base == base) {
            if (!make_way(call, direction, put.status)) {
                break;
            }
            if (is_over(call->flow, direction)) {
                return;
            }
        }
        const int64_t done = tcp_seq_diff(side->window.base, offset);
        if (done >= (int64_t)bytes.length) {
            return;
        }
        if (done > 0) {
            bytes.bytes += done;
            bytes.length -= (uint32_t)done;
            offset += (uint32_t)done;
        }
    }
    if (offset != side->window.base) {
        open_gap(call, side, offset - side->window.base);
    }
    take_direct(call, direction, &bytes);
}

/* A segment that the handler would pass over, as it did with those before. */
static bool is_of_no_interest(const struct flow *flow, const struct assembly_side *side,
                              const struct wire_span *bytes)
{
    return side->bits == (ASSEMBLY_IS_STARTED | ASSEMBLY_IS_LOST) &&
           !inspect_ops(flow->app_handler)->may_begin(bytes);
}

/* Where the direction begins, at its first payload. */
static void start_side(struct call *call, struct assembly_side *side, uint32_t seq, int direction)
{
    const struct flow_table *table = call->inspect->table;
    const int32_t limit = (int32_t)call->inspect->stream_bytes;

    side->bits = ASSEMBLY_IS_STARTED | ASSEMBLY_IS_GUESSED;
    side->window.base = side->handler_from = seq;
    if (table == NULL) {
        return;
    }
    const struct flow_tcp_part *tcp = flow_tcp(table, call->flow);
    const bool saw_syn = tcp != NULL
                             ? (tcp->side[direction].history_seen & SEEN_SYN) != 0
                             : flow_tcp_flags(table, call->flow, direction, TCP_FLAG_SYN) > 0;
    const uint32_t initial_seq = flow_tcp_initial_seq(table, call->flow, direction);
    const int32_t behind_syn = tcp_seq_diff(seq, initial_seq + 1);

    if (saw_syn && behind_syn >= -limit && behind_syn <= limit) {
        side->window.base = side->handler_from = initial_seq + 1;
        side->bits = ASSEMBLY_IS_STARTED;
    } else if (tcp != NULL && (tcp->side[!direction].bits & SIDE_HAS_ACK) != 0) {
        const int32_t behind_ack = tcp_seq_diff(seq, tcp->side[!direction].ack);

        if (behind_ack >= -1 && behind_ack <= limit) { /* -1: a keep-alive */
            side->window.base = side->handler_from = tcp->side[!direction].ack;
        }
    }
}

/* Whether the receiver could have taken a segment so far ahead. */
static bool is_believable(const struct call *call, uint32_t seq, int direction)
{
    const struct flow_table *table = call->inspect->table;
    const struct flow_tcp_part *tcp = table != NULL ? flow_tcp(table, call->flow) : NULL;

    return tcp == NULL || (tcp->side[!direction].bits & SIDE_HAS_ACK) == 0 ||
           tcp_seq_diff(seq, tcp->side[!direction].ack) <= ASSEMBLY_IN_FLIGHT_MAX;
}

/* Bytes that were seen and not captured do not come. How far both go is told from `base` on, since
 * a segment may declare more than half of all sequence numbers. */
static void skip_cut(struct call *call, int direction, uint32_t base, int64_t captured_to,
                     int64_t declared_to)
{
    struct assembly_side *side = &call->assembly->side[direction];
    const struct wire_span front = window_bytes(&side->window, &call->inspect->held);
    const int64_t frontier = (int64_t)(side->window.base - base) + front.length;

    if (frontier < captured_to || declared_to <= frontier) {
        return;
    }
    close_front(call, direction);
    const int64_t moved = side->window.base - base;
    if (is_over(call->flow, direction) || declared_to <= moved) {
        return;
    }
    open_gap(call, side, (uint32_t)(declared_to - moved));
    deliver(call, direction, side->window.base);
}

static void take_payload(struct call *call, struct wire_span bytes, int direction)
{
    const struct packet *packet = call->packet;
    struct assembly_side *side = &call->assembly->side[direction];
    const uint32_t seq = packet->tcp_seq + ((packet->tcp_flags & TCP_SYN) != 0);
    const uint32_t declared =
        packet->payload_bytes > bytes.length ? packet->payload_bytes : bytes.length;

    if ((side->bits & ASSEMBLY_IS_STARTED) == 0) {
        start_side(call, side, seq, direction);
    }
    if (seq == side->window.base && side->window.range_count == 0 && declared == bytes.length) {
        if (is_of_no_interest(call->flow, side, &bytes)) {
            advance(call, side, bytes.length);
        } else {
            take_direct(call, direction, &bytes); /* in order, whole, nothing held: most */
        }
        return;
    }
    int32_t distance = tcp_seq_diff(seq, side->window.base);
    if (distance < 0 && (side->bits & ASSEMBLY_IS_GUESSED) != 0 && declared > 1 &&
        -(int64_t)distance <= call->inspect->stream_bytes &&
        window_lower(&side->window, &call->inspect->held, call->inspect->stream_bytes,
                     (uint32_t)-distance)) {
        side->handler_from = side->window.base;
        distance = 0;
    }
    const uint32_t base = side->window.base;
    const int64_t captured_to = (int64_t)distance + bytes.length;
    const int64_t declared_to = (int64_t)distance + declared;
    if (distance > (int32_t)call->inspect->stream_bytes && !is_believable(call, seq, direction)) {
        call->inspect->statistics.stream_ignored++;
        return;
    }
    if (distance < 0) {
        const uint32_t old = (uint32_t) - (int64_t)distance;
        if (old >= declared) {
            return;
        }
        bytes.bytes += old < bytes.length ? old : bytes.length;
        bytes.length -= old < bytes.length ? old : bytes.length;
        distance = 0;
    }
    if (bytes.length == 0) {
        /* nothing of it is new, or nothing was captured */
    } else if (distance == 0 && side->window.range_count == 0) {
        take_direct(call, direction, &bytes);
    } else {
        take_piece(call, direction, side->window.base + (uint32_t)distance, bytes);
    }
    if (!is_over(call->flow, direction) && captured_to != declared_to) {
        skip_cut(call, direction, base, captured_to, declared_to);
    }
    if (!is_over(call->flow, direction) &&
        window_hole_bytes(&side->window, &call->inspect->held) > 0 &&
        ++side->waiting >= ASSEMBLY_WAITING_MAX) {
        skip_hole(call, direction);
    }
}

/* The receiver has what we have not seen. */
static void take_ack(struct call *call, int direction)
{
    struct assembly_side *side = &call->assembly->side[!direction];
    uint32_t hole;

    while ((hole = window_hole_bytes(&side->window, &call->inspect->held)) > 0 &&
           !is_over(call->flow, !direction)) {
        const uint32_t front = window_bytes(&side->window, &call->inspect->held).length;
        if (tcp_seq_diff(call->packet->tcp_ack, side->window.base + front + hole) < 0) {
            return;
        }
        skip_hole(call, !direction);
    }
}

/* After a hand-over the new handler has not seen what waits on the other side. */
static void follow_switches(struct call *call)
{
    for (unsigned i = 0; i < INSPECT_SWITCHES_MAX && call->switched_by >= 0; i++) {
        const int direction = !call->switched_by;
        call->switched_by = -1;
        if (!is_over(call->flow, direction)) {
            deliver(call, direction, call->assembly->side[direction].window.base);
        }
    }
}

static bool has_hole(const struct inspect *inspect, struct assembly_side *side)
{
    if (window_hole_bytes(&side->window, &inspect->held) > 0) {
        return true;
    }
    if (side->waiting != 0) {
        side->waiting = 0;
    }
    return false;
}

/* Behind a segment of `direction`. The other side is looked at where it can have changed. */
static void note_holes(struct call *call, int direction, bool is_other_touched)
{
    struct flow *flow = call->flow;
    bool waits = has_hole(call->inspect, &call->assembly->side[direction]);

    if (is_other_touched) {
        waits |= has_hole(call->inspect, &call->assembly->side[!direction]);
    }
    flow->bits &= ~INSPECT_WAITS;
    if (waits) {
        flow->bits |= INSPECT_WAITS;
    }
}

void assembly_segment(struct inspect *inspect, struct flow *flow, const struct packet *packet,
                      const struct wire_span *bytes, int direction)
{
    struct call call = {inspect, flow, NULL, packet, -1};
    const bool has_bytes =
        bytes->length > 0 && (packet->tcp_flags & TCP_RST) == 0 && !is_over(flow, direction);

    if (!has_bytes && (flow->bits & INSPECT_WAITS) == 0) {
        return; /* nothing is held: most packets of a direction that is done */
    }
    call.assembly = has_bytes ? inspect_part(inspect, flow, PART_STREAM)
                              : inspect_find(inspect, flow, PART_STREAM);
    if (call.assembly == NULL) {
        if (has_bytes) { /* the pool is full: the label alone */
            const struct inspect_input input = {
                .packet = packet, .bytes = *bytes, .direction = direction, .is_last = true};
            (void)inspect_dispatch(inspect, flow, &input, 0);
        }
        return;
    }
    const bool had_holes = (flow->bits & INSPECT_WAITS) != 0;
    if ((packet->tcp_flags & TCP_ACK) != 0 && had_holes) {
        take_ack(&call, direction);
    }
    if (has_bytes && !is_over(flow, direction)) {
        take_payload(&call, *bytes, direction);
    }
    const bool is_other_touched = had_holes || call.switched_by >= 0;
    if (call.switched_by >= 0) {
        follow_switches(&call);
    }
    note_holes(&call, direction, is_other_touched);
}

void assembly_finish(struct inspect *inspect, struct flow *flow, const struct packet *last)
{
    struct call call = {inspect, flow, inspect_find(inspect, flow, PART_STREAM), last, -1};

    for (int direction = 0; call.assembly != NULL && direction < 2; direction++) {
        struct assembly_side *side = &call.assembly->side[direction];
        while (side->window.range_count > 0 && !is_over(flow, direction)) {
            if (flow->app_handler == APP_UNKNOWN &&
                window_hole_bytes(&side->window, &inspect->held) == 0) {
                break; /* they were looked at, and nothing comes behind them */
            }
            close_front(&call, direction);
            if (!is_over(flow, direction)) {
                skip_hole(&call, direction);
            }
        }
        follow_switches(&call);
    }
    assembly_drop(inspect, flow);
}

void assembly_drop(struct inspect *inspect, struct flow *flow)
{
    struct assembly *assembly = inspect_find(inspect, flow, PART_STREAM);

    if (assembly != NULL) {
        window_clear(&assembly->side[0].window, &inspect->held);
        window_clear(&assembly->side[1].window, &inspect->held);
        inspect_drop(inspect, flow, PART_STREAM);
    }
    flow->bits &= ~INSPECT_WAITS;
}
