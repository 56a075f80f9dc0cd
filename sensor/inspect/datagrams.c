#include "sensor/inspect/datagrams.h"

#include "sensor/wire/tcp.h"
#include "sensor/wire/udp.h"

#define DATAGRAM_BYTES_MAX 65535
#define FRAGMENT_FACTS                                                                             \
    (PACKET_IS_FRAGMENT | PACKET_IS_LATER_FRAGMENT | PACKET_HAS_MORE_FRAGMENTS | PACKET_IS_CUT)

struct datagrams { /* PART_DATAGRAMS */
    struct inspect_list list;
};

struct datagram {
    struct window window;
    uint64_t since_ns;
    uint32_t id;          /* the IP header's */
    uint32_t total_bytes; /* of the IP payload; 0: the last fragment was not seen so far */
    uint32_t owner;       /* block of the part whose list this stands in */
    uint32_t older, younger;
    uint8_t direction;
    bool is_dead; /* was given up: further fragments are ignored */
};
static_assert(sizeof(struct datagram) <= INSPECT_PART_BYTES, "a block of a list");

struct call {
    struct inspect *inspect;
    struct flow *flow;
    const struct packet *packet;
};

/* ---- the table: by age over all flows ---- */

static struct datagram *datagram_at(const struct inspect *inspect, uint32_t handle)
{
    return inspect_item(inspect, handle);
}

static void unlink_age(struct inspect *inspect, const struct datagram *datagram)
{
    if (datagram->older != INSPECT_NONE) {
        datagram_at(inspect, datagram->older)->younger = datagram->younger;
    } else {
        inspect->datagram_oldest = datagram->younger;
    }
    if (datagram->younger != INSPECT_NONE) {
        datagram_at(inspect, datagram->younger)->older = datagram->older;
    } else {
        inspect->datagram_youngest = datagram->older;
    }
    inspect->statistics.datagrams_used--;
}

static bool is_other(const void *item, void *context)
{
    return item != context;
}

/* Forgets one. */
static void drop(struct inspect *inspect, struct datagram *datagram)
{
    struct datagrams *datagrams = inspect_item(inspect, datagram->owner);

    window_clear(&datagram->window, &inspect->held);
    unlink_age(inspect, datagram);
    inspect_list_filter(inspect, &datagrams->list, is_other, datagram);
}

static void drop_empty(struct inspect *inspect, struct flow *flow)
{
    const struct datagrams *datagrams = inspect_find(inspect, flow, PART_DATAGRAMS);

    if (datagrams != NULL && datagrams->list.count == 0) {
        inspect_drop(inspect, flow, PART_DATAGRAMS);
    }
}

static void give_up(struct inspect *inspect, struct datagram *datagram)
{
    datagram->is_dead = true;
    window_clear(&datagram->window, &inspect->held);
    inspect->statistics.datagrams_dropped++;
}

/* A new one; NULL when there is no room. */
static struct datagram *add(struct call *call, int direction)
{
    struct inspect *inspect = call->inspect;

    if (inspect->statistics.datagrams_used >= inspect->datagrams_max) {
        inspect->statistics.datagrams_evicted++;
        drop(inspect, datagram_at(inspect, inspect->datagram_oldest));
    }
    struct datagrams *datagrams = inspect_part(inspect, call->flow, PART_DATAGRAMS);
    if (datagrams != NULL && datagrams->list.count >= DATAGRAMS_FLOW_MAX) {
        inspect->statistics.datagrams_evicted++;
        drop(inspect, datagram_at(inspect, datagrams->list.first));
    }
    struct datagram *datagram =
        datagrams != NULL ? inspect_list_add(inspect, &datagrams->list) : NULL;
    if (datagram == NULL) {
        return NULL;
    }
    *datagram = (struct datagram){.since_ns = call->packet->time_ns,
                                  .id = call->packet->ip_id,
                                  .owner = inspect_handle(inspect, datagrams),
                                  .older = inspect->datagram_youngest,
                                  .direction = (uint8_t)direction};
    if (inspect->datagram_youngest != INSPECT_NONE) {
        datagram_at(inspect, inspect->datagram_youngest)->younger = datagrams->list.last;
    } else {
        inspect->datagram_oldest = datagrams->list.last;
    }
    inspect->datagram_youngest = datagrams->list.last;
    inspect->statistics.datagrams_used++;
    return datagram;
}

/* ---- towards the handler ---- */

/* `bytes`: a transport header and what follows; `declared` of them were sent. */
static void deliver(const struct call *call, const struct wire_span *bytes, uint32_t declared,
                    int direction, uint64_t time_ns)
{
    struct cursor in = cursor_over(bytes->bytes, bytes->length);
    struct packet whole = *call->packet;

    whole.time_ns = time_ns;
    whole.facts &= (uint16_t)~FRAGMENT_FACTS;
    whole.facts |= PACKET_HAS_PORTS;
    whole.verdict = PACKET_OK;
    if (call->flow->key.protocol == IP_PROTOCOL_TCP) {
        struct tcp tcp;
        if (tcp_parse(&in, &tcp) != WIRE_OK) {
            return;
        }
        whole.facts |= PACKET_HAS_TCP;
        whole.source_port = tcp.source_port;
        whole.target_port = tcp.target_port;
        whole.tcp_seq = tcp.seq;
        whole.tcp_ack = tcp.ack;
        whole.tcp_flags = tcp.flags;
        declared -= tcp.header_bytes;
    } else {
        struct udp udp;
        if (udp_parse(&in, &udp) != WIRE_OK) {
            return;
        }
        whole.source_port = udp.source_port;
        whole.target_port = udp.target_port;
        declared -= UDP_HEADER_BYTES;
    }
    const struct wire_span payload = {in.at, (uint32_t)cursor_left(&in)};
    whole.payload_captured_bytes = payload.length;
    whole.payload_bytes = declared > payload.length ? declared : payload.length;
    inspect_transport(call->inspect, call->flow, &whole, &payload, direction);
}

/* What stands whole from the start, of a datagram that is not completed: `bytes_max` at most. */
static void deliver_start(const struct call *call, const struct datagram *datagram,
                          uint32_t bytes_max)
{
    struct wire_span bytes = window_bytes(&datagram->window, &call->inspect->held);

    bytes.length = bytes.length < bytes_max ? bytes.length : bytes_max;

    if (bytes.length > 0) {
        deliver(call, &bytes, datagram->total_bytes > bytes.length ? datagram->total_bytes : 0,
                datagram->direction, datagram->since_ns);
    }
}

/* ---- fragments ---- */

struct piece {
    struct wire_span bytes;
    uint32_t declared_bytes;
    uint32_t offset;
    bool is_last;
};

/* What the fragment holds of the IP payload. */
static struct piece piece_of(const struct packet *packet, const uint8_t *frame)
{
    const bool is_later = (packet->facts & PACKET_IS_LATER_FRAGMENT) != 0;
    const uint32_t start = is_later ? packet->payload_offset : packet->transport_offset;
    struct piece piece = {.offset = packet->fragment_offset_bytes,
                          .is_last = (packet->facts & PACKET_HAS_MORE_FRAGMENTS) == 0,
                          .declared_bytes = packet->payload_bytes};

    if (start == 0 || start > packet->captured_bytes) {
        return (struct piece){.declared_bytes = 0};
    }
    if (!is_later) { /* its payload stands behind a transport header, which may be cut in two */
        const uint32_t headers = start - packet->network_offset;
        piece.declared_bytes = packet->ip_bytes > headers ? packet->ip_bytes - headers : 0;
    }
    const uint32_t captured = packet->captured_bytes - start;
    piece.bytes = (struct wire_span){
        frame + start, piece.declared_bytes < captured ? piece.declared_bytes : captured};
    return piece;
}

static struct datagram *find(const struct call *call, int direction)
{
    const struct datagrams *datagrams = inspect_find(call->inspect, call->flow, PART_DATAGRAMS);
    uint32_t at = datagrams != NULL ? datagrams->list.first : INSPECT_NONE;

    for (; at != INSPECT_NONE; at = inspect_next(call->inspect, at)) {
        struct datagram *datagram = datagram_at(call->inspect, at);
        if (datagram->id == call->packet->ip_id && datagram->direction == direction) {
            return datagram;
        }
    }
    return NULL;
}

static void expire(struct call *call)
{
    const struct datagrams *datagrams = inspect_find(call->inspect, call->flow, PART_DATAGRAMS);
    uint32_t at = datagrams != NULL ? datagrams->list.first : INSPECT_NONE;

    while (at != INSPECT_NONE) {
        struct datagram *datagram = datagram_at(call->inspect, at);
        at = inspect_next(call->inspect, at);
        if (call->packet->time_ns > datagram->since_ns &&
            call->packet->time_ns - datagram->since_ns > call->inspect->datagram_timeout_ns) {
            if (!datagram->is_dead) {
                call->inspect->statistics.datagrams_timed_out++;
                deliver_start(call, datagram, UINT32_MAX);
            }
            drop(call->inspect, datagram);
        }
    }
}

/* Whether the piece agrees with what is known of its datagram's end. */
static bool fits(struct datagram *datagram, const struct piece *piece)
{
    const uint32_t end = piece->offset + piece->declared_bytes;
    const struct window *window = &datagram->window;
    const uint32_t held = window->range_count > 0 ? window->ranges[window->range_count - 1].to : 0;

    if (end > DATAGRAM_BYTES_MAX || piece->declared_bytes == 0) {
        return false;
    }
    if (piece->is_last) {
        if ((datagram->total_bytes != 0 && datagram->total_bytes != end) || held > end) {
            return false;
        }
        datagram->total_bytes = end;
    }
    return datagram->total_bytes == 0 || end <= datagram->total_bytes;
}

/* False: the datagram is to be given up. */
static bool put(struct call *call, struct datagram *datagram, const struct piece *piece)
{
    struct inspect_statistics *statistics = &call->inspect->statistics;

    if (!fits(datagram, piece)) {
        return false;
    }
    const struct window_put put = window_put(&datagram->window, &call->inspect->held,
                                             BYTE_POOL_BLOCK_MAX, piece->offset, &piece->bytes);
    if (put.conflicts) {
        statistics->datagram_conflicts++;
        call->flow->app_bits |= INSPECT_SAW_CONFLICT;
    }
    if (put.overlapped_bytes > 0 && (put.new_bytes > 0 || put.conflicts)) {
        statistics->datagram_overlaps++;
        if (call->flow->key.ip_version == 6) {
            return false;
        }
    }
    /* What the capture cut does not come. */
    return put.status == WINDOW_OK && piece->bytes.length == piece->declared_bytes;
}

void datagrams_add(struct inspect *inspect, struct flow *flow, const struct packet *packet,
                   const uint8_t *frame, int direction)
{
    struct call call = {inspect, flow, packet};
    const struct piece piece = piece_of(packet, frame);

    expire(&call);
    if ((flow->bits & FLOW_INSPECT_DONE) != 0 || piece.bytes.length == 0) {
        return;
    }
    struct datagram *datagram = find(&call, direction);
    if (datagram == NULL) {
        datagram = add(&call, direction);
    }
    if (datagram == NULL) {
        if (piece.offset == 0) { /* the first one alone, rather than nothing */
            deliver(&call, &piece.bytes, piece.declared_bytes, direction, packet->time_ns);
        }
        return;
    }
    if (datagram->is_dead) {
        return;
    }
    const uint32_t front = window_bytes(&datagram->window, &inspect->held).length;
    if (!put(&call, datagram, &piece)) {
        /* Without what an overlapping piece brought; a cut one is nobody's fault. */
        const bool is_cut = piece.bytes.length < piece.declared_bytes;
        deliver_start(&call, datagram, is_cut ? UINT32_MAX : front);
        give_up(inspect, datagram);
        return;
    }
    const struct wire_span whole = window_bytes(&datagram->window, &inspect->held);
    if (datagram->total_bytes != 0 && whole.length == datagram->total_bytes) {
        inspect->statistics.datagrams_completed++;
        deliver(&call, &whole, whole.length, direction, packet->time_ns);
        drop(inspect, datagram);
        drop_empty(inspect, flow);
    }
}

void datagrams_finish(struct inspect *inspect, struct flow *flow, const struct packet *last)
{
    struct call call = {inspect, flow, last};
    struct datagrams *datagrams = inspect_find(inspect, flow, PART_DATAGRAMS);

    while (datagrams != NULL && datagrams->list.first != INSPECT_NONE) {
        struct datagram *datagram = datagram_at(inspect, datagrams->list.first);
        if (!datagram->is_dead) {
            inspect->statistics.datagrams_timed_out++;
            deliver_start(&call, datagram, UINT32_MAX);
        }
        drop(inspect, datagram);
    }
}

void datagrams_drop(struct inspect *inspect, struct flow *flow)
{
    struct datagrams *datagrams = inspect_find(inspect, flow, PART_DATAGRAMS);

    while (datagrams != NULL && datagrams->list.first != INSPECT_NONE) {
        drop(inspect, datagram_at(inspect, datagrams->list.first));
    }
    inspect_drop(inspect, flow, PART_DATAGRAMS);
}
