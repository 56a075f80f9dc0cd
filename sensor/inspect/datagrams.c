#include "sensor/inspect/datagrams.h"

#include "sensor/inspect/inspect.h"
#include "sensor/wire/ethernet.h"
#include "sensor/wire/fragment.h"
#include "sensor/wire/ipv4.h"
#include "sensor/wire/ipv6.h"

#define LINK_BYTES   ETHERNET_HEADER_BYTES
#define IP_BYTES_MAX 65535
#define DATAGRAM_TTL 64 /* of the rebuilt header: nobody reads it */
#define FRAGMENT_FACTS                                                                             \
    (PACKET_IS_FRAGMENT | PACKET_IS_LATER_FRAGMENT | PACKET_HAS_MORE_FRAGMENTS | PACKET_IS_CUT |   \
     PACKET_OUTER_FRAGMENT)

struct datagrams { /* PART_DATAGRAMS */
    struct inspect_list list;
};

struct datagram {
    struct window window; /* LINK_BYTES, an IP header, the IP payload */
    uint64_t since_ns;
    uint32_t id;          /* the IP header's */
    uint32_t total_bytes; /* of the IP payload; 0: the last fragment was not seen so far */
    uint32_t owner;       /* block of the part whose list this stands in */
    uint32_t older, younger;
    uint8_t direction;
    uint8_t ip_version;
    bool is_outer;   /* a tunnel is inside: the flow is that of the packet in there */
    bool has_header; /* the first fragment was seen */
    bool is_dead;    /* was given up: further fragments are ignored */
};
static_assert(sizeof(struct datagram) <= INSPECT_PART_BYTES, "a block of a list");

struct call {
    struct inspect *inspect;
    struct flow *flow;
    const struct packet *packet;
};

/* What a fragment holds of the IP payload. */
struct piece {
    struct fragment fragment;
    struct wire_span bytes; /* of fragment.data_bytes those that were captured */
    bool is_outer;
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

/* A new one; NULL when there is no room. */
static struct datagram *add(struct call *call, const struct piece *piece, int direction)
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
                                  .id = piece->fragment.id,
                                  .owner = inspect_handle(inspect, datagrams),
                                  .older = inspect->datagram_youngest,
                                  .direction = (uint8_t)direction,
                                  .ip_version = piece->fragment.ip_version,
                                  .is_outer = piece->is_outer};
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

/* Bytes before the IP payload in the window. */
static uint32_t header_bytes(const struct datagram *datagram)
{
    return LINK_BYTES + (datagram->ip_version == 6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES);
}

/* The headers of the datagram as it was before it was cut; deliver() writes the length. */
static bool put_header(struct inspect *inspect, struct datagram *datagram,
                       const struct fragment *fragment)
{
    uint8_t bytes[LINK_BYTES + IPV6_HEADER_BYTES] = {0};
    uint8_t *ip = bytes + LINK_BYTES;

    bytes[LINK_BYTES - 2] = datagram->ip_version == 6 ? 0x86 : 0x08;
    bytes[LINK_BYTES - 1] = datagram->ip_version == 6 ? 0xdd : 0x00;
    if (datagram->ip_version == 6) {
        ip[0] = 0x60;
        ip[6] = fragment->protocol;
        ip[7] = DATAGRAM_TTL;
        memcpy(ip + 8, fragment->source, 16);
        memcpy(ip + 24, fragment->target, 16);
    } else {
        ip[0] = 0x45;
        ip[8] = DATAGRAM_TTL;
        ip[9] = fragment->protocol;
        memcpy(ip + 12, fragment->source, 4);
        memcpy(ip + 16, fragment->target, 4);
    }
    const struct wire_span header = {bytes, header_bytes(datagram)};
    const struct window_put put =
        window_put(&datagram->window, &inspect->held, BYTE_POOL_BLOCK_MAX, 0, &header);

    return put.status == WINDOW_OK;
}

/* Whether the rebuilt packet is one of the flow's. */
static bool is_of_flow(const struct packet *packet, const struct flow *flow)
{
    const struct flow_key own = flow_whole_key(flow);
    struct flow_key key;

    (void)flow_key_of(packet, &key);
    if ((packet->facts & PACKET_IS_LATER_FRAGMENT) != 0) { /* inside of a tunnel: it has no ports */
        key.low_port = own.low_port;
        key.high_port = own.high_port;
    }
    return flow_key_same_tuple(&key, &own);
}

/* The first `length` bytes of the window are read like a captured packet. Handlers may drop all
 * datagrams of the flow, so `datagram` stands in no list. */
static void deliver(const struct call *call, const struct datagram *datagram, uint32_t length,
                    uint64_t time_ns)
{
    struct inspect *inspect = call->inspect;
    uint8_t *bytes = byte_pool_at(&inspect->held, datagram->window.block) + datagram->window.start;
    const uint32_t headers = header_bytes(datagram);
    const bool is_whole = length == headers + datagram->total_bytes;
    const uint32_t ip_header = headers - LINK_BYTES;
    /* What is missing of one whose end is not known may be as long as it can be. */
    const uint32_t ip_bytes =
        datagram->total_bytes != 0 ? ip_header + datagram->total_bytes : IP_BYTES_MAX;
    uint8_t *field = bytes + LINK_BYTES + (datagram->ip_version == 6 ? 4 : 2);
    const uint32_t declared = datagram->ip_version == 6 ? ip_bytes - ip_header : ip_bytes;
    field[0] = (uint8_t)(declared >> 8);
    field[1] = (uint8_t)declared;
    const struct frame frame = {.bytes = bytes,
                                .captured_bytes = length,
                                .wire_bytes = LINK_BYTES + ip_bytes,
                                .time_ns = time_ns,
                                .link_type = LINK_ETHERNET,
                                .interface = call->packet->interface};
    struct packet packet;

    (void)packet_decode_by(inspect->rules, &frame, 0, &packet);
    if (packet.ip_version == 0 || !is_of_flow(&packet, call->flow)) {
        return;
    }
    packet.facts &= (uint16_t) ~(PACKET_IS_CUT | PACKET_OUTER_FRAGMENT);
    if ((packet.facts & PACKET_HAS_TCP) != 0 && !is_whole && packet.tunnel_count == 0 &&
        datagram->total_bytes == 0) {
        packet.payload_bytes = packet.payload_captured_bytes; /* nobody said how long it is */
    }
    if ((packet.facts & PACKET_IS_LATER_FRAGMENT) != 0) {
        packet.facts |= PACKET_HAS_PORTS;
        packet.source_port = call->packet->source_port;
        packet.target_port = call->packet->target_port;
    }
    inspect_payload(inspect, &packet, bytes, call->flow, datagram->direction);
}

/* Ends one that is not completed: its handler gets what stands whole from the start, `bytes_max` of
 * the window at most. It is forgotten, or stays as dead. */
static void end_unfinished(const struct call *call, struct datagram *datagram, uint32_t bytes_max,
                           bool stays)
{
    struct inspect *inspect = call->inspect;
    struct datagram gone = *datagram;
    const uint32_t held = window_bytes(&gone.window, &inspect->held).length;
    const uint32_t length = held < bytes_max ? held : bytes_max;

    datagram->window = (struct window){.block = BYTE_POOL_NONE};
    if (stays) {
        datagram->is_dead = true;
        inspect->statistics.datagrams_dropped++;
    } else {
        drop(inspect, datagram);
    }
    if (length > header_bytes(&gone)) {
        deliver(call, &gone, length, gone.since_ns);
    }
    window_clear(&gone.window, &inspect->held);
}

/* ---- fragments ---- */

/* False: there is nothing of the IP payload. */
static bool piece_of(const struct packet *packet, const uint8_t *frame, struct piece *piece)
{
    const struct wire_span bytes = {frame, packet->captured_bytes};
    uint32_t offset = packet->network_offset;

    piece->is_outer = (packet->facts & PACKET_OUTER_FRAGMENT) != 0;
    if (piece->is_outer) {
        offset = packet->outer_fragment_offset;
    }
    if (!fragment_read(&bytes, offset, &piece->fragment) || piece->fragment.is_atomic) {
        return false;
    }
    const uint32_t start = offset + piece->fragment.header_bytes;
    const uint32_t captured = packet->captured_bytes > start ? packet->captured_bytes - start : 0;
    const uint32_t declared = piece->fragment.data_bytes;

    piece->bytes = (struct wire_span){frame + start, declared < captured ? declared : captured};
    return piece->bytes.length > 0;
}

static struct datagram *find(const struct call *call, const struct piece *piece, int direction)
{
    const struct datagrams *datagrams = inspect_find(call->inspect, call->flow, PART_DATAGRAMS);
    uint32_t at = datagrams != NULL ? datagrams->list.first : INSPECT_NONE;

    for (; at != INSPECT_NONE; at = inspect_next(call->inspect, at)) {
        struct datagram *datagram = datagram_at(call->inspect, at);
        if (datagram->id == piece->fragment.id && datagram->direction == direction &&
            datagram->is_outer == piece->is_outer &&
            datagram->ip_version == piece->fragment.ip_version) {
            return datagram;
        }
    }
    return NULL;
}

static struct datagram *first_expired(const struct call *call)
{
    const struct datagrams *datagrams = inspect_find(call->inspect, call->flow, PART_DATAGRAMS);
    uint32_t at = datagrams != NULL ? datagrams->list.first : INSPECT_NONE;

    for (; at != INSPECT_NONE; at = inspect_next(call->inspect, at)) {
        struct datagram *datagram = datagram_at(call->inspect, at);
        if (call->packet->time_ns > datagram->since_ns &&
            call->packet->time_ns - datagram->since_ns > call->inspect->datagram_timeout_ns) {
            return datagram;
        }
    }
    return NULL;
}

/* Forgets one whose time is over. */
static void time_out(const struct call *call, struct datagram *datagram)
{
    call->inspect->statistics.datagrams_timed_out += datagram->is_dead ? 0 : 1;
    end_unfinished(call, datagram, UINT32_MAX, false);
}

/* Whether the piece agrees with what is known of its datagram's end. */
static bool fits(const struct inspect *inspect, struct datagram *datagram,
                 const struct piece *piece)
{
    const uint32_t end = piece->fragment.offset_bytes + piece->fragment.data_bytes;
    const struct window *window = &datagram->window;
    const uint32_t headers = header_bytes(datagram);
    const uint32_t held = window_end(window, &inspect->held);

    if (headers + end > BYTE_POOL_BLOCK_MAX || headers - LINK_BYTES + end > IP_BYTES_MAX) {
        return false;
    }
    if (!piece->fragment.has_more) {
        if ((datagram->total_bytes != 0 && datagram->total_bytes != end) || held > headers + end) {
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

    if (!fits(call->inspect, datagram, piece)) {
        return false;
    }
    if (piece->fragment.offset_bytes == 0 && !datagram->has_header) {
        datagram->has_header = true;
        if (!put_header(call->inspect, datagram, &piece->fragment)) {
            return false;
        }
    }
    const struct window_put put =
        window_put(&datagram->window, &call->inspect->held, BYTE_POOL_BLOCK_MAX,
                   header_bytes(datagram) + piece->fragment.offset_bytes, &piece->bytes);
    if (put.conflicts) {
        statistics->datagram_conflicts++;
        call->flow->bits |= INSPECT_SAW_CONFLICT;
    }
    if (put.overlapped_bytes > 0 && (put.new_bytes > 0 || put.conflicts)) {
        statistics->datagram_overlaps++;
        if (datagram->ip_version == 6) {
            return false;
        }
    }
    /* What the capture cut does not come. */
    return put.status == WINDOW_OK && piece->bytes.length == piece->fragment.data_bytes;
}

static void complete(const struct call *call, struct datagram *datagram)
{
    struct inspect *inspect = call->inspect;
    struct datagram whole = *datagram;

    inspect->statistics.datagrams_completed++;
    inspect->statistics.datagrams_tunnelled += whole.is_outer ? 1 : 0;
    datagram->window = (struct window){.block = BYTE_POOL_NONE};
    drop(inspect, datagram);
    drop_empty(inspect, call->flow);
    deliver(call, &whole, header_bytes(&whole) + whole.total_bytes, call->packet->time_ns);
    window_clear(&whole.window, &inspect->held);
}

/* With no room for it: what the first fragment alone shows, rather than nothing. */
static void deliver_alone(const struct call *call, const struct piece *piece, const uint8_t *frame,
                          int direction)
{
    struct packet packet = *call->packet;

    if (piece->fragment.offset_bytes == 0 && packet.payload_captured_bytes > 0) {
        packet.facts &= (uint16_t)~FRAGMENT_FACTS;
        inspect_payload(call->inspect, &packet, frame, call->flow, direction);
    }
}

void datagrams_add(struct inspect *inspect, struct flow *flow, const struct packet *packet,
                   const uint8_t *frame, int direction)
{
    struct call call = {inspect, flow, packet};
    struct datagram *datagram;
    struct piece piece;

    while ((datagram = first_expired(&call)) != NULL) {
        time_out(&call, datagram);
    }
    if ((flow->bits & FLOW_INSPECT_DONE) != 0 || !piece_of(packet, frame, &piece)) {
        return;
    }
    datagram = find(&call, &piece, direction);
    if (datagram == NULL) {
        datagram = add(&call, &piece, direction);
    }
    if (datagram == NULL) {
        deliver_alone(&call, &piece, frame, direction);
        return;
    }
    if (datagram->is_dead) {
        return;
    }
    const uint32_t front = window_bytes(&datagram->window, &inspect->held).length;
    if (!put(&call, datagram, &piece)) {
        /* Without what an overlapping piece brought; a cut one is nobody's fault. */
        const bool is_cut = piece.bytes.length < piece.fragment.data_bytes;
        end_unfinished(&call, datagram, is_cut ? UINT32_MAX : front, true);
        return;
    }
    if (datagram->total_bytes != 0 && window_bytes(&datagram->window, &inspect->held).length ==
                                          header_bytes(datagram) + datagram->total_bytes) {
        complete(&call, datagram);
    }
}

void datagrams_finish(struct inspect *inspect, struct flow *flow, const struct packet *last)
{
    struct call call = {inspect, flow, last};
    struct datagrams *datagrams;

    while ((datagrams = inspect_find(inspect, flow, PART_DATAGRAMS)) != NULL &&
           datagrams->list.first != INSPECT_NONE) {
        time_out(&call, datagram_at(inspect, datagrams->list.first));
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
